"""Boards, next free times and the number of queries they need."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from expert_booking.domain.errors import ExpertNotFound, SessionTypeNotFound, SlotNotOffered, SlotTaken
from expert_booking.schemas import ExpertQuery, SlotQuery
from expert_booking.services import Services
from tests.conftest import AddExpert, Book, Clock, booking_request
from tests.services.conftest import Counted

Connection = psycopg.Connection[tuple[Any, ...]]
NINE = datetime(2026, 11, 24, 8, tzinfo=UTC)  # 09:00 in Berlin
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def fill(sql: Connection, expert_id: UUID, days: int) -> None:
    """Book every hour from 09:00 to 17:00 in Berlin for this number of days, starting today."""
    sql.execute(
        "INSERT INTO booking (expert_id, session_type_id, starts_at, ends_at, busy, name, email, customer_key)"
        " SELECT %(e)s, s.id, t, t + interval '1 hour', tstzrange(t, t + interval '1 hour'), 'x', 'x@example.com',"
        " 'x@example.com' FROM session_type s, generate_series(0, %(d)s - 1) day, generate_series(8, 15) hour,"
        " LATERAL (SELECT '2026-11-23 00:00+00'::timestamptz + day * interval '1 day' + hour * interval '1 hour' AS t)"
        " AS starts WHERE s.expert_id = %(e)s",
        {"e": expert_id, "d": days},
    )


async def test_board_shows_every_slot_from_now_to_the_horizon(
    services: Services, add_expert: AddExpert, clock: Clock
) -> None:
    expert = await add_expert(horizon_days=2, title="Talk", minutes=45)
    clock.now = datetime(2026, 11, 23, 13, 30, tzinfo=UTC)
    board = await services.availability.board(expert)
    assert (board.expert_id, board.session_title, board.minutes) == (expert, "Talk", 45)
    assert (board.zone.key, board.last_day, board.read_at) == ("Europe/Berlin", date(2026, 11, 25), clock.now)
    assert [slot.starts_at for slot in board.slots[:2]] == [clock.now + HOUR / 2, clock.now + 3 * HOUR / 2]
    assert len(board.slots) == 2 + 8 + 8
    assert {slot.state.value for slot in board.slots} == {"open"}


async def test_board_has_booked_held_and_open_slots_and_expired_holds_are_open(
    services: Services, add_expert: AddExpert, book: Book, sql: Connection
) -> None:
    expert = await add_expert()
    await book(expert, NINE)
    for start, until in ((NINE + HOUR, "2100-01-01"), (NINE + 2 * HOUR, "2020-01-01")):
        sql.execute(
            "INSERT INTO booking (expert_id, session_type_id, starts_at, ends_at, busy, status, hold_until)"
            " SELECT expert_id, id, %(s)s, %(s)s + interval '1 hour', tstzrange(%(s)s, %(s)s + interval '1 hour'),"
            " 'held', %(u)s FROM session_type",
            {"s": start, "u": until},
        )
    board = await services.availability.board(expert)
    tomorrow = [slot for slot in board.slots if slot.starts_at >= NINE]
    assert [slot.state.value for slot in tomorrow[:4]] == ["booked", "held", "open", "open"]


async def test_bookings_of_other_experts_are_not_on_the_board(
    services: Services, add_expert: AddExpert, book: Book
) -> None:
    jana, omar = await add_expert(), await add_expert(name="Omar")
    await book(omar, NINE)
    assert {slot.state.value for slot in (await services.availability.board(jana)).slots} == {"open"}


async def test_board_explains_why_a_time_cannot_be_booked(
    services: Services, add_expert: AddExpert, book: Book, clock: Clock
) -> None:
    expert = await add_expert()
    await book(expert, NINE)
    board = await services.availability.board(expert)
    assert board.refusal(NINE + HOUR) is None
    assert isinstance(board.refusal(NINE), SlotTaken)
    for start, reason in ((NINE - 2 * DAY, "past"), (NINE - HOUR, "outside_hours"), (NINE + HOUR / 2, "off_grid")):
        refusal = board.refusal(start)
        assert isinstance(refusal, SlotNotOffered)
        assert refusal.blocker.reason == reason


async def test_booking_that_began_the_day_before_still_occupies_its_time(
    services: Services, add_expert: AddExpert, book: Book, clock: Clock
) -> None:
    expert = await add_expert(hours=(0, 1440), minutes=480, after_minutes=480, step_minutes=480)
    monday_evening = datetime(2026, 11, 23, 15, tzinfo=UTC)  # from 16:00 to midnight in Berlin, busy until 08:00
    await book(expert, monday_evening)
    page = await services.availability.slots(expert, SlotQuery(since=date(2026, 11, 24), until=date(2026, 11, 24)))
    assert [slot.state.value for slot in page.slots] == ["booked", "open", "open"]


async def test_nearest_open_slots_are_found_on_both_sides_in_order(
    services: Services, add_expert: AddExpert, book: Book
) -> None:
    expert = await add_expert()
    for hour in (3, 4):
        await book(expert, NINE + hour * HOUR)
    board = await services.availability.board(expert)
    nine_to_five = [NINE + hours * HOUR for hours in (0, 1, 2, 5, 6, 7)]
    assert board.nearest_open(NINE + 3 * HOUR) == nine_to_five
    assert board.nearest_open(NINE + 3 * HOUR, [NINE + HOUR])[1:3] == [NINE, NINE + 2 * HOUR]
    nearest = board.calendar.nearest_open(NINE, board.read_at, 50)
    assert NINE not in nearest
    assert len(nearest) == 50
    everything = board.calendar.nearest_open(NINE, board.read_at, 10_000)
    assert everything == [slot.starts_at for slot in board.slots if slot.state == "open" and slot.starts_at != NINE]
    assert board.nearest_open(NINE - 365 * DAY) == everything[:6]
    assert board.nearest_open(NINE + 365 * DAY) == everything[-6:]


@pytest.mark.parametrize("full_days", [0, 1, 13, 14, 15, 40, 61])
async def test_next_free_time_is_the_first_open_slot_of_the_board(
    services: Services, add_expert: AddExpert, sql: Connection, full_days: int
) -> None:
    expert = await add_expert()
    fill(sql, expert, full_days)
    board = await services.availability.board(expert)
    first = next((slot for slot in board.slots if slot.state == "open"), None)
    found = await services.availability.next_open([expert])
    assert found == ({expert: first.starts_at} if first else {})
    assert (first is None) == (full_days == 61)
    if first:
        assert first.starts_at == datetime(2026, 11, 23, 8, tzinfo=UTC) + full_days * DAY
    [card] = (await services.experts.find(ExpertQuery())).experts
    detail = await services.experts.get("jana-muller")
    assert card.next_available == detail.next_available == found.get(expert)


async def test_next_free_times_are_returned_for_each_expert(
    services: Services, add_expert: AddExpert, sql: Connection
) -> None:
    free, full, closed = await add_expert(), await add_expert(name="Full"), await add_expert(name="C", weekdays=())
    late = await add_expert(name="Late", weekdays=(7,))
    fill(sql, full, 61)
    found = await services.availability.next_open([free, full, closed, late, uuid4()])
    assert found == {free: NINE - DAY, late: datetime(2026, 11, 29, 8, tzinfo=UTC)}
    assert await services.availability.next_open([]) == {}


@pytest.mark.parametrize("bookings", [False, True])
async def test_number_of_queries_is_independent_of_experts_and_bookings(
    services: Services, add_expert: AddExpert, sql: Connection, counted: Counted, bookings: bool
) -> None:
    experts = [await add_expert(name=f"Expert {n}") for n in range(20)]
    if bookings:
        fill(sql, experts[0], 38)  # 304 bookings, so that this expert's next free time is weeks away
        fill(sql, experts[1], 2)
    one_day = SlotQuery(since=date(2026, 11, 24), until=date(2026, 11, 24))
    two_months = SlotQuery(since=date(2026, 11, 24), until=date(2027, 1, 24))
    await services.availability.board(experts[0])  # the first connection queries the server's version
    for ask, most in (
        (lambda: services.availability.board(experts[0]), 2),
        (lambda: services.availability.slots(experts[0], one_day), 2),
        (lambda: services.availability.slots(experts[0], two_months), 2),
        (lambda: services.availability.next_open(experts[:1]), 3),
        (lambda: services.availability.next_open(experts), 3),
        (lambda: services.experts.find(ExpertQuery(limit=1)), 5),
        (lambda: services.experts.find(ExpertQuery(limit=100)), 5),
        (lambda: services.experts.get("expert-0"), 4),
    ):
        with counted() as sent:
            await ask()
        assert 0 < len(sent) <= most, sent


async def test_unknown_experts_and_foreign_session_types_are_not_found(
    services: Services, add_expert: AddExpert
) -> None:
    jana = await add_expert()
    await add_expert(name="Omar")
    of_omar = (await services.experts.get("omar")).session_types[0].id
    query = SlotQuery(since=date(2026, 11, 24), until=date(2026, 11, 24), session_type_id=of_omar)
    with pytest.raises(ExpertNotFound):
        await services.availability.board(uuid4())
    with pytest.raises(SessionTypeNotFound):
        await services.availability.slots(jana, query)


async def test_oldest_session_type_is_the_default(services: Services, add_expert: AddExpert, sql: Connection) -> None:
    expert = await add_expert(title="First")
    sql.execute("INSERT INTO session_type (expert_id, title, minutes, step_minutes) SELECT id, 'B', 30, 30 FROM expert")
    assert (await services.availability.board(expert)).session_title == "First"
    sql.execute("UPDATE session_type SET active = false WHERE title = 'First'")
    assert (await services.availability.board(expert)).session_title == "B"


async def test_expert_without_session_types_has_an_empty_board(
    services: Services, add_expert: AddExpert, sql: Connection
) -> None:
    jana = await add_expert()
    sql.execute("UPDATE session_type SET active = false")
    board = await services.availability.board(jana)
    assert (board.slots, board.zone.key) == ((), "Europe/Berlin")
    with pytest.raises(SessionTypeNotFound):
        await services.availability.slots(jana, SlotQuery(since=date(2026, 11, 24), until=date(2026, 11, 24)))
    with pytest.raises(SessionTypeNotFound):
        await services.bookings.book(booking_request(jana, NINE))
    with pytest.raises(ExpertNotFound):
        await services.availability.board(uuid4())
