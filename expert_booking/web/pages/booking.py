"""`/booking/{id}`: a booking for its customer and its hosts, and what they can still do with it."""

import logging
from contextlib import suppress
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from fastapi import FastAPI, Request, Response
from markupsafe import Markup
from nicegui import Client
from pydantic import ValidationError
from starlette.exceptions import HTTPException

from expert_booking.domain import formatting
from expert_booking.domain.email_schedule import WITHHELD, Audience
from expert_booking.domain.errors import BookingNotFound, Refusal, Unavailable, VerificationTooLate, WrongCodesUsedUp
from expert_booking.domain.lifecycle import LIVE, RESCHEDULABLE, Actor, Status, open_transitions
from expert_booking.schemas import BookingView, Caller, LocationRequest, Role, StatusRequest, VerifyRequest
from expert_booking.services import Services
from expert_booking.web import error_pages, layout, page_route
from expert_booking.web.booking_access import BookingAccess
from expert_booking.web.components.booking_actions import BookingActions
from expert_booking.web.components.booking_card import (
    booking_details,
    describe_change,
    describe_new_time,
    is_never_verified,
)
from expert_booking.web.components.calendar_links import calendar_links
from expert_booking.web.components.host_actions import HostActions
from expert_booking.web.components.location_form import LocationForm
from expert_booking.web.components.mail_state import mail_state, mail_state_for_host, reminders_off
from expert_booking.web.components.refusal_note import refusal_text
from expert_booking.web.components.shared_link import SharedLink
from expert_booking.web.components.verify_email import VerifyEmail
from expert_booking.web.live.booking_status import LiveBooking
from expert_booking.web.on_return import on_return
from expert_booking.web.visitor import network_hash, zone_of

log = logging.getLogger(__name__)

_NOTICE: Final = Markup('<p class="note{good}">{text}</p>')
_LINKS: Final = Markup(
    """<div class="actions"><a class="button quiet" href="/my-bookings">My bookings</a>
<a class="button quiet" href="/expert/{slug}">Back to {name}</a></div>"""
)
_LINKS_IF_OVER: Final = Markup(
    """<div class="actions"><a class="button" href="/expert/{slug}?session={session}">{again}</a>
<a class="button quiet" href="/my-bookings">My bookings</a></div>"""
)
_LINKS_FOR_HOST: Final = Markup(
    '<div class="actions"><a class="button quiet" href="/my-bookings">Sessions with you</a></div>'
)
_LINKS_ENDED: Final = Markup("Earlier links to this booking no longer work. We've sent a new one to {}.")


def mount(services: Services, *, secret: str) -> None:
    """Serve the page. `secret` keys the hashes of networks."""

    @page_route.page("/booking/{reference}")
    async def booking_page(reference: str, request: Request, client: Client) -> None:
        try:
            access = BookingAccess.for_request(services, reference, request)
            found = await access.find()
        except BookingNotFound:
            error_pages.booking_not_found(reference)
            return
        view = BookingPage(services, client, found, access, zone_of(request), network_hash(request, secret))
        with layout.frame("Your booking", here="/my-bookings", narrow=True, on_zone=view.change_zone):
            view.draw(rescheduled="rescheduled" in request.query_params)


def mount_calendar_file(web: FastAPI, services: Services) -> None:
    """Serve the booking as an iCalendar file to everyone who may see its page."""

    async def calendar_file(reference: str, request: Request) -> Response:
        try:
            booking, caller = await BookingAccess.for_request(services, reference, request).find()
            audience = Audience.CUSTOMER if caller.role is Role.CUSTOMER else Audience.EXPERT
            body = await services.feeds.booking_file(booking, audience)
        except BookingNotFound as refusal:
            raise HTTPException(404) from refusal
        headers = {"Content-Disposition": 'attachment; filename="booking.ics"', "Cache-Control": "no-store"}
        return Response(body, media_type="text/calendar; charset=utf-8", headers=headers)

    web.add_api_route("/booking/{reference}/calendar.ics", calendar_file)


class BookingPage:
    """One booking. It updates while the page is open."""

    def __init__(
        self,
        services: Services,
        client: Client,
        found: tuple[BookingView, Caller],
        access: BookingAccess,
        zone: ZoneInfo | None,
        origin: bytes,
    ) -> None:
        self._services = services
        self._origin = origin
        self._booking = found[0]
        self._access = access
        self._expert_zone = ZoneInfo(self._booking.expert_time_zone)
        self._zone = zone or self._expert_zone
        self._live = LiveBooking(services, client, found, access, self._booking_changed)
        self._links_ended = False

    def draw(self, *, rescheduled: bool) -> None:
        """Draw the booking. `rescheduled`: say that it has just been rescheduled."""
        on_return(self._live.refresh)
        # This element is never removed, so that screen readers announce changes of its content.
        text = describe_new_time(self._booking.starts_at, self._zone, by_host=self._live.by_host) if rescheduled else ""
        self._notice = layout.html(self._notice_html(text)).props('id=news role=status tabindex="-1"').classes("news")
        self._verify_email = VerifyEmail(on_verify=self.verify, on_resend=self.send_again)
        self._details = layout.html(Markup(""))
        self._mail = layout.html(Markup("")).props("role=status")
        self._host_actions = HostActions(reschedule_url=self._access.url("/reschedule"), on_change=self.change)
        # Only for hosts, so that the page of customers loads nothing more.
        self._location_form = LocationForm(on_save=self.relocate) if self._live.by_host else None
        self._actions = BookingActions(reschedule_url=self._access.url("/reschedule"), on_cancel=self.cancel)
        self._calendar = layout.html(Markup(""))
        self._links = layout.html(Markup(""))
        self._shared_link = SharedLink(on_end=self.end_links)
        self._paint()

    def change_zone(self, zone: ZoneInfo) -> None:
        """Show the times in another zone."""
        self._zone = zone
        self._paint()

    async def cancel(self, reason: str) -> None:
        """Cancel the booking as its customer, or show why that is not possible."""
        await self._change(Status.CANCELLED.value, reason, self._actions)

    async def change(self, status: str, reason: str) -> None:
        """Change the status as a host, or show why that is not possible. Both arguments are unvalidated."""
        await self._change(status, reason, self._host_actions)

    async def relocate(self, wanted: dict[str, Any]) -> None:
        """Change the location as a host, or show why that is not possible. `wanted` is unvalidated."""
        assert self._location_form is not None
        try:
            request = LocationRequest.model_validate(wanted)
            await self._live.change(lambda caller: self._services.bookings.relocate(self._booking.id, request, caller))
        except ValidationError as error:
            self._location_form.done(_message(error))
        except Refusal as refusal:
            self._location_form.done(str(refusal))
        except Exception:
            log.exception("could not change the location of a booking")
            self._location_form.done(error_pages.INTERNAL_ERROR + error_pages.error_reference())
        else:
            self._location_form.done()

    async def verify(self, code: str) -> None:
        """Confirm the email address with the code, or show why that is not possible. `code` is unvalidated."""
        try:
            request = VerifyRequest.model_validate({"code": code})
            await self._live.change(
                lambda caller: self._services.verification.verify(self._booking.id, request.code, caller)
            )
        except ValidationError as error:
            self._verify_email.done(_message(error))
        except Refusal as refusal:
            self._verify_email.done(str(refusal))
            if isinstance(refusal, WrongCodesUsedUp | VerificationTooLate):
                await self._live.read()
                self._notice.show(self._notice_html(str(refusal)))
        except Exception:
            log.exception("could not confirm an email address")
            self._verify_email.done(error_pages.INTERNAL_ERROR + error_pages.error_reference())
        else:
            self._verify_email.done()

    async def send_again(self) -> None:
        """Have the email with the code sent again, or show why that is not possible."""
        try:
            _, caller = await self._access.find()
            await self._services.verification.send_again(self._booking.id, caller)
        except Refusal as refusal:
            self._verify_email.resent(str(refusal))
        except Exception:
            log.exception("could not send an email again")
            self._verify_email.resent(error_pages.INTERNAL_ERROR + error_pages.error_reference())
        else:
            self._verify_email.resent()

    async def end_links(self) -> None:
        """End every link to the booking and have a new one sent, or show why that is not possible."""
        # Set before the call, because the event about it may arrive before the call returns.
        self._links_ended = True
        try:
            _, caller = await self._access.find()
            await self._services.bookings.end_links(self._booking.id, caller)
        except Refusal as refusal:
            self._links_ended = False
            self._shared_link.done(str(refusal))
            return
        except Exception:
            log.exception("could not end the links to a booking")
            self._links_ended = False
            self._shared_link.done(error_pages.INTERNAL_ERROR + error_pages.error_reference())
            return
        self._access.forget_key()
        self._shared_link.done()
        self._notice.show(self._notice_html(_LINKS_ENDED.format(self._booking.email)))
        await self._live.read()

    async def _change(self, status: str, reason: str, actions: BookingActions | HostActions) -> None:
        try:
            request = StatusRequest.model_validate({"status": status, "reason": reason})
            await self._live.change(
                lambda caller: self._services.bookings.change_status(
                    self._booking.id, request.status, caller, reason=request.reason, origin=self._origin
                )
            )
        except ValidationError as error:
            actions.done(_message(error))
        except Refusal as refusal:
            await self._show_refusal(refusal, actions)
        except Exception:
            log.exception("could not change the status of a booking")
            actions.done(error_pages.INTERNAL_ERROR + error_pages.error_reference())
        else:
            actions.done()

    async def _show_refusal(self, refusal: Refusal, actions: BookingActions | HostActions) -> None:
        if not isinstance(refusal, Unavailable):
            with suppress(Refusal):
                await self._live.read()
        # If the booking is no longer on, the notice above says so.
        actions.done(refusal_text(refusal, self._zone) if self._booking.status in RESCHEDULABLE else "")

    def _booking_changed(self, booking: BookingView | None) -> None:
        if booking is None:
            self._show_nothing()
            return
        text = describe_change(self._booking, booking, self._zone, by_host=self._live.by_host)
        self._booking = booking
        if text:
            self._notice.show(self._notice_html(text))
        self._paint()

    def _paint(self) -> None:
        booking, by_host = self._booking, self._live.by_host
        self._details.show(booking_details(booking, self._zone, self._expert_zone, by_host=by_host))
        asks = booking.awaits_verification and not by_host
        self._verify_email.show(booking if asks else None, self._zone, self._services.clock())
        self._mail.show(self._mail_html())
        says_mail = self._services.site.sends_email and not by_host and booking.verify_by is None
        self._calendar.show(self._calendar_html())
        self._links.show(self._links_html())
        self._shared_link.show(booking.email or "" if says_mail else "")
        self._show_actions()

    def _show_actions(self) -> None:
        booking, now, by_host = self._booking, self._services.clock(), self._live.by_host
        leeway, unverified = booking.leeway(), booking.awaits_verification
        day = formatting.long_day(booking.starts_at, self._zone)
        time = formatting.time_span(booking.starts_at, booking.ends_at, self._zone)
        zone = formatting.zone_at(self._zone, booking.starts_at)
        self._actions.show(
            [] if by_host else leeway.sentences(now, self._moment),
            day=day,
            time=time,
            zone=zone,
            may_reschedule=leeway.may_reschedule(now) and not by_host,
            may_cancel=leeway.may_cancel(now) and not by_host,
            title="Cancel this booking" if unverified else "Reschedule or cancel",
        )
        # Experts and admins have the same transitions.
        transitions = (
            open_transitions(booking.status, Actor.EXPERT, ends_at=booking.ends_at, now=now, unverified=unverified)
            if by_host
            else []
        )
        is_open = booking.status in RESCHEDULABLE and now < booking.ends_at and not unverified
        may_reschedule = by_host and booking.name is not None and is_open
        if self._location_form is not None:
            shown = by_host and booking.status in RESCHEDULABLE and now < booking.ends_at
            self._location_form.show(booking.location, shown=shown)
        self._host_actions.show(transitions, may_reschedule=may_reschedule, when=f"{day}, {time}, {zone}")

    def _show_nothing(self) -> None:
        for part in (self._notice, self._mail, self._calendar, self._links):
            part.show(Markup(""))
        number = str(self._booking.id)
        ended = self._links_ended
        self._details.show(
            error_pages.link_ended(number, self._booking.email or "") if ended else error_pages.no_booking(number)
        )
        self._verify_email.show(None, self._zone, self._services.clock())
        self._shared_link.show("")
        self._actions.show([], may_reschedule=False, may_cancel=False)
        if self._location_form is not None:
            self._location_form.show(None, shown=False)
        self._host_actions.show([], may_reschedule=False, when="")

    def _notice_html(self, text: str) -> Markup:
        good = " good" if self._booking.status in LIVE else ""
        return _NOTICE.format(good=good, text=text) if text else Markup("")

    def _mail_html(self) -> Markup:
        booking = self._booking
        if not self._services.site.sends_email:
            return Markup("")
        if self._live.by_host:
            return mail_state_for_host(booking)
        if booking.verify_by is not None and booking.mail not in WITHHELD:
            return Markup("")  # the form for the code says whether it was sent
        upcoming = booking.status in RESCHEDULABLE and booking.starts_at > self._services.clock()
        path = self._services.email_choices.reminders_path(booking.id)
        return mail_state(booking) + (reminders_off(booking, path) if upcoming else Markup(""))

    def _calendar_html(self) -> Markup:
        booking = self._booking
        is_over = booking.status not in RESCHEDULABLE or booking.ends_at <= self._services.clock()
        if is_over or booking.awaits_verification:
            return Markup("")
        with_whom = booking.customer_name if self._live.by_host else booking.expert_name
        page = f"{self._services.site.url}/booking/{booking.id}"  # without the key, which others must not see
        return calendar_links(booking, with_whom, self._access.url("/calendar.ics"), page)

    def _links_html(self) -> Markup:
        booking = self._booking
        if self._live.by_host:
            return _LINKS_FOR_HOST
        links = _LINKS if booking.status in RESCHEDULABLE else _LINKS_IF_OVER
        return links.format(
            slug=booking.expert_slug,
            name=booking.expert_name,
            session=booking.session_type_id,
            again="Choose another time" if is_never_verified(booking) else "Book another time",
        )

    def _moment(self, instant: datetime) -> str:
        return formatting.moment(instant, self._zone)


def _message(error: ValidationError) -> str:
    return error.errors()[0]["msg"].removeprefix("Value error, ")
