"""The rows to insert."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from psycopg.types.range import TimestamptzRange

from expert_booking.db.availability import Offer
from expert_booking.db.documents import answers_json, location_json
from expert_booking.db.terms import agreed_columns
from expert_booking.domain.calendar import Slot
from expert_booking.domain.lifecycle import Actor, Status
from expert_booking.domain.limits import HOUR
from expert_booking.domain.locations import Location
from expert_booking.domain.questions import Answer
from expert_booking.domain.terms import InitialState
from expert_booking.schemas import BookingRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRow:
    """A booking or hold, placed on a slot of the calendar."""

    id: UUID
    expert_id: UUID
    session_type_id: UUID
    slot: Slot
    now: datetime
    # Who makes or changes it, and with which token.
    by: Actor = Actor.CUSTOMER
    token: UUID | None = None
    visitor: bytes | None = None
    # If its type has a daily cap: the expert's local day on which it counts, and the cap.
    cap_day: date | None = None
    daily_cap: int | None = None
    # The customer's own hold, which must not block it.
    own_hold: UUID | None = None

    def where(self) -> dict[str, Any]:
        """The columns for its place in the calendar."""
        slot = self.slot
        return {
            "id": self.id, "expert_id": self.expert_id, "session_type_id": self.session_type_id,
            "starts_at": slot.starts_at, "ends_at": slot.ends_at,
            "busy": TimestamptzRange(slot.busy_from, slot.busy_until), "cap_day": self.cap_day,
            "visitor": self.visitor, "changed_by": self.by.value, "changed_with": self.token, "changed_at": self.now,
        }  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class NewClaim(NewRow):
    """A row to insert, with the title and terms that it keeps if its session type changes."""

    offer: Offer

    def terms(self) -> dict[str, Any]:
        """The columns for the title and terms."""
        return {"title": self.offer.title, **agreed_columns(self.offer.terms)}


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitCheck:
    """The limits (0: none) for one booking, and who makes it.

    `origin` is the hash of the network if the booking counts against it. `proven`: the address was proven, so that all
    of its upcoming bookings count, and not only those made in this browser or from this network.
    """

    origin: bytes | None
    proven: bool
    per_network: int
    live_per_expert: int
    live_per_customer: int

    def values(self, now: datetime) -> dict[str, Any]:
        """The parameters of the statements."""
        return {
            "origin": self.origin, "proven": self.proven, "now": now, "since": now - HOUR,
            "per_network": self.per_network, "live_per_expert": self.live_per_expert,
            "live_per_customer": self.live_per_customer,
        }  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class NewBooking(NewClaim):
    """A booking to insert, as requested by the customer or a host. `limits` is None if none apply."""

    request: BookingRequest
    customer_key: str
    state: InitialState
    submission: UUID | None = None
    limits: LimitCheck | None = None
    location: Location | None = None
    answers: Sequence[Answer] = ()

    def values(self) -> dict[str, Any]:
        """The columns of the row, the expert's part of its view, and the limits."""
        request, offer, state = self.request, self.offer, self.state
        limits = self.limits.values(self.now) if self.limits else {}
        return {
            **limits,
            **self.where(), **self.terms(), "status": state.status.value, "answer_by": state.answer_by,
            "verify_by": state.verify_by, "answer_minutes": state.answer_minutes, "name": request.name,
            "email": request.email or "", "customer_key": self.customer_key, "phone": request.phone,
            "notes": request.notes,
            "time_zone": request.time_zone, "submission": self.submission,
            "location": location_json(self.location), "answers": answers_json(self.answers),
            "expert_slug": offer.slug, "expert_name": offer.name, "expert_time_zone": offer.calendar.zone.key,
        }  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class NewHold(NewClaim):
    """A hold until `hold_until`. `origin` is a hash of the network, `keeper` the process whose pages show it."""

    hold_until: datetime
    origin: bytes | None = None
    keeper: UUID | None = None

    def values(self) -> dict[str, Any]:
        """The columns of the row."""
        return {
            **self.where(), **self.terms(), "status": Status.HELD.value, "held_at": self.now,
            "hold_until": self.hold_until, "hold_origin": self.origin, "hold_keeper": self.keeper,
        }  # fmt: skip
