"""Bookings and holds that report metrics."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from expert_booking.db.engine import Database
from expert_booking.domain.errors import Refusal
from expert_booking.domain.holds import HoldRules
from expert_booking.domain.lifecycle import Status
from expert_booking.domain.limits import BookingLimits
from expert_booking.schemas import BookingRequest, BookingView, Caller, HoldRequest, HoldView, HostBookingRequest
from expert_booking.services.bookings import Bookings
from expert_booking.services.holds import Holds


class BookingMetrics(Protocol):
    """Receives the metrics."""

    def booked(self, way: str) -> None:
        """A booking was made, on a `page`, through the `api` or by a `host`."""

    def changed(self, to: str) -> None:
        """A booking changed to this status, or was `rescheduled`."""

    def refused(self, asked: str, code: str) -> None:
        """A use case (such as `book`) was refused with this error code."""


class InstrumentedBookings(Bookings):
    """`Bookings` that counts bookings, changes and refusals."""

    def __init__(
        self,
        database: Database,
        clock: Callable[[], datetime],
        limits: BookingLimits,
        counts: BookingMetrics,
        *,
        sends_email: bool = True,
    ) -> None:
        super().__init__(database, clock, limits, sends_email=sends_email)
        self._counts = counts

    async def book(self, request: BookingRequest, **how: Any) -> BookingView:
        """Book and count it. A form that is sent twice counts twice. Only bookings from pages have a visitor."""
        with _refusals(self._counts, "book"):
            booking = await super().book(request, **how)
        self._counts.booked("api" if how.get("visitor") is None else "page")
        return booking

    async def book_by_hand(self, request: HostBookingRequest, caller: Caller | None) -> BookingView:
        """Book by hand and count it."""
        with _refusals(self._counts, "book"):
            booking = await super().book_by_hand(request, caller)
        self._counts.booked("host")
        return booking

    async def change_status(self, booking_id: UUID, to: Status, caller: Caller | None, **how: Any) -> BookingView:
        """Change the status of a booking and count it."""
        with _refusals(self._counts, "change_status"):
            booking = await super().change_status(booking_id, to, caller, **how)
        self._counts.changed(to.value)
        return booking

    async def reschedule(self, booking_id: UUID, to: datetime, caller: Caller | None, **how: Any) -> BookingView:
        """Reschedule a booking and count it."""
        with _refusals(self._counts, "reschedule"):
            booking = await super().reschedule(booking_id, to, caller, **how)
        self._counts.changed("rescheduled")
        return booking


class InstrumentedHolds(Holds):
    """`Holds` that counts refusals."""

    def __init__(
        self, database: Database, clock: Callable[[], datetime], rules: HoldRules, counts: BookingMetrics
    ) -> None:
        super().__init__(database, clock, rules)
        self._counts = counts

    async def take(self, request: HoldRequest, **how: Any) -> HoldView:
        """Hold a slot and count a refusal."""
        with _refusals(self._counts, "hold"):
            return await super().take(request, **how)


@contextmanager
def _refusals(counts: BookingMetrics, asked: str) -> Iterator[None]:
    try:
        yield
    except Refusal as refusal:
        counts.refused(asked, refusal.code)
        raise
