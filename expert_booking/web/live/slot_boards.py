"""Keeps open pages in step with the database.

One path for every change, whoever made it: the database's news → the bus → here. For each session type somebody is
looking at the calendar is read once, compared with what the pages show, and the difference goes to all of them in one
message with a version. A page that finds a version missing asks for the whole board.
"""

import asyncio
import logging
from collections import Counter, OrderedDict
from collections.abc import Callable, Coroutine, Hashable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from nicegui import background_tasks

from expert_booking.domain import formatting
from expert_booking.domain.errors import NotFound, SessionTypeNotFound
from expert_booking.services import Services
from expert_booking.services.availability import Board
from expert_booking.web.live import rooms

log = logging.getLogger(__name__)

# Whoever is busy begins at most so often: changes that come closer together than this are drawn together.
PACE: Final = 0.03
# Time passes too: slots fall into the past, days come into the horizon. It also is the net below every lost message.
TICK: Final = 30.0
# So many boards are kept, until news of their experts, when nobody looks at them any more: somebody will again.
MOST_KEPT: Final = 256


class Throttle:
    """Does a piece of work at once, and once more for all the calls that came meanwhile or within the pace.

    Never twice at a time, and no call is lost. Work that takes longer than the pace is done for more calls at once:
    there is never more than one piece of it waiting.
    """

    def __init__(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._work = work
        self._wanted = False
        self._running = False
        self._begun = -PACE

    def __call__(self) -> None:
        """Have it done: now, or as soon as it is its turn again."""
        self._wanted = True
        if not self._running:
            self._running = True
            background_tasks.create(self._run(), name="coalesced")

    async def _run(self) -> None:
        clock = asyncio.get_running_loop().time
        try:
            while self._wanted:
                await asyncio.sleep(self._begun + PACE - clock())
                self._wanted, self._begun = False, clock()
                try:
                    await self._work()
                except Exception:
                    # The next news, or the next tick, tries again: what pages show is old until then, not for good.
                    log.exception("a live page could not be kept in step")
        finally:
            self._running = False


class LiveBoard:
    """The board of one session type, as all pages of this process that show it know it."""

    def __init__(
        self, services: Services, expert_id: UUID, session_type_id: UUID | None, on_empty: Callable[[], None]
    ) -> None:
        self._services = services
        self.expert_id = expert_id
        self.session_type_id = session_type_id
        self.room = f"slots:{expert_id}:{session_type_id or ''}"
        self.version = 0
        self.board: Board | None = None
        self._begun = self._known = 0
        # How much news there was, before the reading that is shown began, and in all.
        self._news_known, self._news = -1, 0
        self._read_at = datetime.min.replace(tzinfo=UTC)
        self._one_at_a_time = asyncio.Lock()
        # What pages have drawn of this version, as JSON, by whatever they draw it by.
        self.drawn: dict[Hashable, str] = {}
        self._watchers: list[Callable[[Board], None]] = []
        self._on_empty = on_empty
        self.refresh = Throttle(self.read)
        self._unfollow: Callable[[], None] = lambda: None

    def watch(self, watcher: Callable[[Board], None]) -> Callable[[], None]:
        """Keep this board alive, and call `watcher` after each change, until the returned function is called."""
        if not self._watchers:
            self._unfollow = self._services.bus.subscribe(self.expert_id, self._changed)
        self._watchers.append(watcher)

        def unwatch() -> None:
            if watcher in self._watchers:
                self._watchers.remove(watcher)
                if not self._watchers:
                    self._unfollow()
                    self._on_empty()

        return unwatch

    @property
    def is_current(self) -> bool:
        """Whether it is known that nothing has happened since the calendar was read.

        News may be some ms behind the commit that they tell of: whoever made that commit has to read.
        """
        knows_all = self.board is not None and self._news == self._news_known
        return knows_all and is_fresh(self._services, self._read_at)

    async def up_to_date(self) -> None:
        """Read the calendar anew, unless the board is current; once for all who ask meanwhile."""
        if not self._services.bus.connected:
            await self.read()
            return
        async with self._one_at_a_time:
            if not self.is_current:
                await self.read()

    async def read(self) -> None:
        """Read the calendar anew, and tell every page that shows it what has changed."""
        self._begun += 1
        reading, news, now = self._begun, self._news, self._services.clock()
        try:
            board = await self._board()
        except NotFound:
            if self.board is None:
                raise
            return  # the expert has just gone; pages that are open say so when they are used
        # Of two readings that overlap, only the one that began later counts. (Counted: a clock may be set back.)
        if reading < self._known:
            return
        self._known, self._news_known, self._read_at = reading, news, now
        before, self.board = self.board, board
        if before is None:
            return
        changes, anew = _changes(before, board), _about(before) != _about(board)
        if not (changes or anew):
            return
        self.version += 1
        self.drawn = {}
        message = {"expert": str(self.expert_id), "room": self.room, "version": self.version, "changes": changes}
        await rooms.tell(self.room, "slots", {**message, "anew": True} if anew else message)
        for watcher in list(self._watchers):
            watcher(self.board)  # by now there may be a newer one

    def _changed(self) -> None:
        self._news += 1
        self.refresh()

    async def _board(self) -> Board:
        try:
            return await self._services.availability.board(self.expert_id, self.session_type_id)
        except SessionTypeNotFound:
            # It was deleted while people look at it: an empty board tells them, and what else there is.
            first = await self._services.availability.board(self.expert_id)
            was = self.board or first
            gone = replace(was.calendar, zone=first.zone, active=False)
            return replace(first, session_type_id=self.session_type_id, session_title=was.session_title,
                           calendar=gone, slots=())  # fmt: skip


class LiveBoards:
    """The boards that somebody in this process looks at right now, and some that were looked at lately."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._boards: dict[tuple[UUID, UUID | None], LiveBoard] = {}
        # No version comes twice: a page that returns to a board still knows what it has heard of the one before.
        self._newest = 0
        self._left: OrderedDict[tuple[UUID, UUID | None], LiveBoard] = OrderedDict()
        services.bus.listen_to_experts(self._let_go)

    def of(self, expert_id: UUID, session_type_id: UUID | None) -> LiveBoard:
        """The live board of a session type; None for an expert who offers none.

        Watch it at once: it is only kept in step as long as it has watchers.
        """
        key = expert_id, session_type_id
        if key not in self._boards:
            board = self._left.pop(key, None)
            if board is None:
                board = LiveBoard(self._services, *key, lambda: self._leave(key))
                board.version = self._newest
            self._boards[key] = board
        return self._boards[key]

    def __len__(self) -> int:
        return len(self._boards)

    @property
    def kept(self) -> int:
        """How many boards are kept that nobody looks at."""
        return len(self._left)

    def refresh(self) -> None:
        """Read all boards anew that somebody looks at, and forget those that would have to be."""
        for board in list(self._boards.values()):
            board.refresh()
        for key in [key for key, board in self._left.items() if not board.is_current]:
            self._forget(key)

    def _leave(self, key: tuple[UUID, UUID | None]) -> None:
        self._left[key] = self._boards.pop(key)
        while len(self._left) > MOST_KEPT:
            self._forget(next(iter(self._left)))

    def _let_go(self, expert_id: UUID | None) -> None:
        for key in [key for key in self._left if expert_id in (None, key[0])]:
            self._forget(key)

    def _forget(self, key: tuple[UUID, UUID | None]) -> None:
        self._newest = max(self._newest, self._left.pop(key).version)


def is_fresh(services: Services, read_at: datetime) -> bool:
    """Whether what was read at this moment is still right, unless there has been news of it since.

    That is only known while news arrive. Time alone changes something at whole minutes, when a slot begins, comes too
    near, or comes into the horizon; holds that lapse are news.
    """
    now = services.clock()
    same_minute = now.replace(second=0, microsecond=0) <= read_at <= now
    return services.bus.connected and same_minute and now - read_at < timedelta(seconds=TICK)


class NextFreeKey(NamedTuple):
    """How a listing looks at next free times: in which zone, for sessions of how many minutes (None: any)."""

    zone: ZoneInfo
    minutes: int | None = None


class NextFree:
    """The next free time of every expert whom an open listing shows, told as those who look want to know it."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._looks: dict[UUID, Counter[NextFreeKey]] = {}
        self._unfollow: dict[UUID, Callable[[], None]] = {}
        self._told: dict[str, str] = {}
        # Grows with every message, so that a page can tell which ones its reading did not know of yet.
        self.version = 0
        self._changed: set[UUID] = set()
        self._tell = Throttle(self._read)

    @staticmethod
    def room(expert_id: UUID, look: NextFreeKey) -> str:
        """The room of those who look at this expert like this."""
        return f"next:{expert_id}:{look.zone.key}:{look.minutes or ''}"

    def subscribe(self, expert_ids: Sequence[UUID], look: NextFreeKey) -> Callable[[], None]:
        """Follow these experts for one page, until the returned function is called."""
        for expert_id in expert_ids:
            looks = self._looks.setdefault(expert_id, Counter())
            looks[look] += 1
            if expert_id not in self._unfollow:
                self._unfollow[expert_id] = self._services.bus.subscribe(expert_id, self._note(expert_id))
        gone = False

        def unsubscribe() -> None:
            nonlocal gone
            if not gone:
                gone = True
                for expert_id in expert_ids:
                    self._leave(expert_id, look)

        return unsubscribe

    def __len__(self) -> int:
        return len(self._looks)

    def refresh(self) -> None:
        """Look at everybody anew."""
        self._changed.update(self._looks)
        self._tell()

    def _note(self, expert_id: UUID) -> Callable[[], None]:
        def note() -> None:
            self._changed.add(expert_id)
            self._tell()

        return note

    def _leave(self, expert_id: UUID, look: NextFreeKey) -> None:
        looks = self._looks[expert_id]
        looks[look] -= 1
        if looks[look] <= 0:
            del looks[look]
            self._told.pop(self.room(expert_id, look), None)
        if not looks:
            del self._looks[expert_id]
            self._unfollow.pop(expert_id)()

    async def _read(self) -> None:
        changed, self._changed = self._changed & self._looks.keys(), set()
        lengths = {look.minutes for expert_id in changed for look in self._looks[expert_id]}
        try:
            found = {
                minutes: await self._services.availability.next_open(list(changed), minutes) for minutes in lengths
            }
        except Exception:
            self._changed |= changed
            raise
        now = self._services.clock()
        for expert_id in changed:
            for look in list(self._looks.get(expert_id, ())):
                if look.minutes in found:
                    await self._say(expert_id, look, next_words(found[look.minutes].get(expert_id), look.zone, now))

    async def _say(self, expert_id: UUID, look: NextFreeKey, text: str) -> None:
        room = self.room(expert_id, look)
        if self._told.get(room) != text:
            self._told[room] = text
            self.version += 1
            await rooms.tell(room, "next", {"expert": str(expert_id), "version": self.version, "next": text})


async def tick(boards: LiveBoards, next_free: NextFree) -> None:
    """Look at everything that is open again and again, until cancelled."""
    while True:
        await asyncio.sleep(TICK)
        boards.refresh()
        next_free.refresh()


def next_words(next_open: datetime | None, zone: ZoneInfo, now: datetime) -> str:
    """The next free time as cards say it; empty when there is none."""
    return formatting.near_time(next_open, zone, now) if next_open else ""


def _about(board: Board) -> tuple[object, ...]:
    """All that a page says of a board besides its slots: where that changes, the whole of it has to be drawn anew."""
    return board.zone, board.session_type_id, board.session_title, board.session_types


def _changes(before: Board, after: Board) -> list[tuple[str, str]]:
    """What is different: (start, state), where a slot that is no longer there has the state `gone`."""
    old = {slot.starts_at: slot.state for slot in before.slots}
    new = {slot.starts_at: slot.state for slot in after.slots}
    changed = [(start, state.value) for start, state in new.items() if old.get(start) != state]
    changed += [(start, "gone") for start in old if start not in new]
    return [(formatting.iso(start), state) for start, state in sorted(changed)]
