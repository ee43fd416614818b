"""Sessions that have ended and are still confirmed become completed: on time, once, in batches, and without emails."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from expert_booking.db.deadlines import BATCH
from expert_booking.db.engine import Database
from expert_booking.domain.errors import StatusChangeNotAllowed
from expert_booking.domain.lifecycle import Status
from expert_booking.domain.limits import NO_LIMITS
from expert_booking.domain.site import Site
from expert_booking.domain.terms import Confirmation
from expert_booking.schemas import BookingView, Caller, Role
from expert_booking.services import Services
from tests.conftest import AddExpert, Book, Clock

Connection = psycopg.Connection[tuple[Any, ...]]
NINE = datetime(2026, 11, 24, 8, tzinfo=UTC)  # 09:00 in Berlin
HOUR, DAY, INSTANT = timedelta(hours=1), timedelta(days=1), timedelta(microseconds=1)
ADMIN = Caller(role=Role.ADMIN)
INSTANTLY = {"confirmation": Confirmation.INSTANT}
# Years of ended sessions, as an installation has them that was upgraded.
BACKLOG = """
    INSERT INTO booking (expert_id, session_type_id, starts_at, ends_at, busy, status, name, email, customer_key)
    SELECT expert_id, session_type_id, at, at + interval '1 hour', tstzrange(at, at + interval '1 hour'), 'confirmed',
           'Ada', 'ada@example.com', 'ada@example.com'
      FROM booking, generate_series(timestamptz '2026-01-01', '2026-01-01'::timestamptz + make_interval(hours => %s),
                                    '1 hour') AS at
"""


@pytest.fixture
async def other_process(database_url: str, clock: Clock) -> AsyncIterator[Services]:
    """The services of another process."""
    database = Database(database_url)
    yield Services(database, clock=clock, limits=NO_LIMITS)
    await database.close()


def status_counts(sql: Connection) -> dict[str, int]:
    """The number of bookings by status."""
    return dict(sql.execute("SELECT status, count(*) FROM booking GROUP BY status").fetchall())


def messages(sql: Connection) -> int:
    """The number of emails in the outbox."""
    return sql.execute("SELECT count(*) FROM message").fetchall()[0][0]  # type: ignore[no-any-return]


async def test_session_is_completed_exactly_when_due_and_without_an_email(
    services: Services, add_expert: AddExpert, book: Book, clock: Clock, sql: Connection
) -> None:
    made = await book(await add_expert(**INSTANTLY), NINE)
    emails = messages(sql)
    clock.now = made.ends_at + 24 * HOUR - INSTANT
    await services.deadlines.complete_ended()
    assert status_counts(sql) == {"confirmed": 1}
    clock.now += INSTANT
    await services.deadlines.complete_ended()
    changed = await services.bookings.get(made.id, ADMIN)
    assert (changed.status, changed.version) == (Status.COMPLETED, made.version + 1)
    last = (await services.bookings.history(made.id, ADMIN)).changes[-1]
    assert (last.actor, last.from_status, last.to_status) == ("system", "confirmed", "completed")
    assert last.reason == "completed automatically"
    assert messages(sql) == emails


async def test_only_confirmed_sessions_are_completed(
    services: Services, add_expert: AddExpert, book: Book, clock: Clock, sql: Connection
) -> None:
    expert = await add_expert()
    set_by_hand = (status for status in Status if status not in (Status.HELD, Status.BLOCKED))
    for hour, status in enumerate(set_by_hand):
        made = await book(expert, NINE + hour * HOUR)
        sql.execute("UPDATE booking SET status = %s WHERE id = %s", [status, made.id])
    clock.advance(days=3)
    await services.deadlines.complete_ended()
    assert status_counts(sql) == {
        "pending": 1, "completed": 2, "cancelled": 1, "declined": 1, "expired": 1, "no_show": 1,
    }  # fmt: skip


async def test_it_can_be_switched_off(
    database: Database, add_expert: AddExpert, book: Book, clock: Clock, sql: Connection
) -> None:
    await book(await add_expert(**INSTANTLY), NINE)
    never = Services(database, clock=clock, site=Site(complete_after=None))
    clock.advance(days=300)
    assert not await never.deadlines.complete_ended()
    assert status_counts(sql) == {"confirmed": 1}
    assert await never.deadlines._pause() == 20  # nothing is due


async def test_worker_wakes_up_when_a_session_is_due(
    services: Services, add_expert: AddExpert, book: Book, clock: Clock
) -> None:
    made = await book(await add_expert(**INSTANTLY), NINE)
    clock.now = made.ends_at + 24 * HOUR - timedelta(seconds=5)
    assert 4 < await services.deadlines._pause() <= 5


async def test_several_processes_complete_each_session_once(
    services: Services,
    other_process: Services,
    add_expert: AddExpert,
    book: Book,
    clock: Clock,
    sql: Connection,
) -> None:
    expert = await add_expert(minutes=15, step_minutes=15, **INSTANTLY)
    for n in range(30):
        await book(expert, NINE + n * timedelta(minutes=15))
    clock.advance(days=3)
    await asyncio.gather(*(one.deadlines.complete_ended() for one in (services, other_process) for _ in range(3)))
    assert status_counts(sql) == {"completed": 30}
    completed = sql.execute("SELECT booking_id FROM booking_change WHERE to_status = 'completed'").fetchall()
    assert len(completed) == len(set(completed)) == 30
    assert sql.execute("SELECT DISTINCT version FROM booking").fetchall() == [(2,)]


async def test_host_and_deadline_at_the_same_time_leave_one_winner(
    services: Services, other_process: Services, add_expert: AddExpert, book: Book, clock: Clock
) -> None:
    expert = await add_expert(horizon_days=30, **INSTANTLY)
    for day in range(8):
        made = await book(expert, NINE + day * DAY)
        clock.now = made.ends_at + 24 * HOUR
        answer, _ = await asyncio.gather(
            services.bookings.change_status(made.id, Status.NO_SHOW, ADMIN),
            other_process.deadlines.complete_ended(),
            return_exceptions=True,
        )
        status = (await services.bookings.get(made.id, ADMIN)).status
        if isinstance(answer, BookingView):
            assert status is Status.NO_SHOW
        else:
            assert (type(answer), status) == (StatusChangeNotAllowed, Status.COMPLETED)
        clock.now = NINE + day * DAY


async def test_backlog_after_an_upgrade_is_completed_in_batches_between_which_holds_expire(
    services: Services, add_expert: AddExpert, book: Book, clock: Clock, sql: Connection
) -> None:
    await book(await add_expert(**INSTANTLY), NINE)
    sql.execute(BACKLOG, [BATCH + 20])
    emails = messages(sql)
    assert await services.deadlines.complete_ended()
    assert status_counts(sql) == {"completed": BATCH, "confirmed": 22}
    assert not await services.deadlines.complete_ended()
    assert status_counts(sql) == {"completed": BATCH + 21, "confirmed": 1}
    assert messages(sql) == emails


async def test_running_worker_completes_a_backlog(
    services: Services, add_expert: AddExpert, book: Book, sql: Connection
) -> None:
    await book(await add_expert(**INSTANTLY), NINE)
    sql.execute(BACKLOG, [2 * BATCH])
    worker = asyncio.create_task(services.deadlines.run())
    async with asyncio.timeout(30):
        while status_counts(sql)["confirmed"] > 1:  # noqa: ASYNC110 - the database has no event
            await asyncio.sleep(0.05)
    services.deadlines.stop()
    with suppress(asyncio.CancelledError):
        await worker
    assert status_counts(sql) == {"completed": 2 * BATCH + 1, "confirmed": 1}


async def test_finding_the_sessions_reads_only_their_index(add_expert: AddExpert, book: Book, sql: Connection) -> None:
    await book(await add_expert(**INSTANTLY), NINE)
    sql.execute(BACKLOG, [5000])
    sql.execute("UPDATE booking SET status = 'completed' WHERE ends_at < '2026-07-01'")
    sql.execute("VACUUM ANALYZE booking")
    sql.execute("SET enable_seqscan = off")  # with so few rows, reading all is as cheap
    due = (
        "EXPLAIN SELECT id FROM booking WHERE status = 'confirmed' AND ends_at <= '2026-07-02'"
        " ORDER BY ends_at LIMIT 500 FOR UPDATE SKIP LOCKED"
    )
    for statement in (due, "EXPLAIN SELECT min(ends_at) FROM booking WHERE status = 'confirmed'"):
        plan = "\n".join(row[0] for row in sql.execute(statement).fetchall())
        assert "ix_booking_confirmed_ends_at" in plan, plan
        assert "Seq Scan" not in plan
