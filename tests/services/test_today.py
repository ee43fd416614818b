"""What a host has to do today: requests, ended sessions, the agenda, what needs attention, and the week's figures."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from expert_booking.domain.errors import ExpertNotFound, Forbidden, NotAuthenticated
from expert_booking.domain.hours import OverrideKind
from expert_booking.domain.lifecycle import Status
from expert_booking.domain.terms import Confirmation, EmailVerification
from expert_booking.schemas import (
    BookingView,
    Caller,
    DaysOffRequest,
    DayWindow,
    ExpertChange,
    NewSessionType,
    OverrideRequest,
    Role,
    TodayView,
    WeeklyPlan,
    WeeklyWindow,
)
from expert_booking.services import Services
from tests.conftest import AddExpert, Book, Clock
from tests.services.conftest import Counted

Connection = psycopg.Connection[tuple[Any, ...]]
# The clock of these tests: Tuesday, 24 November 2026, 12:00 in Berlin.
NOON = datetime(2026, 11, 24, 11, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
MORNING = NOON - 28 * HOUR  # when the bookings are made
TOMORROW_NINE = NOON + 21 * HOUR
ADMIN = Caller(role=Role.ADMIN)
INSTANTLY = {"confirmation": Confirmation.INSTANT, "horizon_days": 200}


@pytest.fixture(autouse=True)
def clock(clock: Clock) -> Clock:
    """A clock at Monday morning, when the bookings of these tests are made."""
    clock.now = MORNING
    return clock


def host_of(expert: UUID) -> Caller:
    """The expert as a caller."""
    return Caller(role=Role.EXPERT, expert_id=expert)


async def read(services: Services, expert: UUID) -> TodayView:
    """What the expert has to do."""
    return await services.today.read(expert, host_of(expert))


def ids(bookings: Any) -> list[UUID]:
    """The ids of these bookings."""
    return [one.id for one in bookings]


def set_status(sql: Connection, booking: BookingView, status: Status) -> None:
    """Change a status by hand."""
    sql.execute("UPDATE booking SET status = %s WHERE id = %s", [status, booking.id])


async def test_only_hosts_of_the_calendar_may_read_it(services: Services, add_expert: AddExpert) -> None:
    expert = await add_expert()
    other = await add_expert(name="Omar Haddad", email="omar@example.com")
    callers = [
        (None, NotAuthenticated),
        (host_of(other), Forbidden),
        (Caller(role=Role.READER), Forbidden),
        (Caller(role=Role.CUSTOMER, customer_key="ada@example.com"), Forbidden),
    ]
    for caller, refusal in callers:
        with pytest.raises(refusal):
            await services.today.read(expert, caller)
        with pytest.raises(refusal):
            await services.today.day(expert, NOON.date(), caller)
    assert (await services.today.read(expert, ADMIN)).slug == "jana-muller"
    with pytest.raises(ExpertNotFound):
        await services.today.read(uuid4(), ADMIN)


async def test_requests_come_by_deadline_without_unconfirmed_addresses_and_other_experts(
    services: Services, add_expert: AddExpert, book: Book, clock: Clock
) -> None:
    expert = await add_expert(answer_minutes=3 * 24 * 60)
    careful = await add_expert(name="Vera", email="vera@example.com", email_verification=EmailVerification.ALWAYS)
    late = await book(expert, NOON + 2 * DAY)
    clock.advance(hours=1)
    soon = await book(expert, NOON + HOUR)  # to be answered before the start
    await book(careful, NOON + 3 * HOUR)
    clock.now = NOON
    view = await read(services, expert)
    assert ids(view.requests) == [soon.id, late.id]
    assert view.week.requests == 2
    assert (await read(services, careful)).requests == []
    assert (await read(services, careful)).week.requests == 0


async def test_each_session_of_the_two_days_is_in_one_list(
    services: Services, add_expert: AddExpert, book: Book, clock: Clock, sql: Connection
) -> None:
    expert = await add_expert(hours=(0, 24 * 60), **INSTANTLY)
    yesterday = await book(expert, NOON - 15 * HOUR)
    past_midnight = await book(expert, NOON - 14 * HOUR)
    done, ended, cancelled, running, ahead = [await book(expert, NOON + n * HOUR) for n in (-4, -2, -1, 0, 3)]
    last, first, tomorrow, later = [await book(expert, NOON + n * HOUR) for n in (11, 12, 20, 36)]
    set_status(sql, done, Status.COMPLETED)
    set_status(sql, cancelled, Status.CANCELLED)
    sql.execute(
        "UPDATE booking SET starts_at = starts_at + interval '90 minutes', ends_at = ends_at + interval '90 minutes',"
        " busy = tstzrange(starts_at + interval '90 minutes', ends_at + interval '90 minutes') WHERE id = %s",
        [past_midnight.id],
    )
    clock.now = NOON
    view = await read(services, expert)
    assert ids(view.unmarked) == [ended.id, past_midnight.id, yesterday.id]
    assert ids(view.sessions_today) == [done.id, running.id, ahead.id, last.id]
    assert ids(view.sessions_tomorrow) == [first.id, tomorrow.id]
    assert later.id not in ids([*view.sessions_today, *view.sessions_tomorrow])
    assert (view.today, view.changes_at) == (date(2026, 11, 24), running.ends_at)
    clock.now = running.ends_at
    assert ids((await read(services, expert)).unmarked)[0] == running.id
    day = await services.today.day(expert, date(2026, 11, 24), host_of(expert))
    assert ids(day) == [past_midnight.id, done.id, ended.id, running.id, ahead.id, last.id]


async def test_days_are_those_of_the_expert(
    services: Services, add_expert: AddExpert, book: Book, clock: Clock
) -> None:
    expert = await add_expert(time_zone="Pacific/Auckland", hours=(0, 24 * 60), **INSTANTLY)
    clock.now = NOON  # 00:00 on Wednesday in Auckland
    evening = await book(expert, NOON + 23 * HOUR)
    midnight = await book(expert, NOON + 24 * HOUR)
    view = await read(services, expert)
    assert (view.today, view.time_zone) == (date(2026, 11, 25), "Pacific/Auckland")
    assert (ids(view.sessions_today), ids(view.sessions_tomorrow)) == ([evening.id], [midnight.id])


async def test_more_ended_sessions_than_are_listed(
    services: Services, add_expert: AddExpert, book: Book, clock: Clock, sql: Connection
) -> None:
    expert = await add_expert(**INSTANTLY)
    await book(expert, NOON + DAY)
    sql.execute(
        "INSERT INTO booking (expert_id, session_type_id, starts_at, ends_at, busy, status, name, email, customer_key)"
        " SELECT expert_id, session_type_id, at, at + interval '1 hour', tstzrange(at, at + interval '1 hour'),"
        " 'confirmed', 'Ada', 'ada@example.com', 'ada@example.com' FROM booking,"
        " generate_series(timestamptz '2026-11-20', '2026-11-22 12:00', '1 hour') AS at"
    )
    view = await read(services, expert)
    assert (len(view.unmarked), view.has_more_unmarked) == (20, True)


async def test_figures_of_the_week_count_sessions_that_start_in_it(
    services: Services, add_expert: AddExpert, book: Book, clock: Clock, sql: Connection
) -> None:
    clock.now = MORNING - 7 * DAY
    expert = await add_expert(minutes=90, step_minutes=30, hours=(0, 24 * 60), **INSTANTLY)
    monday = datetime(2026, 11, 22, 23, tzinfo=UTC)  # 00:00 in Berlin
    statuses = {
        -2 * HOUR: Status.COMPLETED, 0 * HOUR: Status.COMPLETED, DAY: Status.NO_SHOW, 2 * DAY: Status.CANCELLED,
        3 * DAY: Status.DECLINED, 6 * DAY + 22 * HOUR: Status.CONFIRMED, 7 * DAY: Status.CONFIRMED,
    }  # fmt: skip
    for after, status in statuses.items():
        set_status(sql, await book(expert, monday + after), status)
    clock.now = NOON
    week = (await read(services, expert)).week
    assert (week.first_day, week.sessions, week.hours, week.missed) == (date(2026, 11, 23), 3, 4.5, 2)


async def test_set_up_follows_profile_hours_and_session_types(services: Services, add_expert: AddExpert) -> None:
    expert = await add_expert(session_types=[], rules=[])
    key = await services.calendars.key(str(expert), host_of(expert))
    steps = (await read(services, expert)).set_up
    assert (steps.profile, steps.hours, steps.session_type, steps.done, steps.is_bookable) == (*[False] * 3, 0, False)
    await services.calendars.change_expert(key, ExpertChange(headline="Finds work", bio="For eleven years."))
    window = WeeklyWindow(weekday=1, opens="09:00", closes="17:00", valid_until=date(2026, 11, 22))
    await services.calendars.put_plan(key, WeeklyPlan(time_zone="Europe/Berlin", windows=[window]))
    steps = (await read(services, expert)).set_up
    assert (steps.profile, steps.hours, steps.done) == (True, False, 1)  # these hours are over
    extra = OverrideRequest(kind=OverrideKind.EXTRA, windows=[DayWindow(opens="09:00", closes="10:00")])
    await services.calendars.put_override(key, date(2026, 11, 30), extra)
    assert (await read(services, expert)).set_up.hours
    hidden = await services.calendars.add_session_type(key, NewSessionType(title="First talk", active=False))
    assert not (await read(services, expert)).set_up.session_type
    await services.calendars.add_session_type(key, NewSessionType(title="Second talk"))
    await services.calendars.remove_session_type(key, hidden.id)
    steps = (await read(services, expert)).set_up
    assert (steps.done, steps.is_bookable) == (3, True)


async def test_bookings_on_days_off_and_holidays_need_attention(
    services: Services, add_expert: AddExpert, book: Book
) -> None:
    expert = await add_expert(country="DE", **INSTANTLY)
    key = await services.calendars.key(str(expert), host_of(expert))
    free, off, christmas, boxing_day = [
        await book(expert, datetime(2026, month, day, 9, tzinfo=UTC))
        for month, day in ((11, 27), (12, 2), (12, 25), (12, 26))
    ]
    assert (await read(services, expert)).closed_days == []
    days_off = DaysOffRequest(first_day=date(2026, 12, 1), last_day=date(2026, 12, 3), reason="Trade fair")
    await services.calendars.add_days_off(key, days_off)
    await services.calendars.change_expert(key, ExpertChange(closed_on_holidays=True))
    works = OverrideRequest(kind=OverrideKind.HOURS, windows=[DayWindow(opens="09:00", closes="17:00")])
    await services.calendars.put_override(key, date(2026, 12, 26), works)
    found = (await read(services, expert)).closed_days
    assert [(one.first_day, one.last_day, one.holiday, one.reason, ids(one.bookings)) for one in found] == [
        (date(2026, 12, 1), date(2026, 12, 3), None, "Trade fair", [off.id]),
        (date(2026, 12, 25), date(2026, 12, 25), "Christmas Day", "", [christmas.id]),
    ]
    assert not {free.id, boxing_day.id} & {one.id for closed in found for one in closed.bookings}


async def test_emails_that_cannot_be_delivered_need_attention(
    services: Services, add_expert: AddExpert, book: Book, sql: Connection
) -> None:
    expert = await add_expert(**INSTANTLY)
    other = await add_expert(name="Omar Haddad", email="omar@example.com", **INSTANTLY)
    made = await book(expert, TOMORROW_NINE)
    await book(other, TOMORROW_NINE)
    fail = "UPDATE message SET failed_at = now(), withheld = %s WHERE audience = %s"
    assert (await read(services, expert)).unsent_emails == []
    sql.execute(fail, ["silenced", "customer"])
    assert (await read(services, expert)).unsent_emails == []
    sql.execute(fail, ["refused", "customer"])
    sql.execute(fail, [None, "expert"])
    unsent = (await read(services, expert)).unsent_emails
    assert [(one.booking_id, one.to_expert, one.customer_name) for one in unsent] == [
        (made.id, False, "Ada Lovelace"),
        (made.id, True, "Ada Lovelace"),
    ]
    await services.bookings.change_status(made.id, Status.CANCELLED, ADMIN)
    assert (await read(services, expert)).unsent_emails == []


async def test_number_of_statements_does_not_depend_on_the_bookings(
    services: Services, add_expert: AddExpert, book: Book, counted: Counted
) -> None:
    expert = await add_expert()

    async def statements() -> int:
        with counted() as sent:
            await read(services, expert)
        return len(sent)

    before = await statements()
    for hour in range(6):
        await book(expert, TOMORROW_NINE + hour * HOUR)
    assert before == await statements() <= 10
