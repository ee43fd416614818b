"""The database's news: whoever writes, by whatever way, the right expert is named, and nothing else is said."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from sqlalchemy import make_url

from expert_booking.bus import Bus
from expert_booking.db.engine import driver_url
from expert_booking.db.feed import Feed
from expert_booking.db.tables import EVENT_CHANNEL
from expert_booking.domain.errors import SlotTaken
from expert_booking.domain.events import Event, ExpertChanged, FeedConnected, FeedDisconnected, SlotFreed
from expert_booking.domain.lifecycle import Status
from expert_booking.schemas import Caller, HoldRequest, Role
from expert_booking.services import Services
from tests.conftest import AddExpert, Book, Clock, customer_caller

Connection = psycopg.Connection[tuple[Any, ...]]
PATIENCE = 20
NINE = datetime(2026, 11, 24, 8, tzinfo=UTC)


class Ear:
    """All news so far, and a way to wait for some."""

    def __init__(self) -> None:
        self.heard: list[Event] = []
        self.bus = Bus()
        self._more = asyncio.Event()

    def __call__(self, news: Event) -> None:
        """One piece of news; a loss is noted apart."""
        self.bus.publish(news)
        if not isinstance(news, FeedDisconnected):
            self.heard.append(news)
        self._more.set()

    async def until(self, enough: Callable[[list[Event]], bool]) -> list[Event]:
        """Wait until enough has been heard; everything since the last time."""
        async with asyncio.timeout(PATIENCE):
            while not enough(self.heard):
                self._more.clear()
                await self._more.wait()
        heard, self.heard = self.heard, []
        return heard


@pytest.fixture
async def ear(database_url: str) -> AsyncIterator[Ear]:
    """An ear at a running feed that already listens."""
    ear = Ear()
    running = asyncio.create_task(Feed(database_url, ear).run())
    assert await ear.until(bool) == [FeedConnected()]
    yield ear
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


@pytest.fixture
async def everything(add_expert: AddExpert, sql: Connection, ear: Ear) -> Callable[[], Any]:
    """Hear everything up to now: news come in the order of commits, so a word about somebody else ends them."""
    nobody = await add_expert(name="Nobody")
    await ear.until(lambda heard: ExpertChanged(nobody) in heard)

    async def everything() -> list[Event]:
        sql.execute("UPDATE expert SET updated_at = now() WHERE id = %s", [nobody])
        return (await ear.until(lambda heard: ExpertChanged(nobody) in heard))[:-1]

    return everything


@pytest.fixture
def last(everything: Callable[[], Any]) -> Callable[[], Any]:
    """The same, as far as it is about whom to look at anew."""

    async def last() -> list[Event]:
        return [news for news in await everything() if not isinstance(news, SlotFreed)]

    return last


Last = Callable[[], Any]
BOOKING = (
    "INSERT INTO booking (expert_id, session_type_id, starts_at, ends_at, busy, name, email, customer_key)"
    " SELECT expert_id, id, '2026-12-01 09:00+00', '2026-12-01 10:00+00',"
    " '[2026-12-01 09:00+00,2026-12-01 10:00+00)', 'Eve', 'eve@example.com', 'eve@example.com'"
    " FROM session_type WHERE expert_id = %(jana)s"
)


@pytest.mark.parametrize(
    "change",
    [
        BOOKING,
        "UPDATE booking SET status = 'confirmed' WHERE expert_id = %(jana)s",
        "UPDATE booking SET notes = 'x' WHERE expert_id = %(jana)s",
        "DELETE FROM booking WHERE expert_id = %(jana)s",
        "INSERT INTO availability_rule (expert_id, weekday, opens_minute, closes_minute) VALUES (%(jana)s, 1, 0, 60)",
        "UPDATE availability_rule SET closes_minute = 600 WHERE expert_id = %(jana)s AND weekday = 3",
        "DELETE FROM availability_rule WHERE expert_id = %(jana)s",
        "INSERT INTO session_type (expert_id, title, minutes, step_minutes) VALUES (%(jana)s, 'Short', 30, 30)",
        "UPDATE session_type SET minutes = 45 WHERE expert_id = %(jana)s",
        "UPDATE expert SET active = false WHERE id = %(jana)s",
        "UPDATE expert SET time_zone = 'Asia/Tokyo' WHERE id = %(jana)s",
        "DELETE FROM booking; DELETE FROM expert WHERE slug = 'jana-muller'",
    ],
)
async def test_manual_change_is_announced_for_exactly_that_expert(
    add_expert: AddExpert, book: Book, sql: Connection, last: Last, change: str
) -> None:
    jana, _omar = await add_expert(), await add_expert(name="Omar")
    await book(jana, NINE)
    await last()
    sql.execute(change, {"jana": jana} if "%(jana)s" in change else None)
    heard = await last()
    assert heard
    assert set(heard) == {ExpertChanged(jana)}


async def test_row_that_changes_its_expert_is_announced_for_both(
    add_expert: AddExpert, sql: Connection, last: Last
) -> None:
    jana, omar = await add_expert(), await add_expert(name="Omar", weekdays=())
    await last()
    sql.execute("UPDATE availability_rule SET expert_id = %s WHERE weekday = 1 AND expert_id = %s", [omar, jana])
    assert set(await last()) == {ExpertChanged(jana), ExpertChanged(omar)}


async def test_changes_by_the_services_are_announced(
    services: Services, add_expert: AddExpert, book: Book, last: Last
) -> None:
    jana = await add_expert()
    assert ExpertChanged(jana) in await last()
    made = await book(jana, NINE)
    assert await last() == [ExpertChanged(jana)]
    await services.bookings.change_status(made.id, Status.CANCELLED, Caller(role=Role.ADMIN))
    assert await last() == [ExpertChanged(jana)]


async def test_rolled_back_changes_are_not_announced(
    add_expert: AddExpert, book: Book, sql: Connection, last: Last
) -> None:
    jana = await add_expert()
    await last()
    with sql.transaction(force_rollback=True):
        sql.execute(BOOKING, {"jana": jana})
    assert await last() == []


async def test_many_changes_in_one_transaction_are_announced_once(
    add_expert: AddExpert, sql: Connection, last: Last
) -> None:
    jana = await add_expert()
    await last()
    with sql.transaction():
        sql.execute(BOOKING, {"jana": jana})
        sql.execute("UPDATE booking SET status = 'confirmed'")
        sql.execute("UPDATE expert SET headline = 'New' WHERE id = %s", [jana])
    assert await last() == [ExpertChanged(jana)]


async def test_notification_payload_is_the_expert_id_only(
    services: Services, add_expert: AddExpert, book: Book, database_url: str
) -> None:
    jana = await add_expert()
    with psycopg.connect(driver_url(database_url), autocommit=True) as listener:
        listener.execute(f"LISTEN {EVENT_CHANNEL}")
        made = await book(jana, NINE, notes="Something very private")
        await services.bookings.change_status(made.id, Status.CONFIRMED, Caller(role=Role.ADMIN))
        payloads = [message.payload for message in listener.notifies(timeout=PATIENCE, stop_after=2)]
    assert payloads == [str(jana), str(jana)]


async def test_invalid_payloads_are_ignored(add_expert: AddExpert, sql: Connection, last: Last) -> None:
    sql.execute(f"NOTIFY {EVENT_CHANNEL}, 'hello'")
    sql.execute(f"NOTIFY {EVENT_CHANNEL}")
    sql.execute("NOTIFY something_else, 'x'")
    assert await last() == []


async def test_feed_reports_a_killed_connection_and_reconnects(
    add_expert: AddExpert, sql: Connection, ear: Ear, last: Last
) -> None:
    jana = await add_expert()
    await last()
    for _ in range(3):
        assert kill_listeners(sql) == 1
        assert await ear.until(bool) == [FeedConnected()]
        sql.execute("UPDATE expert SET headline = 'New' WHERE id = %s", [jana])
        assert await last() == [ExpertChanged(jana)]


async def test_feed_reconnects_after_the_database_was_down(
    add_expert: AddExpert, sql: Connection, ear: Ear, last: Last, server_url: str, database_url: str
) -> None:
    jana = await add_expert()
    await last()
    attempts = Attempts()
    logger = logging.getLogger("expert_booking.db.feed")
    logger.addHandler(attempts)
    name = make_url(database_url).database
    with psycopg.connect(driver_url(server_url), autocommit=True) as admin:
        admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        assert kill_listeners(sql) == 1
        async with asyncio.timeout(PATIENCE):
            await attempts.third.wait()
        assert ear.heard == []
        assert not ear.bus.connected
        admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    logger.removeHandler(attempts)
    assert await ear.until(bool) == [FeedConnected()]
    assert ear.bus.connected
    sql.execute("UPDATE expert SET headline = 'New' WHERE id = %s", [jana])
    assert await last() == [ExpertChanged(jana)]


async def test_changes_during_a_disconnect_are_found_after_the_feed_reports_the_gap(
    services: Services, add_expert: AddExpert, book: Book, sql: Connection, ear: Ear, last: Last
) -> None:
    """Whoever looks again at `FeedConnected` sees everything: the feed listens before it says so."""
    jana = await add_expert()
    await last()
    for hour in range(6):
        kill_listeners(sql)
        made = await book(jana, NINE.replace(hour=8 + hour))
        heard = await ear.until(lambda news: FeedConnected() in news)
        board = await services.availability.board(jana)
        assert [slot.state for slot in board.slots if slot.starts_at == made.starts_at] == ["booked"]
        assert set(heard) <= {FeedConnected(), ExpertChanged(jana)}


class Attempts(logging.Handler):
    """Counts the feed's complaints that it cannot connect."""

    def __init__(self) -> None:
        super().__init__()
        self._count = 0
        self.third = asyncio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        """One more."""
        self._count += "trying again" in record.getMessage()
        if self._count >= 3:
            self.third.set()


def kill_listeners(sql: Connection) -> int:
    """Kill every connection that listens in this database; how many there were."""
    found = sql.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid() AND query LIKE 'LISTEN%'"
    )
    return len(found.fetchall())


# --- what is set free -------------------------------------------------------------------------------------------

Freed = Callable[[], Any]
HOUR = timedelta(hours=1)
ADA = b"a" * 32
ADMIN = Caller(role=Role.ADMIN)


@pytest.fixture
def freed(everything: Callable[[], Any]) -> Freed:
    """The times that have been set free since the last time, as the bus hands them on."""
    bus, told = Bus(), list[SlotFreed]()
    bus.listen_for_freed(told.append)

    async def freed() -> list[SlotFreed]:
        told.clear()
        for news in await everything():
            bus.publish(news)
        return list(told)

    return freed


async def buffered(add_expert: AddExpert) -> UUID:
    """An expert whose sessions keep five minutes before and ten after."""
    return await add_expert(step_minutes=15, before_minutes=5, after_minutes=10)


def kept(expert_id: UUID, starts_at: datetime) -> SlotFreed:
    """What a session that starts then keeps."""
    return SlotFreed(expert_id, starts_at - timedelta(minutes=5), starts_at + timedelta(minutes=70))


async def test_ended_booking_frees_its_time_once(
    services: Services, add_expert: AddExpert, book: Book, sql: Connection, clock: Clock, freed: Freed
) -> None:
    jana = await buffered(add_expert)
    bookings = services.bookings

    async def by_hand(_: UUID) -> None:
        sql.execute("DELETE FROM booking WHERE status = 'pending'")

    async def unanswered(booking_id: UUID) -> None:
        sql.execute("UPDATE booking SET answer_by = %s WHERE id = %s", [clock(), booking_id])
        await services.deadlines.work_off()
        await services.deadlines.work_off()

    for ends in (
        lambda booking_id: bookings.change_status(booking_id, Status.CANCELLED, ADMIN),
        lambda booking_id: bookings.change_status(booking_id, Status.CANCELLED, customer_caller(ADA)),
        lambda booking_id: bookings.change_status(booking_id, Status.DECLINED, ADMIN),
        unanswered,
        by_hand,
    ):
        made = await book(jana, NINE, visitor=ADA)
        assert await freed() == []
        await ends(made.id)
        assert await freed() == [kept(jana, NINE)]


async def test_ended_hold_frees_its_time_once(
    services: Services, add_expert: AddExpert, clock: Clock, freed: Freed
) -> None:
    jana = await buffered(add_expert)

    async def lapses(_: UUID) -> None:
        clock.advance(minutes=5)
        await services.deadlines.work_off()
        await services.deadlines.work_off()

    async def moves(_: UUID) -> None:
        await services.holds.take(HoldRequest(expert_id=jana, starts_at=NINE + 3 * HOUR), visitor=ADA)

    for ends in (services.holds.release, lapses, moves):
        held = await services.holds.take(HoldRequest(expert_id=jana, starts_at=NINE), visitor=ADA)
        assert await freed() == []
        await ends(held.id)
        assert await freed() == [kept(jana, NINE)]


async def test_expired_hold_is_freed_once_by_the_booking_that_replaces_it(
    services: Services, add_expert: AddExpert, book: Book, clock: Clock, freed: Freed
) -> None:
    jana = await buffered(add_expert)
    await services.holds.take(HoldRequest(expert_id=jana, starts_at=NINE))
    clock.advance(minutes=5)
    await book(jana, NINE + HOUR / 2)
    await services.deadlines.work_off()
    assert await freed() == [kept(jana, NINE)]


async def test_rescheduled_booking_frees_its_old_time(
    services: Services, add_expert: AddExpert, book: Book, freed: Freed
) -> None:
    jana = await buffered(add_expert)
    made = await book(jana, NINE, visitor=ADA)
    await services.bookings.reschedule(made.id, NINE + 3 * HOUR, customer_caller(ADA))
    await services.bookings.reschedule(made.id, NINE + 4 * HOUR, ADMIN)
    assert await freed() == [kept(jana, NINE), kept(jana, NINE + 3 * HOUR)]


async def test_booking_that_keeps_its_time_frees_nothing(
    services: Services, add_expert: AddExpert, book: Book, clock: Clock, sql: Connection, freed: Freed
) -> None:
    jana = await buffered(add_expert)
    held = await services.holds.take(HoldRequest(expert_id=jana, starts_at=NINE), visitor=ADA)
    clock.advance(minutes=1)
    await services.holds.renew(held.id)
    made = await book(jana, NINE, hold_id=held.id, visitor=ADA)
    await services.bookings.change_status(made.id, Status.CONFIRMED, ADMIN)
    await services.bookings.reschedule(made.id, NINE, ADMIN)
    clock.now = made.ends_at
    await services.bookings.change_status(made.id, Status.COMPLETED, ADMIN)
    sql.execute("UPDATE booking SET notes = 'x'")
    assert await freed() == []


async def test_time_already_free_is_not_freed_again(
    services: Services, add_expert: AddExpert, book: Book, sql: Connection, freed: Freed
) -> None:
    jana = await buffered(add_expert)
    made = await book(jana, NINE)
    await services.bookings.change_status(made.id, Status.DECLINED, ADMIN)
    await freed()
    sql.execute("UPDATE booking SET status = 'cancelled'")
    sql.execute("DELETE FROM booking")
    with suppress(SlotTaken):
        await book(jana, NINE)
        await book(jana, NINE)
    assert await freed() == []


async def test_bookings_ended_in_one_statement_are_each_freed(
    add_expert: AddExpert, book: Book, sql: Connection, freed: Freed
) -> None:
    jana = await buffered(add_expert)
    for hours in (0, 2, 4):
        await book(jana, NINE + hours * HOUR)
    sql.execute("UPDATE booking SET status = 'cancelled'")
    told = await freed()
    assert sorted(told, key=lambda one: one.since) == [kept(jana, NINE + hours * HOUR) for hours in (0, 2, 4)]
