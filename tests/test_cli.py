"""The command line: its output and its exit codes."""

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from expert_booking import __version__
from expert_booking.cli import main
from expert_booking.db import schema
from expert_booking.db.engine import Database, driver_url
from expert_booking.domain.errors import LinkNotValid
from expert_booking.domain.site import Site
from expert_booking.services import Services
from tests.conftest import MONDAY_MORNING, AddExpert, Book
from tests.server import SECRET_KEY, ServerProcess, command, environment, free_port

Result = subprocess.CompletedProcess[str]
Run = Callable[..., Result]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Run a command in this process, which saves two seconds each time: `run("token", "list", DATABASE_URL=…)`."""

    def run(*arguments: str, **settings: str) -> Result:
        wanted = environment(**settings)
        with monkeypatch.context() as outside:
            outside.chdir(tmp_path)
            for name in {name for name in os.environ if name.startswith("EXPERT_BOOKING_")} | wanted.keys():
                outside.setenv(name, wanted[name]) if name in wanted else outside.delenv(name)
            capsys.readouterr()
            code = exit_code_of(arguments)
        output = capsys.readouterr()
        return Result(arguments, code, output.out, output.err)

    return run


def exit_code_of(arguments: tuple[str, ...]) -> int:
    """Return the command's exit code."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        main(arguments)
    except SystemExit as left:
        return int(left.code or 0)
    finally:
        signal.signal(signal.SIGTERM, before)
    return 0


def refusal_of(done: Result) -> str:
    """Return the single sentence of a command that refused its arguments or settings."""
    assert (done.returncode, done.stdout) == (2, ""), done
    [sentence] = done.stderr.splitlines()
    assert sentence.startswith("expert-booking: ")
    assert sentence.endswith(".")
    return sentence


def test_help_lists_every_command_and_version_prints_the_version(run: Run) -> None:
    helped = run("--help")
    assert helped.returncode == 0
    for name in ("serve", "migrate", "seed", "token", "sign-in-link", "mail", "customer"):
        assert name in [line.split()[0] for line in helped.stdout.splitlines() if line.startswith("    ")]
    assert run("--version").stdout.strip() == __version__


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["sevre"], "sevre"),
        (["token"], "action"),
        (["token", "create"], "name"),
        (["token", "create", "x", "--role", "king"], "king"),
        (["token", "create", "x", "--role", "expert"], "--expert"),
        (["seed", "--experts", "-5"], "--experts"),
        (["mail"], "action"),
        (["mail", "resend"], "--all"),
        (["mail", "resend", "first"], "ID"),
        (["mail", "resend", "1", "--all"], "--all"),
        (["customer"], "action"),
        (["customer", "export"], "email"),
        (["customer", "erase", "ada"], "email"),
        (["customer", "export", "ada@example.com\x00"], "email"),
        (["customer", "erase", "ada@example.com", "--all"], "--all"),
        (["sign-in-link"], "email"),
        (["sign-in-link", "ada"], "email"),
        (["sign-in-link", "ada@example.com\r\nBcc: ben@example.com"], "email"),
        (["serve", "--prot", "80"], "--prot"),
    ],
)
def test_invalid_arguments_are_answered_with_one_sentence(run: Run, arguments: list[str], word: str) -> None:
    assert word in refusal_of(run(*arguments, DATABASE_URL="postgresql://127.0.0.1:1/x"))


@pytest.mark.parametrize(
    ("settings", "variable"),
    [
        ({"PORT": "http"}, "EXPERT_BOOKING_PORT"),
        ({"DATABASE_URL": "mysql://x"}, "EXPERT_BOOKING_DATABASE_URL"),
        ({"DATABASE_URL": "postgresql://127.0.0.1:1/x"}, "EXPERT_BOOKING_SECRET_KEY"),
    ],
)
def test_invalid_setting_is_named_and_nothing_starts(run: Run, settings: dict[str, str], variable: str) -> None:
    assert variable in refusal_of(run("serve", **settings))


def test_port_in_use_is_reported_with_its_setting(run: Run, database_url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        output = refusal_of(run("serve", DATABASE_URL=database_url, SECRET_KEY=SECRET_KEY, PORT=port))
    assert f"127.0.0.1:{port}" in output
    assert "EXPERT_BOOKING_PORT" in output


@pytest.mark.parametrize("arguments", [["serve"], ["migrate"], ["token", "list"]])
def test_unreachable_database_is_reported_without_its_password(run: Run, arguments: list[str]) -> None:
    nowhere = "postgresql://ada:hunter2@127.0.0.1:1/x"
    output = refusal_of(run(*arguments, DATABASE_URL=nowhere, SECRET_KEY=SECRET_KEY, PORT=str(free_port())))
    assert "cannot be reached" in output
    assert "hunter2" not in output


@pytest.mark.parametrize("arguments", [["serve"], ["token", "list"], ["seed"]])
def test_outdated_schema_is_refused_with_the_command_to_run(
    run: Run, empty_database_url: str, arguments: list[str]
) -> None:
    settings = {"DATABASE_URL": empty_database_url, "SECRET_KEY": SECRET_KEY, "PORT": str(free_port())}
    assert "`expert-booking migrate`" in refusal_of(run(*arguments, **settings))
    with psycopg.connect(driver_url(empty_database_url)) as connection:
        tables = connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone()
    assert tables == (0,)  # an external database is never migrated unasked


def test_migrate_upgrades_a_database_and_is_idempotent(run: Run, empty_database_url: str) -> None:
    for _ in range(2):
        done = run("migrate", DATABASE_URL=empty_database_url)
        assert done.returncode == 0, done.stderr
        assert done.stderr.strip() == f"The schema is at {schema.head()}."
    assert schema.level(empty_database_url)[0] == schema.head()


def test_token_is_listed_without_its_secret_and_can_be_revoked(run: Run, database_url: str) -> None:
    created = run("token", "create", "robot", "--role", "admin", DATABASE_URL=database_url)
    secret = created.stdout.splitlines()[-1]
    assert (created.returncode, secret in created.stderr) == (0, False)
    assert "robot" in refusal_of(run("token", "create", "robot", "--role", "reader", DATABASE_URL=database_url))
    unknown = run("token", "create", "x", "--role", "expert", "--expert", "nobody", DATABASE_URL=database_url)
    assert "nobody" in refusal_of(unknown)

    [line] = run("token", "list", DATABASE_URL=database_url).stdout.splitlines()
    assert line.split("\t")[:2] == ["robot", "admin"]
    assert line.endswith("\tvalid")
    assert secret not in line

    assert run("token", "revoke", "robot", DATABASE_URL=database_url).returncode == 0
    assert "revoked" in run("token", "list", DATABASE_URL=database_url).stdout
    assert "robot" in refusal_of(run("token", "revoke", "robot", DATABASE_URL=database_url))


async def test_token_is_printed_alone_on_the_last_line_and_works(
    tmp_path: Path, database_url: str, services: Services, add_expert: AddExpert
) -> None:
    expert = await add_expert()
    words = ("token", "create", "jana", "--role", "expert", "--expert", "jana-muller")
    created = command(*words, folder=tmp_path, DATABASE_URL=database_url)
    assert created.returncode == 0, created.stderr
    assert (await services.access.identify(created.stdout.splitlines()[-1])).expert_id == expert
    [line] = await services.access.tokens()
    assert (line.name, line.expert_slug) == ("jana", "jana-muller")


@pytest.mark.parametrize(
    ("email", "known_as"),
    [
        ("Boss@example.com", "an admin's address"),
        ("JANA@example.com", "the address of the expert Jana Müller (jana-muller)"),
        ("ada@example.com", "a customer's address"),
        ("nobody@example.com", "an address not seen before"),
    ],
)
async def test_link_is_printed_alone_on_the_last_line_and_proves_the_address_once(
    tmp_path: Path, database: Database, database_url: str, services: Services, add_expert: AddExpert, book: Book,
    email: str, known_as: str,
) -> None:  # fmt: skip
    await book(await add_expert(), MONDAY_MORNING + timedelta(days=1), email="Ada@example.com")
    settings = {"DATABASE_URL": database_url, "SECRET_KEY": SECRET_KEY, "ADMIN_EMAILS": "boss@example.com"}
    made = await asyncio.to_thread(
        command, "sign-in-link", email, folder=tmp_path, BASE_URL="https://booking.test", **settings
    )
    assert made.returncode == 0, made.stderr
    assert made.stderr.strip() == f"For {email}, {known_as}. It works once, within 15 minutes."
    [link] = made.stdout.splitlines()
    assert link.startswith("https://booking.test/sign-in/")
    site = Services(database, site=Site(secret=SECRET_KEY, admins=frozenset({"boss@example.com"})))
    proof, _ = await site.access.redeem_link(link, "browser")
    identity = await site.access.identity_of_proof(proof.access_token)
    assert identity is not None
    assert (identity.email, identity.admin) == (email, email == "Boss@example.com")
    with pytest.raises(LinkNotValid):
        await site.access.redeem_link(link, "browser")


def test_link_needs_the_servers_secret_key(run: Run, database_url: str) -> None:
    assert "EXPERT_BOOKING_SECRET_KEY" in refusal_of(run("sign-in-link", "ada@example.com", DATABASE_URL=database_url))


@pytest.mark.timeout(180)
def test_running_server_with_an_embedded_database_supports_all_commands(
    tmp_path: Path,
) -> None:
    data = tempfile.mkdtemp(
        prefix="expert-booking-tests-"
    )  # if run as root, the database runs under another uid and needs access
    Path(data).chmod(0o755)
    server = ServerProcess(tmp_path, None, DATA_DIR=f"{data}/one", DEMO="false")
    try:
        server.wait_until_alive()
        settings = {"DATA_DIR": f"{data}/one", "DEMO": "false", "SECRET_KEY": SECRET_KEY, "PORT": str(server.port)}
        made = command("sign-in-link", "ada@example.com", folder=tmp_path, timeout=120, **settings)
        assert made.returncode == 0, made.stderr
        link = made.stdout.splitlines()[-1]
        assert link.startswith(f"http://localhost:{server.port}/sign-in/")
        answers = [httpx.post(f"{server.url}/access-links/redeem", json={"link": link}, timeout=60) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [200, 404]

        examined = command("doctor", "--json", folder=tmp_path, timeout=120, **settings)
        assert json.loads(examined.stdout)["ok"], examined.stdout
        for words in (("token", "create", "kept", "--role", "admin"), ("backup", "booking.dump")):
            assert command(*words, folder=tmp_path, timeout=120, **settings).returncode == 0
        assert "not empty" in refusal_of(command("restore", "booking.dump", folder=tmp_path, timeout=120, **settings))
        settings["DATA_DIR"] = f"{data}/other"
        restored = command("restore", "booking.dump", folder=tmp_path, timeout=120, **settings)
        assert restored.returncode == 0, restored.stderr
        assert "EXPERT_BOOKING_SECRET_KEY" in restored.stderr
        assert "kept\tadmin" in command("token", "list", folder=tmp_path, timeout=120, **settings).stdout
    finally:
        server.stop()
        shutil.rmtree(data, ignore_errors=True)


def test_invalid_command_in_a_real_process_exits_with_two(tmp_path: Path) -> None:
    assert "sevre" in refusal_of(command("sevre", folder=tmp_path))


def test_server_prints_its_url_sends_security_headers_and_exits_with_zero(
    serve: Callable[..., ServerProcess],
) -> None:
    server = serve()
    assert f"http://localhost:{server.port}" in server.log_text()
    assert httpx.get(f"{server.url}/readyz").json() == {"status": "ready"}
    assert httpx.get(f"{server.url}/experts").json()["experts"] == []  # an external database gets no sample data
    assert httpx.get(f"{server.url}/", follow_redirects=True).status_code == 200
    for path in ("/", "/experts", "/healthz", "/docs", "/nothing-here", "/experts/nobody"):
        headers = httpx.get(f"{server.url}{path}").headers
        assert headers["x-content-type-options"] == "nosniff", path
        assert headers["x-frame-options"] == "SAMEORIGIN", path
        assert headers["referrer-policy"] == "same-origin", path
        assert "server" not in headers, path
    assert server.stop(timeout=10) == 0
    assert "Traceback" not in server.log_text()
    assert SECRET_KEY not in server.log_text()


async def test_waiting_and_failed_emails_are_listed_and_can_be_resent(
    tmp_path: Path, database_url: str, add_expert: AddExpert, book: Book, sql: psycopg.Connection[tuple[Any, ...]]
) -> None:
    made = await book(await add_expert(), MONDAY_MORNING + timedelta(days=1))
    sql.execute("UPDATE message SET failed_at = now(), tries = 56, error = 'timeout' WHERE audience = 'customer'")

    def mail(*words: str) -> Result:
        return command("mail", *words, folder=tmp_path, DATABASE_URL=database_url, SECRET_KEY=SECRET_KEY)

    waits, dead = (line.split("\t") for line in mail("list").stdout.splitlines())
    assert waits[1:5] == ["received", "to the expert", str(made.id), "0 tries"]
    assert dead[1:5] == ["received", "to the customer", str(made.id), "56 tries"]
    assert (dead[6][:8], dead[7]) == ("given up", "timeout")
    assert "@" not in str([waits, dead])
    assert "424242" in refusal_of(mail("resend", dead[0], "424242"))
    again = mail("resend", "--all")
    assert (again.returncode, again.stderr) == (0, "1 email queued again. A running server sends them.\n")
    assert [line.split("\t")[6] for line in mail("list").stdout.splitlines()] == ["waiting", "waiting"]


async def test_customer_is_exported_as_json_and_erased(
    tmp_path: Path, database_url: str, add_expert: AddExpert, book: Book, sql: psycopg.Connection[tuple[Any, ...]]
) -> None:
    expert = await add_expert()
    for days in (1, 2):
        await book(expert, MONDAY_MORNING + timedelta(days=days), notes="very private")
    sql.execute("UPDATE booking SET starts_at = now() + interval '1 hour', ends_at = now() + interval '2 hours',"
                " busy = tstzrange(now() + interval '1 hour', now() + interval '2 hours')"
                " WHERE id = (SELECT id FROM booking ORDER BY starts_at DESC LIMIT 1)")  # fmt: skip
    sql.execute("UPDATE booking SET status = 'declined' WHERE ends_at < now()")

    def customer(*words: str) -> Result:
        return command("customer", *words, folder=tmp_path, DATABASE_URL=database_url, SECRET_KEY=SECRET_KEY)

    exported = customer("export", "ADA@example.com")
    data = json.loads(exported.stdout)
    assert (exported.returncode, exported.stderr, data["email"]) == (0, "", "ADA@example.com")
    assert [booking["notes"] for booking in data["bookings"]] == ["very private"] * 2
    kept = customer("erase", "ada@example.com", "--keep-upcoming")
    assert (kept.returncode, kept.stdout) == (0, "")
    assert kept.stderr.strip() == "Erased ada@example.com: 1 booking, 0 cancelled. Kept until it is over: 1 booking."
    erased = customer("erase", "ada@example.com")
    assert erased.stderr.strip() == "Erased ada@example.com: 1 booking, 1 cancelled."
    assert customer("erase", "ada@example.com").stderr.strip() == "Erased ada@example.com: 0 bookings, 0 cancelled."
    assert sql.execute("SELECT DISTINCT name, email, notes FROM booking").fetchall() == [("", "", "")]


def test_erasing_needs_the_servers_secret_key(run: Run, database_url: str) -> None:
    for action in ("export", "erase"):
        done = run("customer", action, "ada@example.com", DATABASE_URL=database_url)
        assert "EXPERT_BOOKING_SECRET_KEY" in refusal_of(done)
