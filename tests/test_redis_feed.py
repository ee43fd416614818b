"""News through a real Redis: whoever forwards, whoever dies, everybody hears, in order, or knows to look again."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from expert_booking.bus import Bus
from expert_booking.db.feed import NAME, Feed
from expert_booking.domain.events import Event, ExpertChanged, FeedConnected, FeedDisconnected, MailChanged, SlotFreed
from expert_booking.redis_feed import RedisFeed, read, write
from tests.backing_servers import RedisServer
from tests.conftest import AddExpert
from tests.server import ServerProcess

Connection = psycopg.Connection[tuple[Any, ...]]
PATIENCE = 30


class Site:
    """One process of several, as far as news go."""

    def __init__(self, redis: str, database: str) -> None:
        self.bus = Bus()
        self.heard: list[Event] = []
        source = RedisFeed(redis, "test", self._hear, lambda publish: Feed(database, publish))
        self._running = asyncio.create_task(source.run())

    def _hear(self, news: Event) -> None:
        self.heard.append(news)
        self.bus.publish(news)

    async def leave(self) -> None:
        """Be gone."""
        self._running.cancel()
        with suppress(asyncio.CancelledError):
            await self._running


Join = Callable[[], Site]


@pytest.fixture
async def join(redis: RedisServer, database_url: str) -> AsyncIterator[Join]:
    """One more process hears the news."""
    sites: list[Site] = []

    def join() -> Site:
        sites.append(Site(redis.url, database_url))
        return sites[-1]

    yield join
    for site in sites:
        await site.leave()


async def until(check: Callable[[], Any], what: str) -> None:
    """Wait for something that nobody tells us."""
    async with asyncio.timeout(PATIENCE):
        while not check():  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    assert check(), what


def listeners(sql: Connection) -> list[int]:
    """Who listens to the database."""
    return [pid for (pid,) in sql.execute("SELECT pid FROM pg_stat_activity WHERE application_name = %s"
            " AND datname = current_database()", [NAME])]  # fmt: skip


def touch(sql: Connection, expert: UUID) -> None:
    """Something about this expert changes."""
    sql.execute("UPDATE expert SET updated_at = now() WHERE id = %s", [expert])


def test_news_travel_as_ids_and_times_and_arrive_as_they_were() -> None:
    since = datetime(2030, 1, 1, 9, tzinfo=UTC)
    for news in (
        ExpertChanged(uuid4()), MailChanged(uuid4()), MailChanged(None), FeedConnected(), None,
        SlotFreed(uuid4(), since, since.replace(hour=10)),
    ):  # fmt: skip
        assert read(write("a", 7, news)) == ("a", 7, news)


def test_words_of_another_version_are_a_reason_to_look_at_everything() -> None:
    assert read('{"v":2,"by":"a","n":7,"something":"new"}') == ("a", 7, FeedConnected())


async def test_one_process_listens_and_all_hear_in_the_order_of_commits(
    join: Join, add_expert: AddExpert, sql: Connection
) -> None:
    experts = [await add_expert(name=f"Expert {n}") for n in range(3)]
    sites = [join() for _ in range(3)]
    await until(lambda: all(site.bus.connected for site in sites), "all hear")
    await until(lambda: len(listeners(sql)) == 1, "one listens")  # another may just be looking whether it is its turn
    for site in sites:
        site.heard.clear()
    changed = [experts[n % 3] for n in range(60)]
    for expert in changed:
        touch(sql, expert)
    told = [ExpertChanged(expert) for expert in changed]
    await until(lambda: all(len(site.heard) >= 60 for site in sites), "all have heard")
    assert [site.heard for site in sites] == [told] * 3


async def test_when_the_forwarder_is_gone_another_takes_over_and_all_look_again(
    join: Join, add_expert: AddExpert, sql: Connection
) -> None:
    jana = await add_expert()
    first = join()
    await until(lambda: first.bus.connected, "the first hears")
    others = [join(), join()]
    await until(lambda: all(site.bus.connected for site in others), "all hear")
    for site in others:
        site.heard.clear()
    await first.leave()
    assert not first.bus.connected
    touch(sql, jana)  # nobody forwards this
    await until(
        lambda: all(FeedConnected() in site.heard and site.bus.connected for site in others), "others took over"
    )
    await until(lambda: len(listeners(sql)) == 1, "one listens")  # another may just be looking whether it is its turn
    for site in others:
        site.heard.clear()
    touch(sql, jana)
    await until(lambda: all(site.heard == [ExpertChanged(jana)] for site in others), "news arrive again")


async def test_when_the_database_ends_the_connection_that_listens_all_look_again(
    join: Join, add_expert: AddExpert, sql: Connection
) -> None:
    jana = await add_expert()
    sites = [join(), join()]
    await until(lambda: all(site.bus.connected for site in sites), "all hear")
    # The other one may be looking at this moment whether it is its turn.
    await until(lambda: len(listeners(sql)) == 1, "one listens")
    for site in sites:
        site.heard.clear()
    sql.execute("SELECT pg_terminate_backend(%s)", [listeners(sql)[0]])
    await until(lambda: all(FeedConnected() in site.heard and site.bus.connected for site in sites), "all look again")
    touch(sql, jana)
    await until(lambda: all(ExpertChanged(jana) in site.heard for site in sites), "news arrive again")


async def test_after_redis_was_away_everybody_comes_back_and_looks_again(
    join: Join, add_expert: AddExpert, sql: Connection, redis: RedisServer
) -> None:
    jana = await add_expert()
    sites = [join(), join()]
    await until(lambda: all(site.bus.connected for site in sites), "all hear")
    redis.kill()
    await until(lambda: not any(site.bus.connected for site in sites), "nobody believes to hear")
    assert all(site.heard[-1] == FeedDisconnected() for site in sites)
    touch(sql, jana)
    for site in sites:
        site.heard.clear()
    redis.start()
    await until(lambda: all(FeedConnected() in site.heard and site.bus.connected for site in sites), "all look again")
    touch(sql, jana)
    await until(lambda: all(ExpertChanged(jana) in site.heard for site in sites), "news arrive again")
    await until(lambda: len(listeners(sql)) == 1, "one listens")  # another may just be looking whether it is its turn


async def test_real_processes_share_one_listening_connection_and_survive_the_kill_of_the_one_that_has_it(
    serve: Callable[..., ServerProcess], redis: RedisServer, join: Join, add_expert: AddExpert, sql: Connection
) -> None:
    await add_expert()
    doomed = serve(REDIS_URL=redis.url)
    await until(lambda: len(listeners(sql)) == 1, "the first forwards")
    before = listeners(sql)
    serve(REDIS_URL=redis.url)
    assert listeners(sql) == before
    doomed.kill()
    await until(lambda: len(listeners(sql)) == 1 and listeners(sql) != before, "the second forwards")
