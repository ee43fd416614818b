"""The board, the form, the REST list and booking itself agree on a year of slots of six experts."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import httpx
import psycopg
import pytest

from expert_booking.domain.errors import Conflict, Refusal, SlotTaken
from expert_booking.domain.hours import OverrideKind
from expert_booking.domain.unavailability import Reason
from expert_booking.schemas import HoldRequest, RuleRequest, SessionTypeRequest
from expert_booking.services import Services
from expert_booking.services.availability import Board
from expert_booking.web.components.slot_grid import first_day, snapshot
from tests.conftest import AddExpert, Book, Clock

Connection = psycopg.Connection[tuple[Any, ...]]

DAY, QUARTER = timedelta(days=1), timedelta(minutes=15)
YEAR = 366


def week(*days: int, opens: str = "09:00", closes: str = "17:00", **validity: Any) -> list[RuleRequest]:
    """The same hours on these weekdays."""
    start, end = (int(clock[:2]) * 60 + int(clock[3:]) for clock in (opens, closes))
    return [RuleRequest(weekday=day, opens=start, closes=end, **validity) for day in days]


def session(**length: Any) -> list[SessionTypeRequest]:
    """One session type with a horizon of a year."""
    sizes = {"title": "Session", "minutes": 60, "step_minutes": 60, "notice_minutes": 0, "horizon_days": YEAR}
    return [SessionTypeRequest(**{**sizes, **length})]


EVERY_DAY = range(1, 8)
# Clock changes by day, at midnight and by half an hour; hours at night; seasons; holidays; caps; buffers.
EXPERTS: dict[str, dict[str, Any]] = {
    "Europe/Berlin": {
        "session_types": session(minutes=45, step_minutes=30, before_minutes=5, after_minutes=10, notice_minutes=150),
        "rules": week(1, 2, 3, 4, 5, closes="12:30") + week(1, 3, opens="14:00", closes="18:00"),
        "country": "DE", "region": "BY", "closed_on_holidays": True,
    },
    "Australia/Lord_Howe": {
        "session_types": session(minutes=30, step_minutes=30), "rules": week(*EVERY_DAY, opens="00:30", closes="04:00"),
    },
    "America/Santiago": {
        "session_types": session(step_minutes=45), "rules": week(*EVERY_DAY, opens="22:00", closes="27:00"),
    },
    "Africa/Cairo": {
        "session_types": session(minutes=90, step_minutes=15, daily_cap=2),
        "rules": week(4, 5, 6, opens="00:00", closes="24:00"),
    },
    "Asia/Kathmandu": {
        "session_types": session(),
        "rules": week(1, 2, valid_from=date(2027, 1, 1), valid_until=date(2027, 4, 30))
        + week(6, 7, opens="10:00", closes="11:30"),
    },
    "America/New_York": {
        "session_types": session(minutes=480, step_minutes=60), "rules": week(6, opens="18:00", closes="42:00"),
        "country": "US", "closed_on_holidays": True,
    },
}  # fmt: skip
VIEWERS = ("Europe/Berlin", "Pacific/Apia", "America/St_Johns", "UTC", "Pacific/Pago_Pago", "Antarctica/Troll")


@pytest.mark.parametrize(("zone", "viewer"), list(zip(EXPERTS, VIEWERS, strict=True)))
async def test_board_form_api_and_booking_agree_on_a_year_of_slots(
    zone: str, viewer: str, client: httpx.AsyncClient, services: Services, add_expert: AddExpert, book: Book,
    sql: Connection, clock: Clock,
) -> None:  # fmt: skip
    expert_id = await add_expert(name="Jana Müller", time_zone=zone, **EXPERTS[zone])
    _change_some_dates(sql, expert_id)
    await _book_and_hold_some(services, book, expert_id)

    board = await services.availability.board(expert_id)
    on_board = {_text(slot.starts_at): slot.state.value for slot in board.slots}
    assert len(on_board) > 100
    assert set(on_board.values()) == {"open", "booked", "held"}
    assert _by_page(board, ZoneInfo(viewer), clock()) == on_board
    assert await _by_rest(client, expert_id, viewer, clock()) == on_board
    assert dict(_by_form(board, clock())) == on_board

    # Booking agrees too: open slots can be booked and all others are refused.
    for start, state in list(on_board.items())[:: max(1, len(on_board) // 25)]:
        starts_at = datetime.fromisoformat(start)
        if (await services.availability.board(expert_id)).refusal(starts_at) is None:
            assert (await book(expert_id, starts_at)).starts_at == starts_at
        else:
            assert state != "open" or EXPERTS[zone]["session_types"][0].daily_cap or _overlapping(board, starts_at)
            with pytest.raises(Refusal):
                await book(expert_id, starts_at)
    await _check_wording(book, expert_id, board)


def _change_some_dates(sql: Connection, expert_id: UUID) -> None:
    sql.execute("INSERT INTO day_off (expert_id, first_day, last_day) VALUES (%s, '2027-07-01', '2027-07-21')",
                [expert_id])  # fmt: skip
    for day, kind, windows in (
        ("2026-12-02", OverrideKind.NONE, "[]"), ("2027-03-28", OverrideKind.HOURS, "[[60, 300]]"),
        ("2027-04-04", OverrideKind.EXTRA, "[[1320, 1800]]"), ("2027-07-04", OverrideKind.EXTRA, "[[600, 720]]"),
    ):  # fmt: skip
        sql.execute("INSERT INTO override (expert_id, day, kind, windows) VALUES (%s, %s, %s, %s)",
                    [expert_id, day, kind, windows])  # fmt: skip


async def _book_and_hold_some(services: Services, book: Book, expert_id: UUID) -> None:
    slots = (await services.availability.board(expert_id)).slots
    for number, slot in enumerate(slots[:: max(1, len(slots) // 40)]):
        try:
            if number % 3:
                await book(expert_id, slot.starts_at)
            else:
                await services.holds.take(HoldRequest(expert_id=expert_id, starts_at=slot.starts_at))
        except Conflict:  # it overlaps the previous one
            continue


async def _check_wording(book: Book, expert_id: UUID, board: Board) -> None:
    """The refusal says whether the time is booked or only held."""
    expected = {"held": (Reason.HELD, "right now."), "booked": (Reason.BUSY, "just booked this time.")}
    taken = [slot for slot in board.slots if slot.state.value in expected]
    for slot in taken[:: max(1, len(taken) // 10)]:
        with pytest.raises(SlotTaken) as refused:
            await book(expert_id, slot.starts_at)
        reason, ending = expected[slot.state.value]
        assert refused.value.blocker.reason is reason
        assert str(refused.value).endswith(ending)
        assert slot.starts_at not in refused.value.alternatives


def _by_page(board: Board, viewer: ZoneInfo, now: datetime) -> dict[str, str]:
    """The slots that a visitor sees when paging through all weeks."""
    seen: dict[str, str] = {}
    day = first_day(None, board, viewer, now)
    while day is not None:
        drawn = snapshot(board, 1, viewer, day, now)
        shown = [slot for page in drawn["weeks"] for column in page for slot in column["slots"]]
        seen |= {start: state for start, _, state in shown}
        day = date.fromisoformat(drawn["later"]) if drawn["later"] else None
    return seen


async def _by_rest(client: httpx.AsyncClient, expert_id: UUID, viewer: str, now: datetime) -> dict[str, str]:
    """The slots that a program gets when it requests months in the viewer's dates."""
    seen: dict[str, str] = {}
    first, last = now.date() - 2 * DAY, now.date() + (YEAR + 3) * DAY
    while first <= last:
        query = {"from": str(first), "to": str(min(first + 61 * DAY, last)), "timeZone": viewer}
        answer = (await client.get(f"/experts/{expert_id}/slots", params=query)).json()
        starts = [slot["startsAt"] for slot in answer["slots"]]
        assert starts == sorted(set(starts))
        assert not seen.keys() & set(starts)
        seen |= {slot["startsAt"]: slot["state"] for slot in answer["slots"]}
        first += 62 * DAY
    return seen


def _by_form(board: Board, now: datetime) -> Iterator[tuple[str, str]]:
    """The form's verdict on every quarter of an hour and on all other starts of slots."""
    quarters = {now + number * QUARTER for number in range((YEAR + 2) * 96)}
    states = {slot.starts_at: slot.state.value for slot in board.slots}
    for instant in sorted(quarters | states.keys()):
        refusal = board.refusal(instant)
        if refusal is None:
            yield _text(instant), "open"
        elif isinstance(refusal, Conflict):
            yield _text(instant), states.get(instant, "not on the board")


def _overlapping(board: Board, instant: datetime) -> bool:
    """Whether slots of this type overlap, so that a booking of this test may have taken a neighbour."""
    return board.calendar.length.step_minutes < board.calendar.length.minutes + 15


def _text(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")
