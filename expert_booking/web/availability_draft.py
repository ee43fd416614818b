"""The draft of a calendar's rules on an open page: the rules that were read, and what has been changed since."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from itertools import groupby
from typing import Final, NamedTuple

from expert_booking.domain.calendar_plan import (
    WEEKDAYS,
    CalendarPlan,
    HolidaySetting,
    Part,
    PartKind,
    differences,
    override_text,
    range_text,
)
from expert_booking.domain.holidays import Holidays
from expert_booking.domain.hour_texts import hours_text, parse_hours
from expert_booking.domain.hours import AvailabilityRule, DaysOff, Override, OverrideKind, Window
from expert_booking.domain.plan_checks import overlaps_of_week
from expert_booking.domain.seasons import CLOSED_WEEK, Season, Week, overlapping
from expert_booking.services.calendar_rules import RulesEditor

# The season that is no season.
USUAL: Final = -1
_DAY: Final = timedelta(days=1)
_YEAR: Final = timedelta(days=366)


class DayHours(NamedTuple):
    """The hours of one weekday, their text as typed, and an error to show next to it."""

    windows: Sequence[Window]
    text: str
    error: str = ""
    changed: bool = False


class SpecialDay(NamedTuple):
    """A day to mark: `kind` is `off`, `hours`, `extra` or `holiday`, `text` says it in words."""

    kind: str
    text: str


class Entry(NamedTuple):
    """A date, or several in a row, with other hours, or days off."""

    kind: PartKind
    first: date
    last: date
    text: str


class AvailabilityDraft:
    """What the page edits. Methods that take input of people return an error for them, or an empty text."""

    def __init__(self, editor: RulesEditor) -> None:
        self.editor = editor
        self.plan = editor.plan
        # Texts that could not be read, with their errors, by season and weekday (from 0).
        self._unread: dict[tuple[int, int], tuple[str, str]] = {}

    def discard(self) -> None:
        """Return to the rules that were read."""
        self.plan = self.editor.plan
        self._unread = {}

    def refresh(self, editor: RulesEditor) -> bool:
        """Take over what was read again. Rules only if nothing is unsaved; returns whether they were taken over."""
        if self.has_changes:
            self.editor = replace(editor, rules=self.editor.rules)
            return False
        self.editor, self.plan = editor, editor.plan
        return True

    def rebase_on(self, editor: RulesEditor) -> None:
        """Continue with rules that were read again, without changes."""
        self.rebase(editor, editor.plan)

    def rebase(self, editor: RulesEditor, plan: CalendarPlan) -> None:
        """Continue with this plan, on top of rules that were read again."""
        self.editor, self.plan = editor, plan

    @property
    def has_changes(self) -> bool:
        """Whether anything is unsaved."""
        return bool(self._unread) or self.plan != self.editor.plan

    def changes(self) -> list[str]:
        """The names of the parts that have been changed."""
        parts = [difference.part for difference in differences(self.editor.plan, self.plan)]
        names = [_name(part) for part in parts] + [WEEKDAYS[day] for _, day in self._unread]
        return list(dict.fromkeys(names))

    @property
    def has_errors(self) -> bool:
        """Whether any hours cannot be read or overlap."""
        return bool(self._unread) or any(self._overlaps(week) for week in (self.week(USUAL), *self._weeks()))

    # --- weekly hours -------------------------------------------------------------------------------------------

    def week(self, season: int) -> Week:
        """The hours of a season, or the usual ones."""
        return self.plan.weekly.usual if season == USUAL else self.plan.weekly.seasons[season].week

    def days(self, season: int) -> list[DayHours]:
        """The same with texts and errors."""
        week, saved = self.week(season), self._saved_week(season)
        overlaps = self._overlaps(week)
        found = []
        for day, windows in enumerate(week):
            unread = self._unread.get((season, day))
            text, error = unread or (hours_text(windows), overlaps.get(day, ""))
            found.append(DayHours(windows, text, error, changed=bool(unread) or windows != saved[day]))
        return found

    def _saved_week(self, season: int) -> Week:
        weekly = self.editor.plan.weekly
        if season == USUAL:
            return weekly.usual
        dates = self.plan.weekly.seasons[season].first, self.plan.weekly.seasons[season].last
        return next((one.week for one in weekly.seasons if (one.first, one.last) == dates), CLOSED_WEEK)

    def set_days(self, season: int, days: Mapping[int, Sequence[Window]]) -> None:
        """Set the hours of some weekdays (from 0)."""
        week = list(self.week(season))
        for day, windows in days.items():
            week[day] = tuple(windows)
            self._unread.pop((season, day), None)
        self._set_week(season, tuple(week))

    def type_hours(self, season: int, day: int, text: str) -> None:
        """Set the hours of a weekday from a text. If it cannot be read, it stays in the field with the error."""
        try:
            self.set_days(season, {day: parse_hours(text)})
        except ValueError as error:
            self._unread[season, day] = text, str(error)

    def add_season(self, first: date | None, last: date | None) -> str:
        """Add a season with the usual hours."""
        return self._set_seasons((*self.plan.weekly.seasons, Season(first, last, self.plan.weekly.usual)))

    def change_season(self, season: int, first: date | None, last: date | None) -> str:
        """Change the dates of a season."""
        seasons = list(self.plan.weekly.seasons)
        seasons[season] = replace(seasons[season], first=first, last=last)
        return self._set_seasons(seasons)

    def remove_season(self, season: int) -> None:
        """Remove a season. The usual hours apply again."""
        seasons = self.plan.weekly.seasons
        self._unread = {key: value for key, value in self._unread.items() if key[0] < season}
        self._set_seasons(seasons[:season] + seasons[season + 1 :])

    def _set_seasons(self, seasons: Sequence[Season]) -> str:
        if any(season.first is None and season.last is None for season in seasons):
            return "Please enter at least one date."
        if any(season.first and season.last and season.last < season.first for season in seasons):
            return "The last day must not be before the first."
        if overlapping(seasons):
            return "Another season contains some of these dates."
        self._set_weekly(seasons=tuple(seasons))
        return ""

    def _set_week(self, season: int, week: Week) -> None:
        if season == USUAL:
            self._set_weekly(usual=week)
            return
        seasons = list(self.plan.weekly.seasons)
        seasons[season] = replace(seasons[season], week=week)
        self._set_weekly(seasons=tuple(seasons))

    def _set_weekly(self, **changes: Week | tuple[Season, ...]) -> None:
        self.plan = replace(self.plan, weekly=replace(self.plan.weekly, **changes))  # type: ignore[arg-type]

    def _weeks(self) -> list[Week]:
        return [season.week for season in self.plan.weekly.seasons]

    def _overlaps(self, week: Week) -> dict[int, str]:
        """Errors by weekday (from 0), for hours that run into others."""
        rules = [AvailabilityRule(day, *window) for day, windows in enumerate(week, 1) for window in windows]
        return {
            rules[later].weekday - 1: f"These hours overlap {WEEKDAYS[rules[other].weekday - 1]} "
            f"{Window(rules[other].opens, rules[other].closes)}."
            for later, other in overlaps_of_week(rules).items()
        }

    # --- dates --------------------------------------------------------------------------------------------------

    def set_dates(self, days: Sequence[date], kind: OverrideKind, windows: tuple[Window, ...]) -> None:
        """Give these dates other or extra hours. Days off on them are removed."""
        self.clear_dates(days)
        overrides = {**self.plan.overrides, **{day: Override(kind, windows) for day in days}}
        self.plan = replace(self.plan, overrides=overrides)

    def close_dates(self, days: Sequence[date], reason: str) -> None:
        """Take these dates off, with a private reason. Dates in a row become one range."""
        self.clear_dates(days)
        added = (DaysOff(first, last, reason) for first, last in _ranges(days))
        self._set_days_off([*self.plan.days_off, *added])

    def clear_dates(self, days: Sequence[date]) -> None:
        """Apply the weekly hours to these dates again. Days off around them stay."""
        cleared = set(days)
        overrides = {day: one for day, one in self.plan.overrides.items() if day not in cleared}
        kept: list[DaysOff] = []
        for off in self.plan.days_off:
            if not cleared.isdisjoint(_dates(off.first_day, off.last_day)):
                left = [day for day in _dates(off.first_day, off.last_day) if day not in cleared]
                kept += [DaysOff(first, last, off.reason) for first, last in _ranges(left)]
            else:
                kept.append(off)
        self.plan = replace(self.plan, overrides=overrides)
        self._set_days_off(kept)

    def _set_days_off(self, days_off: Sequence[DaysOff]) -> None:
        self.plan = replace(self.plan, days_off=tuple(sorted(days_off, key=lambda off: (off.first_day, off.last_day))))

    def entries(self) -> list[Entry]:
        """Everything that concerns single dates, by date. Equal overrides of dates in a row are one entry."""
        found = [
            Entry(PartKind.DAYS_OFF, off.first_day, off.last_day, f"Closed: {off.reason}" if off.reason else "Closed")
            for off in self.plan.days_off
        ]
        ordered = sorted(self.plan.overrides.items())
        numbered = enumerate(ordered)
        for _, group in groupby(numbered, key=lambda item: (item[1][0].toordinal() - item[0], item[1][1])):
            days = [day for _, (day, _) in group]
            found.append(Entry(PartKind.DATE, days[0], days[-1], override_text(self.plan.overrides[days[0]])))
        return sorted(found, key=lambda entry: (entry.first, entry.last))

    def special_days(self) -> dict[date, SpecialDay]:
        """The days to mark in the month calendar, for three years."""
        special: dict[date, SpecialDay] = {}
        today = self.editor.today
        holidays = self.plan.holidays
        if holidays.country and holidays.closed:
            names = Holidays(holidays.country, holidays.region).between(today, today + 3 * _YEAR)
            special |= {day: SpecialDay("holiday", name) for day, name in names}
        for day, one in self.plan.overrides.items():
            kind = {OverrideKind.NONE: "off", OverrideKind.EXTRA: "extra"}.get(one.kind, "hours")
            special[day] = SpecialDay(kind, override_text(one))
        for off in self.plan.days_off:
            text = f"Closed: {off.reason}" if off.reason else "Closed"
            special |= dict.fromkeys(_dates(max(off.first_day, today), off.last_day), SpecialDay("off", text))
        return special

    # --- holidays -----------------------------------------------------------------------------------------------

    def holidays(self) -> list[tuple[date, str]]:
        """The public holidays of the next year, with their names."""
        country, region, closed = self.plan.holidays
        if not country or not closed:
            return []
        return Holidays(country, region).between(self.editor.today, self.editor.today + _YEAR)

    def set_holidays(self, setting: HolidaySetting) -> None:
        """Choose the country and region, and whether their holidays are taken off."""
        self.plan = replace(self.plan, holidays=setting)

    def weekly_windows(self, day: date) -> tuple[Window, ...]:
        """The weekly hours of a date, as if it were no holiday."""
        for season in self.plan.weekly.seasons:
            if (season.first is None or season.first <= day) and (season.last is None or day <= season.last):
                return season.week[day.weekday()]
        return self.plan.weekly.usual[day.weekday()]

    def works_on(self, day: date) -> bool:
        """Whether hours are open on this holiday."""
        return bool(self.plan.hours().on(day).windows)

    def work_on(self, day: date, works: bool) -> None:
        """Open a holiday with the weekly hours of its weekday, or close it again."""
        self.clear_dates([day])
        if works:
            self.set_dates([day], OverrideKind.HOURS, self.weekly_windows(day))


def _name(part: Part) -> str:
    """What the list of unsaved changes calls a part. A season is one entry."""
    if part.kind is PartKind.SEASON:
        return f"Season {range_text(part.first, part.last)}"
    return f"Days off {part}" if part.kind is PartKind.DAYS_OFF else str(part)


def _dates(first: date, last: date) -> list[date]:
    return [first + n * _DAY for n in range((last - first).days + 1)]


def _ranges(days: Sequence[date]) -> list[tuple[date, date]]:
    """Dates in a row as ranges."""
    found: list[tuple[date, date]] = []
    for day in sorted(days):
        if found and found[-1][1] == day - _DAY:
            found[-1] = found[-1][0], day
        else:
            found.append((day, day))
    return found
