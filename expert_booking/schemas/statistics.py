"""Statistics of an expert's bookings."""

from collections.abc import Sequence
from datetime import date
from typing import Annotated, Final, Self
from uuid import UUID

from pydantic import Field, model_validator

from expert_booking.schemas.fields import Day, Model, RequestModel, invalid_field

MAX_STATISTICS_DAYS: Final = 731
_FROM: Final = "The first day. Default: the Monday eleven weeks before the week of `to`."
_TO: Final = f"The last day, at most {MAX_STATISTICS_DAYS} days in all. Default: the Sunday of this week."


class StatisticsQuery(RequestModel):
    """A range of days of the expert's time zone, both included."""

    since: Annotated[Day | None, Field(alias="from", description=_FROM)] = None
    until: Annotated[Day | None, Field(alias="to", description=_TO)] = None

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.since and self.until:
            if self.until < self.since:
                raise invalid_field("to", "`to` must not be before `from`.")
            if (self.until - self.since).days >= MAX_STATISTICS_DAYS:
                raise invalid_field("to", f"Please request at most {MAX_STATISTICS_DAYS} days.")
        return self


class BookingFigures(Model):
    """Bookings by when their sessions start. Times are minutes."""

    bookings: Annotated[int, Field(description="Pending, confirmed, completed and missed sessions.")]
    cancelled: int
    declined: Annotated[int, Field(description="Requests that were declined, or expired without an answer.")]
    no_shows: int
    booked_minutes: Annotated[int, Field(description="The length of `bookings`, without buffers.")]
    lead_minutes: Annotated[
        int | None, Field(description="The median time from making a booking to its start; null without bookings.")
    ]


class OfferedFigures(BookingFigures):
    """The same, with what was offered."""

    offered_minutes: Annotated[int, Field(description="Opening hours without blocked time, by the current plan.")]
    utilisation: Annotated[
        float | None, Field(description="Booked of offered time. Above 1 if sessions are outside the hours.")
    ]


class WeekFigures(OfferedFigures):
    """One week. `week` is its Monday; only its days between `from` and `to` count."""

    week: date


class SessionTypeFigures(BookingFigures):
    """One session type."""

    session_type_id: UUID
    title: str


class Statistics(Model):
    """What was booked in a range of days.

    `hours` counts the bookings by when they start: seven weekdays from Monday, with 24 hours each, in `timeZone`.
    """

    expert_id: UUID
    time_zone: str
    since: Annotated[date, Field(alias="from")]
    until: Annotated[date, Field(alias="to")]
    total: OfferedFigures
    weeks: Sequence[WeekFigures]
    session_types: Sequence[SessionTypeFigures]
    hours: Sequence[Sequence[int]]
