"""Which hours overlap, and which place a booking gets on its day."""

from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expert_booking.domain.hours import AvailabilityRule, Window
from expert_booking.domain.plan_checks import CapPlace, cap_places, overlaps_of_day, overlaps_of_week

MON, TUE, SUN = 1, 2, 7
SUNDAY = date(2026, 5, 31)  # 1 June is a Monday
Facts = tuple[Any, ...]


@pytest.mark.parametrize(
    ("one", "other", "overlap"),
    [
        ((MON, 540, 720), (MON, 720, 900), False),
        ((MON, 540, 720), (MON, 719, 900), True),
        ((MON, 540, 720), (MON, 600, 660), True),
        ((MON, 540, 720), (MON, 540, 720), True),
        ((MON, 540, 720), (TUE, 540, 720), False),
        # over midnight
        ((MON, 1320, 1560), (TUE, 120, 300), False),
        ((MON, 1320, 1560), (TUE, 119, 300), True),
        ((MON, 1320, 1560), (TUE, 0, 60), True),
        ((SUN, 1320, 1560), (MON, 60, 300), True),
        ((SUN, 1320, 1560), (MON, 120, 300), False),
        ((MON, 1320, 1560), (SUN, 0, 300), False),
        ((MON, 540, 1980), (TUE, 540, 1980), False),
        ((MON, 540, 1980), (TUE, 539, 1979), True),
        ((MON, 1320, 1560), (3, 0, 1440), False),
        # in seasons
        ((MON, 540, 720, None, SUNDAY), (MON, 540, 720, date(2026, 6, 1)), False),
        ((MON, 540, 720, None, SUNDAY), (MON, 540, 720, SUNDAY), True),
        ((MON, 540, 720, date(2026, 1, 1), date(2026, 3, 1)), (MON, 540, 720, date(2026, 2, 1), None), True),
        ((MON, 540, 720, date(2026, 1, 1), date(2026, 3, 1)), (MON, 540, 720, date(2027, 1, 1), None), False),
        # the last night of a season and the first morning of the next
        ((SUN, 1320, 1560, None, SUNDAY), (MON, 0, 480, date(2026, 6, 1)), True),
        ((SUN, 1320, 1560, None, SUNDAY), (MON, 0, 480, date(2026, 6, 2)), False),
        ((SUN, 1320, 1560, None, date(2026, 6, 3)), (MON, 0, 480, date(2026, 6, 3)), False),
        ((MON, 1320, 1560, None, SUNDAY), (TUE, 0, 480, date(2026, 6, 1)), False),
        ((MON, 1320, 1560, None, date(2026, 6, 1)), (TUE, 0, 480, date(2026, 6, 2)), True),
    ],
)
def test_hours_overlap_if_they_share_a_minute_of_some_date(one: Facts, other: Facts, overlap: bool) -> None:
    assert overlaps_of_week([AvailabilityRule(*one), AvailabilityRule(*other)]) == ({1: 0} if overlap else {})
    assert overlaps_of_week([AvailabilityRule(*other), AvailabilityRule(*one)]) == ({1: 0} if overlap else {})


def test_each_overlapping_window_is_reported_with_the_first_it_overlaps() -> None:
    rules = [AvailabilityRule(MON, 540, 600), AvailabilityRule(MON, 600, 660), AvailabilityRule(MON, 590, 650),
             AvailabilityRule(TUE, 0, 60), AvailabilityRule(MON, 540, 600)]  # fmt: skip
    assert overlaps_of_week(rules) == {2: 0, 4: 0}
    assert overlaps_of_week([]) == overlaps_of_day([]) == {}
    assert overlaps_of_day([Window(0, 60), Window(60, 120), Window(119, 200)]) == {2: 1}


minutes = st.integers(0, 1439)
rules = st.builds(
    lambda weekday, opens, length: AvailabilityRule(weekday, opens, opens + length),
    st.integers(1, 7), minutes, st.integers(1, 1440),
)  # fmt: skip


@given(rules, rules)
def test_overlap_check_agrees_with_two_copies_of_the_week(one: AvailabilityRule, other: AvailabilityRule) -> None:
    def of_week(rule: AvailabilityRule) -> set[int]:
        start = (rule.weekday - 1) * 1440 + rule.opens
        return {minute % (7 * 1440) for minute in range(start, start + rule.closes - rule.opens)}

    assert bool(overlaps_of_week([one, other])) == bool(of_week(one) & of_week(other))


def test_places_are_numbered_by_session_type_and_local_day_in_order() -> None:
    a, b, talk, walk = (UUID(int=number) for number in range(4))
    late = datetime(2026, 11, 24, 22, 30, tzinfo=UTC)
    starts = [(a, talk, late), (b, talk, late.replace(minute=45)), (b, walk, late), (a, talk, late.replace(hour=23))]
    assert cap_places(starts, ZoneInfo("UTC")) == [
        CapPlace(a, date(2026, 11, 24), 1), CapPlace(b, date(2026, 11, 24), 2), CapPlace(b, date(2026, 11, 24), 1),
        CapPlace(a, date(2026, 11, 24), 3),
    ]  # fmt: skip
    assert cap_places(starts, ZoneInfo("Europe/Berlin"))[-1] == CapPlace(a, date(2026, 11, 25), 1)
