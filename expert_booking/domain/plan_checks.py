"""Checks of what an expert plans, and the numbers that bookings get where a day has a cap."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime, timedelta
from typing import NamedTuple, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

from expert_booking.domain.hours import AvailabilityRule, Window

_DAY = timedelta(days=1)
_Hours = TypeVar("_Hours")


class CapPlace(NamedTuple):
    """Where a booking counts: the expert's local day of its start, and its number there."""

    booking_id: UUID
    day: date
    number: int


def overlaps_of_week(rules: Sequence[AvailabilityRule]) -> dict[int, int]:
    """The rules that overlap an earlier one, each by its index with the other's: also over midnight."""
    return _overlaps(rules, _rules_overlap)


def overlaps_of_day(windows: Sequence[Window]) -> dict[int, int]:
    """The windows of one date that overlap an earlier one, each by its index with the other's."""
    return _overlaps(windows, lambda one, other: one.opens < other.closes and other.opens < one.closes)


def places(starts: Iterable[tuple[UUID, UUID, datetime]], zone: ZoneInfo) -> list[CapPlace]:
    """A place for each booking (its id, its session type, its start): 1, 2, 3 … by type and local day, in order."""
    count: Counter[tuple[UUID, date]] = Counter()
    found = []
    for booking_id, session_type_id, starts_at in starts:
        day = starts_at.astimezone(zone).date()
        count[session_type_id, day] += 1
        found.append(CapPlace(booking_id, day, count[session_type_id, day]))
    return found


def _overlaps(hours: Sequence[_Hours], overlap: Callable[[_Hours, _Hours], bool]) -> dict[int, int]:
    pairs = ((later, earlier) for later in range(len(hours)) for earlier in range(later))
    found: dict[int, int] = {}
    for later, earlier in pairs:
        if later not in found and overlap(hours[earlier], hours[later]):
            found[later] = earlier
    return found


def _rules_overlap(one: AvailabilityRule, other: AvailabilityRule) -> bool:
    days = (other.weekday - one.weekday) % 7
    if days == 0:
        return one.opens < other.closes and other.opens < one.closes and _seasons_meet(one, other)
    if days == 1:
        return _runs_into(one, other)
    return days == 6 and _runs_into(other, one)


def _seasons_meet(one: AvailabilityRule, other: AvailabilityRule) -> bool:
    since, until = _common_season(one, other, 0)
    return since is None or until is None or since <= until


def _runs_into(evening: AvailabilityRule, morning: AvailabilityRule) -> bool:
    """Whether hours that pass midnight overlap those of the next day on any date: where one season ends and another
    begins they often do not.
    """
    if evening.closes - 1440 <= morning.opens:
        return False
    since, until = _common_season(evening, morning, 1)
    if since is None or until is None:
        return True
    first = since + (evening.weekday - since.isoweekday()) % 7 * _DAY
    return first <= until


def _common_season(one: AvailabilityRule, other: AvailabilityRule, days_later: int) -> tuple[date | None, date | None]:
    """The first and the last date that is valid for one, and some days later for the other."""
    shift = days_later * _DAY
    since = [d for d in (one.valid_from, other.valid_from and other.valid_from - shift) if d is not None]
    until = [d for d in (one.valid_until, other.valid_until and other.valid_until - shift) if d is not None]
    return max(since, default=None), min(until, default=None)
