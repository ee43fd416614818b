"""When an expert is free, reduced to the values that the catalogue sorts and filters by."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from expert_booking.domain.calendar import DAY, MINUTE, Calendar, local_instant

# For this many days ahead, free starts are recorded per half day.
DAYS_AHEAD: Final = 62

_HALF_DAY: Final = 12 * 60 * 60
_MICROSECOND: Final = timedelta(microseconds=1)
_NEVER: Final = datetime(9999, 12, 31, tzinfo=UTC)

Span = tuple[int, int]  # seconds since 1970


@dataclass(frozen=True, slots=True)
class FreeTimes:
    """When an expert is free for sessions of one length, all in UTC.

    `first_at` is the first free start within the horizon. `half_days` maps the number of each half day since 1970 to
    its first and last free start in seconds since 1970. Until `check_at`, these values stay correct unless the calendar
    changes; after it, the passing of time may have made them wrong.
    """

    first_at: datetime | None = None
    check_at: datetime = _NEVER
    half_days: Mapping[int, Span] = field(default_factory=dict)


def free_times(
    calendars: Iterable[Calendar], now: datetime, hold_expires_at: datetime | None = None
) -> dict[int, FreeTimes]:
    """When one expert is free, by session length in minutes. The key 0 is always present and means any length.

    `calendars` has one calendar per session type. They share the same hours, and each has all busy time up to its
    horizon. `hold_expires_at` (UTC) is when the first hold in that busy time expires.
    """
    offered = [calendar for calendar in calendars if calendar.active]
    if not offered:
        return {0: FreeTimes()}
    found: dict[int, FreeTimes] = {}
    openings = list(offered[0].openings(now, max(calendar.end(now) for calendar in offered)))
    for calendar in offered:
        free = _for_calendar(calendar, openings, now, hold_expires_at or _NEVER)
        for minutes in (0, calendar.length.minutes):
            found[minutes] = _merged(found[minutes], free) if minutes in found else free
    return found


def _for_calendar(
    calendar: Calendar, openings: Sequence[tuple[datetime, datetime]], now: datetime, hold_expires_at: datetime
) -> FreeTimes:
    first_at: datetime | None = None
    half_days: dict[int, Span] = {}
    recorded_until = (now + (DAYS_AHEAD + 1) * DAY).timestamp()
    for run in calendar.open_runs(now, calendar.end(now), now, openings):
        first_at = first_at or datetime.fromtimestamp(run[0], UTC)
        if run[0] >= recorded_until:
            break
        for half_day, first, last in _by_half_day(run):
            half_days[half_day] = (half_days[half_day][0] if half_day in half_days else first, last)
    first_closes_at = first_at - calendar.length.notice_minutes * MINUTE + _MICROSECOND if first_at else _NEVER
    return FreeTimes(first_at, min(first_closes_at, hold_expires_at, _next_midnight(calendar, now)), half_days)


def _by_half_day(run: range) -> Iterator[tuple[int, int, int]]:
    """Each half day that the starts touch, with its first and last start."""
    first, last, step = run[0], run[-1], run.step
    while first <= last:
        half_day = first // _HALF_DAY
        end = (half_day + 1) * _HALF_DAY
        inside = last if last < end else first + (end - 1 - first) // step * step
        yield half_day, first, inside
        first = inside + step


def _next_midnight(calendar: Calendar, now: datetime) -> datetime:
    """When the horizon extends by a day."""
    tomorrow = calendar.day_of(now) + DAY
    midnight = local_instant(calendar.zone, tomorrow, 0)
    # If the clocks are set back over midnight, it comes twice and the first one may have passed.
    return midnight if midnight > now else local_instant(calendar.zone, tomorrow, 0, latest=True)


def _merged(one: FreeTimes, other: FreeTimes) -> FreeTimes:
    half_days = {
        half_day: (min(first, other.half_days[half_day][0]), max(last, other.half_days[half_day][1]))
        for half_day, (first, last) in one.half_days.items()
        if half_day in other.half_days
    }
    firsts = [free.first_at for free in (one, other) if free.first_at]
    return FreeTimes(
        min(firsts, default=None), min(one.check_at, other.check_at), {**one.half_days, **other.half_days, **half_days}
    )
