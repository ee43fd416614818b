"""Keeps the pages about one booking in step with the database, and with the clock."""

import asyncio
from collections.abc import Callable
from uuid import UUID

from fastapi import Request
from nicegui import Client

from expert_booking.domain.errors import BookingNotFound
from expert_booking.schemas import BookingView, Caller, Role
from expert_booking.services import Services
from expert_booking.web.live import Coalesced
from expert_booking.web.visitor import visitor_of

# What may be done "until" an instant may still be done at it: pages look again just after.
_JUST_AFTER = 0.05

OnLook = Callable[[BookingView | None], None]


async def own_booking(services: Services, reference: str, request: Request) -> tuple[BookingView, Caller]:
    """The booking in an address, and as whom this browser sees it. Raises BookingNotFound for every other browser."""
    visitor = visitor_of(request)
    try:
        number = UUID(reference)
    except ValueError as error:
        raise BookingNotFound from error
    if visitor is None:
        raise BookingNotFound
    caller = Caller(role=Role.CUSTOMER, visitor=visitor)
    return await services.bookings.get(number, caller), caller


class LiveBooking:
    """A booking, followed while one page of its own browser is open."""

    def __init__(
        self, services: Services, client: Client, booking: BookingView, caller: Caller, on_look: OnLook
    ) -> None:
        """`on_look` gets the booking whenever it, or what the terms allow now, may be different; None: it is gone."""
        self._services = services
        self._client = client
        self._booking_id = booking.id
        self._caller = caller
        self._booking: BookingView | None = booking
        self._on_look = on_look
        self._alarm: asyncio.TimerHandle | None = None
        refresh = Coalesced(self.read)
        self._unfollow = services.bus.follow(booking.expert_id, refresh)
        client.on_delete(self._end)
        client.on_connect(refresh)
        self._set_alarm()

    async def read(self) -> None:
        """Look at the booking as it is now."""
        try:
            self.take(await self._services.bookings.get(self._booking_id, self._caller))
        except BookingNotFound:  # somebody has deleted it behind our back
            self.take(None)

    def take(self, booking: BookingView | None) -> None:
        """Go on with the booking as somebody has just read it."""
        # Of two readings that overlap the older one may come last; and the page may be closed meanwhile.
        older = booking and self._booking and booking.version < self._booking.version
        if not (older or self._client.is_deleted):
            self._booking = booking
            self._look()

    def _look(self) -> None:
        self._set_alarm()
        self._on_look(self._booking)

    def _set_alarm(self) -> None:
        self._silence()
        now = self._services.clock()
        turn = self._booking.leeway().next_turn(now) if self._booking else None
        if turn is not None:
            seconds = (turn - now).total_seconds() + _JUST_AFTER
            self._alarm = asyncio.get_running_loop().call_later(seconds, self._look)

    def _silence(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def _end(self) -> None:
        self._unfollow()
        self._silence()
