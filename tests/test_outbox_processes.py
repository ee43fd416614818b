"""Mail with real servers at both ends: processes of the product as people run it, and a mail server that has its moods.

The processes have the real clock, so slots are chosen some days ahead.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from datetime import date, timedelta
from typing import Any
from uuid import UUID

import httpx
import psycopg
import pytest

from tests.api.conftest import booking_of
from tests.conftest import AddExpert
from tests.mailing import MailServer
from tests.serving import ServerProcess, command

Connection = psycopg.Connection[tuple[Any, ...]]
Serve = Callable[..., ServerProcess]
PATIENCE = 90
# Nobody who books waits for as long as a mail server that hangs.
SOON = 10


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    """Whoever books."""
    async with httpx.AsyncClient(timeout=60) as client:
        yield client


def posting(mail_server: MailServer) -> dict[str, str]:
    """The settings of a process that has this mail server."""
    return {"SMTP_URL": mail_server.url, "MAIL_FROM": "Expert Booking <site@example.com>"}


async def until(true: Callable[[], object]) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(PATIENCE):
        while not true():  # noqa: ASYNC110 - what is waited for is another process's doing
            await asyncio.sleep(0.05)


async def free_starts(client: httpx.AsyncClient, server: ServerProcess, expert: UUID) -> list[str]:
    """Times that can be booked, some days ahead."""
    answer = await client.get(f"{server.url}/experts/{expert}")
    first = answer.json()["nextAvailable"][:10]
    span = {"from": first, "to": str(date.fromisoformat(first) + timedelta(days=20))}
    slots = (await client.get(f"{server.url}/experts/{expert}/slots", params=span)).json()["slots"]
    return [slot["startsAt"] for slot in slots if slot["state"] == "open"][20:]


async def booked(client: httpx.AsyncClient, server: ServerProcess, expert: UUID, start: str, email: str) -> float:
    """Book, and how many seconds it took."""
    since = time.monotonic()
    answer = await client.post(f"{server.url}/bookings", json=booking_of(expert, startsAt=start, email=email))
    assert answer.status_code == 201, answer.text
    return time.monotonic() - since


def subjects(mail_server: MailServer, address: str) -> list[str]:
    """What came for somebody, as the Message-ID tells."""
    return [str(mail["Message-ID"]).split(".")[1] for mail in mail_server.to(address)]


async def test_while_the_mail_server_is_down_all_is_booked_and_afterwards_all_mail_comes_once_and_in_order(
    serve: Serve, client: httpx.AsyncClient, add_expert: AddExpert, mail_server: MailServer, sql: Connection
) -> None:
    expert = await add_expert()
    mail_server.stop()
    server = serve(**posting(mail_server))
    starts = await free_starts(client, server, expert)
    for n in range(5):
        assert await booked(client, server, expert, starts[n], f"p{n}@example.com") < SOON
    await until(lambda: sql.execute("SELECT min(tries) FROM message").fetchone() == (1,))
    # A change by somebody of the site, as another process makes it.
    sql.execute(
        "UPDATE booking SET status = 'cancelled', version = version + 1, changed_by = 'admin', updated_at = now()"
    )
    mail_server.start()
    await until(lambda: len(mail_server.mails) == 20)
    for n in range(5):
        assert subjects(mail_server, f"p{n}@example.com") == ["received", "cancelled"]
    assert set(Counter(mail["Message-ID"] for mail in mail_server.mails).values()) == {1}
    assert "example.com" not in server.words().replace("site@example.com", "")
    assert f"Emails are sent through 127.0.0.1:{mail_server.port}." in server.words()


async def test_a_mail_server_that_hangs_slows_neither_bookings_nor_other_mail(
    serve: Serve, client: httpx.AsyncClient, add_expert: AddExpert, mail_server: MailServer
) -> None:
    expert = await add_expert()
    server = serve(**posting(mail_server), POOL_SIZE="2")
    starts = await free_starts(client, server, expert)
    mail_server.going_on.clear()
    assert await booked(client, server, expert, starts[0], "p0@example.com") < SOON
    await until(lambda: mail_server.in_hand == 2)
    assert await booked(client, server, expert, starts[1], "p1@example.com") < SOON
    await until(lambda: mail_server.in_hand == 4)
    for n in range(2, 8):
        assert await booked(client, server, expert, starts[n], f"p{n}@example.com") < SOON
    mail_server.going_on.set()
    await until(lambda: len(mail_server.mails) == 16)
    assert {mail["To"].addresses[0].addr_spec for mail in mail_server.mails} >= {f"p{n}@example.com" for n in range(8)}


async def test_two_processes_send_each_mail_once(
    serve: Serve, client: httpx.AsyncClient, add_expert: AddExpert, mail_server: MailServer, sql: Connection
) -> None:
    expert = await add_expert()
    servers = [serve(**posting(mail_server)) for _ in range(2)]
    starts = await free_starts(client, servers[0], expert)
    await asyncio.gather(*(booked(client, servers[n % 2], expert, starts[n], f"p{n}@example.com") for n in range(12)))
    await until(lambda: len(mail_server.mails) >= 24)
    # Both have looked once more, and found nothing.
    await until(lambda: sql.execute("SELECT count(*) FROM message WHERE sent_at IS NULL").fetchone() == (0,))
    for server in servers:
        assert server.stop() == 0
        assert "Traceback" not in server.words()
    assert len(mail_server.mails) == 24
    assert set(Counter(mail["Message-ID"] for mail in mail_server.mails).values()) == {1}


async def test_what_a_killed_process_was_sending_is_sent_by_another(
    serve: Serve, client: httpx.AsyncClient, add_expert: AddExpert, mail_server: MailServer, sql: Connection
) -> None:
    expert = await add_expert()
    doomed = serve(**posting(mail_server))
    starts = await free_starts(client, doomed, expert)
    mail_server.going_on.clear()
    await booked(client, doomed, expert, starts[0], "ada@example.com")
    await until(lambda: mail_server.in_hand == 2)
    doomed.kill()
    # A mail server takes nothing of which it has not told anybody so.
    mail_server.to_mail = lambda *_: "451 4.3.0 whoever has gone away is not answered"
    mail_server.going_on.set()
    await until(lambda: mail_server.in_hand == 0)
    mail_server.to_mail = lambda *_: None
    other = serve(**posting(mail_server))
    assert sql.execute("SELECT count(*) FROM message WHERE claimed_until > now()").fetchone() == (2,)
    # Two minutes are long for a test: the lease is over earlier.
    sql.execute("UPDATE message SET claimed_until = now()")
    sql.execute("SELECT pg_notify('expert_booking_mail', '')")
    await until(lambda: len(mail_server.mails) == 2)
    assert other.stop() == 0
    assert sql.execute("SELECT DISTINCT tries FROM message").fetchall() == [(2,)]


async def test_a_dead_letter_is_listed_without_addresses_and_sent_again_by_a_running_server(
    serve: Serve, client: httpx.AsyncClient, add_expert: AddExpert, mail_server: MailServer, sql: Connection,
    database_url: str, tmp_path: Any,
) -> None:  # fmt: skip
    expert = await add_expert()
    server = serve(**posting(mail_server))
    starts = await free_starts(client, server, expert)
    mail_server.to_recipient = lambda to: f"550 5.1.1 {to} is unknown" if to == "ada@example.com" else None
    await booked(client, server, expert, starts[0], "ada@example.com")
    await until(lambda: sql.execute("SELECT count(*) FROM message WHERE failed_at IS NOT NULL").fetchone() == (1,))
    settings = {"DATABASE_URL": database_url, "SECRET_KEY": "a secret for the tests only"}
    listed = await asyncio.to_thread(command, "mail", "list", folder=tmp_path, **settings)
    assert listed.returncode == 0
    [line] = listed.stdout.splitlines()
    assert "given up" in line
    assert line.endswith("recipient refused: 550 5.1.1")
    assert "@" not in line
    mail_server.to_recipient = lambda _: None
    number = line.split("\t")[0]
    again = await asyncio.to_thread(command, "mail", "resend", number, folder=tmp_path, **settings)
    assert (again.returncode, again.stdout) == (0, "")
    await until(lambda: subjects(mail_server, "ada@example.com") == ["received"])
