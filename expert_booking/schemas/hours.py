"""An expert's hours: the weekly plan, overrides of single dates, and days off."""

import re
from collections.abc import Sequence
from datetime import date
from hashlib import sha256
from typing import Annotated, Final, Self
from uuid import UUID

from pydantic import ConfigDict, Field, ValidationInfo, field_validator, model_validator

from expert_booking.domain.hours import AvailabilityRule, OverrideKind, Window, clock_text
from expert_booking.schemas.fields import (
    WHOLE,
    Day,
    Model,
    RequestModel,
    ZoneName,
    at_most_items,
    checked,
    invalid_field,
    line,
)

# Far above what a real calendar needs.
MAX_PLAN_WINDOWS: Final = 200
MAX_DAY_WINDOWS: Final = 48
MAX_DAYS_OFF: Final = 3 * 366

# --- weekly hours -----------------------------------------------------------------------------------------------


class RuleRequest(RequestModel):
    """Weekly hours in the expert's time zone, in minutes since midnight. A `closes` above 1440 is on the next day.

    `valid_from` and `valid_until` are the first and the last local date on which these hours open.
    """

    weekday: Annotated[int, Field(ge=1, le=7)]
    opens: Annotated[int, Field(ge=0, lt=1440)]
    closes: Annotated[int, Field(gt=0, le=2880)]
    valid_from: Day | None = None
    valid_until: Day | None = None

    @model_validator(mode="after")
    def _closes_later(self) -> Self:
        if not self.opens < self.closes <= self.opens + 1440:
            raise ValueError("Hours must close after they open and at most 24 hours later.")
        return self


_CLOCK: Final = "([01][0-9]|2[0-3]):[0-5][0-9]"


def _opening(text: str) -> str:
    if not re.fullmatch(_CLOCK, text):
        raise ValueError("Please use a time such as 09:00.")
    return text


def _closing(text: str) -> str:
    if text != "24:00" and not re.fullmatch(_CLOCK, text):
        raise ValueError("Please use a time such as 17:00, or 24:00 for the end of the day.")
    return text


OpeningTime = Annotated[str, checked(_opening, pattern=f"^{_CLOCK}$"), Field(examples=["09:00"])]
ClosingTime = Annotated[str, checked(_closing, pattern=f"^({_CLOCK}|24:00)$"), Field(examples=["12:00"])]


class DayWindow(RequestModel):
    """Opening hours in the expert's local time. If `closes` is not after `opens`, they run past midnight."""

    opens: OpeningTime
    closes: ClosingTime

    @property
    def window(self) -> Window:
        """These hours in minutes since midnight."""
        opens, closes = _minutes(self.opens), _minutes(self.closes)
        return Window(opens, closes if closes > opens else closes + 1440)

    @classmethod
    def from_window(cls, window: Window) -> Self:
        """Convert hours in minutes since midnight to clock times."""
        return cls(opens=clock_text(window.opens), closes=clock_text(window.closes))


class WeeklyWindow(DayWindow):
    """Hours on one weekday (1 is Monday), from `validFrom` to `validUntil`: local dates, both included."""

    weekday: Annotated[int, Field(ge=1, le=7), WHOLE]
    valid_from: Day | None = None
    valid_until: Day | None = None

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.valid_from and self.valid_until and self.valid_until < self.valid_from:
            raise invalid_field("validUntil", "`validUntil` must not be before `validFrom`.")
        return self

    @property
    def rule(self) -> AvailabilityRule:
        """The availability rule for these hours."""
        return AvailabilityRule(self.weekday, *self.window, self.valid_from, self.valid_until)

    @classmethod
    def from_rule(cls, rule: AvailabilityRule) -> Self:
        """Convert an availability rule."""
        opens, closes = clock_text(rule.opens), clock_text(rule.closes)
        return cls(
            weekday=rule.weekday, opens=opens, closes=closes, valid_from=rule.valid_from, valid_until=rule.valid_until
        )


WeeklyWindows = Annotated[Sequence[WeeklyWindow], Field(max_length=MAX_PLAN_WINDOWS), at_most_items(MAX_PLAN_WINDOWS)]


class WeeklyPlan(RequestModel):
    """All weekly hours of an expert, and the time zone they are in."""

    time_zone: ZoneName
    windows: WeeklyWindows

    @property
    def version(self) -> str:
        """A hash of the plan, for its ETag."""
        return sha256(self.model_dump_json().encode()).hexdigest()[:32]


# --- single dates -----------------------------------------------------------------------------------------------


class OverrideRequest(RequestModel):
    """What differs on one date: `hours` replaces the weekly hours, `extra` adds to them, `none` closes the day."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [
                {"properties": {"kind": {"const": "none"}, "windows": {"maxItems": 0}}},
                {
                    "properties": {"kind": {"enum": ["hours", "extra"]}, "windows": {"minItems": 1}},
                    "required": ["windows"],
                },
            ]
        }
    )
    kind: OverrideKind
    windows: Annotated[Sequence[DayWindow], Field(max_length=MAX_DAY_WINDOWS), at_most_items(MAX_DAY_WINDOWS)] = ()

    @model_validator(mode="after")
    def _windows_match_kind(self) -> Self:
        if self.kind is OverrideKind.NONE and self.windows:
            raise invalid_field("windows", "Please leave `windows` out when `kind` is `none`.")
        if self.kind is not OverrideKind.NONE and not self.windows:
            raise invalid_field("windows", "Please send at least one window.")
        return self


class OverrideView(Model):
    """What differs on one of the expert's local dates."""

    day: Annotated[date, Field(alias="date")]
    kind: OverrideKind
    windows: Sequence[DayWindow]


class OverrideList(Model):
    """Overrides, by date."""

    overrides: Sequence[OverrideView]


class OverrideQuery(RequestModel):
    """The range of dates, both included. The default is one year from today."""

    since: Annotated[Day | None, Field(alias="from", description="The first date.")] = None
    until: Annotated[Day | None, Field(alias="to", description="The last date, not before `from`.")] = None

    @field_validator("until")
    @classmethod
    def _in_order(cls, until: date | None, info: ValidationInfo) -> date | None:
        since = info.data.get("since")
        if since and until and until < since:
            raise ValueError("`to` must not be before `from`.")
        return until


class DaysOffRequest(RequestModel):
    """A range of local dates, both included, without bookings. Only hosts see the reason."""

    first_day: Day
    last_day: Day
    reason: Annotated[str, line(200)] = ""

    @field_validator("last_day")
    @classmethod
    def _in_order(cls, last: date, info: ValidationInfo) -> date:
        first = info.data.get("first_day", last)
        if last < first:
            raise ValueError("`lastDay` must not be before `firstDay`.")
        if (last - first).days >= MAX_DAYS_OFF:
            raise ValueError(f"Please send at most {MAX_DAYS_OFF} days in one range.")
        return last


class DaysOffView(Model):
    """Days off, as hosts see them."""

    id: UUID
    first_day: date
    last_day: date
    reason: str


class DaysOffList(Model):
    """Days off, by first day."""

    days_off: Sequence[DaysOffView]


class DaysOffQuery(RequestModel):
    """Only days off that end on this date or later. The default is today."""

    since: Annotated[Day | None, Field(alias="from")] = None


def _minutes(clock: str) -> int:
    return int(clock[:2]) * 60 + int(clock[3:])
