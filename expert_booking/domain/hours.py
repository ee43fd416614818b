"""The working hours of one expert in local wall-clock time: which windows open on a date, and why others do not.

Precedence on a date, strongest first: days off, the date's override, public holidays, the weekly rules. A window
belongs to the date on which it opens, even if it runs past midnight.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Final, NamedTuple

from expert_booking.domain.holidays import Holidays
from expert_booking.domain.unavailability import Blocker, Reason

# More days than one search covers.
_MAX_CACHED_DAYS: Final = 100


class Window(NamedTuple):
    """Hours in minutes since local midnight. If `closes` exceeds 1440, they end on the next day."""

    opens: int
    closes: int

    def __str__(self) -> str:
        return f"{clock_text(self.opens)}–{clock_text(self.closes)}"


@dataclass(frozen=True, slots=True)
class AvailabilityRule:
    """A weekly window on one weekday (1 = Monday … 7 = Sunday), optionally limited to a range of local dates.

    `opens` and `closes` are minutes since local midnight; `valid_from` and `valid_until` are inclusive.
    """

    weekday: int
    opens: int
    closes: int
    valid_from: date | None = None
    valid_until: date | None = None

    def opens_on(self, day: date) -> bool:
        """Whether the window opens on this local date."""
        return (
            day.isoweekday() == self.weekday
            and (self.valid_from is None or self.valid_from <= day)
            and (self.valid_until is None or day <= self.valid_until)
        )


class OverrideKind(StrEnum):
    """How an override changes its date."""

    HOURS = "hours"  # these hours replace the weekly ones, also on holidays
    EXTRA = "extra"  # these hours in addition to the weekly ones
    NONE = "none"  # closed all day


@dataclass(frozen=True, slots=True)
class Override:
    """Different hours, extra hours or no hours on one local date."""

    kind: OverrideKind
    windows: tuple[Window, ...] = ()


@dataclass(frozen=True, slots=True)
class DaysOff:
    """A range of local dates, both inclusive, on which nothing opens. The reason is private to the expert."""

    first_day: date
    last_day: date
    reason: str = ""


@dataclass(frozen=True, slots=True)
class DayPlan:
    """The windows that open on one local date, in order, and those that stay closed because of `blocker`."""

    windows: tuple[Window, ...] = ()
    closed: tuple[Window, ...] = ()
    blocker: Blocker | None = None


@dataclass(frozen=True, slots=True)
class Hours:
    """All rules of one expert: weekly hours, overrides, days off and holidays."""

    rules: tuple[AvailabilityRule, ...] = ()
    overrides: Mapping[date, Override] = field(default_factory=dict)
    days_off: tuple[DaysOff, ...] = ()
    holidays: Holidays | None = None
    _plans: dict[date, DayPlan] = field(default_factory=dict, init=False, repr=False, compare=False)

    def on(self, day: date) -> DayPlan:
        """The plan of one local date."""
        plan = self._plans.get(day)
        if plan is None:
            if len(self._plans) >= _MAX_CACHED_DAYS:
                self._plans.clear()
            plan = self._plans[day] = self._plan(day)
        return plan

    def _plan(self, day: date) -> DayPlan:
        weekday = day.isoweekday()
        weekly = [Window(r.opens, r.closes) for r in self.rules if r.weekday == weekday and r.opens_on(day)]
        override = self.overrides.get(day)
        own = override.windows if override else ()
        for off in self.days_off:
            if off.first_day <= day <= off.last_day:
                figures = {"firstDay": off.first_day, "lastDay": off.last_day}
                return DayPlan(closed=_merged([*weekly, *own]), blocker=Blocker(Reason.DAY_OFF, figures, off.reason))
        if override and override.kind is OverrideKind.NONE:
            return DayPlan(closed=_merged(weekly), blocker=Blocker(Reason.DAY_OFF, {"firstDay": day, "lastDay": day}))
        if override and override.kind is OverrideKind.HOURS:
            return DayPlan(_merged(own))
        holiday = self.holidays.name_of(day) if self.holidays else None
        if holiday:
            blocker = Blocker(Reason.HOLIDAY, {"day": day, "holiday": holiday})
            return DayPlan(_merged(own), _merged(weekly), blocker)
        return DayPlan(_merged([*weekly, *own]))


def clock_text(minutes: int) -> str:
    """Minutes since midnight as `HH:MM`. The midnight at the end of a day is 24:00."""
    shown = minutes if minutes <= 1440 else minutes - 1440
    return f"{shown // 60:02}:{shown % 60:02}"


def _merged(windows: Iterable[Window]) -> tuple[Window, ...]:
    """The windows in order, with overlapping ones merged."""
    merged: list[Window] = []
    for window in sorted(windows):
        if merged and window.opens < merged[-1].closes:
            merged[-1] = Window(merged[-1].opens, max(merged[-1].closes, window.closes))
        else:
            merged.append(window)
    return tuple(merged)
