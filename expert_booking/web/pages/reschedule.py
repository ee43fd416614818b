"""`/booking/{id}/reschedule`: choosing another time for a booking, on the live board of its session type."""

import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from fastapi import Request
from markupsafe import Markup
from nicegui import Client, ui

from expert_booking.domain import formatting
from expert_booking.domain.errors import (
    BookingNotFound,
    ExpertNotFound,
    Refusal,
    RescheduleNotAllowed,
    SlotNotOffered,
    SlotTaken,
    Unavailable,
)
from expert_booking.domain.lifecycle import RESCHEDULABLE, check_reschedule
from expert_booking.domain.unavailability import Reason
from expert_booking.schemas import BookingView, Caller, ExpertDetail
from expert_booking.services import Services
from expert_booking.services.availability import Board
from expert_booking.web import error_pages, layout, page_route
from expert_booking.web.booking_access import BookingAccess
from expert_booking.web.components.booking_card import describe_change, session_times
from expert_booking.web.components.refusal_note import reason_of, refusal_text
from expert_booking.web.components.reschedule_question import RescheduleQuestion
from expert_booking.web.live.board_view import BoardView, VisitorSlot
from expert_booking.web.live.booking_status import LiveBooking
from expert_booking.web.live.slot_boards import LiveBoards
from expert_booking.web.on_return import on_return
from expert_booking.web.visitor import network_hash, zone_of

log = logging.getLogger(__name__)

_CRUMB: Final = Markup('<a class="crumb" href="{url}">← {whose} booking</a><h1>Reschedule {whose_inside} booking</h1>')
_CURRENT: Final = Markup(
    """<section class="panel reschedule-now" aria-labelledby="now" data-booking="{id}" data-status="{status}">
<h2 id="now">Current time</h2><div class="who">
<img class="portrait" src="/portrait/{slug}.svg" width="56" height="56" alt="">
<div><b>{expert}</b><span class="small soft">{session}</span></div></div>{when}
<p class="small soft">{terms}</p></section>"""
)
_NOTICE: Final = Markup('<p class="note">{}</p>')
_NOT_ALLOWED: Final = Markup(
    """<div class="note warn" role="alert" data-refusal="move"><strong>{why}</strong>{still}
<div class="actions"><a class="button" href="{url}">Back to {whose} booking</a></div></div>"""
)
_STILL_YOURS: Final = "You still have your current time. "
_MAY_BE_FREE: Final = "It may be free again in a few minutes; this page will tell you. "


def mount(services: Services, boards: LiveBoards, *, secret: str) -> None:
    """Serve the page. `secret` keys the hashes of networks."""

    @page_route.page("/booking/{reference}/reschedule")
    async def reschedule_page(reference: str, request: Request, client: Client) -> None:
        try:
            access = BookingAccess.for_request(services, reference, request)
            found = await access.find()
        except BookingNotFound:
            error_pages.booking_not_found(reference)
            return
        booking = found[0]
        try:
            expert = await services.experts.profile(booking.expert_slug)
        except ExpertNotFound:
            error_pages.show_error(
                "No other times available",
                f"{booking.expert_name} is not taking bookings at the moment. Your booking stays as it is.",
                code="expert_not_found",
                url=access.url(),
                way_out="Back to your booking",
            )
            return
        origin = network_hash(request, secret)
        view = ReschedulePage(services, boards, client, found, access, expert, request, origin)
        with layout.frame("Reschedule your booking", here="/my-bookings", on_zone=view.change_zone):
            view.draw()
        await view.load()


class ReschedulePage:
    """One visitor choosing another time for one booking. The board and the booking update while the page is open."""

    def __init__(
        self,
        services: Services,
        boards: LiveBoards,
        client: Client,
        found: tuple[BookingView, Caller],
        access: BookingAccess,
        expert: ExpertDetail,
        request: Request,
        origin: bytes,
    ) -> None:
        self._services = services
        self._origin = origin
        self._booking = booking = found[0]
        self._access = access
        self._zone = zone_of(request)
        self._expert_zone = ZoneInfo(booking.expert_time_zone)
        self._new_start: datetime | None = None
        self._refusal: Refusal | None = None
        self._sending = False
        only = booking.session_type_id
        self._board = BoardView(
            services, boards, client, expert, request, only=only, own=VisitorSlot.of(booking), on_pick=self.pick
        )
        self._live_board = boards.of(expert.id, only)
        client.on_delete(self._live_board.watch(self._board_changed))
        self._live_booking = LiveBooking(services, client, found, access, self._booking_changed)

    def draw(self) -> None:
        """Draw the current time, the board and the question below it."""
        on_return(self._live_booking.refresh)
        whose = ("The", "this") if self._live_booking.by_host else ("Your", "your")
        self._head = layout.html(_CRUMB.format(url=self._access.url(), whose=whose[0], whose_inside=whose[1]))
        self._notice = layout.html(Markup("")).props('role=status id=news tabindex="-1"').classes("news")
        self._current = layout.html(Markup(""))
        self._not_allowed = layout.html(Markup(""))
        with ui.element("div").classes("reschedule-times") as self._times:
            self._board.draw()
            self._question = RescheduleQuestion(
                on_reschedule=self.reschedule, on_pick=self._pick_alternative, on_keep=self.keep
            )
        self._paint()

    async def load(self) -> None:
        """Deliver the page with the current board."""
        await self._board.load()

    async def pick(self, start: datetime) -> None:
        """Ask whether to reschedule the booking to this start (UTC)."""
        if start == self._booking.starts_at:
            return
        self._new_start, self._refusal = start, self._refusal_of(start)
        self._paint()

    async def reschedule(self) -> None:
        """Reschedule the booking to the chosen time, or show why not and the nearest free times."""
        if self._new_start is None:
            return
        self._sending = True
        try:
            start = self._new_start
            await self._live_booking.change(
                lambda caller: self._services.bookings.reschedule(self._booking.id, start, caller, origin=self._origin)
            )
        except (SlotTaken, SlotNotOffered) as refusal:
            await self._show_alternatives(refusal)
        except Refusal as refusal:
            await self._show_refusal(refusal)
        except Exception:
            log.exception("could not reschedule a booking")
            self._question.done(f"{error_pages.INTERNAL_ERROR} {_STILL_YOURS.rstrip()}{error_pages.error_reference()}")
        else:
            self._new_start = None  # the visitor's own booking now takes this time: that is not a refusal
            self._question.leave_for(self._access.url(rescheduled="1"))
        finally:
            self._sending = False

    def keep(self) -> None:
        """Keep the current time."""
        self._new_start = self._refusal = None
        self._paint()

    async def change_zone(self, zone: ZoneInfo) -> None:
        """Show the times in another zone."""
        self._zone = zone
        self._paint()
        await self._board.change_zone(zone)

    async def _pick_alternative(self, wanted: object) -> None:
        start = next((start for start in self._free() if formatting.iso(start) == wanted), None)
        if start is not None:
            await self.pick(start)

    async def _show_refusal(self, refusal: Refusal) -> None:
        if not isinstance(refusal, Unavailable):
            with suppress(Refusal):  # the booking may have changed so that the question no longer applies
                await self._live_booking.read()
        self._question.done(f"{refusal_text(refusal, self._shown_zone())} {_STILL_YOURS}")

    async def _show_alternatives(self, refusal: Refusal) -> None:
        with suppress(Refusal):
            await self._live_board.read()
        self._refusal = refusal
        self._paint()

    def _board_changed(self, _: Board) -> None:
        # The visitor's own rescheduling changes the board too, even before it has returned.
        if self._new_start is not None and not self._sending:
            self._refusal = self._refusal_of(self._new_start)
            self._paint()

    def _booking_changed(self, booking: BookingView | None) -> None:
        if booking is None:
            self._show_nothing()
            return
        text = describe_change(self._booking, booking, self._shown_zone(), by_host=self._live_booking.by_host)
        self._booking = booking
        if text:
            self._notice.show(_NOTICE.format(text))
            self._board.change_own(VisitorSlot.of(booking))
        if self._new_start is not None and not self._sending:
            self._new_start = None if self._new_start == booking.starts_at else self._new_start
            self._refusal = self._refusal_of(self._new_start) if self._new_start else None
        self._paint()

    def _show_nothing(self) -> None:
        for part in (self._head, self._notice, self._not_allowed):
            part.show(Markup(""))
        self._current.show(error_pages.no_booking(str(self._booking.id)))
        self._times.set_visibility(False)

    def _paint(self) -> None:
        booking, now, zone = self._booking, self._services.clock(), self._shown_zone()
        leeway = booking.leeway()
        by_host = self._live_booking.by_host
        why = self._why_not(now)
        still = "Your booking stays as it is." if booking.status in RESCHEDULABLE else ""
        self._current.show(
            _CURRENT.format(
                id=booking.id,
                status=booking.status.value,
                slug=booking.expert_slug,
                expert=booking.expert_name,
                session=booking.session_title,
                when=session_times(booking.starts_at, booking.ends_at, zone, self._expert_zone),
                terms="" if why or by_host else leeway.rescheduling(now, self._moment),
            ),
        )
        whose = "this" if by_host else "your"
        note = _NOT_ALLOWED.format(why=why, still=still, whose=whose, url=self._access.url()) if why else Markup("")
        self._not_allowed.show(note)
        self._times.set_visibility(not why)
        self._ask()

    def _why_not(self, now: datetime) -> str:
        """Return why the booking cannot be rescheduled now, or an empty string. The terms do not apply to hosts."""
        if not self._live_booking.by_host:
            return self._booking.leeway().why_not_reschedule(now, self._moment)
        try:
            has_ended = self._booking.ends_at <= now
            check_reschedule(self._booking.status, unverified=self._booking.awaits_verification, has_ended=has_ended)
        except RescheduleNotAllowed as refusal:
            return str(refusal)
        return ""

    def _ask(self) -> None:
        if self._new_start is None:
            self._question.show()
        elif self._refusal is None:
            times = [self._time("From", self._booking.starts_at), self._time("To", self._new_start)]
            self._question.show(question={"at": formatting.iso(self._new_start), "times": times})
        else:
            self._question.show(notice=self._refusal_notice(self._new_start, self._refusal))

    def _refusal_notice(self, start: datetime, refusal: Refusal) -> dict[str, Any]:
        zone, free = self._shown_zone(), self._free()
        reason = reason_of(refusal)
        text = _STILL_YOURS + (_MAY_BE_FREE if reason is Reason.HELD else "")
        nearest = f"The nearest free times, in {formatting.zone_at(zone, start)}:" if free else "No other time is free."
        return {
            "at": formatting.iso(start),
            "code": refusal.code,
            "reason": reason.value if reason else None,
            "title": str(refusal),
            "text": text + nearest,
            "times": [
                {
                    "at": formatting.iso(at),
                    "time": formatting.clock_time(at, zone),
                    "day": formatting.short_day(at, zone),
                }
                for at in free
            ],
        }

    def _time(self, name: str, starts_at: datetime) -> dict[str, str]:
        ends_at = starts_at + (self._booking.ends_at - self._booking.starts_at)
        zone, expert_zone = self._shown_zone(), self._expert_zone
        theirs = formatting.time_span(starts_at, ends_at, expert_zone), formatting.zone_at(expert_zone, starts_at)
        return {
            "name": name,
            "day": formatting.long_day(starts_at, zone),
            "time": formatting.time_span(starts_at, ends_at, zone),
            "zone": formatting.zone_at(zone, starts_at),
            "theirs": (
                f"{formatting.short_day(starts_at, expert_zone)}, {', '.join(theirs)}"
                if expert_zone.key != zone.key
                else ""
            ),
        }

    def _refusal_of(self, start: datetime) -> Refusal | None:
        board = self._board_without_booking()
        return board.refusal(start) if board else None

    def _free(self) -> Sequence[datetime]:
        """Return the free starts (UTC) nearest to the chosen one, in order of time."""
        board = self._board_without_booking()
        return board.nearest_open(self._new_start, [self._booking.starts_at]) if board and self._new_start else []

    def _board_without_booking(self) -> Board | None:
        """Return the board as if this booking did not exist."""
        board = self._live_board.board
        return replace(board, calendar=board.calendar.without(self._booking.starts_at)) if board else None

    def _shown_zone(self) -> ZoneInfo:
        return self._zone or self._expert_zone

    def _moment(self, instant: datetime) -> str:
        return formatting.moment(instant, self._shown_zone())
