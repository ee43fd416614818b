"""Comparing and merging plans of a calendar."""

from dataclasses import replace
from datetime import date

from expert_booking.domain.calendar_plan import (
    CalendarPlan,
    HolidaySetting,
    Part,
    PartKind,
    differences,
    merged,
    parts_of,
    plan_of,
    value_text,
)
from expert_booking.domain.hours import DaysOff, Override, OverrideKind, Window
from expert_booking.domain.seasons import CLOSED_WEEK, Season, WeeklyHours

WORK, SHORT = Window(540, 1020), Window(600, 720)
EVE, NEW_YEAR = date(2026, 12, 24), date(2027, 1, 1)
USUAL = ((WORK,),) * 5 + ((), ())
SUMMER = Season(date(2027, 6, 1), date(2027, 8, 31), ((SHORT,), *((),) * 6))
PLAN = CalendarPlan(
    "Europe/Berlin",
    WeeklyHours(USUAL, (SUMMER,)),
    {EVE: Override(OverrideKind.HOURS, (SHORT,))},
    (DaysOff(NEW_YEAR, NEW_YEAR, "Skiing"),),
    HolidaySetting("DE", "BY", closed=True),
)


def with_usual(plan: CalendarPlan, weekday: int, *windows: Window) -> CalendarPlan:
    """The plan with other usual hours on one weekday."""
    usual = tuple(windows if day == weekday else before for day, before in enumerate(plan.weekly.usual, 1))
    return replace(plan, weekly=replace(plan.weekly, usual=usual))


def test_a_plan_is_the_same_after_being_taken_apart() -> None:
    assert plan_of(parts_of(PLAN)) == PLAN
    empty = CalendarPlan("UTC", WeeklyHours(USUAL, (Season(None, EVE, CLOSED_WEEK),)))
    assert plan_of(parts_of(empty)) == empty


def test_differences_are_named_and_described() -> None:
    other = with_usual(PLAN, 1)
    other = replace(
        other,
        time_zone="UTC",
        overrides={NEW_YEAR: Override(OverrideKind.NONE), date(2027, 1, 2): Override(OverrideKind.EXTRA, (SHORT,))},
        days_off=(DaysOff(EVE, NEW_YEAR),),
        holidays=HolidaySetting("DE", None, closed=False),
        weekly=replace(other.weekly, seasons=()),
    )
    found = [(str(part), value_text(part, one), value_text(part, two)) for part, one, two in differences(PLAN, other)]
    assert found[:2] == [("Time zone", "Europe/Berlin", "UTC"), ("Monday", "09:00–17:00", "Closed")]
    assert found[2] == ("Monday, 1 Jun 2027 – 31 Aug 2027", "10:00–12:00", "Usual hours")
    assert found[9:] == [
        ("Thu 24 Dec 2026", "10:00–12:00", "Usual hours"),
        ("Fri 1 Jan 2027", "Days off: Skiing", "No days off"),
        ("Public holidays", "Closed on holidays of DE-BY", "Open on public holidays"),
        ("Fri 1 Jan 2027", "Usual hours", "Closed"),
        ("Sat 2 Jan 2027", "Usual hours", "Extra hours: 10:00–12:00"),
        ("24 Dec 2026 – 1 Jan 2027", "No days off", "Days off"),
    ]
    assert differences(PLAN, PLAN) == []


def test_merging_takes_the_chosen_parts_of_the_other_plan() -> None:
    mine = with_usual(PLAN, 1, SHORT)
    theirs = replace(with_usual(with_usual(PLAN, 1), 2), overrides={}, days_off=(DaysOff(EVE, EVE),))
    assert merged(mine, theirs, []) == mine
    assert merged(mine, theirs, [part for part, *_ in differences(mine, theirs)]) == theirs
    taken = [Part(PartKind.USUAL, weekday=2), Part(PartKind.DATE, EVE, EVE), Part(PartKind.DAYS_OFF, EVE, EVE)]
    both = merged(mine, theirs, taken)
    assert both.weekly.usual[:3] == ((SHORT,), (), (WORK,))
    assert both.overrides == {}
    assert both.days_off == (DaysOff(EVE, EVE), DaysOff(NEW_YEAR, NEW_YEAR, "Skiing"))
