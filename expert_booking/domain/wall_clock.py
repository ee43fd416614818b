"""Wall-clock times of a zone and the instants they stand for. The clock skips some times and shows others twice."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from expert_booking.domain import formatting
from expert_booking.domain.errors import FieldsWrong

_QUARTER: Final = timedelta(minutes=15)
_DAY: Final = timedelta(days=1)


class ClockChange(NamedTuple):
    """The times that the clock skips (`twice` is false) or shows twice, in local wall-clock time without a zone."""

    begins: datetime
    ends: datetime
    twice: bool


def instants_at(zone: ZoneInfo, wall: datetime) -> tuple[datetime, ...]:
    """The instants (UTC) at which the zone's clock shows this time: none if it skips it, two if it shows it twice."""
    first, second = (wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    if second < first:  # only for a skipped time
        return ()
    return (first,) if first == second else (first, second)


def instant_at(zone: ZoneInfo, wall: datetime, *, field: str, second: bool = False) -> datetime:
    """The instant (UTC) at which the zone's clock shows this time; with `second`, the later one of two.

    Raises FieldsWrong for `field` if the clock skips this time.
    """
    found = instants_at(zone, wall)
    if not found:
        day = f"{wall:%A}, {wall.day} {wall:%B %Y}"
        name = formatting.zone_name(zone)
        raise FieldsWrong({field: f"The clocks skip {wall:%H:%M} on {day} ({name}). Please choose another time."})
    return found[-1] if second else found[0]


def wall_time(instant: datetime, zone: ZoneInfo) -> datetime:
    """What the zone's clock shows at this instant, without a zone."""
    return instant.astimezone(zone).replace(tzinfo=None, fold=0)


def wall_span(starts_at: datetime, ends_at: datetime, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """The begin and end of a span (UTC) as the zone's clock shows them.

    If the clock is set back in between, the end may not come after the beginning. The span then keeps its length.
    """
    begin, end = wall_time(starts_at, zone), wall_time(ends_at, zone)
    return begin, end if end > begin else begin + (ends_at - starts_at)


def clock_change(zone: ZoneInfo, day: date) -> ClockChange | None:
    """The clock change on this local date; None on days of 24 hours. To a quarter of an hour."""
    midnight = datetime.combine(day, time())
    if midnight.replace(tzinfo=zone).utcoffset() == (midnight + _DAY).replace(tzinfo=zone, fold=1).utcoffset():
        return None
    quarters = [midnight + number * _QUARTER for number in range(_DAY // _QUARTER)]
    odd = [wall for wall in quarters if len(instants_at(zone, wall)) != 1]
    if not odd:
        return None
    return ClockChange(odd[0], odd[-1] + _QUARTER, twice=bool(instants_at(zone, odd[0])))
