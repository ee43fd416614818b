"""The times of blocks that repeat every week."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from expert_booking.domain.blocks import WeeklyBlock

BERLIN = ZoneInfo("Europe/Berlin")
WEEK = timedelta(days=7)


def times(block: WeeklyBlock, after: date, until: date, zone: ZoneInfo = BERLIN) -> list[str]:
    """The starts and ends in UTC, as far as they exist."""
    found = [block.on(day, zone) for day in block.days(after, until)]
    return [f"{start:%m-%d %H:%M}–{end:%H:%M}" for start, end in filter(None, found)]


def at(text: str) -> datetime:
    """A local time."""
    return datetime.fromisoformat(text)


def test_block_keeps_its_wall_clock_time_when_the_clocks_change() -> None:
    lunch = WeeklyBlock(at("2026-10-20T12:10"), at("2026-10-20T12:55"))
    assert times(lunch, date(2026, 10, 19), date(2026, 11, 3)) == [
        "10-20 10:10–10:55", "10-27 11:10–11:55", "11-03 11:10–11:55",
    ]  # fmt: skip


def test_dates_after_a_date_leave_out_that_date_and_earlier_ones() -> None:
    block = WeeklyBlock(at("2026-11-03T09:00"), at("2026-11-03T10:00"))
    assert list(block.days(date(2026, 11, 3), date(2026, 11, 17))) == [date(2026, 11, 10), date(2026, 11, 17)]
    assert list(block.days(date(2026, 11, 4), date(2026, 11, 9))) == []
    assert list(block.days(date(2026, 10, 1), date(2026, 11, 3))) == [date(2026, 11, 3)]


def test_last_date_is_included() -> None:
    block = WeeklyBlock(at("2026-11-03T09:00"), at("2026-11-03T10:00"), date(2026, 11, 10))
    assert list(block.days(date(2026, 11, 2), date(2027, 11, 3))) == [date(2026, 11, 3), date(2026, 11, 10)]


def test_block_past_midnight_ends_on_the_next_local_date() -> None:
    night = WeeklyBlock(at("2026-11-03T22:30"), at("2026-11-04T01:00"))
    assert night.on(date(2026, 11, 10), BERLIN) == (
        datetime(2026, 11, 10, 21, 30, tzinfo=UTC), datetime(2026, 11, 11, 0, 0, tzinfo=UTC),
    )  # fmt: skip


def test_block_inside_the_hour_that_the_clocks_skip_is_left_out() -> None:
    block = WeeklyBlock(at("2027-03-21T02:10"), at("2027-03-21T02:40"))
    assert block.on(date(2027, 3, 28), BERLIN) is None
    # A block that reaches out of it is shortened.
    longer = WeeklyBlock(at("2027-03-21T02:10"), at("2027-03-21T04:00"))
    assert times(longer, date(2027, 3, 27), date(2027, 3, 28)) == ["03-28 01:00–02:00"]


def test_block_across_the_hour_that_the_clocks_repeat_is_longer() -> None:
    block = WeeklyBlock(at("2027-10-24T01:00"), at("2027-10-24T04:00"))
    assert times(block, date(2027, 10, 23), date(2027, 10, 31)) == ["10-23 23:00–02:00", "10-30 23:00–03:00"]
