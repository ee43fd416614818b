"""The times that an expert offers, in every zone and on days of clock changes."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from expert_booking.domain.calendar import (
    Busy,
    Calendar,
    SessionLength,
    Slot,
    SlotState,
    local_instant,
)
from expert_booking.domain.errors import SlotNotOffered, SlotTaken
from expert_booking.domain.hours import AvailabilityRule, Hours

PAST = datetime(2011, 1, 1, tzinfo=UTC)
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)


def at(text: str) -> datetime:
    """An instant in UTC: `at("2026-11-23 09:00")`."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def minutes(clock: str) -> int:
    """Minutes since midnight: `minutes("25:30")`."""
    hours, rest = clock.split(":")
    return int(hours) * 60 + int(rest)


def calendar(zone: str, *windows: str, busy: tuple[Busy, ...] = (), active: bool = True, **length: int) -> Calendar:
    """A calendar with daily windows ("09:00-17:00") or windows on one weekday ("7 09:00-17:00")."""
    rules = []
    for window in windows:
        day, _, span = window.rpartition(" ")
        opens, closes = map(minutes, span.split("-"))
        days = [int(day)] if day else range(1, 8)
        rules += [AvailabilityRule(weekday, opens, closes) for weekday in days]
    sizes = {"minutes": 60, "step_minutes": 60, "horizon_days": 30_000, **length}
    return Calendar(ZoneInfo(zone), Hours(tuple(rules)), SessionLength(**sizes), active, busy=busy)


def starts(of: Calendar, day: str, now: datetime = PAST) -> list[str]:
    """The starts on one local day, in UTC."""
    first = date.fromisoformat(day)
    slots = of.slots(local_instant(of.zone, first, 0), local_instant(of.zone, first + DAY, 0), now)
    return [f"{slot.starts_at:%Y-%m-%d %H:%M}" for slot in slots]


def hours(day: str, *clocks: str) -> list[str]:
    """Instants of one day: `hours("2026-11-23", "09:00", "10:00")`."""
    return [f"{day} {clock}" for clock in clocks]


# --- the worked examples of the design --------------------------------------------------------------------------


def test_berlin_on_the_sunday_that_loses_an_hour() -> None:
    offered = starts(calendar("Europe/Berlin", "7 01:00-05:00"), "2027-03-28")
    assert offered == hours("2027-03-28", "00:00", "01:00", "02:00")


def test_berlin_on_the_sunday_that_gains_an_hour() -> None:
    offered = starts(calendar("Europe/Berlin", "7 01:00-05:00"), "2026-10-25")
    assert offered == ["2026-10-24 23:00", *hours("2026-10-25", "00:00", "01:00", "02:00", "03:00")]


def test_nine_in_new_york_is_another_instant_after_the_clocks_go_back() -> None:
    nine = calendar("America/New_York", "09:00-10:00")
    assert starts(nine, "2026-10-30") == ["2026-10-30 13:00"]
    assert starts(nine, "2026-11-02") == ["2026-11-02 14:00"]


# --- the edges of a day -----------------------------------------------------------------------------------------


def test_slots_begin_at_opening_and_end_by_closing_time() -> None:
    offered = starts(calendar("UTC", "09:00-11:30"), "2026-11-23")
    assert offered == hours("2026-11-23", "09:00", "10:00")


def test_window_shorter_than_a_session_has_no_slots() -> None:
    assert starts(calendar("UTC", "09:00-09:59"), "2026-11-23") == []


def test_calendar_without_rules_has_no_slots() -> None:
    assert starts(calendar("UTC"), "2026-11-23") == []


def test_inactive_expert_has_no_slots() -> None:
    assert starts(calendar("UTC", "09:00-17:00", active=False), "2026-11-23") == []


def test_hours_apply_to_their_own_weekday_only() -> None:
    monday = calendar("UTC", "1 09:00-10:00")
    assert starts(monday, "2026-11-23") == ["2026-11-23 09:00"]
    assert starts(monday, "2026-11-24") == starts(monday, "2026-11-22") == []


def test_24_00_is_the_end_of_the_day() -> None:
    assert starts(calendar("UTC", "22:00-24:00"), "2026-11-23") == hours("2026-11-23", "22:00", "23:00")


def test_day_from_midnight_to_midnight_has_24_hours() -> None:
    offered = starts(calendar("UTC", "00:00-24:00"), "2026-11-23")
    assert offered == [f"2026-11-23 {hour:02}:00" for hour in range(24)]


def test_window_over_midnight_reaches_into_the_next_day() -> None:
    monday_night = calendar("Europe/Berlin", "1 22:30-26:30")
    assert starts(monday_night, "2026-11-23") == hours("2026-11-23", "21:30", "22:30")
    # 23:30 and 00:30 in Berlin: the second one is on Tuesday.
    assert starts(monday_night, "2026-11-24") == ["2026-11-23 23:30", "2026-11-24 00:30"]


def test_window_over_midnight_on_sunday_reaches_into_monday() -> None:
    sunday_night = calendar("UTC", "7 23:00-25:00")
    assert starts(sunday_night, "2026-11-23") == ["2026-11-23 00:00"]


def test_window_over_midnight_in_the_night_of_the_clock_change_is_an_hour_shorter() -> None:
    saturday_night = calendar("Europe/Berlin", "6 23:00-28:00")  # 23:00 to 04:00, with one hour skipped
    slots = saturday_night.slots(at("2027-03-27 12:00"), at("2027-03-28 12:00"), PAST)
    assert [f"{slot.starts_at:%d %H:%M}" for slot in slots] == ["27 22:00", "27 23:00", "28 00:00", "28 01:00"]


def test_adjacent_or_overlapping_windows_offer_each_start_once_in_order() -> None:
    touching = calendar("UTC", "09:00-11:00", "11:00-13:00")
    assert starts(touching, "2026-11-23") == hours("2026-11-23", "09:00", "10:00", "11:00", "12:00")
    # Overlapping hours form one opening with one grid: starts are never closer than the step.
    overlapping = calendar("UTC", "10:30-12:30", "09:00-12:00", "09:00-11:00")
    assert starts(overlapping, "2026-11-23") == hours("2026-11-23", "09:00", "10:00", "11:00")


def test_step_may_be_shorter_or_longer_than_the_session() -> None:
    assert starts(calendar("UTC", "09:00-10:30", step_minutes=15), "2026-11-23") == hours(
        "2026-11-23", "09:00", "09:15", "09:30"
    )
    assert starts(calendar("UTC", "09:00-13:00", step_minutes=90), "2026-11-23") == hours(
        "2026-11-23", "09:00", "10:30", "12:00"
    )


# --- clocks that change -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("zone", "day", "clock", "earliest", "latest"),
    [
        ("Europe/Berlin", "2027-03-28", "01:59", "2027-03-28 00:59", "2027-03-28 00:59"),
        ("Europe/Berlin", "2027-03-28", "02:00", "2027-03-28 01:00", "2027-03-28 01:00"),
        ("Europe/Berlin", "2027-03-28", "02:30", "2027-03-28 01:00", "2027-03-28 01:00"),
        ("Europe/Berlin", "2027-03-28", "03:00", "2027-03-28 01:00", "2027-03-28 01:00"),
        ("Europe/Berlin", "2027-03-28", "24:00", "2027-03-28 22:00", "2027-03-28 22:00"),
        ("Europe/Berlin", "2026-10-25", "02:00", "2026-10-25 00:00", "2026-10-25 01:00"),
        ("Europe/Berlin", "2026-10-25", "02:30", "2026-10-25 00:30", "2026-10-25 01:30"),
        ("Europe/Berlin", "2026-10-25", "03:00", "2026-10-25 02:00", "2026-10-25 02:00"),
        ("Australia/Lord_Howe", "2026-10-04", "02:10", "2026-10-03 15:30", "2026-10-03 15:30"),
        ("Australia/Lord_Howe", "2027-04-04", "01:45", "2027-04-03 14:45", "2027-04-03 15:15"),
        ("America/Santiago", "2026-09-06", "00:00", "2026-09-06 04:00", "2026-09-06 04:00"),
        ("America/Santiago", "2026-09-05", "24:00", "2026-09-06 04:00", "2026-09-06 04:00"),
        ("America/Santiago", "2027-04-03", "23:30", "2027-04-04 02:30", "2027-04-04 03:30"),
        ("Africa/Cairo", "2027-04-30", "00:30", "2027-04-29 22:00", "2027-04-29 22:00"),
        ("Africa/Cairo", "2026-10-29", "24:00", "2026-10-29 22:00", "2026-10-29 22:00"),
        ("Pacific/Apia", "2011-12-30", "12:00", "2011-12-30 10:00", "2011-12-30 10:00"),
        ("Pacific/Apia", "2026-11-23", "09:00", "2026-11-22 20:00", "2026-11-22 20:00"),
        ("Pacific/Pago_Pago", "2026-11-23", "09:00", "2026-11-23 20:00", "2026-11-23 20:00"),
        ("Asia/Kathmandu", "2026-11-23", "09:00", "2026-11-23 03:15", "2026-11-23 03:15"),
    ],
)
def test_ambiguous_times_have_two_instants_and_skipped_times_the_end_of_the_gap(
    zone: str, day: str, clock: str, earliest: str, latest: str
) -> None:
    place, local_day = ZoneInfo(zone), date.fromisoformat(day)
    assert local_instant(place, local_day, minutes(clock)) == at(earliest)
    assert local_instant(place, local_day, minutes(clock), latest=True) == at(latest)


def test_window_inside_the_gap_has_no_slots() -> None:
    inside = calendar("Europe/Berlin", "02:10-02:50", minutes=5, step_minutes=5)
    assert starts(inside, "2027-03-28") == []
    assert len(starts(inside, "2027-03-27")) == 8


def test_window_that_opens_in_the_gap_opens_at_its_end() -> None:
    assert starts(calendar("Europe/Berlin", "02:30-05:00"), "2027-03-28") == hours("2027-03-28", "01:00", "02:00")


def test_window_that_closes_in_the_gap_closes_at_its_end() -> None:
    assert starts(calendar("Europe/Berlin", "00:00-02:30"), "2027-03-28") == ["2027-03-27 23:00", "2027-03-28 00:00"]


def test_window_in_the_repeated_hour_lasts_from_its_first_to_its_last_reading() -> None:
    assert starts(calendar("Europe/Berlin", "02:00-03:00"), "2026-10-25") == hours("2026-10-25", "00:00", "01:00")
    assert starts(calendar("Europe/Berlin", "02:30-02:45"), "2026-10-25") == ["2026-10-25 00:30"]


def test_both_half_past_twos_of_the_repeated_hour_can_be_booked() -> None:
    halves = calendar("Europe/Berlin", "02:00-03:00", minutes=30, step_minutes=30)
    assert starts(halves, "2026-10-25") == hours("2026-10-25", "00:00", "00:30", "01:00", "01:30")


def test_lord_howe_changes_its_clocks_by_half_an_hour() -> None:
    window = calendar("Australia/Lord_Howe", "01:00-04:00")
    assert starts(window, "2026-10-04") == hours("2026-10-03", "14:30", "15:30")  # two and a half hours
    assert starts(window, "2027-04-04") == hours("2027-04-03", "14:00", "15:00", "16:00")  # three and a half
    halves = calendar("Australia/Lord_Howe", "01:00-04:00", minutes=30, step_minutes=30)
    assert len(starts(halves, "2026-10-04")) == 5
    assert len(starts(halves, "2027-04-04")) == 7


@pytest.mark.parametrize(
    ("zone", "short_day", "window", "offered"),
    [
        ("America/Santiago", "2026-09-06", "00:00-02:00", hours("2026-09-06", "04:00")),
        ("Africa/Cairo", "2027-04-30", "00:00-02:00", hours("2027-04-29", "22:00")),
    ],
)
def test_day_that_begins_at_one_has_its_first_hour_then(
    zone: str, short_day: str, window: str, offered: list[str]
) -> None:
    assert starts(calendar(zone, window), short_day) == offered


def test_evening_before_a_day_that_begins_at_one_keeps_its_hours() -> None:
    assert starts(calendar("America/Santiago", "22:00-24:00"), "2026-09-05") == hours("2026-09-06", "02:00", "03:00")


def test_evening_whose_last_hour_repeats_has_one_hour_more() -> None:
    evening = ["2026-10-29 19:00", "2026-10-29 20:00", "2026-10-29 21:00"]
    assert starts(calendar("Africa/Cairo", "22:00-24:00"), "2026-10-29") == evening


@pytest.mark.parametrize(
    ("zone", "day", "count"),
    [
        ("Europe/Berlin", "2027-03-28", 23),
        ("Europe/Berlin", "2026-10-25", 25),
        ("America/Santiago", "2026-09-06", 23),
        ("America/Santiago", "2027-04-03", 25),
        ("Africa/Cairo", "2027-04-30", 23),
        ("Africa/Cairo", "2026-10-29", 25),
        ("Pacific/Apia", "2011-12-30", 0),
        ("Pacific/Apia", "2011-12-29", 24),
        ("Asia/Tokyo", "2026-11-23", 24),
    ],
)
def test_day_open_around_the_clock_has_as_many_hours_as_it_lasts(zone: str, day: str, count: int) -> None:
    assert len(starts(calendar(zone, "00:00-24:00"), day)) == count


def test_date_skipped_by_samoa_has_no_slots_and_the_night_before_ends_with_it() -> None:
    assert starts(calendar("Pacific/Apia", "09:00-17:00"), "2011-12-30") == []
    thursday_night = calendar("Pacific/Apia", "4 22:00-26:00")
    offered = thursday_night.slots(at("2011-12-30 00:00"), at("2012-01-01 00:00"), PAST)
    assert [slot.starts_at for slot in offered] == [at("2011-12-30 08:00"), at("2011-12-30 09:00")]


def test_clock_set_back_just_after_midnight_keeps_the_night() -> None:
    # Newfoundland until 2011: at 00:01 on Sunday the clocks went back to 23:01 on Saturday.
    friday_night = calendar("America/St_Johns", "5 23:59-47:59", minutes=5, step_minutes=5)
    sunday = friday_night.slots(at("2010-11-07 02:30"), at("2010-11-07 12:00"), at("2010-11-01 00:00"))
    assert [slot.starts_at for slot in sunday] == [at("2010-11-07 02:34") + five * 5 * MINUTE for five in range(11)]


def test_monday_differs_east_and_west_of_the_date_line() -> None:
    monday = "1 09:00-10:00"
    assert starts(calendar("Pacific/Apia", monday), "2026-11-23") == ["2026-11-22 20:00"]
    assert starts(calendar("Pacific/Kiritimati", monday), "2026-11-23") == ["2026-11-22 19:00"]
    assert starts(calendar("Pacific/Pago_Pago", monday), "2026-11-23") == ["2026-11-23 20:00"]


# --- buffers and busy time --------------------------------------------------------------------------------------


def states(of: Calendar, day: str = "2026-11-23") -> dict[str, str]:
    """The states by start."""
    first = date.fromisoformat(day)
    slots = of.slots(local_instant(of.zone, first, 0), local_instant(of.zone, first + DAY, 0), PAST)
    return {f"{slot.starts_at:%H:%M}": slot.state.value for slot in slots}


def busy(since: str, until: str, *, held: bool = False) -> Busy:
    """A busy time on that Monday."""
    return Busy(at(f"2026-11-23 {since}"), at(f"2026-11-23 {until}"), held)


def test_busy_time_is_half_open_so_adjacent_slots_stay_free() -> None:
    found = states(calendar("UTC", "09:00-12:00", busy=(busy("10:00", "11:00"),)))
    assert found == {"09:00": "open", "10:00": "booked", "11:00": "open"}


def test_one_minute_of_overlap_takes_a_slot() -> None:
    found = states(calendar("UTC", "09:00-12:00", busy=(busy("09:59", "11:01"),)))
    assert found == {"09:00": "booked", "10:00": "booked", "11:00": "booked"}


def test_held_slot_is_shown_as_held_and_a_booking_beside_it_as_booked() -> None:
    held, both = busy("09:30", "10:00", held=True), busy("10:00", "10:10")
    assert states(calendar("UTC", "09:00-10:00", busy=(held,))) == {"09:00": "held"}
    assert states(calendar("UTC", "09:30-10:30", busy=(held, both))) == {"09:30": "booked"}
    assert states(calendar("UTC", "09:30-10:30", busy=(both, held))) == {"09:30": "booked"}


def test_slot_knows_the_time_it_would_occupy() -> None:
    [slot] = calendar("UTC", "09:00-10:00", before_minutes=10, after_minutes=20).slots(
        at("2026-11-23 00:00"), at("2026-11-24 00:00"), PAST
    )
    assert slot == Slot(
        at("2026-11-23 09:00"), at("2026-11-23 10:00"), at("2026-11-23 08:50"), at("2026-11-23 10:20"), SlotState.OPEN
    )


def test_buffers_of_adjacent_sessions_add_up() -> None:
    # 10:00 to 11:00 is booked with a buffer of 10 minutes after; this session has a buffer of 15 minutes before.
    steps = calendar("UTC", "11:00-13:00", busy=(busy("10:00", "11:10"),), step_minutes=5, before_minutes=15)
    assert next(start for start, state in states(steps).items() if state == "open") == "11:25"


def test_buffers_may_extend_beyond_the_opening_hours() -> None:
    tight = calendar("UTC", "09:00-10:00", before_minutes=60, after_minutes=60)
    assert states(tight) == {"09:00": "open"}


def test_overlap_of_a_buffer_takes_a_slot() -> None:
    assert states(calendar("UTC", "09:00-10:00", busy=(busy("10:00", "11:00"),), after_minutes=1)) == {
        "09:00": "booked"
    }


# --- notice and horizon -----------------------------------------------------------------------------------------


def test_notice_is_exact_to_the_second_and_inclusive() -> None:
    nine = calendar("UTC", "09:00-11:00", notice_minutes=120)
    assert starts(nine, "2026-11-23", now=at("2026-11-23 07:00:00")) == hours("2026-11-23", "09:00", "10:00")
    assert starts(nine, "2026-11-23", now=at("2026-11-23 07:00:01")) == hours("2026-11-23", "10:00")


def test_notice_is_elapsed_time_across_a_clock_change() -> None:
    # A day's notice from Saturday noon in Berlin ends on Sunday at 13:00, because the night is an hour shorter.
    sunday = calendar("Europe/Berlin", "7 12:00-15:00", notice_minutes=24 * 60)
    assert starts(sunday, "2027-03-28", now=at("2027-03-27 11:00")) == hours("2027-03-28", "11:00", "12:00")


def test_start_at_the_current_instant_is_not_past() -> None:
    nine = calendar("UTC", "09:00-10:00")
    assert starts(nine, "2026-11-23", now=at("2026-11-23 09:00")) == ["2026-11-23 09:00"]
    assert starts(nine, "2026-11-23", now=at("2026-11-23 09:00:01")) == []


def test_horizon_counts_the_local_days_of_the_expert() -> None:
    tomorrow = calendar("Europe/Berlin", "00:00-24:00", horizon_days=1)
    before_midnight, after_midnight = at("2026-11-23 22:59"), at("2026-11-23 23:01")  # in Berlin
    assert tomorrow.horizon(before_midnight) == date(2026, 11, 24)
    assert tomorrow.horizon(after_midnight) == date(2026, 11, 25)
    assert starts(tomorrow, "2026-11-25", now=before_midnight) == []
    assert len(starts(tomorrow, "2026-11-25", now=after_midnight)) == 24
    assert starts(tomorrow, "2026-11-26", now=after_midnight) == []


def test_horizon_cuts_a_window_that_crosses_its_midnight() -> None:
    night = calendar("UTC", "22:00-26:00", horizon_days=1)
    slots = night.slots(at("2026-11-24 12:00"), at("2026-11-27 00:00"), at("2026-11-23 12:00"))
    assert [slot.starts_at for slot in slots] == [at("2026-11-24 22:00"), at("2026-11-24 23:00")]


def test_span_that_ends_before_it_begins_is_empty() -> None:
    assert calendar("UTC", "00:00-24:00").slots(at("2026-11-24 00:00"), at("2026-11-23 00:00"), PAST) == []


# --- booking ----------------------------------------------------------------------------------------------------

NOW = at("2026-11-23 08:00")  # a Monday


@pytest.mark.parametrize(
    ("starts_at", "reason", "options"),
    [
        ("2026-11-23 07:59:59", "past", {}),
        ("2020-01-01 09:00", "past", {}),
        ("2026-11-23 09:00", "min_notice", {"notice_minutes": 61}),
        ("2026-11-26 00:00", "beyond_horizon", {"horizon_days": 2}),
        ("2026-11-26 09:00", "beyond_horizon", {"horizon_days": 2}),
        ("2199-01-01 09:00", "beyond_horizon", {"horizon_days": 2}),
        ("2026-11-24 08:00", "outside_hours", {}),
        ("2026-11-24 17:00", "outside_hours", {}),
        ("2026-11-24 16:30", "outside_hours", {}),
        ("2026-11-28 09:00", "outside_hours", {}),
        ("2026-11-24 09:30", "off_grid", {}),
        ("2026-11-24 09:00:01", "off_grid", {}),
        ("2026-11-24 09:59:30", "off_grid", {}),
        ("2026-11-24 08:59:59.999999", "outside_hours", {}),
        ("2026-11-24 09:00:00.000001", "off_grid", {}),
        ("2026-11-24 09:00", "inactive", {"active": False}),
        ("2020-01-01 09:00", "inactive", {"active": False}),
    ],
)
def test_time_not_offered_is_refused_with_its_reason(starts_at: str, reason: str, options: dict[str, Any]) -> None:
    weekdays = [f"{day} 09:00-17:00" for day in range(1, 6)]
    with pytest.raises(SlotNotOffered) as refused:
        calendar("UTC", *weekdays, **options).offered(at(starts_at), now=NOW)
    assert refused.value.blocker.reason == reason


@pytest.mark.parametrize("held", [True, False])
def test_busy_time_is_refused_as_taken(held: bool) -> None:
    taken = calendar("UTC", "09:00-17:00", busy=(busy("10:30", "10:45", held=held),))
    with pytest.raises(SlotTaken):
        taken.offered(at("2026-11-23 10:00"), now=NOW)
    assert taken.offered(at("2026-11-23 11:00"), now=NOW).ends_at == at("2026-11-23 12:00")


def test_time_in_another_zone_is_the_same_instant() -> None:
    offered = calendar("Europe/Berlin", "09:00-17:00").offered(
        datetime(2026, 11, 24, 3, tzinfo=ZoneInfo("America/New_York")), now=NOW
    )
    assert offered.starts_at == at("2026-11-24 08:00")


def test_next_open_slot_is_found_past_full_days_and_up_to_the_horizon() -> None:
    full = tuple(Busy(at(f"2026-11-{day} 00:00"), at(f"2026-11-{day} 23:00")) for day in range(23, 28))
    week = calendar("UTC", "09:00-10:00", busy=full, horizon_days=5)
    found = week.next_open(NOW, at("2026-12-31 00:00"), NOW)
    assert found is not None
    assert found.starts_at == at("2026-11-28 09:00")
    assert week.next_open(NOW, at("2026-11-28 09:00"), NOW) is None
    assert calendar("UTC", "09:00-10:00", busy=full, horizon_days=4).next_open(NOW, at("2026-12-31 00:00"), NOW) is None
