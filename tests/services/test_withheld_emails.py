"""Which emails are withheld: over the limit of an address, to a silenced address, and to a refused one."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from typing import Any
from uuid import UUID

import psycopg
import pytest

from expert_booking.db.engine import Database
from expert_booking.domain.email_schedule import Delivery, WantedEmails
from expert_booking.domain.errors import EmailLinkNotValid
from expert_booking.domain.lifecycle import Status
from expert_booking.domain.signed_keys import SignedKeys
from expert_booking.domain.site import Site
from expert_booking.domain.terms import Confirmation
from expert_booking.schemas import BookingView, Caller, Role
from expert_booking.services import Services
from tests.conftest import AddExpert, Book, Clock
from tests.mail_server import MailServer

Connection = psycopg.Connection[tuple[Any, ...]]
NINE = datetime(2026, 11, 24, 8, tzinfo=UTC)  # 09:00 in Berlin
HOUR = timedelta(hours=1)
ADMIN = Caller(role=Role.ADMIN)
SITE = Site(
    secret="of the tests alone", url="https://a-rather-long-name.for-a-booking-site.example.com", emails_per_address=3
)
KEYS = SignedKeys(SITE.secret)
ADA, JANA = "ada@example.com", "jana@example.com"


@pytest.fixture
async def services(database_url: str, clock: Clock, mail_server: MailServer) -> AsyncIterator[Services]:
    """The services of a process that sends at most three emails in 24 hours to an unproven address."""
    database = Database(database_url)
    yield Services(database, clock=clock, site=SITE, transport=mail_server.transport())
    await database.close()


def kinds(mails: list[EmailMessage]) -> list[str]:
    """The kinds of these emails, taken from their Message-ID."""
    return [str(mail["Message-ID"]).split(".")[1] for mail in mails]


async def book_hours(book: Book, expert: UUID, hours: range, **more: Any) -> list[BookingView]:
    """Book these hours of Tuesday, counted from nine o'clock."""
    return [await book(expert, NINE + hour * HOUR, **more) for hour in hours]


async def states(services: Services, bookings: list[BookingView]) -> list[Delivery | None]:
    """The delivery states that the bookings' pages show."""
    return [(await services.bookings.get(one.id, ADMIN)).mail for one in bookings]


async def sign_in(services: Services, email: str = ADA) -> None:
    """Prove an address, as with a link that the command line printed."""
    await services.access.redeem_link(await services.access.link_for(email), "browser")


async def confirm(services: Services, booking: BookingView) -> None:
    """Confirm the booking."""
    await services.bookings.change_status(booking.id, Status.CONFIRMED, ADMIN)


# --- the limit --------------------------------------------------------------------------------------------------


async def test_address_gets_so_many_emails_in_24_hours_and_the_expert_all(
    services: Services, add_expert: AddExpert, book: Book, mail_server: MailServer, clock: Clock
) -> None:
    made = await book_hours(book, await add_expert(), range(3))
    made += await book_hours(book, made[0].expert_id, range(3, 5), email="Ada@Example.com")
    await services.outbox.drain()
    assert len(mail_server.to(ADA)) == 3
    assert len(mail_server.to(JANA)) == 5
    assert await states(services, made) == [Delivery.SENT] * 3 + [Delivery.OVER_LIMIT] * 2
    withheld = await services.outbox.waiting()
    assert [(one.delivery, one.booking_id) for one in withheld] == [(Delivery.OVER_LIMIT, one.id) for one in made[3:]]
    # Other addresses have their own limit.
    [other] = await book_hours(book, made[0].expert_id, range(5, 6), email="bob@example.com")
    await services.outbox.drain()
    assert await states(services, [other]) == [Delivery.SENT]
    # What was withheld is not sent later; what happens a day later is.
    clock.advance(hours=24)
    await services.bookings.change_status(made[0].id, Status.CANCELLED, ADMIN)
    await services.outbox.drain()
    assert kinds(mail_server.to(ADA)) == ["received"] * 3 + ["cancelled"]


async def test_limit_is_exact_with_five_processes(
    database_url: str, clock: Clock, add_expert: AddExpert, book: Book, mail_server: MailServer
) -> None:
    await book_hours(book, await add_expert(hours=(0, 1440)), range(20))
    databases = [Database(database_url, pool_size=4) for _ in range(5)]
    site = replace(SITE, emails_per_address=10)
    processes = [Services(one, clock=clock, site=site, transport=mail_server.transport()) for one in databases]
    await asyncio.gather(*(one.outbox.drain() for one in processes))
    await processes[0].outbox.drain()
    assert len(mail_server.to(ADA)) == 10
    assert len(mail_server.to(JANA)) == 20
    withheld = await processes[0].outbox.waiting()
    assert [one.delivery for one in withheld] == [Delivery.OVER_LIMIT] * 10
    for one in databases:
        await one.close()


async def test_email_that_is_tried_again_counts_once(
    services: Services, add_expert: AddExpert, book: Book, mail_server: MailServer, clock: Clock
) -> None:
    made = await book_hours(book, await add_expert(), range(4))
    mail_server.recipient_reply = lambda to: "450 4.2.1 not now" if to == ADA else None
    for _ in range(4):
        await services.outbox.drain()
        clock.advance(minutes=2)
    assert await states(services, made) == [Delivery.WAITING] * 3 + [Delivery.OVER_LIMIT]
    mail_server.recipient_reply = lambda _: None
    await services.outbox.drain()
    assert await states(services, made) == [Delivery.SENT] * 3 + [Delivery.OVER_LIMIT]


async def test_address_that_was_ever_proven_has_no_limit(
    services: Services, add_expert: AddExpert, book: Book, mail_server: MailServer, clock: Clock
) -> None:
    await sign_in(services)
    clock.advance(days=40)  # the proof has expired
    await services.outbox.sweep()
    expert = await add_expert()
    await book(expert, NINE + timedelta(days=42), email="ADA@example.com")
    await services.outbox.sweep()
    for hour in range(1, 6):
        await book(expert, NINE + timedelta(days=42, hours=hour))
    await services.outbox.drain()
    assert len([mail for mail in mail_server.emails if JANA not in str(mail["To"])]) == 6


async def test_sign_in_emails_are_neither_limited_nor_counted(
    services: Services, add_expert: AddExpert, book: Book, mail_server: MailServer
) -> None:
    [first] = await book_hours(book, await add_expert(), range(1))
    for number in range(4):
        await services.access.request_access(ADA, origin=b"network %d" % number)
    await services.outbox.drain()
    made = await book_hours(book, first.expert_id, range(1, 5))
    await services.outbox.drain()
    asked = await services.access.request_access(ADA, origin=b"home")
    await services.outbox.drain()
    assert sorted(kinds(mail_server.to(ADA))) == ["access_link"] * 5 + ["received"] * 3
    assert await states(services, made) == [Delivery.SENT] * 2 + [Delivery.OVER_LIMIT] * 2
    # The link works, and from then on there is no limit.
    await services.access.redeem_link(services.access.link(asked.id), "browser")
    await confirm(services, made[3])
    await services.outbox.drain()
    assert await states(services, [made[3]]) == [Delivery.SENT]


async def test_limit_of_zero_means_none(
    database: Database, clock: Clock, add_expert: AddExpert, book: Book, mail_server: MailServer, sql: Connection
) -> None:
    made = await book_hours(book, await add_expert(), range(8))
    site = replace(SITE, emails_per_address=0)
    services = Services(database, clock=clock, site=site, transport=mail_server.transport())
    await services.outbox.drain()
    assert await states(services, made) == [Delivery.SENT] * 8
    assert sql.execute("SELECT count(*) FROM email_address").fetchone() == (0,)


async def test_withheld_email_is_tried_again_only_by_its_id_and_checked_again(
    services: Services, add_expert: AddExpert, book: Book, mail_server: MailServer, clock: Clock
) -> None:
    await book_hours(book, await add_expert(), range(4))
    await services.outbox.drain()
    [withheld] = await services.outbox.waiting()
    assert await services.outbox.resend() == 0
    assert await services.outbox.resend([withheld.id]) == 1
    await services.outbox.drain()
    assert [one.delivery for one in await services.outbox.waiting()] == [Delivery.OVER_LIMIT]
    await sign_in(services)
    assert await services.outbox.resend([withheld.id]) == 1
    await services.outbox.drain()
    assert await services.outbox.waiting() == []
    assert len(mail_server.to(ADA)) == 4


# --- refused addresses ------------------------------------------------------------------------------------------


async def test_refused_address_is_not_written_to_until_someone_proves_it(
    services: Services, add_expert: AddExpert, book: Book, mail_server: MailServer
) -> None:
    mail_server.recipient_reply = lambda to: "550 5.1.1 no such person" if to == ADA else None
    first, second = await book_hours(book, await add_expert(), range(1, 3))
    await services.outbox.drain()
    # Both may have been claimed together, so only the first one is certain to have been tried.
    assert (await states(services, [first])) == [Delivery.FAILED]
    tried: list[str] = []
    mail_server.recipient_reply = tried.append  # type: ignore[assignment]
    await confirm(services, first)
    await confirm(services, second)
    await services.outbox.drain()
    assert await states(services, [first, second]) == [Delivery.REFUSED] * 2
    assert ADA not in tried
    assert len(mail_server.to(JANA)) == 4
    withheld = [one for one in await services.outbox.waiting() if one.kind == "confirmed"]
    assert [(one.delivery, one.error) for one in withheld] == [(Delivery.REFUSED, "recipient refused: 550 5.1.1")] * 2
    await sign_in(services)
    await services.bookings.change_status(first.id, Status.CANCELLED, ADMIN)
    await services.outbox.drain()
    assert kinds(mail_server.to(ADA)) == ["cancelled"]


@pytest.mark.parametrize("where", ["recipient", "policy", "text", "later"])
async def test_other_refusals_do_not_mark_the_address(
    services: Services, add_expert: AddExpert, book: Book, mail_server: MailServer, sql: Connection, where: str
) -> None:
    if where == "text":
        mail_server.message_reply = lambda *_: "550 5.1.1 we do not like it"
    else:
        reply = {"recipient": "550 5.1.1 unknown", "policy": "554 5.7.1 relay denied", "later": "450 4.2.1 later"}[
            where
        ]
        mail_server.recipient_reply = lambda _: reply
    await book_hours(book, await add_expert(), range(1))
    await services.outbox.drain()
    refused = sql.execute("SELECT customer_key FROM email_address WHERE refused_at IS NOT NULL ORDER BY 1").fetchall()
    assert refused == ([(ADA,), (JANA,)] if where == "recipient" else [])


async def test_refused_expert_gets_emails_again_after_signing_in(
    services: Services, add_expert: AddExpert, book: Book, mail_server: MailServer
) -> None:
    mail_server.recipient_reply = lambda to: "550 5.1.1 no such person" if to == JANA else None
    [first] = await book_hours(book, await add_expert(), range(1))
    await services.outbox.drain()
    mail_server.recipient_reply = lambda _: None
    await book_hours(book, first.expert_id, range(1, 2))
    await services.outbox.drain()
    assert mail_server.to(JANA) == []
    assert [one.delivery for one in await services.outbox.waiting()] == [Delivery.FAILED, Delivery.REFUSED]
    await sign_in(services, JANA)
    await book_hours(book, first.expert_id, range(2, 3))
    await services.outbox.drain()
    assert kinds(mail_server.to(JANA)) == ["received"]


async def test_refused_address_gets_one_sign_in_email_an_hour_so_that_a_repaired_mailbox_works_again(
    services: Services, add_expert: AddExpert, book: Book, mail_server: MailServer, clock: Clock
) -> None:
    tried: list[str] = []

    def unknown(to: str) -> str | None:
        tried.append(to)
        return "550 5.1.1 no such person" if to == ADA else None

    mail_server.recipient_reply = unknown
    [made] = await book_hours(book, await add_expert(), range(1))
    await services.outbox.drain()
    for number in range(8):
        clock.advance(minutes=20)
        await services.access.request_access(ADA, origin=b"network %d" % number)
        await services.outbox.drain()
    assert tried.count(ADA) == 1 + 2  # the booking, and one an hour
    mail_server.recipient_reply = lambda _: None
    clock.advance(minutes=60)
    asked = await services.access.request_access(ADA, origin=b"home")
    await services.outbox.drain()
    assert kinds(mail_server.to(ADA)) == ["access_link"]
    await services.access.redeem_link(services.access.link(asked.id), "browser")
    await confirm(services, made)
    await services.outbox.drain()
    assert kinds(mail_server.to(ADA)) == ["access_link", "confirmed"]


# --- "Didn't book this?" ----------------------------------------------------------------------------------------


async def test_saying_not_booked_cancels_tells_the_expert_frees_the_time_and_silences(
    services: Services, add_expert: AddExpert, book: Book, mail_server: MailServer
) -> None:
    expert = await add_expert(cancel_notice_minutes=60 * 24 * 30)  # too late for the customer's own cancellation
    [made, other] = await book_hours(book, expert, range(2))
    await services.outbox.drain()
    key = KEYS.not_booked(made.id)
    before = await services.email_choices.not_booked(key)
    assert (before.may_cancel, before.done, before.proven, before.outdated) == (True, False, False, False)
    assert (await services.bookings.get(made.id, ADMIN)).version == made.version
    said = await services.email_choices.say_not_booked(key)
    assert (said.booking.status, said.done, said.may_cancel) == (Status.CANCELLED, True, False)
    await book(expert, NINE, email="bob@example.com")  # the time is free
    await confirm(services, other)
    await services.outbox.drain()
    assert kinds(mail_server.to(ADA)) == ["received"] * 2
    [told] = [mail for mail in mail_server.to(JANA) if "cancelled" in str(mail["Message-ID"])]
    body = told.get_body(("plain",))
    assert body is not None
    assert "says that they did not book this session" in " ".join(body.get_content().split())
    assert await states(services, [made, other]) == [Delivery.SILENCED] * 2
    [change] = (await services.bookings.history(made.id, ADMIN)).changes[1:]
    assert (change.actor, change.to_status) == ("customer", Status.CANCELLED)


async def test_saying_it_twice_or_about_an_ended_booking_only_silences(
    services: Services, add_expert: AddExpert, book: Book, mail_server: MailServer, clock: Clock, sql: Connection
) -> None:
    made, over = await book_hours(book, await add_expert(confirmation=Confirmation.INSTANT), range(2))
    for _ in range(2):
        await services.email_choices.say_not_booked(KEYS.not_booked(made.id))
    clock.now = over.ends_at
    said = await services.email_choices.say_not_booked(KEYS.not_booked(over.id))
    assert (said.booking.status, said.done, said.may_cancel) == (Status.CONFIRMED, True, False)
    assert len((await services.bookings.history(made.id, ADMIN)).changes) == 2
    assert sql.execute("SELECT count(*) FROM message WHERE kind = 'cancelled'").fetchone() == (2,)


async def test_silence_ends_when_someone_signs_in(
    services: Services, add_expert: AddExpert, book: Book, mail_server: MailServer, sql: Connection
) -> None:
    made, other = await book_hours(book, await add_expert(), range(2))
    await services.email_choices.say_not_booked(KEYS.not_booked(made.id))
    # Asking for a link is not enough, but its email is sent.
    asked = await services.access.request_access(ADA, origin=b"home")
    await confirm(services, other)
    await services.outbox.drain()
    assert kinds(mail_server.to(ADA)) == ["access_link"]
    await services.access.redeem_link(services.access.link(asked.id), "browser")
    await services.bookings.change_status(other.id, Status.CANCELLED, ADMIN)
    await services.outbox.drain()
    assert kinds(mail_server.to(ADA)) == ["access_link", "cancelled"]


async def test_proven_address_is_silenced_for_this_booking_only(
    services: Services, add_expert: AddExpert, book: Book, mail_server: MailServer
) -> None:
    await sign_in(services)
    made, own = await book_hours(book, await add_expert(), range(2))
    said = await services.email_choices.say_not_booked(KEYS.not_booked(made.id))
    assert said.proven
    await confirm(services, own)
    await services.outbox.drain()
    assert await states(services, [made, own]) == [Delivery.SILENCED, Delivery.SENT]
    assert kinds(mail_server.to(ADA)) == ["received", "confirmed"]


async def test_link_from_before_the_links_were_revoked_silences_but_does_not_cancel(
    services: Services, add_expert: AddExpert, book: Book, mail_server: MailServer
) -> None:
    [made] = await book_hours(book, await add_expert(), range(1))
    await services.bookings.end_links(made.id, ADMIN)
    old, new = KEYS.not_booked(made.id), KEYS.not_booked(made.id, 2)
    assert (await services.email_choices.not_booked(old)).outdated
    said = await services.email_choices.say_not_booked(old)
    assert (said.booking.status, said.outdated, said.done) == (Status.PENDING, True, True)
    await services.outbox.drain()
    assert mail_server.to(ADA) == []
    assert (await services.email_choices.say_not_booked(new)).booking.status is Status.CANCELLED
    # Signing in also lifts what an old link has stopped, but only for live bookings.
    assert (await services.bookings.get(made.id, ADMIN)).wanted_emails is WantedEmails.NONE


async def test_signing_in_also_ends_the_silence_of_a_live_booking(
    services: Services, add_expert: AddExpert, book: Book
) -> None:
    [made] = await book_hours(book, await add_expert(), range(1))
    await services.bookings.end_links(made.id, ADMIN)
    await services.email_choices.say_not_booked(KEYS.not_booked(made.id))
    await sign_in(services)
    assert (await services.bookings.get(made.id, ADMIN)).wanted_emails is WantedEmails.ALL


async def test_keys_of_other_purposes_and_deleted_bookings_are_refused(
    services: Services, add_expert: AddExpert, book: Book, sql: Connection
) -> None:
    [made] = await book_hours(book, await add_expert(), range(1))
    choices = services.email_choices
    for key in ("", "x", KEYS.booking(made.id), KEYS.reminders(made.id), KEYS.not_booked(made.expert_id)):
        for use in (choices.not_booked, choices.say_not_booked):
            with pytest.raises(EmailLinkNotValid):
                await use(key)
    for key in ("", "x", KEYS.booking(made.id), KEYS.not_booked(made.id), KEYS.reminders(made.expert_id)):
        with pytest.raises(EmailLinkNotValid):
            await choices.booking_of_reminders(key)
        with pytest.raises(EmailLinkNotValid):
            await choices.want_reminders(key, wanted=False)
    sql.execute("DELETE FROM booking WHERE id = %s", [made.id])
    with pytest.raises(EmailLinkNotValid):
        await choices.say_not_booked(KEYS.not_booked(made.id))


# --- reminders --------------------------------------------------------------------------------------------------


async def test_reminders_that_are_off_stop_for_the_customer_and_this_booking_only(
    services: Services, add_expert: AddExpert, book: Book, mail_server: MailServer, clock: Clock
) -> None:
    expert = await add_expert(confirmation=Confirmation.INSTANT)
    off, on = [await book(expert, NINE + 48 * HOUR + hour * HOUR) for hour in range(2)]
    await services.email_choices.want_reminders(KEYS.reminders(off.id), wanted=False)
    await services.outbox.drain()
    clock.now = on.starts_at - 24 * HOUR
    mail_server.emails.clear()
    await services.outbox.drain()
    assert kinds(mail_server.to(ADA)) == ["reminder"]
    assert kinds(mail_server.to(JANA)) == ["reminder"] * 2
    [reminder] = mail_server.to(ADA)
    assert reminder["List-Unsubscribe"] == f"<{SITE.url}/reminders/{KEYS.reminders(on.id)}>"
    assert reminder["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    # Other emails about it still come, and reminders can be turned on again.
    await services.email_choices.want_reminders(KEYS.reminders(off.id), wanted=True)
    clock.now = off.starts_at - HOUR
    mail_server.emails.clear()
    await services.outbox.drain()
    assert kinds(mail_server.to(ADA)) == ["reminder"]


async def test_turning_reminders_off_also_stops_one_that_is_already_queued(
    services: Services, add_expert: AddExpert, book: Book, mail_server: MailServer, clock: Clock, sql: Connection
) -> None:
    made = await book(await add_expert(confirmation=Confirmation.INSTANT), NINE + 48 * HOUR)
    await services.outbox.drain()
    clock.now = made.starts_at - 24 * HOUR
    await services.outbox.plan()
    await services.email_choices.want_reminders(KEYS.reminders(made.id), wanted=False)
    await services.outbox.drain()
    assert kinds(mail_server.to(ADA)) == ["confirmed"]
    assert sql.execute("SELECT audience FROM message WHERE kind = 'reminder'").fetchall() == [("expert",)]


async def test_reminders_cannot_be_turned_on_after_the_owner_said_they_did_not_book(
    services: Services, add_expert: AddExpert, book: Book
) -> None:
    [made] = await book_hours(book, await add_expert(), range(1))
    await services.email_choices.say_not_booked(KEYS.not_booked(made.id))
    booking = await services.email_choices.want_reminders(KEYS.reminders(made.id), wanted=True)
    assert booking.wanted_emails is WantedEmails.NONE


# --- what is kept -----------------------------------------------------------------------------------------------


async def test_nothing_is_kept_longer_than_needed(
    services: Services, add_expert: AddExpert, book: Book, mail_server: MailServer, clock: Clock, sql: Connection
) -> None:
    def known() -> list[str]:
        return [key for (key,) in sql.execute("SELECT customer_key FROM email_address ORDER BY 1").fetchall()]

    expert = await add_expert()
    await book_hours(book, expert, range(1))
    [silenced] = await book_hours(book, expert, range(1, 2), email="silent@example.com")
    await sign_in(services, "stranger@example.com")
    await sign_in(services, JANA)
    await services.outbox.drain()
    await services.email_choices.say_not_booked(KEYS.not_booked(silenced.id))
    assert known() == [ADA, JANA, "silent@example.com", "stranger@example.com"]
    clock.advance(hours=24)
    await services.outbox.sweep()
    assert known() == [JANA, "silent@example.com", "stranger@example.com"]
    clock.advance(days=31)
    for _ in range(2):  # the first time, the expired proof is deleted
        await services.outbox.sweep()
    assert known() == [JANA, "silent@example.com"]
    changed = sql.execute("UPDATE message SET sent_at = NULL, failed_at = %s, withheld = 'refused'", [clock()])
    assert changed.rowcount > 0
    clock.advance(days=91)
    await services.outbox.sweep()
    assert sql.execute("SELECT count(*) FROM message WHERE withheld IS NOT NULL").fetchone() == (0,)
