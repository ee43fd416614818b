"""All rules of a calendar in one document, and what they would change."""

from collections.abc import Sequence
from datetime import date
from hashlib import sha256
from typing import Annotated, Final
from uuid import UUID

from pydantic import Field, StrictBool, ValidationInfo, field_validator, model_validator

from expert_booking.domain.calendar_plan import CalendarPlan, HolidaySetting
from expert_booking.domain.hours import DaysOff, Override
from expert_booking.domain.lifecycle import Status
from expert_booking.domain.seasons import weekly_hours_of
from expert_booking.schemas.experts import Country, Region, check_place
from expert_booking.schemas.fields import Day, Instant, Model, RequestModel, Utc, at_most_items, invalid_field
from expert_booking.schemas.hours import DaysOffRequest, DayWindow, OverrideRequest, WeeklyPlan, WeeklyWindow
from expert_booking.schemas.slots import Explanation, SlotView

# Upper limits per expert, because every reading of the calendar loads them all.
MAX_OVERRIDES: Final = 2000
MAX_DAYS_OFF: Final = 1000
# Overrides, and days off, in one request, which must fit into the limit of a body. The console sends none.
MAX_SENT: Final = 400
# Dates in one preview.
PREVIEW_DAYS: Final = 62


class DatedOverride(OverrideRequest):
    """Other hours, extra hours or no hours on one of the expert's local dates."""

    day: Annotated[Day, Field(alias="date")]


class CalendarRules(WeeklyPlan):
    """All rules of a calendar from today on: weekly hours, date overrides, days off and public holidays."""

    overrides: Annotated[Sequence[DatedOverride], Field(max_length=MAX_SENT), at_most_items(MAX_SENT)] = ()
    days_off: Annotated[Sequence[DaysOffRequest], Field(max_length=MAX_SENT), at_most_items(MAX_SENT)] = ()
    country: Country | None = None
    region: Region | None = None
    closed_on_holidays: StrictBool = False

    @model_validator(mode="after")
    def _place_known(self) -> "CalendarRules":
        check_place(self.country, self.region, closed=self.closed_on_holidays)
        return self

    @model_validator(mode="after")
    def _dates_once(self) -> "CalendarRules":
        seen: set[date] = set()
        for index, override in enumerate(self.overrides):
            if override.day in seen:
                raise invalid_field(f"overrides.{index}.date", "This date has another override.")
            seen.add(override.day)
        return self

    @property
    def version(self) -> str:
        """A hash of the document, for its ETag."""
        return sha256(self.model_dump_json().encode()).hexdigest()[:32]

    def plan(self, today: date) -> CalendarPlan:
        """These rules as a plan to edit. Seasons that ended before `today` are left out."""
        return CalendarPlan(
            self.time_zone,
            weekly_hours_of([window.rule for window in self.windows], today),
            {one.day: Override(one.kind, tuple(w.window for w in one.windows)) for one in self.overrides},
            tuple(DaysOff(off.first_day, off.last_day, off.reason) for off in self.days_off),
            HolidaySetting(self.country, self.region, self.closed_on_holidays),
        )

    @classmethod
    def of_plan(cls, plan: CalendarPlan) -> "CalendarRules":
        """The document of a plan, however long. Raises ValidationError if one of its parts is not valid."""
        country, region, closed = plan.holidays
        return cls.model_construct(
            time_zone=plan.time_zone,
            windows=[WeeklyWindow.from_rule(rule) for rule in plan.weekly.rules()],
            overrides=[
                DatedOverride(day=day, kind=one.kind, windows=[DayWindow.from_window(w) for w in one.windows])
                for day, one in sorted(plan.overrides.items())
            ],
            days_off=[
                DaysOffRequest(first_day=off.first_day, last_day=off.last_day, reason=off.reason)
                for off in plan.days_off
            ],
            country=country,
            region=region,
            closed_on_holidays=closed,
        )


class PreviewRequest(RequestModel):
    """Rules to try, and the range of local dates to show, both included."""

    rules: CalendarRules
    since: Annotated[Day | None, Field(alias="from", description="The first date. The default is today.")] = None
    until: Annotated[
        Day | None,
        Field(alias="to", description=f"The last date: by default two weeks, and at most {PREVIEW_DAYS} days in all."),
    ] = None
    session_type_id: UUID | None = None
    at: Annotated[Instant | None, Field(description="An instant to explain.")] = None

    @field_validator("until")
    @classmethod
    def _in_order(cls, until: date | None, info: ValidationInfo) -> date | None:
        since = info.data.get("since")
        if until and since and until < since:
            raise ValueError("`to` must not be before `from`.")
        if until and since and (until - since).days >= PREVIEW_DAYS:
            raise ValueError(f"Please request at most {PREVIEW_DAYS} days.")
        return until


class AffectedBooking(Model):
    """A booking that stays, although its time would no longer be offered."""

    id: UUID
    starts_at: Utc
    ends_at: Utc
    status: Status
    name: str | None
    session_title: str


class RulesPreview(Model):
    """What visitors would see with these rules, and the bookings that would be outside the hours."""

    session_type_id: UUID
    time_zone: str
    slots: Sequence[SlotView]
    affected: Sequence[AffectedBooking]
    explanation: Explanation | None = None
