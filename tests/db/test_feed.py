"""Notifications of the database: every write announces the right expert and nothing more."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, suppress
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
import pytest
from sqlalchemy import make_url

from expert_booking.bus import Bus
from expert_booking.db.engine import driver_url
from expert_booking.db.feed import Feed
from expert_booking.db.tables import EVENT_CHANNEL, FREED_CHANNEL
from expert_booking.domain.errors import SlotTaken
from expert_booking.domain.events import Event, ExpertChanged, FeedConnected, FeedDisconnected
from expert_booking.domain.lifecycle import Status
from expert_booking.schemas import Caller, HoldRequest, Role
from expert_booking.services import Services
from tests.conftest import AddExpert, Book, Clock, customer_caller

Connection = psycopg.Connection[tuple[Any, ...]]
PATIENCE = 20
NINE = datetime(2026, 11, 24, 8, tzinfo=UTC)


class EventRecorder:
    """Collects events and can wait for them."""

    def __init__(self) -> None:
        self.received: list[Event] = []
        self.bus = Bus()
        self._more = asyncio.Event()

    def __call__(self, event: Event) -> None:
        """Record an event. Disconnections go only to the bus."""
        self.bus.publish(event)
        if not isinstance(event, FeedDisconnected):
            self.received.append(event)
        self._more.set()

    async def until(self, enough: Callable[[list[Event]], bool]) -> list[Event]:
        """Wait until there are enough events; return and clear those since the last call."""
        async with asyncio.timeout(PATIENCE):
            while not enough(self.received):
                self._more.clear()
                await self._more.wait()
        received, self.received = self.received, []
        return received


@pytest.fixture
async def recorder(database_url: str) -> AsyncIterator[EventRecorder]:
    """A recorder of a running feed that is connected."""
    recorder = EventRecorder()
    running = asyncio.create_task(Feed(database_url, recorder).run())
    assert await recorder.until(bool) == [FeedConnected()]
    yield recorder
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


@pytest.fixture
async def expert_events(add_expert: AddExpert, sql: Connection, recorder: EventRecorder) -> Callable[[], Any]:
    """All events up to now. Events arrive in commit order, so an event of another expert marks the end."""
    marker = await add_expert(name="Nobody")
    await recorder.until(lambda received: ExpertChanged(marker) in received)

    async def expert_events() -> list[Event]:
        sql.execute("UPDATE expert SET updated_at = now() WHERE id = %s", [marker])
        return (await recorder.until(lambda received: ExpertChanged(marker) in received))[:-1]

    return expert_events


Events = Callable[[], Any]
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
    add_expert: AddExpert, book: Book, sql: Connection, expert_events: Events, change: str
) -> None:
    jana, _omar = await add_expert(), await add_expert(name="Omar")
    await book(jana, NINE)
    await expert_events()
    sql.execute(change, {"jana": jana} if "%(jana)s" in change else None)
    received = await expert_events()
    assert received
    assert set(received) == {ExpertChanged(jana)}


async def test_row_that_changes_its_expert_is_announced_for_both(
    add_expert: AddExpert, sql: Connection, expert_events: Events
) -> None:
    jana, omar = await add_expert(), await add_expert(name="Omar", weekdays=())
    await expert_events()
    sql.execute("UPDATE availability_rule SET expert_id = %s WHERE weekday = 1 AND expert_id = %s", [omar, jana])
    assert set(await expert_events()) == {ExpertChanged(jana), ExpertChanged(omar)}


async def test_changes_by_the_services_are_announced(
    services: Services, add_expert: AddExpert, book: Book, expert_events: Events
) -> None:
    jana = await add_expert()
    assert ExpertChanged(jana) in await expert_events()
    made = await book(jana, NINE)
    assert await expert_events() == [ExpertChanged(jana)]
    await services.bookings.change_status(made.id, Status.CANCELLED, Caller(role=Role.ADMIN))
    assert await expert_events() == [ExpertChanged(jana)]


async def test_rolled_back_changes_are_not_announced(
    add_expert: AddExpert, book: Book, sql: Connection, expert_events: Events
) -> None:
    jana = await add_expert()
    await expert_events()
    with sql.transaction(force_rollback=True):
        sql.execute(BOOKING, {"jana": jana})
    assert await expert_events() == []


async def test_many_changes_in_one_transaction_are_announced_once(
    add_expert: AddExpert, sql: Connection, expert_events: Events
) -> None:
    jana = await add_expert()
    await expert_events()
    with sql.transaction():
        sql.execute(BOOKING, {"jana": jana})
        sql.execute("UPDATE booking SET status = 'confirmed'")
        sql.execute("UPDATE expert SET headline = 'New' WHERE id = %s", [jana])
    assert await expert_events() == [ExpertChanged(jana)]


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


async def test_invalid_payloads_are_ignored(add_expert: AddExpert, sql: Connection, expert_events: Events) -> None:
    sql.execute(f"NOTIFY {EVENT_CHANNEL}, 'hello'")
    sql.execute(f"NOTIFY {EVENT_CHANNEL}")
    sql.execute("NOTIFY something_else, 'x'")
    assert await expert_events() == []


async def test_feed_reports_a_killed_connection_and_reconnects(
    add_expert: AddExpert, sql: Connection, recorder: EventRecorder, expert_events: Events
) -> None:
    jana = await add_expert()
    await expert_events()
    for _ in range(3):
        assert kill_listeners(sql) == 1
        assert await recorder.until(bool) == [FeedConnected()]
        sql.execute("UPDATE expert SET headline = 'New' WHERE id = %s", [jana])
        assert await expert_events() == [ExpertChanged(jana)]


async def test_feed_reconnects_after_the_database_was_down(
    add_expert: AddExpert,
    sql: Connection,
    recorder: EventRecorder,
    expert_events: Events,
    server_url: str,
    database_url: str,
) -> None:
    jana = await add_expert()
    await expert_events()
    attempts = Attempts()
    logger = logging.getLogger("expert_booking.db.feed")
    logger.addHandler(attempts)
    name = make_url(database_url).database
    with psycopg.connect(driver_url(server_url), autocommit=True) as admin:
        admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        assert kill_listeners(sql) == 1
        async with asyncio.timeout(PATIENCE):
            await attempts.third.wait()
        assert recorder.received == []
        assert not recorder.bus.connected
        admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    logger.removeHandler(attempts)
    assert await recorder.until(bool) == [FeedConnected()]
    assert recorder.bus.connected
    sql.execute("UPDATE expert SET headline = 'New' WHERE id = %s", [jana])
    assert await expert_events() == [ExpertChanged(jana)]


async def test_changes_during_a_disconnect_are_found_after_the_feed_reports_the_gap(
    services: Services,
    add_expert: AddExpert,
    book: Book,
    sql: Connection,
    recorder: EventRecorder,
    expert_events: Events,
) -> None:
    """A reload after `FeedConnected` sees all changes, because the feed listens before it publishes that event."""
    jana = await add_expert()
    await expert_events()
    for hour in range(6):
        kill_listeners(sql)
        made = await book(jana, NINE.replace(hour=8 + hour))
        received = await recorder.until(lambda event: FeedConnected() in event)
        board = await services.availability.board(jana)
        assert [slot.state for slot in board.slots if slot.starts_at == made.starts_at] == ["booked"]
        assert set(received) <= {FeedConnected(), ExpertChanged(jana)}


class Attempts(logging.Handler):
    """Counts the feed's failed attempts to connect."""

    def __init__(self) -> None:
        super().__init__()
        self._count = 0
        self.third = asyncio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        """Count a log record."""
        self._count += "retrying" in record.getMessage()
        if self._count >= 3:
            self.third.set()


def kill_listeners(sql: Connection) -> int:
    """Kill every listening connection in this database and return their number."""
    found = sql.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid() AND query LIKE 'LISTEN%'"
    )
    return len(found.fetchall())


# --- freed times ------------------------------------------------------------------------------------------------

Freed = Callable[[], Any]
HOUR = timedelta(hours=1)
ADA = b"a" * 32
ADMIN = Caller(role=Role.ADMIN)


class FreedTime(NamedTuple):
    """A time that the database announces as free."""

    expert_id: UUID
    since: datetime
    until: datetime

    @classmethod
    def of(cls, payload: str) -> "FreedTime":
        """Return the time in this payload of a notification."""
        fields = json.loads(payload)
        return cls(UUID(fields["expert"]), *(datetime.fromisoformat(fields[end]) for end in ("since", "until")))


@pytest.fixture
async def freed(database_url: str) -> AsyncIterator[Freed]:
    """The freed times since the last call, as another program hears of them."""
    async with await psycopg.AsyncConnection.connect(driver_url(database_url), autocommit=True) as listener:
        await listener.execute(f"LISTEN {FREED_CHANNEL}")

        async def freed() -> list[FreedTime]:
            # Notifications arrive in commit order, so this one marks the end.
            await listener.execute(f"NOTIFY {FREED_CHANNEL}, 'end'")
            payloads = list[str]()
            async with aclosing(listener.notifies(timeout=PATIENCE)) as notifications:
                async for notification in notifications:
                    if notification.payload == "end":
                        return [FreedTime.of(payload) for payload in payloads]
                    payloads.append(notification.payload)
            raise TimeoutError

        yield freed


async def buffered(add_expert: AddExpert) -> UUID:
    """An expert with buffers of five minutes before and ten after a session."""
    return await add_expert(step_minutes=15, before_minutes=5, after_minutes=10)


def occupied(expert_id: UUID, starts_at: datetime) -> FreedTime:
    """The time that a session at this start occupies."""
    return FreedTime(expert_id, starts_at - timedelta(minutes=5), starts_at + timedelta(minutes=70))


async def test_ended_booking_frees_its_time_once(
    services: Services, add_expert: AddExpert, book: Book, sql: Connection, clock: Clock, freed: Freed
) -> None:
    jana = await buffered(add_expert)
    bookings = services.bookings

    async def delete(_: UUID) -> None:
        sql.execute("DELETE FROM booking WHERE status = 'pending'")

    async def expire(booking_id: UUID) -> None:
        sql.execute("UPDATE booking SET answer_by = %s WHERE id = %s", [clock(), booking_id])
        await services.deadlines.drain()
        await services.deadlines.drain()

    for end in (
        lambda booking_id: bookings.change_status(booking_id, Status.CANCELLED, ADMIN),
        lambda booking_id: bookings.change_status(booking_id, Status.CANCELLED, customer_caller(ADA)),
        lambda booking_id: bookings.change_status(booking_id, Status.DECLINED, ADMIN),
        expire,
        delete,
    ):
        made = await book(jana, NINE, visitor=ADA)
        assert await freed() == []
        await end(made.id)
        assert await freed() == [occupied(jana, NINE)]


async def test_ended_hold_frees_its_time_once(
    services: Services, add_expert: AddExpert, clock: Clock, freed: Freed
) -> None:
    jana = await buffered(add_expert)

    async def expire(_: UUID) -> None:
        clock.advance(minutes=5)
        await services.deadlines.drain()
        await services.deadlines.drain()

    async def replace(_: UUID) -> None:
        await services.holds.take(HoldRequest(expert_id=jana, starts_at=NINE + 3 * HOUR), visitor=ADA)

    for end in (services.holds.release, expire, replace):
        held = await services.holds.take(HoldRequest(expert_id=jana, starts_at=NINE), visitor=ADA)
        assert await freed() == []
        await end(held.id)
        assert await freed() == [occupied(jana, NINE)]


async def test_expired_hold_is_freed_once_by_the_booking_that_replaces_it(
    services: Services, add_expert: AddExpert, book: Book, clock: Clock, freed: Freed
) -> None:
    jana = await buffered(add_expert)
    await services.holds.take(HoldRequest(expert_id=jana, starts_at=NINE))
    clock.advance(minutes=5)
    await book(jana, NINE + HOUR / 2)
    await services.deadlines.drain()
    assert await freed() == [occupied(jana, NINE)]


async def test_rescheduled_booking_frees_its_old_time(
    services: Services, add_expert: AddExpert, book: Book, freed: Freed
) -> None:
    jana = await buffered(add_expert)
    made = await book(jana, NINE, visitor=ADA)
    await services.bookings.reschedule(made.id, NINE + 3 * HOUR, customer_caller(ADA))
    await services.bookings.reschedule(made.id, NINE + 4 * HOUR, ADMIN)
    assert await freed() == [occupied(jana, NINE), occupied(jana, NINE + 3 * HOUR)]


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
    freed_slots = await freed()
    assert sorted(freed_slots, key=lambda one: one.since) == [
        occupied(jana, NINE + hours * HOUR) for hours in (0, 2, 4)
    ]
