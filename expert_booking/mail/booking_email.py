"""The data of one email about a booking."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from expert_booking.domain.email_schedule import Audience, MessageKind
from expert_booking.domain.lifecycle import Actor, Status
from expert_booking.domain.locations import Location
from expert_booking.domain.prices import Price
from expert_booking.domain.questions import Answer
from expert_booking.domain.terms import Leeway


@dataclass(frozen=True, slots=True, kw_only=True)
class BookingEmail:
    """A change of a booking, or a reminder, with the booking as it was at that moment. Instants are UTC."""

    kind: MessageKind
    audience: Audience
    booking_id: UUID
    status: Status
    starts_at: datetime
    ends_at: datetime
    # How often the calendar entry has changed (SEQUENCE of iCalendar).
    sequence: int
    session_title: str
    expert_slug: str
    expert_name: str
    expert_email: str
    expert_zone: str
    # Empty if the customer's data was deleted.
    customer_name: str
    customer_email: str
    customer_phone: str | None
    customer_zone: str | None
    notes: str
    # The time before rescheduling. Who made the change (None: a reminder), why, and when.
    previous_starts_at: datetime | None
    actor: Actor | None
    reason: str
    changed_at: datetime
    leeway: Leeway
    # The version of the key in the customer's link. A new version ends the earlier links.
    key_version: int = 1
    # The price that was agreed, and how to pay.
    price: Price | None = None
    payment_note: str = ""
    # Where it takes place, as this recipient may see it now.
    location: Location | None = None
    # For the expert only.
    answers: Sequence[Answer] = ()
    minutes_before: int | None = None

    @property
    def to_customer(self) -> bool:
        """Whether it goes to the customer; otherwise it goes to the expert."""
        return self.audience is Audience.CUSTOMER

    @property
    def is_erasure(self) -> bool:
        """Whether it tells the expert of a booking that was cancelled because the customer's data was deleted."""
        return self.kind is MessageKind.CANCELLED and not self.to_customer and not self.customer_name
