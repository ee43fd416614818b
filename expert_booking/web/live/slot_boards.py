"""Keeps the slots on open pages up to date.

Every change takes one path: database notification → bus → here. The calendar of each session type on an open page is
read once and compared with what the pages show. The difference is sent to all of them in one message with a version. A
page that misses a version requests the whole board.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from expert_booking.domain import formatting
from expert_booking.domain.errors import NotFound, SessionTypeNotFound
from expert_booking.services import Services
from expert_booking.services.availability import Board
from expert_booking.web.live import rooms
from expert_booking.web.live.next_free import NextFree
from expert_booking.web.live.read_cache import REFRESH_INTERVAL, is_fresh
from expert_booking.web.live.throttle import Throttle

# Boards that no page shows are kept up to this number, until an event of their expert, for the next visitor.
MAX_IDLE_BOARDS: Final = 256


class LiveBoard:
    """The board of one session type, shared by all pages of this process that show it."""

    def __init__(
        self, services: Services, expert_id: UUID, session_type_id: UUID | None, on_empty: Callable[[], None]
    ) -> None:
        self._services = services
        self.expert_id = expert_id
        self.session_type_id = session_type_id
        self.room = f"slots:{expert_id}:{session_type_id or ''}"
        self.version = 0
        self.board: Board | None = None
        # Readings are numbered in the order in which they begin.
        self._last_reading = self._shown_reading = 0
        # The number of events in total, and before the shown reading began.
        self._events, self._events_included = 0, -1
        self._read_at = datetime.min.replace(tzinfo=UTC)
        self._lock = asyncio.Lock()
        # JSON that pages have made of this version, by keys of their choice.
        self.drawn: dict[Hashable, str] = {}
        self._watchers: list[Callable[[Board], None]] = []
        self._on_empty = on_empty
        self.refresh = Throttle(self.read)
        self._unsubscribe: Callable[[], None] = lambda: None

    def watch(self, watcher: Callable[[Board], None]) -> Callable[[], None]:
        """Keep this board up to date, and call `watcher` after each change, until the returned function is called."""
        if not self._watchers:
            self._unsubscribe = self._services.bus.subscribe(self.expert_id, self._on_event)
        self._watchers.append(watcher)

        def unwatch() -> None:
            if watcher in self._watchers:
                self._watchers.remove(watcher)
                if not self._watchers:
                    self._unsubscribe()
                    self._on_empty()

        return unwatch

    @property
    def is_current(self) -> bool:
        """Whether the calendar is known not to have changed since it was read.

        Events arrive some ms after the commit, so a visitor who may have made a change must read instead.
        """
        includes_all_events = self.board is not None and self._events == self._events_included
        return includes_all_events and is_fresh(self._services, self._read_at)

    async def ensure_current(self) -> None:
        """Read the calendar unless the board is current. Concurrent calls share one reading."""
        if not self._services.bus.connected:
            await self.read()
            return
        async with self._lock:
            if not self.is_current:
                await self.read()

    async def read(self) -> None:
        """Read the calendar, and send the changes to all pages that show it."""
        self._last_reading += 1
        reading, events, now = self._last_reading, self._events, self._services.clock()
        try:
            board = await self._read_board()
        except NotFound:
            if self.board is None:
                raise
            return  # the expert was just deleted; open pages show an error when they are used
        # Of two overlapping readings, the one that began later wins. (Numbers, because a clock may be set back.)
        if reading < self._shown_reading:
            return
        self._shown_reading, self._events_included, self._read_at = reading, events, now
        before, self.board = self.board, board
        if before is None:
            return
        changes, redraw = _changes(before, board), _besides_slots(before) != _besides_slots(board)
        if not (changes or redraw):
            return
        self.version += 1
        self.drawn = {}
        message = {"expert": str(self.expert_id), "room": self.room, "version": self.version, "changes": changes}
        await rooms.send(self.room, "slots", {**message, "redraw": True} if redraw else message)
        for watcher in list(self._watchers):
            watcher(self.board)  # may be newer than `board` by now

    def _on_event(self) -> None:
        self._events += 1
        self.refresh()

    async def _read_board(self) -> Board:
        try:
            return await self._services.availability.board(self.expert_id, self.session_type_id)
        except SessionTypeNotFound:
            # Deleted while pages show it: they get an empty board with the other session types.
            first = await self._services.availability.board(self.expert_id)
            last = self.board or first
            inactive = replace(last.calendar, zone=first.zone, active=False)
            return replace(first, session_type_id=self.session_type_id, session_title=last.session_title,
                           calendar=inactive, slots=())  # fmt: skip


class LiveBoards:
    """The boards that open pages of this process show, and some that were shown recently."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._boards: dict[tuple[UUID, UUID | None], LiveBoard] = {}
        # A board that is created again continues with higher versions, since pages remember versions of the last one.
        self._highest_version = 0
        self._idle: OrderedDict[tuple[UUID, UUID | None], LiveBoard] = OrderedDict()
        services.bus.listen_to_experts(self._on_change)

    def of(self, expert_id: UUID, session_type_id: UUID | None) -> LiveBoard:
        """The live board of a session type; None for an expert who offers none.

        Watch it immediately: only watched boards are kept up to date.
        """
        key = expert_id, session_type_id
        if key not in self._boards:
            board = self._idle.pop(key, None)
            if board is None:
                board = LiveBoard(self._services, *key, lambda: self._make_idle(key))
                board.version = self._highest_version
            self._boards[key] = board
        return self._boards[key]

    def __len__(self) -> int:
        return len(self._boards)

    @property
    def idle_count(self) -> int:
        """How many boards are kept that no page shows."""
        return len(self._idle)

    def refresh(self) -> None:
        """Read all shown boards again, and drop the idle ones that are out of date."""
        for board in list(self._boards.values()):
            board.refresh()
        for key in [key for key, board in self._idle.items() if not board.is_current]:
            self._drop(key)

    def _make_idle(self, key: tuple[UUID, UUID | None]) -> None:
        self._idle[key] = self._boards.pop(key)
        while len(self._idle) > MAX_IDLE_BOARDS:
            self._drop(next(iter(self._idle)))

    def _on_change(self, expert_id: UUID | None) -> None:
        for key in [key for key in self._idle if expert_id in (None, key[0])]:
            self._drop(key)

    def _drop(self, key: tuple[UUID, UUID | None]) -> None:
        self._highest_version = max(self._highest_version, self._idle.pop(key).version)


async def refresh_periodically(boards: LiveBoards, next_free: NextFree) -> None:
    """Read everything that open pages show again every 30 s, until cancelled.

    Time passes without events: slots begin, days come within the horizon. It also repairs whatever a lost event missed.
    """
    while True:
        await asyncio.sleep(REFRESH_INTERVAL)
        boards.refresh()
        next_free.refresh()


def _besides_slots(board: Board) -> tuple[object, ...]:
    """What pages show of a board besides its slots. If this changes, they must redraw the whole board."""
    return board.zone, board.session_type_id, board.session_title, board.session_types


def _changes(before: Board, after: Board) -> list[tuple[str, str]]:
    """The changed slots as (start, state); a slot that no longer exists has the state `gone`."""
    old = {slot.starts_at: slot.state for slot in before.slots}
    new = {slot.starts_at: slot.state for slot in after.slots}
    changed = [(start, state.value) for start, state in new.items() if old.get(start) != state]
    changed += [(start, "gone") for start in old if start not in new]
    return [(formatting.iso(start), state) for start, state in sorted(changed)]
