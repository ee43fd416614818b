"""Blocks: time that a host keeps free, once or every week."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from expert_booking.db.engine import Database
from expert_booking.domain.errors import (
    BlockConflict,
    BlockNotFound,
    BookingNotFound,
    ExpertNotFound,
    FieldsWrong,
    Forbidden,
    NotAuthenticated,
    SlotTaken,
    TooMany,
)
from expert_booking.domain.lifecycle import Status
from expert_booking.domain.limits import NO_LIMITS
from expert_booking.domain.rule_overrides import RuleOverride
from expert_booking.domain.site import Site
from expert_booking.schemas import (
    BlockQuery,
    BlockRequest,
    BlocksAdded,
    BookingPage,
    BookingQuery,
    BookingView,
    BusyPage,
    Caller,
    HoldRequest,
    HostBookingRequest,
    Role,
    SlotQuery,
)
from expert_booking.services import Services
from expert_booking.services import blocks as module
from expert_booking.services.feeds import FeedOwner
from tests.conftest import AddExpert, Book, Clock, booking_request

Connection = psycopg.Connection[tuple[Any, ...]]
NINE = datetime(2026, 11, 24, 8, tzinfo=UTC)  # 09:00 in Berlin, a Tuesday
HOUR, DAY, WEEK = timedelta(hours=1), timedelta(days=1), timedelta(days=7)
MINUTE = timedelta(minutes=1)
ADMIN = Caller(role=Role.ADMIN)
NOTE = "Dentist, root canal"


@pytest.fixture
async def jana(add_expert: AddExpert) -> UUID:
    """An expert."""
    return await add_expert()


def wanted(starts_at: datetime = NINE, minutes: int = 60, **more: Any) -> BlockRequest:
    """A request to block this time."""
    return BlockRequest(starts_at=starts_at, ends_at=starts_at + minutes * MINUTE, **more)


async def block(services: Services, expert: UUID, starts_at: datetime = NINE, minutes: int = 60,
                **more: Any) -> BlocksAdded:  # fmt: skip
    """Block this time as the expert."""
    return await services.blocks.add(expert, wanted(starts_at, minutes, **more), host(expert))


def host(expert: UUID) -> Caller:
    """The expert."""
    return Caller(role=Role.EXPERT, expert_id=expert, token_id=UUID(int=5))


# --- one block --------------------------------------------------------------------------------------------------


async def test_blocked_time_cannot_be_booked_or_held_and_is_shown_as_booked(
    services: Services, jana: UUID, book: Book
) -> None:
    await block(services, jana, NINE + 20 * MINUTE, 7, note=NOTE)
    with pytest.raises(SlotTaken) as refused:
        await book(jana, NINE)
    assert NINE not in refused.value.alternatives
    with pytest.raises(SlotTaken):
        await services.holds.take(HoldRequest(expert_id=jana, starts_at=NINE), visitor=b"v", origin=b"o")
    page = await services.availability.slots(jana, SlotQuery(since=NINE.date(), until=NINE.date()))
    assert [slot.state.value for slot in page.slots[:2]] == ["booked", "open"]
    assert NOTE not in repr(page)
    assert (await services.availability.board(jana)).refusal(NINE) is not None


async def test_block_over_a_booking_is_refused_and_names_it(services: Services, jana: UUID, book: Book) -> None:
    made = await book(jana, NINE)
    with pytest.raises(BlockConflict) as refused:
        await block(services, jana, NINE - 10 * MINUTE, 11)
    [conflict] = refused.value.conflicts
    assert (conflict.booking_id, conflict.starts_at, conflict.status) == (made.id, NINE, Status.PENDING)
    assert (conflict.customer_name, conflict.wanted_starts_at) == ("Ada Lovelace", NINE - 10 * MINUTE)
    await block(services, jana, NINE - 10 * MINUTE, 10)  # up to the minute


async def test_block_over_a_block_or_a_hold_is_refused_without_naming_anyone(services: Services, jana: UUID) -> None:
    await block(services, jana, NINE)
    await services.holds.take(HoldRequest(expert_id=jana, starts_at=NINE + HOUR), visitor=b"v", origin=b"o")
    with pytest.raises(BlockConflict) as refused:
        await block(services, jana, NINE, 120)
    assert [(one.status, one.customer_name, one.booking_id is None) for one in refused.value.conflicts] == [
        (Status.BLOCKED, None, False), (Status.HELD, None, True),
    ]  # fmt: skip


async def test_expired_hold_does_not_keep_a_host_from_blocking(services: Services, jana: UUID, clock: Clock) -> None:
    await services.holds.take(HoldRequest(expert_id=jana, starts_at=NINE), visitor=b"v", origin=b"o")
    clock.advance(minutes=30)
    assert len((await block(services, jana)).blocks) == 1


async def test_block_is_written_with_its_host_and_without_history_or_email(
    services: Services, jana: UUID, sql: Connection
) -> None:
    added = await block(services, jana, note=NOTE)
    row = sql.execute("SELECT id, status, name, email, notes, changed_by, changed_with FROM booking").fetchone()
    assert row == (added.blocks[0].id, "blocked", None, None, NOTE, "expert", UUID(int=5))
    await services.blocks.remove(jana, added.blocks[0].id, host(jana))
    for table in ("booking", "booking_change", "message"):
        assert sql.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,), table


async def test_deleted_block_frees_its_time_and_says_so(
    services: Services, jana: UUID, book: Book, sql: Connection
) -> None:
    added = await block(services, jana)
    sql.execute("LISTEN expert_booking_freed")
    await services.blocks.remove(jana, added.blocks[0].id, host(jana))
    [told] = sql.notifies(timeout=5, stop_after=1)
    assert str(jana) in told.payload
    assert "2026-11-24T08:00:00" in told.payload
    assert (await book(jana, NINE)).starts_at == NINE


async def test_blocks_change_the_next_free_time(services: Services, jana: UUID, clock: Clock) -> None:
    clock.now = NINE - HOUR
    await services.next_available.drain()
    assert await services.availability.next_open([jana]) == {jana: NINE}
    await block(services, jana, NINE, 8 * 60)
    await services.next_available.drain()
    assert (await services.experts.get(str(jana))).next_available == NINE + DAY


async def test_blocks_are_in_no_list_of_bookings_and_no_feed(services: Services, jana: UUID, book: Book) -> None:
    await block(services, jana, note=NOTE)
    made = await book(jana, NINE + HOUR)
    for caller, query in ((host(jana), BookingQuery(expert_id=jana)), (ADMIN, BookingQuery())):
        found = await services.booking_lists.find(query, caller)
        assert isinstance(found, BookingPage)
        assert ([one.id for one in found.bookings], found.total) == ([made.id], 1)
    assert [one.id for one in await services.bookings.for_experts([jana])] == [made.id]
    assert await services.bookings.count() == 1
    url = await services.feeds.open(FeedOwner(expert_id=jana))
    feed = await services.feeds.content(url.rpartition("/")[2].removesuffix(".ics"))
    assert feed.body.count(b"BEGIN:VEVENT") == 1
    assert NOTE.split(",", maxsplit=1)[0].encode() not in feed.body


async def test_block_is_no_booking_to_read_or_change(services: Services, jana: UUID) -> None:
    added = await block(services, jana)
    for work in (
        services.bookings.get(added.blocks[0].id, ADMIN),
        services.bookings.change_status(added.blocks[0].id, Status.CANCELLED, ADMIN),
        services.bookings.reschedule(added.blocks[0].id, NINE + HOUR, ADMIN),
        services.booking_emails.manage_link(added.blocks[0].id, ADMIN),
    ):
        with pytest.raises(BookingNotFound):
            await work


async def test_public_list_of_busy_times_has_the_block_without_its_note(services: Services, jana: UUID) -> None:
    await block(services, jana, note=NOTE)
    found = await services.booking_lists.find(BookingQuery(expert_id=jana), None)
    assert isinstance(found, BusyPage)
    assert [dict(one) for one in found.bookings] == [
        {"starts_at": NINE, "ends_at": NINE + HOUR, "status": Status.BLOCKED}
    ]


async def test_block_does_not_count_towards_a_daily_cap(services: Services, add_expert: AddExpert, book: Book) -> None:
    expert = await add_expert(daily_cap=1)
    await block(services, expert)
    assert (await book(expert, NINE + HOUR)).starts_at == NINE + HOUR


async def test_only_hosts_of_the_calendar_see_and_change_blocks(services: Services, jana: UUID) -> None:
    added = await block(services, jana)
    other = Caller(role=Role.EXPERT, expert_id=uuid4())
    reader, customer = Caller(role=Role.READER), Caller(role=Role.CUSTOMER, customer_key="jana@example.com")
    for caller, refusal in ((None, NotAuthenticated), (other, Forbidden), (reader, Forbidden), (customer, Forbidden)):
        for work in (
            services.blocks.add(jana, wanted(NINE + HOUR), caller),
            services.blocks.list_all(jana, BlockQuery(), caller),
            services.blocks.remove(jana, added.blocks[0].id, caller),
        ):
            with pytest.raises(refusal):
                await work


async def test_host_of_one_calendar_cannot_delete_a_block_of_another_by_its_id(
    services: Services, jana: UUID, add_expert: AddExpert
) -> None:
    added = await block(services, jana, repeat_weekly=True)
    omar = await add_expert(name="Omar", email="omar@example.com")
    for series in (False, True):
        with pytest.raises(BlockNotFound):
            await services.blocks.remove(omar, added.blocks[0].id, host(omar), series=series)


async def test_booking_is_not_deleted_as_a_block(services: Services, jana: UUID, book: Book) -> None:
    made = await book(jana, NINE)
    with pytest.raises(BlockNotFound):
        await services.blocks.remove(jana, made.id, host(jana))


async def test_unknown_expert_is_not_found(services: Services) -> None:
    for work in (
        services.blocks.add(uuid4(), wanted(), ADMIN),
        services.blocks.list_all(uuid4(), BlockQuery(), ADMIN),
    ):
        with pytest.raises(ExpertNotFound):
            await work


async def test_number_of_blocks_is_limited(services: Services, jana: UUID, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BLOCKS", 55)
    await block(services, jana, repeat_weekly=True)
    with pytest.raises(TooMany):
        await block(services, jana, NINE + HOUR, repeat_weekly=True)
    await block(services, jana, NINE + HOUR)


async def test_list_has_the_blocks_of_local_dates(services: Services, jana: UUID) -> None:
    late = datetime(2026, 11, 24, 22, 30, tzinfo=UTC)  # 23:30 in Berlin
    await block(services, jana, late, 60, note=NOTE)
    await block(services, jana, NINE + 40 * DAY)
    found = (await services.blocks.list_all(jana, BlockQuery(), host(jana))).blocks
    assert [(one.starts_at, one.note) for one in found] == [(late, NOTE)]
    for day, count in ((23, 0), (24, 1), (25, 1), (26, 0)):
        query = BlockQuery(since=date(2026, 11, day), until=date(2026, 11, day))
        assert len((await services.blocks.list_all(jana, query, host(jana))).blocks) == count, day


async def test_list_up_to_a_past_date_is_empty(services: Services, jana: UUID) -> None:
    await block(services, jana)
    assert (await services.blocks.list_all(jana, BlockQuery(until=date(2026, 1, 1)), host(jana))).blocks == []


# --- series -----------------------------------------------------------------------------------------------------


async def test_weekly_block_is_made_for_a_year_at_the_same_local_time(services: Services, jana: UUID) -> None:
    added = await block(services, jana, NINE + 3 * HOUR + 10 * MINUTE, 45, note="Lunch", repeat_weekly=True)
    assert len(added.blocks) == 54
    local = {one.starts_at.astimezone(module.ZoneInfo("Europe/Berlin")).strftime("%a %H:%M") for one in added.blocks}
    assert local == {"Tue 12:10"}
    assert len({one.starts_at.hour for one in added.blocks}) == 2  # the clocks have changed
    assert {(one.series_id, one.note) for one in added.blocks} == {(added.series_id, "Lunch")}


async def test_weekly_block_ends_on_its_last_date(
    services: Services, jana: UUID, clock: Clock, sql: Connection
) -> None:
    added = await block(services, jana, repeat_weekly=True, repeat_until=date(2026, 12, 8))
    assert [one.starts_at for one in added.blocks] == [NINE, NINE + WEEK, NINE + 2 * WEEK]
    clock.advance(days=400)
    await services.blocks.extend()
    assert sql.execute("SELECT count(*) FROM booking").fetchone() == (3,)
    with pytest.raises(FieldsWrong):
        await block(services, jana, NINE + HOUR, repeat_weekly=True, repeat_until=date(2026, 11, 23))


async def test_series_does_not_start_in_the_distant_past(services: Services, jana: UUID, sql: Connection) -> None:
    with pytest.raises(FieldsWrong):
        await block(services, jana, NINE - 500 * DAY, repeat_weekly=True)
    assert sql.execute("SELECT count(*) FROM block_series").fetchone() == (0,)
    assert len((await block(services, jana, NINE - DAY, repeat_weekly=True)).blocks) == 55


async def test_deadlines_worker_makes_later_blocks_of_a_series(
    services: Services, jana: UUID, clock: Clock, sql: Connection
) -> None:
    added = await block(services, jana, repeat_weekly=True, note="Lunch")
    clock.advance(days=1)
    await services.deadlines.sweep()
    assert sql.execute("SELECT count(*) FROM booking").fetchone() == (54,)
    clock.advance(days=21)
    for _ in range(2):  # the second time there is nothing left to do
        await services.deadlines.sweep()
        rows = sql.execute(
            "SELECT starts_at, notes, changed_by FROM booking WHERE series_id = %s ORDER BY starts_at",
            [added.series_id],
        ).fetchall()
        assert len(rows) == 58
    assert [row[0] - rows[0][0] for row in rows[-4:]] == [n * WEEK for n in (54, 55, 56, 57)]
    assert rows[-1][1:] == ("Lunch", "system")


async def test_worker_leaves_out_times_that_are_booked(
    services: Services, jana: UUID, clock: Clock, sql: Connection
) -> None:
    await block(services, jana, repeat_weekly=True)
    later = HostBookingRequest(
        expert_id=jana, starts_at=NINE + 55 * WEEK, name="Ada", override=[RuleOverride.BEYOND_HORIZON]
    )
    await services.bookings.book_by_hand(later, host(jana))
    clock.advance(days=22)
    await services.blocks.extend()
    starts = [row[0] for row in sql.execute("SELECT starts_at FROM booking WHERE status = 'blocked'").fetchall()]
    assert sorted(starts)[-2:] == [NINE + 56 * WEEK, NINE + 57 * WEEK]
    assert later.starts_at not in starts


async def test_no_session_is_offered_later_than_the_last_block_of_a_series(
    services: Services, add_expert: AddExpert, clock: Clock
) -> None:
    expert = await add_expert(horizon_days=366)
    await block(services, expert, NINE, 8 * 60, repeat_weekly=True)
    for _ in range(8):
        clock.advance(days=1)
        await services.blocks.extend()
        board = await services.availability.board(expert)
        assert {slot.state.value for slot in board.slots if slot.starts_at.weekday() == 1} == {"booked"}


async def test_two_processes_extend_a_series_once(
    many_connections: Services, jana: UUID, clock: Clock, sql: Connection
) -> None:
    await block(many_connections, jana, repeat_weekly=True)
    clock.advance(days=30)
    await asyncio.gather(*(many_connections.blocks.extend() for _ in range(6)))
    assert sql.execute("SELECT count(*), count(DISTINCT starts_at) FROM booking").fetchone() == (59, 59)


async def test_conflicts_of_a_series_are_listed_and_nothing_is_blocked(
    services: Services, jana: UUID, book: Book, sql: Connection
) -> None:
    made = [await book(jana, NINE + weeks * WEEK) for weeks in (1, 3)]
    with pytest.raises(BlockConflict) as refused:
        await block(services, jana, NINE + 10 * MINUTE, 5, repeat_weekly=True)
    assert [one.booking_id for one in refused.value.conflicts] == [one.id for one in made]
    assert [one.wanted_starts_at for one in refused.value.conflicts] == [
        NINE + 10 * MINUTE + weeks * WEEK for weeks in (1, 3)
    ]
    assert sql.execute("SELECT count(*) FROM booking WHERE status = 'blocked'").fetchone() == (0,)
    assert sql.execute("SELECT count(*) FROM block_series").fetchone() == (0,)


async def test_conflicts_are_skipped_on_request_and_still_listed(services: Services, jana: UUID, book: Book) -> None:
    made = await book(jana, NINE + WEEK)
    added = await block(services, jana, repeat_weekly=True, skip_conflicts=True)
    assert len(added.blocks) == 53
    assert [one.booking_id for one in added.conflicts] == [made.id]
    with pytest.raises(BlockConflict):  # nothing is left of a single block
        await block(services, jana, NINE + WEEK, skip_conflicts=True)


async def test_one_block_of_a_series_is_deleted_and_not_made_again(
    services: Services, jana: UUID, clock: Clock, sql: Connection
) -> None:
    added = await block(services, jana, repeat_weekly=True)
    await services.blocks.remove(jana, added.blocks[2].id, host(jana))
    clock.advance(days=8)
    await services.blocks.extend()
    starts = [row[0] for row in sql.execute("SELECT starts_at FROM booking ORDER BY 1").fetchall()]
    assert len(starts) == 55
    assert added.blocks[2].starts_at not in starts


async def test_whole_series_is_deleted_and_not_extended(
    services: Services, jana: UUID, clock: Clock, sql: Connection
) -> None:
    added = await block(services, jana, repeat_weekly=True)
    other = await block(services, jana, NINE + HOUR)
    await services.blocks.remove(jana, added.blocks[7].id, host(jana), series=True)
    clock.advance(days=100)
    await services.blocks.extend()
    assert sql.execute("SELECT id FROM booking").fetchall() == [(other.blocks[0].id,)]
    # A block without a series is deleted alone.
    await services.blocks.remove(jana, other.blocks[0].id, host(jana), series=True)
    assert sql.execute("SELECT count(*) FROM booking").fetchone() == (0,)


async def test_series_follows_a_new_time_zone_from_its_next_block_on(
    services: Services, jana: UUID, clock: Clock, sql: Connection
) -> None:
    await block(services, jana, repeat_weekly=True)
    sql.execute("UPDATE expert SET time_zone = 'Europe/Lisbon'")
    clock.advance(days=9)
    await services.blocks.extend()
    last = sql.execute("SELECT max(starts_at) FROM booking").fetchone()
    assert last is not None
    assert last[0].astimezone(module.ZoneInfo("Europe/Lisbon")).strftime("%H:%M") == "09:00"


async def test_old_blocks_are_deleted_after_the_retention_period(
    database: Database, clock: Clock, jana: UUID, sql: Connection
) -> None:
    services = Services(database, clock=clock, site=Site(retention=30 * DAY), limits=NO_LIMITS)
    await block(services, jana, repeat_weekly=True, repeat_until=date(2026, 12, 8))
    clock.now = NINE + 31 * DAY
    await services.deadlines.sweep()
    assert sql.execute("SELECT count(*) FROM booking").fetchone() == (2,)
    clock.now = NINE + 90 * DAY
    await services.deadlines.sweep()
    assert sql.execute("SELECT (SELECT count(*) FROM booking), count(*) FROM block_series").fetchone() == (0, 0)


# --- races ------------------------------------------------------------------------------------------------------


@pytest.fixture
async def many_connections(database_url: str, clock: Clock) -> AsyncIterator[Services]:
    """Services with many connections, for really concurrent calls."""
    database = Database(database_url, pool_size=25)
    yield Services(database, clock=clock, limits=NO_LIMITS)
    await database.close()


def outcomes(results: list[Any]) -> Counter[str]:
    """Counts of results: the name of the exception, or what was made."""
    made = {BookingView: "booked", BlocksAdded: "blocked"}
    return Counter(made.get(type(result), type(result).__name__) for result in results)


async def test_of_hosts_who_block_and_visitors_who_book_one_time_exactly_one_wins(
    many_connections: Services, jana: UUID, sql: Connection
) -> None:
    for round_ in range(5):
        at = NINE + round_ * DAY
        asked = [
            many_connections.blocks.add(jana, wanted(at + n % 3 * 10 * MINUTE, 30 + n), host(jana))
            if n % 2
            else many_connections.bookings.book(booking_request(jana, at, email=f"p{n}@example.com"))
            for n in range(20)
        ]
        results = outcomes(await asyncio.gather(*asked, return_exceptions=True))
        assert results["booked"] + results["blocked"] == 1, results
        assert results["SlotTaken"] + results["BlockConflict"] == 19, results
    assert sql.execute("SELECT count(*) FROM booking").fetchone() == (5,)


async def test_concurrent_series_over_the_same_times_leave_one_whole_series(
    many_connections: Services, jana: UUID, sql: Connection
) -> None:
    asked = (
        many_connections.blocks.add(jana, wanted(NINE + n % 2 * 7 * DAY, repeat_weekly=True), host(jana))
        for n in range(12)
    )
    results = outcomes(await asyncio.gather(*asked, return_exceptions=True))
    assert results == {"blocked": 1, "BlockConflict": 11}
    assert sql.execute("SELECT count(DISTINCT series_id) FROM booking").fetchone() == (1,)
    assert sql.execute("SELECT count(*) FROM block_series").fetchone() == (1,)
