"""`/booking/{id}`: what was booked, for the browser it was booked in, and what can still be done with it."""

import logging
from contextlib import suppress
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from fastapi import Request
from markupsafe import Markup
from nicegui import Client, ui
from pydantic import ValidationError

from expert_booking.domain import words
from expert_booking.domain.errors import BookingNotFound, Refusal, Unavailable
from expert_booking.domain.lifecycle import LIVE, MOVABLE, Status
from expert_booking.schemas import BookingView, Caller, StatusRequest
from expert_booking.services import Services
from expert_booking.web import refusals, theme
from expert_booking.web.live_booking import LiveBooking, own_booking
from expert_booking.web.parts.booking_actions import BookingActions
from expert_booking.web.parts.booking_card import change, moved_to, whole_booking
from expert_booking.web.visitor import zone_of

log = logging.getLogger(__name__)

_NEWS: Final = Markup('<p class="note{good}">{said}</p>')
_AHEAD: Final = Markup(
    """<div class="actions"><a class="button quiet" href="/my-bookings">My bookings</a>
<a class="button quiet" href="/expert/{slug}">Back to {name}</a></div>"""
)
_OVER: Final = Markup(
    """<div class="actions"><a class="button" href="/expert/{slug}?session={session}">Book another time</a>
<a class="button quiet" href="/my-bookings">My bookings</a></div>"""
)
_OUR_MISTAKE: Final = "That did not work. It is our mistake, not yours. Please try again in a moment."


def mount(services: Services) -> None:
    """Serve the page."""

    @ui.page("/booking/{reference}")
    async def shown(reference: str, request: Request, client: Client) -> None:
        try:
            booking, caller = await own_booking(services, reference, request)
        except BookingNotFound:
            refusals.booking_not_found()
            return
        view = OneBooking(services, client, booking, caller, zone_of(request))
        with theme.frame("Your booking", here="/my-bookings", narrow=True, on_zone=view.change_zone):
            view.draw(moved="moved" in request.query_params)


class OneBooking:
    """A booking that follows its own changes while the page is open."""

    def __init__(
        self, services: Services, client: Client, booking: BookingView, caller: Caller, zone: ZoneInfo | None
    ) -> None:
        self._services = services
        self._booking = booking
        self._caller = caller
        self._expert_zone = ZoneInfo(booking.expert_time_zone)
        self._zone = zone or self._expert_zone
        self._live = LiveBooking(services, client, booking, caller, self._look)

    def draw(self, *, moved: bool) -> None:
        """All about it."""
        # What has changed is said in a place that stays, so that it is read out.
        said = moved_to(self._booking.starts_at, self._zone) if moved else ""
        self._news = theme.html(self._news_html(said)).props('id=news role=status tabindex="-1"').classes("news")
        self._shown = theme.html(Markup(""))
        self._actions = BookingActions(move_url=f"/booking/{self._booking.id}/move", on_cancel=self.cancel)
        self._ways_on = theme.html(Markup(""))
        self._paint()

    def change_zone(self, zone: ZoneInfo) -> None:
        """Name the times in another zone."""
        self._zone = zone
        self._paint()

    async def cancel(self, reason: str) -> None:
        """Cancel it, or say why not."""
        try:
            reason = StatusRequest(status=Status.CANCELLED, reason=reason).reason
            self._live.take(
                await self._services.bookings.change_status(
                    self._booking.id, Status.CANCELLED, self._caller, reason=reason
                )
            )
        except ValidationError as error:
            self._actions.rest(error.errors()[0]["msg"].removeprefix("Value error, "))
        except Refusal as refusal:
            await self._refused(refusal)
        except Exception:
            log.exception("a booking could not be cancelled")
            self._actions.rest(_OUR_MISTAKE)
        else:
            self._actions.rest()

    async def _refused(self, refusal: Refusal) -> None:
        if not isinstance(refusal, Unavailable):
            with suppress(Refusal):
                await self._live.read()
        # Where it is off already, that is said above.
        self._actions.rest(str(refusal) if self._booking.status in MOVABLE else "")

    def _look(self, booking: BookingView | None) -> None:
        if booking is None:
            self._show_nothing()
            return
        said = change(self._booking, booking, self._zone)
        self._booking = booking
        if said:
            theme.show(self._news, self._news_html(said))
        self._paint()

    def _paint(self) -> None:
        booking, now = self._booking, self._services.clock()
        left = booking.leeway()
        theme.show(self._shown, whole_booking(booking, self._zone, self._expert_zone))
        theme.show(self._ways_on, self._ways_on_html())
        self._actions.show(
            left.sentences(now, self._moment),
            day=words.long_day(booking.starts_at, self._zone),
            time=words.time_span(booking.starts_at, booking.ends_at, self._zone),
            zone=words.zone_at(self._zone, booking.starts_at),
            may_move=left.may_move(now),
            may_cancel=left.may_cancel(now),
        )

    def _show_nothing(self) -> None:
        theme.show(self._news, Markup(""))
        theme.show(self._shown, refusals.no_booking())
        theme.show(self._ways_on, Markup(""))
        self._actions.show([], may_move=False, may_cancel=False)

    def _news_html(self, said: str) -> Markup:
        good = " good" if self._booking.status in LIVE else ""
        return _NEWS.format(good=good, said=said) if said else Markup("")

    def _ways_on_html(self) -> Markup:
        booking = self._booking
        ways = _AHEAD if booking.status in MOVABLE else _OVER
        return ways.format(slug=booking.expert_slug, name=booking.expert_name, session=booking.session_type_id)

    def _moment(self, instant: datetime) -> str:
        return words.moment(instant, self._zone)
