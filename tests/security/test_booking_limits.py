"""Limits on bookings and on changes: exact in a race, used up only by what was made, and silent about addresses."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import psycopg
import pytest

from expert_booking.api import create_api
from expert_booking.db.engine import Database
from expert_booking.domain.addresses import customer_key
from expert_booking.domain.errors import (
    BookingLimitReached,
    Refusal,
    SlotNotOffered,
    SlotTaken,
    StatusChangeNotAllowed,
    TooManyBookings,
    TooManyChanges,
)
from expert_booking.domain.lifecycle import Status
from expert_booking.domain.limits import NO_LIMITS, BookingLimits
from expert_booking.schemas import BookingView, Caller, HoldRequest, Role, TokenRequest
from expert_booking.services import Services
from expert_booking.settings import Settings
from tests.api.conftest import bearer, booking_of, check_problem, token_of_customer
from tests.conftest import AddExpert, Clock, booking_request
from tests.server import SECRET_KEY, ServerProcess

Connection = psycopg.Connection[tuple[Any, ...]]
Serve = Callable[..., ServerProcess]
Limited = Callable[..., Services]
NINE = datetime(2026, 11, 24, 8, tzinfo=UTC)  # 09:00 in Berlin
QUARTER, HOUR, DAY = timedelta(minutes=15), timedelta(hours=1), timedelta(days=1)
SECOND = timedelta(seconds=1)
ALWAYS_OPEN = {"hours": (0, 1440), "minutes": 15, "step_minutes": 15, "horizon_days": 30}
ADA, GRACE = "ada@example.com", "grace@example.com"
# Hashes of networks and browsers.
HERE, THERE = b"h" * 32, b"t" * 32
BROWSER, OTHER_BROWSER = b"b" * 32, b"o" * 32
HOSTS = (Caller(role=Role.ADMIN), Caller(role=Role.EXPERT, expert_id=uuid4()))


@pytest.fixture
async def limited(database_url: str, clock: Clock) -> AsyncIterator[Limited]:
    """Make services with these limits, or without, and with connections for really concurrent calls."""
    database = Database(database_url, pool_size=25)
    yield lambda **limits: Services(database, clock=clock, limits=replace(NO_LIMITS, **limits))
    await database.close()


@pytest.fixture
async def expert(add_expert: AddExpert) -> UUID:
    """An expert who is always open, with sessions of a quarter of an hour."""
    return await add_expert(**ALWAYS_OPEN)


async def make(
    services: Services, expert: UUID, number: int = 0, *, email: str = "", origin: bytes | None = HERE, **how: Any
) -> BookingView:
    """Book the slot with this number, by default from HERE and for an address of its own."""
    request = booking_request(expert, NINE + number * QUARTER, email=email or f"p{number}@example.com")
    return await services.bookings.book(request, origin=origin, **how)


def proven(email: str = ADA) -> Caller:
    """A customer who has proven this address."""
    return Caller(role=Role.CUSTOMER, customer_key=customer_key(email))


def count(sql: Connection, table: str) -> int:
    """The number of rows."""
    row = sql.execute(f"SELECT count(*) FROM {table}").fetchone()
    assert row is not None
    return int(row[0])


def stored(sql: Connection) -> list[int]:
    """The numbers of rows that a booking writes."""
    return [count(sql, table) for table in ("booking", "booking_change", "message", "network_booking")]


async def outcomes(*works: Awaitable[Any]) -> Counter[str]:
    """Run all at once, and count the results: `made` or the name of the refusal."""
    results = await asyncio.gather(*works, return_exceptions=True)
    wrong = [result for result in results if isinstance(result, BaseException) and not isinstance(result, Refusal)]
    assert not wrong, wrong
    return Counter(type(result).__name__ if isinstance(result, Refusal) else "made" for result in results)


def test_defaults() -> None:
    assert Settings(_env_file=None).booking_limits == BookingLimits(40, 3, 10, 12)


# --- bookings of a network ---------------------------------------------------------------------------------------


async def test_network_is_refused_until_its_oldest_booking_is_an_hour_old(
    limited: Limited, expert: UUID, clock: Clock, sql: Connection
) -> None:
    services = limited(per_network=3)
    for number in range(3):
        await make(services, expert, number)
        clock.advance(minutes=10.1)
    before = stored(sql)
    assert before == [3, 3, 6, 3]
    with pytest.raises(TooManyBookings) as refused:
        await make(services, expert, 3)
    # The first was made 30.3 minutes ago.
    assert refused.value.retry_after == 60 * 60 - 30.3 * 60
    assert refused.value.again_at == clock() + timedelta(seconds=refused.value.retry_after)
    assert stored(sql) == before
    await make(services, expert, 3, origin=THERE)

    clock.now = refused.value.again_at - SECOND / 10
    with pytest.raises(TooManyBookings) as again:
        await make(services, expert, 4)
    assert again.value.retry_after == 1
    clock.now = refused.value.again_at
    await make(services, expert, 4)
    # Now the second one is the oldest.
    with pytest.raises(TooManyBookings) as full:
        await make(services, expert, 5)
    assert full.value.again_at == refused.value.again_at + timedelta(minutes=10.1)


async def test_cancelled_bookings_count_for_the_whole_hour(limited: Limited, expert: UUID, clock: Clock) -> None:
    services = limited(per_network=2)
    for number in range(2):
        booking = await make(services, expert, number, visitor=BROWSER)
        mine = Caller(role=Role.CUSTOMER, visitor=BROWSER)
        await services.bookings.change_status(booking.id, Status.CANCELLED, mine, origin=HERE)
    with pytest.raises(TooManyBookings):
        await make(services, expert, 0, visitor=BROWSER)
    clock.advance(minutes=30)
    await services.deadlines.sweep()
    with pytest.raises(TooManyBookings):
        await make(services, expert, 0, visitor=BROWSER)


async def test_losers_and_refusals_use_nothing_up(limited: Limited, expert: UUID) -> None:
    services = limited(per_network=2, live_per_expert=2)
    await make(services, expert, 0, origin=THERE)
    for _ in range(5):
        with pytest.raises(SlotTaken):
            await make(services, expert, 0, email=ADA)
        with pytest.raises(SlotNotOffered):
            await make(services, expert, -4 * 24 * 7, email=ADA)
        await services.holds.take(HoldRequest(expert_id=expert, starts_at=NINE + HOUR), origin=HERE, visitor=BROWSER)
    await make(services, expert, 1, email=ADA)
    await make(services, expert, 2, email=ADA)
    with pytest.raises(TooManyBookings):
        await make(services, expert, 3, email=ADA)


async def test_twenty_at_once_over_two_processes_never_pass_a_limit_of_ten(
    serve: Serve, expert: UUID, sql: Connection
) -> None:
    servers = [serve(BOOKINGS_PER_NETWORK="10"), serve(BOOKINGS_PER_NETWORK="10")]
    async with httpx.AsyncClient(timeout=60) as client:
        slots = await free_starts(client, servers[0].url, expert)

        async def book(number: int) -> httpx.Response:
            # Half of them in a transaction with a stored response.
            key = {"Idempotency-Key": str(uuid4())} if number % 4 < 2 else {}
            body = booking_of(expert, startsAt=slots[number], email=f"p{number}@example.com")
            return await client.post(f"{servers[number % 2].url}/bookings", json=body, headers=key)

        began = datetime.now(UTC)
        answers = await asyncio.gather(*map(book, range(20)))
        assert Counter(answer.status_code for answer in answers) == {201: 10, 429: 10}
        for answer in answers:
            if answer.status_code == 429:
                check_problem(answer, 429, "too_many_bookings")
                ends_at = datetime.now(UTC) + timedelta(seconds=int(answer.headers["retry-after"]))
                assert began + HOUR <= ends_at <= datetime.now(UTC) + HOUR + SECOND
    assert stored(sql) == [10, 10, 20, 10]
    assert count(sql, "kept_answer") <= 10  # only of bookings that were made


async def test_limits_of_one_address_hold_in_a_race_over_two_processes(
    serve: Serve, expert: UUID, sql: Connection
) -> None:
    limits = {"LIVE_BOOKINGS_PER_EXPERT": "0", "LIVE_BOOKINGS_PER_CUSTOMER": "10"}
    servers = [serve(**limits), serve(**limits)]
    async with httpx.AsyncClient(timeout=60) as client:
        slots = await free_starts(client, servers[0].url, expert)
        answers = await asyncio.gather(
            *(
                client.post(f"{servers[number % 2].url}/bookings", json=booking_of(expert, startsAt=slots[number]))
                for number in range(20)
            )
        )
    assert Counter(answer.status_code for answer in answers) == {201: 10, 409: 10}
    assert stored(sql) == [10, 10, 20, 10]


async def test_crowd_neither_deadlocks_nor_passes_a_limit(limited: Limited, expert: UUID, sql: Connection) -> None:
    services = limited(per_network=8, live_per_expert=4, live_per_customer=4, changes_per_hour=5)
    networks = [bytes([number]) * 32 for number in range(3)]

    async def one(number: int) -> BookingView:
        # Three networks and five customers in every combination, three of them for each slot, half of them with a hold.
        start = NINE + number % 40 * QUARTER
        hold = None
        if number % 2:
            hold = await services.holds.take(HoldRequest(expert_id=expert, starts_at=start))
        request = booking_request(expert, start, email=f"p{number % 5}@example.com", hold_id=hold and hold.id)
        origin, browser = networks[number % 3], bytes([number % 7]) * 32
        booking = await services.bookings.book(request, origin=origin, visitor=browser)
        mine = Caller(role=Role.CUSTOMER, visitor=browser)
        later = start + timedelta(days=1 + number % 2)
        return await services.bookings.reschedule(booking.id, later, mine, origin=origin)

    found = await outcomes(*(one(number) for number in range(120)))
    assert found["Unavailable"] == 0, found
    assert found["TooManyBookings"] + found["BookingLimitReached"] > 0
    per_network = sql.execute("SELECT count(*) FROM network_booking GROUP BY origin").fetchall()
    assert per_network
    assert max(made for (made,) in per_network) <= 8
    assert count(sql, "network_booking") == count(sql, "booking WHERE email IS NOT NULL")
    changes = sql.execute("SELECT count(*) FROM network_change GROUP BY origin").fetchall()
    assert max(made for (made,) in changes) <= 5
    assert sum(made for (made,) in changes) == count(sql, "booking WHERE reschedules > 0")


async def test_without_limits_nothing_is_stored_about_networks(limited: Limited, expert: UUID, sql: Connection) -> None:
    services = limited()
    for number in range(4):
        await make(services, expert, number, email=ADA, visitor=BROWSER)
    assert count(sql, "network_booking") == 0


async def test_booking_of_a_capped_day_counts_once(limited: Limited, add_expert: AddExpert, sql: Connection) -> None:
    services, expert = limited(per_network=2), await add_expert(daily_cap=5)
    for hours in (0, 1):
        await services.bookings.book(booking_request(expert, NINE + hours * HOUR), origin=HERE)
    with pytest.raises(TooManyBookings):
        await services.bookings.book(booking_request(expert, NINE + 2 * HOUR), origin=HERE)
    assert stored(sql) == [2, 2, 4, 2]


async def test_refused_booking_keeps_its_hold_and_can_be_made_later(
    limited: Limited, expert: UUID, clock: Clock, sql: Connection
) -> None:
    services = limited(per_network=1)
    await make(services, expert, 0)
    clock.advance(minutes=58)
    held = await services.holds.take(HoldRequest(expert_id=expert, starts_at=NINE + QUARTER), visitor=BROWSER)
    request = booking_request(expert, NINE + QUARTER, hold_id=held.id)
    with pytest.raises(TooManyBookings):
        await services.bookings.book(request, visitor=BROWSER, origin=HERE)
    assert await services.holds.for_visitor(BROWSER) == held
    clock.advance(minutes=2)
    assert (await services.bookings.book(request, visitor=BROWSER, origin=HERE)).id == held.id
    assert count(sql, "network_booking") == 2
    with pytest.raises(TooManyBookings):
        await make(services, expert, 2)


async def test_form_that_is_sent_twice_at_the_limit_returns_its_booking(limited: Limited, expert: UUID) -> None:
    services, form = limited(per_network=1, live_per_expert=1), uuid4()
    made = await make(services, expert, 0, visitor=BROWSER, submission=form)
    assert await make(services, expert, 0, visitor=BROWSER, submission=form) == made


# --- upcoming bookings of an address -----------------------------------------------------------------------------


async def test_upcoming_bookings_with_one_expert_are_limited(
    limited: Limited, add_expert: AddExpert, expert: UUID, clock: Clock, sql: Connection
) -> None:
    services = limited(live_per_expert=2)
    first = await make(services, expert, 0, email=ADA)
    await make(services, expert, 1, email="ADA@example.com")
    before = stored(sql)
    with pytest.raises(BookingLimitReached) as refused:
        await make(services, expert, 2, email=ADA)
    assert refused.value.figures == {"scope": "expert", "limit": 2, "current": 2}
    assert str(refused.value) == "This email address already has 2 upcoming bookings with this expert. The limit is 2."
    assert stored(sql) == before
    # With another expert, after a cancellation, and once a session has started, it is possible.
    other = await add_expert(**ALWAYS_OPEN, name="Omar Haddad", email="omar@example.com")
    await make(services, other, 0, email=ADA)
    await services.bookings.change_status(first.id, Status.CANCELLED, proven())
    await make(services, expert, 2, email=ADA)
    with pytest.raises(BookingLimitReached):
        await make(services, expert, 3, email=ADA)
    clock.now = NINE + QUARTER
    await make(services, expert, 4, email=ADA)


async def test_upcoming_bookings_in_all_are_limited(limited: Limited, add_expert: AddExpert, expert: UUID) -> None:
    services = limited(live_per_customer=2, live_per_expert=2)
    other = await add_expert(**ALWAYS_OPEN, name="Omar Haddad", email="omar@example.com")
    third = await add_expert(**ALWAYS_OPEN, name="Li Wei", email="li@example.com")
    await make(services, expert, 0, email=ADA)
    await make(services, other, 0, email=ADA)
    with pytest.raises(BookingLimitReached) as refused:
        await make(services, third, 0, email=ADA)
    assert refused.value.figures == {"scope": "all", "limit": 2, "current": 2}
    await make(services, third, 0, email="grace@example.com")


async def test_stranger_gets_the_same_answers_for_known_and_unknown_addresses(limited: Limited, expert: UUID) -> None:
    services = limited(live_per_expert=2, live_per_customer=4)
    for number in range(2):
        await make(services, expert, number, email=ADA, origin=HERE, visitor=BROWSER)
        # Also from the stranger's network, but proven.
        await make(services, expert, 10 + number, email=GRACE, origin=THERE, caller=proven(GRACE))
    answers = []
    for n, email in enumerate((ADA, GRACE, "unknown@example.com")):
        for number in range(20 + 3 * n, 22 + 3 * n):
            await make(services, expert, number, email=email, origin=THERE, visitor=OTHER_BROWSER)
        with pytest.raises(BookingLimitReached) as refused:
            await make(services, expert, 22 + 3 * n, email=email, origin=THERE, visitor=OTHER_BROWSER)
        answers.append((str(refused.value), refused.value.figures))
    assert answers[0] == answers[1] == answers[2]


async def test_bookings_of_this_browser_and_of_a_proven_address_count_from_anywhere(
    limited: Limited, expert: UUID
) -> None:
    services = limited(live_per_expert=2)
    for number in range(2):
        await make(services, expert, number, email=ADA, origin=HERE, visitor=BROWSER)
    with pytest.raises(BookingLimitReached):
        await make(services, expert, 2, email=ADA, origin=THERE, visitor=BROWSER)
    with pytest.raises(BookingLimitReached):
        await make(services, expert, 2, email=ADA, origin=THERE, visitor=OTHER_BROWSER, caller=proven())
    await make(services, expert, 2, email=ADA, origin=THERE, visitor=OTHER_BROWSER)


# --- changes -----------------------------------------------------------------------------------------------------


async def test_changes_of_one_booking_are_limited_whatever_the_network(
    limited: Limited, expert: UUID, clock: Clock, sql: Connection
) -> None:
    services = limited(changes_per_hour=3)
    booking = await make(services, expert, 0, visitor=BROWSER)
    mine = Caller(role=Role.CUSTOMER, visitor=BROWSER)

    async def reschedule(number: int, caller: Caller = mine) -> BookingView:
        return await services.bookings.reschedule(
            booking.id, NINE + number * QUARTER, caller, origin=bytes([number]) * 32
        )

    for number in (1, 2, 3):
        # Refusals and rescheduling to the same time use nothing up.
        with pytest.raises(SlotNotOffered):
            await services.bookings.reschedule(booking.id, NINE - 7 * DAY, mine, origin=HERE)
        await reschedule(number)
        await reschedule(number)
        clock.advance(minutes=5)
    before = stored(sql)
    with pytest.raises(TooManyChanges) as refused:
        await reschedule(4)
    assert str(refused.value) == "This booking was changed too often in the last hour."
    assert refused.value.retry_after == 45 * 60
    with pytest.raises(TooManyChanges):
        await services.bookings.change_status(booking.id, Status.CANCELLED, mine)
    assert stored(sql) == before
    # The expert, admins and those who have proven the address have no limit.
    await reschedule(5, Caller(role=Role.EXPERT, expert_id=expert))
    await reschedule(6, Caller(role=Role.ADMIN))
    await reschedule(7, proven(booking.email))
    clock.now = refused.value.again_at - SECOND
    with pytest.raises(TooManyChanges):
        await reschedule(8)
    clock.now = refused.value.again_at
    await services.bookings.change_status(booking.id, Status.CANCELLED, mine)


async def test_changes_by_one_network_are_limited_and_cancellations_count(limited: Limited, expert: UUID) -> None:
    services = limited(changes_per_hour=3)
    bookings = [await make(services, expert, number, visitor=BROWSER) for number in range(5)]
    mine = Caller(role=Role.CUSTOMER, visitor=BROWSER)

    async def cancel(number: int, origin: bytes, caller: Caller = mine) -> BookingView:
        return await services.bookings.change_status(bookings[number].id, Status.CANCELLED, caller, origin=origin)

    for number in range(2):
        await cancel(number, HERE)
        with pytest.raises(StatusChangeNotAllowed):
            await cancel(number, HERE)
        # Booking again is a booking, and not another change.
        await make(services, expert, number)
    await services.bookings.reschedule(bookings[2].id, NINE + DAY, mine, origin=HERE)
    with pytest.raises(TooManyChanges) as refused:
        await cancel(3, HERE)
    assert refused.value.retry_after == 3600
    await cancel(3, HERE, proven(bookings[3].email))
    await cancel(4, THERE)


async def test_twenty_changes_at_once_never_pass_a_limit_of_ten(
    limited: Limited, expert: UUID, sql: Connection
) -> None:
    services = limited(changes_per_hour=10)
    bookings = [await make(services, expert, number, visitor=BROWSER) for number in range(20)]
    mine = Caller(role=Role.CUSTOMER, visitor=BROWSER)
    cancelled = (
        services.bookings.change_status(booking.id, Status.CANCELLED, mine, origin=HERE) for booking in bookings
    )
    assert await outcomes(*cancelled) == {"made": 10, "TooManyChanges": 10}
    assert count(sql, "booking WHERE status = 'cancelled'") == count(sql, "network_change") == 10


# --- exemptions --------------------------------------------------------------------------------------------------


async def test_hosts_have_no_limits_and_count_for_nobody(limited: Limited, expert: UUID, sql: Connection) -> None:
    services = limited(per_network=1, live_per_expert=1, live_per_customer=1)
    await make(services, expert, 0, email=ADA, visitor=BROWSER)
    for number, host in enumerate(HOSTS, 1):
        await make(services, expert, number, email=ADA, visitor=BROWSER, caller=host)
    assert count(sql, "network_booking") == 1
    for other in (None, Caller(role=Role.READER), proven("grace@example.com")):
        with pytest.raises(TooManyBookings):
            await make(services, expert, 9, email=ADA, visitor=BROWSER, caller=other)


async def test_proven_address_is_exempt_from_the_network_limit_only(
    limited: Limited, expert: UUID, sql: Connection
) -> None:
    services = limited(per_network=1, live_per_customer=3)
    await make(services, expert, 0)
    for number in (1, 2, 3):
        await make(services, expert, number, email=ADA, caller=proven())
    assert count(sql, "network_booking") == 1
    with pytest.raises(BookingLimitReached):
        await make(services, expert, 4, email=ADA, caller=proven())
    with pytest.raises(TooManyBookings):
        await make(services, expert, 4, email=ADA)


# --- what is stored ----------------------------------------------------------------------------------------------


async def test_networks_are_forgotten_once_no_limit_needs_them(
    limited: Limited, expert: UUID, clock: Clock, sql: Connection
) -> None:
    services = limited(per_network=9, live_per_expert=9, changes_per_hour=9)
    mine = Caller(role=Role.CUSTOMER, visitor=BROWSER)
    soon, cancelled, later = [await make(services, expert, n, visitor=BROWSER) for n in (-4 * 22, 0, 1)]
    await services.bookings.change_status(cancelled.id, Status.CANCELLED, mine, origin=HERE)

    def kept() -> set[UUID]:
        return {booking_id for (booking_id,) in sql.execute("SELECT booking_id FROM network_booking").fetchall()}

    clock.advance(minutes=59)
    await services.deadlines.sweep()
    assert kept() == {soon.id, cancelled.id, later.id}
    assert count(sql, "network_change") == 1
    clock.advance(minutes=1)
    await services.deadlines.sweep()
    assert kept() == {soon.id, later.id}
    assert count(sql, "network_change") == 0
    clock.now = soon.starts_at
    await services.deadlines.sweep()
    assert kept() == {later.id}
    # If upcoming bookings are not limited, an hour is enough.
    await limited(per_network=9).deadlines.sweep()
    assert kept() == set()


async def test_networks_are_stored_as_keyed_hashes(serve: Serve, expert: UUID, sql: Connection) -> None:
    server = serve()
    async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
        slots = await free_starts(client, server.url, expert)
        assert (await client.post("/bookings", json=booking_of(expert, startsAt=slots[0]))).status_code == 201
    [(origin,)] = sql.execute("SELECT origin FROM network_booking").fetchall()
    assert len(origin) == 32
    assert b"127" not in origin


# --- over REST ---------------------------------------------------------------------------------------------------


@asynccontextmanager
async def rest(services: Services, address: str = "192.0.2.1") -> AsyncIterator[httpx.AsyncClient]:
    """A client of the API with this network address."""
    api = create_api(services, secret=SECRET_KEY)
    transport = httpx.ASGITransport(api, raise_app_exceptions=False, client=(address, 50_000))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


def body_of(expert: UUID, number: int, email: str = "") -> dict[str, Any]:
    """A request to book the slot with this number."""
    starts_at = (NINE + number * QUARTER).isoformat()
    return booking_of(expert, startsAt=starts_at, email=email or f"p{number}@example.com")


async def test_answers_have_codes_figures_and_the_exact_retry_after(
    limited: Limited, expert: UUID, clock: Clock
) -> None:
    services = limited(per_network=2, live_per_expert=1, changes_per_hour=1)
    async with rest(services) as client:
        made = await client.post("/bookings", json=body_of(expert, 0, ADA))
        assert made.status_code == 201
        refused = await client.post("/bookings", json=body_of(expert, 1, ADA))
        reached = check_problem(refused, 409, "booking_limit_reached")
        assert reached["figures"] == {"scope": "expert", "limit": 1, "current": 1}
        clock.advance(minutes=1, seconds=0.5)
        assert (await client.post("/bookings", json=body_of(expert, 1))).status_code == 201
        refused = await client.post("/bookings", json=body_of(expert, 2))
        check_problem(refused, 429, "too_many_bookings")
        assert refused.headers["retry-after"] == str(59 * 60)

        token, path = bearer(made.json()["accessToken"]), f"/bookings/{made.json()['id']}"
        later = {"startsAt": (NINE + DAY).isoformat()}
        assert (await client.patch(path, json=later, headers=token)).status_code == 200
        clock.advance(seconds=10)
        cancelled = await client.patch(f"{path}/status", json={"status": "cancelled"}, headers=token)
        check_problem(cancelled, 429, "too_many_changes")
        assert cancelled.headers["retry-after"] == str(60 * 60 - 10)


async def test_tokens_of_hosts_and_of_the_customer_are_exempt(limited: Limited, expert: UUID) -> None:
    services = limited(per_network=1, changes_per_hour=1)
    tokens = {
        "admin": await services.tokens.create(TokenRequest(name="admin", role=Role.ADMIN)),
        "expert": await services.tokens.create(TokenRequest(name="e", role=Role.EXPERT, expert="jana-muller")),
        "reader": await services.tokens.create(TokenRequest(name="reader", role=Role.READER)),
        "ada": await token_of_customer(services, ADA),
        "grace": await token_of_customer(services, "grace@example.com"),
    }
    async with rest(services) as client:
        made = await client.post("/bookings", json=body_of(expert, 0, ADA))
        tokens["booking"] = made.json()["accessToken"]
        for number, who in enumerate(("admin", "expert", "ada"), 1):
            booked = await client.post("/bookings", json=body_of(expert, number, ADA), headers=bearer(tokens[who]))
            assert booked.status_code == 201, who
        tokens["garbage"] = "eb_garbage"
        for who in ("reader", "grace", "booking", "garbage"):
            booked = await client.post("/bookings", json=body_of(expert, 9, ADA), headers=bearer(tokens[who]))
            check_problem(booked, 429, "too_many_bookings")
        path = f"/bookings/{made.json()['id']}"
        for number, (who, status) in enumerate(
            (("booking", 200), ("booking", 429), ("ada", 200), ("expert", 200), ("admin", 200), ("booking", 429)), 20
        ):
            later = {"startsAt": (NINE + number * QUARTER).isoformat()}
            answer = await client.patch(path, json=later, headers=bearer(tokens[who]))
            assert answer.status_code == status, (number, who, answer.text)


async def test_replays_use_nothing_up_and_refusals_are_not_kept(
    limited: Limited, expert: UUID, clock: Clock, sql: Connection
) -> None:
    services = limited(per_network=2)
    async with rest(services) as client:
        for _ in range(5):
            made = await client.post("/bookings", json=body_of(expert, 0), headers={"Idempotency-Key": "first"})
            assert made.status_code == 201
        assert (await client.post("/bookings", json=body_of(expert, 1))).status_code == 201
        key = {"Idempotency-Key": "third"}
        before = stored(sql)
        for _ in range(3):
            refused = await client.post("/bookings", json=body_of(expert, 2), headers=key)
            check_problem(refused, 429, "too_many_bookings")
        assert (stored(sql), count(sql, "kept_answer")) == (before, 1)
        # A replay still works at the limit.
        again = await client.post("/bookings", json=body_of(expert, 0), headers={"Idempotency-Key": "first"})
        assert (again.status_code, again.headers["idempotent-replayed"]) == (201, "true")
        clock.advance(hours=1)
        assert (await client.post("/bookings", json=body_of(expert, 2), headers=key)).status_code == 201


async def test_refused_limit_of_an_address_is_evaluated_again_with_the_same_key(limited: Limited, expert: UUID) -> None:
    services, key = limited(live_per_expert=1), {"Idempotency-Key": "second"}
    async with rest(services) as client:
        first = await client.post("/bookings", json=body_of(expert, 0, ADA))
        refused = await client.post("/bookings", json=body_of(expert, 1, ADA), headers=key)
        check_problem(refused, 409, "booking_limit_reached")
        cancelled = {"status": "cancelled"}
        token = bearer(first.json()["accessToken"])
        await client.patch(f"/bookings/{first.json()['id']}/status", json=cancelled, headers=token)
        assert (await client.post("/bookings", json=body_of(expert, 1, ADA), headers=key)).status_code == 201


async def test_ipv6_addresses_of_one_64_prefix_are_one_network(limited: Limited, expert: UUID) -> None:
    services = limited(per_network=1)
    answers = []
    for number, address in enumerate(
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", "2001:db8:1:3::1", "192.0.2.9", "192.0.2.8")
    ):
        async with rest(services, address) as client:
            answers.append((await client.post("/bookings", json=body_of(expert, number))).status_code)
    assert answers == [201, 429, 201, 201, 201]


@pytest.mark.parametrize(("trusted", "statuses"), [("192.0.2.1", [201, 429, 429]), ("127.0.0.1", [201, 201, 429])])
async def test_forwarded_address_counts_only_from_a_trusted_proxy(
    serve: Serve, expert: UUID, monkeypatch: pytest.MonkeyPatch, trusted: str, statuses: list[int]
) -> None:
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", trusted)
    server = serve(BOOKINGS_PER_NETWORK="1")
    async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
        slots = await free_starts(client, server.url, expert)
        answers: list[int] = []
        for start, address in zip(slots, ("2001:db8::1", "198.51.100.7", "2001:db8::2"), strict=False):
            body = booking_of(expert, startsAt=start, email=f"p{len(answers)}@example.com")
            headers = {"X-Forwarded-For": address}
            answers.append((await client.post("/bookings", json=body, headers=headers)).status_code)
    assert answers == statuses


async def free_starts(client: httpx.AsyncClient, url: str, expert: UUID) -> list[str]:
    """The free times of a later day. Servers use the real clock."""
    day = str((datetime.now(UTC) + timedelta(days=3)).date())
    slots = (await client.get(f"{url}/experts/{expert}/slots", params={"from": day, "to": day})).json()["slots"]
    return [slot["startsAt"] for slot in slots if slot["state"] == "open"]
