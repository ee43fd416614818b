"""What a host's calendar shows: bookings, blocks, holds, open hours and closed days."""

from collections.abc import Sequence
from datetime import date
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import Field

from expert_booking.domain.lifecycle import Status
from expert_booking.domain.unavailability import Reason
from expert_booking.schemas.fields import Model, Utc


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


class CustomerMatch(Model):
    """A customer of an expert, as last booked."""

    name: str
    email: str | None
    phone: str | None
    time_zone: str | None
    last_starts_at: Annotated[Utc, Field(description="The start of the customer's latest booking.")]
