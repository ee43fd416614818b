"""The derived rows of next free times: correct after every change, at any time, and after crashes."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from random import Random
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import httpx
import psycopg
import pytest
from sqlalchemy import text

from expert_booking.db import next_available as rows
from expert_booking.db.engine import Database
from expert_booking.domain.calendar import DAY, SlotState, local_instant
from expert_booking.domain.errors import Refusal
from expert_booking.domain.free_times import FreeTimes, free_times
from expert_booking.domain.lifecycle import Status
from expert_booking.schemas import Caller, Role, SessionTypeRequest
from expert_booking.services import Services
from expert_booking.services.worker_timer import WorkerTimer
from expert_booking.services.workers import next_available
from tests.api.conftest import booking_of
from tests.conftest import MONDAY_MORNING, AddExpert, Book, Clock
from tests.server import ServerProcess

Serve = Callable[..., ServerProcess]
Connection = psycopg.Connection[tuple[Any, ...]]
ADMIN = Caller(role=Role.ADMIN)
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
HALF_DAY = 43_200
ZONES = (
    "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Pacific/Apia", "Pacific/Pago_Pago", "Australia/Lord_Howe",
    "America/Santiago", "Africa/Cairo", "Pacific/Kiritimati", "America/St_Johns",
)  # fmt: skip

Open = dict[int, list[datetime]]
HOLD = (
    "INSERT INTO booking (expert_id, session_type_id, starts_at, ends_at, busy, status, hold_until)"
    " SELECT expert_id, id, %(s)s, %(s)s + interval '1 hour', tstzrange(%(s)s, %(s)s + interval '1 hour'),"
    " 'held', %(u)s FROM session_type WHERE expert_id = %(e)s ORDER BY position LIMIT 1 ON CONFLICT DO NOTHING"
)
FREE_ON = (
    "SELECT EXISTS (SELECT FROM expert_free WHERE expert_id = %(e)s AND minutes = %(m)s AND half_day BETWEEN"
    " floor(extract(epoch FROM %(a)s) / 43200) AND floor(extract(epoch FROM %(b)s) / 43200)"
    " AND first_at < %(b)s AND last_at >= %(a)s)"
)


@pytest.fixture
async def other_process(database_url: str, clock: Clock) -> AsyncIterator[Services]:
    """The services of another process."""
    database = Database(database_url)
    yield Services(database, clock=clock)
    await database.close()


async def until(condition: Callable[[], bool]) -> None:
    """Wait until this is true."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - no event announces changes of these rows
            await asyncio.sleep(0.02)


async def open_starts(services: Services, sql: Connection, expert_id: UUID) -> Open:
    """The open starts of all boards of this expert by session length in minutes; 0 is any length."""
    starts: dict[int, set[datetime]] = {0: set()}
    types = "SELECT s.id, minutes FROM session_type s JOIN expert e ON e.id = expert_id AND e.active AND s.active"
    for type_id, minutes in sql.execute(f"{types} WHERE expert_id = %s", [expert_id]).fetchall():
        board = await services.availability.board(expert_id, type_id)
        free = {slot.starts_at for slot in board.slots if slot.state is SlotState.OPEN}
        for length in (0, minutes):
            starts.setdefault(length, set()).update(free)
    return {minutes: sorted(found) for minutes, found in starts.items()}


def stored_next(sql: Connection, expert_id: UUID) -> dict[int, datetime | None]:
    """The rows of `expert_next`, by minutes."""
    found = sql.execute("SELECT minutes, free_at FROM expert_next WHERE expert_id = %s", [expert_id]).fetchall()
    return dict(found)


def spans(starts: Sequence[datetime], now: datetime) -> dict[int, tuple[datetime, datetime]]:
    """The first and last start in each half day of the stored range."""
    halves: dict[int, list[datetime]] = {}
    for start in starts:
        if start < now + 62 * DAY:
            halves.setdefault(int(start.timestamp()) // HALF_DAY, []).append(start)
    return {half: (found[0], found[-1]) for half, found in halves.items()}


async def check(services: Services, sql: Connection, expert_id: UUID) -> None:
    """Check that all derived rows of an expert equal the calendars now."""
    now = services.clock()
    truth = await open_starts(services, sql, expert_id)
    assert stored_next(sql, expert_id) == {minutes: next(iter(starts), None) for minutes, starts in truth.items()}
    zone = ZoneInfo(Random(str(now)).choice(ZONES))
    today = now.astimezone(zone).date()
    last_half = int((now + 61 * DAY).timestamp()) // HALF_DAY
    for minutes, starts in truth.items():
        found = sql.execute(
            "SELECT half_day, first_at, last_at FROM expert_free WHERE expert_id = %s AND minutes = %s",
            [expert_id, minutes],
        ).fetchall()
        assert {half: span for half, *span in found if half <= last_half} == {
            half: list(span) for half, span in spans(starts, now).items() if half <= last_half
        }
        for day in (today + n * DAY for n in (0, 1, 2, 9, 33, 60)):
            since, until = local_instant(zone, day, 0), local_instant(zone, day + DAY, 0)
            values = {"e": expert_id, "m": minutes, "a": since, "b": until}
            free = any(since <= start < until for start in starts)
            assert sql.execute(FREE_ON, values).fetchone() == (free,), (zone, day, minutes)
    if not truth.keys() - {0}:
        assert sql.execute("SELECT count(*) FROM expert_free WHERE expert_id = %s", [expert_id]).fetchone() == (0,)


async def test_new_expert_is_free_at_the_first_slot_in_every_length(
    services: Services, add_expert: AddExpert, sql: Connection
) -> None:
    types = [SessionTypeRequest(title=str(m), minutes=m, step_minutes=60, notice_minutes=n)
             for m, n in ((60, 120), (30, 0), (30, 600))]  # fmt: skip
    expert = await add_expert(session_types=types)
    await services.next_available.drain()
    assert stored_next(sql, expert) == {0: MONDAY_MORNING, 30: MONDAY_MORNING, 60: MONDAY_MORNING + 2 * HOUR}
    await check(services, sql, expert)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE expert SET active = false",
        "UPDATE expert SET time_zone = 'Asia/Tokyo'",
        "UPDATE expert SET country = 'DE', closed_on_holidays = true",
        "UPDATE session_type SET active = false",
        "UPDATE session_type SET minutes = 90",
        "UPDATE session_type SET notice_minutes = 3000",
        "UPDATE session_type SET horizon_days = 200, notice_minutes = 100000",
        "UPDATE session_type SET daily_cap = 1",
        "DELETE FROM availability_rule",
        "UPDATE availability_rule SET valid_from = '2026-12-24'",
        "DELETE FROM session_type WHERE NOT EXISTS (SELECT FROM booking WHERE session_type_id = session_type.id)",
        "INSERT INTO day_off (expert_id, first_day, last_day) SELECT id, '2026-11-23', '2026-11-30' FROM expert",
        "INSERT INTO override (expert_id, day, kind) SELECT id, '2026-11-23', 'none' FROM expert",
        "UPDATE booking SET status = 'cancelled'",
        "DELETE FROM booking",
    ],
)
async def test_every_manual_change_is_processed(
    services: Services, add_expert: AddExpert, book: Book, sql: Connection, change: str
) -> None:
    expert = await add_expert()
    await book(expert, MONDAY_MORNING)
    await services.next_available.drain()
    assert stored_next(sql, expert)[0] == MONDAY_MORNING + HOUR
    sql.execute(change)
    await services.next_available.drain()
    await check(services, sql, expert)


async def test_deleted_expert_and_one_without_session_types_do_not_block_the_worker(
    services: Services, add_expert: AddExpert, sql: Connection
) -> None:
    deleted, bare, jana = (
        await add_expert(name="Gone"),
        await add_expert(name="B", session_types=[]),
        await add_expert(),
    )
    sql.execute("DELETE FROM expert WHERE id = %s", [deleted])
    await services.next_available.drain()
    assert (stored_next(sql, deleted), stored_next(sql, bare)) == ({}, {0: None})
    assert stored_next(sql, jana)[0] == MONDAY_MORNING
    assert sql.execute("SELECT count(*) FROM expert_changed").fetchone() == (0,)


async def test_invalid_time_zone_does_not_block_the_worker_and_recovers_when_fixed(
    services: Services, add_expert: AddExpert, sql: Connection
) -> None:
    experts = [await add_expert(name=f"E{n}") for n in range(7)]
    sql.execute("UPDATE expert SET time_zone = 'Mars/Base' WHERE id = %s", [experts[3]])
    await services.next_available.drain()
    assert [stored_next(sql, expert)[0] for expert in experts].count(MONDAY_MORNING) == 6
    assert stored_next(sql, experts[3]) == {0: None}
    sql.execute("UPDATE expert SET time_zone = 'Europe/Berlin'")
    await services.next_available.drain()
    assert stored_next(sql, experts[3])[0] == MONDAY_MORNING


async def test_rows_that_time_makes_stale_are_refreshed_exactly_then(
    services: Services, add_expert: AddExpert, book: Book, sql: Connection, clock: Clock
) -> None:
    expert = await add_expert(notice_minutes=30, horizon_days=2)
    await services.next_available.drain()
    assert stored_next(sql, expert)[0] == MONDAY_MORNING + HOUR
    clock.advance(minutes=30)  # exactly the notice: still bookable
    await services.next_available.drain()
    assert stored_next(sql, expert)[0] == MONDAY_MORNING + HOUR
    clock.advance(seconds=1)
    await services.next_available.drain()
    assert stored_next(sql, expert)[0] == MONDAY_MORNING + 2 * HOUR
    sql.execute("DELETE FROM availability_rule WHERE weekday <> 4")
    await services.next_available.drain()
    assert stored_next(sql, expert)[0] is None
    clock.now = datetime(2026, 11, 23, 23, tzinfo=UTC)  # Tuesday begins in Berlin: the horizon reaches Thursday
    await services.next_available.drain()
    assert stored_next(sql, expert)[0] == datetime(2026, 11, 26, 8, tzinfo=UTC)
    await check(services, sql, expert)


async def test_slot_is_free_as_soon_as_its_hold_expires(
    services: Services, add_expert: AddExpert, sql: Connection, clock: Clock
) -> None:
    expert = await add_expert()
    sql.execute(HOLD, {"e": expert, "s": MONDAY_MORNING + HOUR, "u": MONDAY_MORNING + 10 * MINUTE})
    clock.advance(minutes=5)
    await services.next_available.drain()
    assert stored_next(sql, expert)[0] == MONDAY_MORNING + 2 * HOUR
    clock.advance(minutes=5)
    await services.next_available.drain()
    assert stored_next(sql, expert)[0] == MONDAY_MORNING + HOUR


async def test_correct_rows_are_not_rewritten(services: Services, add_expert: AddExpert, sql: Connection) -> None:
    expert = await add_expert()
    await services.next_available.drain()
    written = "SELECT xmin::text, minutes FROM expert_next UNION ALL SELECT xmin::text, half_day FROM expert_free"
    before = sql.execute(f"{written} ORDER BY 2").fetchall()
    sql.execute("UPDATE expert SET bio = 'New' WHERE id = %s", [expert])
    await services.next_available.drain()
    assert sql.execute(f"{written} ORDER BY 2").fetchall() == before
    assert len(before) > 100


@pytest.mark.parametrize("seed", range(6))
async def test_rows_match_the_calendars_after_random_changes(
    services: Services, add_expert: AddExpert, book: Book, sql: Connection, clock: Clock, seed: int
) -> None:
    chance = Random(seed)
    clock.now = datetime(
        2026, chance.choice((2, 3, 9, 10, 11)), chance.randint(1, 28), chance.randrange(24), tzinfo=UTC
    )
    experts = []
    for number in range(3):
        minutes = chance.sample((25, 30, 45, 60, 60, 90), chance.randint(1, 3))
        types = [SessionTypeRequest(title=f"{m}", minutes=m, step_minutes=chance.choice((15, 30, 60)),
                                    before_minutes=chance.choice((0, 10)), after_minutes=chance.choice((0, 15)),
                                    notice_minutes=chance.choice((0, 60, 2000)), daily_cap=chance.choice((None, 2)),
                                    horizon_days=chance.choice((1, 3, 30, 90))) for m in minutes]  # fmt: skip
        opens = chance.randrange(0, 1440, 30)
        facts = {"hours": (opens, opens + chance.choice((120, 480, 1440))), "weekdays": chance.sample(range(1, 8), 4)}
        zone = chance.choice(ZONES)
        experts.append(await add_expert(name=f"E{number}", session_types=types, time_zone=zone, **facts))
    bookings: list[UUID] = []

    async def one_book(expert: UUID) -> None:
        starts = await open_starts(services, sql, expert)
        for start in starts[0][:1] + chance.sample(starts[0], min(3, len(starts[0]))):
            try:
                bookings.append((await book(expert, start)).id)
            except Refusal:  # open, but for another session type
                continue

    async def one_cancel(_: UUID) -> None:
        if bookings:
            booked = bookings.pop(chance.randrange(len(bookings)))
            await services.bookings.change_status(booked, Status.CANCELLED, ADMIN)

    async def one_hold(expert: UUID) -> None:
        for start in (await open_starts(services, sql, expert))[0][:1]:
            sql.execute(HOLD, {"e": expert, "s": start, "u": clock.now + chance.randint(1, 90) * MINUTE})

    async def one_rule(expert: UUID) -> None:
        day = (clock.now + chance.randint(0, 20) * DAY).date()
        change = chance.choice((
            "INSERT INTO override VALUES (%(e)s, %(d)s, 'extra', '[[60, 300]]') ON CONFLICT DO NOTHING",
            "INSERT INTO override VALUES (%(e)s, %(d)s, 'none') ON CONFLICT DO NOTHING",
            "INSERT INTO day_off (expert_id, first_day, last_day) VALUES (%(e)s, %(d)s, %(d)s)",
            "UPDATE availability_rule SET valid_until = %(d)s WHERE expert_id = %(e)s AND weekday < 4",
            "UPDATE session_type SET active = NOT active WHERE expert_id = %(e)s AND position = 2",
            "UPDATE expert SET active = NOT active WHERE id = %(e)s",
        ))  # fmt: skip
        sql.execute(change, {"e": expert, "d": day})

    async def one_reschedule(_: UUID) -> None:
        clock.advance(minutes=chance.choice((1, 7, 31, 60, 600, 1440, 5000)))

    for _ in range(14):
        for _ in range(chance.randint(1, 3)):
            await chance.choice((one_book, one_book, one_cancel, one_hold, one_rule, one_reschedule))(
                chance.choice(experts)
            )
        await services.next_available.drain()
        for expert in experts:
            await check(services, sql, expert)


async def test_work_claimed_by_a_killed_process_is_done_by_another(
    services: Services, database: Database, other_process: Services, add_expert: AddExpert, sql: Connection
) -> None:
    experts = [await add_expert(name=f"E{n}") for n in range(5)]
    async with database.statements() as doomed:
        # The first steps of work_off, until its connection dies.
        await doomed.execute(text("BEGIN"))
        pid = await doomed.scalar(text("SELECT pg_backend_pid()"))
        assert await rows.try_lock(doomed)
        assert set(await rows.claim(doomed, 100, services.clock())) == set(experts)
        other = asyncio.create_task(other_process.next_available.drain())
        await asyncio.sleep(0.3)
        assert not other.done()  # it waits for its turn
        assert stored_next(sql, experts[0]) == {}
        sql.execute("SELECT pg_terminate_backend(%s)", [pid])
        await asyncio.wait_for(other, 20)
        await doomed.invalidate()
    for expert in experts:
        await check(services, sql, expert)


async def test_two_concurrent_workers_leave_correct_rows(
    services: Services, other_process: Services, add_expert: AddExpert, book: Book, sql: Connection
) -> None:
    experts = [await add_expert(name=f"E{n}") for n in range(60)]
    work = [asyncio.create_task(who.next_available.drain()) for who in (services, other_process, other_process)]
    for hour in range(3):
        await asyncio.gather(*(book(expert, MONDAY_MORNING + hour * HOUR) for expert in experts))
        work += [asyncio.create_task(who.next_available.drain()) for who in (services, other_process)]
    await asyncio.gather(*work)
    assert sql.execute("SELECT count(*) FROM expert_changed").fetchone() == (0,)
    assert [stored_next(sql, expert)[0] for expert in experts] == [MONDAY_MORNING + 3 * HOUR] * 60


async def test_constantly_booked_expert_does_not_starve_others(
    services: Services, database: Database, add_expert: AddExpert, sql: Connection
) -> None:
    busy, first, second = [await add_expert(name=name) for name in ("Busy", "First", "Second")]
    await services.next_available.drain()
    sql.execute("INSERT INTO expert_changed (expert_id) SELECT %s FROM generate_series(1, 300)", [busy])
    sql.execute("INSERT INTO expert_changed (expert_id) SELECT unnest(%s::uuid[])", [[first, second, busy]])
    async with database.transaction() as connection:
        assert set(await rows.claim(connection, 2, services.clock())) == {busy, first}
    assert sql.execute("SELECT expert_id FROM expert_changed").fetchall() == [(second,)]


async def test_worker_timer_pauses_even_when_woken() -> None:
    timer, loop = WorkerTimer(0), asyncio.get_running_loop()
    for ring in (timer.wake, lambda: None):
        ring()
        began = loop.time()
        await timer.sleep(0.2, 0.2)
        assert loop.time() - began >= 0.19


async def test_other_tasks_run_between_two_experts(
    services: Services, add_expert: AddExpert, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns, begun = 0, []

    async def take_turns() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    def record(*calendars: Any) -> dict[int, FreeTimes]:
        begun.append(turns)
        return free_times(*calendars)

    for number in range(30):
        await add_expert(name=f"E{number}")
    monkeypatch.setattr(next_available, "free_times", record)
    others = asyncio.create_task(take_turns())
    await services.next_available.drain()
    others.cancel()
    assert len(begun) >= 30
    assert all(before < after for before, after in pairwise(begun))


async def test_worker_recovers_after_the_database_was_away(
    services: Services, add_expert: AddExpert, sql: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    running = asyncio.create_task(services.next_available.run())
    try:
        sql.execute("ALTER TABLE expert_next RENAME TO hidden")
        expert = await add_expert()
        services.next_available.wake()
        await asyncio.sleep(1)
        assert "next-available worker failed" in caplog.text
        sql.execute("ALTER TABLE hidden RENAME TO expert_next")
        await until(lambda: stored_next(sql, expert).get(0) == MONDAY_MORNING)
    finally:
        running.cancel()


def next_of(sql: Connection, expert_id: UUID) -> datetime:
    """The stored next free start, as soon as there is one."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        free_at = stored_next(sql, expert_id).get(0)
        if free_at is not None:
            return free_at
        time.sleep(0.02)
    raise AssertionError("nothing was worked out")


def book_at(server: ServerProcess, expert_id: UUID, start: datetime) -> None:
    """Book through the REST API."""
    answer = httpx.post(f"{server.url}/bookings", json=booking_of(expert_id, startsAt=start.isoformat()), timeout=30)
    assert answer.status_code == 201


async def test_servers_process_their_own_bookings_and_manual_changes(
    serve: Serve, add_expert: AddExpert, sql: Connection
) -> None:
    expert = await add_expert()
    for server in (serve(), serve()):
        first = next_of(sql, expert)
        await asyncio.to_thread(book_at, server, expert, first)
        await until(lambda past=first: next_of(sql, expert) > past)  # type: ignore[misc]
    sql.execute("UPDATE expert SET active = false")
    await until(lambda: stored_next(sql, expert) == {0: None})


async def test_work_left_by_a_killed_server_is_done_by_the_next(
    serve: Serve, add_expert: AddExpert, sql: Connection
) -> None:
    expert = await add_expert()
    doomed = serve()
    first = next_of(sql, expert)
    sql.execute("SELECT pg_advisory_lock(%s)", [rows.LOCK])  # blocks the worker
    await asyncio.to_thread(book_at, doomed, expert, first)
    doomed.kill()
    sql.execute("SELECT pg_advisory_unlock(%s)", [rows.LOCK])
    assert stored_next(sql, expert)[0] == first
    serve()
    await until(lambda: next_of(sql, expert) > first)


async def test_worker_waits_while_another_process_has_its_turn(
    services: Services, add_expert: AddExpert, sql: Connection
) -> None:
    expert = await add_expert()
    sql.execute("SELECT pg_advisory_lock(%s)", [rows.LOCK])
    work = asyncio.create_task(services.next_available.drain())
    await asyncio.sleep(0.3)
    assert not work.done()
    assert stored_next(sql, expert) == {}
    sql.execute("SELECT pg_advisory_unlock(%s)", [rows.LOCK])
    await asyncio.wait_for(work, 20)
    assert stored_next(sql, expert)[0] == MONDAY_MORNING
