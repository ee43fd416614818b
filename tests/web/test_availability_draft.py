"""The draft of a calendar's rules on an open page."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from expert_booking.domain.hours import DaysOff, OverrideKind, Window
from expert_booking.schemas import CalendarRules
from expert_booking.services.calendar_rules import RulesEditor
from expert_booking.web.availability_draft import USUAL, AvailabilityDraft

NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)
EVE, CHRISTMAS, BOXING_DAY = (date(2026, 12, day) for day in (24, 25, 26))
JUNE, AUGUST = date(2027, 6, 1), date(2027, 8, 31)
WORK, SHORT = Window(540, 1020), Window(600, 720)
RULES = CalendarRules.model_validate({
    "timeZone": "Europe/Berlin", "country": "DE", "closedOnHolidays": True,
    "windows": [{"weekday": day, "opens": "09:00", "closes": "17:00"} for day in range(1, 6)],
})  # fmt: skip


@pytest.fixture
def draft() -> AvailabilityDraft:
    """A draft of Monday to Friday from 9 to 17, without German holidays."""
    return AvailabilityDraft(RulesEditor(RULES, (), (), (), NOW))


def test_text_that_cannot_be_read_stays_with_its_error(draft: AvailabilityDraft) -> None:
    draft.type_hours(USUAL, 0, "nine")
    monday = draft.days(USUAL)[0]
    assert (monday.text, monday.windows) == ("nine", (WORK,))
    assert "“nine”" in monday.error
    assert (draft.has_errors, draft.has_changes, draft.changes()) == (True, True, ["Monday"])
    draft.type_hours(USUAL, 0, "10-12")
    assert draft.days(USUAL)[0][:3] == ((SHORT,), "10:00–12:00", "")
    assert not draft.has_errors
    draft.discard()
    assert not draft.has_changes


def test_hours_that_run_into_the_next_day_are_reported_there(draft: AvailabilityDraft) -> None:
    draft.type_hours(USUAL, 6, "22:00-10:00")
    assert draft.days(USUAL)[6].error == "These hours overlap Monday 09:00–17:00."
    assert draft.has_errors


def test_seasons_are_added_changed_and_removed(draft: AvailabilityDraft) -> None:
    assert draft.add_season(JUNE, AUGUST) == ""
    draft.type_hours(0, 0, "10-12")
    assert (draft.week(0)[0], draft.week(USUAL)[0]) == ((SHORT,), (WORK,))
    assert draft.changes() == ["Season 1 Jun 2027 – 31 Aug 2027"]
    for first, last, error in ((None, None, "at least one date"), (AUGUST, JUNE, "before the first"),
                               (AUGUST, None, "Another season")):  # fmt: skip
        assert error in draft.add_season(first, last)
    assert draft.change_season(0, JUNE, None) == ""
    draft.type_hours(0, 1, "x")
    draft.remove_season(0)
    assert not draft.has_changes


def test_dates_are_closed_opened_and_cleared_one_by_one(draft: AvailabilityDraft) -> None:
    week = [EVE + timedelta(days=n) for n in range(5)]
    draft.close_dates(week, "Skiing")
    draft.set_dates([BOXING_DAY], OverrideKind.HOURS, (SHORT,))
    assert draft.plan.days_off == (DaysOff(EVE, CHRISTMAS, "Skiing"), DaysOff(week[3], week[4], "Skiing"))
    assert [(entry.first, entry.last, entry.text) for entry in draft.entries()] == [
        (EVE, CHRISTMAS, "Closed: Skiing"), (BOXING_DAY, BOXING_DAY, "10:00–12:00"),
        (week[3], week[4], "Closed: Skiing"),
    ]  # fmt: skip
    special = draft.special_days()
    assert (special[EVE].text, special[BOXING_DAY].kind) == ("Closed: Skiing", "hours")
    draft.clear_dates(week)
    assert not draft.has_changes
    assert draft.special_days()[CHRISTMAS].kind == "holiday"


def test_a_holiday_is_worked_with_the_hours_of_its_weekday(draft: AvailabilityDraft) -> None:
    assert (CHRISTMAS, "Christmas Day") in draft.holidays()
    assert not draft.works_on(CHRISTMAS)
    draft.work_on(CHRISTMAS, works=True)
    assert draft.works_on(CHRISTMAS)
    assert draft.plan.overrides[CHRISTMAS].windows == (WORK,)
    draft.work_on(CHRISTMAS, works=False)
    assert not draft.has_changes


def test_a_change_elsewhere_is_taken_over_only_without_unsaved_changes(draft: AvailabilityDraft) -> None:
    theirs = replace(draft.editor, rules=RULES.model_copy(update={"windows": RULES.windows[:1]}))
    draft.type_hours(USUAL, 0, "10-12")
    assert not draft.refresh(theirs)
    assert (draft.week(USUAL)[0], draft.week(USUAL)[1]) == ((SHORT,), (WORK,))
    assert draft.editor.rules == RULES
    draft.discard()
    assert draft.refresh(theirs)
    assert draft.week(USUAL)[1] == ()
