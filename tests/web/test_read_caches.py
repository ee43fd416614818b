"""The pages' read caches: an entry is reused only while it is known to be current."""

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
from tests.server import ServerProcess

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
    """Use this test's loop as NiceGUI's, as in the server."""
    monkeypatch.setattr(core, "loop", asyncio.get_running_loop())


class EventRecorder:
    """A running feed that can wait for the event of one expert."""

    def __init__(self, services: Services, url: str) -> None:
        self.feed = Feed(url, services.bus.publish)
        self._seen: list[UUID | None] = []
        self._more = asyncio.Event()
        services.bus.listen_to_experts(self._record)

    async def wait_for(self, expert_id: UUID | None) -> None:
        """Return after an event for this expert has arrived since the last call."""
        async with asyncio.timeout(PATIENCE):
            while expert_id not in self._seen:
                self._more.clear()
                await self._more.wait()
        self._seen.clear()

    def _record(self, expert_id: UUID | None) -> None:
        self._seen.append(expert_id)
        self._more.set()


@pytest.fixture
async def events(services: Services, database_url: str) -> AsyncIterator[EventRecorder]:
    """A running feed that records events."""
    events = EventRecorder(services, database_url)
    running = asyncio.create_task(events.feed.run())
    await events.wait_for(None)
    yield events
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


@pytest.fixture
async def two(add_expert: AddExpert, events: EventRecorder) -> tuple[UUID, UUID]:
    """Two experts whose creation events have all arrived."""
    two = await add_expert(name="Jana Müller"), await add_expert(name="Tom Weber")
    await events.wait_for(two[1])
    return two


async def visit(boards: LiveBoards, expert_id: UUID) -> LiveBoard:
    """Open and close a page of this expert."""
    board = boards.of(expert_id, None)
    leave = board.watch(lambda _: None)
    await board.ensure_current()
    leave()
    return board


def state(board: LiveBoard, at: datetime) -> SlotState:
    """Return the state of one slot on a board."""
    assert board.board is not None
    return next(slot.state for slot in board.board.slots if slot.starts_at == at)


# --- boards -----------------------------------------------------------------------------------------------------


async def test_board_is_cached_until_its_expert_changes(
    services: Services, two: tuple[UUID, UUID], events: EventRecorder, sql: Connection
) -> None:
    boards, (jana, tom) = LiveBoards(services), two
    before = [(await visit(boards, one)).board for one in two]
    assert (len(boards), boards.idle_count, services.bus.subscriber_count()) == (0, 2, 0)
    assert [(await visit(boards, one)).board is reading for one, reading in zip(two, before, strict=True)] == [True] * 2
    sql.execute(BOOKED, {"expert": jana, "at": TEN})
    await events.wait_for(jana)
    assert boards.idle_count == 1
    assert state(await visit(boards, jana), TEN) is SlotState.BOOKED
    assert (await visit(boards, tom)).board is before[1]


async def test_watched_board_is_read_once_per_event_not_once_per_visitor(
    services: Services, two: tuple[UUID, UUID], events: EventRecorder, book: Book
) -> None:
    boards, (jana, _) = LiveBoards(services), two
    board = boards.of(jana, None)
    board.watch(lambda _: None)
    await board.ensure_current()
    await book(jana, TEN)
    await events.wait_for(jana)
    await asyncio.gather(*(board.ensure_current() for _ in range(5)))
    reading = board.board
    assert state(board, TEN) is SlotState.BOOKED
    board.refresh = lambda: None  # type: ignore[assignment, method-assign]
    await board.ensure_current()
    assert board.board is reading


async def test_board_is_reread_when_time_has_passed(services: Services, two: tuple[UUID, UUID], clock: Clock) -> None:
    boards, soon = LiveBoards(services), MONDAY_MORNING + HOUR
    clock.now = soon - timedelta(seconds=1)
    assert state(await visit(boards, two[0]), soon) is SlotState.OPEN
    clock.advance(seconds=2)
    board = (await visit(boards, two[0])).board
    assert board is not None
    assert soon not in [slot.starts_at for slot in board.slots if slot.state is SlotState.OPEN]


async def test_caches_of_boards_and_profiles_are_bounded(
    services: Services, add_expert: AddExpert, events: EventRecorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slot_boards, "MAX_IDLE_BOARDS", 2)
    monkeypatch.setattr(read_cache, "MAX_ENTRIES", 2)
    boards, known = LiveBoards(services), ProfileCache(services)
    ids = [await add_expert(name=f"Expert {n}") for n in range(3)]
    await events.wait_for(ids[-1])
    for expert_id in ids:
        await visit(boards, expert_id)
        await known.of(str(expert_id))
    assert (boards.idle_count, len(known)) == (2, 2)


async def test_nothing_is_served_from_a_cache_while_the_feed_is_down(
    services: Services, two: tuple[UUID, UUID], events: EventRecorder, sql: Connection
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
        while services.bus.connected:  # noqa: ASYNC110 - the first iteration after the connection is lost
            await asyncio.sleep(0)
    # The visitors run before any other task: the feed is still disconnected.
    sql.execute(BOOKED, {"expert": jana, "at": TEN})
    sql.execute("UPDATE expert SET name = 'Jana Schmidt' WHERE id = %s", [jana])
    assert not board.is_current
    profile, _ = await asyncio.gather(known.of(str(jana)), board.ensure_current())
    assert (state(board, TEN), profile.expert.name) == (SlotState.BOOKED, "Jana Schmidt")


# --- profiles ---------------------------------------------------------------------------------------------------


async def test_profile_is_cached_until_its_expert_changes(
    services: Services, two: tuple[UUID, UUID], events: EventRecorder, sql: Connection
) -> None:
    known, (jana, tom) = ProfileCache(services), map(str, two)
    before = await known.of(jana), await known.of(tom)
    assert (await known.of(jana), await known.of(tom)) == before
    for change, named in (
        ("UPDATE expert SET name = 'Jana Schmidt' WHERE id = %s", ("Jana Schmidt", "Consultation")),
        ("UPDATE session_type SET title = 'Advice' WHERE expert_id = %s", ("Jana Schmidt", "Advice")),
    ):
        sql.execute(change, [jana])
        await events.wait_for(two[0])
        expert = (await known.of(jana)).expert
        assert (expert.name, expert.session_types[0].title) == named
    assert await known.of(tom) is before[1]
    sql.execute("UPDATE expert SET active = false WHERE id = %s", [jana])
    await events.wait_for(two[0])
    with pytest.raises(ExpertNotFound):
        await known.of(jana)


class GatedExperts(Experts):
    """The real service, whose profiles are held back until the gate opens."""

    def __init__(self, real: Experts) -> None:
        self._real = real
        self.gate, self.arrived = asyncio.Event(), asyncio.Event()

    async def profile(self, reference: str) -> ExpertDetail:
        """Read the profile now and return it when the gate opens."""
        profile = await self._real.profile(reference)
        self.arrived.set()
        await self.gate.wait()
        return profile


@pytest.mark.parametrize("missed", [False, True])
async def test_profile_read_before_an_event_and_returned_after_it_is_not_cached(
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


async def test_listing_is_cached_until_an_expert_or_a_next_free_time_changes(
    services: Services, two: tuple[UUID, UUID], events: EventRecorder, sql: Connection, clock: Clock
) -> None:
    listings, key = ListingCache(services), ListingKey(ExpertQuery(), "Europe/Berlin")
    shown = CachedListing(list(two), 7, "{}")
    listings.put(key, shown, listings.start_reading())
    assert (listings.get(key, 7), listings.get(key, 8), listings.get(key._replace(zone="UTC"), 7)) == (
        shown,
        None,
        None,
    )
    before = listings.start_reading()
    sql.execute("UPDATE expert SET name = 'Tom Schmidt' WHERE id = %s", [two[1]])
    await events.wait_for(two[1])
    listings.put(key, shown, before)  # it was read before the change
    assert (listings.get(key, 7), len(listings)) == (None, 0)


async def test_listing_that_depends_on_derived_data_is_not_cached(services: Services, clock: Clock) -> None:
    listings = ListingCache(services)
    for query in (
        ExpertQuery(sort=ExpertSort.SOONEST),
        ExpertQuery(free_on=TEN.date()),
        ExpertQuery(free_before=TEN.date()),
    ):
        listings.put(ListingKey(query, "UTC"), CachedListing([], 0, "{}"), listings.start_reading())
    assert len(listings) == 0


# --- everything together, over HTTP -------------------------------------------------------------------------------


async def test_cached_pages_show_changes_made_in_psql(
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
