"""What keeps open pages in step, on the real database and without any browser."""

import asyncio
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import psycopg
import pytest
from nicegui import core

from expert_booking.domain.calendar import SlotState
from expert_booking.domain.events import ExpertChanged, FeedConnected
from expert_booking.domain.unavailability import Reason
from expert_booking.schemas import SessionTypeRequest
from expert_booking.services import Services
from expert_booking.services.availability import Availability, Board
from expert_booking.web.live import rooms
from expert_booking.web.live.next_free import NextFree, NextFreeKey, next_free_text
from expert_booking.web.live.slot_boards import LiveBoards
from expert_booking.web.live.throttle import MIN_INTERVAL, Throttle
from tests.conftest import MONDAY_MORNING, AddExpert, Book, Clock

Connection = psycopg.Connection[tuple[object, ...]]

BERLIN = ZoneInfo("Europe/Berlin")
TEN = MONDAY_MORNING + timedelta(days=1, hours=1)
HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
async def _loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """NiceGUI works on this loop, as it does in the server."""
    monkeypatch.setattr(core, "loop", asyncio.get_running_loop())


class Watcher:
    """Keeps what it was shown."""

    def __init__(self) -> None:
        self.boards: list[Board] = []

    def __call__(self, board: Board) -> None:
        """One change."""
        self.boards.append(board)


def state(board: Board | None, at: datetime) -> SlotState:
    """What a board says of one slot."""
    assert board is not None
    return next(slot.state for slot in board.slots if slot.starts_at == at)


class GatedAvailability(Availability):
    """The real calendar, whose answers wait at a gate until they are let go, in whatever order."""

    def __init__(self, services: Services, real: Availability) -> None:
        self._real = real
        self.gates: list[asyncio.Event] = []
        self._arrived = asyncio.Semaphore(0)

    async def board(self, expert_id: UUID, session_type_id: UUID | None = None) -> Board:
        """What the calendar says now, told when the gate opens."""
        read = await self._real.board(expert_id, session_type_id)
        self.gates.append(gate := asyncio.Event())
        self._arrived.release()
        await gate.wait()
        return read

    async def one_more(self) -> None:
        """Return when one more answer waits."""
        await asyncio.wait_for(self._arrived.acquire(), 5)


async def test_the_version_grows_by_one_with_every_change_and_not_without_one(
    services: Services, add_expert: AddExpert, book: Book
) -> None:
    expert_id, watcher = await add_expert(), Watcher()
    live = LiveBoards(services).of(expert_id, None)
    live.watch(watcher)
    versions = []
    for at in (None, TEN, None, TEN + HOUR, None):
        if at is not None:
            await book(expert_id, at)
        await live.read()
        versions.append(live.version)
    assert versions == [0, 1, 1, 2, 2]
    assert [state(board, TEN + HOUR) for board in watcher.boards] == [SlotState.OPEN, SlotState.BOOKED]


async def test_the_first_reading_is_the_start_and_no_change(services: Services, add_expert: AddExpert) -> None:
    watcher = Watcher()
    live = LiveBoards(services).of(await add_expert(), None)
    live.watch(watcher)
    await live.read()
    assert (live.version, watcher.boards) == (0, [])
    assert live.board is not None


async def test_several_changes_read_at_once_are_one_version(
    services: Services, add_expert: AddExpert, book: Book
) -> None:
    expert_id = await add_expert()
    live = LiveBoards(services).of(expert_id, None)
    live.watch(lambda _: None)
    await live.read()
    for hours in range(5):
        await book(expert_id, TEN + hours * HOUR)
    await live.read()
    assert live.version == 1


async def test_a_reading_that_began_earlier_and_ends_later_does_not_bring_the_past_back(
    services: Services, add_expert: AddExpert, book: Book, clock: Clock
) -> None:
    expert_id = await add_expert()
    live = LiveBoards(services).of(expert_id, None)
    live.watch(lambda _: None)
    await live.read()
    gated = services.availability = GatedAvailability(services, services.availability)
    earlier = asyncio.create_task(live.read())
    await gated.one_more()
    await book(expert_id, TEN)
    clock.move(milliseconds=1)
    later = asyncio.create_task(live.read())
    await gated.one_more()
    for gate, reading in zip(reversed(gated.gates), (later, earlier), strict=True):
        gate.set()
        await reading
    assert live.version == 1
    assert state(live.board, TEN) is SlotState.BOOKED


async def test_a_clock_that_is_set_back_does_not_stop_the_board(
    services: Services, add_expert: AddExpert, book: Book, clock: Clock
) -> None:
    expert_id = await add_expert()
    live = LiveBoards(services).of(expert_id, None)
    live.watch(lambda _: None)
    await live.read()
    clock.move(minutes=-1)
    await book(expert_id, TEN)
    await live.read()
    assert state(live.board, TEN) is SlotState.BOOKED


async def test_news_of_an_expert_lead_to_one_reading_however_many_come_together(
    services: Services, add_expert: AddExpert, book: Book
) -> None:
    expert_id, changed = await add_expert(), asyncio.Event()
    live = LiveBoards(services).of(expert_id, None)
    live.watch(lambda _: changed.set())
    await live.read()
    for hours in range(3):
        await book(expert_id, TEN + hours * HOUR)
    for _ in range(3):
        services.bus.publish(ExpertChanged(expert_id))
    await asyncio.wait_for(changed.wait(), 5)
    assert live.version == 1


async def test_slots_that_fall_into_the_past_leave_the_board_as_time_goes_by(
    services: Services, add_expert: AddExpert, clock: Clock
) -> None:
    watcher = Watcher()
    live = LiveBoards(services).of(await add_expert(), None)
    live.watch(watcher)
    await live.read()
    clock.move(hours=2, minutes=1)
    await live.read()
    assert live.version == 1
    assert watcher.boards[0].slots[0].starts_at == MONDAY_MORNING + 3 * HOUR


async def test_the_same_expert_is_read_once_for_everybody_and_nobody_is_left_when_all_have_gone(
    services: Services, add_expert: AddExpert
) -> None:
    expert_id, boards = await add_expert(), LiveBoards(services)
    first = boards.of(expert_id, None)
    leave_first, leave_second = first.watch(lambda _: None), boards.of(expert_id, None).watch(lambda _: None)
    assert (boards.of(expert_id, None) is first, len(boards), services.bus.subscriber_count()) == (True, 1, 1)
    leave_first()
    leave_first()
    assert (len(boards), services.bus.subscriber_count()) == (1, 1)
    leave_second()
    assert (len(boards), services.bus.subscriber_count()) == (0, 0)


async def test_a_board_that_comes_back_goes_on_with_the_versions_and_never_repeats_one(
    services: Services, add_expert: AddExpert, book: Book
) -> None:
    expert_id, boards = await add_expert(), LiveBoards(services)
    first = boards.of(expert_id, None)
    leave = first.watch(lambda _: None)
    await first.read()
    await book(expert_id, TEN)
    await first.read()
    leave()
    services.bus.publish(FeedConnected())  # what is kept for those to come is let go
    # A page may still know the news of version 1, and must not take it for news of this board.
    again = boards.of(expert_id, None)
    again.watch(lambda _: None)
    await again.read()
    assert (again is first, again.version) == (False, 1)
    await book(expert_id, TEN + HOUR)
    await again.read()
    assert again.version == 2


@pytest.fixture
async def two(services: Services, add_expert: AddExpert) -> tuple[UUID, UUID, UUID]:
    """An expert, and two session types: an hour, and half an hour."""
    kinds = [SessionTypeRequest(title=f"{n} minutes", minutes=n, step_minutes=n, notice_minutes=0) for n in (60, 30)]
    expert_id = await add_expert(session_types=kinds)
    hour, half = (await services.experts.profile(str(expert_id))).session_types
    return expert_id, hour.id, half.id


def heard_by(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    """What is sent to which room of the websocket from now on."""
    heard: list[tuple[str, dict[str, Any]]] = []

    async def send(room: str, _: str, message: dict[str, Any]) -> None:
        heard.append((room, message))

    monkeypatch.setattr(rooms, "send", send)
    return heard


async def test_every_session_type_has_a_board_and_a_room_of_its_own_and_a_booking_of_one_changes_all(
    services: Services, two: tuple[UUID, UUID, UUID], book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    (expert_id, hour, half), boards, heard = two, LiveBoards(services), heard_by(monkeypatch)
    hours, halves = boards.of(expert_id, hour), boards.of(expert_id, half)
    for live in (hours, halves):
        live.watch(lambda _: None)
        await live.read()
    assert (len(boards), hours is halves, boards.of(expert_id, half) is halves) == (2, False, True)
    await book(expert_id, TEN + HOUR / 2, session_type_id=half)
    for live in (hours, halves):
        await live.read()
    assert state(hours.board, TEN) is state(halves.board, TEN + HOUR / 2) is SlotState.BOOKED
    assert state(halves.board, TEN) is SlotState.OPEN
    assert [(room, message["room"], message["changes"]) for room, message in heard] == [
        (f"slots:{expert_id}:{hour}",) * 2 + ([("2026-11-24T09:00:00Z", "booked")],),
        (f"slots:{expert_id}:{half}",) * 2 + ([("2026-11-24T09:30:00Z", "booked")],),
    ]


@pytest.mark.parametrize(
    "change",
    ["UPDATE session_type SET title = 'Anew' WHERE minutes = 60", "UPDATE session_type SET active = false",
     "UPDATE session_type SET active = false WHERE minutes = 30", "UPDATE expert SET time_zone = 'Africa/Cairo'",
     "DELETE FROM session_type WHERE minutes = 30", "DELETE FROM session_type WHERE minutes = 60"],
)  # fmt: skip
async def test_pages_are_told_to_draw_anew_when_more_than_slots_has_changed(
    services: Services, two: tuple[UUID, UUID, UUID], sql: Connection, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (expert_id, hour, _), heard = two, heard_by(monkeypatch)
    live = LiveBoards(services).of(expert_id, hour)
    live.watch(lambda _: None)
    await live.read()
    sql.execute(change)  # type: ignore[arg-type]
    await live.read()
    await live.read()
    ((room, message),) = heard
    assert (room, message["version"], message["redraw"]) == (live.room, 1, True)


async def test_the_board_of_a_session_type_that_is_deleted_is_empty_and_knows_the_others(
    services: Services, two: tuple[UUID, UUID, UUID], sql: Connection
) -> None:
    expert_id, hour, half = two
    watched, late = LiveBoards(services).of(expert_id, hour), LiveBoards(services).of(expert_id, hour)
    watched.watch(lambda _: None)
    await watched.read()
    sql.execute("DELETE FROM session_type WHERE id = %s", [hour])
    for live in (watched, late):
        await live.read()
        assert live.board is not None
        assert (live.board.session_type_id, live.board.slots) == (hour, ())
        assert [one.id for one in live.board.session_types] == [half]
        assert live.board.refusal(TEN).blocker.reason is Reason.INACTIVE
    assert watched.board is not None
    assert watched.board.session_title == "60 minutes"


async def test_an_expert_who_has_gone_does_not_break_the_board_that_shows_them(
    services: Services, add_expert: AddExpert, sql: Connection
) -> None:
    expert_id = await add_expert()
    live = LiveBoards(services).of(expert_id, None)
    live.watch(lambda _: None)
    await live.read()
    sql.execute("DELETE FROM expert WHERE id = %s", [expert_id])
    await live.read()
    assert live.version <= 1


async def test_work_that_is_wanted_while_it_runs_is_done_once_more_and_never_twice_at_a_time() -> None:
    begun, running, most = asyncio.Semaphore(0), 0, 0
    go_on = asyncio.Event()

    async def work() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        begun.release()
        await go_on.wait()
        running -= 1

    coalesced = Throttle(work)
    for _ in range(5):
        coalesced()
    await asyncio.wait_for(begun.acquire(), 5)
    for _ in range(5):
        coalesced()
    go_on.set()
    await asyncio.wait_for(begun.acquire(), 5)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(begun.acquire(), 5 * MIN_INTERVAL)
    assert most == 1


async def test_work_is_done_at_once_and_no_faster_than_the_pace_however_often_it_is_wanted() -> None:
    clock = asyncio.get_running_loop().time
    begun: list[float] = []

    async def work() -> None:
        begun.append(clock())

    coalesced = Throttle(work)
    wanted = clock()
    coalesced()
    for _ in range(3):
        await asyncio.sleep(0)
    assert begun, "it waited, though nothing was done before"
    while clock() < wanted + 6 * MIN_INTERVAL:
        coalesced()
        await asyncio.sleep(MIN_INTERVAL / 20)
    last = clock()
    await asyncio.sleep(2 * MIN_INTERVAL)
    assert begun[-1] >= last - MIN_INTERVAL, "the last call was lost"
    assert all(after - before >= 0.9 * MIN_INTERVAL for before, after in pairwise(begun))


async def test_of_work_that_is_slower_than_it_is_wanted_nothing_piles_up() -> None:
    seen: list[int] = []
    news = 0

    async def work() -> None:
        heard = news
        await asyncio.sleep(3 * MIN_INTERVAL)
        seen.append(heard)

    coalesced = Throttle(work)
    for _ in range(100):
        news += 1
        coalesced()
        await asyncio.sleep(MIN_INTERVAL / 10)
    async with asyncio.timeout(5):
        while not seen or seen[-1] != 100:  # noqa: ASYNC110
            await asyncio.sleep(MIN_INTERVAL)
    assert seen == sorted(seen)
    assert len(seen) <= 12, "pages get fewer messages, not all of them later"


async def test_work_that_failed_is_done_again_for_those_who_wanted_it_meanwhile(
    caplog: pytest.LogCaptureFixture,
) -> None:
    tried = asyncio.Semaphore(0)

    async def work() -> None:
        tried.release()
        if not caplog.text:
            coalesced()
            raise RuntimeError("the database was away")

    coalesced = Throttle(work)
    coalesced()
    for _ in range(2):
        await asyncio.wait_for(tried.acquire(), 5)
    assert "the database was away" in caplog.text


async def test_next_free_times_are_followed_once_for_each_expert_and_left_with_the_last_page(
    services: Services,
) -> None:
    jana, omar, next_free = uuid4(), uuid4(), NextFree(services)
    first = next_free.subscribe([jana, omar], NextFreeKey(BERLIN))
    second = next_free.subscribe([jana], NextFreeKey(BERLIN, 30))
    assert (len(next_free), services.bus.subscriber_count()) == (2, 2)
    first()
    first()
    assert (len(next_free), services.bus.subscriber_count()) == (1, 1)
    second()
    assert (len(next_free), services.bus.subscriber_count()) == (0, 0)


def test_the_next_free_time_is_said_in_the_zone_of_who_reads_it_and_nothing_when_there_is_none() -> None:
    assert next_free_text(TEN, BERLIN, MONDAY_MORNING) == "Tomorrow, 10:00"
    assert next_free_text(None, BERLIN, MONDAY_MORNING) == ""
