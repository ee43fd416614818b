"""Bookings and holds: requests of customers and hosts, and what each of them may see."""

from collections.abc import Sequence
from typing import Annotated, Final
from uuid import UUID

from pydantic import AfterValidator, BeforeValidator, Field

from expert_booking.domain.email_schedule import Delivery
from expert_booking.domain.formatting import DELETED_CUSTOMER
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
    """A request for a booking, on a site where the phone number is optional."""

    expert_id: UUID
    session_type_id: Annotated[UUID | None, Field(description="Default: the expert's first session type.")] = None
    starts_at: Instant
    name: Name
    email: Email
    phone: Annotated[Phone | None, BeforeValidator(lambda text: text or None)] = None
    notes: Notes = ""
    time_zone: Annotated[ZoneName | None, Field(description="The customer's time zone, for emails.")] = None
    hold_id: Annotated[UUID | None, Field(description="The hold on this slot. An expired hold is ignored.")] = None


class BookingRequestWithPhone(BookingRequest):
    """A request for a booking."""

    phone: Phone


class BusyView(Model):
    """The public part of a booking."""

    starts_at: Utc
    ends_at: Utc
    status: Status


class HoldRequest(Model):
    """The slot to hold while the customer fills in the booking form."""

    expert_id: UUID
    session_type_id: Annotated[UUID | None, Field(description="Default: the expert's first session type.")] = None
    starts_at: Instant


class HoldView(Model):
    """A hold on a slot. Anyone with the id can book or release it."""

    id: UUID
    expert_id: UUID
    session_type_id: UUID
    starts_at: Utc
    ends_at: Utc
    hold_until: Utc


class BookingView(BusyView):
    """A booking as its customer and hosts see it."""

    id: UUID
    expert_id: UUID
    expert_slug: str
    expert_name: str
    expert_time_zone: str
    session_type_id: UUID
    session_title: str
    name: Annotated[str | None, Field(description="null: the customer's data was deleted.")]
    email: Annotated[str | None, Field(description="null: the customer's data was deleted.")]
    phone: str | None
    notes: str
    time_zone: str | None
    answer_by: Annotated[Utc | None, Field(description="While pending: the expert's deadline to confirm.")] = None
    cancel_until: Annotated[Utc, Field(description="The customer's deadline to cancel.")]
    reschedule_until: Annotated[Utc, Field(description="The customer's deadline to reschedule.")]
    reschedules_left: Annotated[
        int | None, Field(description="How often the customer may still reschedule; null: no limit.")
    ]
    created_at: Utc
    updated_at: Utc
    version: Annotated[int, Field(description="Increases with every change.")]
    mail: Annotated[Delivery | None, Field(description="Delivery of the latest email to the customer.")] = None

    @property
    def customer_name(self) -> str:
        """The customer's name, or what stands for it once the customer's data was deleted."""
        return self.name or DELETED_CUSTOMER

    def leeway(self) -> Leeway:
        """What the customer may still do under the terms of the booking."""
        return Leeway(
            status=self.status,
            starts_at=self.starts_at,
            answer_by=self.answer_by,
            cancel_until=self.cancel_until,
            reschedule_until=self.reschedule_until,
            reschedules_left=self.reschedules_left,
        )


class NewBookingView(BookingView):
    """A new booking, with the token that reads and changes this booking only."""

    access_token: str


ChangeReason = Annotated[str, at_most(REASON_LENGTH), AfterValidator(clean)]


class StatusRequest(Model):
    """The new status of a booking, and a reason for its history."""

    status: Status
    reason: ChangeReason = ""


class RescheduleRequest(Model):
    """The new start of a booking, and a reason for its history."""

    starts_at: Instant
    reason: ChangeReason = ""


class ChangeView(Model):
    """One change of a booking. `fromStatus` is null when it was made, `toStatus` when it was deleted."""

    at: Utc
    actor: Actor
    from_status: Status | None = None
    to_status: Status | None = None
    from_starts_at: Utc | None = None
    to_starts_at: Utc | None = None
    reason: str


class BookingHistory(Model):
    """The changes of a booking, oldest first."""

    changes: Sequence[ChangeView]


class BookingQuery(Model):
    """Whose bookings to list. The caller's token decides how much of them is shown."""

    email: Email | None = None
    expert_id: UUID | None = None
    page: Annotated[int, Field(ge=1, le=MAX_PAGE)] = 1
    limit: Annotated[int, Field(ge=1, le=100)] = 20


class BookingPage(Model):
    """One page of bookings."""

    bookings: Sequence[BookingView]
    total: int
    page: int
    limit: int


class BusyPage(Model):
    """One page of bookings, as the public sees them."""

    bookings: Sequence[BusyView]
    total: int
    page: int
    limit: int
