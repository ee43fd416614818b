"""Bookings: what a customer says, what comes of it, and who may see how much."""

from collections.abc import Sequence
from typing import Annotated, Final
from uuid import UUID

from pydantic import AfterValidator, BeforeValidator, Field

from expert_booking.domain.email_schedule import Delivery
from expert_booking.domain.lifecycle import Actor, Status
from expert_booking.domain.terms import Leeway
from expert_booking.schemas.fields import (
    MAX_PAGE,
    Email,
    Instant,
    Model,
    Name,
    Notes,
    Phone,
    Utc,
    ZoneName,
    at_most,
    clean,
)

REASON_LENGTH: Final = 500


class BookingRequest(Model):
    """What a customer says to book, in a site that does not insist on a phone number."""

    expert_id: UUID
    session_type_id: UUID | None = None
    starts_at: Instant
    name: Name
    email: Email
    phone: Annotated[Phone | None, BeforeValidator(lambda text: text or None)] = None
    notes: Notes = ""
    time_zone: ZoneName | None = None
    # The hold that keeps this time until now; when it is over, the booking is tried without it.
    hold_id: UUID | None = None


class BookingRequestWithPhone(BookingRequest):
    """What a customer says to book."""

    phone: Phone


class BusyView(Model):
    """All that the public may know of a booking."""

    starts_at: Utc
    ends_at: Utc
    status: Status


class HoldRequest(Model):
    """Which time to hold while the customer makes up their mind."""

    expert_id: UUID
    session_type_id: UUID | None = None
    starts_at: Instant


class HoldView(Model):
    """A time that is kept. Who knows the id can book it or let it go."""

    id: UUID
    expert_id: UUID
    session_type_id: UUID
    starts_at: Utc
    ends_at: Utc
    hold_until: Utc


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
    # Pending: until when the expert has to answer.
    answer_by: Utc | None = None
    # Until when the customer may cancel, and move it to another time, and how often (null: as often as they like).
    cancel_until: Utc
    reschedule_until: Utc
    reschedules_left: int | None
    created_at: Utc
    updated_at: Utc
    version: int
    # What has become of the last mail to the customer; none where none was to be sent.
    mail: Delivery | None = None

    def leeway(self) -> Leeway:
        """What its terms still leave the customer to do."""
        return Leeway(
            status=self.status,
            starts_at=self.starts_at,
            answer_by=self.answer_by,
            cancel_until=self.cancel_until,
            reschedule_until=self.reschedule_until,
            reschedules_left=self.reschedules_left,
        )


class NewBookingView(BookingView):
    """A booking that has just been made, with the token that reads and changes it, and nothing else."""

    access_token: str


ChangeReason = Annotated[str, at_most(REASON_LENGTH), AfterValidator(clean)]


class StatusRequest(Model):
    """Which status a booking is to have, and why, for its history."""

    status: Status
    reason: ChangeReason = ""


class RescheduleRequest(Model):
    """To which time a booking is to be moved, and why, for its history."""

    starts_at: Instant
    reason: ChangeReason = ""


class ChangeView(Model):
    """One thing that has happened to a booking. No `fromStatus`: it was made; no `toStatus`: it was deleted."""

    at: Utc
    actor: Actor
    from_status: Status | None = None
    to_status: Status | None = None
    from_starts_at: Utc | None = None
    to_starts_at: Utc | None = None
    reason: str


class BookingHistory(Model):
    """All that has happened to a booking, the first first."""

    changes: Sequence[ChangeView]


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
