"""Weeks and hours of an expert's calendar, for statistics: right also when the clocks change."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from expert_booking.domain.calendar import DAY, MINUTE, local_instant

Span = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True)
class Period:
    """Some local days of one zone, both included."""

    zone: ZoneInfo
    first: date
    last: date

    @property
    def since(self) -> datetime:
        """The instant (UTC) at which it begins."""
        return local_instant(self.zone, self.first, 0)

    @property
    def until(self) -> datetime:
        """The instant (UTC) at which it ends."""
        return local_instant(self.zone, self.last + DAY, 0)

    def weeks(self) -> list[date]:
        """The Monday of each week of which it has days. The first and the last week may be incomplete."""
        monday, weeks = monday_of(self.first), []
        while monday <= self.last:
            weeks.append(monday)
            monday += 7 * DAY
        return weeks

    def week_starts(self) -> list[datetime]:
        """The instants (UTC) at which these weeks begin within the period."""
        return [local_instant(self.zone, max(monday, self.first), 0) for monday in self.weeks()]

    def offsets(self) -> list[tuple[datetime, timedelta]]:
        """The zone's offsets from UTC, each with the instant (UTC) from which on it applies. The first is `since`."""
        changes = [(self.since, _offset(self.since, self.zone))]
        hour = self.since
        # Zones change their offset at most once in a day; the day is then searched minute by minute.
        while hour < self.until:
            following = hour + DAY
            if _offset(following, self.zone) != changes[-1][1]:
                minutes = (hour + n * MINUTE for n in range(1, DAY // MINUTE + 1))
                at = next(minute for minute in minutes if _offset(minute, self.zone) != changes[-1][1])
                changes.append((at, _offset(at, self.zone)))
            hour = following
        return changes

    def minutes_by_week(self, openings: Iterable[Span], blocked: Iterable[Span]) -> list[int]:
        """The minutes of the openings in each of the weeks, without the blocked time.

        Each sequence is in order and without overlaps.
        """
        starts = self.week_starts()
        minutes = [0] * len(starts)
        for opens, closes in _without(openings, sorted(blocked)):
            opens, closes = max(opens, self.since), min(closes, self.until)
            while opens < closes:
                week = bisect_right(starts, opens) - 1
                end = min(closes, starts[week + 1]) if week + 1 < len(starts) else closes
                minutes[week] += (end - opens) // MINUTE
                opens = end
        return minutes


def monday_of(day: date) -> date:
    """The first day of the week."""
    return day - day.weekday() * DAY


def _offset(instant: datetime, zone: ZoneInfo) -> timedelta:
    offset = instant.astimezone(zone).utcoffset()
    assert offset is not None
    return offset


def _without(spans: Iterable[Span], blocked: Sequence[Span]) -> Iterator[Span]:
    """The parts of the spans that are not blocked."""
    for opens, closes in spans:
        for begins, ends in blocked:
            if begins < closes and ends > opens:
                if begins > opens:
                    yield opens, begins
                opens = ends
        if opens < closes:
            yield opens, closes
