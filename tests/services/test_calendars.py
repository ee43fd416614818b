"""Effects of calendar changes on slots, boards and bookings; daily caps, alone and concurrently."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from expert_booking.db.engine import Database, driver_url
from expert_booking.db.tables import EVENT_CHANNEL
from expert_booking.domain.errors import (
    ExpertNotFound,
    Forbidden,
    NotAuthenticated,
    PlanChanged,
    SessionTypeInUse,
    SessionTypeNotFound,
    SlotNotOffered,
    TooMany,
)
from expert_booking.domain.hours import OverrideKind
from expert_booking.domain.lifecycle import Status
from expert_booking.schemas import (
    BookingView,
    Caller,
    DaysOffQuery,
    DaysOffRequest,
    DayWindow,
    ExpertChange,
    NewSessionType,
    OverrideRequest,
    Role,
    SessionTypeChange,
    SlotQuery,
    WeeklyPlan,
    WeeklyWindow,
)
from expert_booking.services import Services, calendars
from expert_booking.services.calendars import CalendarKey
from tests.conftest import AddExpert, Book, Clock, booking_request

Connection = psycopg.Connection[tuple[Any, ...]]
Places = list[tuple[str, date | None, int | None]]

ADMIN = Caller(role=Role.ADMIN)
NINE = datetime(2026, 11, 24, 8, tzinfo=UTC)  # 09:00 in Berlin
TUESDAY, WEDNESDAY = date(2026, 11, 24), date(2026, 11, 25)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture
async def many_connections(database_url: str, clock: Clock) -> AsyncIterator[Services]:
    """Services with many connections, for really concurrent calls."""
    database = Database(database_url, pool_size=25)
    yield Services(database, clock=clock)
    await database.close()


@pytest.fixture
async def jana(add_expert: AddExpert) -> CalendarKey:
    """The key to Jana's calendar in Berlin, open daily from 9 to 17."""
    return CalendarKey(await add_expert())


@pytest.fixture
async def talk(services: Services, jana: CalendarKey) -> UUID:
    """The id of Jana's only session type."""
    return await first_type(services, jana)


async def first_type(services: Services, key: CalendarKey) -> UUID:
    """The id of an expert's first session type."""
    return (await services.calendars.session_types(str(key.expert_id), ADMIN)).session_types[0].id


def places(sql: Connection) -> Places:
    """The cap day and place of each live booking, by start."""
    rows = sql.execute(
        "SELECT to_char(starts_at, 'DD HH24'), cap_day, cap_place FROM booking"
        " WHERE status NOT IN ('cancelled', 'declined', 'expired') ORDER BY starts_at"
    )
    return [(start, day, place) for start, day, place in rows.fetchall()]


def outcomes(results: list[Any]) -> Counter[str]:
    """Counts of outcomes: `booked`, the reason of a refusal, or the name of the exception."""
    return Counter(
        "booked" if isinstance(result, BookingView)
        else result.blocker.reason.value if isinstance(result, SlotNotOffered)
        else type(result).__name__
        for result in results
    )  # fmt: skip


async def book_all_hours(many_connections: Services, expert_id: UUID, **facts: Any) -> list[Any]:
    """Book the eight hours of a day concurrently."""
    asked = (many_connections.bookings.book(booking_request(expert_id, NINE + n * HOUR, **facts)) for n in range(8))
    return await asyncio.gather(*asked, return_exceptions=True)


async def cap(services: Services, key: CalendarKey, session_type: UUID, daily_cap: int | None) -> None:
    """Set or remove a cap."""
    change = SessionTypeChange(daily_cap=daily_cap)
    await services.calendars.change_session_type(key, session_type, change)


# --- concurrent caps --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("most", [1, 3])
async def test_concurrent_bookings_of_a_day_are_limited_to_the_cap(
    many_connections: Services, jana: CalendarKey, talk: UUID, sql: Connection, most: int
) -> None:
    await cap(many_connections, jana, talk, most)
    for _ in range(5):
        results = await book_all_hours(many_connections, jana.expert_id)
        assert outcomes(results) == {"booked": most, "day_full": 8 - most}
        for result in results:
            if isinstance(result, SlotNotOffered):
                assert result.blocker.figures == {"day": TUESDAY, "booked": most, "dailyCap": most}
        assert sorted(place or 0 for _, _, place in places(sql)) == list(range(1, most + 1))
        sql.execute("UPDATE booking SET status = 'cancelled'")


async def test_ten_concurrent_half_hour_bookings_with_a_cap_of_one_make_one(
    many_connections: Services, add_expert: AddExpert
) -> None:
    expert = await add_expert(minutes=30, step_minutes=30, daily_cap=1)
    asked = (many_connections.bookings.book(booking_request(expert, NINE + n * HOUR / 2)) for n in range(10))
    assert outcomes(await asyncio.gather(*asked, return_exceptions=True)) == {"booked": 1, "day_full": 9}


async def test_every_day_has_its_own_places(many_connections: Services, jana: CalendarKey, talk: UUID) -> None:
    await cap(many_connections, jana, talk, 1)
    asked = (
        many_connections.bookings.book(booking_request(jana.expert_id, NINE + day * DAY + n * HOUR))
        for n in range(4)
        for day in range(5)
    )
    assert outcomes(await asyncio.gather(*asked, return_exceptions=True)) == {"booked": 5, "day_full": 15}


async def test_session_types_of_one_expert_have_separate_caps(
    many_connections: Services, jana: CalendarKey, talk: UUID
) -> None:
    await cap(many_connections, jana, talk, 1)
    other = NewSessionType(title="Walk", minutes=60, step_minutes=60, notice_minutes=0, daily_cap=2)
    walk = (await many_connections.calendars.add_session_type(jana, other)).id
    asked = [
        many_connections.bookings.book(booking_request(jana.expert_id, NINE + n * HOUR, session_type_id=type_))
        for n, type_ in enumerate((talk, walk) * 4)
    ]
    results = await asyncio.gather(*asked, return_exceptions=True)
    assert outcomes(results[::2]) == {"booked": 1, "day_full": 3}
    assert outcomes(results[1::2]) == {"booked": 2, "day_full": 2}


async def test_cancelled_booking_returns_its_place_to_exactly_one(
    many_connections: Services, jana: CalendarKey, talk: UUID
) -> None:
    await cap(many_connections, jana, talk, 3)
    made = [
        result for result in await book_all_hours(many_connections, jana.expert_id) if isinstance(result, BookingView)
    ]
    for booking in made[:2]:
        await many_connections.bookings.change_status(booking.id, Status.CANCELLED, ADMIN)
    results = await book_all_hours(many_connections, jana.expert_id)
    assert outcomes(results)["booked"] == 2
    assert set(outcomes(results)) <= {"booked", "day_full", "SlotTaken"}


async def test_caps_and_zones_can_change_during_concurrent_bookings(
    many_connections: Services, jana: CalendarKey, talk: UUID, sql: Connection
) -> None:
    async def change() -> None:
        for n in range(12):
            await cap(many_connections, jana, talk, (2, 4, None, 3)[n % 4])
            zone = ("Europe/Berlin", "Europe/Paris")[n % 2]
            await many_connections.calendars.change_expert(jana, ExpertChange(time_zone=zone))

    async def book(day: int) -> list[Any]:
        return [
            result
            for n in range(8)
            for result in await asyncio.gather(
                many_connections.bookings.book(booking_request(jana.expert_id, NINE + day * DAY + n * HOUR)),
                return_exceptions=True,
            )
        ]

    _, *results = await asyncio.gather(change(), *(book(day) for day in range(10)))
    assert set(outcomes([one for some in results for one in some])) <= {"booked", "day_full", "SlotTaken"}
    await cap(many_connections, jana, talk, 3)  # after all concurrent changes, every booking counts exactly once
    counted = Counter((day, place) for _, day, place in places(sql))
    assert set(counted.values()) == {1}
    assert None not in [day for day, _ in counted]


async def test_booking_made_while_places_are_renumbered_is_counted(
    many_connections: Services, jana: CalendarKey, talk: UUID, book: Book, sql: Connection
) -> None:
    await cap(many_connections, jana, talk, 3)
    made = [await book(jana.expert_id, NINE + n * HOUR) for n in range(3)]
    await many_connections.bookings.change_status(made[1].id, Status.CANCELLED, ADMIN)
    with sql.transaction():
        sql.execute(
            "INSERT INTO booking (expert_id, session_type_id, starts_at, ends_at, busy, name, email, customer_key,"
            " cap_day, cap_place) SELECT expert_id, session_type_id, starts_at, ends_at, busy, name, email,"
            " customer_key, cap_day, 2 FROM booking WHERE id = %s",
            [made[1].id],
        )
        changing = asyncio.create_task(cap(many_connections, jana, talk, 4))
        async with asyncio.timeout(20):
            while not sql.execute("SELECT 1 FROM pg_locks WHERE NOT granted").fetchone():  # noqa: ASYNC110 - not ours
                await asyncio.sleep(0.01)
    await changing
    assert [(start, place) for start, _, place in places(sql)] == [("24 08", 1), ("24 09", 2), ("24 10", 3)]


async def test_session_type_deleted_during_a_booking_is_either_booked_or_deleted(
    many_connections: Services, jana: CalendarKey, sql: Connection
) -> None:
    for n in range(8):
        new = NewSessionType(title="Walk", minutes=60, step_minutes=60, notice_minutes=0)
        walk = (await many_connections.calendars.add_session_type(jana, new)).id
        results = await asyncio.gather(
            many_connections.bookings.book(booking_request(jana.expert_id, NINE + n * HOUR, session_type_id=walk)),
            many_connections.calendars.remove_session_type(jana, walk),
            return_exceptions=True,
        )
        kinds = [type(result) for result in results]
        assert kinds in ([BookingView, SessionTypeInUse], [SessionTypeNotFound, type(None)])


# --- sequential caps --------------------------------------------------------------------------------------------


async def test_later_cap_counts_existing_bookings(
    services: Services, jana: CalendarKey, talk: UUID, book: Book, sql: Connection
) -> None:
    for start in (NINE + 3 * HOUR, NINE, NINE + DAY):
        await book(jana.expert_id, start)
    assert {(day, place) for _, day, place in places(sql)} == {(None, None)}
    await cap(services, jana, talk, 2)
    assert places(sql) == [("24 08", TUESDAY, 1), ("24 11", TUESDAY, 2), ("25 08", WEDNESDAY, 1)]
    with pytest.raises(SlotNotOffered) as refused:
        await book(jana.expert_id, NINE + HOUR)
    assert refused.value.blocker.figures == {"day": TUESDAY, "booked": 2, "dailyCap": 2}
    await book(jana.expert_id, NINE + DAY + HOUR)


async def test_cap_can_be_lowered_raised_and_removed_with_bookings(
    many_connections: Services, jana: CalendarKey, talk: UUID, book: Book, sql: Connection
) -> None:
    await cap(many_connections, jana, talk, 4)
    made = [await book(jana.expert_id, NINE + n * HOUR) for n in range(4)]
    await cap(many_connections, jana, talk, 1)  # the four existing bookings stay
    assert [place for *_, place in places(sql)] == [1, 2, 3, 4]
    for booking in made[:3]:
        with pytest.raises(SlotNotOffered):
            await book(jana.expert_id, NINE + 5 * HOUR)
        await many_connections.bookings.change_status(booking.id, Status.CANCELLED, ADMIN)
    with pytest.raises(SlotNotOffered):  # one booking is left, in the fourth place
        await book(jana.expert_id, NINE + 5 * HOUR)
    await cap(many_connections, jana, talk, 3)
    assert [place for *_, place in places(sql)] == [1]
    assert outcomes(await book_all_hours(many_connections, jana.expert_id))["booked"] == 2
    await cap(many_connections, jana, talk, None)
    assert {(day, place) for _, day, place in places(sql)} == {(None, None)}
    assert outcomes(await book_all_hours(many_connections, jana.expert_id)) == {"booked": 5, "SlotTaken": 3}


async def test_cancelled_bookings_do_not_count_for_a_cap(
    services: Services, jana: CalendarKey, talk: UUID, book: Book, sql: Connection
) -> None:
    removed = await book(jana.expert_id, NINE)
    await services.bookings.change_status(removed.id, Status.CANCELLED, ADMIN)
    await book(jana.expert_id, NINE + HOUR)
    await cap(services, jana, talk, 2)
    assert places(sql) == [("24 09", TUESDAY, 1)]
    await book(jana.expert_id, NINE + 2 * HOUR)


async def test_cap_follows_the_new_local_days_after_a_zone_change(
    services: Services, add_expert: AddExpert, book: Book, sql: Connection
) -> None:
    key = CalendarKey(await add_expert(hours=(0, 1440), daily_cap=2))
    evening = datetime(2026, 11, 24, 22, tzinfo=UTC)  # 23:00 on Tuesday in Berlin, 07:00 on Wednesday in Tokyo
    for start in (NINE, evening, evening + 3 * HOUR):
        await book(key.expert_id, start)
    assert [day for _, day, _ in places(sql)] == [TUESDAY, TUESDAY, WEDNESDAY]
    await services.calendars.change_expert(key, ExpertChange(time_zone="Asia/Tokyo"))
    assert places(sql) == [("24 08", TUESDAY, 1), ("24 22", WEDNESDAY, 1), ("25 01", WEDNESDAY, 2)]
    with pytest.raises(SlotNotOffered) as refused:
        await book(key.expert_id, NINE + DAY)  # 17:00 on Wednesday in Tokyo
    assert refused.value.blocker.figures == {"day": WEDNESDAY, "booked": 2, "dailyCap": 2}
    await book(key.expert_id, NINE + HOUR)
    plan = await services.calendars.plan(key)
    await services.calendars.put_plan(key, plan.model_copy(update={"time_zone": "UTC"}))
    assert [(day, place) for _, day, place in places(sql)] == [(TUESDAY, 1), (TUESDAY, 2), (TUESDAY, 3), (WEDNESDAY, 1)]


@pytest.mark.parametrize("hours", range(36, 61, 3))
async def test_past_bookings_do_not_affect_a_cap(
    services: Services, add_expert: AddExpert, book: Book, clock: Clock, sql: Connection, hours: int
) -> None:
    key = CalendarKey(await add_expert(hours=(0, 1440), daily_cap=24))
    for n in range(12):
        await book(key.expert_id, clock.now + n * HOUR)
    clock.advance(hours=hours)
    await book(key.expert_id, clock.now)
    for zone in ("Pacific/Kiritimati", "Pacific/Pago_Pago", "Europe/Berlin"):
        await services.calendars.change_expert(key, ExpertChange(time_zone=zone))
    numbered = [(day, place) for _, day, place in places(sql) if day]
    assert len(set(numbered)) == len(numbered)
    assert numbered[-1][1] == 1


async def test_caps_of_other_experts_are_unaffected(
    services: Services, add_expert: AddExpert, book: Book, sql: Connection
) -> None:
    jana, omar = [CalendarKey(await add_expert(name=name, daily_cap=2)) for name in ("Jana", "Omar")]
    await book(omar.expert_id, NINE)
    before = places(sql)
    await cap(services, jana, await first_type(services, jana), None)
    await services.calendars.change_expert(jana, ExpertChange(time_zone="Asia/Tokyo"))
    assert places(sql) == before


# --- zones ------------------------------------------------------------------------------------------------------


async def test_zone_change_shifts_future_free_slots_and_no_booking(
    services: Services, jana: CalendarKey, book: Book, sql: Connection
) -> None:
    made = await book(jana.expert_id, NINE)
    rows = "SELECT id, starts_at, ends_at, busy, status, version, updated_at FROM booking"
    before = sql.execute(rows).fetchall()

    async def first() -> datetime:
        query = SlotQuery(since=WEDNESDAY, until=WEDNESDAY)
        return (await services.availability.slots(jana.expert_id, query)).slots[0].starts_at

    assert await first() == NINE + DAY
    await services.calendars.change_expert(jana, ExpertChange(time_zone="America/New_York"))
    assert await first() == NINE + DAY + 6 * HOUR
    plan = await services.calendars.plan(jana)
    await services.calendars.put_plan(jana, plan.model_copy(update={"time_zone": "Asia/Tokyo"}))
    assert await first() == NINE + DAY - 8 * HOUR
    assert sql.execute(rows).fetchall() == before
    assert (await services.bookings.get(made.id, ADMIN)).starts_at == NINE


# --- events -----------------------------------------------------------------------------------------------------

Change = Callable[[Services, CalendarKey], Awaitable[object]]
WINDOW = DayWindow(opens="10:00", closes="12:00")
NEW = NewSessionType(title="Walk")
PLAN = WeeklyPlan(time_zone="Europe/Berlin", windows=[WeeklyWindow(weekday=1, opens="10:00", closes="12:00")])
OFF = DaysOffRequest(first_day=TUESDAY, last_day=WEDNESDAY)


async def change_type(services: Services, key: CalendarKey) -> None:
    await services.calendars.change_session_type(key, await first_type(services, key), SessionTypeChange(minutes=45))


async def remove_type(services: Services, key: CalendarKey) -> None:
    await services.calendars.remove_session_type(key, await first_type(services, key))


async def remove_off(services: Services, key: CalendarKey) -> None:
    [off] = (await services.calendars.days_off(key, DaysOffQuery())).days_off
    await services.calendars.remove_days_off(key, off.id)


CHANGES: dict[str, Change] = {
    "expert": lambda services, key: services.calendars.change_expert(key, ExpertChange(headline="New")),
    "new type": lambda services, key: services.calendars.add_session_type(key, NEW),
    "type": change_type,
    "no type": remove_type,
    "plan": lambda services, key: services.calendars.put_plan(key, PLAN),
    "override": lambda services, key: services.calendars.put_override(
        key, TUESDAY, OverrideRequest(kind=OverrideKind.EXTRA, windows=[WINDOW])
    ),
    "no override": lambda services, key: services.calendars.remove_override(key, WEDNESDAY),
    "days off": lambda services, key: services.calendars.add_days_off(key, OFF),
    "no days off": remove_off,
}


@pytest.mark.parametrize("change", CHANGES)
async def test_every_calendar_change_notifies_exactly_this_expert(
    services: Services, jana: CalendarKey, add_expert: AddExpert, database_url: str, change: str
) -> None:
    await add_expert(name="Omar")
    await services.calendars.add_days_off(jana, OFF)
    await services.calendars.put_override(jana, WEDNESDAY, OverrideRequest(kind=OverrideKind.NONE))
    with psycopg.connect(driver_url(database_url), autocommit=True) as listener:
        listener.execute(f"LISTEN {EVENT_CHANNEL}")
        await CHANGES[change](services, jana)
        listener.execute(f"NOTIFY {EVENT_CHANNEL}, 'the end'")
        payloads = [message.payload for message in listener.notifies(timeout=20, stop_after=2)]
    assert payloads == [str(jana.expert_id), "the end"]


# --- keys, versions, bounds -------------------------------------------------------------------------------------


async def test_calendar_keys_are_given_to_hosts_only(
    services: Services, jana: CalendarKey, add_expert: AddExpert
) -> None:
    own = Caller(role=Role.EXPERT, expert_id=jana.expert_id)
    for caller in (ADMIN, own):
        for reference in ("jana-muller", str(jana.expert_id)):
            key = await services.calendars.key(reference, caller)
            assert (key.expert_id, key.admin) == (jana.expert_id, caller is ADMIN)
    with pytest.raises(NotAuthenticated):
        await services.calendars.key("jana-muller", None)
    for caller in (Caller(role=Role.READER), Caller(role=Role.EXPERT, expert_id=uuid4())):
        with pytest.raises(Forbidden):
            await services.calendars.key("jana-muller", caller)
    with pytest.raises(ExpertNotFound):
        await services.calendars.key(str(uuid4()), ADMIN)


async def test_deleted_calendar_is_not_found(services: Services) -> None:
    unknown = CalendarKey(uuid4())
    asked: list[Awaitable[object]] = [
        services.calendars.plan(unknown), services.calendars.put_plan(unknown, PLAN),
        services.calendars.expert(unknown),
        services.calendars.add_days_off(unknown, OFF), services.calendars.days_off(unknown, DaysOffQuery()),
        services.calendars.change_expert(unknown, ExpertChange(name="Nobody")),
    ]  # fmt: skip
    for question in asked:
        with pytest.raises(ExpertNotFound):
            await question


async def test_plan_version_is_stable_until_a_change(services: Services, jana: CalendarKey) -> None:
    first = await services.calendars.plan(jana)
    same = await services.calendars.put_plan(jana, first, [first.version])
    assert (same, same.version) == (first, first.version)
    changed = await services.calendars.put_plan(jana, PLAN, [first.version])
    with pytest.raises(PlanChanged) as refused:
        await services.calendars.put_plan(jana, first, [first.version])
    assert refused.value.version == changed.version != first.version


async def test_number_of_overrides_and_days_off_is_limited(
    services: Services, jana: CalendarKey, sql: Connection
) -> None:
    fill = "INSERT INTO {} SELECT %s, date '2030-01-01' + n, {} FROM generate_series(1, %s) AS n"
    sql.execute(fill.format("override (expert_id, day, kind)", "'none'"), [jana.expert_id, calendars.MAX_OVERRIDES])
    sql.execute(
        fill.format("day_off (expert_id, first_day, last_day)", "date '2030-01-01' + n"),
        [jana.expert_id, calendars.MAX_DAYS_OFF],
    )
    none = OverrideRequest(kind=OverrideKind.NONE)
    with pytest.raises(TooMany):
        await services.calendars.put_override(jana, TUESDAY, none)
    with pytest.raises(TooMany):
        await services.calendars.add_days_off(jana, OFF)
    await services.calendars.put_override(jana, date(2030, 1, 2), none)  # this override exists already
    await services.calendars.remove_override(jana, date(2030, 1, 2))
    await services.calendars.put_override(jana, TUESDAY, none)
