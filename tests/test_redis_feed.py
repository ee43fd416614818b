"""Events through a real Redis: whichever process forwards or dies, all receive them in order or know to reload."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from expert_booking.bus import Bus
from expert_booking.db.feed import NAME, Feed
from expert_booking.domain.events import Event, ExpertChanged, FeedConnected, FeedDisconnected, MailChanged
from expert_booking.redis_feed import RedisFeed, read, write
from tests.backing_servers import RedisServer
from tests.conftest import AddExpert
from tests.server import ServerProcess

Connection = psycopg.Connection[tuple[Any, ...]]
PATIENCE = 30


class FeedProcess:
    """The event feed and bus of one server process."""

    def __init__(self, redis: str, database: str) -> None:
        self.bus = Bus()
        self.events: list[Event] = []
        source = RedisFeed(redis, "test", self._receive, lambda publish: Feed(database, publish))
        self._running = asyncio.create_task(source.run())

    def _receive(self, event: Event) -> None:
        self.events.append(event)
        self.bus.publish(event)

    async def leave(self) -> None:
        """Stop this process's feed."""
        self._running.cancel()
        with suppress(asyncio.CancelledError):
            await self._running


Join = Callable[[], FeedProcess]


@pytest.fixture
async def join(redis: RedisServer, database_url: str) -> AsyncIterator[Join]:
    """Start the feed of one more process."""
    processes: list[FeedProcess] = []

    def join() -> FeedProcess:
        processes.append(FeedProcess(redis.url, database_url))
        return processes[-1]

    yield join
    for process in processes:
        await process.leave()


async def wait_until(check: Callable[[], Any], description: str) -> None:
    """Wait for a condition."""
    async with asyncio.timeout(PATIENCE):
        while not check():  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    assert check(), description


def listeners(sql: Connection) -> list[int]:
    """Return the database connections that listen."""
    return [pid for (pid,) in sql.execute("SELECT pid FROM pg_stat_activity WHERE application_name = %s"
            " AND datname = current_database()", [NAME])]  # fmt: skip


def touch(sql: Connection, expert: UUID) -> None:
    """Change something about this expert."""
    sql.execute("UPDATE expert SET updated_at = now() WHERE id = %s", [expert])


def test_events_survive_serialization() -> None:
    for event in (ExpertChanged(uuid4()), MailChanged(uuid4()), MailChanged(None), FeedConnected(), None):
        assert read(write("a", 7, event)) == ("a", 7, event)


def test_message_of_an_unknown_version_causes_a_full_reload() -> None:
    assert read('{"v":2,"by":"a","n":7,"something":"new"}') == ("a", 7, FeedConnected())


async def test_one_process_listens_and_all_receive_events_in_commit_order(
    join: Join, add_expert: AddExpert, sql: Connection
) -> None:
    experts = [await add_expert(name=f"Expert {n}") for n in range(3)]
    processes = [join() for _ in range(3)]
    await wait_until(lambda: all(process.bus.connected for process in processes), "all connected")
    await wait_until(lambda: len(listeners(sql)) == 1, "one listens")  # another may be checking whether to listen
    for process in processes:
        process.events.clear()
    changed = [experts[n % 3] for n in range(60)]
    for expert in changed:
        touch(sql, expert)
    expected = [ExpertChanged(expert) for expert in changed]
    await wait_until(lambda: all(len(process.events) >= 60 for process in processes), "all events received")
    assert [process.events for process in processes] == [expected] * 3


async def test_another_process_takes_over_when_the_forwarder_stops_and_all_reload(
    join: Join, add_expert: AddExpert, sql: Connection
) -> None:
    jana = await add_expert()
    first = join()
    await wait_until(lambda: first.bus.connected, "the first connected")
    others = [join(), join()]
    await wait_until(lambda: all(process.bus.connected for process in others), "all connected")
    for process in others:
        process.events.clear()
    await first.leave()
    assert not first.bus.connected
    touch(sql, jana)  # no process forwards this
    await wait_until(
        lambda: all(FeedConnected() in process.events and process.bus.connected for process in others),
        "others took over",
    )
    await wait_until(lambda: len(listeners(sql)) == 1, "one listens")  # another may be checking whether to listen
    for process in others:
        process.events.clear()
    touch(sql, jana)
    await wait_until(lambda: all(process.events == [ExpertChanged(jana)] for process in others), "events arrive again")


async def test_all_reload_after_the_listening_connection_was_terminated(
    join: Join, add_expert: AddExpert, sql: Connection
) -> None:
    jana = await add_expert()
    processes = [join(), join()]
    await wait_until(lambda: all(process.bus.connected for process in processes), "all connected")
    # The other process may hold a connection while checking whether it should listen.
    await wait_until(lambda: len(listeners(sql)) == 1, "one listens")
    for process in processes:
        process.events.clear()
    sql.execute("SELECT pg_terminate_backend(%s)", [listeners(sql)[0]])
    await wait_until(
        lambda: all(FeedConnected() in process.events and process.bus.connected for process in processes),
        "all received FeedConnected",
    )
    touch(sql, jana)
    await wait_until(lambda: all(ExpertChanged(jana) in process.events for process in processes), "events arrive again")


async def test_all_reconnect_and_reload_after_a_redis_outage(
    join: Join, add_expert: AddExpert, sql: Connection, redis: RedisServer
) -> None:
    jana = await add_expert()
    processes = [join(), join()]
    await wait_until(lambda: all(process.bus.connected for process in processes), "all connected")
    redis.kill()
    await wait_until(lambda: not any(process.bus.connected for process in processes), "all disconnected")
    assert all(process.events[-1] == FeedDisconnected() for process in processes)
    touch(sql, jana)
    for process in processes:
        process.events.clear()
    redis.start()
    await wait_until(
        lambda: all(FeedConnected() in process.events and process.bus.connected for process in processes),
        "all received FeedConnected",
    )
    touch(sql, jana)
    await wait_until(lambda: all(ExpertChanged(jana) in process.events for process in processes), "events arrive again")
    await wait_until(lambda: len(listeners(sql)) == 1, "one listens")  # another may be checking whether to listen


async def test_processes_share_one_listening_connection_and_replace_a_killed_listener(
    serve: Callable[..., ServerProcess], redis: RedisServer, join: Join, add_expert: AddExpert, sql: Connection
) -> None:
    await add_expert()
    doomed = serve(REDIS_URL=redis.url)
    await wait_until(lambda: len(listeners(sql)) == 1, "the first forwards")
    before = listeners(sql)
    serve(REDIS_URL=redis.url)
    assert listeners(sql) == before
    doomed.kill()
    await wait_until(lambda: len(listeners(sql)) == 1 and listeners(sql) != before, "the second forwards")
