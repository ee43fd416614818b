"""`/booking/{id}`: what was booked, for the browser it was booked in."""

from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from fastapi import Request
from markupsafe import Markup
from nicegui import Client, ui

from expert_booking.domain.errors import BookingNotFound
from expert_booking.schemas import BookingView
from expert_booking.services import Services
from expert_booking.web import refusals, theme
from expert_booking.web.live import Coalesced
from expert_booking.web.parts.booking_card import whole_booking
from expert_booking.web.visitor import visitor_of, zone_of

_ACTIONS: Final = Markup(
    """<div class="actions"><a class="button" href="/my-bookings">My bookings</a>
<a class="button quiet" href="/expert/{slug}">Back to {name}</a></div>"""
)


def mount(services: Services) -> None:
    """Serve the page."""

    @ui.page("/booking/{reference}")
    async def shown(reference: str, request: Request, client: Client) -> None:
        visitor = visitor_of(request)
        try:
            if visitor is None:
                raise BookingNotFound
            booking = await services.bookings.get_for_visitor(_id(reference), visitor)
        except BookingNotFound:
            refusals.booking_not_found()
            return
        view = OneBooking(services, client, booking, visitor, zone_of(request))
        with theme.frame("Your booking", here="/my-bookings", narrow=True, on_zone=view.change_zone):
            view.draw()


class OneBooking:
    """A booking that follows its own changes while the page is open."""

    def __init__(
        self,
        services: Services,
        client: Client,
        booking: BookingView,
        visitor: bytes,
        zone: ZoneInfo | None,
    ) -> None:
        self._services = services
        self._booking = booking
        self._visitor = visitor
        self._expert_zone = ZoneInfo(booking.expert_time_zone)
        self._zone = zone or self._expert_zone
        refresh = Coalesced(self._read)
        client.on_delete(services.bus.follow(booking.expert_id, refresh))
        client.on_connect(refresh)

    def draw(self) -> None:
        """All about it."""
        self._shown = theme.html(self._html())
        theme.html(_ACTIONS.format(slug=self._booking.expert_slug, name=self._booking.expert_name))

    def change_zone(self, zone: ZoneInfo) -> None:
        """Name the times in another zone."""
        self._zone = zone
        self._shown.set_content(self._html())

    async def _read(self) -> None:
        try:
            booking = await self._services.bookings.get_for_visitor(self._booking.id, self._visitor)
        except BookingNotFound:  # somebody has deleted it behind our back
            self._shown.set_content(refusals.no_booking())
            return
        if booking != self._booking:
            self._booking = booking
            self._shown.set_content(self._html())

    def _html(self) -> Markup:
        return whole_booking(self._booking, self._zone, self._expert_zone)


def _id(reference: str) -> UUID:
    try:
        return UUID(reference)
    except ValueError as error:
        raise BookingNotFound from error
