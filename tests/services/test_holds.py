"""Holding a slot: concurrency, expiry, release and booking."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from expert_booking.db.engine import Database
from expert_booking.domain.calendar import SlotState
from expert_booking.domain.errors import (
    FieldsWrong,
    HoldNotFound,
    SlotNotOffered,
    SlotTaken,
    TooManyHolds,
    TooManyHoldsPerMinute,
)
from expert_booking.domain.holds import HoldRules
from expert_booking.domain.lifecycle import Status
from expert_booking.domain.limits import NO_LIMITS
from expert_booking.domain.terms import Confirmation
from expert_booking.domain.unavailability import Reason
from expert_booking.schemas import HoldRequest, HoldView
from expert_booking.services import Services
from tests.conftest import AddExpert, Book, Clock, booking_request

Connection = psycopg.Connection[tuple[Any, ...]]
NINE = datetime(2026, 11, 24, 8, tzinfo=UTC)  # 09:00 in Berlin
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
ADA, BOB = b"a" * 32, b"b" * 32


@pytest.fixture
async def many_connections(database_url: str, clock: Clock) -> AsyncIterator[Services]:
    """The services with connections for many concurrent calls."""
    database = Database(database_url, pool_size=30)
    yield Services(
        database, clock=clock, holds=HoldRules(minutes=5, longest_minutes=20, per_origin=3), limits=NO_LIMITS
    )
    await database.close()


async def take(services: Services, expert_id: UUID, starts_at: datetime = NINE, **more: Any) -> HoldView:
    """Hold a slot."""
    return await services.holds.take(HoldRequest(expert_id=expert_id, starts_at=starts_at), **more)


async def states(services: Services, expert_id: UUID) -> dict[datetime, SlotState]:
    """The states of the board by start."""
    return {slot.starts_at: slot.state for slot in (await services.availability.board(expert_id)).slots}


def rows(sql: Connection) -> list[tuple[Any, ...]]:
    """The stored starts, statuses and emails."""
    return sql.execute("SELECT starts_at, status, email FROM booking ORDER BY starts_at, created_at").fetchall()


async def test_hold_blocks_a_slot_for_five_minutes(
    services: Services, add_expert: AddExpert, book: Book, clock: Clock
) -> None:
    expert = await add_expert()
    held = await take(services, expert, visitor=ADA)
    assert held.hold_until == clock() + 5 * MINUTE
    assert (await states(services, expert))[NINE] is SlotState.HELD
    with pytest.raises(SlotTaken) as refused:
        await book(expert, NINE)
    assert refused.value.blocker.reason is Reason.HELD
    assert str(refused.value) == "Someone else is booking this time right now."
    assert refused.value.alternatives == tuple(NINE + n * HOUR for n in range(1, 7))
    with pytest.raises(SlotTaken):
        await take(services, expert, visitor=BOB)


async def test_expired_hold_is_free_without_a_cleanup_run(
    services: Services, add_expert: AddExpert, book: Book, clock: Clock, sql: Connection
) -> None:
    expert = await add_expert()
    held = await take(services, expert, visitor=ADA)
    clock.now = held.hold_until - timedelta(microseconds=1)
    with pytest.raises(SlotTaken):
        await book(expert, NINE)
    clock.now = held.hold_until
    assert (await states(services, expert))[NINE] is SlotState.OPEN
    assert (await book(expert, NINE)).status is Status.PENDING
    assert [row[1] for row in rows(sql)] == ["expired", "pending"]


async def test_hold_becomes_the_booking_in_the_same_row(
    services: Services, add_expert: AddExpert, book: Book, sql: Connection
) -> None:
    expert = await add_expert()
    held = await take(services, expert, visitor=ADA, origin=b"o" * 32, keeper=uuid4())
    made = await book(expert, NINE, hold_id=held.id, visitor=ADA)
    assert (made.id, made.status) == (held.id, Status.PENDING)
    assert rows(sql) == [(NINE, "pending", "ada@example.com")]
    left = sql.execute("SELECT held_at, hold_until, hold_origin, hold_keeper FROM booking").fetchone()
    assert left == (None, None, None, None)
    with pytest.raises(HoldNotFound):
        await services.holds.release(held.id)


async def test_instantly_confirmed_session_goes_from_held_to_confirmed(
    services: Services, add_expert: AddExpert, book: Book
) -> None:
    expert = await add_expert(confirmation=Confirmation.INSTANT)
    held = await take(services, expert)
    made = await book(expert, NINE, hold_id=held.id)
    assert (made.status, made.answer_by) == (Status.CONFIRMED, None)


async def test_expired_hold_can_be_booked_if_its_time_is_still_free(
    services: Services, add_expert: AddExpert, book: Book, clock: Clock
) -> None:
    expert = await add_expert()
    held = await take(services, expert, visitor=ADA)
    clock.advance(minutes=6)
    made = await book(expert, NINE, hold_id=held.id, visitor=ADA)
    assert made.id != held.id


async def test_expired_hold_on_a_taken_time_returns_free_alternatives(
    services: Services, add_expert: AddExpert, book: Book, clock: Clock, sql: Connection
) -> None:
    expert = await add_expert()
    held = await take(services, expert, visitor=ADA)
    clock.advance(minutes=6)
    await book(expert, NINE, email="bob@example.com")
    with pytest.raises(SlotTaken) as refused:
        await book(expert, NINE, hold_id=held.id, visitor=ADA)
    assert refused.value.blocker.reason is Reason.BUSY
    assert NINE + HOUR in refused.value.alternatives
    assert NINE not in refused.value.alternatives
    assert [row[1:] for row in rows(sql)] == [("expired", None), ("pending", "bob@example.com")]


async def test_new_hold_of_a_visitor_replaces_the_old_one(
    services: Services, add_expert: AddExpert, sql: Connection
) -> None:
    expert, other = await add_expert(), await add_expert(name="Other One")
    await take(services, expert, visitor=ADA)
    await take(services, expert, NINE + HOUR, visitor=ADA)
    third = await take(services, other, NINE + 2 * HOUR, visitor=ADA)
    assert (await states(services, expert))[NINE] is SlotState.OPEN
    assert [row[1] for row in rows(sql)] == ["expired", "expired", "held"]
    assert await services.holds.for_visitor(ADA) == third


async def test_hold_is_kept_if_the_new_slot_is_taken(services: Services, add_expert: AddExpert, book: Book) -> None:
    expert = await add_expert()
    held = await take(services, expert, visitor=ADA)
    await book(expert, NINE + HOUR)
    with pytest.raises(SlotTaken) as refused:
        await take(services, expert, NINE + HOUR, visitor=ADA)
    assert NINE + 2 * HOUR in refused.value.alternatives
    with pytest.raises(SlotNotOffered):
        await take(services, expert, NINE - 8 * HOUR, visitor=ADA)
    assert await services.holds.for_visitor(ADA) == held


async def test_hold_can_be_replaced_by_one_that_overlaps_it(
    services: Services, add_expert: AddExpert, sql: Connection
) -> None:
    expert = await add_expert(step_minutes=30)
    await take(services, expert, visitor=ADA)
    await take(services, expert, NINE + HOUR / 2, visitor=ADA)
    assert [(row[0], row[1]) for row in rows(sql)] == [(NINE, "expired"), (NINE + HOUR / 2, "held")]


async def test_repeated_hold_of_a_visitor_returns_the_same_hold_unextended(
    services: Services, add_expert: AddExpert, clock: Clock
) -> None:
    expert = await add_expert()
    held = await take(services, expert, visitor=ADA)
    clock.advance(minutes=2)
    assert await take(services, expert, visitor=ADA) == held


async def test_hold_reassigned_to_another_visitor_is_not_taken_back(services: Services, add_expert: AddExpert) -> None:
    expert, this_page, other_page = await add_expert(), uuid4(), uuid4()
    held = await take(services, expert, visitor=ADA, keeper=this_page)
    await take(services, expert, visitor=ADA, keeper=other_page)
    await services.holds.release(held.id, keeper=this_page)
    assert await services.holds.for_visitor(ADA) == held
    await services.holds.release(held.id, keeper=other_page)
    assert await services.holds.for_visitor(ADA) is None


async def test_activity_extends_a_hold_up_to_its_maximum_age(
    services: Services, add_expert: AddExpert, clock: Clock
) -> None:
    expert, began = await add_expert(), clock()
    held = await take(services, expert)
    ends = []
    for _ in range(5):
        clock.advance(minutes=4)
        ends.append((await services.holds.renew(held.id)).hold_until - began if clock() - began < 20 * MINUTE else None)
    assert ends == [9 * MINUTE, 13 * MINUTE, 17 * MINUTE, 20 * MINUTE, None]
    with pytest.raises(HoldNotFound):
        await services.holds.renew(held.id)


async def test_expired_hold_is_not_extended(services: Services, add_expert: AddExpert, clock: Clock) -> None:
    held = await take(services, await add_expert())
    clock.advance(minutes=5)
    with pytest.raises(HoldNotFound):
        await services.holds.renew(held.id)


async def test_release_frees_a_hold_immediately_and_once(services: Services, add_expert: AddExpert, book: Book) -> None:
    expert = await add_expert()
    held = await take(services, expert)
    await services.holds.release(held.id)
    assert (await states(services, expert))[NINE] is SlotState.OPEN
    with pytest.raises(HoldNotFound):
        await services.holds.release(held.id)
    await book(expert, NINE)


async def test_holds_per_network_are_limited(many_connections: Services, add_expert: AddExpert, clock: Clock) -> None:
    expert, origin = await add_expert(), b"o" * 32
    wanted = [NINE + n * HOUR for n in range(8)]
    taken = await asyncio.gather(
        *(take(many_connections, expert, start, origin=origin) for start in wanted), return_exceptions=True
    )
    assert sum(isinstance(one, HoldView) for one in taken) == 3
    assert sum(isinstance(one, TooManyHolds) for one in taken) == 5
    await take(many_connections, expert, NINE + 24 * HOUR, origin=b"p" * 32)
    clock.advance(minutes=5)
    await take(many_connections, expert, NINE + 25 * HOUR, origin=origin)


async def test_holds_per_minute_are_limited_and_retry_after_is_exact(
    database: Database, add_expert: AddExpert, clock: Clock, sql: Connection
) -> None:
    services = Services(database, clock=clock, holds=HoldRules(per_minute=3))
    expert, origin = await add_expert(), b"o" * 32
    for _ in range(3):
        held = await take(services, expert, origin=origin)
        await services.holds.release(held.id)
        clock.advance(seconds=10)
    for wait in (30, 20):  # 60 seconds after the first
        with pytest.raises(TooManyHoldsPerMinute) as refused:
            await take(services, expert, origin=origin)
        assert refused.value.retry_after == wait
        clock.advance(seconds=10)
    await take(services, expert, NINE + HOUR, origin=b"p" * 32)
    clock.advance(seconds=10, microseconds=-1)
    with pytest.raises(TooManyHoldsPerMinute) as refused:
        await take(services, expert, origin=origin)
    assert refused.value.retry_after == 1
    clock.advance(microseconds=1)
    await take(services, expert, origin=origin)
    with pytest.raises(TooManyHoldsPerMinute) as refused:
        await take(services, expert, NINE + 2 * HOUR, origin=origin)
    assert refused.value.retry_after == 10


@pytest.mark.parametrize("becomes", ["released", "booked", "replaced", "lapsed"])
async def test_every_started_hold_counts_for_the_rate_limit(
    database: Database, add_expert: AddExpert, clock: Clock, becomes: str
) -> None:
    services = Services(database, clock=clock, holds=HoldRules(minutes=0.1, per_minute=2))
    expert, origin = await add_expert(), b"o" * 32
    for hour in range(2):
        start = NINE + hour * HOUR
        visitor = ADA if becomes == "replaced" else None
        held = await take(services, expert, start, origin=origin, visitor=visitor)
        if becomes == "released":
            await services.holds.release(held.id)
        elif becomes == "booked":
            await services.bookings.book(booking_request(expert, start, hold_id=held.id))
        elif becomes == "lapsed":
            clock.advance(seconds=6)
            await services.deadlines.drain()
    with pytest.raises(TooManyHoldsPerMinute):
        await take(services, expert, NINE + 3 * HOUR, origin=origin, visitor=ADA if becomes == "replaced" else None)


async def test_refused_and_existing_holds_do_not_count_for_the_rate_limit(
    database: Database, add_expert: AddExpert, book: Book, clock: Clock, sql: Connection
) -> None:
    services = Services(database, clock=clock, holds=HoldRules(per_minute=2))
    expert, origin = await add_expert(), b"o" * 32
    await book(expert, NINE)
    for _ in range(3):
        with pytest.raises(SlotTaken):
            await take(services, expert, origin=origin)
    for _ in range(3):
        await take(services, expert, NINE + HOUR, origin=origin, visitor=ADA)
    await take(services, expert, NINE + 2 * HOUR, origin=origin, visitor=BOB)
    with pytest.raises(TooManyHoldsPerMinute):
        await take(services, expert, NINE + 3 * HOUR, origin=origin, visitor=BOB)
    # The old hold is kept.
    assert (await services.holds.for_visitor(BOB)) is not None
    assert sql.execute("SELECT count(*) FROM network_hold").fetchone() == (2,)


async def test_started_holds_are_forgotten_after_a_minute(
    services: Services, add_expert: AddExpert, clock: Clock, sql: Connection
) -> None:
    expert = await add_expert()
    await take(services, expert, origin=b"o" * 32)
    clock.advance(seconds=30)
    await take(services, expert, NINE + HOUR, origin=b"o" * 32)
    clock.advance(seconds=30)
    await services.deadlines.sweep()
    assert sql.execute("SELECT count(*) FROM network_hold").fetchone() == (1,)


async def test_existing_hold_can_be_replaced_when_its_network_is_at_the_limit(
    many_connections: Services, add_expert: AddExpert
) -> None:
    expert, origin = await add_expert(), b"o" * 32
    for visitor in (ADA, BOB, b"c" * 32):
        await take(many_connections, expert, NINE + visitor[0] % 7 * HOUR, visitor=visitor, origin=origin)
    await take(many_connections, expert, NINE + 24 * HOUR, visitor=ADA, origin=origin)
    with pytest.raises(TooManyHolds):
        await take(many_connections, expert, NINE + 25 * HOUR, visitor=b"d" * 32, origin=origin)


async def test_one_of_thirty_concurrent_holds_succeeds(
    many_connections: Services, add_expert: AddExpert, sql: Connection
) -> None:
    expert = await add_expert()
    taken = await asyncio.gather(
        *(take(many_connections, expert, visitor=bytes([n]) * 32) for n in range(30)), return_exceptions=True
    )
    assert sum(isinstance(one, HoldView) for one in taken) == 1
    assert sum(isinstance(one, SlotTaken) for one in taken) == 29
    assert [row[1] for row in rows(sql)] == ["held"]


async def test_one_of_concurrent_holds_and_bookings_succeeds(
    many_connections: Services, add_expert: AddExpert, sql: Connection
) -> None:
    expert = await add_expert()
    holding = (take(many_connections, expert, visitor=bytes([n]) * 32) for n in range(12))
    booking = (many_connections.bookings.book(booking_request(expert, NINE)) for _ in range(12))
    done = await asyncio.gather(*holding, *booking, return_exceptions=True)
    assert sum(isinstance(one, SlotTaken) for one in done) == 23
    assert len(rows(sql)) == 1


async def test_two_tabs_of_one_browser_end_with_one_hold(
    many_connections: Services, add_expert: AddExpert, sql: Connection
) -> None:
    expert = await add_expert()
    for _ in range(5):
        await asyncio.gather(*(take(many_connections, expert, NINE + n * HOUR, visitor=ADA) for n in range(6)))
    assert sql.execute("SELECT count(*) FROM booking WHERE status = 'held'").fetchone() == (1,)


async def test_visitors_who_swap_slots_never_get_the_same_slot(
    many_connections: Services, add_expert: AddExpert, sql: Connection
) -> None:
    expert = await add_expert()
    for _ in range(5):
        await take(many_connections, expert, NINE, visitor=ADA)
        await take(many_connections, expert, NINE + HOUR, visitor=BOB)
        done = await asyncio.gather(
            take(many_connections, expert, NINE + HOUR, visitor=ADA),
            take(many_connections, expert, NINE, visitor=BOB),
            return_exceptions=True,
        )
        assert all(isinstance(one, HoldView | SlotTaken) for one in done), done
        assert sql.execute("SELECT count(DISTINCT starts_at) FROM booking WHERE status = 'held'").fetchone() == (2,)
        sql.execute("DELETE FROM booking")


async def test_at_the_expiry_of_a_hold_either_its_owner_or_the_next_visitor_wins(
    many_connections: Services, add_expert: AddExpert, clock: Clock, sql: Connection
) -> None:
    expert = await add_expert()
    for day in range(8):
        start = NINE + day * 24 * HOUR
        held = await take(many_connections, expert, start, visitor=ADA)
        clock.now = held.hold_until - (day % 2) * timedelta(microseconds=1)
        done = await asyncio.gather(
            many_connections.bookings.book(booking_request(expert, start, hold_id=held.id), visitor=ADA),
            *(
                many_connections.bookings.book(booking_request(expert, start, email="bob@example.com"))
                for _ in range(3)
            ),
            many_connections.deadlines.drain(),
            return_exceptions=True,
        )
        assert sum(isinstance(one, SlotTaken) for one in done) == 3, done
        live = sql.execute("SELECT email FROM booking WHERE starts_at = %s AND status = 'pending'", [start]).fetchall()
        assert len(live) == 1
        if day % 2:
            assert live == [("ada@example.com",)]  # the hold has not expired, so no one else can take it


async def test_hold_of_another_time_is_refused_by_field(services: Services, add_expert: AddExpert, book: Book) -> None:
    expert = await add_expert()
    held = await take(services, expert)
    with pytest.raises(FieldsWrong) as refused:
        await book(expert, NINE + HOUR, hold_id=held.id)
    assert list(refused.value.errors) == ["holdId"]


async def test_hold_preserves_the_notice_but_not_a_session_that_has_begun(
    services: Services, add_expert: AddExpert, book: Book, clock: Clock
) -> None:
    expert = await add_expert(notice_minutes=60)
    clock.now = NINE - HOUR
    held = await take(services, expert)
    clock.advance(minutes=3)
    with pytest.raises(SlotNotOffered):
        await book(expert, NINE + HOUR / 60)
    assert (await book(expert, NINE, hold_id=held.id)).id == held.id


async def test_day_off_overrides_a_hold(services: Services, add_expert: AddExpert, book: Book, sql: Connection) -> None:
    expert = await add_expert()
    held = await take(services, expert)
    sql.execute(
        "INSERT INTO day_off (expert_id, first_day, last_day) VALUES (%s, '2026-11-24', '2026-11-24')", [expert]
    )
    with pytest.raises(SlotNotOffered) as refused:
        await book(expert, NINE, hold_id=held.id)
    assert refused.value.blocker.reason is Reason.DAY_OFF


async def test_changed_session_length_applies_when_a_hold_is_booked(
    services: Services, add_expert: AddExpert, book: Book, sql: Connection
) -> None:
    expert = await add_expert()
    held = await take(services, expert)
    sql.execute("UPDATE session_type SET minutes = 30")
    made = await book(expert, NINE, hold_id=held.id)
    assert made.ends_at - made.starts_at == HOUR / 2
    assert [row[1] for row in rows(sql)] == ["expired", "pending"]


async def test_holds_count_for_a_cap_and_return_their_place(
    many_connections: Services, add_expert: AddExpert, clock: Clock
) -> None:
    expert = await add_expert(daily_cap=1)
    held = await take(many_connections, expert, visitor=ADA)
    with pytest.raises(SlotNotOffered) as refused:
        await take(many_connections, expert, NINE + HOUR, visitor=BOB)
    assert refused.value.blocker.reason is Reason.DAY_FULL
    replaced = await take(many_connections, expert, NINE + HOUR, visitor=ADA)
    made = await many_connections.bookings.book(booking_request(expert, NINE + HOUR, hold_id=replaced.id), visitor=ADA)
    assert (made.id, held.id) == (replaced.id, held.id)
    other = await take(many_connections, expert, NINE + 24 * HOUR, visitor=BOB)
    clock.now = other.hold_until
    assert (await many_connections.bookings.book(booking_request(expert, NINE + 26 * HOUR))).status is Status.PENDING


async def test_form_sent_twice_makes_one_booking_of_the_hold(
    many_connections: Services, add_expert: AddExpert, sql: Connection
) -> None:
    expert, submission = await add_expert(), uuid4()
    held = await take(many_connections, expert, visitor=ADA)
    request = booking_request(expert, NINE, hold_id=held.id)
    made = await asyncio.gather(
        *(many_connections.bookings.book(request, visitor=ADA, submission=submission) for _ in range(10))
    )
    assert {one.id for one in made} == {held.id}
    assert len(rows(sql)) == 1


# --- expiry -----------------------------------------------------------------------------------------------------


async def test_expired_holds_are_recorded_as_expired(
    services: Services, add_expert: AddExpert, clock: Clock, sql: Connection
) -> None:
    expert = await add_expert()
    held = await take(services, expert, origin=b"o" * 32)
    await take(services, expert, NINE + HOUR, visitor=BOB)
    sql.execute("UPDATE booking SET hold_until = hold_until + interval '1 second' WHERE visitor IS NOT NULL")
    clock.now = held.hold_until
    await services.deadlines.drain()
    assert [row[1] for row in rows(sql)] == ["expired", "held"]
    assert sql.execute("SELECT hold_origin FROM booking WHERE status = 'expired'").fetchone() == (None,)


async def test_unused_holds_are_deleted_after_a_day_and_bookings_never(
    services: Services, add_expert: AddExpert, book: Book, clock: Clock, sql: Connection
) -> None:
    expert = await add_expert()
    held = await take(services, expert)
    await services.holds.release(held.id)
    await book(expert, NINE)
    sql.execute("UPDATE booking SET status = 'expired' WHERE email IS NOT NULL")
    sql.execute("UPDATE booking SET updated_at = %s", [clock() - timedelta(hours=23)])
    await services.deadlines.sweep()
    assert len(rows(sql)) == 2
    clock.advance(hours=2)
    await services.deadlines.sweep()
    assert [row[2] for row in rows(sql)] == ["ada@example.com"]
    changes = sql.execute("SELECT count(*) FROM booking_change WHERE booking_id = %s", [held.id]).fetchone()
    assert changes == (0,)  # an unused hold leaves no history
