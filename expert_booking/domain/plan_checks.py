"""Find overlaps in an expert's hours, and number the bookings of days that have a cap."""

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
    """A booking's place under a daily cap: the expert's local day of its start, and its number on that day."""

    booking_id: UUID
    day: date
    number: int


def overlaps_of_week(rules: Sequence[AvailabilityRule]) -> dict[int, int]:
    """The rules that overlap an earlier one, also past midnight: index of the rule → index of the earlier one."""
    return _overlaps(rules, _rules_overlap)


def overlaps_of_day(windows: Sequence[Window]) -> dict[int, int]:
    """The windows of one date that overlap an earlier one: index of the window → index of the earlier one."""
    return _overlaps(windows, lambda one, other: one.opens < other.closes and other.opens < one.closes)


def cap_places(starts: Iterable[tuple[UUID, UUID, datetime]], zone: ZoneInfo) -> list[CapPlace]:
    """Number bookings, given as (id, session type id, start), from 1 for each session type and local day, in order."""
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
        return one.opens < other.closes and other.opens < one.closes and _validity_overlaps(one, other)
    if days == 1:
        return _overlaps_next_day(one, other)
    return days == 6 and _overlaps_next_day(other, one)


def _validity_overlaps(one: AvailabilityRule, other: AvailabilityRule) -> bool:
    since, until = _common_validity(one, other, 0)
    return since is None or until is None or since <= until


def _overlaps_next_day(evening: AvailabilityRule, morning: AvailabilityRule) -> bool:
    """Whether hours that run past midnight overlap the next day's hours on any date on which both are valid."""
    if evening.closes - 1440 <= morning.opens:
        return False
    since, until = _common_validity(evening, morning, 1)
    if since is None or until is None:
        return True
    first = since + (evening.weekday - since.isoweekday()) % 7 * _DAY
    return first <= until


def _common_validity(
    one: AvailabilityRule, other: AvailabilityRule, days_later: int
) -> tuple[date | None, date | None]:
    """The first and last date on which `one` is valid and `other` is valid `days_later` days later; None: unlimited."""
    shift = days_later * _DAY
    since = [d for d in (one.valid_from, other.valid_from and other.valid_from - shift) if d is not None]
    until = [d for d in (one.valid_until, other.valid_until and other.valid_until - shift) if d is not None]
    return max(since, default=None), min(until, default=None)
