"""What people do and what they are refused, for whoever counts."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from expert_booking.db.engine import Database
from expert_booking.domain.errors import Refusal
from expert_booking.domain.holds import HoldRules
from expert_booking.domain.lifecycle import Status
from expert_booking.schemas import BookingRequest, BookingView, Caller, HoldRequest, HoldView
from expert_booking.services.bookings import Bookings
from expert_booking.services.holds import Holds


class BookingMetrics(Protocol):
    """Whoever counts."""

    def booked(self, way: str) -> None:
        """A booking was made, on a `page` or through the `api`."""

    def changed(self, to: str) -> None:
        """A booking has another status, or was `moved`."""

    def refused(self, asked: str, code: str) -> None:
        """Somebody asked for this, and it could not be."""


class InstrumentedBookings(Bookings):
    """The same bookings, and somebody counts them."""

    def __init__(self, database: Database, clock: Callable[[], datetime], counts: BookingMetrics) -> None:
        super().__init__(database, clock)
        self._counts = counts

    async def book(self, request: BookingRequest, **how: Any) -> BookingView:
        """Book; a form that was sent twice counts twice. Pages know the browser, programs have none."""
        with _refusals(self._counts, "book"):
            booking = await super().book(request, **how)
        self._counts.booked("api" if how.get("visitor") is None else "page")
        return booking

    async def change_status(self, booking_id: UUID, to: Status, caller: Caller | None, **how: Any) -> BookingView:
        """Bring a booking to another status."""
        with _refusals(self._counts, "change_status"):
            booking = await super().change_status(booking_id, to, caller, **how)
        self._counts.changed(to.value)
        return booking

    async def reschedule(self, booking_id: UUID, to: datetime, caller: Caller | None, **how: Any) -> BookingView:
        """Move a booking to another slot."""
        with _refusals(self._counts, "reschedule"):
            booking = await super().reschedule(booking_id, to, caller, **how)
        self._counts.changed("rescheduled")
        return booking


class InstrumentedHolds(Holds):
    """The same holds, and somebody counts what is refused."""

    def __init__(
        self, database: Database, clock: Callable[[], datetime], rules: HoldRules, counts: BookingMetrics
    ) -> None:
        super().__init__(database, clock, rules)
        self._counts = counts

    async def take(self, request: HoldRequest, **how: Any) -> HoldView:
        """Hold a time."""
        with _refusals(self._counts, "hold"):
            return await super().take(request, **how)


@contextmanager
def _refusals(counts: BookingMetrics, asked: str) -> Iterator[None]:
    try:
        yield
    except Refusal as refusal:
        counts.refused(asked, refusal.code)
        raise
