"""Times formatted for people."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from expert_booking.domain import formatting
from expert_booking.domain.lifecycle import Status

BERLIN, KATHMANDU, NEW_YORK = ZoneInfo("Europe/Berlin"), ZoneInfo("Asia/Kathmandu"), ZoneInfo("America/New_York")
NINE = datetime(2026, 11, 24, 8, tzinfo=UTC)  # 09:00 in Berlin
FOLD = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)  # the first 02:30 in Berlin
HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("minutes", "text"),
    [(-5, "Less than a minute left"), (0.9, "Less than a minute left"), (1, "1 min left"), (59.9, "59 min left"),
     (60, "1 h 0 min left"), (192, "3 h 12 min left"), (2879, "47 h 59 min left"), (2880, "2 days left"),
     (5000, "3 days left")],
)  # fmt: skip
def test_time_left_is_in_the_units_that_matter(minutes: float, text: str) -> None:
    assert formatting.time_left(timedelta(minutes=minutes)) == text


def test_time_is_shown_in_its_zone() -> None:
    assert [formatting.clock_time(NINE, zone) for zone in (BERLIN, KATHMANDU, NEW_YORK)] == ["09:00", "13:45", "03:00"]


def test_repeated_hour_shows_offsets_and_other_times_do_not() -> None:
    hours = [FOLD + number * HOUR for number in (-1, 0, 1, 2)]
    assert [formatting.clock_time(at, BERLIN) for at in hours] == ["01:30", "02:30 (UTC+2)", "02:30 (UTC+1)", "03:30"]


def test_times_around_a_gap_are_plain() -> None:
    gap = datetime(2027, 3, 28, 0, 30, tzinfo=UTC)
    assert [formatting.clock_time(gap + number * HOUR, BERLIN) for number in (0, 1)] == ["01:30", "03:30"]


def test_span_names_its_end_day_only_if_it_differs() -> None:
    assert formatting.time_span(NINE, NINE + HOUR, BERLIN) == "09:00–10:00"
    late = datetime(2026, 11, 24, 22, 30, tzinfo=UTC)
    assert formatting.time_span(late, late + HOUR, BERLIN) == "23:30–00:30 on Wed 25 Nov"
    assert formatting.time_span(late, late + HOUR, NEW_YORK) == "17:30–18:30"


def test_days_have_no_leading_zeros_and_follow_the_zone() -> None:
    at = datetime(2026, 11, 30, 23, 30, tzinfo=UTC)
    assert (formatting.long_day(at, BERLIN), formatting.short_day(at, BERLIN)) == (
        "Tuesday, 1 December 2026",
        "Tue 1 Dec",
    )
    assert formatting.long_day(at, NEW_YORK) == "Monday, 30 November 2026"


def test_today_and_tomorrow_follow_the_clock_of_the_reader() -> None:
    now = datetime(2026, 11, 23, 22, 30, tzinfo=UTC)  # 23:30 in Berlin, already Tuesday in Kathmandu
    assert formatting.near_time(NINE, BERLIN, now) == "Tomorrow, 09:00"
    assert formatting.near_time(NINE, KATHMANDU, now) == "Today, 13:45"
    assert formatting.near_time(NINE + timedelta(days=1), BERLIN, now) == "Wed 25 Nov, 09:00"


@pytest.mark.parametrize(
    ("zone", "offset"),
    [("UTC", "UTC"), ("Europe/London", "UTC"), ("Europe/Berlin", "UTC+1"), ("Asia/Kathmandu", "UTC+5:45"),
     ("America/Sao_Paulo", "UTC−3"), ("America/St_Johns", "UTC−3:30"), ("Pacific/Kiritimati", "UTC+14")],
)  # fmt: skip
def test_utc_offsets_are_written_for_people(zone: str, offset: str) -> None:
    assert formatting.offset(NINE, ZoneInfo(zone)) == offset


def test_zone_is_shown_with_its_offset_at_that_time() -> None:
    summer = datetime(2026, 7, 1, tzinfo=UTC)
    assert (formatting.zone_at(BERLIN, NINE), formatting.zone_at(BERLIN, summer)) == (
        "Europe/Berlin (UTC+1)", "Europe/Berlin (UTC+2)")  # fmt: skip
    assert formatting.zone_at(NEW_YORK, NINE) == "America/New York (UTC−5)"
    assert formatting.zone_at(ZoneInfo("UTC"), NINE) == "UTC"


def test_slots_and_links_use_utc_seconds_with_z() -> None:
    assert formatting.iso(NINE.astimezone(KATHMANDU)) == "2026-11-24T08:00:00Z"
    assert formatting.iso(NINE + timedelta(microseconds=7)) == "2026-11-24T08:00:00Z"


def test_every_status_has_a_label() -> None:
    assert set(formatting.STATUS) == set(Status)
    assert all(formatting.STATUS.values())


def test_lengths_are_minutes_and_a_range_only_if_they_differ() -> None:
    texts = [formatting.minutes(30, 90), formatting.minutes(45, 45), formatting.minutes(60)]
    assert texts == ["30 to 90 minutes", "45 minutes", "60 minutes"]


def test_instant_is_shown_with_day_and_zone() -> None:
    assert formatting.moment(NINE, KATHMANDU) == "Tuesday, 24 November 2026, 13:45, Asia/Kathmandu (UTC+5:45)"
