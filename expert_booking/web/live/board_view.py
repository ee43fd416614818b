"""One visitor's view of an expert's boards: session type, weeks, zone, and the visitor's own slot.

What all visitors share of a board is in `slot_boards`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import date, datetime
from typing import Any, Final, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from fastapi import Request
from nicegui import Client

from expert_booking.domain import formatting
from expert_booking.domain.errors import NotFound
from expert_booking.schemas import BookingView, ExpertDetail, HoldView, SessionTypeView
from expert_booking.services import Services
from expert_booking.services.availability import Board
from expert_booking.web.components.raw_html import plain_json
from expert_booking.web.components.slot_grid import SlotGrid, first_day, snapshot
from expert_booking.web.live import rooms
from expert_booking.web.live.slot_boards import LiveBoards
from expert_booking.web.visitor import visitor_of, zone_of

# Cached snapshots per board. The cache is limited because visitors choose zones and weeks.
MAX_SNAPSHOTS: Final = 64

OnPick = Callable[[datetime], Awaitable[None]]


class VisitorSlot(NamedTuple):
    """The slot that this visitor holds or has booked. It does not block other slots for them."""

    starts_at: datetime
    session_type_id: UUID
    booked: bool

    @classmethod
    def of(cls, claim: HoldView | BookingView) -> "VisitorSlot":
        """The slot of a hold or a booking."""
        return cls(claim.starts_at, claim.session_type_id, isinstance(claim, BookingView))

    @property
    def label(self) -> str:
        """The text on the slot."""
        return "your time" if self.booked else "on hold for you"

    def is_on(self, board: Board) -> bool:
        """Whether this reading of the calendar includes it."""
        return any(busy.session_starts_at == self.starts_at for busy in board.calendar.busy)

    def opens(self, board: Board) -> list[datetime]:
        """The starts that only this slot blocks. A booking's own start is not among them."""
        if not self.is_on(board):
            return []
        return [
            start for start in board.opened_without(self.starts_at) if not (self.booked and start == self.starts_at)
        ]


class BoardView:
    """Follows one board at a time. Call `draw` while building the page, and `load` at the end."""

    def __init__(
        self,
        services: Services,
        boards: LiveBoards,
        client: Client,
        expert: ExpertDetail,
        request: Request,
        *,
        only: UUID | None = None,
        own: VisitorSlot | None = None,
        on_pick: OnPick | None = None,
    ) -> None:
        """Show all session types to choose from, or `only` one.

        `own` is the visitor's own slot. `on_pick` gets the chosen start (UTC, unchecked); without it, slots are links
        to the booking form.
        """
        self._services = services
        self._boards = boards
        self._client = client
        self._expert = expert
        self._only = only
        self._own = own
        self._own_was_on_board = False
        self._on_pick = on_pick
        self._zone = zone_of(request)
        self._may_have_booked = visitor_of(request) is not None
        self._wanted_day: object = request.query_params.get("from")
        self._delivered = -1  # the version that the page was delivered with
        self._connections = 0
        self._lock = asyncio.Lock()
        # Subscribe, then read: a change in between is not missed.
        self._live = boards.of(expert.id, only or chosen(expert.session_types, request.query_params.get("session")))
        self._unwatch = self._live.watch(self._on_change)
        client.on_delete(lambda: self._unwatch())
        client.on_connect(self._connected)

    def draw(self) -> None:
        """Draw the choice of session types and the board."""
        self._grid = SlotGrid(
            book_url=f"/book/{self._expert.slug}",
            session_types=[one for one in self._expert.session_types if self._only in (None, one.id)],
            chosen=self._live.session_type_id,
            fixed=self._only is not None,
            on_look=self.select,
            on_stale=self.resend,
            on_pick=self._on_pick,
        )

    async def load(self) -> None:
        """Deliver the page with the current board, or with placeholders until the visitor's zone is known."""
        # A returning visitor may have just booked, and the event may not have arrived yet.
        await (self._live.read() if self._may_have_booked else self._live.ensure_current())
        self._delivered = self._live.version
        self._grid.load(self._snapshot(self._zone) if self._zone else None, self._overlay())

    async def select(self, wanted: dict[str, Any]) -> None:
        """Show another session type, or the weeks from another day."""
        async with self._lock:
            self._wanted_day = wanted.get("from")
            if self._only is None:
                await self._switch_to(chosen(self._offered(), wanted.get("session")))
            await self.resend(wanted.get("ask"))

    async def change_zone(self, zone: ZoneInfo) -> None:
        """Show the board in another zone."""
        if zone != self._zone:
            self._zone = zone
            await self.resend()

    def change_own(self, own: VisitorSlot | None) -> None:
        """Show another slot, or none, as the visitor's own."""
        if own != self._own:
            self._own, self._own_was_on_board = own, False
            self._show_own()

    async def resend(self, ask: object = None) -> None:
        """Send the whole board as last read. `ask` is the number of the page's request."""
        if self._zone is not None:
            self._grid.show(self._snapshot(self._zone), self._overlay(), ask)

    async def _connected(self) -> None:
        await rooms.enter(self._client, [self._live.room])
        self._connections += 1
        if self._connections > 1:
            await self._live.read()
            await self.resend()
        elif self._live.version != self._delivered:
            await self.resend()

    def _on_change(self, board: Board) -> None:
        if self._own is None:
            return
        is_on_board = self._own.is_on(board)
        if self._own_was_on_board and not is_on_board:
            self._own = None
        self._own_was_on_board = is_on_board
        self._show_own()

    def _show_own(self) -> None:
        board = self._live.board
        if board is None or self._zone is None or self._delivered < 0:
            return
        if self._hidden(board):
            self._grid.show(self._snapshot(self._zone), self._overlay())
        else:
            self._grid.show_own(self._overlay())

    async def _switch_to(self, session_type_id: UUID | None) -> None:
        if session_type_id is None or session_type_id == self._live.session_type_id:
            return
        live, before = self._boards.of(self._expert.id, session_type_id), self._live
        unwatch = live.watch(self._on_change)
        await rooms.enter(self._client, [live.room])
        try:
            await live.read()
        except NotFound:  # the expert was just deleted: keep showing the last board
            unwatch()
            return
        self._unwatch()
        self._live, self._unwatch = live, unwatch
        await rooms.leave(self._client, [before.room])
        if self._client.is_deleted:
            unwatch()

    def _offered(self) -> Sequence[SessionTypeView]:
        return self._live.board.session_types if self._live.board else ()

    def _snapshot(self, zone: ZoneInfo) -> str:
        board, now = self._live.board, self._services.clock()
        assert board is not None
        since, hidden = first_day(self._wanted_day, board, zone, now), self._hidden(board)
        if hidden:
            return self._json(board, zone, since, now, hidden)
        # Visitors who see the same weeks in the same zone share one snapshot.
        key = (zone.key, since, now.astimezone(zone).date())
        if key not in self._live.drawn:
            if len(self._live.drawn) >= MAX_SNAPSHOTS:
                self._live.drawn.clear()
            self._live.drawn[key] = self._json(board, zone, since, now)
        return self._live.drawn[key]

    def _json(self, board: Board, zone: ZoneInfo, since: date, now: datetime, hidden: Sequence[datetime] = ()) -> str:
        return plain_json(
            {"room": self._live.room, **snapshot(board, self._live.version, zone, since, now, hidden=hidden)}
        )

    def _hidden(self, board: Board) -> list[datetime]:
        """Starts without a slot on the board, free for this visitor only, on a day that is full for others."""
        if self._own is None or board.calendar.length.daily_cap is None:
            return []
        shown = {slot.starts_at for slot in board.slots}
        return [start for start in self._own.opens(board) if start not in shown]

    def _overlay(self) -> dict[str, Any] | None:
        own, board = self._own, self._live.board
        if own is None or board is None:
            return None
        is_shown = own.session_type_id == board.session_type_id
        return {
            "start": formatting.iso(own.starts_at) if is_shown else "",
            "words": own.label,
            "opens": [formatting.iso(start) for start in own.opens(board)],
        }


def chosen(offered: Sequence[SessionTypeView], wanted: object) -> UUID | None:
    """The id of the wanted session type, or else of the first one; None if nothing is offered."""
    ids = [one.id for one in offered]
    return next(
        (session_type_id for session_type_id in ids if str(session_type_id) == str(wanted).lower()),
        ids[0] if ids else None,
    )
