"""What opens on a date (seasons, overrides, days off, holidays), and why a time is not available."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from expert_booking.domain.calendar import Busy, Calendar, SessionLength, SlotState
from expert_booking.domain.errors import SlotNotOffered, SlotTaken
from expert_booking.domain.holidays import Holidays, countries
from expert_booking.domain.hours import AvailabilityRule, DaysOff, Hours, Override, OverrideKind, Window
from expert_booking.domain.unavailability import Blocker, Reason

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)  # Monday, 09:00 in Berlin
TUESDAY, FRIDAY = date(2026, 11, 24), date(2026, 11, 27)
CHRISTMAS, EPIPHANY = date(2026, 12, 25), date(2027, 1, 6)
WORKING_DAYS = tuple(AvailabilityRule(day, 9 * 60, 12 * 60) for day in range(1, 6))
TYPE, OTHER_TYPE = UUID(int=1), UUID(int=2)


def calendar(*rules: AvailabilityRule, length: dict[str, Any] | None = None, busy: tuple[Busy, ...] = (),
             active: bool = True, **hours: Any) -> Calendar:  # fmt: skip
    """A calendar in Berlin, Monday to Friday, 9 to 12, one-hour sessions, with the test's changes."""
    sizes = {"minutes": 60, "step_minutes": 60, "horizon_days": 90, **(length or {})}
    return Calendar(BERLIN, Hours(rules or WORKING_DAYS, **hours), SessionLength(**sizes), active, TYPE, busy)


def on(of: Calendar, day: date) -> list[str]:
    """The starts on one local date, in local time."""
    since = datetime(day.year, day.month, day.day, tzinfo=BERLIN)
    return [f"{slot.starts_at.astimezone(BERLIN):%H:%M}" for slot in of.slots(since, since + timedelta(1), NOW)]


def local(day: date, clock: str) -> datetime:
    """An instant from a local time in Berlin."""
    return datetime.fromisoformat(f"{day}T{clock}").replace(tzinfo=BERLIN).astimezone(UTC)


def why_not(of: Calendar, day: date, clock: str) -> Blocker:
    """The first reason why a session at this local time is unavailable."""
    with pytest.raises((SlotNotOffered, SlotTaken)) as refused:
        of.offered(local(day, clock), NOW)
    assert str(refused.value)
    return refused.value.blocker  # type: ignore[no-any-return]


# --- seasons ----------------------------------------------------------------------------------------------------


def test_season_is_open_from_its_first_to_its_last_date() -> None:
    season = AvailabilityRule(2, 600, 720, valid_from=date(2026, 12, 1), valid_until=date(2026, 12, 15))
    dates = [date(2026, 11, 24), date(2026, 12, 1), date(2026, 12, 8), date(2026, 12, 15), date(2026, 12, 22)]
    assert [on(calendar(season), day) for day in dates] == [[], ["10:00", "11:00"], ["10:00", "11:00"],
                                                           ["10:00", "11:00"], []]  # fmt: skip


def test_season_may_have_no_start_or_no_end() -> None:
    assert on(calendar(AvailabilityRule(2, 600, 720, valid_from=date(2020, 1, 1))), TUESDAY) == ["10:00", "11:00"]
    assert on(calendar(AvailabilityRule(2, 600, 720, valid_until=date(2030, 1, 1))), TUESDAY) == ["10:00", "11:00"]


def test_hours_past_midnight_belong_to_the_date_on_which_they_open() -> None:
    night = AvailabilityRule(2, 22 * 60, 26 * 60, valid_from=TUESDAY, valid_until=TUESDAY)
    assert on(calendar(night), TUESDAY) == ["22:00", "23:00"]
    assert on(calendar(night), date(2026, 11, 25)) == ["00:00", "01:00"]


# --- overrides --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        (Override(OverrideKind.HOURS, (Window(840, 960),)), ["14:00", "15:00"]),
        (Override(OverrideKind.EXTRA, (Window(840, 960),)), ["09:00", "10:00", "11:00", "14:00", "15:00"]),
        (Override(OverrideKind.EXTRA, (Window(690, 810),)), ["09:00", "10:00", "11:00", "12:00"]),
        (Override(OverrideKind.EXTRA, (Window(720, 780),)), ["09:00", "10:00", "11:00", "12:00"]),
        (Override(OverrideKind.NONE), []),
    ],
)
def test_override_replaces_extends_or_removes_the_hours_of_its_date(override: Override, expected: list[str]) -> None:
    changed = calendar(overrides={TUESDAY: override})
    assert on(changed, TUESDAY) == expected
    assert on(changed, date(2026, 12, 1)) == ["09:00", "10:00", "11:00"]


def test_override_opens_a_day_without_weekly_hours() -> None:
    saturday = date(2026, 11, 28)
    for kind in (OverrideKind.HOURS, OverrideKind.EXTRA):
        assert on(calendar(overrides={saturday: Override(kind, (Window(600, 720),))}), saturday) == ["10:00", "11:00"]


def test_override_past_midnight_delays_the_hours_of_the_next_day() -> None:
    night = Override(OverrideKind.EXTRA, (Window(23 * 60, (24 + 9) * 60 + 30),))
    assert on(calendar(overrides={TUESDAY: night}), date(2026, 11, 25))[-3:] == ["08:00", "09:30", "10:30"]


# --- days off and holidays --------------------------------------------------------------------------------------


def test_days_off_close_all_their_dates_even_with_an_override() -> None:
    away = calendar(
        days_off=(DaysOff(TUESDAY, date(2026, 11, 26), "hospital"),),
        overrides={TUESDAY: Override(OverrideKind.EXTRA, (Window(840, 960),))},
    )
    assert [on(away, TUESDAY + timedelta(days)) != [] for days in range(-1, 4)] == [True, False, False, False, True]


def test_public_holidays_close_if_the_expert_observes_them() -> None:
    assert on(calendar(), CHRISTMAS) == ["09:00", "10:00", "11:00"]
    assert on(calendar(holidays=Holidays("DE")), CHRISTMAS) == []


def test_holiday_of_one_region_does_not_close_another() -> None:
    assert on(calendar(holidays=Holidays("DE", "BY")), EPIPHANY) == []
    assert on(calendar(holidays=Holidays("DE", "BE")), EPIPHANY) == ["09:00", "10:00", "11:00"]
    assert on(calendar(holidays=Holidays("DE")), EPIPHANY) == ["09:00", "10:00", "11:00"]


def test_override_opens_a_holiday_with_its_own_hours_only() -> None:
    for kind in (OverrideKind.HOURS, OverrideKind.EXTRA):
        working = calendar(holidays=Holidays("DE"), overrides={CHRISTMAS: Override(kind, (Window(600, 660),))})
        assert on(working, CHRISTMAS) == ["10:00"]


def test_every_country_and_region_is_supported_by_the_holidays_library() -> None:
    known = countries()
    assert {"DE", "US", "JP", "BR", "EG"} <= known.keys()
    for country, regions in known.items():
        for region in (None, *sorted(regions)[:2]):
            Holidays(country, region).name_of(CHRISTMAS)


# --- reasons ----------------------------------------------------------------------------------------------------


def test_notice_and_horizon_are_reported_with_details() -> None:
    soon = why_not(calendar(length={"notice_minutes": 120}), date(2026, 11, 23), "10:00")
    assert (soon.reason, soon.figures["noticeMinutes"]) == (Reason.MIN_NOTICE, 120)
    assert soon.figures["bookableFrom"] == datetime(2026, 11, 23, 10, tzinfo=UTC)
    assert str(soon) == "This time is too soon: the expert needs 2 hours of notice."
    far = why_not(calendar(length={"horizon_days": 7}), date(2026, 12, 1), "09:00")
    assert (far.reason, dict(far.figures)) == (
        Reason.BEYOND_HORIZON, {"horizonDays": 7, "lastDay": date(2026, 11, 30)},
    )  # fmt: skip
    assert str(far) == "This time is too far ahead: the expert takes bookings up to 30 November 2026."


@pytest.mark.parametrize(
    ("minutes", "words"),
    [(1, "1 minute"), (45, "45 minutes"), (60, "1 hour"), (90, "90 minutes"), (120, "2 hours"), (1440, "1 day"),
     (2880, "2 days"), (1500, "25 hours")],
)  # fmt: skip
def test_notice_is_shown_in_a_suitable_unit(minutes: int, words: str) -> None:
    soon = why_not(calendar(length={"notice_minutes": minutes}), date(2026, 11, 23), "09:00")
    assert words in str(soon)


def test_day_off_is_reported_with_dates_and_the_reason_only_in_the_note() -> None:
    away = calendar(days_off=(DaysOff(TUESDAY, FRIDAY, "hospital"),))
    for clock in ("10:00", "03:00", "10:30"):
        blocker = why_not(away, TUESDAY, clock)
        assert blocker.reason is Reason.DAY_OFF
        assert dict(blocker.figures) == {"firstDay": TUESDAY, "lastDay": FRIDAY}
        assert blocker.note == "hospital"
        assert "hospital" not in str(blocker)


def test_date_closed_by_override_is_a_day_off() -> None:
    blocker = why_not(calendar(overrides={TUESDAY: Override(OverrideKind.NONE)}), TUESDAY, "10:00")
    assert (blocker.reason, blocker.figures["firstDay"]) == (Reason.DAY_OFF, TUESDAY)


def test_holiday_is_reported_by_name() -> None:
    blocker = why_not(calendar(holidays=Holidays("DE")), CHRISTMAS, "10:00")
    assert (blocker.reason, blocker.figures["holiday"]) == (Reason.HOLIDAY, "Christmas Day")
    assert "Christmas Day" in str(blocker)


def test_early_hours_after_a_day_off_belong_to_it_if_its_hours_would_have_reached_them() -> None:
    nights = tuple(AvailabilityRule(day, 22 * 60, 26 * 60) for day in range(1, 8))
    away = calendar(*nights, days_off=(DaysOff(TUESDAY, TUESDAY),))
    assert why_not(away, date(2026, 11, 25), "01:00").reason is Reason.DAY_OFF
    assert why_not(away, date(2026, 11, 25), "03:00").reason is Reason.OUTSIDE_HOURS
    # The hours of the night before still reach into it.
    assert on(away, TUESDAY) == ["00:00", "01:00"]


def test_time_outside_the_hours_is_reported_with_the_hours() -> None:
    blocker = why_not(calendar(), TUESDAY, "12:00")
    assert (blocker.reason, blocker.figures) == (
        Reason.OUTSIDE_HOURS, {"day": TUESDAY, "hours": ["09:00–12:00"]},
    )  # fmt: skip
    assert why_not(calendar(), date(2026, 11, 28), "10:00").figures["hours"] == []


def test_time_off_the_grid_is_reported_with_its_neighbours() -> None:
    blocker = why_not(calendar(length={"minutes": 30, "step_minutes": 30}), TUESDAY, "09:40")
    assert blocker.reason is Reason.OFF_GRID
    assert blocker.figures["before"] == local(TUESDAY, "09:30")
    assert blocker.figures["after"] == local(TUESDAY, "10:00")
    assert blocker.figures["stepMinutes"] == 30


def test_booking_takes_precedence_over_a_hold_as_reason() -> None:
    held = Busy(local(TUESDAY, "08:00"), local(TUESDAY, "09:30"), held=True)
    busy = Busy(local(TUESDAY, "09:45"), local(TUESDAY, "11:10"))
    blocker = why_not(calendar(busy=(held, busy)), TUESDAY, "09:00")
    assert (blocker.reason, blocker.figures["busyFrom"]) == (Reason.BUSY, busy.starts_at)


def test_busy_time_is_reported_with_its_span_and_holds_count() -> None:
    for held in (True, False):
        busy = Busy(local(TUESDAY, "09:50"), local(TUESDAY, "11:10"), held)
        blocker = why_not(calendar(busy=(busy,)), TUESDAY, "09:00")
        assert blocker.reason is (Reason.HELD if held else Reason.BUSY)
        assert blocker.figures == {"busyFrom": busy.starts_at, "busyUntil": busy.ends_at}


def booked(day: date, clock: str, session_type: UUID = TYPE) -> Busy:
    """A booked session of one hour."""
    start = local(day, clock)
    return Busy(start, start + timedelta(hours=1), False, session_type, start)


def test_capped_day_is_full_at_the_cap_for_that_session_type() -> None:
    one, two = booked(TUESDAY, "09:00"), booked(TUESDAY, "10:00")
    full = calendar(length={"daily_cap": 2}, busy=(one, two))
    blocker = why_not(full, TUESDAY, "11:00")
    assert blocker.reason is Reason.DAY_FULL
    assert blocker.figures == {"day": TUESDAY, "booked": 2, "dailyCap": 2}
    assert str(blocker) == "This day is full: 2 of 2 sessions are booked."
    slots = full.slots(local(TUESDAY, "00:00"), local(TUESDAY, "23:00"), NOW)
    assert [slot.state for slot in slots] == [SlotState.BOOKED, SlotState.BOOKED]
    assert on(full, date(2026, 11, 25)) == ["09:00", "10:00", "11:00"]
    assert calendar(length={"daily_cap": 3}, busy=(one, two)).offered(local(TUESDAY, "11:00"), NOW)


def test_other_session_types_occupy_time_but_no_place() -> None:
    other = booked(TUESDAY, "09:00", OTHER_TYPE)
    assert on(calendar(length={"daily_cap": 1}, busy=(other,)), TUESDAY) == ["09:00", "10:00", "11:00"]
    assert why_not(calendar(length={"daily_cap": 1}, busy=(other,)), TUESDAY, "09:00").reason is Reason.BUSY


def test_cap_counts_the_local_days_of_the_expert() -> None:
    # Monday evening in UTC is already Tuesday in Berlin.
    midnight = booked(TUESDAY, "00:00")
    assert midnight.starts_at.date() == date(2026, 11, 23)
    assert on(calendar(length={"daily_cap": 1}, busy=(midnight,)), TUESDAY) == []


def test_all_reasons_are_reported_most_important_first() -> None:
    busy = booked(FRIDAY, "10:00")
    calendar_ = calendar(
        active=False, busy=(busy,), days_off=(DaysOff(FRIDAY, FRIDAY),),
        length={"notice_minutes": 10_000, "horizon_days": 1, "daily_cap": 1},
    )  # fmt: skip
    reasons = [blocker.reason for blocker in calendar_.blockers(local(FRIDAY, "10:00"), NOW)]
    assert reasons == [Reason.INACTIVE, Reason.MIN_NOTICE, Reason.BEYOND_HORIZON, Reason.DAY_OFF, Reason.BUSY,
                       Reason.DAY_FULL]  # fmt: skip


def test_every_reason_has_a_sentence() -> None:
    reported = {
        why_not(calendar(active=False), TUESDAY, "09:00").reason,
        why_not(calendar(), date(2026, 11, 20), "09:00").reason,
        why_not(calendar(length={"notice_minutes": 120}), date(2026, 11, 23), "10:00").reason,
        why_not(calendar(length={"horizon_days": 1}), FRIDAY, "09:00").reason,
        why_not(calendar(days_off=(DaysOff(TUESDAY, TUESDAY),)), TUESDAY, "09:00").reason,
        why_not(calendar(holidays=Holidays("DE")), CHRISTMAS, "09:00").reason,
        why_not(calendar(), TUESDAY, "13:00").reason,
        why_not(calendar(), TUESDAY, "09:30").reason,
        why_not(calendar(busy=(booked(TUESDAY, "09:00"),)), TUESDAY, "09:00").reason,
        why_not(calendar(busy=(booked(TUESDAY, "09:00")._replace(held=True),)), TUESDAY, "09:00").reason,
        why_not(calendar(length={"daily_cap": 1}, busy=(booked(TUESDAY, "09:00"),)), TUESDAY, "10:00").reason,
    }
    assert reported == set(Reason)
