"""Booking, alone and concurrently."""

import asyncio
import random
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
    ExpertNotFound,
    Forbidden,
    NotAuthenticated,
    SessionTypeNotFound,
    SlotNotOffered,
    SlotTaken,
    StatusChangeNotAllowed,
)
from expert_booking.domain.lifecycle import Status
from expert_booking.domain.limits import NO_LIMITS
from expert_booking.schemas import BookingQuery, BookingView, Caller, Role, SlotQuery
from expert_booking.services import Services
from tests.conftest import AddExpert, Book, Clock, booking_request, customer_caller

Connection = psycopg.Connection[tuple[Any, ...]]

NINE = datetime(2026, 11, 24, 8, tzinfo=UTC)  # 09:00 in Berlin
HOUR = timedelta(hours=1)
ADMIN, READER = Caller(role=Role.ADMIN), Caller(role=Role.READER)
MY_BROWSER, THEIR_BROWSER = b"my browser", b"their browser"


@pytest.fixture
async def many_connections(database_url: str, clock: Clock) -> AsyncIterator[Services]:
    """Services with many connections, for really concurrent calls."""
    database = Database(database_url, pool_size=25)
    yield Services(database, clock=clock, limits=NO_LIMITS)
    await database.close()


def live_overlaps(sql: Connection) -> int:
    """The number of overlapping pairs of live bookings of one expert, counted by SQL."""
    row = sql.execute(
        "WITH live AS (SELECT * FROM booking WHERE status NOT IN ('cancelled', 'declined', 'expired'))"
        " SELECT count(*) FROM live a JOIN live b ON a.expert_id = b.expert_id AND a.id < b.id AND a.busy && b.busy"
    ).fetchone()
    assert row is not None
    return int(row[0])


def outcomes(results: list[Any]) -> Counter[str]:
    """Counts of outcomes: `booked` or the name of the exception."""
    return Counter("booked" if isinstance(result, BookingView) else type(result).__name__ for result in results)


def add_session_type(sql: Connection, expert_id: UUID, minutes: int, step: int) -> UUID:
    """Add another session type to this expert."""
    row = sql.execute(
        "INSERT INTO session_type (expert_id, title, minutes, step_minutes) VALUES (%s, 'Other', %s, %s) RETURNING id",
        [expert_id, minutes, step],
    ).fetchone()
    assert row is not None
    return UUID(str(row[0]))


def hold(sql: Connection, expert_id: UUID, starts_at: datetime, hold_until: str, minutes: int = 60) -> None:
    """Insert a hold, as an open booking form has it."""
    ends_at = starts_at + timedelta(minutes=minutes)
    sql.execute(
        "INSERT INTO booking (expert_id, session_type_id, starts_at, ends_at, busy, status, hold_until)"
        " SELECT %(e)s, id, %(s)s, %(u)s, tstzrange(%(s)s, %(u)s), 'held', %(h)s FROM session_type"
        " WHERE expert_id = %(e)s LIMIT 1",
        {"e": expert_id, "s": starts_at, "u": ends_at, "h": hold_until},
    )


async def state_of(services: Services, expert_id: UUID, starts_at: datetime) -> str:
    """The state of a slot on the board."""
    day = starts_at.date()
    page = await services.availability.slots(expert_id, SlotQuery(since=day, until=day))
    return next(slot.state.value for slot in page.slots if slot.starts_at == starts_at)


# --- concurrency ------------------------------------------------------------------------------------------------


async def test_one_of_two_hundred_concurrent_bookings_of_a_slot_succeeds(
    many_connections: Services, add_expert: AddExpert, sql: Connection
) -> None:
    expert = await add_expert()
    asked = (
        many_connections.bookings.book(booking_request(expert, NINE, email=f"p{n}@example.com")) for n in range(200)
    )
    results = await asyncio.gather(*asked, return_exceptions=True)
    assert outcomes(results) == {"booked": 1, "SlotTaken": 199}
    [winner] = [result for result in results if isinstance(result, BookingView)]
    assert sql.execute("SELECT id, email, status FROM booking").fetchall() == [(winner.id, winner.email, "pending")]


async def test_two_hundred_concurrent_overlapping_bookings_leave_no_overlap(
    many_connections: Services, add_expert: AddExpert, sql: Connection
) -> None:
    expert = await add_expert(step_minutes=15, after_minutes=10)
    short = add_session_type(sql, expert, minutes=30, step=5)
    dice = random.Random(4)
    asked = [
        booking_request(expert, NINE + timedelta(minutes=5 * dice.randrange(48)), session_type_id=short)
        if n % 2
        else booking_request(expert, NINE + timedelta(minutes=15 * dice.randrange(16)))
        for n in range(200)
    ]
    results = await asyncio.gather(*map(many_connections.bookings.book, asked), return_exceptions=True)
    found = outcomes(results)
    assert set(found) == {"booked", "SlotTaken"}
    assert live_overlaps(sql) == 0
    assert sql.execute("SELECT count(*) FROM booking").fetchone() == (found["booked"],)
    assert found["booked"] >= 3  # four hours have room for at least 3 sessions


async def test_one_of_fifty_concurrent_bookings_over_expired_holds_succeeds(
    many_connections: Services, add_expert: AddExpert, sql: Connection
) -> None:
    expert = await add_expert()
    for part in range(3):
        hold(sql, expert, NINE + timedelta(minutes=20 * part), "2020-01-01 00:00+00", minutes=20)
    asked = (many_connections.bookings.book(booking_request(expert, NINE)) for _ in range(50))
    results = await asyncio.gather(*asked, return_exceptions=True)
    assert outcomes(results) == {"booked": 1, "SlotTaken": 49}
    assert live_overlaps(sql) == 0


async def test_bookings_of_many_experts_do_not_block_each_other(
    many_connections: Services, add_expert: AddExpert
) -> None:
    experts = [await add_expert() for _ in range(10)]
    asked = (
        many_connections.bookings.book(booking_request(expert, NINE + n * HOUR)) for n in range(8) for expert in experts
    )
    assert outcomes(await asyncio.gather(*asked, return_exceptions=True)) == {"booked": 80}


async def test_one_of_two_concurrent_status_changes_succeeds(
    many_connections: Services, add_expert: AddExpert, book: Book, sql: Connection
) -> None:
    booking = await book(await add_expert(), NINE)
    moves = [Status.CONFIRMED, Status.DECLINED] * 10
    results = await asyncio.gather(
        *(many_connections.bookings.change_status(booking.id, to, ADMIN) for to in moves), return_exceptions=True
    )
    assert outcomes(results) == {"booked": 1, "StatusChangeNotAllowed": 19}
    [winner] = [result for result in results if isinstance(result, BookingView)]
    assert sql.execute("SELECT status, version FROM booking").fetchall() == [(winner.status.value, 2)]


# --- one form, sent more than once ------------------------------------------------------------------------------


async def test_form_sent_ten_times_concurrently_makes_one_booking_and_all_get_it(
    many_connections: Services, add_expert: AddExpert, sql: Connection
) -> None:
    expert, form = await add_expert(), uuid4()
    request = booking_request(expert, NINE)
    views = await asyncio.gather(
        *(many_connections.bookings.book(request, visitor=MY_BROWSER, submission=form) for _ in range(10)),
        return_exceptions=True,
    )
    assert outcomes(views) == {"booked": 10}
    assert {view.id for view in views if isinstance(view, BookingView)} == {
        row[0] for row in sql.execute("SELECT id FROM booking").fetchall()
    }
    assert sql.execute("SELECT count(*) FROM booking").fetchone() == (1,)


async def test_form_sent_again_after_its_start_returns_its_booking(
    add_expert: AddExpert, book: Book, clock: Clock
) -> None:
    expert, form = await add_expert(), uuid4()
    made = await book(expert, NINE, visitor=MY_BROWSER, submission=form)
    clock.now = NINE + 3 * HOUR
    assert await book(expert, NINE, visitor=MY_BROWSER, submission=form) == made


async def test_form_sent_again_after_a_cancellation_books_nothing(
    services: Services, add_expert: AddExpert, book: Book
) -> None:
    expert, form = await add_expert(), uuid4()
    made = await book(expert, NINE, visitor=MY_BROWSER, submission=form)
    await services.bookings.change_status(made.id, Status.CANCELLED, ADMIN)
    again = await book(expert, NINE, visitor=MY_BROWSER, submission=form)
    assert (again.id, again.status) == (made.id, Status.CANCELLED)


async def test_same_form_in_another_browser_reveals_nothing(add_expert: AddExpert, book: Book) -> None:
    expert, form = await add_expert(), uuid4()
    await book(expert, NINE, visitor=MY_BROWSER, submission=form)
    with pytest.raises(SlotTaken):
        await book(expert, NINE, visitor=THEIR_BROWSER, submission=form)
    with pytest.raises(SlotTaken):
        await book(expert, NINE, submission=form)


async def test_another_form_for_a_taken_slot_is_refused_in_the_same_browser(add_expert: AddExpert, book: Book) -> None:
    expert = await add_expert()
    await book(expert, NINE, visitor=MY_BROWSER, submission=uuid4())
    with pytest.raises(SlotTaken):
        await book(expert, NINE, visitor=MY_BROWSER, submission=uuid4())


# --- one after the other ----------------------------------------------------------------------------------------


async def test_booking_shows_what_was_booked(
    services: Services, add_expert: AddExpert, book: Book, clock: Clock
) -> None:
    expert = await add_expert(title="Career talk", minutes=45)
    made = await book(expert, NINE, notes="First time.", time_zone="Europe/London", email="Ada@Example.com")
    assert (made.expert_id, made.expert_slug, made.expert_name) == (expert, "jana-muller", "Jana Müller")
    assert (made.starts_at, made.ends_at) == (NINE, NINE + timedelta(minutes=45))
    assert (made.session_title, made.status, made.version) == ("Career talk", Status.PENDING, 1)
    assert (made.name, made.email, made.notes) == ("Ada Lovelace", "Ada@Example.com", "First time.")
    assert (made.phone, made.time_zone) == ("+442079460000", "Europe/London")
    assert await services.bookings.get(made.id, ADMIN) == made


async def test_booked_slot_is_refused_until_the_booking_is_cancelled(
    services: Services, add_expert: AddExpert, book: Book
) -> None:
    expert = await add_expert()
    made = await book(expert, NINE)
    assert await state_of(services, expert, NINE) == "booked"
    with pytest.raises(SlotTaken):
        await book(expert, NINE)
    await services.bookings.change_status(made.id, Status.CANCELLED, ADMIN)
    assert await state_of(services, expert, NINE) == "open"
    assert (await book(expert, NINE)).id != made.id


async def test_expired_hold_is_shown_open_and_can_be_booked(
    services: Services, add_expert: AddExpert, book: Book, sql: Connection
) -> None:
    expert = await add_expert()
    hold(sql, expert, NINE, "2020-01-01 00:00+00")
    assert await state_of(services, expert, NINE) == "open"
    made = await book(expert, NINE)
    assert sql.execute("SELECT status, version FROM booking WHERE id <> %s", [made.id]).fetchall() == [("expired", 2)]


async def test_live_hold_is_shown_held_and_refused(
    services: Services, add_expert: AddExpert, book: Book, sql: Connection
) -> None:
    expert = await add_expert()
    hold(sql, expert, NINE, "2100-01-01 00:00+00")
    assert await state_of(services, expert, NINE) == "held"
    with pytest.raises(SlotTaken):
        await book(expert, NINE)
    assert sql.execute("SELECT status, version FROM booking").fetchall() == [("held", 1)]


async def test_buffers_of_a_booking_block_time_too(services: Services, add_expert: AddExpert, book: Book) -> None:
    expert = await add_expert(step_minutes=30, before_minutes=15, after_minutes=15)
    await book(expert, NINE + 2 * HOUR)
    # One hour, 15 minutes after it and 15 before the next session: half an hour stays free on both sides.
    for minutes in (30, 60, 90, 120, 150, 180, 195):
        start = NINE + timedelta(minutes=minutes)
        if start == NINE + timedelta(minutes=30):
            await book(expert, start)
        elif minutes == 195:
            with pytest.raises(SlotNotOffered):
                await book(expert, start)
        else:
            with pytest.raises(SlotTaken):
                await book(expert, start)
    await book(expert, NINE + timedelta(minutes=210))


async def test_session_types_of_an_expert_share_the_experts_time(
    add_expert: AddExpert, book: Book, sql: Connection
) -> None:
    expert = await add_expert()
    short = add_session_type(sql, expert, minutes=30, step=30)
    made = await book(expert, NINE + HOUR / 2, session_type_id=short)
    assert made.ends_at == NINE + HOUR
    with pytest.raises(SlotTaken):
        await book(expert, NINE)
    await book(expert, NINE, session_type_id=short)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"starts_at": NINE - timedelta(days=2)}, "past"),
        ({"starts_at": NINE + timedelta(minutes=10)}, "off_grid"),
        ({"starts_at": NINE - HOUR}, "outside_hours"),
        ({"starts_at": NINE + timedelta(days=400)}, "beyond_horizon"),
    ],
)
async def test_unoffered_time_cannot_be_booked(
    add_expert: AddExpert, book: Book, sql: Connection, change: dict[str, Any], reason: str
) -> None:
    expert = await add_expert()
    with pytest.raises(SlotNotOffered) as refused:
        await book(expert, **change)
    assert refused.value.blocker.reason == reason
    assert sql.execute("SELECT count(*) FROM booking").fetchone() == (0,)


async def test_notice_is_enforced(add_expert: AddExpert, book: Book, clock: Clock) -> None:
    expert = await add_expert(notice_minutes=60)
    clock.now = NINE - HOUR + timedelta(seconds=1)
    with pytest.raises(SlotNotOffered) as refused:
        await book(expert, NINE)
    assert refused.value.blocker.reason == "min_notice"
    clock.now = NINE - HOUR
    await book(expert, NINE)


async def test_inactive_expert_cannot_be_booked(add_expert: AddExpert, book: Book, sql: Connection) -> None:
    expert = await add_expert()
    sql.execute("UPDATE expert SET active = false")
    with pytest.raises(SlotNotOffered) as refused:
        await book(expert, NINE)
    assert refused.value.blocker.reason == "inactive"


async def test_unknown_experts_and_foreign_session_types_are_not_found(add_expert: AddExpert, book: Book,
                                                                        sql: Connection) -> None:  # fmt: skip
    jana, omar = await add_expert(), await add_expert(name="Omar")
    with pytest.raises(ExpertNotFound):
        await book(uuid4(), NINE)
    with pytest.raises(SessionTypeNotFound):
        await book(jana, NINE, session_type_id=add_session_type(sql, omar, 30, 30))


# --- ownership --------------------------------------------------------------------------------------------------


async def test_browser_sees_only_its_own_bookings(services: Services, add_expert: AddExpert, book: Book) -> None:
    expert = await add_expert()
    own = await book(expert, NINE, visitor=MY_BROWSER)
    others = await book(expert, NINE + HOUR, visitor=THEIR_BROWSER)
    without = await book(expert, NINE + 2 * HOUR)
    assert await services.bookings.get(own.id, customer_caller(MY_BROWSER)) == own
    for other in (others, without):
        with pytest.raises(BookingNotFound):
            await services.bookings.get(other.id, customer_caller(MY_BROWSER))
    assert list(await services.bookings.for_visitor(MY_BROWSER)) == [own]
    assert list(await services.bookings.for_visitor(THEIR_BROWSER)) == [others]
    assert list(await services.bookings.for_visitor(b"")) == []


async def test_browser_that_booked_for_two_addresses_sees_both(
    services: Services, add_expert: AddExpert, book: Book
) -> None:
    expert = await add_expert()
    first = await book(expert, NINE, visitor=MY_BROWSER, email="Ada@Example.com")
    second = await book(expert, NINE + HOUR, visitor=MY_BROWSER, email="ada@example.COM")
    other = await book(expert, NINE + 2 * HOUR, visitor=MY_BROWSER, email="eve@example.com")
    assert list(await services.bookings.for_visitor(MY_BROWSER)) == [other, second, first]
    assert list(await services.bookings.for_customer("ada@example.com")) == [second, first]


async def test_reader_finds_all_bookings_of_an_address_page_by_page(
    services: Services, add_expert: AddExpert, book: Book
) -> None:
    expert = await add_expert()
    made = [await book(expert, NINE + n * HOUR, email="ADA@example.com") for n in range(5)]
    await book(expert, NINE + 5 * HOUR, email="eve@example.com")
    pages = [
        await services.booking_lists.find(BookingQuery(email="ada@Example.com", page=page, limit=2), READER)
        for page in (1, 2, 3, 4)
    ]
    assert [page.total for page in pages] == [5, 5, 5, 5]
    assert [booking for page in pages for booking in page.bookings] == list(reversed(made))


async def test_hold_is_not_listed_as_a_booking(
    services: Services, add_expert: AddExpert, book: Book, sql: Connection
) -> None:
    expert = await add_expert()
    hold(sql, expert, NINE, "2100-01-01 00:00+00")
    found = await services.booking_lists.find(BookingQuery(expert_id=expert), ADMIN)
    assert (found.total, list(found.bookings)) == (0, [])


@pytest.mark.parametrize("caller", [None, READER, Caller(role=Role.EXPERT, expert_id=uuid4())])
async def test_only_hosts_change_a_status(
    services: Services, add_expert: AddExpert, book: Book, caller: Caller | None
) -> None:
    booking = await book(await add_expert(), NINE)
    with pytest.raises(NotAuthenticated if caller is None else Forbidden):
        await services.bookings.change_status(booking.id, Status.CONFIRMED, caller)
    assert (await services.bookings.get(booking.id, ADMIN)).status is Status.PENDING


async def test_each_transition_increments_the_version(
    services: Services, add_expert: AddExpert, book: Book, clock: Clock
) -> None:
    expert = await add_expert()
    booking = await book(expert, NINE)
    own = Caller(role=Role.EXPERT, expert_id=expert)
    confirmed = await services.bookings.change_status(booking.id, Status.CONFIRMED, own)
    assert (confirmed.status, confirmed.version) == (Status.CONFIRMED, 2)
    assert confirmed.updated_at > booking.updated_at
    clock.now = booking.ends_at
    completed = await services.bookings.change_status(booking.id, Status.COMPLETED, own)
    assert (completed.status, completed.version) == (Status.COMPLETED, 3)
    with pytest.raises(StatusChangeNotAllowed):
        await services.bookings.change_status(booking.id, Status.CANCELLED, own)
    with pytest.raises(BookingNotFound):
        await services.bookings.change_status(uuid4(), Status.CONFIRMED, ADMIN)
