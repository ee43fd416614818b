"""`/booking/{id}/move`: another time for a booking, on the live board of its session."""

import logging
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from heapq import nsmallest
from typing import Any, Final
from zoneinfo import ZoneInfo

from fastapi import Request
from markupsafe import Markup
from nicegui import Client, ui

from expert_booking.domain.calendar import MINUTE, SlotState
from expert_booking.domain.errors import BookingNotFound, ExpertNotFound, Refusal, SlotNotOffered, SlotTaken
from expert_booking.schemas import BookingView, ExpertDetail
from expert_booking.services import Services
from expert_booking.services.availability import Board
from expert_booking.web import refusals, theme, words
from expert_booking.web.live import LiveBoards
from expert_booking.web.live_booking import LiveBooking, own_booking
from expert_booking.web.parts.booking_card import change, leeway, when
from expert_booking.web.parts.move_question import MoveQuestion
from expert_booking.web.visitor import zone_of

log = logging.getLogger(__name__)

ALTERNATIVES: Final = 6
_SUMMARY: Final = Markup(
    """<div class="who"><img class="portrait" src="/portrait/{slug}.svg" width="56" height="56" alt="">
<div><b>{name}</b><span class="small soft">{session}</span></div></div>{when}"""
)
_NOT_NOW: Final = Markup('<div class="note warn" data-refusal="move"><strong>{title}</strong>{text}</div>')
_BACK: Final = Markup('<div class="actions"><a class="button" href="/booking/{id}">To your booking</a></div>')
_OUR_MISTAKE: Final = (
    "That did not work. It is our mistake, not yours. Please try again in a moment; your old time is still yours."
)


def mount(services: Services, boards: LiveBoards) -> None:
    """Serve the page."""

    @ui.page("/booking/{reference}/move")
    async def move(reference: str, request: Request, client: Client) -> None:
        try:
            booking, visitor = await own_booking(services, reference, request)
            expert = await services.experts.profile(booking.expert_slug)
        except BookingNotFound:
            refusals.booking_not_found()
            return
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
    """One visitor choosing another time for one booking, both followed while the page is open."""

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
        self._refusal: SlotTaken | SlotNotOffered | None = None
        self._moving = False
        self._live_booking = LiveBooking(services, client, booking, visitor, self._look)

    async def move(self) -> None:
        """Move the booking to the chosen time, or say why not and what else is free."""
        if self._to is None:
            return
        self._moving = True
        try:
            booking = await self._services.bookings.reschedule_for_visitor(self._booking.id, self._to, self._visitor)
        except (SlotTaken, SlotNotOffered) as refusal:
            await self._live.read()
            self._refusal = refusal
            self._paint()
        except Refusal as refusal:
            self._question.rest(str(refusal))
            await self._live_booking.read()
        except Exception:
            log.exception("a booking could not be moved")
            self._question.rest(_OUR_MISTAKE)
        else:
            self._question.leave_for(f"/booking/{booking.id}?moved=1")
        finally:
            self._moving = False
