"""The rules of one expert, in the expert's wall-clock time: what opens on a local date, and why not more.

What counts on a date, from the strongest to the weakest: days off, the date's override, public holidays, the weekly
rules. A window belongs to the date on which it opens, also where it runs past midnight.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Final, NamedTuple

from expert_booking.domain.holidays import Holidays
from expert_booking.domain.unavailability import Blocker, Reason

# More days than anybody looks ahead.
_MOST_KNOWN: Final = 100


class Window(NamedTuple):
    """Hours in minutes since the local midnight; `closes` may pass 1440: then they reach into the next day."""

    opens: int
    closes: int

    def __str__(self) -> str:
        return f"{clock_text(self.opens)}–{clock_text(self.closes)}"


@dataclass(frozen=True, slots=True)
class AvailabilityRule:
    """A window of one weekday (1 = Monday … 7 = Sunday), from the first to the last local date it opens on."""

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
    """What an override does to its date."""

    HOURS = "hours"  # these hours instead of the weekly ones, on holidays too
    EXTRA = "extra"  # these hours as well
    NONE = "none"  # no hours at all


@dataclass(frozen=True, slots=True)
class Override:
    """Other hours, extra hours or none on one local date."""

    kind: OverrideKind
    windows: tuple[Window, ...] = ()


@dataclass(frozen=True, slots=True)
class DaysOff:
    """Local dates, both included, on which nothing opens. The reason is the expert's own business."""

    first_day: date
    last_day: date
    reason: str = ""


@dataclass(frozen=True, slots=True)
class DayPlan:
    """What opens on one local date, in order; what else would, and the obstacle that keeps it shut."""

    windows: tuple[Window, ...] = ()
    shut: tuple[Window, ...] = ()
    blocker: Blocker | None = None


@dataclass(frozen=True, slots=True)
class Hours:
    """All the rules of one expert."""

    rules: tuple[AvailabilityRule, ...] = ()
    overrides: Mapping[date, Override] = field(default_factory=dict)
    days_off: tuple[DaysOff, ...] = ()
    holidays: Holidays | None = None
    _known: dict[date, DayPlan] = field(default_factory=dict, init=False, repr=False, compare=False)

    def on(self, day: date) -> DayPlan:
        """The plan of one local date."""
        plan = self._known.get(day)
        if plan is None:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            plan = self._known[day] = self._plan(day)
        return plan

    def _plan(self, day: date) -> DayPlan:
        weekday = day.isoweekday()
        weekly = [Window(r.opens, r.closes) for r in self.rules if r.weekday == weekday and r.opens_on(day)]
        override = self.overrides.get(day)
        own = override.windows if override else ()
        for off in self.days_off:
            if off.first_day <= day <= off.last_day:
                figures = {"firstDay": off.first_day, "lastDay": off.last_day}
                return DayPlan(shut=_joined([*weekly, *own]), blocker=Blocker(Reason.DAY_OFF, figures, off.reason))
        if override and override.kind is OverrideKind.NONE:
            return DayPlan(shut=_joined(weekly), blocker=Blocker(Reason.DAY_OFF, {"firstDay": day, "lastDay": day}))
        if override and override.kind is OverrideKind.HOURS:
            return DayPlan(_joined(own))
        holiday = self.holidays.name_of(day) if self.holidays else None
        if holiday:
            blocker = Blocker(Reason.HOLIDAY, {"day": day, "holiday": holiday})
            return DayPlan(_joined(own), _joined(weekly), blocker)
        return DayPlan(_joined([*weekly, *own]))


def clock_text(minutes: int) -> str:
    """Minutes since midnight as a clock shows them; the midnight at the end of a day is 24:00."""
    shown = minutes if minutes <= 1440 else minutes - 1440
    return f"{shown // 60:02}:{shown % 60:02}"


def _joined(windows: Iterable[Window]) -> tuple[Window, ...]:
    """In order, and those that overlap as one."""
    joined: list[Window] = []
    for window in sorted(windows):
        if joined and window.opens < joined[-1].closes:
            joined[-1] = Window(joined[-1].opens, max(joined[-1].closes, window.closes))
        else:
            joined.append(window)
    return tuple(joined)
