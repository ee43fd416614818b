"""Seasons that replace the usual weekly hours."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expert_booking.domain.hours import AvailabilityRule, Hours, Window
from expert_booking.domain.seasons import CLOSED_WEEK, Season, Week, WeeklyHours, overlapping, weekly_hours_of

TODAY = date(2026, 11, 23)
WORK, SHORT = Window(540, 1020), Window(600, 720)


def week(*windows: Window) -> Week:
    """A week with these hours from Monday to Friday."""
    return (windows,) * 5 + ((), ())


USUAL, SUMMER = week(WORK), week(SHORT)
JUNE, AUGUST = date(2027, 6, 1), date(2027, 8, 31)


def hours_on(weekly: WeeklyHours, day: date) -> tuple[Window, ...]:
    """The hours of a date by the stored rules."""
    return Hours(weekly.rules()).on(day).windows


def test_a_season_replaces_the_usual_hours_and_only_on_its_dates() -> None:
    weekly = WeeklyHours(USUAL, (Season(JUNE, AUGUST, SUMMER),))
    for day, expected in {
        JUNE - timedelta(days=1): (WORK,), JUNE: (SHORT,), AUGUST: (SHORT,), AUGUST + timedelta(days=1): (WORK,)
    }.items():  # fmt: skip
        assert hours_on(weekly, day) == expected


def test_a_season_can_be_closed_or_begin_now_or_never_end() -> None:
    seasons = (Season(None, date(2026, 12, 31), SUMMER), Season(JUNE, None, CLOSED_WEEK))
    weekly = WeeklyHours(USUAL, seasons)
    assert hours_on(weekly, TODAY) == (SHORT,)
    assert hours_on(weekly, date(2027, 1, 4)) == (WORK,)
    assert hours_on(weekly, JUNE) == hours_on(weekly, date(2030, 1, 1)) == ()


@pytest.mark.parametrize(
    "weekly",
    [
        WeeklyHours(USUAL),
        WeeklyHours(),
        WeeklyHours(USUAL, (Season(JUNE, AUGUST, SUMMER),)),
        WeeklyHours(USUAL, (Season(TODAY, TODAY, SUMMER), Season(JUNE, AUGUST, CLOSED_WEEK))),
        WeeklyHours(USUAL, (Season(JUNE, None, SUMMER),)),
    ],
)
def test_stored_seasons_are_shown_as_they_were_entered(weekly: WeeklyHours) -> None:
    assert weekly_hours_of(weekly.rules(), TODAY) == weekly


def test_rules_of_the_api_become_seasons_and_past_ones_are_left_out() -> None:
    rules = [
        AvailabilityRule(1, *WORK),
        AvailabilityRule(1, 1080, 1200, JUNE, AUGUST),  # in addition
        AvailabilityRule(2, *WORK, None, date(2025, 12, 31)),
    ]
    monday, more = ((WORK,), *((),) * 6), ((WORK, Window(1080, 1200)), *((),) * 6)
    found = weekly_hours_of(rules, TODAY)
    assert found.seasons == (Season(date(2026, 1, 1), JUNE - timedelta(days=1), monday),
                             Season(JUNE, AUGUST, more), Season(AUGUST + timedelta(days=1), None, monday))  # fmt: skip
    assert hours_on(found, date(2027, 6, 7)) == (WORK, Window(1080, 1200))


def test_hours_that_begin_in_the_future_are_the_usual_ones() -> None:
    rules = [AvailabilityRule(1, *WORK, date(2027, 1, 1))]
    found = weekly_hours_of(rules, TODAY)
    assert found.usual[0] == (WORK,)
    assert found.seasons == (Season(None, date(2026, 12, 31), CLOSED_WEEK),)


def test_seasons_that_share_a_date_are_found() -> None:
    one, two, three = Season(JUNE, AUGUST), Season(AUGUST, None), Season(None, TODAY)
    assert overlapping([three, one]) is None
    assert overlapping([two, three, one]) == (one, two)


days = st.none() | st.dates(date(2026, 11, 1), date(2027, 3, 1))


@given(st.lists(st.tuples(st.integers(1, 7), st.sampled_from([WORK, SHORT]), days, days), max_size=5))
def test_showing_and_storing_again_changes_no_date_from_today_on(
    facts: list[tuple[int, Window, date | None, date | None]],
) -> None:
    rules = [
        AvailabilityRule(weekday, *window, first, last)
        for weekday, window, first, last in facts
        if not (first and last and last < first)
    ]
    again = weekly_hours_of(rules, TODAY).rules()
    for offset in range(130):
        day = TODAY + timedelta(days=offset)
        assert Hours(tuple(rules)).on(day) == Hours(again).on(day)
