"""Keeping open pages up to date, on the real database and without a browser."""

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
from expert_booking.web.components.expert_cards import next_free_text
from expert_booking.web.live import rooms
from expert_booking.web.live.next_free import NextFree, NextFreeKey
from expert_booking.web.live.slot_boards import LiveBoards
from expert_booking.web.live.throttle import MIN_INTERVAL, Throttle
from tests.conftest import MONDAY_MORNING, AddExpert, Book, Clock

Connection = psycopg.Connection[tuple[object, ...]]

BERLIN = ZoneInfo("Europe/Berlin")
TEN = MONDAY_MORNING + timedelta(days=1, hours=1)
HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
async def _loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use this test's loop as NiceGUI's, as in the server."""
    monkeypatch.setattr(core, "loop", asyncio.get_running_loop())


class Watcher:
    """Records the boards it is shown."""

    def __init__(self) -> None:
        self.boards: list[Board] = []

    def __call__(self, board: Board) -> None:
        """Record one change."""
        self.boards.append(board)


def state(board: Board | None, at: datetime) -> SlotState:
    """Return the state of one slot on a board."""
    assert board is not None
    return next(slot.state for slot in board.slots if slot.starts_at == at)


class GatedAvailability(Availability):
    """The real calendar, whose answers are held back until their gates open, in any order."""

    def __init__(self, services: Services, real: Availability) -> None:
        self._real = real
        self.gates: list[asyncio.Event] = []
        self._arrived = asyncio.Semaphore(0)

    async def board(self, expert_id: UUID, session_type_id: UUID | None = None) -> Board:
        """Read the calendar now and return it when the gate opens."""
        read = await self._real.board(expert_id, session_type_id)
        self.gates.append(gate := asyncio.Event())
        self._arrived.release()
        await gate.wait()
        return read

    async def one_more(self) -> None:
        """Return when one more answer is waiting."""
        await asyncio.wait_for(self._arrived.acquire(), 5)


async def test_version_grows_by_one_with_every_change(services: Services, add_expert: AddExpert, book: Book) -> None:
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


async def test_first_reading_is_not_a_change(services: Services, add_expert: AddExpert) -> None:
    watcher = Watcher()
    live = LiveBoards(services).of(await add_expert(), None)
    live.watch(watcher)
    await live.read()
    assert (live.version, watcher.boards) == (0, [])
    assert live.board is not None


async def test_several_changes_in_one_reading_are_one_version(
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


async def test_slow_older_reading_does_not_overwrite_a_newer_one(
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
    clock.advance(milliseconds=1)
    later = asyncio.create_task(live.read())
    await gated.one_more()
    for gate, reading in zip(reversed(gated.gates), (later, earlier), strict=True):
        gate.set()
        await reading
    assert live.version == 1
    assert state(live.board, TEN) is SlotState.BOOKED


async def test_clock_set_back_does_not_stop_the_board(
    services: Services, add_expert: AddExpert, book: Book, clock: Clock
) -> None:
    expert_id = await add_expert()
    live = LiveBoards(services).of(expert_id, None)
    live.watch(lambda _: None)
    await live.read()
    clock.advance(minutes=-1)
    await book(expert_id, TEN)
    await live.read()
    assert state(live.board, TEN) is SlotState.BOOKED


async def test_events_that_arrive_together_cause_one_reading(
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


async def test_past_slots_leave_the_board_as_time_passes(
    services: Services, add_expert: AddExpert, clock: Clock
) -> None:
    watcher = Watcher()
    live = LiveBoards(services).of(await add_expert(), None)
    live.watch(watcher)
    await live.read()
    clock.advance(hours=2, minutes=1)
    await live.read()
    assert live.version == 1
    assert watcher.boards[0].slots[0].starts_at == MONDAY_MORNING + 3 * HOUR


async def test_board_is_shared_by_all_pages_and_removed_with_the_last(
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


async def test_recreated_board_continues_its_version_numbers(
    services: Services, add_expert: AddExpert, book: Book
) -> None:
    expert_id, boards = await add_expert(), LiveBoards(services)
    first = boards.of(expert_id, None)
    leave = first.watch(lambda _: None)
    await first.read()
    await book(expert_id, TEN)
    await first.read()
    leave()
    services.bus.publish(FeedConnected())  # drops the cached readings
    # A page may still have version 1 and must not take a different message for it.
    again = boards.of(expert_id, None)
    again.watch(lambda _: None)
    await again.read()
    assert (again is first, again.version) == (False, 1)
    await book(expert_id, TEN + HOUR)
    await again.read()
    assert again.version == 2


@pytest.fixture
async def two(services: Services, add_expert: AddExpert) -> tuple[UUID, UUID, UUID]:
    """An expert with two session types: an hour and half an hour."""
    kinds = [SessionTypeRequest(title=f"{n} minutes", minutes=n, step_minutes=n, notice_minutes=0) for n in (60, 30)]
    expert_id = await add_expert(session_types=kinds)
    hour, half = (await services.experts.profile(str(expert_id))).session_types
    return expert_id, hour.id, half.id


def record_messages(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    """Record what is sent to which room of the websocket from now on."""
    messages: list[tuple[str, dict[str, Any]]] = []

    async def send(room: str, _: str, message: dict[str, Any]) -> None:
        messages.append((room, message))

    monkeypatch.setattr(rooms, "send", send)
    return messages


async def test_each_session_type_has_its_own_board_and_room_and_a_booking_changes_all(
    services: Services, two: tuple[UUID, UUID, UUID], book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    (expert_id, hour, half), boards, messages = two, LiveBoards(services), record_messages(monkeypatch)
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
    assert [(room, message["room"], message["changes"]) for room, message in messages] == [
        (f"slots:{expert_id}:{hour}",) * 2 + ([("2026-11-24T09:00:00Z", "booked")],),
        (f"slots:{expert_id}:{half}",) * 2 + ([("2026-11-24T09:30:00Z", "booked")],),
    ]


@pytest.mark.parametrize(
    "change",
    ["UPDATE session_type SET title = 'Anew' WHERE minutes = 60", "UPDATE session_type SET active = false",
     "UPDATE session_type SET active = false WHERE minutes = 30", "UPDATE expert SET time_zone = 'Africa/Cairo'",
     "DELETE FROM session_type WHERE minutes = 30", "DELETE FROM session_type WHERE minutes = 60"],
)  # fmt: skip
async def test_pages_are_told_to_redraw_when_more_than_slots_has_changed(
    services: Services, two: tuple[UUID, UUID, UUID], sql: Connection, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (expert_id, hour, _), messages = two, record_messages(monkeypatch)
    live = LiveBoards(services).of(expert_id, hour)
    live.watch(lambda _: None)
    await live.read()
    sql.execute(change)  # type: ignore[arg-type]
    await live.read()
    await live.read()
    ((room, message),) = messages
    assert (room, message["version"], message["redraw"]) == (live.room, 1, True)


async def test_board_of_a_deleted_session_type_is_empty_and_lists_the_others(
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


async def test_deleted_expert_does_not_break_an_open_board(
    services: Services, add_expert: AddExpert, sql: Connection
) -> None:
    expert_id = await add_expert()
    live = LiveBoards(services).of(expert_id, None)
    live.watch(lambda _: None)
    await live.read()
    sql.execute("DELETE FROM expert WHERE id = %s", [expert_id])
    await live.read()
    assert live.version <= 1


async def test_throttle_runs_once_more_if_called_while_running_and_never_in_parallel() -> None:
    begun, running, most = asyncio.Semaphore(0), 0, 0
    go_on = asyncio.Event()

    async def work() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        begun.release()
        await go_on.wait()
        running -= 1

    throttle = Throttle(work)
    for _ in range(5):
        throttle()
    await asyncio.wait_for(begun.acquire(), 5)
    for _ in range(5):
        throttle()
    go_on.set()
    await asyncio.wait_for(begun.acquire(), 5)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(begun.acquire(), 5 * MIN_INTERVAL)
    assert most == 1


async def test_throttle_runs_immediately_and_then_at_most_once_per_pace() -> None:
    clock = asyncio.get_running_loop().time
    begun: list[float] = []

    async def work() -> None:
        begun.append(clock())

    throttle = Throttle(work)
    wanted = clock()
    throttle()
    for _ in range(3):
        await asyncio.sleep(0)
    assert begun, "the first call was delayed"
    while clock() < wanted + 6 * MIN_INTERVAL:
        throttle()
        await asyncio.sleep(MIN_INTERVAL / 20)
    last = clock()
    await asyncio.sleep(2 * MIN_INTERVAL)
    assert begun[-1] >= last - MIN_INTERVAL, "the last call was lost"
    assert all(after - before >= 0.9 * MIN_INTERVAL for before, after in pairwise(begun))


async def test_throttle_does_not_queue_calls_of_slow_work() -> None:
    seen: list[int] = []
    calls = 0

    async def work() -> None:
        current = calls
        await asyncio.sleep(3 * MIN_INTERVAL)
        seen.append(current)

    throttle = Throttle(work)
    for _ in range(100):
        calls += 1
        throttle()
        await asyncio.sleep(MIN_INTERVAL / 10)
    async with asyncio.timeout(5):
        while not seen or seen[-1] != 100:  # noqa: ASYNC110
            await asyncio.sleep(MIN_INTERVAL)
    assert seen == sorted(seen)
    assert len(seen) <= 12, "pages get fewer messages, not all of them later"


async def test_throttle_repeats_failed_work_if_called_in_the_meantime(
    caplog: pytest.LogCaptureFixture,
) -> None:
    tried = asyncio.Semaphore(0)

    async def work() -> None:
        tried.release()
        if not caplog.text:
            throttle()
            raise RuntimeError("the database was away")

    throttle = Throttle(work)
    throttle()
    for _ in range(2):
        await asyncio.wait_for(tried.acquire(), 5)
    assert "the database was away" in caplog.text


async def test_next_free_subscribes_once_per_expert_until_the_last_page_leaves(
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


def test_next_free_time_is_formatted_in_the_readers_zone_and_empty_if_none() -> None:
    assert next_free_text(TEN, BERLIN, MONDAY_MORNING) == "Tomorrow, 10:00"
    assert next_free_text(None, BERLIN, MONDAY_MORNING) == ""
