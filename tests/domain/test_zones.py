"""Hours of one local date in zones all over the world, with hand-written instants.

Offsets come from the zones' laws, not from the code under test. Each row says what is special about it.
"""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from expert_booking.domain.calendar import Calendar, SessionLength
from expert_booking.domain.hours import AvailabilityRule, Hours

PAST = datetime(2020, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)

# zone, local date, hours, session length and step in minutes, starts in UTC (on the local date by default), note
CASES = [
    # The worked examples of the design.
    ("Europe/Berlin", "2027-03-28", "01:00-05:00", 60, "00:00 01:00 02:00", "an hour is lost"),
    ("Europe/Berlin", "2026-10-25", "01:00-05:00", 60, "24T23:00 00:00 01:00 02:00 03:00", "an hour is gained"),
    ("America/New_York", "2026-10-30", "09:00-10:00", 60, "13:00", "summer time"),
    ("America/New_York", "2026-11-02", "09:00-10:00", 60, "14:00", "winter time"),
    # Clocks that change by an hour.
    ("Europe/London", "2027-03-28", "00:00-03:00", 60, "00:00 01:00", "01:00 is skipped"),
    ("Europe/London", "2026-10-25", "00:00-03:00", 60, "24T23:00 00:00 01:00 02:00", "01:00 comes twice"),
    ("Europe/Dublin", "2026-10-25", "00:00-03:00", 60, "24T23:00 00:00 01:00 02:00", "winter time is the exception"),
    ("America/New_York", "2027-03-14", "01:00-04:00", 60, "06:00 07:00", "02:00 is skipped"),
    ("America/New_York", "2026-11-01", "00:00-03:00", 60, "04:00 05:00 06:00 07:00", "01:00 comes twice"),
    ("Australia/Sydney", "2026-10-04", "01:00-04:00", 60, "03T15:00 03T16:00", "spring in October"),
    ("Australia/Sydney", "2027-04-04", "01:00-04:00", 60, "03T14:00 03T15:00 03T16:00 03T17:00", "autumn in April"),
    ("Pacific/Auckland", "2026-09-27", "01:00-04:00", 60, "26T13:00 26T14:00", "spring in September"),
    ("Pacific/Chatham", "2027-04-04", "02:00-05:00", 60, "03T12:15 03T13:15 03T14:15 03T15:15", "at 03:45, to 02:45"),
    # Half an hour, and two hours.
    ("Australia/Lord_Howe", "2026-10-04", "01:00-04:00", 30, "03T14:30 03T15:00 03T15:30 03T16:00 03T16:30", "+30 min"),
    ("Australia/Lord_Howe", "2026-10-04", "01:00-04:00", 60, "03T14:30 03T15:30", "+30 min, whole hours"),
    ("Australia/Lord_Howe", "2027-04-04", "01:00-03:00", 30,
     "03T14:00 03T14:30 03T15:00 03T15:30 03T16:00", "-30 min"),
    ("Antarctica/Troll", "2027-03-28", "00:00-05:00", 60, "00:00 01:00 02:00", "two hours are skipped"),
    ("Antarctica/Troll", "2026-10-25", "00:00-04:00", 60,
     "24T22:00 24T23:00 00:00 01:00 02:00 03:00", "two hours come twice"),
    # Midnight is skipped or repeated.
    ("America/Santiago", "2026-09-06", "00:00-03:00", 60, "04:00 05:00", "the day begins at 01:00"),
    ("America/Santiago", "2027-04-03", "22:00-24:00", 60, "04T01:00 04T02:00 04T03:00", "23:00 comes twice"),
    ("Africa/Cairo", "2027-04-30", "00:00-03:00", 60, "29T22:00 29T23:00", "the day begins at 01:00"),
    ("Africa/Cairo", "2026-10-29", "22:00-24:00", 60, "19:00 20:00 21:00", "23:00 comes twice"),
    ("Asia/Beirut", "2027-03-28", "00:00-03:00", 60, "27T22:00 27T23:00", "the day begins at 01:00"),
    ("Atlantic/Azores", "2027-03-28", "00:00-03:00", 60, "01:00 02:00", "the day begins at 01:00"),
    ("Atlantic/Azores", "2026-10-25", "00:00-02:00", 60, "00:00 01:00 02:00", "00:00 comes twice"),
    ("Atlantic/Azores", "2027-03-28", "00:00-03:00", 60, "01:00 02:00", "the day begins at 01:00"),
    ("Atlantic/Azores", "2026-10-25", "00:00-02:00", 60, "00:00 01:00 02:00", "00:00 comes twice"),
    ("America/Nuuk", "2027-03-27", "22:00-26:00", 60, "28T00:00 28T01:00 28T02:00", "23:00 on Saturday is skipped"),
    # Other ways in which hours meet a change.
    ("Europe/Berlin", "2027-03-28", "02:15-02:45", 15, "", "wholly inside the gap: nothing opens"),
    ("Europe/Berlin", "2027-03-28", "02:30-04:00", 60, "01:00", "opens inside the gap: at its end"),
    ("Europe/Berlin", "2027-03-28", "01:00-02:30", 60, "00:00", "closes inside the gap: at its end"),
    ("Europe/Berlin", "2026-10-25", "02:30-03:30", 60, "00:30 01:30", "from the first 02:30"),
    ("Europe/Berlin", "2026-10-25", "02:00-02:30", 30, "00:00 00:30 01:00", "to the second 02:30"),
    ("Europe/Berlin", "2027-03-27", "22:00-30:00", 120, "21:00 23:00 28T01:00", "over midnight and over the change"),
    ("America/New_York", "2026-10-31", "22:00-30:00", 180, "11-01T02:00 11-01T05:00 11-01T08:00", "and over the other"),
    # Zones whose rules changed recently.
    ("America/Asuncion", "2024-07-01", "09:00-10:00", 60, "13:00", "still with winter time"),
    ("America/Asuncion", "2025-07-01", "09:00-10:00", 60, "12:00", "summer time for good since 2024-10"),
    ("America/Asuncion", "2026-11-24", "09:00-10:00", 60, "12:00", "no change any more"),
    ("America/Sao_Paulo", "2027-01-15", "09:00-10:00", 60, "12:00", "no summer time since 2019"),
    ("America/Mexico_City", "2027-07-01", "09:00-10:00", 60, "15:00", "no summer time since 2022"),
    ("America/Tijuana", "2027-07-01", "09:00-10:00", 60, "16:00", "but at the border there is"),
    ("America/Ciudad_Juarez", "2027-01-15", "09:00-10:00", 60, "16:00", "a zone of its own since 2022"),
    ("Asia/Almaty", "2024-02-28", "09:00-10:00", 60, "03:00", "before 2024-03-01"),
    ("Asia/Almaty", "2024-03-02", "09:00-10:00", 60, "04:00", "after 2024-03-01"),
    ("Asia/Tehran", "2027-07-01", "09:00-10:00", 60, "05:30", "no summer time since 2022"),
    ("Asia/Amman", "2027-01-15", "09:00-10:00", 60, "06:00", "summer time for good since 2022"),
    ("Europe/Volgograd", "2027-01-15", "09:00-10:00", 60, "06:00", "Moscow's time since 2020"),
    ("Pacific/Apia", "2027-01-15", "09:00-11:00", 60, "14T20:00 14T21:00", "no summer time since 2021"),
    # Offsets far from UTC and not in whole hours.
    ("Pacific/Pago_Pago", "2026-11-24", "09:00-11:00", 60, "20:00 21:00", "eleven hours behind"),
    ("Pacific/Kiritimati", "2026-11-24", "09:00-11:00", 60, "23T19:00 23T20:00", "fourteen hours ahead"),
    ("Pacific/Kiritimati", "2026-11-24", "00:00-24:00", 480, "23T10:00 23T18:00 02:00", "a whole day there"),
    ("Pacific/Chatham", "2027-01-15", "09:00-10:00", 60, "14T19:15", "thirteen and three quarters ahead"),
    ("Asia/Kathmandu", "2026-11-24", "09:00-10:00", 60, "03:15", "five and three quarters"),
    ("Asia/Kolkata", "2026-11-24", "09:00-10:00", 60, "03:30", "five and a half"),
    ("Australia/Eucla", "2026-11-24", "09:00-10:00", 60, "00:15", "eight and three quarters"),
    ("Pacific/Marquesas", "2026-11-24", "09:00-10:00", 60, "18:30", "nine and a half behind"),
    ("America/St_Johns", "2027-07-01", "09:00-10:00", 60, "11:30", "two and a half behind in summer"),
    ("America/St_Johns", "2027-01-15", "09:00-10:00", 60, "12:30", "three and a half behind in winter"),
    ("Asia/Yangon", "2026-11-24", "09:00-10:00", 60, "02:30", "six and a half"),
    ("Asia/Kabul", "2026-11-24", "09:00-10:00", 60, "04:30", "four and a half"),
    ("UTC", "2028-02-29", "09:00-10:00", 60, "09:00", "a leap day"),
]  # fmt: skip


@pytest.mark.parametrize(("zone", "day", "hours", "minutes", "expected", "what"), CASES)
def test_hours_of_a_local_date_are_these_instants(
    zone: str, day: str, hours: str, minutes: int, expected: str, what: str
) -> None:
    local = date.fromisoformat(day)
    opens, closes = (int(clock[:2]) * 60 + int(clock[3:]) for clock in hours.split("-"))
    rule = AvailabilityRule(local.isoweekday(), opens, closes, valid_from=local, valid_until=local)
    calendar = Calendar(ZoneInfo(zone), Hours((rule,)), SessionLength(minutes, minutes, horizon_days=30_000))
    noon = datetime(local.year, local.month, local.day, 12, tzinfo=UTC)
    slots = calendar.slots(noon - 3 * DAY, noon + 3 * DAY, PAST)
    assert [slot.starts_at for slot in slots] == [instant(local, text) for text in expected.split()], what
    for slot in slots:
        assert calendar.offered(slot.starts_at, PAST) == slot


def instant(local: date, text: str) -> datetime:
    """An instant in UTC: `09:00` on the local date, `24T23:00` on another day, `11-01T02:00` in another month."""
    day, _, clock = text.rpartition("T")
    whole = f"{local:%Y-%m-%d}"
    return datetime.fromisoformat(f"{whole[: len(whole) - len(day)]}{day}T{clock}:00+00:00")


@pytest.mark.parametrize(
    ("zone", "day", "halves"),
    [
        ("Europe/Berlin", "2027-10-31", 50), ("Europe/Berlin", "2027-03-28", 46), ("Europe/Berlin", "2026-11-24", 48),
        ("Australia/Lord_Howe", "2026-10-04", 47), ("Australia/Lord_Howe", "2027-04-04", 49),
        ("Antarctica/Troll", "2027-03-28", 44), ("Antarctica/Troll", "2026-10-25", 52),
        ("America/Santiago", "2026-09-06", 46), ("Atlantic/Azores", "2026-10-25", 50),
    ],
)  # fmt: skip
def test_whole_day_has_the_number_of_half_hours_that_really_pass(zone: str, day: str, halves: int) -> None:
    local = date.fromisoformat(day)
    rule = AvailabilityRule(local.isoweekday(), 0, 1440, valid_from=local, valid_until=local)
    calendar = Calendar(ZoneInfo(zone), Hours((rule,)), SessionLength(30, 30, horizon_days=30_000))
    noon = datetime(local.year, local.month, local.day, 12, tzinfo=UTC)
    assert len(calendar.slots(noon - 3 * DAY, noon + 3 * DAY, PAST)) == halves
