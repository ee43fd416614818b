"""What there is to tell of a booking."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from expert_booking.domain.email_schedule import Audience, MessageKind
from expert_booking.domain.lifecycle import Actor, Status
from expert_booking.domain.terms import Leeway


@dataclass(frozen=True, slots=True, kw_only=True)
class BookingEmail:
    """What a letter tells of a booking: an event, or a reminder, and how the booking was then. Instants are UTC."""

    kind: MessageKind
    audience: Audience
    booking_id: UUID
    status: Status
    starts_at: datetime
    ends_at: datetime
    # How often calendars must have taken it anew.
    sequence: int
    session_title: str
    expert_slug: str
    expert_name: str
    expert_email: str
    expert_zone: str
    customer_name: str
    customer_email: str
    customer_phone: str | None
    customer_zone: str | None
    notes: str
    # Moved: from where. Who did it (none: a reminder), why, and when.
    previous_starts_at: datetime | None
    actor: Actor | None
    reason: str
    told_at: datetime
    leeway: Leeway
    # The version of the customer's key.
    key_version: int = 1
    minutes_before: int | None = None

    @property
    def to_customer(self) -> bool:
        """Whether the customer is told, and not the expert."""
        return self.audience is Audience.CUSTOMER
