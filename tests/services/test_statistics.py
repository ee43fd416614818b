"""Statistics of an expert's bookings, with figures computed by hand."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import psycopg
import pytest
from pydantic import ValidationError

from expert_booking.domain.errors import ExpertNotFound, FieldsWrong
from expert_booking.domain.lifecycle import Status
from expert_booking.domain.statistics import Period
from expert_booking.schemas import (
    BlockRequest,
    BookingQuery,
    Caller,
    DaysOffRequest,
    Role,
    SessionTypeRequest,
    Statistics,
    StatisticsQuery,
)
from expert_booking.services import Services
from expert_booking.services.calendars import CalendarKey
from expert_booking.services.csv_exports import statistics_csv
from tests.conftest import AddExpert, Book, Clock
from tests.services.conftest import Counted

Connection = psycopg.Connection[tuple[Any, ...]]
HOUR, MINUTE, DAY = timedelta(hours=1), timedelta(minutes=1), timedelta(days=1)
ADMIN = Caller(role=Role.ADMIN)
BERLIN = ZoneInfo("Europe/Berlin")
NINE = datetime(2026, 11, 24, 8, tzinfo=UTC)  # Tuesday, 09:00 in Berlin


async def read(services: Services, expert: UUID, first: str = "", last: str = "") -> Statistics:
    """The statistics of these days."""
    query = {name: day for name, day in (("from", first), ("to", last)) if day}
    return await services.statistics.read(CalendarKey(expert), StatisticsQuery.model_validate(query))


def started(statistics: Statistics) -> dict[tuple[int, int], int]:
    """The bookings by weekday (1 is Monday) and hour."""
    return {
        (weekday, hour): count
        for weekday, row in enumerate(statistics.hours, start=1)
        for hour, count in enumerate(row)
        if count
    }


async def test_bookings_are_counted_by_week_session_type_and_hour(
    services: Services, add_expert: AddExpert, book: Book, sql: Connection
) -> None:
    short = SessionTypeRequest(title="Short talk", minutes=30, step_minutes=30, notice_minutes=0)
    long = SessionTypeRequest(title="Long talk", minutes=120, step_minutes=60, notice_minutes=0)
    expert = await add_expert(session_types=[short, long], weekdays=range(1, 6))
    types = {one.title: one.id for one in (await services.calendars.expert(CalendarKey(expert))).session_types}
    made = {
        name: await book(expert, NINE + hours * HOUR, session_type_id=types[title])
        for name, title, hours in (
            ("done", "Short talk", 0), ("missed", "Long talk", 1), ("cancelled", "Short talk", 4),
            ("declined", "Short talk", 5), ("next week", "Short talk", 7 * 24),
        )
    }  # fmt: skip
    for name, status in (("cancelled", "cancelled"), ("declined", "declined"), ("missed", "confirmed")):
        await services.bookings.change_status(made[name].id, Status(status), ADMIN)
    sql.execute("UPDATE booking SET status = 'no_show' WHERE id = %s", [made["missed"].id])
    sql.execute("UPDATE booking SET created_at = starts_at - interval '3 days'")
    sql.execute("UPDATE booking SET created_at = starts_at - interval '1 hour' WHERE id = %s", [made["missed"].id])

    found = await read(services, expert, "2026-11-23", "2026-12-06")
    this, following = found.weeks
    # 5 days of 8 hours are offered in each week; 30 and 120 minutes are booked in the first.
    assert this.model_dump() == {
        "week": date(2026, 11, 23), "bookings": 2, "cancelled": 1, "declined": 1, "no_shows": 1,
        "booked_minutes": 150, "lead_minutes": (3 * 24 * 60 + 60) // 2, "offered_minutes": 2400, "utilisation": 0.0625,
    }  # fmt: skip
    assert (following.week, following.bookings, following.booked_minutes) == (date(2026, 11, 30), 1, 30)
    assert following.utilisation == 0.0125
    total = found.total
    assert (total.bookings, total.cancelled, total.declined, total.no_shows) == (3, 1, 1, 1)
    assert (total.booked_minutes, total.offered_minutes, total.lead_minutes) == (180, 4800, 3 * 24 * 60)
    assert [(one.title, one.bookings, one.booked_minutes, one.cancelled) for one in found.session_types] == [
        ("Short talk", 2, 60, 1), ("Long talk", 1, 120, 0)
    ]  # fmt: skip
    assert started(found) == {(2, 9): 2, (2, 10): 1}


async def test_figures_are_right_across_the_end_of_summer_time(
    services: Services, add_expert: AddExpert, book: Book, clock: Clock
) -> None:
    clock.now = datetime(2027, 10, 20, tzinfo=UTC)
    expert = await add_expert(hours=(0, 1440), weekdays=[7], minutes=60, step_minutes=60)
    # On Sunday, 2027-10-31 clocks go back from 03:00 to 02:00. These start at 02:00 twice, and at 23:00.
    for utc_hour in (0, 1, 22):
        await book(expert, datetime(2027, 10, 31, utc_hour, tzinfo=UTC))
    # And one on the Sunday before, in summer time: 23:00 is 21:00 UTC.
    await book(expert, datetime(2027, 10, 24, 21, tzinfo=UTC))
    found = await read(services, expert, "2027-10-18", "2027-10-31")
    assert [(week.bookings, week.offered_minutes) for week in found.weeks] == [(1, 24 * 60), (3, 25 * 60)]
    assert found.weeks[1].utilisation == 0.12
    assert started(found) == {(7, 2): 2, (7, 23): 2}
    # The week ends at midnight in Berlin, 23:00 UTC: one hour later than a week in summer time.
    assert (await read(services, expert, "2027-10-31", "2027-10-31")).total.bookings == 3
    assert (await read(services, expert, "2027-11-01", "2027-11-07")).total.bookings == 0


async def test_figures_are_right_across_the_start_of_summer_time(
    services: Services, add_expert: AddExpert, book: Book, clock: Clock
) -> None:
    clock.now = datetime(2027, 3, 20, tzinfo=UTC)
    expert = await add_expert(hours=(0, 1440), minutes=60, step_minutes=60)
    # On Sunday, 2027-03-28 the clocks go from 02:00 (01:00 UTC) to 03:00.
    for utc_hour in (0, 1):
        await book(expert, datetime(2027, 3, 28, utc_hour, tzinfo=UTC))
    found = await read(services, expert, "2027-03-28", "2027-03-28")
    assert found.total.offered_minutes == 23 * 60
    assert started(found) == {(7, 1): 1, (7, 3): 1}
    assert found.weeks[0].week == date(2027, 3, 22)


async def test_offered_hours_follow_the_calendar(services: Services, add_expert: AddExpert) -> None:
    expert = await add_expert(hours=(22 * 60, 26 * 60), weekdays=[7])  # Sundays from 22:00 until 02:00 on Mondays
    found = await read(services, expert, "2026-11-23", "2026-12-06")
    # The two hours of Monday belong to the next week; those before the first Monday are from the Sunday before.
    assert [week.offered_minutes for week in found.weeks] == [240, 240]
    assert (await read(services, expert, "2026-11-29", "2026-11-29")).total.offered_minutes == 120
    off = DaysOffRequest(first_day=date(2026, 11, 29), last_day=date(2026, 11, 29))
    await services.calendars.add_days_off(CalendarKey(expert), off)
    found = await read(services, expert, "2026-11-23", "2026-12-06")
    assert [week.offered_minutes for week in found.weeks] == [120, 120]
    assert found.total.utilisation == 0


def test_blocked_time_is_not_offered() -> None:
    period = Period(BERLIN, date(2026, 11, 23), date(2026, 11, 29))
    openings = [(NINE, NINE + 8 * HOUR), (NINE + DAY, NINE + DAY + 8 * HOUR)]
    blocked = [(NINE - HOUR, NINE + HOUR), (NINE + 2 * HOUR, NINE + 3 * HOUR), (NINE + 7 * HOUR, NINE + 20 * HOUR)]
    assert period.minutes_by_week(openings, []) == [960]
    assert period.minutes_by_week(openings, blocked) == [480 + 8 * 60 - 3 * 60]
    assert period.minutes_by_week(openings, [(NINE - DAY, NINE + 2 * DAY)]) == [0]


@pytest.mark.parametrize(
    ("zone", "day", "changes"),
    [
        ("Europe/Berlin", date(2027, 10, 31), [(datetime(2027, 10, 31, 1, tzinfo=UTC), HOUR)]),
        ("Australia/Lord_Howe", date(2027, 4, 4), [(datetime(2027, 4, 3, 15, tzinfo=UTC), 10 * HOUR + 30 * MINUTE)]),
        ("Asia/Kathmandu", date(2027, 4, 4), []),
    ],
)
def test_offsets_change_at_the_minute(zone: str, day: date, changes: list[Any]) -> None:
    period = Period(ZoneInfo(zone), day - 3 * DAY, day + 3 * DAY)
    first, *others = period.offsets()
    assert first == (period.since, period.since.astimezone(ZoneInfo(zone)).utcoffset())
    assert others == changes


async def test_default_is_twelve_weeks_with_the_current_one(services: Services, add_expert: AddExpert) -> None:
    found = await read(services, await add_expert())  # on Monday, 2026-11-23
    assert (found.since, found.until, len(found.weeks)) == (date(2026, 9, 7), date(2026, 11, 29), 12)
    assert found.total.lead_minutes is None


async def test_holds_and_unconfirmed_bookings_do_not_count(
    services: Services, add_expert: AddExpert, book: Book, sql: Connection
) -> None:
    expert = await add_expert(email_verification="always")
    await book(expert, NINE, visitor=b"v" * 32)
    assert (await read(services, expert)).total.bookings == 0
    sql.execute("UPDATE booking SET verify_by = NULL")
    assert (await read(services, expert)).total.bookings == 1


async def test_bookings_of_other_experts_and_erased_customers(
    services: Services, add_expert: AddExpert, book: Book, sql: Connection
) -> None:
    expert, other = await add_expert(), await add_expert(name="Omar Haddad", email="omar@example.com")
    await book(other, NINE)
    await book(expert, NINE)
    sql.execute("UPDATE booking SET name = '', email = '', customer_key = '' WHERE expert_id = %s", [expert])
    assert (await read(services, expert)).total.bookings == 1


@pytest.mark.parametrize(
    "days", [{"from": "2026-11-24", "to": "2026-11-23"}, {"from": "2024-01-01", "to": "2026-01-01"}, {"days": 3}]
)
def test_impossible_days_are_refused(days: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        StatisticsQuery.model_validate(days)


async def test_too_many_days_without_an_end_are_refused(services: Services, add_expert: AddExpert) -> None:
    expert = await add_expert()
    with pytest.raises(FieldsWrong):
        await read(services, expert, first="2020-01-01")
    with pytest.raises(ExpertNotFound):
        await read(services, UUID(int=1))


async def test_statistics_take_a_constant_number_of_statements(
    services: Services, add_expert: AddExpert, book: Book, counted: Counted
) -> None:
    expert = await add_expert()
    for hour in range(4):
        await book(expert, NINE + hour * HOUR)
    with counted() as sent:
        await read(services, expert)
    assert len(sent) == 5


async def test_csv_has_the_same_figures(services: Services, add_expert: AddExpert, book: Book, sql: Connection) -> None:
    expert = await add_expert(title="=Talk")
    await book(expert, NINE)
    sql.execute("UPDATE booking SET created_at = starts_at - interval '90 minutes'")
    text = statistics_csv(await read(services, expert, "2026-11-23", "2026-11-29"))
    assert text.removeprefix("\ufeff").split("\r\n") == [
        "group,label,bookings,cancelled,declined,noShows,bookedMinutes,offeredMinutes,utilisation,leadMinutes",
        "total,2026-11-23 to 2026-11-29,1,0,0,0,60,3360,0.0179,90",
        "week,2026-11-23,1,0,0,0,60,3360,0.0179,90",
        "session type,'=Talk,1,0,0,0,60,,,90",
        "hour,Tuesday 09:00,1,,,,,,,",
        "",
    ]


async def test_blocks_are_no_bookings_and_reduce_the_offered_hours(
    services: Services, add_expert: AddExpert, book: Book
) -> None:
    expert = await add_expert()
    host = Caller(role=Role.EXPERT, expert_id=expert)
    await book(expert, NINE)
    block = BlockRequest(starts_at=NINE + 2 * HOUR, ends_at=NINE + 3 * HOUR, note="Dentist")
    await services.blocks.add(expert, block, host)
    found = await read(services, expert, "2026-11-24", "2026-11-24")
    assert (found.total.bookings, found.total.booked_minutes, found.total.offered_minutes) == (1, 60, 7 * 60)
    listed = await services.booking_lists.page(BookingQuery(expert_id=expert), host)
    assert [one.starts_at for one in listed.bookings] == [NINE]
