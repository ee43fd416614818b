"""Wall-clock times around the changes of the clocks, and the instants they stand for."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from expert_booking.domain.errors import FieldsWrong
from expert_booking.domain.wall_clock import clock_change, instant_at, instants_at, wall_span

BERLIN, LORD_HOWE = ZoneInfo("Europe/Berlin"), ZoneInfo("Australia/Lord_Howe")
HALF_PAST_TWO = timedelta(hours=2, minutes=30)
SPRING, AUTUMN = datetime.fromisoformat("2027-03-28T00:00"), datetime.fromisoformat("2027-10-31T00:00")


def test_a_time_that_the_clock_shows_twice_is_two_instants() -> None:
    first, second = instants_at(BERLIN, AUTUMN + HALF_PAST_TWO)
    assert first == datetime(2027, 10, 31, 0, 30, tzinfo=UTC)
    assert second == first + timedelta(hours=1)
    assert instant_at(BERLIN, AUTUMN + HALF_PAST_TWO, field="startsAt") == first
    assert instant_at(BERLIN, AUTUMN + HALF_PAST_TWO, field="startsAt", second=True) == second


def test_a_time_that_the_clock_skips_is_refused_with_a_sentence() -> None:
    assert instants_at(BERLIN, SPRING + HALF_PAST_TWO) == ()
    with pytest.raises(FieldsWrong) as refusal:
        instant_at(BERLIN, SPRING + HALF_PAST_TWO, field="startsAt")
    assert refusal.value.errors == {
        "startsAt": "The clocks skip 02:30 on Sunday, 28 March 2027 (Europe/Berlin). Please choose another time."
    }


@pytest.mark.parametrize(
    ("zone", "day", "times"),
    [
        (BERLIN, date(2027, 3, 28), ("02:00", "03:00", False)),
        (BERLIN, date(2027, 10, 31), ("02:00", "03:00", True)),
        (LORD_HOWE, date(2027, 4, 4), ("01:30", "02:00", True)),
    ],
)
def test_clock_changes_are_found(zone: ZoneInfo, day: date, times: tuple[str, str, bool]) -> None:
    change = clock_change(zone, day)
    assert change is not None
    assert (f"{change.begins:%H:%M}", f"{change.ends:%H:%M}", change.twice) == times
    assert change.begins.date() == day


def test_most_days_have_no_clock_change() -> None:
    assert clock_change(BERLIN, date(2027, 3, 27)) is None
    assert clock_change(ZoneInfo("UTC"), date(2027, 3, 28)) is None


def test_a_span_over_the_repeated_hour_keeps_its_length() -> None:
    begins = datetime(2027, 10, 31, 0, 45, tzinfo=UTC)  # 02:45, and it ends at 02:15
    assert wall_span(begins, begins + timedelta(minutes=30), BERLIN) == (
        AUTUMN + timedelta(minutes=165),
        AUTUMN + timedelta(minutes=195),
    )
