"""What a host's calendar shows: bookings, blocks, holds, open hours and closed days."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Final
from uuid import UUID

from pydantic import Field, ValidationInfo, field_validator

from expert_booking.domain.lifecycle import Status
from expert_booking.domain.unavailability import Reason
from expert_booking.schemas.fields import Instant, Model, RequestModel, Search, Utc

# A month with the weeks at its ends.
MAX_SCHEDULE: Final = timedelta(days=63)


class EntryKind(StrEnum):
    """What takes the time. `HOLD`: someone is booking it; its host does not see who."""

    BOOKING = "booking"
    BLOCK = "block"
    HOLD = "hold"


class ScheduleEntry(Model):
    """Time that is taken. The busy time includes buffers. All instants are UTC and half-open.

    Only a booking has a customer and a session type, and only a block has a note and a series.
    """

    id: UUID
    kind: EntryKind
    starts_at: Utc
    ends_at: Utc
    busy_from: Utc
    busy_until: Utc
    status: Status
    version: int
    customer_name: str | None = None
    session_type_id: UUID | None = None
    session_title: str | None = None
    answer_by: Annotated[Utc | None, Field(description="While pending: the deadline to answer.")] = None
    note: str = ""
    series_id: UUID | None = None


class OpenTime(Model):
    """Time that is open, by the weekly hours and date overrides."""

    starts_at: Utc
    ends_at: Utc


class ClosedDay(Model):
    """A local date of the expert on which nothing opens, and why: `day_off` or `holiday`, with its name."""

    day: Annotated[date, Field(alias="date")]
    starts_at: Utc
    ends_at: Utc
    reason: Reason
    name: str


class ScheduleView(Model):
    """Everything that a host's calendar shows of [since, until), in order of time."""

    expert_id: UUID
    time_zone: str
    since: Utc
    until: Utc
    entries: Sequence[ScheduleEntry]
    open_times: Sequence[OpenTime]
    closed_days: Sequence[ClosedDay]


class ScheduleQuery(RequestModel):
    """The time to read: at least a minute, and at most 63 days."""

    since: Annotated[Instant, Field(alias="from", description="The beginning.")]
    until: Annotated[Instant, Field(alias="to", description="The end, which is not included.")]

    @field_validator("until")
    @classmethod
    def _in_order(cls, until: datetime, info: ValidationInfo) -> datetime:
        since = info.data.get("since")
        if since is not None and until <= since:
            raise ValueError("`to` must not be before `from`, or the same.")
        if since is not None and until - since > MAX_SCHEDULE:
            raise ValueError(f"Please request at most {MAX_SCHEDULE.days} days.")
        return until


class CustomerQuery(RequestModel):
    """A part of the name or email address."""

    q: Annotated[Search, Field(description="A part of the name or email address.")]


class CustomerMatch(Model):
    """A customer of an expert, as last booked."""

    name: str
    email: str | None
    phone: str | None
    time_zone: str | None
    last_starts_at: Annotated[Utc, Field(description="The start of the customer's latest booking.")]


class CustomerMatches(Model):
    """Customers of an expert, the latest booking first."""

    customers: Sequence[CustomerMatch]
