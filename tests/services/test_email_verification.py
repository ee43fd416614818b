"""Confirming the email address of a new booking, for session types that ask for it."""

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from typing import Any
from uuid import UUID

import psycopg
import pytest

from expert_booking.db.engine import Database
from expert_booking.domain.errors import (
    CancelTooLate,
    CodeWrong,
    Forbidden,
    LinkNotValid,
    Refusal,
    RescheduleNotAllowed,
    SlotTaken,
    StatusChangeNotAllowed,
    TooManyVerificationEmails,
    VerificationTooLate,
    WrongCodesUsedUp,
)
from expert_booking.domain.lifecycle import Status
from expert_booking.domain.limits import NO_LIMITS
from expert_booking.domain.site import Site
from expert_booking.domain.terms import Confirmation, EmailVerification
from expert_booking.schemas import BookingQuery, BookingView, Caller, HoldRequest, Role
from expert_booking.services import Services
from expert_booking.services.feeds import FeedOwner
from tests.conftest import AddExpert, Book, Clock, booking_request, customer_caller
from tests.mail_server import MailServer
from tests.services.conftest import Counted

Connection = psycopg.Connection[tuple[Any, ...]]
NINE = datetime(2026, 11, 24, 8, tzinfo=UTC)  # 09:00 in Berlin
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
SITE = Site(secret="of the tests alone", url="https://booking.test")
BROWSER = b"a" * 32
ADA = customer_caller(BROWSER)
ADMIN = Caller(role=Role.ADMIN)
ALWAYS = {"email_verification": EmailVerification.ALWAYS}
NEW_ADDRESSES = {"email_verification": EmailVerification.NEW_ADDRESSES}
INSTANT = {"confirmation": Confirmation.INSTANT}


@pytest.fixture
async def services(database_url: str, clock: Clock, mail_server: MailServer) -> AsyncIterator[Services]:
    """The services with a secret, a mail server, and connections for many concurrent calls."""
    database = Database(database_url, pool_size=20)
    yield Services(database, clock=clock, site=SITE, transport=mail_server.transport(), limits=NO_LIMITS)
    await database.close()


def code_of(services: Services, booking: BookingView) -> str:
    """The code in the email of this booking."""
    return services.verification._keys.verification_code(booking.id)


def wrong_code(services: Services, booking: BookingView, number: int = 1) -> str:
    """A code that is not this booking's."""
    return f"{(int(code_of(services, booking)) + number) % 1_000_000:06}"


def text_of(mail: EmailMessage) -> str:
    """The plain text of an email."""
    body = mail.get_body(("plain",))
    assert body is not None
    return str(body.get_content())


def kinds(mails: list[EmailMessage]) -> list[str]:
    """The kinds of these emails, taken from their Message-ID."""
    return [str(mail["Message-ID"]).split(".")[1] for mail in mails]


async def mails_to(services: Services, server: MailServer, address: str) -> list[str]:
    """Send what waits, and return the kinds of the emails to this address."""
    await services.outbox.drain()
    return kinds(server.to(address))


def row(sql: Connection, booking: BookingView, *columns: str) -> tuple[Any, ...]:
    """Columns of the booking."""
    found = sql.execute(f"SELECT {', '.join(columns)} FROM booking WHERE id = %s", [booking.id]).fetchone()
    assert found is not None
    return found


async def outcome(work: Any) -> str:
    """The status of the booking that the work returns, or the code of its refusal."""
    try:
        booking = await work
    except Refusal as refusal:
        return refusal.code
    return str(booking.status.value)


# --- booking ----------------------------------------------------------------------------------------------------


async def test_booking_waits_30_minutes_for_the_confirmation_of_the_address(
    services: Services, add_expert: AddExpert, book: Book, clock: Clock
) -> None:
    made = await book(await add_expert(**ALWAYS, **INSTANT), NINE)
    assert (made.status, made.awaits_verification, made.answer_by) == (Status.PENDING, True, None)
    assert made.verify_by == clock.now + 30 * MINUTE
    assert made == await services.bookings.get(made.id, ADMIN)


async def test_confirmation_is_due_at_the_start_at_the_latest(add_expert: AddExpert, book: Book, clock: Clock) -> None:
    expert = await add_expert(**ALWAYS)
    clock.now = NINE - 10 * MINUTE
    assert (await book(expert, NINE)).verify_by == NINE


async def test_time_is_taken_while_the_booking_waits(services: Services, add_expert: AddExpert, book: Book) -> None:
    expert = await add_expert(**ALWAYS)
    await book(expert, NINE)
    with pytest.raises(SlotTaken):
        await book(expert, NINE, email="bob@example.com")
    board = await services.availability.board(expert)
    assert isinstance(board.refusal(NINE), SlotTaken)


@pytest.mark.parametrize("held", [True, False])
async def test_confirmed_address_gives_the_booking_the_status_of_its_session_type(
    services: Services, add_expert: AddExpert, book: Book, clock: Clock, held: bool
) -> None:
    for terms, status in (({"answer_minutes": 120}, Status.PENDING), (INSTANT, Status.CONFIRMED)):
        expert = await add_expert(name=f"Expert {status}", **ALWAYS, **terms)
        hold = None
        if held:
            request = HoldRequest(expert_id=expert, starts_at=NINE)
            hold = (await services.holds.take(request, visitor=BROWSER)).id
        made = await book(expert, NINE, visitor=BROWSER, hold_id=hold)
        clock.advance(minutes=10)
        verified = await services.verification.verify(made.id, code_of(services, made), ADA)
        assert (verified.status, verified.awaits_verification, verified.verify_by) == (status, False, None)
        assert verified.answer_by == (clock.now + 2 * HOUR if status is Status.PENDING else None)
        assert verified.version == made.version + 1


async def test_terms_at_the_time_of_booking_decide_after_the_confirmation(
    services: Services, add_expert: AddExpert, book: Book, sql: Connection
) -> None:
    made = await book(await add_expert(**ALWAYS, **INSTANT), NINE, visitor=BROWSER)
    sql.execute("UPDATE session_type SET confirmation = 'by_expert', email_verification = 'never'")
    verified = await services.verification.verify(made.id, code_of(services, made), ADA)
    assert verified.status is Status.CONFIRMED


# --- who need not confirm ---------------------------------------------------------------------------------------


async def test_callers_who_vouch_for_the_address_need_no_confirmation(
    services: Services, add_expert: AddExpert, clock: Clock
) -> None:
    expert, other = await add_expert(**ALWAYS, **INSTANT), await add_expert(name="Omar", email="omar@example.com")
    callers = {
        Caller(role=Role.ADMIN): False,
        Caller(role=Role.EXPERT, expert_id=expert): False,
        Caller(role=Role.EXPERT, expert_id=other): True,
        Caller(role=Role.READER): True,
        Caller(role=Role.CUSTOMER, customer_key="ada@example.com"): False,
        Caller(role=Role.CUSTOMER, customer_key="bob@example.com"): True,
        Caller(role=Role.CUSTOMER, visitor=BROWSER): True,
    }
    for hour, (caller, waits) in enumerate(callers.items()):
        request = booking_request(expert, NINE + hour * HOUR, email="Ada@Example.com")
        made = await services.bookings.book(request, caller=caller)
        assert made.awaits_verification == waits, caller
        assert (made.status is Status.PENDING) == waits


async def test_new_addresses_are_those_never_attended_and_never_confirmed(
    services: Services, add_expert: AddExpert, book: Book, clock: Clock, sql: Connection
) -> None:
    expert = await add_expert(**NEW_ADDRESSES, **INSTANT)
    other = await add_expert(name="Omar", email="omar@example.com", **INSTANT)
    assert (await book(expert, NINE)).awaits_verification
    # A booking alone, even a confirmed one, does not make an address known, and neither does a missed session.
    before = await book(other, NINE)
    assert (await book(expert, NINE + HOUR)).awaits_verification
    clock.now = NINE + 2 * HOUR
    await services.bookings.change_status(before.id, Status.NO_SHOW, ADMIN)
    assert (await book(expert, NINE + 3 * HOUR)).awaits_verification
    # Nor does a session after which its host said nothing.
    ignored = await book(other, NINE + 3 * HOUR)
    clock.now = ignored.ends_at + 24 * HOUR
    assert not await services.deadlines.complete_ended()
    assert (await services.bookings.get(ignored.id, ADMIN)).status is Status.COMPLETED
    assert (await book(expert, NINE + 50 * HOUR)).awaits_verification
    attended = await book(other, NINE + 52 * HOUR)
    clock.now = NINE + 53 * HOUR
    await services.bookings.change_status(attended.id, Status.COMPLETED, ADMIN)
    assert not (await book(expert, NINE + 54 * HOUR, email="ADA@example.com")).awaits_verification
    assert (await book(expert, NINE + 72 * HOUR, email="bob@example.com")).awaits_verification


async def test_address_confirmed_once_is_no_longer_new(services: Services, add_expert: AddExpert, book: Book) -> None:
    expert = await add_expert(**NEW_ADDRESSES, **INSTANT)
    made = await book(expert, NINE, visitor=BROWSER)
    await services.verification.verify(made.id, code_of(services, made), ADA)
    assert (await book(expert, NINE + HOUR)).status is Status.CONFIRMED


async def test_only_new_addresses_costs_a_statement_more(
    services: Services, add_expert: AddExpert, book: Book, database: Database, clock: Clock, counted: Counted
) -> None:
    experts = [await add_expert(name=f"Expert {one}", email_verification=one) for one in EmailVerification]
    observed = Services(database, clock=clock, site=SITE)
    counts = []
    for expert in experts:
        with counted() as statements:
            await observed.bookings.book(booking_request(expert, NINE))
        counts.append(len(statements))
    never, new_addresses, always = counts
    assert (always, new_addresses) == (never, never + 1)


async def test_site_without_email_asks_for_no_confirmation(
    database: Database, clock: Clock, add_expert: AddExpert
) -> None:
    expert = await add_expert(**ALWAYS, **INSTANT)
    quiet = Services(database, clock=clock, site=Site(secret="x" * 16, sends_email=False))
    assert (await quiet.bookings.book(booking_request(expert, NINE))).status is Status.CONFIRMED


# --- codes ------------------------------------------------------------------------------------------------------


async def test_fifth_wrong_code_ends_the_booking_and_frees_its_time(
    services: Services, add_expert: AddExpert, book: Book, sql: Connection
) -> None:
    expert = await add_expert(**ALWAYS)
    made = await book(expert, NINE, visitor=BROWSER)
    for left in (4, 3, 2, 1):
        with pytest.raises(CodeWrong, match=f"{left} more time") as refused:
            await services.verification.verify(made.id, wrong_code(services, made), ADA)
        assert refused.value.left == left
    with pytest.raises(WrongCodesUsedUp):
        await services.verification.verify(made.id, wrong_code(services, made), ADA)
    assert row(sql, made, "status", "wrong_codes") == ("expired", 5)
    with pytest.raises(VerificationTooLate):
        await services.verification.verify(made.id, code_of(services, made), ADA)
    assert (await book(expert, NINE, email="bob@example.com")).status is Status.PENDING


async def test_twenty_simultaneous_wrong_codes_are_counted_exactly(
    services: Services, add_expert: AddExpert, book: Book, sql: Connection
) -> None:
    made = await book(await add_expert(**ALWAYS), NINE, visitor=BROWSER)
    tries = (services.verification.verify(made.id, wrong_code(services, made, n), ADA) for n in range(1, 21))
    found = await asyncio.gather(*map(outcome, tries))
    expected = ["code_wrong"] * 4 + ["verification_too_late"] * 15 + ["wrong_codes_used_up"]
    assert sorted(found) == expected
    assert row(sql, made, "status", "wrong_codes") == ("expired", 5)


async def test_of_simultaneous_confirmations_one_makes_the_change_and_all_succeed(
    services: Services, add_expert: AddExpert, book: Book, sql: Connection
) -> None:
    made = await book(await add_expert(**ALWAYS, **INSTANT), NINE, visitor=BROWSER)
    code, key = code_of(services, made), services.verification._keys.verification(made.id)
    work = [services.verification.verify(made.id, code, ADA) for _ in range(5)]
    work += [services.verification.verify_by_link(key) for _ in range(5)]
    assert await asyncio.gather(*map(outcome, work)) == ["confirmed"] * 10
    assert row(sql, made, "version") == (made.version + 1,)


async def test_confirming_again_changes_nothing_even_after_the_deadline(
    services: Services, add_expert: AddExpert, book: Book, clock: Clock
) -> None:
    made = await book(await add_expert(**ALWAYS, **INSTANT), NINE, visitor=BROWSER)
    verified = await services.verification.verify(made.id, code_of(services, made), ADA)
    clock.advance(hours=2)
    again = await services.verification.verify(made.id, wrong_code(services, made), ADA)
    assert again.version == verified.version
    never_asked = await book(await add_expert(name="Omar", email="o@example.com"), NINE, visitor=BROWSER)
    assert (await services.verification.verify(never_asked.id, "000000", ADA)).version == never_asked.version


async def test_only_the_customer_can_confirm(services: Services, add_expert: AddExpert, book: Book) -> None:
    expert = await add_expert(**ALWAYS)
    made = await book(expert, NINE, visitor=BROWSER)
    for host in (ADMIN, Caller(role=Role.EXPERT, expert_id=expert)):
        with pytest.raises(Forbidden):
            await services.verification.verify(made.id, code_of(services, made), host)
        with pytest.raises(Forbidden):
            await services.verification.send_again(made.id, host)
    for stranger, code in ((None, "proof_needed"), (customer_caller(b"b" * 32), "booking_not_found")):
        assert await outcome(services.verification.verify(made.id, code_of(services, made), stranger)) == code


# --- deadlines --------------------------------------------------------------------------------------------------


async def test_booking_not_confirmed_in_time_expires_and_frees_its_time(
    services: Services, add_expert: AddExpert, book: Book, clock: Clock, sql: Connection
) -> None:
    expert = await add_expert(**ALWAYS)
    made = await book(expert, NINE, visitor=BROWSER)
    clock.now = made.verify_by - timedelta(microseconds=1)
    await services.deadlines.drain()
    assert row(sql, made, "status") == ("pending",)
    clock.now = made.verify_by
    with pytest.raises(VerificationTooLate):  # also before the worker has recorded it
        await services.verification.verify(made.id, code_of(services, made), ADA)
    await services.deadlines.drain()
    ended = await services.bookings.get(made.id, ADA)
    assert (ended.status, ended.awaits_verification, ended.verify_by) == (Status.EXPIRED, False, made.verify_by)
    assert (await book(expert, NINE, email="bob@example.com")).starts_at == NINE


async def test_worker_wakes_up_for_the_confirmation_deadline(
    services: Services, add_expert: AddExpert, book: Book, clock: Clock
) -> None:
    made = await book(await add_expert(**ALWAYS), NINE, visitor=BROWSER)
    clock.now = made.verify_by - 5 * timedelta(seconds=1)
    assert 4 < await services.deadlines._pause() <= 5


# --- what hosts and customers may do meanwhile --------------------------------------------------------------------


async def test_unconfirmed_booking_can_be_cancelled_but_not_answered_or_rescheduled(
    services: Services, add_expert: AddExpert, book: Book
) -> None:
    expert = await add_expert(**ALWAYS)
    for caller in (ADMIN, Caller(role=Role.EXPERT, expert_id=expert)):
        made = await book(expert, NINE, visitor=BROWSER)
        for status in (Status.CONFIRMED, Status.DECLINED, Status.COMPLETED):
            with pytest.raises(StatusChangeNotAllowed):
                await services.bookings.change_status(made.id, status, caller)
        for mover in (caller, ADA):
            with pytest.raises(RescheduleNotAllowed, match="must be confirmed"):
                await services.bookings.reschedule(made.id, NINE + HOUR, mover)
        assert (await services.bookings.change_status(made.id, Status.CANCELLED, caller)).status is Status.CANCELLED


async def test_customer_can_cancel_an_unconfirmed_booking_even_after_the_notice(
    services: Services, add_expert: AddExpert, book: Book
) -> None:
    expert = await add_expert(**ALWAYS, cancel_notice_minutes=7 * 24 * 60)
    made = await book(expert, NINE, visitor=BROWSER)
    assert (await services.bookings.change_status(made.id, Status.CANCELLED, ADA)).status is Status.CANCELLED
    again = await book(expert, NINE, visitor=BROWSER)
    with pytest.raises(VerificationTooLate, match="cancelled"):
        await services.verification.verify(made.id, code_of(services, made), ADA)
    await services.verification.verify(again.id, code_of(services, again), ADA)
    with pytest.raises(CancelTooLate):
        await services.bookings.change_status(again.id, Status.CANCELLED, ADA)


async def test_database_refuses_to_confirm_an_unconfirmed_address(
    add_expert: AddExpert, book: Book, sql: Connection
) -> None:
    made = await book(await add_expert(**ALWAYS), NINE)
    with pytest.raises(psycopg.errors.CheckViolation, match="ck_booking_verified_first"):
        sql.execute("UPDATE booking SET status = 'confirmed' WHERE id = %s", [made.id])


async def test_experts_lists_leave_out_unconfirmed_bookings(
    services: Services, add_expert: AddExpert, book: Book
) -> None:
    expert = await add_expert(**ALWAYS)
    made = await book(expert, NINE, visitor=BROWSER)
    query, own = BookingQuery(expert_id=expert), Caller(role=Role.EXPERT, expert_id=expert)
    assert await services.bookings.for_experts([expert]) == []
    assert (await services.booking_lists.find(query, own)).total == 0
    assert [one.status for one in (await services.booking_lists.find(query, None)).bookings] == [Status.PENDING]
    [seen] = (await services.booking_lists.find(query, ADMIN)).bookings
    assert isinstance(seen, BookingView)
    assert seen.awaits_verification
    assert [one.id for one in await services.bookings.for_visitor(BROWSER)] == [made.id]
    await services.verification.verify(made.id, code_of(services, made), ADA)
    assert [one.id for one in await services.bookings.for_experts([expert])] == [made.id]
    assert (await services.booking_lists.find(query, own)).total == 1


async def test_calendar_feeds_leave_out_unconfirmed_bookings(
    services: Services, add_expert: AddExpert, book: Book
) -> None:
    expert = await add_expert(**ALWAYS)
    made = await book(expert, NINE, visitor=BROWSER)
    keys = [
        (await services.feeds.open(owner)).rpartition("/")[2].removesuffix(".ics")
        for owner in (FeedOwner(expert_id=expert), FeedOwner(customer_key="ada@example.com"))
    ]
    assert [(await services.feeds.content(key)).body.count(b"BEGIN:VEVENT") for key in keys] == [0, 0]
    assert await outcome(services.feeds.booking_file(made)) == "booking_not_found"
    await services.verification.verify(made.id, code_of(services, made), ADA)
    assert [(await services.feeds.content(key)).body.count(b"BEGIN:VEVENT") for key in keys] == [1, 1]


# --- emails -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("terms", "kind"), [({}, "received"), (INSTANT, "confirmed")])
async def test_expert_is_told_only_after_the_confirmation(
    services: Services, add_expert: AddExpert, book: Book, mail_server: MailServer, terms: dict[str, Any], kind: str
) -> None:
    made = await book(await add_expert(**ALWAYS, **terms), NINE + HOUR, visitor=BROWSER)
    assert await mails_to(services, mail_server, "jana@example.com") == []
    assert await mails_to(services, mail_server, "ada@example.com") == ["verification"]
    await services.verification.verify(made.id, code_of(services, made), ADA)
    assert await mails_to(services, mail_server, "jana@example.com") == [kind]
    assert await mails_to(services, mail_server, "ada@example.com") == ["verification", kind]
    [to_expert] = mail_server.to("jana@example.com")
    assert "Reason" not in text_of(to_expert)


async def test_email_has_code_and_link_but_no_calendar_entry_and_nothing_that_was_typed(
    services: Services, add_expert: AddExpert, book: Book, mail_server: MailServer
) -> None:
    expert = await add_expert(**ALWAYS)
    made = await book(
        expert, NINE, visitor=BROWSER, name="You have won", notes="see evil dot example", phone="+4930123"
    )
    await services.outbox.drain()
    [mail] = mail_server.emails
    text = text_of(mail)
    assert code_of(services, made) in text
    assert "Please confirm by" in text
    assert "09:30" in text  # 08:00 UTC plus 30 minutes, in Berlin
    assert not [part for part in mail.walk() if part.get_content_type() in ("text/calendar", "application/ics")]
    assert not re.search(r"won|evil|4930123", mail.as_string())
    [key] = re.findall(r"https://booking\.test/verify/(\S+)", text)
    assert (await services.verification.preview_link(key))[0].awaits_verification
    assert (await services.verification.verify_by_link(key)).verify_by is None


@pytest.mark.parametrize("end", ["expired", "cancelled by the customer", "cancelled by a host", "wrong codes"])
async def test_unconfirmed_booking_ends_without_any_email(
    services: Services, add_expert: AddExpert, book: Book, mail_server: MailServer, clock: Clock, end: str
) -> None:
    made = await book(await add_expert(**ALWAYS), NINE, visitor=BROWSER)
    await services.outbox.drain()
    if end == "expired":
        clock.advance(minutes=31)
        await services.deadlines.drain()
    elif end == "wrong codes":
        for _ in range(5):
            await outcome(services.verification.verify(made.id, wrong_code(services, made), ADA))
    else:
        caller = ADA if end.endswith("customer") else ADMIN
        await services.bookings.change_status(made.id, Status.CANCELLED, caller)
    assert (await services.bookings.get(made.id, ADA)).status in (Status.EXPIRED, Status.CANCELLED)
    await services.outbox.drain()
    assert kinds(mail_server.emails) == ["verification"]


async def test_email_that_waited_too_long_is_not_sent(
    services: Services, add_expert: AddExpert, book: Book, mail_server: MailServer, clock: Clock, sql: Connection
) -> None:
    await book(await add_expert(**ALWAYS), NINE)
    clock.advance(minutes=30)
    await services.outbox.drain()
    assert mail_server.emails == []
    assert sql.execute("SELECT count(*) FROM message").fetchone() == (0,)


async def test_email_is_sent_again_three_times_also_with_simultaneous_requests(
    services: Services, add_expert: AddExpert, book: Book, mail_server: MailServer
) -> None:
    made = await book(await add_expert(**ALWAYS), NINE, visitor=BROWSER)

    async def send_again() -> str:
        try:
            await services.verification.send_again(made.id, ADA)
        except TooManyVerificationEmails as refusal:
            return refusal.code
        return "sent"

    found = await asyncio.gather(*(send_again() for _ in range(10)))
    assert sorted(found) == ["sent"] * 3 + ["too_many_verification_emails"] * 7
    assert await mails_to(services, mail_server, "ada@example.com") == ["verification"] * 4
    assert len({re.search(r"\d{6}", text_of(mail))[0] for mail in mail_server.emails}) == 1  # type: ignore[index]
    await services.verification.verify(made.id, code_of(services, made), ADA)
    assert await send_again() == "sent"  # nothing to do any more
    assert await mails_to(services, mail_server, "ada@example.com") == ["verification"] * 4 + ["received"]


async def test_no_reminder_before_the_confirmation(
    services: Services, add_expert: AddExpert, book: Book, mail_server: MailServer, clock: Clock
) -> None:
    await book(await add_expert(**ALWAYS, **INSTANT), NINE)
    clock.now = NINE - HOUR
    await services.outbox.plan()
    await services.outbox.drain()
    assert "reminder" not in kinds(mail_server.emails)


# --- links and history ------------------------------------------------------------------------------------------


async def test_links_are_refused_if_they_are_invented_or_too_late(
    services: Services, add_expert: AddExpert, book: Book, clock: Clock
) -> None:
    made = await book(await add_expert(**ALWAYS), NINE)
    keys = services.verification._keys
    for invented in ("", "x", keys.booking(made.id), keys.link(made.id), keys.verification(UUID(int=1))):
        with pytest.raises(LinkNotValid):
            await services.verification.verify_by_link(invented)
        with pytest.raises(LinkNotValid):
            await services.verification.preview_link(invented)
    clock.advance(minutes=30)
    with pytest.raises(VerificationTooLate):
        await services.verification.verify_by_link(keys.verification(made.id))


async def test_history_names_the_confirmation(
    services: Services, add_expert: AddExpert, book: Book, clock: Clock
) -> None:
    made = await book(await add_expert(**ALWAYS), NINE, visitor=BROWSER)
    await services.verification.verify(made.id, code_of(services, made), ADA)
    changes = (await services.bookings.history(made.id, ADMIN)).changes
    assert [(one.actor, one.from_status, one.to_status, one.reason) for one in changes] == [
        ("customer", None, "pending", ""),
        ("customer", "pending", "pending", "email address confirmed"),
    ]
    late = await book(made.expert_id, NINE + HOUR)
    clock.advance(minutes=30)
    await services.deadlines.drain()
    [_, ended] = (await services.bookings.history(late.id, ADMIN)).changes
    assert (ended.actor, ended.to_status, ended.reason) == (
        "system", "expired", "email address not confirmed in time",
    )  # fmt: skip
