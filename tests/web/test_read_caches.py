"""What pages keep of what they have read: given again only as long as it is known to be right."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from uuid import UUID

import httpx
import psycopg
import pytest
from nicegui import core

from expert_booking.db.feed import Feed
from expert_booking.domain.calendar import SlotState
from expert_booking.domain.errors import ExpertNotFound
from expert_booking.domain.events import ExpertChanged, FeedConnected
from expert_booking.schemas import ExpertDetail, ExpertQuery, ExpertSort
from expert_booking.services import Services
from expert_booking.services.experts import Experts
from expert_booking.web.live import read_cache, slot_boards
from expert_booking.web.live.listing_cache import CachedListing, ListingCache, ListingKey
from expert_booking.web.live.profile_cache import ProfileCache
from expert_booking.web.live.slot_boards import LiveBoard, LiveBoards
from tests.conftest import MONDAY_MORNING, AddExpert, Book, Clock
from tests.serving import ServerProcess

Connection = psycopg.Connection[tuple[object, ...]]
PATIENCE = 20
TEN = MONDAY_MORNING + timedelta(days=1, hours=1)
HOUR = timedelta(hours=1)
BOOKED = """
    INSERT INTO booking (id, expert_id, session_type_id, starts_at, ends_at, busy, status, name, email, customer_key)
    SELECT gen_random_uuid(), expert_id, id, %(at)s, %(at)s + interval '1 hour',
           tstzrange(%(at)s, %(at)s + interval '1 hour'), 'pending', 'Ada', 'ada@example.com', 'ada@example.com'
    FROM session_type WHERE expert_id = %(expert)s
"""


@pytest.fixture(autouse=True)
async def _loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """NiceGUI works on this loop, as it does in the server."""
    monkeypatch.setattr(core, "loop", asyncio.get_running_loop())


class Event:
    """A feed at work, and a way to wait until it has told of somebody."""

    def __init__(self, services: Services, url: str) -> None:
        self.feed = Feed(url, services.bus.publish)
        self._told: list[UUID | None] = []
        self._more = asyncio.Event()
        services.bus.listen_to_experts(self._hear)

    async def of(self, expert_id: UUID | None) -> None:
        """Return when there has been news of this expert, since the last time."""
        async with asyncio.timeout(PATIENCE):
            while expert_id not in self._told:
                self._more.clear()
                await self._more.wait()
        self._told.clear()

    def _hear(self, expert_id: UUID | None) -> None:
        self._told.append(expert_id)
        self._more.set()


@pytest.fixture
async def news(services: Services, database_url: str) -> AsyncIterator[Event]:
    """News that arrive."""
    news = Event(services, database_url)
    running = asyncio.create_task(news.feed.run())
    await news.of(None)
    yield news
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


@pytest.fixture
async def two(add_expert: AddExpert, news: Event) -> tuple[UUID, UUID]:
    """Two experts, of whom nothing is new any more."""
    two = await add_expert(name="Jana Müller"), await add_expert(name="Tom Weber")
    await news.of(two[1])
    return two


async def looked_at(boards: LiveBoards, expert_id: UUID) -> LiveBoard:
    """Somebody opens a page of this expert, and leaves."""
    board = boards.of(expert_id, None)
    leave = board.watch(lambda _: None)
    await board.ensure_current()
    leave()
    return board


def state(board: LiveBoard, at: datetime) -> SlotState:
    """What a board says of one slot."""
    assert board.board is not None
    return next(slot.state for slot in board.board.slots if slot.starts_at == at)


# --- boards -----------------------------------------------------------------------------------------------------


async def test_a_board_is_kept_until_there_is_news_of_its_expert(
    services: Services, two: tuple[UUID, UUID], news: Event, sql: Connection
) -> None:
    boards, (jana, tom) = LiveBoards(services), two
    before = [(await looked_at(boards, one)).board for one in two]
    assert (len(boards), boards.idle_count, services.bus.subscriber_count()) == (0, 2, 0)
    assert [(await looked_at(boards, one)).board is reading for one, reading in zip(two, before, strict=True)] == [
        True
    ] * 2
    sql.execute(BOOKED, {"expert": jana, "at": TEN})
    await news.of(jana)
    assert boards.idle_count == 1
    assert state(await looked_at(boards, jana), TEN) is SlotState.BOOKED
    assert (await looked_at(boards, tom)).board is before[1]


async def test_a_board_that_is_looked_at_is_read_once_for_each_news_and_not_for_each_visitor(
    services: Services, two: tuple[UUID, UUID], news: Event, book: Book
) -> None:
    boards, (jana, _) = LiveBoards(services), two
    board = boards.of(jana, None)
    board.watch(lambda _: None)
    await board.ensure_current()
    await book(jana, TEN)
    await news.of(jana)
    await asyncio.gather(*(board.ensure_current() for _ in range(5)))
    reading = board.board
    assert state(board, TEN) is SlotState.BOOKED
    board.refresh = lambda: None  # type: ignore[assignment, method-assign]
    await board.ensure_current()
    assert board.board is reading


async def test_time_that_passes_has_a_board_read_anew(services: Services, two: tuple[UUID, UUID], clock: Clock) -> None:
    boards, soon = LiveBoards(services), MONDAY_MORNING + HOUR
    clock.now = soon - timedelta(seconds=1)
    assert state(await looked_at(boards, two[0]), soon) is SlotState.OPEN
    clock.move(seconds=2)
    board = (await looked_at(boards, two[0])).board
    assert board is not None
    assert soon not in [slot.starts_at for slot in board.slots if slot.state is SlotState.OPEN]


async def test_no_more_boards_and_profiles_are_kept_than_there_is_room_for(
    services: Services, add_expert: AddExpert, news: Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slot_boards, "MAX_IDLE_BOARDS", 2)
    monkeypatch.setattr(read_cache, "MAX_ENTRIES", 2)
    boards, known = LiveBoards(services), ProfileCache(services)
    ids = [await add_expert(name=f"Expert {n}") for n in range(3)]
    await news.of(ids[-1])
    for expert_id in ids:
        await looked_at(boards, expert_id)
        await known.of(str(expert_id))
    assert (boards.idle_count, len(known)) == (2, 2)


async def test_while_no_news_arrive_everything_is_read_anew(
    services: Services, two: tuple[UUID, UUID], news: Event, sql: Connection
) -> None:
    boards, known, jana = LiveBoards(services), ProfileCache(services), two[0]
    board = boards.of(jana, None)
    board.watch(lambda _: None)
    await board.ensure_current()
    assert board.is_current
    assert (await known.of(str(jana))).expert.name == "Jana Müller"
    sql.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'"
                " AND datname = current_database()")  # fmt: skip
    async with asyncio.timeout(PATIENCE):
        while services.bus.connected:  # noqa: ASYNC110 - the very next turn after it has gone
            await asyncio.sleep(0)
    # Nothing else gets a turn before the visitors do: the feed is still away.
    sql.execute(BOOKED, {"expert": jana, "at": TEN})
    sql.execute("UPDATE expert SET name = 'Jana Schmidt' WHERE id = %s", [jana])
    assert not board.is_current
    profile, _ = await asyncio.gather(known.of(str(jana)), board.ensure_current())
    assert (state(board, TEN), profile.expert.name) == (SlotState.BOOKED, "Jana Schmidt")


# --- profiles ---------------------------------------------------------------------------------------------------


async def test_a_profile_is_kept_until_there_is_news_of_its_expert(
    services: Services, two: tuple[UUID, UUID], news: Event, sql: Connection
) -> None:
    known, (jana, tom) = ProfileCache(services), map(str, two)
    before = await known.of(jana), await known.of(tom)
    assert (await known.of(jana), await known.of(tom)) == before
    for change, named in (
        ("UPDATE expert SET name = 'Jana Schmidt' WHERE id = %s", ("Jana Schmidt", "Consultation")),
        ("UPDATE session_type SET title = 'Advice' WHERE expert_id = %s", ("Jana Schmidt", "Advice")),
    ):
        sql.execute(change, [jana])
        await news.of(two[0])
        expert = (await known.of(jana)).expert
        assert (expert.name, expert.session_types[0].title) == named
    assert await known.of(tom) is before[1]
    sql.execute("UPDATE expert SET active = false WHERE id = %s", [jana])
    await news.of(two[0])
    with pytest.raises(ExpertNotFound):
        await known.of(jana)


class GatedExperts(Experts):
    """The real experts, whose profiles wait at a gate until they are let go."""

    def __init__(self, real: Experts) -> None:
        self._real = real
        self.gate, self.arrived = asyncio.Event(), asyncio.Event()

    async def profile(self, reference: str) -> ExpertDetail:
        """What is read now, told when the gate opens."""
        profile = await self._real.profile(reference)
        self.arrived.set()
        await self.gate.wait()
        return profile


@pytest.mark.parametrize("missed", [False, True])
async def test_a_profile_that_was_read_before_the_news_and_arrives_after_them_is_not_kept(
    services: Services, two: tuple[UUID, UUID], missed: bool
) -> None:
    gated = services.experts = GatedExperts(services.experts)
    known, jana = ProfileCache(services), two[0]
    reading = asyncio.create_task(known.of(str(jana)))
    await gated.arrived.wait()
    services.bus.publish(FeedConnected() if missed else ExpertChanged(jana))
    gated.gate.set()
    old = await reading
    assert await known.of(str(jana)) is not old


# --- listings ---------------------------------------------------------------------------------------------------


async def test_a_listing_is_kept_until_there_is_news_of_anybody_or_of_next_free_times(
    services: Services, two: tuple[UUID, UUID], news: Event, sql: Connection, clock: Clock
) -> None:
    listings, asked = ListingCache(services), ListingKey(ExpertQuery(), "Europe/Berlin")
    shown = CachedListing(list(two), 7, "{}")
    listings.put(asked, shown, listings.start_reading())
    assert (listings.get(asked, 7), listings.get(asked, 8), listings.get(asked._replace(zone="UTC"), 7)) == (
        shown,
        None,
        None,
    )
    before = listings.start_reading()
    sql.execute("UPDATE expert SET name = 'Tom Schmidt' WHERE id = %s", [two[1]])
    await news.of(two[1])
    listings.put(asked, shown, before)  # it was read before
    assert (listings.get(asked, 7), len(listings)) == (None, 0)


async def test_a_listing_that_rests_on_what_is_worked_out_later_is_not_kept(services: Services, clock: Clock) -> None:
    listings = ListingCache(services)
    for query in (
        ExpertQuery(sort=ExpertSort.SOONEST),
        ExpertQuery(free_on=TEN.date()),
        ExpertQuery(free_before=TEN.date()),
    ):
        listings.put(ListingKey(query, "UTC"), CachedListing([], 0, "{}"), listings.start_reading())
    assert len(listings) == 0


# --- all of it, over HTTP ---------------------------------------------------------------------------------------


async def test_pages_that_everybody_asks_for_show_what_psql_has_changed(
    two: tuple[UUID, UUID], sql: Connection, serve: Callable[..., ServerProcess]
) -> None:
    server, (jana, _) = serve(), two
    slug = sql.execute("SELECT slug FROM expert WHERE id = %s", [jana]).fetchone()[0]  # type: ignore[index]
    at = (datetime.now(UTC) + timedelta(days=2)).replace(hour=12, minute=0, second=0, microsecond=0)
    paths = ["/", f"/expert/{slug}", f"/book/{slug}?at={at:%Y-%m-%dT%H:%M:%SZ}"]
    async with httpx.AsyncClient(base_url=server.url, cookies={"zone": "Europe/Berlin"}) as client:

        async def shows(path: str, pattern: str) -> None:
            async with asyncio.timeout(PATIENCE):
                while not re.search(pattern, (await client.get(path)).text):
                    client.cookies.delete("eb_browser") if "eb_browser" in client.cookies else None
                    await asyncio.sleep(0.02)

        for path in paths:
            await shows(path, "Jana")
        sql.execute("UPDATE expert SET name = 'Janina Schmidt' WHERE id = %s", [jana])
        for path in paths:
            await shows(path, "Janina Schmidt")
        taken = f"{at:%Y-%m-%dT%H:%M:%SZ}" + r"[^\]]*booked"
        assert not re.search(taken, (await client.get(paths[1])).text)
        sql.execute(BOOKED, {"expert": jana, "at": at})
        await shows(paths[1], taken)
        await shows(paths[2], "slot_taken")
        sql.execute("UPDATE expert SET active = false WHERE id = %s", [jana])
        await shows(paths[1], "expert_not_found")
