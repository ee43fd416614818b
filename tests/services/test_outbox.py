"""Sending from the outbox: each email once and in order, retries, and reminders."""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from time import monotonic
from typing import Any
from uuid import UUID

import psycopg
import pytest

from expert_booking import seed
from expert_booking.db.engine import Database
from expert_booking.domain.email_schedule import Delivery
from expert_booking.domain.errors import MessageNotFound
from expert_booking.domain.lifecycle import Status
from expert_booking.domain.site import Site
from expert_booking.domain.terms import Confirmation
from expert_booking.schemas import BookingView, Caller, HoldRequest, Role
from expert_booking.services import Services
from expert_booking.services.workers.outbox import LEASE, PACE
from tests.conftest import AddExpert, Book, Clock
from tests.mail_server import MailServer
from tests.services.conftest import Counted

Connection = psycopg.Connection[tuple[Any, ...]]
NINE = datetime(2026, 11, 24, 8, tzinfo=UTC)  # 09:00 in Berlin
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
ADMIN = Caller(role=Role.ADMIN)
SITE = Site(secret="of the tests alone", admins=frozenset({"boss@example.com"}))
ORIGIN = b"o" * 32
PATIENCE = 60


@pytest.fixture
async def sending(database_url: str, clock: Clock, mail_server: MailServer) -> AsyncIterator[Services]:
    """The services of a process with a mail server."""
    database = Database(database_url)
    yield Services(database, clock=clock, site=SITE, transport=mail_server.transport())
    await database.close()


@pytest.fixture
async def other_processes(database_url: str, clock: Clock, mail_server: MailServer) -> AsyncIterator[list[Services]]:
    """The services of five more processes."""
    databases = [Database(database_url, pool_size=4) for _ in range(5)]
    yield [Services(database, clock=clock, site=SITE, transport=mail_server.transport()) for database in databases]
    for database in databases:
        await database.close()


def kinds(mails: list[EmailMessage]) -> list[str]:
    """The kinds of these emails, taken from their Message-ID."""
    return [str(mail["Message-ID"]).split(".")[1] for mail in mails]


def unsent(sql: Connection) -> list[tuple[Any, ...]]:
    """The kind, audience and tries of all unsent messages."""
    return sql.execute("SELECT kind, audience, tries FROM message WHERE sent_at IS NULL ORDER BY id").fetchall()


async def until(condition: Callable[[], object]) -> None:
    """Wait until this is true."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - the mail server runs in another thread
            await asyncio.sleep(0.02)


async def confirm(services: Services, booking: BookingView) -> BookingView:
    """Confirm the booking."""
    return await services.bookings.change_status(booking.id, Status.CONFIRMED, ADMIN)


async def reschedule(services: Services, booking: BookingView, to: datetime) -> BookingView:
    """Reschedule the booking as an admin."""
    return await services.bookings.reschedule(booking.id, to, ADMIN)


async def delivery_of(services: Services, booking: BookingView) -> Delivery | None:
    """The delivery status that the booking's page shows."""
    return (await services.bookings.get(booking.id, ADMIN)).mail


# --- once and in order ------------------------------------------------------------------------------------------


async def test_customer_and_expert_get_each_email_once_and_in_order(
    services: Services, sending: Services, add_expert: AddExpert, book: Book, mail_server: MailServer, clock: Clock
) -> None:
    made = await book(await add_expert(), NINE + 48 * HOUR)
    await confirm(services, made)
    await reschedule(services, made, NINE + 49 * HOUR)
    await services.bookings.change_status(made.id, Status.CANCELLED, ADMIN)
    assert await delivery_of(services, made) is Delivery.WAITING
    await sending.outbox.drain()
    await sending.outbox.drain()
    story = ["received", "confirmed", "rescheduled", "cancelled"]
    assert kinds(mail_server.to("ada@example.com")) == story
    assert kinds(mail_server.to("jana@example.com")) == story
    assert await delivery_of(services, made) is Delivery.SENT


async def test_concurrent_workers_send_each_email_once_and_in_order(
    services: Services, other_processes: list[Services], add_expert: AddExpert, book: Book, mail_server: MailServer,
    sql: Connection,
) -> None:  # fmt: skip
    expert = await add_expert()
    for n in range(8):
        made = await book(expert, NINE + n * HOUR, email=f"p{n}@example.com")
        await confirm(services, made)
        await services.bookings.change_status(made.id, Status.CANCELLED, ADMIN)
    await asyncio.gather(*(other.outbox.drain() for other in other_processes))
    # Workers that found nothing to claim have stopped by now, so one more run sends the rest.
    await other_processes[0].outbox.drain()
    for n in range(8):
        assert kinds(mail_server.to(f"p{n}@example.com")) == ["received", "confirmed", "cancelled"]
    assert len(mail_server.emails) == 48
    assert set(Counter(mail["Message-ID"] for mail in mail_server.emails).values()) == {1}
    assert unsent(sql) == []
    assert sql.execute("SELECT DISTINCT tries FROM message").fetchall() == [(1,)]


async def test_content_of_an_email_is_read_in_one_statement(
    sending: Services, add_expert: AddExpert, book: Book, mail_server: MailServer, counted: Counted
) -> None:
    expert = await add_expert()
    for n in range(2):
        await book(expert, NINE + n * HOUR)
    with counted() as sent:
        await sending.outbox.drain()
    assert len(mail_server.emails) == 4
    # Two for planning; per email one to claim and read and one to record; and some claims that found nothing.
    claims = [statement for statement in sent if "WITH due" in statement]
    assert len([statement for statement in sent if "FROM booking" in statement and statement not in claims]) == 2
    assert len(claims) <= 4 + 2


async def test_message_id_is_stable_across_retries_and_not_personal(
    sending: Services, add_expert: AddExpert, book: Book, mail_server: MailServer, clock: Clock
) -> None:
    seen = []

    def later(_: str, mail: EmailMessage) -> str | None:
        seen.append(str(mail["Message-ID"]))
        return "451 4.3.0 later" if len(seen) <= 2 else None

    mail_server.message_reply = later
    await book(await add_expert(), NINE)
    await sending.outbox.drain()
    clock.advance(minutes=1)
    await sending.outbox.drain()
    assert sorted(seen[:2]) == sorted(seen[2:])
    assert len(set(seen)) == 2
    assert all(one.endswith("@example.com>") and "ada" not in one for one in seen)


async def test_second_process_sends_what_a_killed_one_was_sending(
    sending: Services,
    other_processes: list[Services],
    add_expert: AddExpert,
    book: Book,
    mail_server: MailServer,
    clock: Clock,
) -> None:
    made = await book(await add_expert(), NINE)
    mail_server.proceed.clear()
    doomed = asyncio.create_task(sending.outbox.run())
    await until(lambda: mail_server.in_progress == 2)
    doomed.cancel()  # this also cancels the email being sent
    await asyncio.wait([doomed])
    mail_server.message_reply = lambda *_: "451 4.3.0 whoever has gone away is not answered"
    mail_server.proceed.set()
    await until(lambda: mail_server.in_progress == 0)
    mail_server.message_reply = lambda *_: None
    await other_processes[0].outbox.drain()
    assert mail_server.emails == []
    clock.now += LEASE
    await other_processes[0].outbox.drain()
    assert len(mail_server.emails) == 2
    assert await delivery_of(other_processes[0], made) is Delivery.SENT


async def test_slow_mail_server_holds_no_database_connection(
    database_url: str, clock: Clock, mail_server: MailServer, add_expert: AddExpert, book: Book
) -> None:
    expert = await add_expert()
    for n in range(4):
        await book(expert, NINE + n * HOUR)
    mail_server.proceed.clear()
    database = Database(database_url, pool_size=1)
    services = Services(database, clock=clock, site=SITE, transport=mail_server.transport())
    sending = asyncio.create_task(services.outbox.drain())
    # Four emails are sent concurrently while the only connection stays available.
    await until(lambda: mail_server.in_progress == 4)
    async with asyncio.timeout(PATIENCE):
        await services.bookings.get((await book(expert, NINE + 4 * HOUR)).id, ADMIN)
    assert not sending.done()
    mail_server.proceed.set()
    await sending
    assert len(mail_server.emails) == 10
    await database.close()


async def test_emails_give_way_to_requests(
    database: Database, clock: Clock, mail_server: MailServer, add_expert: AddExpert, book: Book
) -> None:
    expert = await add_expert()
    for hour in range(6):
        await book(expert, NINE + hour * HOUR)
    busy = Services(
        database, clock=clock, site=SITE, transport=mail_server.transport(), seconds_since_request=lambda: 0.0
    )
    began = monotonic()
    worker = asyncio.create_task(busy.outbox.run())
    await until(lambda: len(mail_server.emails) == 12)
    assert monotonic() - began >= 11 * PACE
    busy.stop()
    await worker


async def test_running_worker_sends_new_emails(
    sending: Services, add_expert: AddExpert, book: Book, mail_server: MailServer
) -> None:
    running = asyncio.create_task(sending.outbox.run())
    await book(await add_expert(), NINE)
    sending.outbox.wake()
    await until(lambda: len(mail_server.emails) == 2)
    running.cancel()
    await asyncio.wait([running])


# --- refusals ---------------------------------------------------------------------------------------------------


async def test_temporary_refusal_is_retried_and_delays_only_later_emails_of_its_booking(
    services: Services, sending: Services, add_expert: AddExpert, book: Book, mail_server: MailServer, clock: Clock,
    sql: Connection,
) -> None:  # fmt: skip
    mail_server.recipient_reply = lambda to: "450 4.2.1 not now" if to == "ada@example.com" else None
    made = await book(await add_expert(), NINE + 24 * HOUR)
    await confirm(services, made)
    await sending.outbox.drain()
    assert kinds(mail_server.emails) == ["received", "confirmed"]  # to the expert
    assert unsent(sql) == [("received", "customer", 1), ("confirmed", "customer", 0)]
    mail_server.recipient_reply = lambda _: None
    clock.advance(seconds=4)
    await sending.outbox.drain()
    assert len(mail_server.emails) == 2
    clock.advance(seconds=2)
    await sending.outbox.drain()
    assert kinds(mail_server.to("ada@example.com")) == ["received", "confirmed"]


async def test_permanent_refusal_is_kept_and_can_be_sent_again(
    services: Services, sending: Services, add_expert: AddExpert, book: Book, mail_server: MailServer,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    mail_server.recipient_reply = lambda to: f"550 5.1.1 <{to}> is unknown" if to == "ada@example.com" else None
    made = await book(await add_expert(), NINE + 24 * HOUR)
    with caplog.at_level(logging.DEBUG, "expert_booking"):
        await sending.outbox.drain()
    assert "ada" not in caplog.text.lower()
    [dead] = await sending.outbox.waiting()
    assert (dead.kind, dead.booking_id, dead.tries, dead.error) == (
        "received", made.id, 1, "recipient refused: 550 5.1.1",
    )  # fmt: skip
    assert dead.delivery is Delivery.FAILED
    assert await delivery_of(services, made) is Delivery.FAILED
    # Later emails to this address are not even tried (see test_withheld_emails.py), until an admin sends one again.
    mail_server.recipient_reply = lambda _: None
    assert await services.outbox.resend([dead.id]) == 1
    await confirm(services, made)
    await sending.outbox.drain()
    assert kinds(mail_server.to("ada@example.com")) == ["received", "confirmed"]
    assert await sending.outbox.waiting() == []


async def test_refused_email_does_not_block_later_ones_of_its_booking(
    services: Services, sending: Services, add_expert: AddExpert, book: Book, mail_server: MailServer
) -> None:
    mail_server.message_reply = lambda to, _: "554 5.6.0 we do not like it" if to == "ada@example.com" else None
    made = await book(await add_expert(), NINE + 24 * HOUR)
    await sending.outbox.drain()
    [dead] = await sending.outbox.waiting()
    mail_server.message_reply = lambda *_: None
    await confirm(services, made)
    await sending.outbox.drain()
    assert kinds(mail_server.to("ada@example.com")) == ["confirmed"]
    assert await services.outbox.resend([dead.id]) == 1
    await sending.outbox.drain()
    assert kinds(mail_server.to("ada@example.com")) == ["confirmed", "received"]


async def test_only_existing_unsent_emails_can_be_sent_again(
    sending: Services, add_expert: AddExpert, book: Book, mail_server: MailServer, sql: Connection
) -> None:
    mail_server.recipient_reply = lambda to: "550 5.1.1 no" if to == "ada@example.com" else None
    await book(await add_expert(), NINE)
    await sending.outbox.drain()
    [dead] = await sending.outbox.waiting()
    [(sent,)] = sql.execute("SELECT id FROM message WHERE sent_at IS NOT NULL").fetchall()
    for unknown in (sent, 424242, 10**30):
        with pytest.raises(MessageNotFound) as refused:
            await sending.outbox.resend([dead.id, unknown])
        assert str(unknown) in str(refused.value)
        assert [one.delivery for one in await sending.outbox.waiting()] == [Delivery.FAILED]
    assert await sending.outbox.resend() == 1
    assert await sending.outbox.resend() == 0


async def test_email_refused_for_two_days_is_given_up(
    sending: Services, add_expert: AddExpert, book: Book, mail_server: MailServer, clock: Clock
) -> None:
    mail_server.recipient_reply = lambda to: "450 4.2.1 not now" if to == "ada@example.com" else None
    await book(await add_expert(), NINE + 24 * 30 * HOUR)
    begun = clock()
    while True:
        await sending.outbox.drain()
        [message] = await sending.outbox.waiting()
        if message.due_at is None:
            break
        clock.now = message.due_at
    assert message.failed_at == clock()
    assert timedelta(hours=44) < clock() - begun < timedelta(hours=50)
    assert message.tries == 56


async def test_email_that_cannot_be_composed_blocks_no_other_and_is_not_quoted(
    sending: Services, add_expert: AddExpert, book: Book, mail_server: MailServer, sql: Connection,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    expert = await add_expert()
    broken = await book(expert, NINE)
    await book(expert, NINE + HOUR, email="bob@example.com")
    # A row written by hand, past all checks.
    sql.execute("UPDATE booking SET email = 'ada no address' WHERE id = %s", [broken.id])
    with caplog.at_level(logging.DEBUG, "expert_booking"):
        await sending.outbox.drain()
    assert kinds(mail_server.to("bob@example.com")) == ["received"]
    assert kinds(mail_server.to("jana@example.com")) == ["received", "received"]
    assert "no address" not in caplog.text.replace("no address to send to", "")
    [message] = await sending.outbox.waiting()
    assert message.tries == 1
    assert message.error


async def test_without_a_transport_emails_wait_unclaimed(
    services: Services, sending: Services, add_expert: AddExpert, book: Book, mail_server: MailServer, sql: Connection
) -> None:
    made = await book(await add_expert(), NINE)
    await services.outbox.drain()
    assert unsent(sql) == [("received", "customer", 0), ("received", "expert", 0)]
    assert await delivery_of(services, made) is Delivery.WAITING
    await sending.outbox.drain()
    assert len(mail_server.emails) == 2


async def test_unreachable_mail_server_delays_emails_only(
    services: Services, sending: Services, add_expert: AddExpert, book: Book, mail_server: MailServer, clock: Clock
) -> None:
    mail_server.stop()
    expert = await add_expert()
    for n in range(3):
        made = await book(expert, NINE + (24 + n) * HOUR, email=f"p{n}@example.com")
        await confirm(services, made)
        await sending.outbox.drain()
    mail_server.start()
    clock.advance(minutes=5)
    await sending.outbox.drain()
    for n in range(3):
        assert kinds(mail_server.to(f"p{n}@example.com")) == ["received", "confirmed"]
    assert len(mail_server.emails) == 12


async def test_success_is_recorded_even_if_another_process_reports_a_failure(
    sending: Services, other_processes: list[Services], add_expert: AddExpert, book: Book, mail_server: MailServer,
    clock: Clock, sql: Connection,
) -> None:  # fmt: skip
    # The first process exceeds its lease; a second one claims the message and is refused.
    await book(await add_expert(), NINE)
    mail_server.proceed.clear()
    first = asyncio.create_task(sending.outbox.drain())
    await until(lambda: mail_server.in_progress == 2)
    clock.now += LEASE
    mail_server.recipient_reply = lambda _: "450 4.2.1 not now"
    await other_processes[0].outbox.drain()
    mail_server.proceed.set()
    await first
    assert unsent(sql) == []
    clock.advance(hours=1)
    mail_server.recipient_reply = lambda _: None
    await other_processes[0].outbox.drain()
    assert len(mail_server.emails) == 2


# --- recipients and events --------------------------------------------------------------------------------------


async def test_expired_hold_sends_no_email(
    services: Services, sending: Services, add_expert: AddExpert, mail_server: MailServer, clock: Clock, sql: Connection
) -> None:
    await services.holds.take(HoldRequest(expert_id=await add_expert(), starts_at=NINE))
    clock.advance(minutes=10)
    await services.deadlines.drain()
    await sending.outbox.drain()
    assert sql.execute("SELECT status FROM booking").fetchall() == [("expired",)]
    assert (mail_server.emails, unsent(sql)) == ([], [])


async def test_expired_request_emails_both(
    services: Services, sending: Services, add_expert: AddExpert, book: Book, mail_server: MailServer, clock: Clock
) -> None:
    await book(await add_expert(answer_minutes=60), NINE)
    clock.advance(hours=2)
    await services.deadlines.drain()
    await sending.outbox.drain()
    assert kinds(mail_server.to("ada@example.com")) == ["received", "expired"]


async def test_manual_change_sends_no_email(
    sending: Services, add_expert: AddExpert, book: Book, mail_server: MailServer, sql: Connection
) -> None:
    made = await book(await add_expert(), NINE)
    await sending.outbox.drain()
    sql.execute("UPDATE booking SET status = 'cancelled' WHERE id = %s", [made.id])
    await sending.outbox.drain()
    assert kinds(mail_server.to("ada@example.com")) == ["received"]


@pytest.mark.parametrize("plan", [seed.Plan(experts=5, bookings=80), seed.Plan(experts=40, bookings=400)])
async def test_seed_sends_no_emails_and_no_reminders(
    sending: Services, database: Database, clock: Clock, sql: Connection, mail_server: MailServer, plan: seed.Plan
) -> None:
    await seed.load(database, plan, now=clock())
    for _ in range(4):
        clock.advance(hours=12)
        await sending.outbox.drain()
    still_to_come = "SELECT count(*) FROM booking WHERE status = 'confirmed' AND starts_at BETWEEN %s AND %s"
    [(sessions,)] = sql.execute(still_to_come, [clock() - 40 * HOUR, clock()]).fetchall()
    assert sessions > 0
    assert sql.execute("SELECT count(*) FROM message").fetchone() == (0,)
    assert mail_server.emails == []


async def test_deleted_booking_sends_no_email_and_leaves_no_rows(
    sending: Services, add_expert: AddExpert, book: Book, mail_server: MailServer, sql: Connection
) -> None:
    made = await book(await add_expert(), NINE)
    sql.execute("DELETE FROM booking WHERE id = %s", [made.id])
    await sending.outbox.drain()
    assert (mail_server.emails, unsent(sql)) == ([], [])


async def test_email_about_a_long_past_session_is_dropped_without_failure(
    services: Services, sending: Services, add_expert: AddExpert, book: Book, mail_server: MailServer, clock: Clock,
    sql: Connection,
) -> None:  # fmt: skip
    made = await book(await add_expert(), NINE)
    clock.now = NINE + HOUR + timedelta(days=1, seconds=1)
    await sending.outbox.drain()
    assert (mail_server.emails, unsent(sql)) == ([], [])
    assert await delivery_of(services, made) is None


async def test_old_sent_emails_are_deleted(
    sending: Services, add_expert: AddExpert, book: Book, clock: Clock, sql: Connection
) -> None:
    await book(await add_expert(), NINE)
    await sending.outbox.drain()
    clock.advance(days=89)
    await sending.outbox.sweep()
    assert sql.execute("SELECT count(*) FROM message").fetchone() == (2,)
    clock.advance(days=2)
    await sending.outbox.sweep()
    assert sql.execute("SELECT count(*) FROM message").fetchone() == (0,)


# --- access links -----------------------------------------------------------------------------------------------


async def test_known_addresses_get_an_access_email_and_unknown_ones_leave_no_trace(
    services: Services, sending: Services, add_expert: AddExpert, book: Book, mail_server: MailServer, sql: Connection
) -> None:
    await book(await add_expert(), NINE)
    omar = await add_expert(name="Omar", email="omar@example.com")
    sql.execute("UPDATE expert SET active = false WHERE id = %s", [omar])
    await sending.outbox.drain()
    mail_server.emails.clear()
    for email in ("Ada@example.com", "jana@example.com", "boss@example.com", "nobody@example.com", "omar@example.com"):
        await services.access.request_access(email, origin=ORIGIN)
    await sending.outbox.drain()
    assert {mail["To"].addresses[0].addr_spec for mail in mail_server.emails} == {
        "Ada@example.com", "jana@example.com", "boss@example.com",
    }  # fmt: skip
    assert sql.execute("SELECT count(*) FROM message WHERE kind = 'access_link'").fetchone() == (3,)
    assert unsent(sql) == []


async def test_emailed_link_and_code_are_valid(
    sending: Services, add_expert: AddExpert, mail_server: MailServer
) -> None:
    await add_expert()
    asked = await sending.access.request_access("jana@example.com", origin=ORIGIN)
    await sending.outbox.drain()
    [mail] = mail_server.emails
    body = mail.get_body(("plain",))
    assert body is not None
    content = body.get_content() + str(mail["Subject"])
    assert sending.access.link(asked.id) in content
    assert sending.access.code(asked.id) in content.replace(" ", "").replace("\u00a0", "")


@pytest.mark.parametrize("how", ["over", "spent"])
async def test_expired_link_is_not_sent(
    sending: Services, add_expert: AddExpert, mail_server: MailServer, clock: Clock, sql: Connection, how: str
) -> None:
    await add_expert()
    asked = await sending.access.request_access("jana@example.com", origin=ORIGIN)
    if how == "over":
        clock.advance(minutes=15)
    else:
        await sending.access.redeem_link(sending.access.link(asked.id), "browser")
    await sending.outbox.drain()
    assert (mail_server.emails, unsent(sql)) == ([], [])


# --- reminders --------------------------------------------------------------------------------------------------


async def instant_expert(add_expert: AddExpert, **more: Any) -> UUID:
    """An expert with instantly confirmed sessions around the clock."""
    return await add_expert(confirmation=Confirmation.INSTANT, hours=(0, 1440), **more)


async def send_reminders(sending: Services, mail_server: MailServer, clock: Clock, now: datetime) -> list[str]:
    """The kinds of emails that the customer gets at this time."""
    clock.now = now
    mail_server.emails.clear()
    await sending.outbox.drain()
    assert len(mail_server.to("ada@example.com")) == len(mail_server.to("jana@example.com"))
    return kinds(mail_server.to("ada@example.com"))


async def test_both_are_reminded_a_day_and_an_hour_before(
    sending: Services, add_expert: AddExpert, book: Book, mail_server: MailServer, clock: Clock
) -> None:
    start = NINE + 24 * HOUR
    await book(await instant_expert(add_expert), start)
    for now, kinds_then in (
        (clock(), ["confirmed"]),
        (start - 24 * HOUR - timedelta(seconds=1), []),
        (start - 24 * HOUR, ["reminder"]),
        (start - 23 * HOUR, []),
        (start - HOUR - timedelta(seconds=1), []),
        (start - HOUR, ["reminder"]),
        (start - MINUTE, []),
        (start, []),
    ):
        assert await send_reminders(sending, mail_server, clock, now) == kinds_then, now


async def test_booking_made_after_a_reminder_was_due_gets_none(
    services: Services, sending: Services, add_expert: AddExpert, book: Book, mail_server: MailServer, clock: Clock
) -> None:
    clock.now = start_of_day = NINE - 12 * HOUR
    instant, asking = await instant_expert(add_expert), await add_expert(name="Omar", hours=(0, 1440))
    waiting = await book(asking, NINE + 24 * HOUR)
    far = await book(instant, NINE + 72 * HOUR)
    await send_reminders(sending, mail_server, clock, start_of_day)
    clock.now = NINE + HOUR + MINUTE
    await book(instant, NINE + 24 * HOUR)
    await confirm(services, waiting)
    await reschedule(services, far, NINE + 25 * HOUR)
    assert "reminder" not in await send_reminders(sending, mail_server, clock, clock())
    assert "reminder" not in await send_reminders(sending, mail_server, clock, NINE + 2 * HOUR)
    assert await send_reminders(sending, mail_server, clock, NINE + 23 * HOUR) == ["reminder", "reminder"]
    assert await send_reminders(sending, mail_server, clock, NINE + 24 * HOUR) == ["reminder"]


async def test_reminders_follow_reschedules_and_cancellations(
    services: Services, sending: Services, add_expert: AddExpert, book: Book, mail_server: MailServer, clock: Clock
) -> None:
    expert = await instant_expert(add_expert)
    one, two = await book(expert, NINE + 24 * HOUR), await book(expert, NINE + 26 * HOUR)
    await send_reminders(sending, mail_server, clock, clock())
    await services.bookings.change_status(two.id, Status.CANCELLED, ADMIN)
    # Two bookings, so the order may vary.
    assert sorted(await send_reminders(sending, mail_server, clock, NINE)) == ["cancelled", "reminder"]
    await reschedule(services, one, NINE + 72 * HOUR)
    assert await send_reminders(sending, mail_server, clock, NINE + 23 * HOUR) == ["rescheduled"]
    assert await send_reminders(sending, mail_server, clock, NINE + 25 * HOUR) == []
    assert await send_reminders(sending, mail_server, clock, NINE + 48 * HOUR) == ["reminder"]
    assert await send_reminders(sending, mail_server, clock, NINE + 71 * HOUR) == ["reminder"]


@pytest.mark.parametrize("how", ["rescheduled", "cancelled"])
async def test_pending_reminder_is_dropped_if_its_session_has_changed(
    services: Services, sending: Services, add_expert: AddExpert, book: Book, mail_server: MailServer, clock: Clock,
    sql: Connection, how: str,
) -> None:  # fmt: skip
    made = await book(await instant_expert(add_expert), NINE + 24 * HOUR)
    await send_reminders(sending, mail_server, clock, clock())
    clock.now = NINE
    await sending.outbox.plan()
    assert unsent(sql) == [("reminder", "customer", 0), ("reminder", "expert", 0)]
    if how == "rescheduled":
        await reschedule(services, made, NINE + 72 * HOUR)
    else:
        await services.bookings.change_status(made.id, Status.CANCELLED, ADMIN)
    assert await send_reminders(sending, mail_server, clock, NINE) == [how]
    assert unsent(sql) == []


async def test_rescheduled_and_restored_booking_is_reminded_again_only_if_still_ahead(
    services: Services, sending: Services, add_expert: AddExpert, book: Book, mail_server: MailServer, clock: Clock
) -> None:
    start = NINE + 48 * HOUR
    made = await book(await instant_expert(add_expert), start)
    await send_reminders(sending, mail_server, clock, clock())
    assert await send_reminders(sending, mail_server, clock, start - 24 * HOUR) == ["reminder"]
    await reschedule(services, made, start + 24 * HOUR)
    await reschedule(services, made, start)
    assert await send_reminders(sending, mail_server, clock, start - 23 * HOUR) == ["rescheduled", "rescheduled"]
    assert await send_reminders(sending, mail_server, clock, start - HOUR) == ["reminder"]


async def test_process_that_starts_late_sends_the_reminder_that_still_applies(
    sending: Services, add_expert: AddExpert, book: Book, mail_server: MailServer, clock: Clock
) -> None:
    expert = await instant_expert(add_expert)
    soon, later = NINE + 24 * HOUR, NINE + 40 * HOUR
    await book(expert, soon)
    await book(expert, later)
    await send_reminders(sending, mail_server, clock, clock())
    # No worker ran at either time: the first session gets the reminder an hour before, the second a day before.
    assert await send_reminders(sending, mail_server, clock, soon - 30 * MINUTE) == ["reminder", "reminder"]
    assert await send_reminders(sending, mail_server, clock, soon - 20 * MINUTE) == []
    assert await send_reminders(sending, mail_server, clock, later - HOUR) == ["reminder"]


async def test_undelivered_reminder_is_replaced_by_the_next(
    sending: Services, add_expert: AddExpert, book: Book, mail_server: MailServer, clock: Clock, sql: Connection
) -> None:
    start = NINE + 24 * HOUR
    await book(await instant_expert(add_expert), start)
    await send_reminders(sending, mail_server, clock, clock())
    mail_server.recipient_reply = lambda _: "450 4.2.1 not now"
    await send_reminders(sending, mail_server, clock, start - 24 * HOUR)
    assert [row[0] for row in unsent(sql)] == ["reminder", "reminder"]
    mail_server.recipient_reply = lambda _: None
    assert await send_reminders(sending, mail_server, clock, start - HOUR) == ["reminder"]
    assert unsent(sql) == []
    assert sql.execute("SELECT DISTINCT minutes_before FROM message WHERE kind = 'reminder'").fetchall() == [(60,)]


async def test_concurrent_processes_send_each_reminder_once(
    sending: Services,
    other_processes: list[Services],
    add_expert: AddExpert,
    book: Book,
    mail_server: MailServer,
    clock: Clock,
) -> None:
    expert = await instant_expert(add_expert)
    for n in range(6):
        await book(expert, NINE + 24 * HOUR + n * HOUR, email=f"p{n}@example.com")
    await sending.outbox.drain()
    mail_server.emails.clear()
    clock.now = NINE + 6 * HOUR
    await asyncio.gather(*(other.outbox.drain() for other in (*other_processes, sending)))
    await sending.outbox.drain()
    assert Counter(mail["To"].addresses[0].addr_spec for mail in mail_server.emails) == {
        "jana@example.com": 6, **{f"p{n}@example.com": 1 for n in range(6)},
    }  # fmt: skip


@pytest.mark.parametrize(
    "start",
    [datetime(2027, 3, 28, 8, tzinfo=UTC), datetime(2027, 10, 31, 8, tzinfo=UTC)],
    ids=["spring", "autumn"],
)
async def test_day_before_is_24_hours_across_a_clock_change(
    sending: Services, add_expert: AddExpert, book: Book, mail_server: MailServer, clock: Clock, start: datetime
) -> None:
    clock.now = start - 72 * HOUR
    await book(await instant_expert(add_expert), start)
    assert await send_reminders(sending, mail_server, clock, clock()) == ["confirmed"]
    assert await send_reminders(sending, mail_server, clock, start - 24 * HOUR - timedelta(seconds=1)) == []
    assert await send_reminders(sending, mail_server, clock, start - 24 * HOUR) == ["reminder"]
    assert await send_reminders(sending, mail_server, clock, start - HOUR) == ["reminder"]


async def test_site_without_reminders_sends_none(
    database: Database, add_expert: AddExpert, book: Book, mail_server: MailServer, clock: Clock
) -> None:
    sending = Services(
        database, clock=clock, site=Site(secret="x" * 16, reminders=()), transport=mail_server.transport()
    )
    await book(await instant_expert(add_expert), NINE + 24 * HOUR)
    await send_reminders(sending, mail_server, clock, clock())
    assert await send_reminders(sending, mail_server, clock, NINE) == []
