"""`/booking/{id}/move`: another time for a booking, on the live board of its session."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from heapq import nsmallest
from typing import Any, Final
from zoneinfo import ZoneInfo

from fastapi import Request
from markupsafe import Markup
from nicegui import Client, ui

from expert_booking.domain.calendar import SlotState
from expert_booking.domain.errors import BookingNotFound, ExpertNotFound, Refusal, SlotNotOffered, SlotTaken
from expert_booking.schemas import BookingView, ExpertDetail
from expert_booking.services import Services
from expert_booking.services.availability import Board
from expert_booking.web import refusals, theme, words
from expert_booking.web.boards import BoardView, Own
from expert_booking.web.live import LiveBoards
from expert_booking.web.live_booking import LiveBooking, own_booking
from expert_booking.web.parts.booking_card import change, leeway, when
from expert_booking.web.parts.move_question import MoveQuestion
from expert_booking.web.visitor import zone_of

log = logging.getLogger(__name__)

ALTERNATIVES: Final = 6
_CRUMB: Final = Markup('<a class="crumb" href="/booking/{id}">← Your booking</a><h1>Move your booking</h1>')
_NOW: Final = Markup(
    """<section class="panel move-now" aria-label="Booked now" data-booking="{id}" data-status="{status}">
<div class="who"><img class="portrait" src="/portrait/{slug}.svg" width="56" height="56" alt="">
<div><b>{expert}</b><span class="small soft">{session}</span></div></div>{when}<p class="small soft">{terms}</p></section>"""
)
_NEWS: Final = Markup('<p class="note">{}</p>')
_NOT_NOW: Final = Markup(
    """<div class="note warn" role="alert" data-refusal="move"><strong>{why}</strong>{still}
<div class="actions"><a class="button" href="/booking/{id}">To your booking</a></div></div>"""
)
_STILL_YOURS: Final = "Your old time is still yours. "
_OUR_MISTAKE: Final = "That did not work. It is our mistake, not yours. Please try again in a moment. "


def mount(services: Services, boards: LiveBoards) -> None:
    """Serve the page."""

    @ui.page("/booking/{reference}/move")
    async def move(reference: str, request: Request, client: Client) -> None:
        try:
            booking, visitor = await own_booking(services, reference, request)
        except BookingNotFound:
            refusals.booking_not_found()
            return
        try:
            expert = await services.experts.profile(booking.expert_slug)
        except ExpertNotFound:
            refusals.not_here(
                "There are no other times",
                f"{booking.expert_name} takes no bookings at the moment. Yours stays as it is.",
                code="expert_not_found",
                url=f"/booking/{booking.id}",
                way_out="To your booking",
            )
            return
        view = MoveDesk(services, boards, client, booking, visitor, expert, request)
        with theme.frame("Move your booking", here="/my-bookings", on_zone=view.change_zone):
            view.draw()
        await view.begin()


class MoveDesk:
    """One visitor choosing another time for one booking; both are followed while the page is open."""

    def __init__(
        self,
        services: Services,
        boards: LiveBoards,
        client: Client,
        booking: BookingView,
        visitor: bytes,
        expert: ExpertDetail,
        request: Request,
    ) -> None:
        self._services = services
        self._booking = booking
        self._visitor = visitor
        self._zone = zone_of(request)
        self._expert_zone = ZoneInfo(booking.expert_time_zone)
        self._to: datetime | None = None
        self._refusal: Refusal | None = None
        self._moving = False
        only = booking.session_type_id
        self._board = BoardView(
            services, boards, client, expert, request, only=only, own=Own.of(booking), on_pick=self.pick
        )
        self._live_board = boards.of(expert.id, only)
        client.on_delete(self._live_board.watch(self._board_changed))
        self._live_booking = LiveBooking(services, client, booking, visitor, self._look)

    def draw(self) -> None:
        """What is booked now, the other times, and the question below them."""
        theme.html(_CRUMB.format(id=self._booking.id))
        self._news = theme.html(Markup("")).props('role=status id=news tabindex="-1"').classes("news")
        self._now = theme.html(Markup(""))
        self._not_now = theme.html(Markup(""))
        with ui.element("div") as self._times:
            self._board.draw()
            self._question = MoveQuestion(on_move=self.move, on_pick=self._pick_alternative, on_keep=self.keep)
        self._paint()

    async def begin(self) -> None:
        """Deliver the page with the board as it is now."""
        await self._board.begin()

    async def pick(self, start: datetime) -> None:
        """Ask whether to move it there."""
        self._to, self._refusal = start, self._refusal_of(start)
        self._paint()

    async def move(self) -> None:
        """Move the booking to the chosen time, or say why not and what else is free."""
        if self._to is None:
            return
        self._moving = True
        try:
            booking = await self._services.bookings.reschedule_for_visitor(self._booking.id, self._to, self._visitor)
        except (SlotTaken, SlotNotOffered) as refusal:
            await self._refused(refusal)
        except Refusal as refusal:
            self._question.rest(f"{refusal} {_STILL_YOURS}")
            await self._live_booking.read()
        except Exception:
            log.exception("a booking could not be moved")
            self._question.rest(_OUR_MISTAKE + _STILL_YOURS)
        else:
            self._question.leave_for(f"/booking/{booking.id}?moved=1")
        finally:
            self._moving = False

    def keep(self) -> None:
        """Leave it where it is."""
        self._to = self._refusal = None
        self._paint()

    async def change_zone(self, zone: ZoneInfo) -> None:
        """Name the times in another zone."""
        self._zone = zone
        self._paint()
        await self._board.change_zone(zone)
