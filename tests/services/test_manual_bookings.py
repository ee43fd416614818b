"""What only hosts may do to bookings: book by hand, set rules aside, change without an email, and send emails again."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from expert_booking.db.engine import Database
from expert_booking.domain.errors import (
    BookingNotFound,
    ChangedMeanwhile,
    EmailNotPossible,
    FieldsWrong,
    Forbidden,
    NoManageLink,
    NotAuthenticated,
    SessionTypeNotFound,
    SlotNotOffered,
    SlotTaken,
    TooManyEmailsAgain,
)
from expert_booking.domain.lifecycle import Actor, Status
from expert_booking.domain.limits import NO_LIMITS
from expert_booking.domain.rule_overrides import RuleOverride
from expert_booking.domain.site import Site
from expert_booking.schemas import BookingView, Caller, HoldRequest, HostBookingRequest, Role
from expert_booking.services import Services
from tests.conftest import AddExpert, Book, Clock, booking_request, customer_caller
from tests.mail.samples import text_of
from tests.mail_server import MailServer
from tests.services.conftest import Counted

Connection = psycopg.Connection[tuple[Any, ...]]
NINE = datetime(2026, 11, 24, 8, tzinfo=UTC)  # 09:00 in Berlin
EARLY = NINE - timedelta(hours=2, minutes=7)  # 06:53 in Berlin
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
ADMIN, READER = Caller(role=Role.ADMIN), Caller(role=Role.READER)
BROWSER = b"browser"
TOKEN = UUID(int=5)


@pytest.fixture
async def jana(add_expert: AddExpert) -> UUID:
    """An expert who confirms bookings."""
    return await add_expert()


def host(expert: UUID) -> Caller:
    """The expert."""
    return Caller(role=Role.EXPERT, expert_id=expert, token_id=TOKEN)


def by_hand(expert: UUID, starts_at: datetime = NINE, *override: str, **more: Any) -> HostBookingRequest:
    """A booking by hand that needs only a name."""
    facts = {"name": "Walk In", "override": override, **more}
    return HostBookingRequest(expert_id=expert, starts_at=starts_at, **facts)


async def book_by_hand(services: Services, expert: UUID, *how: Any, **more: Any) -> BookingView:
    """Book by hand, as the expert."""
    return await services.bookings.book_by_hand(by_hand(expert, *how, **more), host(expert))


def messages(sql: Connection) -> list[tuple[Any, ...]]:
    """The kind and the reader of all emails."""
    return sql.execute("SELECT kind, audience FROM message ORDER BY id").fetchall()


# --- by hand ----------------------------------------------------------------------------------------------------


async def test_booking_by_hand_needs_only_a_name_and_is_confirmed(
    services: Services, jana: UUID, sql: Connection
) -> None:
    made = await book_by_hand(services, jana)
    assert (made.status, made.name, made.email, made.phone, made.mail) == (
        Status.CONFIRMED, "Walk In", None, None, None,
    )  # fmt: skip
    assert messages(sql) == [("confirmed", "expert")]
    [change] = (await services.bookings.history(made.id, host(jana))).changes
    assert (change.actor, change.token_id, change.override) == (Actor.EXPERT, TOKEN, [])


async def test_booking_by_hand_with_an_address_emails_the_customer_unless_silent(
    services: Services, jana: UUID, sql: Connection
) -> None:
    made = await book_by_hand(services, jana, email="Ada@example.com")
    assert (made.email, made.mail) == ("Ada@example.com", "waiting")
    assert messages(sql) == [("confirmed", "customer"), ("confirmed", "expert")]
    silent = await book_by_hand(services, jana, NINE + HOUR, email="ada@example.com", notify=False)
    assert (silent.mail, len(messages(sql))) == (None, 2)
    assert [one.id for one in await services.bookings.for_customer("ada@example.com")] == [silent.id, made.id]
    # The setting ends with its transaction.
    await book_by_hand(services, jana, NINE + 2 * HOUR)
    assert len(messages(sql)) == 3


async def test_address_of_a_booking_by_hand_needs_no_confirmation(services: Services, add_expert: AddExpert) -> None:
    expert = await add_expert(email_verification="always")
    made = await book_by_hand(services, expert, email="new@example.com")
    assert (made.status, made.awaits_verification) == (Status.CONFIRMED, False)


async def test_rules_bind_a_host_until_they_are_named(services: Services, jana: UUID) -> None:
    with pytest.raises(SlotNotOffered) as refused:
        await book_by_hand(services, jana, EARLY)
    assert refused.value.override == ("outside_hours",)
    assert refused.value.alternatives[0] == NINE
    made = await book_by_hand(services, jana, EARLY, "outside_hours", "min_notice")
    assert made.starts_at == EARLY
    [change] = (await services.bookings.history(made.id, ADMIN)).changes
    assert change.override == [RuleOverride.OUTSIDE_HOURS]  # only what was in the way


async def test_host_books_off_the_grid_within_the_notice_and_beyond_the_horizon(
    services: Services, add_expert: AddExpert, clock: Clock
) -> None:
    expert = await add_expert(notice_minutes=48 * 60, horizon_days=10)
    with pytest.raises(SlotNotOffered) as refused:
        await book_by_hand(services, expert, clock.now + 3 * HOUR + timedelta(minutes=11))
    assert refused.value.override == ("min_notice", "off_grid")
    await book_by_hand(services, expert, clock.now + 3 * HOUR + timedelta(minutes=11), *refused.value.override)
    later = NINE + 100 * DAY
    with pytest.raises(SlotNotOffered) as refused:
        await book_by_hand(services, expert, later)
    assert refused.value.override == ("beyond_horizon",)
    assert (await book_by_hand(services, expert, later, "beyond_horizon")).starts_at == later
    with pytest.raises(SlotTaken):
        await book_by_hand(services, expert, later, "beyond_horizon")


async def test_host_books_beyond_the_daily_cap_and_customers_still_do_not(
    services: Services, add_expert: AddExpert, book: Book
) -> None:
    expert = await add_expert(daily_cap=2)
    for hour in range(2):
        await book(expert, NINE + hour * HOUR)
    with pytest.raises(SlotNotOffered) as refused:
        await book_by_hand(services, expert, NINE + 2 * HOUR)
    assert refused.value.override == ("day_full",)
    for hour in (2, 3):
        made = await book_by_hand(services, expert, NINE + hour * HOUR, "day_full")
    with pytest.raises(SlotNotOffered):
        await book(expert, NINE + 4 * HOUR)
    moved = await services.bookings.reschedule(made.id, NINE + 5 * HOUR, host(expert), override=["day_full"])
    assert moved.starts_at == NINE + 5 * HOUR


@pytest.mark.parametrize("minutes", [0, 1, 30, 59])
async def test_overlap_is_never_possible(services: Services, jana: UUID, book: Book, minutes: int) -> None:
    await book(jana, NINE + HOUR)
    with pytest.raises(SlotTaken):
        await book_by_hand(services, jana, NINE + HOUR + timedelta(minutes=minutes), *RuleOverride)
    with pytest.raises(SlotTaken):
        await book_by_hand(services, jana, NINE + HOUR - timedelta(minutes=minutes or 1), *RuleOverride)


async def test_live_hold_keeps_a_host_away_and_an_expired_one_does_not(
    services: Services, jana: UUID, clock: Clock
) -> None:
    await services.holds.take(HoldRequest(expert_id=jana, starts_at=NINE), visitor=BROWSER, origin=b"o")
    with pytest.raises(SlotTaken) as refused:
        await book_by_hand(services, jana, NINE, *RuleOverride)
    assert refused.value.blocker.reason == "held"
    clock.advance(minutes=30)
    assert (await book_by_hand(services, jana)).starts_at == NINE


async def test_own_hold_becomes_the_booking_by_hand(services: Services, jana: UUID) -> None:
    hold = await services.holds.take(HoldRequest(expert_id=jana, starts_at=NINE), visitor=BROWSER, origin=b"o")
    assert (await book_by_hand(services, jana, NINE, hold_id=hold.id)).starts_at == NINE


async def test_the_past_inactive_types_and_parts_of_a_minute_are_refused(
    services: Services, jana: UUID, clock: Clock, sql: Connection
) -> None:
    with pytest.raises(SlotNotOffered) as refused:
        await book_by_hand(services, jana, clock.now - HOUR, *RuleOverride)
    assert (refused.value.blocker.reason, refused.value.override) == ("past", ())
    with pytest.raises(FieldsWrong):
        await book_by_hand(services, jana, NINE + timedelta(seconds=30), *RuleOverride)
    sql.execute("UPDATE session_type SET active = false")
    with pytest.raises(SessionTypeNotFound):
        await book_by_hand(services, jana)


async def test_only_hosts_of_the_calendar_book_by_hand(services: Services, jana: UUID, sql: Connection) -> None:
    for caller, refusal in (
        (None, NotAuthenticated), (host(uuid4()), Forbidden), (READER, Forbidden),
        (Caller(role=Role.CUSTOMER, customer_key="jana@example.com"), Forbidden),
    ):  # fmt: skip
        with pytest.raises(refusal):
            await services.bookings.book_by_hand(by_hand(jana), caller)
    assert sql.execute("SELECT count(*) FROM booking").fetchone() == (0,)


async def test_booking_without_an_address_emails_only_its_expert_who_reads_that(
    database: Database, jana: UUID, clock: Clock, mail_server: MailServer
) -> None:
    services = Services(database, clock=clock, transport=mail_server.transport(), limits=NO_LIMITS)
    made = await book_by_hand(services, jana, NINE + 2 * DAY, phone="+44 20 7946 0000")
    await services.outbox.drain()
    moved = await services.bookings.reschedule(made.id, NINE + 2 * DAY + HOUR, host(jana))
    clock.now = moved.starts_at - HOUR
    await services.outbox.drain()
    await services.bookings.change_status(made.id, Status.CANCELLED, host(jana))
    await services.outbox.drain()
    assert [mail["To"].addresses[0].addr_spec for mail in mail_server.emails] == 4 * ["jana@example.com"]
    assert [str(mail["Message-ID"]).split(".")[1] for mail in mail_server.emails] == [
        "confirmed", "rescheduled", "reminder", "cancelled",
    ]  # fmt: skip
    for mail in mail_server.emails:
        assert "Walk In" in text_of(mail)
        assert "+44 20 7946 0000" in text_of(mail)
        assert "deleted" not in text_of(mail)
        assert "We've let" not in text_of(mail)
        assert mail["Reply-To"] is None
    assert "please let them know" in text_of(mail_server.emails[0])


async def test_booking_without_an_address_has_no_link_for_its_customer(services: Services, jana: UUID) -> None:
    made = await book_by_hand(services, jana)
    with pytest.raises(NoManageLink):
        await services.booking_emails.manage_link(made.id, host(jana))
    with pytest.raises(EmailNotPossible):
        await services.booking_emails.send_again(made.id, host(jana))


async def test_email_sent_again_is_delivered_as_a_new_one(
    database: Database, jana: UUID, clock: Clock, mail_server: MailServer, book: Book
) -> None:
    services = Services(database, clock=clock, transport=mail_server.transport(), limits=NO_LIMITS)
    made = await book(jana, NINE)
    await services.outbox.drain()
    await services.booking_emails.send_again(made.id, host(jana))
    await services.outbox.drain()
    first, again = mail_server.to("ada@example.com")
    assert first["Message-ID"] != again["Message-ID"]
    assert text_of(first) == text_of(again)
    assert len(mail_server.to("jana@example.com")) == 1


async def test_customer_without_an_address_is_erased_after_the_retention_period(
    database: Database, jana: UUID, clock: Clock, sql: Connection
) -> None:
    services = Services(database, clock=clock, site=Site(retention=30 * DAY), limits=NO_LIMITS)
    made = await book_by_hand(services, jana, phone="+44 20 7946 0000", notes="private")
    clock.now = NINE + 31 * DAY
    await services.deadlines.sweep()
    assert sql.execute("SELECT name, email, phone, notes FROM booking").fetchall() == [("", "", None, "")]
    assert (await services.bookings.get(made.id, ADMIN)).name is None


async def test_booking_by_hand_takes_a_constant_number_of_statements(
    services: Services, jana: UUID, counted: Counted
) -> None:
    with counted() as few:
        await book_by_hand(services, jana)
    for hour in range(1, 6):
        await book_by_hand(services, jana, NINE + hour * HOUR)
    with counted() as many:
        await book_by_hand(services, jana, NINE + 6 * HOUR)
    assert len(many) == len(few) <= 7


# --- change -----------------------------------------------------------------------------------------------------


async def test_host_reschedules_with_named_rules_and_the_history_says_so(
    services: Services, jana: UUID, book: Book
) -> None:
    made = await book(jana, NINE, visitor=BROWSER)
    with pytest.raises(SlotNotOffered) as refused:
        await services.bookings.reschedule(made.id, EARLY, host(jana))
    assert refused.value.override == ("outside_hours",)
    moved = await services.bookings.reschedule(
        made.id, EARLY, host(jana), override=refused.value.override, reason="train"
    )
    assert (moved.starts_at, moved.reschedules_left) == (EARLY, made.reschedules_left)
    last = (await services.bookings.history(made.id, host(jana))).changes[-1]
    assert (last.override, last.reason, last.token_id) == ([RuleOverride.OUTSIDE_HOURS], "train", TOKEN)
    # The next change names none.
    await services.bookings.reschedule(made.id, NINE + HOUR, host(jana))
    assert (await services.bookings.history(made.id, host(jana))).changes[-1].override == []


async def test_customers_may_not_set_rules_aside_or_be_silent(services: Services, jana: UUID, book: Book) -> None:
    made = await book(jana, NINE, visitor=BROWSER)
    ada = customer_caller(BROWSER)
    for work in (
        services.bookings.reschedule(made.id, EARLY, ada, override=["outside_hours"]),
        services.bookings.reschedule(made.id, NINE + HOUR, ada, override=[]),
        services.bookings.reschedule(made.id, NINE + HOUR, ada, notify=True),
        services.bookings.change_status(made.id, Status.CANCELLED, ada, notify=False),
    ):
        with pytest.raises(Forbidden):
            await work
    assert (await services.bookings.get(made.id, ADMIN)).version == 1


async def test_silent_changes_send_nothing_to_either_side(
    services: Services, jana: UUID, book: Book, sql: Connection
) -> None:
    made = await book(jana, NINE)
    before = messages(sql)
    await services.bookings.change_status(made.id, Status.CONFIRMED, host(jana), notify=False)
    await services.bookings.reschedule(made.id, NINE + HOUR, host(jana), notify=False)
    await services.bookings.change_status(made.id, Status.CANCELLED, host(jana), notify=False)
    assert messages(sql) == before
    assert len((await services.bookings.history(made.id, host(jana))).changes) == 4


async def test_change_of_a_version_that_is_no_longer_current_is_refused(
    services: Services, jana: UUID, book: Book
) -> None:
    made = await book(jana, NINE, visitor=BROWSER)
    moved = await services.bookings.reschedule(made.id, NINE + HOUR, host(jana), version=made.version)
    for work in (
        services.bookings.reschedule(made.id, NINE + 2 * HOUR, host(jana), version=made.version),
        services.bookings.change_status(made.id, Status.CONFIRMED, host(jana), version=made.version),
        services.bookings.change_status(made.id, Status.CANCELLED, customer_caller(BROWSER), version=made.version),
    ):
        with pytest.raises(ChangedMeanwhile):
            await work
    assert await services.bookings.get(made.id, ADMIN) == moved
    await services.bookings.change_status(made.id, Status.CONFIRMED, host(jana), version=moved.version)


async def test_refused_reschedule_changes_nothing(services: Services, jana: UUID, book: Book, sql: Connection) -> None:
    made, other = await book(jana, NINE), await book(jana, NINE + HOUR)
    before = messages(sql)
    with pytest.raises(SlotTaken):
        await services.bookings.reschedule(
            made.id, other.starts_at + timedelta(minutes=5), host(jana), override=list(RuleOverride), notify=False
        )
    assert (await services.bookings.get(made.id, ADMIN)).starts_at == NINE
    assert messages(sql) == before


# --- emails -----------------------------------------------------------------------------------------------------


async def test_latest_email_is_sent_again_with_another_id(services: Services, jana: UUID, book: Book,
                                                          sql: Connection) -> None:  # fmt: skip
    made = await book(jana, NINE)
    await services.bookings.change_status(made.id, Status.CONFIRMED, host(jana), reason="gladly")
    await services.booking_emails.send_again(made.id, host(jana))
    rows = sql.execute(
        "SELECT kind, change_id, status, again FROM message WHERE audience = 'customer' ORDER BY id DESC LIMIT 2"
    ).fetchall()
    assert rows[0] == (*rows[1][:3], True)
    assert rows[1][0] == "confirmed"


async def test_email_after_a_silent_change_says_how_the_booking_is_now(
    services: Services, jana: UUID, book: Book, sql: Connection
) -> None:
    made = await book(jana, NINE)
    await services.bookings.change_status(made.id, Status.CONFIRMED, host(jana))
    await services.bookings.reschedule(made.id, NINE + HOUR, host(jana), notify=False)
    await services.booking_emails.send_again(made.id, host(jana))
    row = sql.execute("SELECT kind, starts_at, change_id FROM message ORDER BY id DESC LIMIT 1").fetchone()
    assert row == ("confirmed", NINE + HOUR, None)


async def test_emails_are_sent_again_a_few_times_an_hour(
    services: Services, jana: UUID, book: Book, clock: Clock
) -> None:
    made = await book(jana, NINE)
    sent = await asyncio.gather(
        *(services.booking_emails.send_again(made.id, host(jana)) for _ in range(6)), return_exceptions=True
    )
    assert Counter(type(one).__name__ for one in sent) == {"NoneType": 3, "TooManyEmailsAgain": 3}
    clock.advance(minutes=59)
    with pytest.raises(TooManyEmailsAgain):
        await services.booking_emails.send_again(made.id, host(jana))
    clock.advance(minutes=2)
    await services.booking_emails.send_again(made.id, host(jana))


async def test_nothing_is_sent_again_to_an_unconfirmed_address_or_about_a_finished_session(
    services: Services, add_expert: AddExpert, book: Book, clock: Clock
) -> None:
    unverified = await book(await add_expert(email_verification="always"), NINE, visitor=BROWSER)
    with pytest.raises(EmailNotPossible):
        await services.booking_emails.send_again(unverified.id, ADMIN)
    over = await services.bookings.book_by_hand(
        by_hand(unverified.expert_id, NINE + HOUR, email="ada@example.com", notify=False), ADMIN
    )
    clock.now = NINE + 3 * HOUR
    await services.bookings.change_status(over.id, Status.COMPLETED, ADMIN)
    with pytest.raises(EmailNotPossible):
        await services.booking_emails.send_again(over.id, ADMIN)


async def test_link_for_the_customer_opens_the_booking_and_revokes_no_other(
    services: Services, jana: UUID, book: Book, sql: Connection
) -> None:
    made = await book(jana, NINE)
    earlier = services.tokens.for_booking(made.id)
    link = await services.booking_emails.manage_link(made.id, host(jana))
    assert link.startswith(f"http://localhost:8080/booking/{made.id}?key=")
    assert link == await services.booking_emails.manage_link(made.id, ADMIN)
    for secret in (earlier, "eb_booking_" + link.partition("key=")[2]):
        assert (await services.bookings.get(made.id, await services.tokens.identify(secret))).id == made.id
    await services.bookings.end_links(made.id, host(jana))
    after = await services.booking_emails.manage_link(made.id, host(jana))
    assert after != link
    new = await services.tokens.identify("eb_booking_" + after.partition("key=")[2])
    assert (await services.bookings.get(made.id, new)).id == made.id


async def test_only_hosts_send_emails_again_and_get_the_link(services: Services, jana: UUID, book: Book) -> None:
    made = await book(jana, NINE, visitor=BROWSER)
    for caller, refusal in (
        (None, NotAuthenticated), (host(uuid4()), Forbidden), (READER, Forbidden),
        (customer_caller(BROWSER), Forbidden), (customer_caller(b"another"), BookingNotFound),
    ):  # fmt: skip
        for work in (
            services.booking_emails.send_again(made.id, caller),
            services.booking_emails.manage_link(made.id, caller),
        ):
            with pytest.raises(refusal):
                await work


# --- races ------------------------------------------------------------------------------------------------------


@pytest.fixture
async def many_connections(database_url: str, clock: Clock) -> AsyncIterator[Services]:
    """Services with many connections, for really concurrent calls."""
    database = Database(database_url, pool_size=25)
    yield Services(database, clock=clock, limits=NO_LIMITS)
    await database.close()


def outcomes(results: list[Any]) -> Counter[str]:
    """Counts of results: `done` or the name of the exception."""
    return Counter("done" if isinstance(one, BookingView) else type(one).__name__ for one in results)


async def test_of_twenty_hosts_and_visitors_who_book_one_time_one_wins(
    many_connections: Services, jana: UUID, sql: Connection
) -> None:
    asked = [
        book_by_hand(many_connections, jana, NINE + timedelta(minutes=n % 5), *RuleOverride)
        if n % 2
        else many_connections.bookings.book(booking_request(jana, NINE, email=f"p{n}@example.com"))
        for n in range(20)
    ]
    results = outcomes(await asyncio.gather(*asked, return_exceptions=True))
    assert results == {"done": 1, "SlotTaken": 19}
    assert sql.execute("SELECT count(*) FROM booking").fetchone() == (1,)


async def test_of_hosts_who_drag_one_booking_at_a_time_one_wins_and_the_others_are_told(
    many_connections: Services, jana: UUID, book: Book
) -> None:
    made = await book(jana, NINE)
    asked = (
        many_connections.bookings.reschedule(
            made.id, NINE + (1 + n % 7) * HOUR, host(jana), version=made.version, notify=False
        )
        for n in range(20)
    )
    results = await asyncio.gather(*asked, return_exceptions=True)
    assert outcomes(results) == {"done": 1, "ChangedMeanwhile": 19}
    [winner] = [one for one in results if isinstance(one, BookingView)]
    assert await many_connections.bookings.get(made.id, ADMIN) == winner
    assert len((await many_connections.bookings.history(made.id, ADMIN)).changes) == 2


async def test_of_hosts_who_drag_different_bookings_to_one_time_one_wins(
    many_connections: Services, jana: UUID, book: Book
) -> None:
    made = [await book(jana, NINE + n * HOUR) for n in range(6)]
    asked = (
        many_connections.bookings.reschedule(one.id, EARLY, host(jana), override=["outside_hours"]) for one in made
    )
    assert outcomes(await asyncio.gather(*asked, return_exceptions=True)) == {"done": 1, "SlotTaken": 5}


async def test_hosts_who_exceed_the_cap_at_a_time_all_succeed(
    many_connections: Services, add_expert: AddExpert, sql: Connection
) -> None:
    expert = await add_expert(daily_cap=1)
    await book_by_hand(many_connections, expert)
    asked = (book_by_hand(many_connections, expert, NINE + n * HOUR, "day_full") for n in range(1, 7))
    assert outcomes(await asyncio.gather(*asked, return_exceptions=True)) == {"done": 6}
    assert sql.execute("SELECT count(DISTINCT cap_place) FROM booking").fetchone() == (7,)
