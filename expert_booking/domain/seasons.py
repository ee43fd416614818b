"""Weekly hours as people plan them: usual hours, and seasons that replace them. Stored as rules with a validity."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise

from expert_booking.domain.hours import AvailabilityRule, Window

_DAY = timedelta(days=1)
# The hours of Monday to Sunday.
Week = tuple[tuple[Window, ...], ...]
CLOSED_WEEK: Week = ((),) * 7


@dataclass(frozen=True, slots=True)
class Season:
    """Weekly hours that replace the usual ones from `first` to `last`: local dates, both included; None: unlimited."""

    first: date | None
    last: date | None
    week: Week = CLOSED_WEEK

    def overlaps(self, other: "Season") -> bool:
        """Whether both seasons contain the same date."""
        return _not_after(self.first, other.last) and _not_after(other.first, self.last)


@dataclass(frozen=True, slots=True)
class WeeklyHours:
    """The usual hours, and the seasons in order."""

    usual: Week = CLOSED_WEEK
    seasons: tuple[Season, ...] = ()

    def rules(self) -> tuple[AvailabilityRule, ...]:
        """The rules to store. The usual hours apply between the seasons. Seasons must not overlap."""
        found: list[AvailabilityRule] = []
        first: date | None = None
        for season in sorted(self.seasons, key=lambda season: season.first or date.min):
            if season.first is not None and (first is None or first < season.first):
                found += _rules(self.usual, first, season.first - _DAY)
            found += _rules(season.week, season.first, season.last)
            if season.last is None:
                return tuple(found)
            first = season.last + _DAY
        return (*found, *_rules(self.usual, first, None))


def weekly_hours_of(rules: Sequence[AvailabilityRule], today: date) -> WeeklyHours:
    """The usual hours and the current and future seasons of these rules; the opposite of `WeeklyHours.rules`."""
    periods = _periods(rules)
    usual = periods[0].week if periods[0].week != CLOSED_WEEK else periods[-1].week
    seasons = (period for period in periods if period.week != usual and _not_after(today, period.last))
    return WeeklyHours(usual, tuple(seasons))


def overlapping(seasons: Sequence[Season]) -> tuple[Season, Season] | None:
    """Two seasons that share a date, or None."""
    ordered = sorted(seasons, key=lambda season: season.first or date.min)
    return next(((one, other) for one, other in pairwise(ordered) if one.overlaps(other)), None)


def _periods(rules: Sequence[AvailabilityRule]) -> list[Season]:
    """All of time, cut wherever the week changes."""
    starts = {rule.valid_from for rule in rules if rule.valid_from is not None}
    starts |= {rule.valid_until + _DAY for rule in rules if rule.valid_until is not None}
    firsts: list[date | None] = [None, *sorted(starts)]
    lasts = [*(first - _DAY for first in firsts[1:] if first is not None), None]
    periods: list[Season] = []
    for first, last in zip(firsts, lasts, strict=True):
        week = _week(rule for rule in rules if _applies(rule, first, last))
        if periods and periods[-1].week == week:
            periods[-1] = Season(periods[-1].first, last, week)
        else:
            periods.append(Season(first, last, week))
    return periods


def _applies(rule: AvailabilityRule, first: date | None, last: date | None) -> bool:
    starts = rule.valid_from is None or (first is not None and rule.valid_from <= first)
    return starts and (rule.valid_until is None or (last is not None and last <= rule.valid_until))


def _week(rules: Iterable[AvailabilityRule]) -> Week:
    days: list[list[Window]] = [[] for _ in range(7)]
    for rule in rules:
        days[rule.weekday - 1].append(Window(rule.opens, rule.closes))
    return tuple(tuple(sorted(day)) for day in days)


def _rules(week: Week, first: date | None, last: date | None) -> list[AvailabilityRule]:
    return [
        AvailabilityRule(weekday, window.opens, window.closes, first, last)
        for weekday, windows in enumerate(week, 1)
        for window in windows
    ]


def _not_after(one: date | None, other: date | None) -> bool:
    return one is None or other is None or one <= other
