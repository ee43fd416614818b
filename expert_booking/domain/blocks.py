"""The times of blocks that repeat every week."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from expert_booking.domain.calendar import MIDNIGHT, MINUTE, local_instant

# Blocks that repeat are made this far ahead, so that the last one is later than the farthest horizon (366 days).
MADE_AHEAD: Final = timedelta(days=54 * 7)
_WEEK: Final = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class WeeklyBlock:
    """A block that repeats every week at the same wall-clock time.

    `starts_local` and `ends_local` are the first block in the expert's time zone. `repeat_until` is the last local date
    on which one may start; None: no end.
    """

    starts_local: datetime
    ends_local: datetime
    repeat_until: date | None = None

    def days(self, after: date, until: date) -> Iterator[date]:
        """The local dates in (after, until] on which a block starts."""
        last = until if self.repeat_until is None else min(until, self.repeat_until)
        first = self.starts_local.date()
        day = first + max(0, (after - first) // _WEEK + 1) * _WEEK
        while day <= last:
            yield day
            day += _WEEK

    def on(self, day: date, zone: ZoneInfo) -> tuple[datetime, datetime] | None:
        """The block (UTC) that starts on this local date; None if the clocks skip all of it."""
        later = day - self.starts_local.date()
        starts_at = _instant(self.starts_local + later, zone)
        ends_at = _instant(self.ends_local + later, zone)
        return (starts_at, ends_at) if starts_at < ends_at else None


def _instant(local: datetime, zone: ZoneInfo) -> datetime:
    day = local.date()
    return local_instant(zone, day, (local - datetime.combine(day, MIDNIGHT)) // MINUTE)
