"""`/booking/{id}`: what was booked, for its customer and its hosts, and what can still be done with it."""

import logging
from contextlib import suppress
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from fastapi import FastAPI, Request, Response
from markupsafe import Markup
from nicegui import Client
from pydantic import ValidationError
from starlette.exceptions import HTTPException

from expert_booking.domain import formatting
from expert_booking.domain.email_schedule import Audience
from expert_booking.domain.errors import BookingNotFound, Refusal, Unavailable
from expert_booking.domain.lifecycle import LIVE, RESCHEDULABLE, Actor, Status, open_transitions
from expert_booking.schemas import BookingView, Caller, Role, StatusRequest
from expert_booking.services import Services
from expert_booking.web import error_pages, layout, page_route
from expert_booking.web.booking_access import BookingAccess
from expert_booking.web.components.booking_actions import BookingActions
from expert_booking.web.components.booking_card import change, rescheduled_to, whole_booking
from expert_booking.web.components.calendar_links import calendar_ways
from expert_booking.web.components.host_actions import HostActions
from expert_booking.web.components.mail_state import mail_state
from expert_booking.web.live.booking_status import LiveBooking
from expert_booking.web.on_return import on_return
from expert_booking.web.parts.shared_link import SharedLink
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
_OF_HOST: Final = Markup('<div class="actions"><a class="button quiet" href="/my-bookings">Sessions with you</a></div>')
_LINKS_ENDED: Final = Markup("Earlier links to this booking no longer work. We've sent a new one to {}.")
_OUR_MISTAKE: Final = "That did not work. It is our mistake, not yours. Please try again in a moment."


def mount(services: Services) -> None:
    """Serve the page."""

    @page_route.page("/booking/{reference}")
    async def shown(reference: str, request: Request, client: Client) -> None:
        try:
            way = BookingAccess.for_request(services, reference, request)
            found = await way.find()
        except BookingNotFound:
            error_pages.booking_not_found(reference)
            return
        view = OneBooking(services, client, found, way, zone_of(request))
        with layout.frame("Your booking", here="/my-bookings", narrow=True, on_zone=view.change_zone):
            view.draw(rescheduled="rescheduled" in request.query_params)


def mount_calendar_file(web: FastAPI, services: Services) -> None:
    """Serve the booking as a file for calendars, to whoever may see its page."""

    async def calendar_file(reference: str, request: Request) -> Response:
        try:
            booking, caller = await BookingAccess.for_request(services, reference, request).find()
            audience = Audience.CUSTOMER if caller.role is Role.CUSTOMER else Audience.EXPERT
            body = await services.feeds.file_of(booking, audience)
        except BookingNotFound as refusal:
            raise HTTPException(404) from refusal
        headers = {"Content-Disposition": 'attachment; filename="booking.ics"', "Cache-Control": "no-store"}
        return Response(body, media_type="text/calendar; charset=utf-8", headers=headers)

    web.add_api_route("/booking/{reference}/calendar.ics", calendar_file)


class OneBooking:
    """A booking that follows its own changes while the page is open."""

    def __init__(
        self,
        services: Services,
        client: Client,
        found: tuple[BookingView, Caller],
        way: BookingAccess,
        zone: ZoneInfo | None,
    ) -> None:
        self._services = services
        self._booking = found[0]
        self._access = way
        self._expert_zone = ZoneInfo(self._booking.expert_time_zone)
        self._zone = zone or self._expert_zone
        self._live = LiveBooking(services, client, found, way, self._look)
        self._links_ended = False

    def draw(self, *, rescheduled: bool) -> None:
        """All about it."""
        on_return(self._live.refresh)
        # What has changed is said in a place that stays, so that it is read out.
        said = rescheduled_to(self._booking.starts_at, self._zone, by_host=self._live.by_host) if rescheduled else ""
        self._news = layout.html(self._news_html(said)).props('id=news role=status tabindex="-1"').classes("news")
        self._shown = layout.html(Markup(""))
        self._mail = layout.html(Markup("")).props("role=status")
        self._host_actions = HostActions(reschedule_url=self._access.url("/reschedule"), on_change=self.change)
        self._actions = BookingActions(reschedule_url=self._access.url("/reschedule"), on_cancel=self.cancel)
        self._calendar = layout.html(Markup(""))
        self._ways_on = layout.html(Markup(""))
        self._shared_link = SharedLink(on_end=self.end_links)
        self._paint()

    def change_zone(self, zone: ZoneInfo) -> None:
        """Name the times in another zone."""
        self._zone = zone
        self._paint()

    async def cancel(self, reason: str) -> None:
        """Cancel it, or say why not."""
        await self._change(Status.CANCELLED.value, reason, self._actions)

    async def change(self, status: str, reason: str) -> None:
        """Bring it to another status, as a host; or say why not."""
        await self._change(status, reason, self._host_actions)

    async def end_links(self) -> None:
        """End every link to the booking and have a new one sent, or say why not."""
        # Beforehand: that the key counts no more is news, which may be here before the answer.
        self._links_ended = True
        try:
            _, caller = await self._access.find()
            await self._services.bookings.end_links(self._booking.id, caller)
        except Refusal as refusal:
            self._links_ended = False
            self._shared_link.rest(str(refusal))
            return
        except Exception:
            log.exception("the links to a booking could not be ended")
            self._links_ended = False
            self._shared_link.rest(_OUR_MISTAKE + error_pages.found_by())
            return
        self._access.forget_key()
        self._shared_link.done()
        self._news.show(self._news_html(_LINKS_ENDED.format(self._booking.email)))
        await self._live.read()

    async def _change(self, status: str, reason: str, asked: BookingActions | HostActions) -> None:
        try:
            wanted = StatusRequest.model_validate({"status": status, "reason": reason})
            await self._live.change(
                lambda caller: self._services.bookings.change_status(
                    self._booking.id, wanted.status, caller, reason=wanted.reason
                )
            )
        except ValidationError as error:
            asked.rest(error.errors()[0]["msg"].removeprefix("Value error, "))
        except Refusal as refusal:
            await self._refused(refusal, asked)
        except Exception:
            log.exception("a booking could not be changed")
            asked.rest(_OUR_MISTAKE + error_pages.found_by())
        else:
            asked.rest()

    async def _refused(self, refusal: Refusal, asked: BookingActions | HostActions) -> None:
        if not isinstance(refusal, Unavailable):
            with suppress(Refusal):
                await self._live.read()
        # Where it is off already, that is said above.
        asked.rest(str(refusal) if self._booking.status in RESCHEDULABLE else "")

    def _look(self, booking: BookingView | None) -> None:
        if booking is None:
            self._show_nothing()
            return
        said = change(self._booking, booking, self._zone, by_host=self._live.by_host)
        self._booking = booking
        if said:
            self._news.show(self._news_html(said))
        self._paint()

    def _paint(self) -> None:
        booking, by_host = self._booking, self._live.by_host
        self._shown.show(whole_booking(booking, self._zone, self._expert_zone, by_host=by_host))
        self._mail.show(mail_state(booking) if self._services.site.mails and not by_host else Markup(""))
        self._calendar.show(self._calendar_html())
        self._ways_on.show(self._ways_on_html())
        self._shared_link.show("" if by_host or not self._services.site.mails else booking.email)
        self._offer()

    def _offer(self) -> None:
        booking, now, by_host = self._booking, self._services.clock(), self._live.by_host
        left = booking.leeway()
        day = formatting.long_day(booking.starts_at, self._zone)
        time = formatting.time_span(booking.starts_at, booking.ends_at, self._zone)
        zone = formatting.zone_at(self._zone, booking.starts_at)
        self._actions.show(
            [] if by_host else left.sentences(now, self._moment),
            day=day,
            time=time,
            zone=zone,
            may_reschedule=left.may_reschedule(now) and not by_host,
            may_cancel=left.may_cancel(now) and not by_host,
        )
        # Experts and admins may do the same.
        transitions = (
            open_transitions(booking.status, Actor.EXPERT, ends_at=booking.ends_at, now=now) if by_host else []
        )
        may_reschedule = by_host and booking.status in RESCHEDULABLE and now < booking.ends_at
        self._host_actions.show(transitions, may_reschedule=may_reschedule, when=f"{day}, {time}, {zone}")

    def _show_nothing(self) -> None:
        for shown in (self._news, self._mail, self._calendar, self._ways_on):
            shown.show(Markup(""))
        number = str(self._booking.id)
        ended = self._links_ended
        self._shown.show(
            error_pages.link_ended(number, self._booking.email) if ended else error_pages.no_booking(number)
        )
        self._shared_link.show("")
        self._actions.show([], may_reschedule=False, may_cancel=False)
        self._host_actions.show([], may_reschedule=False, when="")

    def _news_html(self, said: str) -> Markup:
        good = " good" if self._booking.status in LIVE else ""
        return _NEWS.format(good=good, said=said) if said else Markup("")

    def _calendar_html(self) -> Markup:
        booking = self._booking
        if booking.status not in RESCHEDULABLE or booking.ends_at <= self._services.clock():
            return Markup("")
        with_whom = booking.name if self._live.by_host else booking.expert_name
        page = f"{self._services.site.url}/booking/{booking.id}"  # no key: the links go to others
        return calendar_ways(booking, with_whom, self._access.url("/calendar.ics"), page)

    def _ways_on_html(self) -> Markup:
        booking = self._booking
        if self._live.by_host:
            return _OF_HOST
        ways = _AHEAD if booking.status in RESCHEDULABLE else _OVER
        return ways.format(slug=booking.expert_slug, name=booking.expert_name, session=booking.session_type_id)

    def _moment(self, instant: datetime) -> str:
        return formatting.moment(instant, self._zone)
