"""The outbox with real server processes and a real mail server that can be down, slow or refuse.

The processes use the real clock, so the tests choose slots some days ahead.
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
from tests.mail_server import MailServer
from tests.server import ServerProcess, command

Connection = psycopg.Connection[tuple[Any, ...]]
Serve = Callable[..., ServerProcess]
PATIENCE = 90
# A booking must never take as long as a hanging mail server.
SOON = 10


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    """The customer's HTTP client."""
    async with httpx.AsyncClient(timeout=60) as client:
        yield client


def mail_settings(mail_server: MailServer) -> dict[str, str]:
    """Return the settings of a process with this mail server."""
    return {"SMTP_URL": mail_server.url, "MAIL_FROM": "Expert Booking <site@example.com>"}


async def wait_until(true: Callable[[], object]) -> None:
    """Wait until the condition is true."""
    async with asyncio.timeout(PATIENCE):
        while not true():  # noqa: ASYNC110 - the change happens in another process
            await asyncio.sleep(0.05)


async def free_starts(client: httpx.AsyncClient, server: ServerProcess, expert: UUID) -> list[str]:
    """Return free times, some days ahead."""
    answer = await client.get(f"{server.url}/experts/{expert}")
    first = answer.json()["nextAvailable"][:10]
    span = {"from": first, "to": str(date.fromisoformat(first) + timedelta(days=20))}
    slots = (await client.get(f"{server.url}/experts/{expert}/slots", params=span)).json()["slots"]
    return [slot["startsAt"] for slot in slots if slot["state"] == "open"][20:]


async def book_timed(client: httpx.AsyncClient, server: ServerProcess, expert: UUID, start: str, email: str) -> float:
    """Book, and return the seconds it took."""
    since = time.monotonic()
    answer = await client.post(f"{server.url}/bookings", json=booking_of(expert, startsAt=start, email=email))
    assert answer.status_code == 201, answer.text
    return time.monotonic() - since


def email_kinds(mail_server: MailServer, address: str) -> list[str]:
    """Return the kinds of the emails to an address, from their Message-IDs."""
    return [str(mail["Message-ID"]).split(".")[1] for mail in mail_server.to(address)]


async def test_mail_server_outage_delays_emails_but_not_bookings_and_keeps_their_order(
    serve: Serve, client: httpx.AsyncClient, add_expert: AddExpert, mail_server: MailServer, sql: Connection
) -> None:
    expert = await add_expert()
    mail_server.stop()
    server = serve(**mail_settings(mail_server))
    starts = await free_starts(client, server, expert)
    for n in range(5):
        assert await book_timed(client, server, expert, starts[n], f"p{n}@example.com") < SOON
    await wait_until(lambda: sql.execute("SELECT min(tries) FROM message").fetchone() == (1,))
    # A change by an admin, as another process makes it.
    sql.execute(
        "UPDATE booking SET status = 'cancelled', version = version + 1, changed_by = 'admin', updated_at = now()"
    )
    mail_server.start()
    await wait_until(lambda: len(mail_server.emails) == 20)
    for n in range(5):
        assert email_kinds(mail_server, f"p{n}@example.com") == ["received", "cancelled"]
    assert set(Counter(mail["Message-ID"] for mail in mail_server.emails).values()) == {1}
    assert "example.com" not in server.log_text().replace("site@example.com", "")
    assert f"Emails are sent through 127.0.0.1:{mail_server.port}." in server.log_text()


async def test_hanging_mail_server_slows_neither_bookings_nor_other_emails(
    serve: Serve, client: httpx.AsyncClient, add_expert: AddExpert, mail_server: MailServer
) -> None:
    expert = await add_expert()
    server = serve(**mail_settings(mail_server), POOL_SIZE="2")
    starts = await free_starts(client, server, expert)
    mail_server.proceed.clear()
    assert await book_timed(client, server, expert, starts[0], "p0@example.com") < SOON
    await wait_until(lambda: mail_server.in_progress == 2)
    assert await book_timed(client, server, expert, starts[1], "p1@example.com") < SOON
    await wait_until(lambda: mail_server.in_progress == 4)
    for n in range(2, 8):
        assert await book_timed(client, server, expert, starts[n], f"p{n}@example.com") < SOON
    mail_server.proceed.set()
    await wait_until(lambda: len(mail_server.emails) == 16)
    assert {mail["To"].addresses[0].addr_spec for mail in mail_server.emails} >= {f"p{n}@example.com" for n in range(8)}


async def test_two_processes_send_each_email_once(
    serve: Serve, client: httpx.AsyncClient, add_expert: AddExpert, mail_server: MailServer, sql: Connection
) -> None:
    expert = await add_expert()
    servers = [serve(**mail_settings(mail_server)) for _ in range(2)]
    starts = await free_starts(client, servers[0], expert)
    await asyncio.gather(
        *(book_timed(client, servers[n % 2], expert, starts[n], f"p{n}@example.com") for n in range(12))
    )
    await wait_until(lambda: len(mail_server.emails) >= 24)
    # Both processes have checked the outbox again and found it empty.
    await wait_until(lambda: sql.execute("SELECT count(*) FROM message WHERE sent_at IS NULL").fetchone() == (0,))
    for server in servers:
        assert server.stop() == 0
        assert "Traceback" not in server.log_text()
    assert len(mail_server.emails) == 24
    assert set(Counter(mail["Message-ID"] for mail in mail_server.emails).values()) == {1}


async def test_email_of_a_killed_process_is_sent_by_another(
    serve: Serve, client: httpx.AsyncClient, add_expert: AddExpert, mail_server: MailServer, sql: Connection
) -> None:
    expert = await add_expert()
    doomed = serve(**mail_settings(mail_server))
    starts = await free_starts(client, doomed, expert)
    mail_server.proceed.clear()
    await book_timed(client, doomed, expert, starts[0], "ada@example.com")
    await wait_until(lambda: mail_server.in_progress == 2)
    doomed.kill()
    # An email counts as accepted only after the mail server has confirmed it.
    mail_server.message_reply = lambda *_: "451 4.3.0 client has disconnected"
    mail_server.proceed.set()
    await wait_until(lambda: mail_server.in_progress == 0)
    mail_server.message_reply = lambda *_: None
    other = serve(**mail_settings(mail_server))
    assert sql.execute("SELECT count(*) FROM message WHERE claimed_until > now()").fetchone() == (2,)
    # Two minutes are too long for a test, so the claim expires now.
    sql.execute("UPDATE message SET claimed_until = now()")
    sql.execute("SELECT pg_notify('expert_booking_mail', '')")
    await wait_until(lambda: len(mail_server.emails) == 2)
    assert other.stop() == 0
    assert sql.execute("SELECT DISTINCT tries FROM message").fetchall() == [(2,)]


async def test_failed_email_is_listed_without_addresses_and_can_be_resent(
    serve: Serve, client: httpx.AsyncClient, add_expert: AddExpert, mail_server: MailServer, sql: Connection,
    database_url: str, tmp_path: Any,
) -> None:  # fmt: skip
    expert = await add_expert()
    server = serve(**mail_settings(mail_server))
    starts = await free_starts(client, server, expert)
    mail_server.recipient_reply = lambda to: f"550 5.1.1 {to} is unknown" if to == "ada@example.com" else None
    await book_timed(client, server, expert, starts[0], "ada@example.com")
    await wait_until(lambda: sql.execute("SELECT count(*) FROM message WHERE failed_at IS NOT NULL").fetchone() == (1,))
    settings = {"DATABASE_URL": database_url, "SECRET_KEY": "a secret for the tests only"}
    listed = await asyncio.to_thread(command, "mail", "list", folder=tmp_path, **settings)
    assert listed.returncode == 0
    [line] = listed.stdout.splitlines()
    assert "given up" in line
    assert line.endswith("recipient refused: 550 5.1.1")
    assert "@" not in line
    mail_server.recipient_reply = lambda _: None
    number = line.split("\t")[0]
    again = await asyncio.to_thread(command, "mail", "resend", number, folder=tmp_path, **settings)
    assert (again.returncode, again.stdout) == (0, "")
    await wait_until(lambda: email_kinds(mail_server, "ada@example.com") == ["received"])
