"""Bookings: what a customer says, what comes of it, and who may see how much."""

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

from pydantic import BeforeValidator, Field

from expert_booking.domain.lifecycle import Status
from expert_booking.schemas.words import MAX_PAGE, Email, Instant, Model, Name, Notes, Phone, Utc, ZoneName


class BookingRequest(Model):
    """What a customer says to book, in a house that does not insist on a phone number."""

    expert_id: UUID
    session_type_id: UUID | None = None
    starts_at: Instant
    name: Name
    email: Email
    phone: Annotated[Phone | None, BeforeValidator(lambda text: text or None)] = None
    notes: Notes = ""
    time_zone: ZoneName | None = None


class BookingRequestWithPhone(BookingRequest):
    """What a customer says to book."""

    phone: Phone


class BusyView(Model):
    """All that the public may know of a booking."""

    starts_at: Utc
    ends_at: Utc
    status: Status


class BookingView(BusyView):
    id: UUID
    expert_id: UUID
    expert_slug: str
    expert_name: str
    expert_time_zone: str
    session_type_id: UUID
    session_title: str
    name: str
    email: str
    phone: str | None
    notes: str
    time_zone: str | None
    created_at: Utc
    updated_at: Utc
    version: int


class StatusRequest(Model):
    status: Status


class BookingQuery(Model):
    """Whose bookings. Exactly what may be seen is decided by the caller's token."""

    email: Email | None = None
    expert_id: UUID | None = None
    page: Annotated[int, Field(ge=1, le=MAX_PAGE)] = 1
    limit: Annotated[int, Field(ge=1, le=100)] = 20


class BookingPage(Model):
    bookings: Sequence[BookingView]
    total: int
    page: int
    limit: int


class BusyPage(Model):
    bookings: Sequence[BusyView]
    total: int
    page: int
    limit: int
