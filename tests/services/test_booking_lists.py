"""Lists of bookings for hosts: filters, cursors, export, and actions on several bookings."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from pydantic import ValidationError

from expert_booking.db.bookings import lists
from expert_booking.domain.errors import ExpertNotFound, Forbidden, NotAuthenticated
from expert_booking.domain.lifecycle import Status
from expert_booking.schemas import (
    BookingAction,
    BookingFilter,
    BookingPage,
    BookingQuery,
    BookingSort,
    BookingView,
    Caller,
    HostBookingRequest,
    Role,
)
from expert_booking.services import Services, booking_lists
from expert_booking.services.csv_exports import bookings_csv
from tests.conftest import AddExpert, Book, Clock
from tests.services.conftest import Counted

Connection = psycopg.Connection[tuple[Any, ...]]
NINE = datetime(2026, 11, 24, 8, tzinfo=UTC)  # 09:00 in Berlin
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
ADMIN = Caller(role=Role.ADMIN)
READER = Caller(role=Role.READER)
CUSTOMER = Caller(role=Role.CUSTOMER, customer_key="ada@example.com")


@pytest.fixture
async def jana(add_expert: AddExpert) -> UUID:
    """An expert in Berlin."""
    return await add_expert()


def host(expert: UUID) -> Caller:
    """The expert herself."""
    return Caller(role=Role.EXPERT, expert_id=expert)


async def find(services: Services, expert: UUID, **query: Any) -> BookingPage:
    """A page of this expert's bookings, as she sees them."""
    return await services.booking_lists.page(BookingQuery(expert_id=expert, **query), host(expert))


def names(page: BookingPage) -> list[str | None]:
    """The customers' names."""
    return [booking.name for booking in page.bookings]


async def all_lines(services: Services, wanted: BookingFilter, caller: Caller | None) -> list[str]:
    """The lines of the export without the head."""
    text = "".join([part async for part in bookings_csv(services.booking_lists.export(wanted, caller))])
    return text.split("\r\n")[1:-1]


@pytest.fixture
async def three(jana: UUID, book: Book) -> UUID:
    """Three bookings of three customers with Jana."""
    await book(jana, NINE, name="Zoë Müller", email="zoe@example.com", phone="+49 30 1234567")
    await book(jana, NINE + HOUR, name="Ada Lovelace", email="ada@EXAMPLE.com", phone="+44 20 7946 0000")
    await book(jana, NINE + 2 * HOUR, name="100% Sure", email="under_score@example.org", phone="+33 1 23 45 67 89")
    return jana


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("zoe", ["Zoë Müller"]),
        ("MULLER", ["Zoë Müller"]),
        ("müller zoë", ["Zoë Müller"]),
        ("ull zo", ["Zoë Müller"]),
        ("müller ada", []),
        ("example.com", ["Ada Lovelace", "Zoë Müller"]),
        ("+44 20 7946", ["Ada Lovelace"]),
        ("020 7946-0000", ["Ada Lovelace"]),
        ("030 12", ["Zoë Müller"]),
        ("%", ["100% Sure"]),
        ("r_s", ["100% Sure"]),
        ("0%0", []),
        ("\\", []),
        ("\uff05", ["100% Sure"]),  # a wide percent sign, which folding turns into a plain one
    ],
)
async def test_search_ignores_case_accents_and_order(
    services: Services, three: UUID, search: str, found: list[str]
) -> None:
    assert names(await find(services, three, search=search, sort="-start")) == found


async def test_search_finds_a_booking_by_its_id(services: Services, three: UUID, add_expert: AddExpert) -> None:
    wanted = (await find(services, three)).bookings[1]
    assert [one.id for one in (await find(services, three, search=f" {wanted.id} ")).bookings] == [wanted.id]
    other = await add_expert(name="Omar Haddad", email="omar@example.com")
    assert (await find(services, other, search=str(wanted.id))).bookings == []


async def test_a_search_without_expert_needs_three_characters(services: Services, three: UUID) -> None:
    with pytest.raises(ValidationError, match="at least 3 characters"):
        BookingQuery(search="zo")
    found = await services.booking_lists.page(BookingQuery(search="zoe"), ADMIN)
    assert names(found) == ["Zoë Müller"]


async def test_filters_by_status_and_session_type(services: Services, add_expert: AddExpert, book: Book) -> None:
    expert = await add_expert()
    first = await book(expert, NINE)
    second = await book(expert, NINE + HOUR)
    await book(expert, NINE + 2 * HOUR)
    await services.bookings.change_status(first.id, Status.CONFIRMED, ADMIN)
    await services.bookings.change_status(second.id, Status.DECLINED, ADMIN)
    both = await find(services, expert, status=["confirmed", "declined"], sort="start")
    assert [(one.id, one.status) for one in both.bookings] == [
        (first.id, Status.CONFIRMED), (second.id, Status.DECLINED)
    ]  # fmt: skip
    assert both.total == 2
    assert (await find(services, expert, status="pending")).total == 1
    assert (await find(services, expert, session_type_id=first.session_type_id)).total == 3
    assert (await find(services, expert, session_type_id=uuid4())).total == 0


async def test_dates_are_those_of_the_expert_also_when_the_clocks_change(
    services: Services, add_expert: AddExpert, book: Book, clock: Clock
) -> None:
    clock.now = datetime(2027, 10, 25, tzinfo=UTC)
    expert = await add_expert(hours=(0, 1440), minutes=30, step_minutes=30)
    # Sunday, 2027-10-31 in Berlin lasts 25 hours: from 22:00 UTC on Saturday to 23:00 UTC on Sunday.
    midnight = datetime(2027, 10, 30, 22, tzinfo=UTC)
    half = timedelta(minutes=30)
    for start in (midnight - half, midnight, midnight + 25 * HOUR - half, midnight + 25 * HOUR):
        await book(expert, start)
    sunday = {"from": "2027-10-31", "to": "2027-10-31"}
    found = await find(services, expert, **sunday, sort="start")
    assert [one.starts_at for one in found.bookings] == [midnight, midnight + 25 * HOUR - half]
    assert (await find(services, expert, **{"from": "2027-10-31"})).total == 3
    assert (await find(services, expert, to="2027-10-31")).total == 3
    in_tokyo = await find(services, expert, **sunday, time_zone="Asia/Tokyo")
    assert [one.starts_at for one in in_tokyo.bookings] == [midnight, midnight - half]


@pytest.mark.parametrize("sort", list(BookingSort))
async def test_cursors_lose_and_repeat_nothing_while_bookings_are_added(
    services: Services, jana: UUID, book: Book, clock: Clock, sort: BookingSort
) -> None:
    before = [await book(jana, NINE + day * DAY + hour * HOUR) for day in range(2) for hour in (1, 3, 5)]
    column = "starts_at" if "start" in sort.value else "created_at"
    expected = sorted(before, key=lambda one: (getattr(one, column), one.id), reverse=sort.descending)
    seen: list[BookingView] = []
    after = None
    for number in range(10):
        page = await find(services, jana, sort=sort, limit=2, after=after)
        seen += page.bookings
        # One before and one after what has been read.
        await book(jana, NINE + number % 2 * DAY + (0, 2, 4, 6, 7)[number // 2] * HOUR)
        after = page.next
        if after is None:
            break
    known = {one.id for one in before}
    assert [one.id for one in seen if one.id in known] == [one.id for one in expected]
    assert len({one.id for one in seen}) == len(seen)
    # And the way back.
    back: list[BookingView] = []
    cursor = page.previous
    while cursor is not None:
        page = await find(services, jana, sort=sort, limit=2, before=cursor)
        back = [*page.bookings, *back]
        cursor = page.previous
    known_back = [one.id for one in back if one.id in known]
    assert known_back == [one.id for one in expected][: len(known_back)]
    assert len(known_back) >= 4
    assert len({one.id for one in back}) == len(back)


async def test_bookings_with_the_same_time_are_paged_by_id(
    services: Services, jana: UUID, book: Book, sql: Connection
) -> None:
    for hour in range(5):
        await book(jana, NINE + hour * HOUR)
    sql.execute("UPDATE booking SET created_at = '2026-11-20T00:00Z'")
    ids, after = [], None
    for _ in range(5):
        page = await find(services, jana, sort="-created", limit=1, after=after)
        ids += [one.id for one in page.bookings]
        after = page.next
    assert after is None
    assert ids == sorted(ids, reverse=True)
    assert len(set(ids)) == 5


async def test_page_numbers_still_work(services: Services, jana: UUID, book: Book) -> None:
    made = [await book(jana, NINE + hour * HOUR) for hour in range(5)]
    pages = [await find(services, jana, page=number, limit=2) for number in (1, 2, 3, 4)]
    assert [[one.id for one in page.bookings] for page in pages] == [
        [made[4].id, made[3].id], [made[2].id, made[1].id], [made[0].id], []
    ]  # fmt: skip
    assert [(page.total, page.total_is_capped, page.page) for page in pages] == [(5, False, n) for n in (1, 2, 3, 4)]
    assert [(page.previous is None, page.next is None) for page in pages] == [
        (True, False), (False, False), (False, True), (True, True)
    ]  # fmt: skip


async def test_total_is_capped(services: Services, three: UUID, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lists, "MAX_COUNTED", 2)
    found = await find(services, three)
    assert (found.total, found.total_is_capped, len(found.bookings)) == (2, True, 3)


@pytest.mark.parametrize(
    "query",
    [
        {"after": "x"}, {"before": "%"}, {"after": "LXN0YXJ0Olsi"}, {"status": "held"}, {"sort": "name"},
        {"from": "2026-11-25", "to": "2026-11-24"}, {"search": "x" * 101}, {"limit": 101}, {"blocked": True},
    ],
)  # fmt: skip
def test_impossible_queries_are_refused(query: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        BookingQuery(expert_id=uuid4(), **query)


async def test_a_cursor_of_another_order_is_refused(services: Services, three: UUID) -> None:
    after = (await find(services, three, limit=1)).next
    with pytest.raises(ValidationError, match="same `sort`"):
        BookingQuery(expert_id=three, sort="created", after=after)


async def test_others_may_not_filter_or_search_an_experts_bookings(
    services: Services, three: UUID, add_expert: AddExpert
) -> None:
    other = host(await add_expert(name="Omar Haddad", email="omar@example.com"))
    for caller in (None, other, CUSTOMER):
        for hidden in ({"search": "zoe"}, {"status": "pending"}, {"sort": "created"}, {"from": "2026-11-01"}):
            with pytest.raises(NotAuthenticated):
                await services.booking_lists.find(BookingQuery(expert_id=three, **hidden), caller)
        with pytest.raises(NotAuthenticated):
            await services.booking_lists.page(BookingQuery(expert_id=three), caller)
        with pytest.raises(NotAuthenticated):
            await all_lines(services, BookingFilter(expert_id=three), caller)
    for caller in (host(three), ADMIN, READER):
        assert len(await all_lines(services, BookingFilter(expert_id=three, search="zoe"), caller)) == 1
    own = BookingQuery(email="ada@example.com", status="pending")
    assert names(await services.booking_lists.page(own, CUSTOMER)) == ["Ada Lovelace"]


async def test_dates_of_an_unknown_expert_are_not_found(services: Services) -> None:
    with pytest.raises(ExpertNotFound):
        await services.booking_lists.page(BookingQuery(expert_id=uuid4(), **{"from": date(2026, 1, 1)}), ADMIN)


async def test_lists_leave_out_holds_and_unconfirmed_addresses(
    services: Services, add_expert: AddExpert, book: Book, sql: Connection
) -> None:
    expert = await add_expert(email_verification="always")
    await book(expert, NINE, visitor=b"v" * 32)
    assert (await find(services, expert)).total == 0
    assert await all_lines(services, BookingFilter(expert_id=expert), host(expert)) == []
    assert len(await all_lines(services, BookingFilter(expert_id=expert), ADMIN)) == 1
    sql.execute("UPDATE booking SET verify_by = NULL")
    assert (await find(services, expert)).total == 1


async def test_a_page_takes_a_constant_number_of_statements(services: Services, three: UUID, counted: Counted) -> None:
    with counted() as sent:
        await find(services, three, search="example", status="pending", limit=2)
    assert len(sent) == 2


# --- export -----------------------------------------------------------------------------------------------------


async def test_export_writes_local_and_utc_times_and_escapes_formulas(
    services: Services, jana: UUID, book: Book
) -> None:
    made = await book(jana, NINE, name="=1+1", phone="+44 20 7946 0000", notes='Said "yes",\nthen left')
    [line] = await all_lines(services, BookingFilter(expert_id=jana), host(jana))
    created = made.created_at.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert line == (
        f"{made.id},pending,2026-11-24,09:00,10:00,Europe/Berlin,2026-11-24T08:00:00Z,2026-11-24T09:00:00Z,"
        f'Jana Müller,Consultation,\'=1+1,ada@example.com,\'+442079460000,"Said ""yes"",\nthen left",,,,,,'
        f"{created},{created}"
    )


async def test_export_has_every_booking_once_in_batches(
    services: Services, jana: UUID, book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [await book(jana, NINE + hour * HOUR) for hour in range(7)]
    monkeypatch.setattr(booking_lists, "_EXPORT_BATCH", 3)
    export = services.booking_lists.export(BookingFilter(expert_id=jana, sort=BookingSort.EARLIEST_START), host(jana))
    batches = [[one.id for one in batch] async for batch in export]
    assert [len(batch) for batch in batches] == [3, 3, 1]
    assert [one for batch in batches for one in batch] == [one.id for one in made]


# --- actions ----------------------------------------------------------------------------------------------------


async def test_one_refused_booking_does_not_stop_the_others(
    services: Services, jana: UUID, add_expert: AddExpert, book: Book
) -> None:
    first, second, third = [await book(jana, NINE + hour * HOUR) for hour in range(3)]
    await services.bookings.change_status(second.id, Status.DECLINED, ADMIN)
    foreign = await book(await add_expert(name="Omar Haddad", email="omar@example.com"), NINE)
    ids = [third.id, second.id, foreign.id, unknown := uuid4(), first.id]
    done = await services.booking_lists.act(BookingAction(action="confirm", ids=ids, reason="All welcome"), host(jana))
    assert (done.done, done.refused) == (2, 3)
    assert [one.id for one in done.results] == ids
    assert [one.error.code if one.error else one.booking and one.booking.status for one in done.results] == [
        "confirmed", "status_change_not_allowed", "forbidden", "booking_not_found", "confirmed"
    ]  # fmt: skip
    assert unknown == done.results[3].id
    history = (await services.bookings.history(first.id, host(jana))).changes[-1]
    assert (history.actor, history.to_status, history.reason) == ("expert", "confirmed", "All welcome")
    assert (await services.bookings.get(foreign.id, ADMIN)).status is Status.PENDING


@pytest.mark.parametrize(
    ("action", "ended", "status"),
    [("confirm", False, "confirmed"), ("decline", False, "declined"), ("cancel", False, "cancelled"),
     ("complete", True, "completed"), ("no_show", True, "no_show")],
)  # fmt: skip
async def test_every_action_leads_to_its_status(
    services: Services, jana: UUID, book: Book, clock: Clock, action: Any, ended: bool, status: str
) -> None:
    made = await book(jana, NINE)
    if ended:
        await services.bookings.change_status(made.id, Status.CONFIRMED, ADMIN)
        clock.now = NINE + HOUR
    done = await services.booking_lists.act(BookingAction(action=action, ids=[made.id]), host(jana))
    assert done.results[0].booking is not None
    assert done.results[0].booking.status == status


async def test_actions_are_for_hosts(services: Services, jana: UUID, book: Book) -> None:
    made = await book(jana, NINE)
    action = BookingAction(action="cancel", ids=[made.id])
    with pytest.raises(NotAuthenticated):
        await services.booking_lists.act(action, None)
    for caller in (READER, CUSTOMER):
        with pytest.raises(Forbidden):
            await services.booking_lists.act(action, caller)
    assert (await services.bookings.get(made.id, ADMIN)).status is Status.PENDING


@pytest.mark.parametrize("ids", [[], [UUID(int=1)] * 2, [UUID(int=n) for n in range(101)]])
def test_actions_take_1_to_100_different_bookings(ids: list[UUID]) -> None:
    with pytest.raises(ValidationError):
        BookingAction(action="confirm", ids=ids)


async def test_bookings_by_hand_without_an_address_are_listed_and_found(services: Services, jana: UUID) -> None:
    by_hand = HostBookingRequest(expert_id=jana, starts_at=NINE, name="Rosa Luxemburg")
    made = await services.bookings.book_by_hand(by_hand, host(jana))
    for query in ({}, {"search": "luxem"}, {"status": "confirmed"}):
        assert [one.id for one in (await find(services, jana, **query)).bookings] == [made.id]
    [line] = await all_lines(services, BookingFilter(expert_id=jana), host(jana))
    assert ",Rosa Luxemburg,,," in line
