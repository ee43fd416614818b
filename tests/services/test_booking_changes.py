"""Changes of an existing booking: concurrency, rescheduling, cancelling, deadlines and history."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from itertools import combinations
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg.errors import RaiseException

from expert_booking.db.engine import Database
from expert_booking.domain.calendar import SlotState
from expert_booking.domain.errors import (
    BookingNotFound,
    CancelTooLate,
    Forbidden,
    HoldNotFound,
    NoReschedulesLeft,
    NotAuthenticated,
    RescheduleNotAllowed,
    RescheduleTooLate,
    SlotNotOffered,
    SlotTaken,
    StatusChangeNotAllowed,
)
from expert_booking.domain.lifecycle import Status
from expert_booking.domain.limits import NO_LIMITS
from expert_booking.domain.terms import Confirmation
from expert_booking.domain.unavailability import Reason
from expert_booking.schemas import BookingView, Caller, HoldRequest, HoldView, Role
from expert_booking.services import Services
from tests.conftest import MONDAY_MORNING, AddExpert, Book, Clock, booking_request, customer_caller
from tests.services.conftest import Counted

Connection = psycopg.Connection[tuple[Any, ...]]
NINE = datetime(2026, 11, 24, 8, tzinfo=UTC)  # 09:00 in Berlin
HOUR, MINUTE, DAY, INSTANT = timedelta(hours=1), timedelta(minutes=1), timedelta(days=1), timedelta(microseconds=1)
ADA, BOB = b"a" * 32, b"b" * 32
ADMIN = Caller(role=Role.ADMIN, token_id=uuid4())


@pytest.fixture
async def many_connections(database_url: str, clock: Clock) -> AsyncIterator[Services]:
    """The services with connections for many concurrent calls."""
    database = Database(database_url, pool_size=30)
    yield Services(database, clock=clock, limits=NO_LIMITS)
    await database.close()


@pytest.fixture
async def other_process(database_url: str, clock: Clock) -> AsyncIterator[Services]:
    """The services of another process."""
    database = Database(database_url)
    yield Services(database, clock=clock, limits=NO_LIMITS)
    await database.close()


def stored_times(sql: Connection) -> list[tuple[datetime, str]]:
    """The stored starts and statuses."""
    return sql.execute("SELECT starts_at, status FROM booking ORDER BY starts_at, status").fetchall()  # type: ignore[return-value]


def history_rows(sql: Connection, *columns: str) -> list[tuple[Any, ...]]:
    """These columns of the history, oldest first."""
    return sql.execute(f"SELECT {', '.join(columns)} FROM booking_change ORDER BY id").fetchall()


def deadlocks(sql: Connection) -> int:
    """The number of deadlocks in this database."""
    sql.execute("SELECT pg_stat_force_next_flush()")
    sql.execute("SELECT pg_stat_clear_snapshot()")
    found = sql.execute("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()").fetchone()
    return int(found[0]) if found else 0


def count_of(done: list[Any], kind: type[Any]) -> int:
    """The number of results of this type."""
    return sum(isinstance(one, kind) for one in done)


async def run_concurrently(*work: Any) -> list[Any]:
    """Run everything concurrently; return results and exceptions."""
    return await asyncio.gather(*work, return_exceptions=True)


# --- concurrency ------------------------------------------------------------------------------------------------


async def test_one_of_concurrent_confirmation_and_cancellation_succeeds(
    many_connections: Services, add_expert: AddExpert, book: Book, sql: Connection
) -> None:
    expert = await add_expert()
    for hour in range(8):
        made = await book(expert, NINE + hour * HOUR, visitor=ADA)
        before = len(history_rows(sql, "id"))
        done = await run_concurrently(
            *(many_connections.bookings.change_status(made.id, Status.CONFIRMED, ADMIN) for _ in range(3)),
            *(many_connections.bookings.change_status(made.id, Status.DECLINED, ADMIN) for _ in range(3)),
        )
        assert (count_of(done, BookingView), count_of(done, StatusChangeNotAllowed)) == (1, 5)
        winner = next(one for one in done if isinstance(one, BookingView))
        assert (await many_connections.bookings.get(made.id, ADMIN)).status is winner.status
        assert len(history_rows(sql, "id")) == before + 1


async def test_one_of_concurrent_customer_and_host_cancellations_is_recorded(
    many_connections: Services, add_expert: AddExpert, book: Book, sql: Connection
) -> None:
    expert = await add_expert(confirmation=Confirmation.INSTANT)
    for hour in range(8):
        made = await book(expert, NINE + hour * HOUR, visitor=ADA)
        done = await run_concurrently(
            *(
                many_connections.bookings.change_status(made.id, Status.CANCELLED, ADMIN, reason="host")
                for _ in range(3)
            ),
            *(
                many_connections.bookings.change_status(
                    made.id, Status.CANCELLED, customer_caller(ADA), reason="customer"
                )
                for _ in range(3)
            ),
        )
        assert (count_of(done, BookingView), count_of(done, StatusChangeNotAllowed)) == (1, 5)
        actor = "admin" if count_of(done[:3], BookingView) else "customer"
        assert history_rows(sql, "actor", "to_status", "from_status")[-1] == (actor, "cancelled", "confirmed")
        assert sum(row == ("cancelled",) for row in history_rows(sql, "to_status")) == hour + 1


async def test_one_of_ten_bookings_rescheduled_into_a_slot_succeeds_and_the_rest_keep_theirs(
    many_connections: Services, add_expert: AddExpert, book: Book, sql: Connection
) -> None:
    expert = await add_expert(minutes=30, step_minutes=30)
    ours = [await book(expert, NINE + n * 30 * MINUTE, visitor=bytes([n]) * 32) for n in range(10)]
    for day in range(1, 4):
        target = NINE + day * DAY
        done = await run_concurrently(*(many_connections.bookings.reschedule(one.id, target, ADMIN) for one in ours))
        assert (count_of(done, BookingView), count_of(done, SlotTaken)) == (1, 9), done
        assert len({start for start, _ in stored_times(sql)}) == 10
        assert sum(start == target for start, _ in stored_times(sql)) == 1
        assert len([row for row in history_rows(sql, "from_starts_at", "to_starts_at") if row[1] == target]) == 1
    assert deadlocks(sql) == 0


async def test_concurrent_reschedules_to_overlapping_times_neither_overlap_nor_deadlock(
    many_connections: Services, add_expert: AddExpert, book: Book, sql: Connection
) -> None:
    expert = await add_expert(step_minutes=15)
    ours = [await book(expert, NINE + n * HOUR) for n in range(7)]
    for day in (1, 2, 3):
        wanted = [NINE + day * DAY + n * 15 * MINUTE for n in range(7)]
        done = await run_concurrently(
            *(many_connections.bookings.reschedule(one.id, to, ADMIN) for one, to in zip(ours, wanted, strict=True))
        )
        assert count_of(done, BookingView) + count_of(done, SlotTaken) == 7, done
        starts = [start for start, _ in stored_times(sql)]
        assert all(abs(one - other) >= HOUR for one, other in combinations(starts, 2))
    assert deadlocks(sql) == 0


async def test_one_of_concurrent_reschedules_bookings_and_holds_gets_the_slot(
    many_connections: Services, add_expert: AddExpert, book: Book, sql: Connection
) -> None:
    expert = await add_expert()
    ours = [await book(expert, NINE + n * HOUR) for n in range(6)]
    for day in range(1, 6):
        target = NINE + day * DAY
        done = await run_concurrently(
            *(many_connections.bookings.reschedule(one.id, target, ADMIN) for one in ours),
            *(many_connections.bookings.book(booking_request(expert, target)) for _ in range(6)),
            *(
                many_connections.holds.take(HoldRequest(expert_id=expert, starts_at=target), visitor=bytes([n]) * 32)
                for n in range(6)
            ),
        )
        assert (count_of(done, BookingView | HoldView), count_of(done, SlotTaken)) == (1, 17), done  # type: ignore[arg-type]
        assert sum(start == target for start, _ in stored_times(sql)) == 1
    assert deadlocks(sql) == 0


async def test_one_of_two_concurrent_reschedules_of_a_booking_succeeds(
    many_connections: Services, add_expert: AddExpert, book: Book, sql: Connection
) -> None:
    expert = await add_expert()
    made = await book(expert, NINE, visitor=ADA)
    for day in range(1, 6):
        wanted = [NINE + day * DAY + n * HOUR for n in range(4)]
        moves = len(history_rows(sql, "id"))
        done = await run_concurrently(*(many_connections.bookings.reschedule(made.id, to, ADMIN) for to in wanted))
        # A waiting call finds the booking changed; a later one reschedules it again.
        assert count_of(done, BookingView) >= 1
        assert count_of(done, BookingView) + count_of(done, RescheduleNotAllowed) == 4, done
        assert len(stored_times(sql)) == 1
        assert len(history_rows(sql, "id")) == moves + count_of(done, BookingView)


async def test_concurrent_reschedule_and_cancellation_leave_a_consistent_history(
    many_connections: Services, add_expert: AddExpert, book: Book, sql: Connection
) -> None:
    expert = await add_expert()
    for hour in range(8):
        made = await book(expert, NINE + hour * HOUR, visitor=ADA)
        target = NINE + DAY + hour * HOUR
        rescheduled, cancelled = await run_concurrently(
            many_connections.bookings.reschedule(made.id, target, customer_caller(ADA)),
            many_connections.bookings.change_status(made.id, Status.CANCELLED, ADMIN),
        )
        now = await many_connections.bookings.get(made.id, ADMIN)
        if isinstance(cancelled, BookingView):
            assert now.status is Status.CANCELLED
            assert now.starts_at == (target if isinstance(rescheduled, BookingView) else made.starts_at)
        else:
            assert isinstance(cancelled, StatusChangeNotAllowed)
            assert isinstance(rescheduled, BookingView)
            assert (now.status, now.starts_at) == (Status.PENDING, target)
        assert isinstance(rescheduled, BookingView | RescheduleNotAllowed)
    assert deadlocks(sql) == 0


async def test_stale_version_changes_nothing(
    services: Services, add_expert: AddExpert, book: Book, sql: Connection
) -> None:
    expert, bookings = await add_expert(), services.bookings
    made = await book(expert, NINE, visitor=ADA)
    for change, refusal in (
        (bookings.change_status(made.id, Status.CONFIRMED, ADMIN), StatusChangeNotAllowed),
        (bookings.change_status(made.id, Status.CANCELLED, customer_caller(ADA)), StatusChangeNotAllowed),
        (bookings.reschedule(made.id, NINE + HOUR, ADMIN), RescheduleNotAllowed),
        (bookings.reschedule(made.id, NINE + HOUR, customer_caller(ADA)), RescheduleNotAllowed),
    ):
        with sql.transaction():
            sql.execute("UPDATE booking SET notes = notes || 'x', version = version + 1")
            waiting = asyncio.create_task(change)
            await until_lock_wait(sql)
        with pytest.raises(refusal, match="just changed this booking"):
            await waiting
    assert stored_times(sql) == [(NINE, "pending")]
    assert len(history_rows(sql, "id")) == 1


async def test_two_bookings_that_swap_times_both_keep_their_own(
    many_connections: Services, add_expert: AddExpert, book: Book, sql: Connection
) -> None:
    expert = await add_expert()
    first, second = await book(expert, NINE, visitor=ADA), await book(expert, NINE + HOUR, visitor=BOB)
    for _ in range(5):
        done = await run_concurrently(
            many_connections.bookings.reschedule(first.id, NINE + HOUR, customer_caller(ADA)),
            many_connections.bookings.reschedule(second.id, NINE, customer_caller(BOB)),
        )
        assert count_of(done, SlotTaken) == 2, done
    assert (await many_connections.bookings.get(first.id, ADMIN)).starts_at == NINE
    assert (await many_connections.bookings.get(second.id, ADMIN)).starts_at == NINE + HOUR
    assert deadlocks(sql) == 0


async def test_reschedules_of_many_experts_do_not_wait_for_each_other(
    many_connections: Services, add_expert: AddExpert, book: Book, sql: Connection
) -> None:
    ours = [await book(await add_expert(name=f"Expert {n}"), NINE) for n in range(20)]
    done = await run_concurrently(*(many_connections.bookings.reschedule(one.id, NINE + HOUR, ADMIN) for one in ours))
    assert count_of(done, BookingView) == 20
    with sql.transaction():
        sql.execute("SELECT pg_advisory_xact_lock(hashtextextended('reschedule ' || %s::text, 0))", [ours[0].expert_id])
        waiting = asyncio.create_task(many_connections.bookings.reschedule(ours[0].id, NINE, ADMIN))
        assert (await many_connections.bookings.reschedule(ours[1].id, NINE, ADMIN)).starts_at == NINE
        assert not waiting.done()
    assert (await waiting).starts_at == NINE


async def test_reschedules_into_a_capped_day_are_limited_to_its_free_places(
    many_connections: Services, add_expert: AddExpert, book: Book, sql: Connection
) -> None:
    expert = await add_expert(daily_cap=2, horizon_days=30)
    ours = [await book(expert, NINE + n * DAY) for n in range(1, 9)]
    done = await run_concurrently(
        *(many_connections.bookings.reschedule(one.id, NINE + n * HOUR, ADMIN) for n, one in enumerate(ours))
    )
    assert (count_of(done, BookingView), count_of(done, SlotNotOffered)) == (2, 6), done
    assert sorted(sql.execute("SELECT cap_place FROM booking WHERE cap_day = '2026-11-24'").fetchall()) == [(1,), (2,)]
    assert deadlocks(sql) == 0


async def test_reschedules_and_bookings_share_the_places_of_a_day(
    many_connections: Services, add_expert: AddExpert, book: Book, sql: Connection
) -> None:
    expert = await add_expert(daily_cap=3, horizon_days=30)
    ours = [await book(expert, NINE + n * DAY) for n in range(1, 5)]
    done = await run_concurrently(
        *(many_connections.bookings.reschedule(one.id, NINE + n * HOUR, ADMIN) for n, one in enumerate(ours)),
        *(many_connections.bookings.book(booking_request(expert, NINE + (4 + n) * HOUR)) for n in range(4)),
    )
    assert (count_of(done, BookingView), count_of(done, SlotNotOffered) + count_of(done, SlotTaken)) == (3, 5), done
    places = sql.execute("SELECT cap_place FROM booking WHERE cap_day = '2026-11-24' ORDER BY 1").fetchall()
    assert places == [(1,), (2,), (3,)]


# --- rescheduling -----------------------------------------------------------------------------------------------


async def test_rescheduled_booking_is_the_same_row_at_another_time(
    services: Services, add_expert: AddExpert, book: Book, sql: Connection
) -> None:
    expert = await add_expert(before_minutes=5, after_minutes=10, step_minutes=15)
    made = await book(expert, NINE, visitor=ADA)
    rescheduled = await services.bookings.reschedule(made.id, NINE + DAY, customer_caller(ADA))
    assert (rescheduled.id, rescheduled.starts_at, rescheduled.ends_at) == (made.id, NINE + DAY, NINE + DAY + HOUR)
    assert (rescheduled.status, rescheduled.version, rescheduled.created_at) == (
        made.status,
        made.version + 1,
        made.created_at,
    )
    row = sql.execute("SELECT count(*) OVER (), lower(busy), upper(busy) FROM booking").fetchone()
    assert row == (1, NINE + DAY - 5 * MINUTE, NINE + DAY + 70 * MINUTE)
    board = {slot.starts_at: slot.state for slot in (await services.availability.board(expert)).slots}
    assert (board[NINE], board[NINE + DAY]) == (SlotState.OPEN, SlotState.BOOKED)


async def test_failed_reschedule_keeps_the_old_time_and_returns_the_nearest_free_slots(
    services: Services, add_expert: AddExpert, book: Book, sql: Connection
) -> None:
    expert = await add_expert()
    made = await book(expert, NINE, visitor=ADA)
    await book(expert, NINE + 3 * HOUR)
    before = sql.execute("SELECT b::text FROM booking b ORDER BY id").fetchall()
    with pytest.raises(SlotTaken) as taken:
        await services.bookings.reschedule(made.id, NINE + 3 * HOUR, customer_caller(ADA))
    assert NINE + 2 * HOUR in taken.value.alternatives
    assert not {NINE, NINE + 3 * HOUR} & set(taken.value.alternatives)
    with pytest.raises(SlotNotOffered):
        await services.bookings.reschedule(made.id, NINE - 5 * HOUR, customer_caller(ADA))
    assert sql.execute("SELECT b::text FROM booking b ORDER BY id").fetchall() == before
    with pytest.raises(SlotTaken):
        await book(expert, NINE)


async def test_booking_can_be_rescheduled_to_a_time_that_overlaps_its_own(
    services: Services, add_expert: AddExpert, book: Book, sql: Connection
) -> None:
    expert = await add_expert(step_minutes=15, after_minutes=10)
    made = await book(expert, NINE, visitor=ADA)
    for start in (NINE + 15 * MINUTE, NINE, NINE + 45 * MINUTE):
        assert (await services.bookings.reschedule(made.id, start, customer_caller(ADA))).starts_at == start
    assert stored_times(sql) == [(NINE + 45 * MINUTE, "pending")]


async def test_rescheduling_to_the_same_time_changes_nothing(
    services: Services, add_expert: AddExpert, book: Book, sql: Connection
) -> None:
    made = await book(await add_expert(max_reschedules=1), NINE, visitor=ADA)
    assert (await services.bookings.reschedule(made.id, NINE, customer_caller(ADA))).reschedules_left == 1
    assert (await services.bookings.reschedule(made.id, NINE, ADMIN)).version == made.version
    assert len(history_rows(sql, "id")) == 1


async def test_rescheduling_takes_a_place_of_the_new_day_and_returns_the_old_one(
    services: Services, add_expert: AddExpert, book: Book, sql: Connection
) -> None:
    expert = await add_expert(daily_cap=2)
    first, second = await book(expert, NINE, visitor=ADA), await book(expert, NINE + HOUR, visitor=ADA)
    await book(expert, NINE + DAY)
    with pytest.raises(SlotNotOffered):
        await book(expert, NINE + 2 * HOUR)
    await services.bookings.reschedule(second.id, NINE + 2 * HOUR, customer_caller(ADA))  # within its own full day
    await services.bookings.reschedule(first.id, NINE + DAY + HOUR, customer_caller(ADA))
    with pytest.raises(SlotNotOffered) as full:
        await services.bookings.reschedule(second.id, NINE + DAY + 2 * HOUR, customer_caller(ADA))
    assert full.value.blocker.reason is Reason.DAY_FULL
    await book(expert, NINE)
    places = sql.execute("SELECT cap_day::text, cap_place FROM booking ORDER BY 1, 2").fetchall()
    assert places == [("2026-11-24", 1), ("2026-11-24", 2), ("2026-11-25", 1), ("2026-11-25", 2)]


async def test_rescheduling_across_midnight_counts_on_the_experts_day(
    services: Services, add_expert: AddExpert, book: Book, sql: Connection
) -> None:
    expert = await add_expert(time_zone="Asia/Tokyo", hours=(0, 1440), daily_cap=1)
    midnight = datetime(2026, 11, 24, 15, tzinfo=UTC)  # of the 25th in Tokyo
    made = await book(expert, midnight - HOUR, visitor=ADA)
    await services.bookings.reschedule(made.id, midnight, customer_caller(ADA))
    assert sql.execute("SELECT cap_day::text FROM booking").fetchall() == [("2026-11-25",)]
    await book(expert, midnight - HOUR)


async def test_expired_hold_does_not_block_a_reschedule_and_a_live_one_does(
    services: Services, add_expert: AddExpert, book: Book, clock: Clock, sql: Connection
) -> None:
    expert = await add_expert(daily_cap=2)
    made = await book(expert, NINE, visitor=ADA)
    held = [
        await services.holds.take(
            HoldRequest(expert_id=expert, starts_at=NINE + DAY + n * HOUR), visitor=bytes([n]) * 32
        )
        for n in range(2)
    ]
    clock.now = held[0].hold_until - INSTANT
    with pytest.raises(SlotTaken) as refused:
        await services.bookings.reschedule(made.id, NINE + DAY, customer_caller(ADA))
    assert refused.value.blocker.reason is Reason.HELD
    clock.now = held[0].hold_until
    await services.bookings.reschedule(made.id, NINE + DAY, customer_caller(ADA))
    assert stored_times(sql) == [(NINE + DAY, "expired"), (NINE + DAY, "pending"), (NINE + DAY + HOUR, "expired")]


async def test_customer_reschedules_until_the_exact_cut_off_and_the_host_always(
    services: Services, add_expert: AddExpert, book: Book, clock: Clock
) -> None:
    expert = await add_expert(reschedule_notice_minutes=1440, cancel_notice_minutes=0)
    made = await book(expert, NINE + DAY, visitor=ADA)
    clock.now = NINE
    assert made.reschedule_until == clock.now
    assert (
        await services.bookings.reschedule(made.id, NINE + DAY + HOUR, customer_caller(ADA))
    ).reschedule_until == NINE + HOUR
    clock.now = NINE + HOUR + INSTANT
    with pytest.raises(RescheduleTooLate) as late:
        await services.bookings.reschedule(made.id, NINE + 2 * DAY, customer_caller(ADA))
    assert str(late.value) == "This session can only be rescheduled until 1 day before the start."
    await services.bookings.reschedule(made.id, NINE + 2 * DAY, ADMIN)


async def test_only_reschedules_by_the_customer_count(
    services: Services, add_expert: AddExpert, book: Book, sql: Connection
) -> None:
    expert = await add_expert(max_reschedules=2)
    made = await book(expert, NINE, visitor=ADA)
    await services.bookings.reschedule(made.id, NINE + HOUR, ADMIN)
    assert (await services.bookings.reschedule(made.id, NINE + 2 * HOUR, customer_caller(ADA))).reschedules_left == 1
    with pytest.raises(SlotNotOffered):
        await services.bookings.reschedule(made.id, NINE - 5 * HOUR, customer_caller(ADA))
    assert (await services.bookings.reschedule(made.id, NINE + 3 * HOUR, customer_caller(ADA))).reschedules_left == 0
    with pytest.raises(NoReschedulesLeft) as refused:
        await services.bookings.reschedule(made.id, NINE + 4 * HOUR, customer_caller(ADA))
    assert str(refused.value) == "This booking has already been rescheduled twice and cannot be rescheduled again."
    assert (await services.bookings.reschedule(made.id, NINE + 4 * HOUR, ADMIN)).reschedules_left == 0
    assert sql.execute("SELECT reschedules FROM booking").fetchone() == (2,)


async def test_session_type_without_rescheduling_says_so(services: Services, add_expert: AddExpert, book: Book) -> None:
    made = await book(await add_expert(max_reschedules=0), NINE, visitor=ADA)
    with pytest.raises(NoReschedulesLeft) as refused:
        await services.bookings.reschedule(made.id, NINE + HOUR, customer_caller(ADA))
    assert str(refused.value) == "This session cannot be rescheduled."


async def test_rescheduling_a_request_earlier_moves_its_answer_deadline(
    services: Services, add_expert: AddExpert, book: Book
) -> None:
    expert = await add_expert(answer_minutes=2880)
    made = await book(expert, NINE + 4 * DAY, visitor=ADA)
    assert made.answer_by == MONDAY_MORNING + 2 * DAY
    later = await services.bookings.reschedule(made.id, NINE + 5 * DAY, customer_caller(ADA))
    assert later.answer_by == made.answer_by
    assert (await services.bookings.reschedule(made.id, NINE, customer_caller(ADA))).answer_by == NINE


@pytest.mark.parametrize(
    "status", [s for s in Status if s not in (Status.HELD, Status.PENDING, Status.CONFIRMED, Status.BLOCKED)]
)
async def test_finished_booking_is_not_rescheduled(
    services: Services, add_expert: AddExpert, book: Book, sql: Connection, status: Status
) -> None:
    made = await book(await add_expert(), NINE, visitor=ADA)
    sql.execute("UPDATE booking SET status = %s", [status])
    for work in (
        services.bookings.reschedule(made.id, NINE + HOUR, customer_caller(ADA)),
        services.bookings.reschedule(made.id, NINE + HOUR, ADMIN),
    ):
        with pytest.raises(RescheduleNotAllowed):
            await work


async def test_only_authorized_callers_reschedule_a_booking(
    services: Services, add_expert: AddExpert, book: Book
) -> None:
    expert, other = await add_expert(), await add_expert(name="Other One")
    made = await book(expert, NINE, visitor=ADA)
    with pytest.raises(BookingNotFound):
        await services.bookings.reschedule(made.id, NINE + HOUR, customer_caller(BOB))
    for caller, refusal in (
        (None, NotAuthenticated),
        (Caller(role=Role.READER), Forbidden),
        (Caller(role=Role.EXPERT, expert_id=other), Forbidden),
    ):
        with pytest.raises(refusal):
            await services.bookings.reschedule(made.id, NINE + HOUR, caller)
        with pytest.raises(refusal):
            await services.bookings.history(made.id, caller)
    with pytest.raises(BookingNotFound):
        await services.bookings.reschedule(uuid4(), NINE + HOUR, ADMIN)
    await services.bookings.reschedule(made.id, NINE + HOUR, Caller(role=Role.EXPERT, expert_id=expert))


async def test_number_of_statements_of_a_reschedule_is_independent_of_the_calendar(
    services: Services, add_expert: AddExpert, book: Book, counted: Counted
) -> None:
    costs = set()
    for full in (False, True):
        expert = await add_expert(name=f"Expert {full}", daily_cap=5 if full else None)
        made = await book(expert, NINE, visitor=ADA)
        for hour in range(1, 4 if full else 1):
            await book(expert, NINE + DAY + hour * HOUR)
        with counted() as sent:
            await services.bookings.reschedule(made.id, NINE + DAY, customer_caller(ADA))
        costs.add(len(sent))
    assert len(costs) == 1
    assert costs.pop() <= 10


# --- cancelling -------------------------------------------------------------------------------------------------


async def test_customer_cancels_until_the_exact_cut_off_and_the_host_always(
    services: Services, add_expert: AddExpert, book: Book, clock: Clock, sql: Connection
) -> None:
    expert = await add_expert(cancel_notice_minutes=120)
    in_time, late = await book(expert, NINE, visitor=ADA), await book(expert, NINE + HOUR, visitor=ADA)
    clock.now = in_time.cancel_until
    assert (
        await services.bookings.change_status(in_time.id, Status.CANCELLED, customer_caller(ADA))
    ).status is Status.CANCELLED
    clock.now = late.cancel_until + INSTANT
    with pytest.raises(CancelTooLate) as refused:
        await services.bookings.change_status(late.id, Status.CANCELLED, customer_caller(ADA))
    assert str(refused.value) == "This session can only be cancelled until 2 hours before the start."
    assert stored_times(sql) == [(NINE, "cancelled"), (NINE + HOUR, "pending")]
    own = Caller(role=Role.EXPERT, expert_id=expert)
    assert (await services.bookings.change_status(late.id, Status.CANCELLED, own)).status is Status.CANCELLED


async def test_cancellation_needs_the_same_browser_and_works_once(
    services: Services, add_expert: AddExpert, book: Book
) -> None:
    made = await book(await add_expert(cancel_notice_minutes=30_000), NINE, visitor=ADA)
    with pytest.raises(BookingNotFound):
        await services.bookings.change_status(made.id, Status.CANCELLED, customer_caller(BOB))
    await services.bookings.change_status(made.id, Status.CANCELLED, ADMIN)
    with pytest.raises(StatusChangeNotAllowed):
        await services.bookings.change_status(made.id, Status.CANCELLED, customer_caller(ADA))


# --- deadlines --------------------------------------------------------------------------------------------------


async def test_unanswered_request_expires_exactly_when_due(
    services: Services, add_expert: AddExpert, book: Book, clock: Clock, sql: Connection
) -> None:
    expert = await add_expert(answer_minutes=60)
    made = await book(expert, NINE)
    assert made.answer_by == clock() + HOUR
    clock.now = made.answer_by - INSTANT
    await services.deadlines.drain()
    assert stored_times(sql) == [(NINE, "pending")]
    clock.now = made.answer_by
    await services.deadlines.drain()
    assert stored_times(sql) == [(NINE, "expired")]
    assert history_rows(sql, "actor", "reason")[-1] == ("system", "not answered in time")
    await book(expert, NINE)


async def test_request_for_an_early_start_expires_when_the_session_begins(
    services: Services, add_expert: AddExpert, book: Book, clock: Clock, sql: Connection
) -> None:
    made = await book(await add_expert(answer_minutes=2880), NINE - 22 * HOUR)
    assert made.answer_by == made.starts_at
    clock.now = made.starts_at
    await services.deadlines.drain()
    assert stored_times(sql)[0][1] == "expired"


async def test_request_without_a_stored_deadline_expires_when_the_session_begins(
    services: Services, add_expert: AddExpert, book: Book, clock: Clock, sql: Connection
) -> None:
    await book(await add_expert(), NINE)
    sql.execute("UPDATE booking SET answer_by = NULL")
    clock.now = NINE - INSTANT
    await services.deadlines.drain()
    assert stored_times(sql) == [(NINE, "pending")]
    clock.now = NINE
    await services.deadlines.drain()
    assert stored_times(sql) == [(NINE, "expired")]


async def test_answered_request_does_not_expire(
    services: Services, add_expert: AddExpert, book: Book, clock: Clock, sql: Connection
) -> None:
    made = await book(await add_expert(answer_minutes=60), NINE)
    await services.bookings.change_status(made.id, Status.CONFIRMED, ADMIN)
    clock.advance(days=30)
    await services.deadlines.drain()
    assert stored_times(sql) == [(NINE, "confirmed")]


async def test_several_processes_record_each_expiry_once(
    many_connections: Services,
    other_process: Services,
    add_expert: AddExpert,
    book: Book,
    clock: Clock,
    sql: Connection,
) -> None:
    expert = await add_expert(minutes=15, step_minutes=15, answer_minutes=60, horizon_days=10)
    for n in range(30):
        await book(expert, NINE + n * 15 * MINUTE)
    for n in range(10):  # held by a process that has died, so any process may release it
        await other_process.holds.take(
            HoldRequest(expert_id=expert, starts_at=NINE + DAY + n * HOUR / 2), keeper=uuid4()
        )
    clock.advance(hours=1)
    await run_concurrently(*(one.deadlines.drain() for one in (many_connections, other_process) for _ in range(3)))
    assert [status for _, status in stored_times(sql)] == ["expired"] * 40
    expired = [row for row in history_rows(sql, "booking_id", "to_status") if row[1] == "expired"]
    assert len(expired) == len(set(expired)) == 30  # of requests only: holds have no history
    assert sql.execute("SELECT DISTINCT version FROM booking").fetchall() == [(2,)]
    assert deadlocks(sql) == 0


async def test_answer_and_deadline_at_the_same_time_leave_one_winner(
    many_connections: Services,
    other_process: Services,
    add_expert: AddExpert,
    book: Book,
    clock: Clock,
    sql: Connection,
) -> None:
    expert = await add_expert(answer_minutes=60, horizon_days=30)
    for day in range(8):
        made = await book(expert, NINE + day * DAY)
        clock.advance(hours=1)
        answer, _ = await run_concurrently(
            many_connections.bookings.change_status(made.id, Status.CONFIRMED, ADMIN),
            other_process.deadlines.drain(),
        )
        status = (await many_connections.bookings.get(made.id, ADMIN)).status
        if isinstance(answer, BookingView):
            assert status is Status.CONFIRMED
        else:
            assert (type(answer), status) == (StatusChangeNotAllowed, Status.EXPIRED)


async def test_locked_row_does_not_keep_others_from_expiring(
    services: Services, add_expert: AddExpert, book: Book, clock: Clock, sql: Connection
) -> None:
    """Other holds expire within a second, even while a transaction is open in psql."""
    expert = await add_expert()
    for n in range(4):
        await services.holds.take(HoldRequest(expert_id=expert, starts_at=NINE + n * HOUR))
    clock.advance(minutes=5)
    with sql.transaction():
        sql.execute("SELECT FROM booking ORDER BY hold_until LIMIT 1 FOR UPDATE")
        async with asyncio.timeout(2):
            await services.deadlines.drain()
        assert sorted(status for _, status in stored_times(sql)) == ["expired"] * 3 + ["held"]
    await services.deadlines.drain()
    assert [status for _, status in stored_times(sql)] == ["expired"] * 4


async def test_thousand_expired_rows_take_a_few_statements(
    services: Services, add_expert: AddExpert, book: Book, clock: Clock, sql: Connection, counted: Counted
) -> None:
    expert = await add_expert()
    await book(expert, NINE)
    sql.execute(
        "INSERT INTO booking (expert_id, session_type_id, starts_at, ends_at, busy, name, email, customer_key)"
        " SELECT expert_id, session_type_id, at, at + interval '1 hour', tstzrange(at, at + interval '1 hour'), 'Ada',"
        " 'ada@example.com', 'ada@example.com' FROM booking,"
        " generate_series(timestamptz '2026-01-01', '2026-01-01'::timestamptz + interval '1499 hours', '1 hour') AS at"
    )
    with counted() as sent:
        await services.deadlines.drain()
    assert sum(status == "expired" for _, status in stored_times(sql)) == 1500
    assert len(sent) < 10


# --- history ----------------------------------------------------------------------------------------------------


async def test_history_records_what_happened_who_did_it_and_why(
    services: Services, add_expert: AddExpert, book: Book
) -> None:
    expert = await add_expert()
    own = Caller(role=Role.EXPERT, expert_id=expert, token_id=uuid4())
    held = await services.holds.take(HoldRequest(expert_id=expert, starts_at=NINE), visitor=ADA)
    made = await book(expert, NINE, visitor=ADA, hold_id=held.id)
    await services.bookings.change_status(made.id, Status.CONFIRMED, own, reason="gladly")
    await services.bookings.reschedule(made.id, NINE + HOUR, ADMIN, reason="a little later")
    await services.bookings.reschedule(made.id, NINE + 2 * HOUR, customer_caller(ADA))
    await services.bookings.change_status(made.id, Status.CANCELLED, customer_caller(ADA), reason="I am ill")
    told = await services.bookings.history(made.id, own)
    facts = [(c.actor, c.from_status, c.to_status, c.from_starts_at, c.to_starts_at, c.reason) for c in told.changes]
    assert facts == [
        ("customer", None, "pending", None, NINE, ""),
        ("expert", "pending", "confirmed", NINE, NINE, "gladly"),
        ("admin", "confirmed", "confirmed", NINE, NINE + HOUR, "a little later"),
        ("customer", "confirmed", "confirmed", NINE + HOUR, NINE + 2 * HOUR, ""),
        ("customer", "confirmed", "cancelled", NINE + 2 * HOUR, NINE + 2 * HOUR, "I am ill"),
    ]
    assert [c.at for c in told.changes] == sorted(c.at for c in told.changes)


async def test_history_records_the_token_of_its_own_change_only(
    services: Services, add_expert: AddExpert, book: Book, sql: Connection
) -> None:
    made = await book(await add_expert(), NINE, visitor=ADA)
    await services.bookings.change_status(made.id, Status.CONFIRMED, ADMIN, reason="yes")
    sql.execute("UPDATE booking SET starts_at = starts_at + interval '1 second'")
    await services.bookings.change_status(made.id, Status.CANCELLED, customer_caller(ADA))
    assert history_rows(sql, "actor", "token_id", "reason") == [
        ("customer", None, ""), ("admin", ADMIN.token_id, "yes"), ("database", None, ""), ("customer", None, ""),
    ]  # fmt: skip


MANUAL_CHANGES: list[tuple[str, tuple[Any, ...]]] = [
    ("UPDATE booking SET status = 'cancelled'", ("database", "pending", "cancelled", True)),
    ("UPDATE booking SET status = 'confirmed'", ("database", "pending", "confirmed", False)),
    ("UPDATE booking SET busy = tstzrange(lower(busy), upper(busy) + interval '5 min')",
     ("database", "pending", "pending", False)),
    ("UPDATE booking SET busy = tstzrange(lower(busy), upper(busy)), ends_at = ends_at - interval '5 min',"
     " starts_at = starts_at + interval '5 min'", ("database", "pending", "pending", False)),
    ("DELETE FROM booking", ("database", "pending", None, True)),
]  # fmt: skip


@pytest.mark.parametrize(("statement", "told"), MANUAL_CHANGES)
async def test_manual_changes_are_recorded_as_made_by_the_database(
    add_expert: AddExpert, book: Book, sql: Connection, statement: str, told: tuple[Any, ...]
) -> None:
    await book(await add_expert(), NINE)
    sql.execute(statement)
    assert history_rows(sql, "actor", "from_status", "to_status", "freed IS NOT NULL")[-1] == told


async def test_irrelevant_changes_are_not_recorded(
    services: Services, add_expert: AddExpert, book: Book, clock: Clock, sql: Connection
) -> None:
    expert = await add_expert()
    await book(expert, NINE)
    held = await services.holds.take(HoldRequest(expert_id=expert, starts_at=NINE + HOUR))
    clock.advance(minutes=1)
    await services.holds.renew(held.id)
    sql.execute("UPDATE booking SET notes = 'x', version = version + 1")
    assert len(history_rows(sql, "id")) == 1


async def test_hold_that_never_becomes_a_booking_has_no_history(
    services: Services, add_expert: AddExpert, clock: Clock, sql: Connection
) -> None:
    expert = await add_expert()
    released = await services.holds.take(HoldRequest(expert_id=expert, starts_at=NINE))
    await services.holds.release(released.id)
    expired_hold = await services.holds.take(HoldRequest(expert_id=expert, starts_at=NINE))
    clock.now = expired_hold.hold_until
    await services.deadlines.drain()
    replaced = await services.holds.take(HoldRequest(expert_id=expert, starts_at=NINE), visitor=ADA)
    await services.holds.take(HoldRequest(expert_id=expert, starts_at=NINE + HOUR), visitor=ADA)
    sql.execute("UPDATE booking SET starts_at = starts_at + interval '1 minute' WHERE status = 'held'")
    sql.execute("DELETE FROM booking WHERE id <> %s", [replaced.id])
    sql.execute("DELETE FROM booking")
    assert history_rows(sql, "to_status") == []


HISTORY_EDITS = [
    "UPDATE booking_change SET reason = 'nothing happened'",
    "DELETE FROM booking_change",
    "TRUNCATE booking_change",
    "TRUNCATE booking_change, booking",
    "INSERT INTO booking_change (id, booking_id, expert_id, actor) OVERRIDING SYSTEM VALUE"
    " SELECT id, booking_id, expert_id, 'nobody' FROM booking_change"
    " ON CONFLICT (id) DO UPDATE SET actor = 'nobody'",
    "MERGE INTO booking_change USING (SELECT 1) AS one ON true WHEN MATCHED THEN DELETE",
]


@pytest.mark.parametrize("edit", HISTORY_EDITS)
async def test_history_cannot_be_edited(add_expert: AddExpert, book: Book, sql: Connection, edit: str) -> None:
    await book(await add_expert(), NINE)
    before = history_rows(sql, "booking_change::text")
    with pytest.raises(RaiseException, match="not changed afterwards"):
        sql.execute(edit)
    assert history_rows(sql, "booking_change::text") == before


async def test_history_with_manual_entries_is_readable(
    services: Services, add_expert: AddExpert, book: Book, sql: Connection
) -> None:
    """An unknown actor is refused when it is written, not when it is read."""
    made = await book(await add_expert(), NINE)
    with pytest.raises(psycopg.errors.CheckViolation):
        sql.execute("UPDATE booking SET status = 'cancelled', changed_by = 'Eve', version = version + 1")
    assert len((await services.bookings.history(made.id, ADMIN)).changes) == 1


# --- edge cases of holds ----------------------------------------------------------------------------------------


async def test_expired_hold_is_expired_whether_or_not_it_is_recorded(
    services: Services, add_expert: AddExpert, clock: Clock, sql: Connection
) -> None:
    held = await services.holds.take(HoldRequest(expert_id=await add_expert(), starts_at=NINE), visitor=ADA)
    clock.now = held.hold_until
    for written_down in (False, True):
        with pytest.raises(HoldNotFound):
            await services.holds.release(held.id)
        with pytest.raises(HoldNotFound):
            await services.holds.renew(held.id)
        assert stored_times(sql) == [(NINE, "expired" if written_down else "held")]
        await services.deadlines.drain()


async def test_booked_hold_is_not_retaken_by_another_tab(
    services: Services, add_expert: AddExpert, sql: Connection
) -> None:
    wanted = HoldRequest(expert_id=await add_expert(), starts_at=NINE)
    await services.holds.take(wanted, visitor=ADA)
    with sql.transaction():
        sql.execute(
            "UPDATE booking SET status = 'pending', hold_until = NULL, name = 'Ada', email = 'ada@example.com',"
            " customer_key = 'ada@example.com'"
        )
        second_tab = asyncio.create_task(services.holds.take(wanted, visitor=ADA, keeper=uuid4()))
        await until_lock_wait(sql)
    with pytest.raises(SlotTaken):
        await second_tab
    assert sql.execute("SELECT status, hold_keeper FROM booking").fetchall() == [("pending", None)]


async def until_lock_wait(sql: Connection) -> None:
    """Return when a statement waits for a lock of this connection's transaction."""
    for _ in range(500):
        if sql.execute("SELECT FROM pg_locks WHERE NOT granted").fetchall():
            return
        await asyncio.sleep(0.01)
    raise TimeoutError


@pytest.mark.parametrize("daily_cap", [None, 5])
async def test_held_times_are_not_offered_as_alternatives(
    services: Services, add_expert: AddExpert, book: Book, daily_cap: int | None
) -> None:
    expert = await add_expert(daily_cap=daily_cap)
    await services.holds.take(HoldRequest(expert_id=expert, starts_at=NINE), visitor=ADA)
    await book(expert, NINE + HOUR)
    with pytest.raises(SlotTaken) as refused:
        await services.holds.take(HoldRequest(expert_id=expert, starts_at=NINE + HOUR), visitor=ADA)
    assert NINE not in refused.value.alternatives
    assert NINE + 2 * HOUR in refused.value.alternatives
