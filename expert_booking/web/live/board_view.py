"""One visitor's view of an expert's boards: which session type, which two weeks, in which zone, and what is theirs.

Pages draw it; what all visitors share of a board is in `live`.
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

# More views of one board than these are not kept: zones and weeks are the visitors' to choose.
MOST_DRAWN: Final = 64

OnPick = Callable[[datetime], Awaitable[None]]


class VisitorSlot(NamedTuple):
    """A time that is this visitor's own, held or booked: it keeps nothing else from them."""

    starts_at: datetime
    session_type_id: UUID
    booked: bool

    @classmethod
    def of(cls, its: HoldView | BookingView) -> "VisitorSlot":
        """What a hold or a booking is on the board of its customer."""
        return cls(its.starts_at, its.session_type_id, isinstance(its, BookingView))

    @property
    def words(self) -> str:
        """What its slot says."""
        return "your time" if self.booked else "on hold for you"

    def is_on(self, board: Board) -> bool:
        """Whether this reading of the calendar knows of it."""
        return any(busy.session_starts_at == self.starts_at for busy in board.calendar.busy)

    def opens(self, board: Board) -> list[datetime]:
        """The starts that only this keeps from being free; a booking's own is no other time to move it to."""
        if not self.is_on(board):
            return []
        return [
            start for start in board.opened_without(self.starts_at) if not (self.booked and start == self.starts_at)
        ]


class BoardView:
    """Follows one board at a time; call `draw` within the page and `begin` at its end."""

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
        """`only` is the one session type to show, instead of a choice.

        `own` is what this visitor has there already. `on_pick` gets the chosen start (UTC, unchecked), instead of a
        link to the form.
        """
        self._services = services
        self._boards = boards
        self._client = client
        self._expert = expert
        self._only = only
        self._own = own
        self._own_was_there = False
        self._on_pick = on_pick
        self._zone = zone_of(request)
        self._known = visitor_of(request) is not None
        self._wanted_day: object = request.query_params.get("from")
        self._delivered = -1
        self._connections = 0
        self._one_at_a_time = asyncio.Lock()
        # Follow first, read afterwards: what happens in between is then heard.
        self._live = boards.of(expert.id, only or chosen(expert.session_types, request.query_params.get("session")))
        self._unwatch = self._live.watch(self._changed)
        client.on_delete(lambda: self._unwatch())
        client.on_connect(self._connected)

    def draw(self) -> None:
        """The sessions and the board."""
        self._grid = SlotGrid(
            book_url=f"/book/{self._expert.slug}",
            session_types=[one for one in self._expert.session_types if self._only in (None, one.id)],
            chosen=self._live.session_type_id,
            fixed=self._only is not None,
            on_look=self.look,
            on_stale=self.show_again,
            on_pick=self._on_pick,
        )

    async def begin(self) -> None:
        """Deliver the page with the board as it is now, or with skeletons until the visitor's zone is known."""
        # Who is known to us may have changed the calendar just now, and news of it may still be on their way.
        await (self._live.read() if self._known else self._live.up_to_date())
        self._delivered = self._live.version
        self._grid.load(self._snapshot(self._zone) if self._zone else None, self._overlay())

    async def look(self, wanted: dict[str, Any]) -> None:
        """Show another session type, or the weeks from another day on."""
        async with self._one_at_a_time:
            self._wanted_day = wanted.get("from")
            if self._only is None:
                await self._turn_to(chosen(self._offered(), wanted.get("session")))
            await self.show_again(wanted.get("ask"))

    async def change_zone(self, zone: ZoneInfo) -> None:
        """Show the board in another zone."""
        if zone != self._zone:
            self._zone = zone
            await self.show_again()

    def change_own(self, own: VisitorSlot | None) -> None:
        """Show something else, or nothing, as this visitor's own."""
        if own != self._own:
            self._own, self._own_was_there = own, False
            self._show_own()

    async def show_again(self, ask: object = None) -> None:
        """Send the whole board as the process knows it."""
        if self._zone is not None:
            self._grid.show(self._snapshot(self._zone), self._overlay(), ask)

    async def _connected(self) -> None:
        await rooms.enter(self._client, [self._live.room])
        self._connections += 1
        if self._connections > 1:
            await self._live.read()
            await self.show_again()
        elif self._live.version != self._delivered:
            await self.show_again()

    def _changed(self, board: Board) -> None:
        if self._own is None:
            return
        there = self._own.is_on(board)
        if self._own_was_there and not there:
            self._own = None
        self._own_was_there = there
        self._show_own()

    def _show_own(self) -> None:
        board = self._live.board
        if board is None or self._zone is None or self._delivered < 0:
            return
        if self._hidden(board):
            self._grid.show(self._snapshot(self._zone), self._overlay())
        else:
            self._grid.show_own(self._overlay())

    async def _turn_to(self, session_type_id: UUID | None) -> None:
        if session_type_id is None or session_type_id == self._live.session_type_id:
            return
        live, before = self._boards.of(self._expert.id, session_type_id), self._live
        unwatch = live.watch(self._changed)
        await rooms.enter(self._client, [live.room])
        try:
            await live.read()
        except NotFound:  # the expert has just gone: what is shown stays
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
            return self._drawn(board, zone, since, now, hidden)
        # Whoever looks at the same weeks in the same zone gets the very same snapshot: made once, kept once.
        key = (zone.key, since, now.astimezone(zone).date())
        if key not in self._live.drawn:
            if len(self._live.drawn) >= MOST_DRAWN:
                self._live.drawn.clear()
            self._live.drawn[key] = self._drawn(board, zone, since, now)
        return self._live.drawn[key]

    def _drawn(self, board: Board, zone: ZoneInfo, since: date, now: datetime, hidden: Sequence[datetime] = ()) -> str:
        return plain_json(
            {"room": self._live.room, **snapshot(board, self._live.version, zone, since, now, hidden=hidden)}
        )

    def _hidden(self, board: Board) -> list[datetime]:
        """What is free for this visitor on a day that is full for everybody else: no slot of the board."""
        if self._own is None or board.calendar.length.daily_cap is None:
            return []
        shown = {slot.starts_at for slot in board.slots}
        return [start for start in self._own.opens(board) if start not in shown]

    def _overlay(self) -> dict[str, Any] | None:
        own, board = self._own, self._live.board
        if own is None or board is None:
            return None
        shows = own.session_type_id == board.session_type_id
        return {
            "start": formatting.iso(own.starts_at) if shows else "",
            "words": own.words,
            "opens": [formatting.iso(start) for start in own.opens(board)],
        }


def chosen(offered: Sequence[SessionTypeView], wanted: object) -> UUID | None:
    """The id of the wanted session type, or else of the first one; None where nothing is offered."""
    ids = [one.id for one in offered]
    return next((number for number in ids if str(number) == str(wanted).lower()), ids[0] if ids else None)
