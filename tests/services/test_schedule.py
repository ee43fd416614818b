"""What a host's calendar shows, and the search among an expert's customers."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from expert_booking.domain.errors import ExpertNotFound, FieldsWrong, Forbidden, NotAuthenticated
from expert_booking.domain.lifecycle import Actor, Status
from expert_booking.schemas import (
    BlockRequest,
    Caller,
    DaysOffRequest,
    EntryKind,
    HoldRequest,
    HostBookingRequest,
    Role,
    ScheduleView,
)
from expert_booking.services import Services
from expert_booking.services.calendars import CalendarKey
from tests.conftest import AddExpert, Book, Clock
from tests.services.conftest import Counted

Connection = psycopg.Connection[tuple[Any, ...]]
NINE = datetime(2026, 11, 24, 8, tzinfo=UTC)  # 09:00 in Berlin
MONDAY = datetime(2026, 11, 22, 23, tzinfo=UTC)  # the beginning of the week in Berlin
HOUR, DAY, WEEK = timedelta(hours=1), timedelta(days=1), timedelta(days=7)
ADMIN, READER = Caller(role=Role.ADMIN), Caller(role=Role.READER)
BROWSER = b"browser"


def host(expert: UUID) -> Caller:
    """The expert."""
    return Caller(role=Role.EXPERT, expert_id=expert)


async def week(services: Services, expert: UUID, since: datetime = MONDAY, until: datetime = MONDAY + WEEK
               ) -> ScheduleView:  # fmt: skip
    """The schedule, as the expert sees it."""
    return await services.schedule.week(expert, since, until, host(expert))


async def test_week_has_bookings_blocks_and_holds_with_what_hosts_may_see(
    services: Services, add_expert: AddExpert, book: Book
) -> None:
    expert = await add_expert(after_minutes=15)
    made = await book(expert, NINE)
    cancelled = await book(expert, NINE + 3 * HOUR)
    await services.bookings.change_status(cancelled.id, Status.CANCELLED, host(expert))
    await services.holds.take(HoldRequest(expert_id=expert, starts_at=NINE + 2 * HOUR), visitor=BROWSER, origin=b"o")
    block = BlockRequest(starts_at=NINE + 5 * HOUR, ends_at=NINE + 5 * HOUR + timedelta(minutes=7), note="Dentist")
    await services.blocks.add(expert, block, host(expert))
    booking, hold, blocked = (await week(services, expert)).entries
    assert (booking.kind, booking.id, booking.status, booking.version) == (
        EntryKind.BOOKING, made.id, Status.PENDING, 1,
    )  # fmt: skip
    assert (booking.customer_name, booking.session_title, booking.session_type_id) == (
        "Ada Lovelace", "Consultation", made.session_type_id,
    )  # fmt: skip
    assert (booking.busy_from, booking.busy_until) == (NINE, NINE + HOUR + timedelta(minutes=15))
    assert (hold.kind, hold.customer_name, hold.session_title) == (EntryKind.HOLD, None, None)
    assert (blocked.kind, blocked.note, blocked.session_type_id) == (EntryKind.BLOCK, "Dentist", None)


async def test_expired_holds_are_left_out_and_unverified_bookings_are_holds(
    services: Services, add_expert: AddExpert, book: Book, clock: Clock
) -> None:
    expert = await add_expert(email_verification="always")
    await services.holds.take(HoldRequest(expert_id=expert, starts_at=NINE), visitor=BROWSER, origin=b"o")
    await book(expert, NINE + HOUR)
    clock.advance(minutes=20)
    [entry] = (await week(services, expert)).entries
    assert (entry.kind, entry.status, entry.customer_name) == (EntryKind.HOLD, Status.HELD, None)
    assert "Ada" not in entry.model_dump_json()


async def test_entries_that_reach_into_the_range_belong_to_it(services: Services, add_expert: AddExpert) -> None:
    expert = await add_expert(hours=(0, 1440))
    night = HostBookingRequest(
        expert_id=expert, starts_at=MONDAY + WEEK - HOUR / 2, name="Ada", override=["outside_hours"]
    )
    await services.bookings.book_by_hand(night, host(expert))
    assert len((await week(services, expert)).entries) == 1
    assert len((await week(services, expert, MONDAY + WEEK, MONDAY + 2 * WEEK)).entries) == 1
    assert (await week(services, expert, MONDAY + 2 * WEEK, MONDAY + 3 * WEEK)).entries == []


async def test_open_times_and_closed_days_have_their_names(services: Services, add_expert: AddExpert) -> None:
    expert = await add_expert(country="DE", region="BY", closed_on_holidays=True)
    key = CalendarKey(expert)
    await services.calendars.add_days_off(
        key, DaysOffRequest(first_day=date(2026, 12, 23), last_day=date(2026, 12, 24), reason="Skiing")
    )
    found = await week(services, expert, datetime(2026, 12, 20, 23, tzinfo=UTC), datetime(2026, 12, 27, 23, tzinfo=UTC))
    assert [(one.day.day, one.reason.value, one.name) for one in found.closed_days] == [
        (23, "day_off", "Skiing"), (24, "day_off", "Skiing"),
        (25, "holiday", found.closed_days[2].name), (26, "holiday", found.closed_days[3].name),
    ]  # fmt: skip
    assert all(one.name for one in found.closed_days)
    assert (found.closed_days[0].starts_at, found.closed_days[0].ends_at) == (
        datetime(2026, 12, 22, 23, tzinfo=UTC), datetime(2026, 12, 23, 23, tzinfo=UTC),
    )  # fmt: skip
    assert [one.starts_at.day for one in found.open_times] == [21, 22, 27]
    assert found.time_zone == "Europe/Berlin"


@pytest.mark.parametrize(("day", "hours"), [(date(2027, 3, 28), 23), (date(2027, 10, 31), 25)])
async def test_days_with_a_change_of_the_clocks_have_their_real_length(
    services: Services, add_expert: AddExpert, day: date, hours: int
) -> None:
    expert = await add_expert(hours=(0, 1440))
    await services.calendars.add_days_off(CalendarKey(expert), DaysOffRequest(first_day=day, last_day=day))
    noon = datetime(day.year, day.month, day.day, 11, tzinfo=UTC)
    [closed] = (await week(services, expert, noon, noon + HOUR)).closed_days
    assert closed.ends_at - closed.starts_at == hours * HOUR


async def test_expert_without_session_types_has_hours(services: Services, add_expert: AddExpert) -> None:
    expert = await add_expert(session_types=[])
    assert len((await week(services, expert)).open_times) == 7


async def test_week_takes_two_statements_whatever_is_in_it(
    services: Services, add_expert: AddExpert, book: Book, counted: Counted
) -> None:
    expert = await add_expert()
    with counted() as empty:
        await week(services, expert)
    for hour in range(8):
        await book(expert, NINE + hour * HOUR)
    with counted() as full:
        assert len((await week(services, expert)).entries) == 8
    assert len(empty) == len(full) == 2


async def test_only_hosts_of_the_calendar_read_it(services: Services, add_expert: AddExpert) -> None:
    expert = await add_expert()
    for caller, refusal in (
        (None, NotAuthenticated), (host(uuid4()), Forbidden), (READER, Forbidden),
        (Caller(role=Role.CUSTOMER, customer_key="jana@example.com"), Forbidden),
    ):  # fmt: skip
        with pytest.raises(refusal):
            await services.schedule.week(expert, MONDAY, MONDAY + WEEK, caller)
        with pytest.raises(refusal):
            await services.customers.search(expert, "ada", caller)
    with pytest.raises(ExpertNotFound):
        await services.schedule.week(uuid4(), MONDAY, MONDAY + WEEK, ADMIN)


async def test_range_is_limited(services: Services, add_expert: AddExpert) -> None:
    expert = await add_expert()
    for until in (MONDAY, MONDAY - DAY, MONDAY + 64 * DAY):
        with pytest.raises(FieldsWrong):
            await week(services, expert, MONDAY, until)


# --- customers --------------------------------------------------------------------------------------------------


async def test_customers_are_found_by_parts_of_the_name_and_the_address(
    services: Services, add_expert: AddExpert, book: Book
) -> None:
    expert = await add_expert()
    await book(expert, NINE, name="Zoë Müller", email="zoe@example.org")
    await book(expert, NINE + HOUR, name="Ada Lovelace", email="Ada@example.com", time_zone="Europe/London")
    await book(expert, NINE + 2 * HOUR, name="Ada King", email="ada@example.com")
    by_hand = HostBookingRequest(expert_id=expert, starts_at=NINE + 3 * HOUR, name="Adam Smith")
    await services.bookings.book_by_hand(by_hand, host(expert))

    async def names(text: str) -> list[str]:
        return [one.name for one in await services.customers.search(expert, text, host(expert))]

    assert await names("ada") == ["Adam Smith", "Ada King"]  # as last booked
    assert await names(" MULLER ") == ["Zoë Müller"]
    assert await names("example.org") == ["Zoë Müller"]
    assert await names("%") == await names("_") == await names("  ") == []
    [adam] = await services.customers.search(expert, "adam", ADMIN)
    assert (adam.email, adam.phone, adam.last_starts_at) == (None, None, NINE + 3 * HOUR)


async def test_customers_of_others_erased_and_unverified_ones_are_not_found(
    services: Services, add_expert: AddExpert, book: Book, sql: Connection
) -> None:
    expert, other = await add_expert(), await add_expert(name="Omar", email="omar@example.com")
    await book(other, NINE, name="Ada Other", email="other@example.com")
    waiting = await add_expert(name="Eve", email="eve@example.com", email_verification="always")
    await book(waiting, NINE)
    assert await services.customers.search(waiting, "ada", host(waiting)) == []
    assert await services.customers.search(expert, "a", host(expert)) == []
    await book(expert, NINE)
    assert len(await services.customers.search(expert, "a", host(expert))) == 1
    await services.customers.erase("ada@example.com", by=Actor.ADMIN)
    assert await services.customers.search(expert, "a", host(expert)) == []
    assert len(await services.customers.search(other, "ada", host(other))) == 1


async def test_at_most_ten_customers_are_found_latest_first(
    services: Services, add_expert: AddExpert, book: Book
) -> None:
    expert = await add_expert()
    for n in range(12):
        await book(expert, NINE + n * DAY, name=f"Ada {n}", email=f"ada{n}@example.com")
    found = await services.customers.search(expert, "ada", host(expert))
    assert [one.name for one in found] == [f"Ada {n}" for n in range(11, 1, -1)]
