"""All rules of a calendar as one value that can be edited, compared and merged."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import NamedTuple

from expert_booking.domain.holidays import Holidays
from expert_booking.domain.hour_texts import CLOSED, hours_text
from expert_booking.domain.hours import DaysOff, Hours, Override, OverrideKind, Window
from expert_booking.domain.seasons import CLOSED_WEEK, Season, WeeklyHours

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


class HolidaySetting(NamedTuple):
    """The country and region whose public holidays apply, and whether they are days without hours."""

    country: str | None = None
    region: str | None = None
    closed: bool = False


@dataclass(frozen=True, slots=True)
class CalendarPlan:
    """The rules of one calendar: weekly hours, date overrides, days off and holidays, in local time of the zone."""

    time_zone: str
    weekly: WeeklyHours = field(default_factory=WeeklyHours)
    overrides: Mapping[date, Override] = field(default_factory=dict)
    days_off: tuple[DaysOff, ...] = ()
    holidays: HolidaySetting = field(default_factory=HolidaySetting)

    def hours(self) -> Hours:
        """The hours by which the calendar decides."""
        country, region, closed = self.holidays
        holidays = Holidays(country, region) if closed and country else None
        return Hours(self.weekly.rules(), dict(self.overrides), self.days_off, holidays)


class PartKind(StrEnum):
    """What a part of a plan is."""

    TIME_ZONE = "time_zone"
    USUAL = "usual"
    SEASON = "season"
    DATE = "date"
    DAYS_OFF = "days_off"
    HOLIDAYS = "holidays"


class Part(NamedTuple):
    """One entry of a plan, which is changed, compared and chosen as a whole."""

    kind: PartKind
    first: date | None = None
    last: date | None = None
    weekday: int = 0

    def __str__(self) -> str:
        match self.kind:
            case PartKind.TIME_ZONE:
                return "Time zone"
            case PartKind.HOLIDAYS:
                return "Public holidays"
            case PartKind.USUAL:
                return WEEKDAYS[self.weekday - 1]
            case PartKind.SEASON:
                return f"{WEEKDAYS[self.weekday - 1]}, {range_text(self.first, self.last)}"
        return range_text(self.first, self.last)


# What a plan says in one part: a zone, the hours of a weekday, an override, the reason of days off, or holidays.
Value = str | tuple[Window, ...] | Override | HolidaySetting
Parts = Mapping[Part, Value]


class Difference(NamedTuple):
    """A part that two plans have differently; None: the plan does not have it."""

    part: Part
    one: Value | None
    other: Value | None


def parts_of(plan: CalendarPlan) -> dict[Part, Value]:
    """The plan in parts."""
    parts: dict[Part, Value] = {Part(PartKind.TIME_ZONE): plan.time_zone}
    for weekday, windows in enumerate(plan.weekly.usual, 1):
        parts[Part(PartKind.USUAL, weekday=weekday)] = windows
    for season in plan.weekly.seasons:
        for weekday, windows in enumerate(season.week, 1):
            parts[Part(PartKind.SEASON, season.first, season.last, weekday)] = windows
    parts |= {Part(PartKind.DATE, day, day): override for day, override in sorted(plan.overrides.items())}
    parts |= {Part(PartKind.DAYS_OFF, off.first_day, off.last_day): off.reason for off in plan.days_off}
    parts[Part(PartKind.HOLIDAYS)] = plan.holidays
    return parts


def plan_of(parts: Parts) -> CalendarPlan:
    """The plan with these parts; the opposite of `parts_of`."""
    zone, holidays = parts[Part(PartKind.TIME_ZONE)], parts[Part(PartKind.HOLIDAYS)]
    weeks: dict[tuple[date | None, date | None], list[tuple[Window, ...]]] = {}
    usual = list(CLOSED_WEEK)
    overrides: dict[date, Override] = {}
    days_off = []
    for part, value in parts.items():
        if part.kind is PartKind.USUAL and isinstance(value, tuple):
            usual[part.weekday - 1] = _windows(value)
        elif part.kind is PartKind.SEASON and isinstance(value, tuple):
            weeks.setdefault((part.first, part.last), list(CLOSED_WEEK))[part.weekday - 1] = _windows(value)
        elif isinstance(value, Override) and part.first:
            overrides[part.first] = value
        elif part.kind is PartKind.DAYS_OFF and part.first and part.last:
            days_off.append(DaysOff(part.first, part.last, str(value)))
    seasons = (Season(first, last, tuple(week)) for (first, last), week in weeks.items())
    weekly = WeeklyHours(tuple(usual), tuple(sorted(seasons, key=lambda season: season.first or date.min)))
    assert isinstance(holidays, HolidaySetting)
    return CalendarPlan(str(zone), weekly, overrides, tuple(sorted(days_off, key=_by_date)), holidays)


def differences(one: CalendarPlan, other: CalendarPlan) -> list[Difference]:
    """The parts in which two plans differ: zone, weekly hours, dates, holidays, each in order."""
    ones, others = parts_of(one), parts_of(other)
    keys = [*ones, *(part for part in others if part not in ones)]
    return [Difference(key, ones.get(key), others.get(key)) for key in keys if ones.get(key) != others.get(key)]


def merged(mine: CalendarPlan, theirs: CalendarPlan, take_theirs: Collection[Part]) -> CalendarPlan:
    """My plan, with these parts as they are in the other one."""
    parts, others = parts_of(mine), parts_of(theirs)
    for part in take_theirs:
        if part in others:
            parts[part] = others[part]
        else:
            parts.pop(part, None)
    return plan_of(parts)


def value_text(part: Part, value: Value | None) -> str:
    """What a plan says in this part, for people."""
    if part.kind is PartKind.DAYS_OFF:
        return "No days off" if value is None else f"Days off: {value}" if value else "Days off"
    if value is None:
        return "Usual hours"
    if isinstance(value, Override):
        return override_text(value)
    if isinstance(value, HolidaySetting):
        place = "-".join(filter(None, (value.country, value.region)))
        return f"Closed on holidays of {place}" if value.closed else "Open on public holidays"
    return value if isinstance(value, str) else hours_text(_windows(value), CLOSED)


def override_text(override: Override) -> str:
    """`Closed`, `14:00–18:00`, `Extra hours: 18:00–20:00`."""
    if override.kind is OverrideKind.NONE:
        return CLOSED
    extra = "Extra hours: " if override.kind is OverrideKind.EXTRA else ""
    return extra + hours_text(override.windows)


def range_text(first: date | None, last: date | None) -> str:
    """`Thu 24 Dec 2026`, `24 Dec 2026 – 3 Jan 2027`, `from 1 Jun 2026`, `until 31 May 2026`."""
    if first is None or last is None:
        return f"from {_day_text(first)}" if first else f"until {_day_text(last)}" if last else "always"
    return f"{first:%a} {_day_text(first)}" if first == last else f"{_day_text(first)} – {_day_text(last)}"


def _day_text(day: date) -> str:
    return f"{day.day} {day:%b %Y}"


def _windows(value: tuple[object, ...]) -> tuple[Window, ...]:
    return tuple(window for window in value if isinstance(window, Window))


def _by_date(off: DaysOff) -> tuple[date, date, str]:
    return off.first_day, off.last_day, off.reason
