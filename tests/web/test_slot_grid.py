"""The snapshot of two weeks of a board that a page renders."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from expert_booking.domain.calendar import Busy, Calendar, SessionLength
from expert_booking.domain.hours import AvailabilityRule, Hours
from expert_booking.domain.prices import Price
from expert_booking.schemas import SessionTypeView
from expert_booking.services.availability import Board
from expert_booking.web.components.slot_grid import first_day, snapshot
from expert_booking.web.live.board_view import VisitorSlot

BERLIN, KATHMANDU, UTC_ZONE = ZoneInfo("Europe/Berlin"), ZoneInfo("Asia/Kathmandu"), ZoneInfo("UTC")
MONDAY = datetime(2026, 11, 23, 8, tzinfo=UTC)  # 09:00 in Berlin
TODAY = date(2026, 11, 23)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)


def board(
    now: datetime = MONDAY, *, zone: ZoneInfo = BERLIN, opens: int = 540, closes: int = 1020, busy: Sequence[Busy] = (),
    horizon: int = 60, step: int = 60, weekdays: Sequence[int] = range(1, 8),
) -> Board:  # fmt: skip
    """The board of an expert who works every day from nine to five, in steps of an hour."""
    rules = tuple(AvailabilityRule(day, opens, closes) for day in weekdays)
    calendar = Calendar(zone, Hours(rules), SessionLength(60, step, horizon_days=horizon), busy=tuple(busy))
    slots = calendar.slots(now, now + 400 * DAY, now)
    return Board(expert_id=UUID(int=1), session_type_id=UUID(int=2), session_title="Consultation", calendar=calendar,
                 last_day=calendar.horizon(now), read_at=now, slots=tuple(slots))  # fmt: skip


def days(drawn: dict[str, Any]) -> dict[str, list[list[str]]]:
    """Return the slots of each day by its date."""
    return {day["date"]: day["slots"] for week in drawn["weeks"] for day in week}


def test_two_weeks_start_with_the_first_day_and_group_slots_by_day() -> None:
    drawn = snapshot(board(), 7, BERLIN, TODAY, MONDAY)
    assert [len(week) for week in drawn["weeks"]] == [7, 7]
    assert list(days(drawn)) == [f"{TODAY + n * DAY}" for n in range(14)]
    assert [slot[1] for slot in days(drawn)["2026-11-24"]] == [f"{hour:02}:00" for hour in range(9, 17)]
    assert days(drawn)["2026-11-24"][0] == ["2026-11-24T08:00:00Z", "09:00", "open"]
    assert (drawn["version"], drawn["range"], drawn["start"]) == (7, "23 Nov – 6 Dec 2026", "")
    first = drawn["weeks"][0][0]
    assert (first["name"], first["short"], first["long"], first["today"]) == (
        "Mon", "23 Nov", "Monday, 23 November 2026", True)  # fmt: skip
    assert not drawn["weeks"][0][1]["today"]


def test_session_types_keep_their_order_and_the_boards_own_is_marked() -> None:
    one, two = (SessionTypeView(id=UUID(int=n), title=f"No. {n}", minutes=15 * n, description="Why") for n in (3, 2))
    two = two.model_copy(update={"price": Price(4500, "EUR")})
    drawn = snapshot(replace(board(), session_types=(one, two)), 1, BERLIN, TODAY, MONDAY)
    terms = " ".join(one.terms.sentences())
    assert drawn["sessions"] == [
        {"id": str(one.id), "title": "No. 3", "length": "45 minutes", "about": "Why", "terms": terms},
        {"id": str(two.id), "title": "No. 2", "length": "30 minutes · €45.00", "about": "Why", "terms": terms},
    ]
    assert (drawn["session"], drawn["title"], drawn["length"]) == (str(two.id), "Consultation", "60 minutes")
    assert snapshot(replace(board(), session_type_id=None), 1, BERLIN, TODAY, MONDAY)["session"] == ""


def test_days_are_the_visitors_not_the_experts() -> None:
    late = board(opens=20 * 60, closes=22 * 60)  # the evening in Berlin is the next day in Kathmandu
    drawn = snapshot(late, 1, KATHMANDU, TODAY, MONDAY)
    assert days(drawn)["2026-11-23"] == []
    assert [slot[1] for slot in days(drawn)["2026-11-24"]] == ["00:45", "01:45"]
    assert (drawn["zone"], drawn["expertZone"]) == ("Asia/Kathmandu (UTC+5:45)", "Europe/Berlin (UTC+1)")


def test_expert_zone_is_omitted_if_the_visitor_is_in_it() -> None:
    assert snapshot(board(), 1, BERLIN, TODAY, MONDAY)["expertZone"] == ""


def test_booked_and_held_times_differ() -> None:
    busy = [Busy(MONDAY + DAY, MONDAY + DAY + HOUR), Busy(MONDAY + 2 * DAY, MONDAY + 2 * DAY + HOUR, held=True)]
    drawn = days(snapshot(board(busy=busy), 1, BERLIN, TODAY, MONDAY))
    assert [drawn[f"2026-11-{day}"][0][2] for day in (24, 25, 26)] == ["booked", "held", "open"]


def test_clock_change_shows_both_half_past_twos_with_their_offsets() -> None:
    now = datetime(2026, 10, 24, 8, tzinfo=UTC)
    night = board(now, opens=60, closes=300, step=30)
    drawn = days(snapshot(night, 1, BERLIN, date(2026, 10, 24), now))["2026-10-25"]
    assert [slot[1] for slot in drawn] == [
        "01:00", "01:30", "02:00 (UTC+2)", "02:30 (UTC+2)", "02:00 (UTC+1)", "02:30 (UTC+1)", "03:00", "03:30", "04:00",
    ]  # fmt: skip
    assert len({slot[0] for slot in drawn}) == 9


def test_two_weeks_with_a_clock_change_have_fourteen_days_and_all_slots() -> None:
    now = datetime(2027, 3, 27, 6, tzinfo=UTC)
    drawn = snapshot(board(now), 1, BERLIN, date(2027, 3, 27), now)
    assert [len(slots) for slots in days(drawn).values()] == 14 * [8]
    assert (drawn["since"], drawn["until"]) == ("2027-03-26T23:00:00Z", "2027-04-09T22:00:00Z")


def test_paging_forward_is_possible_until_the_horizon() -> None:
    calendar = board(horizon=14)
    first, second = (snapshot(calendar, 1, BERLIN, TODAY + n * 7 * DAY, MONDAY) for n in (0, 1))
    assert (first["earlier"], first["later"]) == (None, "2026-11-30")
    assert (second["earlier"], second["later"], second["start"]) == ("2026-11-23", "2026-12-07", "2026-11-30")
    third = snapshot(calendar, 1, BERLIN, TODAY + 14 * DAY, MONDAY)
    assert third["later"] is None
    assert [len(slots) for slots in days(third).values()] == [8] + 13 * [0]


def test_without_free_slots_the_next_free_time_after_the_two_weeks_is_named() -> None:
    drawn = snapshot(board(weekdays=[3], busy=[Busy(MONDAY, MONDAY + 17 * DAY)]), 1, BERLIN, TODAY, MONDAY)
    assert drawn["next"] == {"day": "2026-12-16", "text": "Wed 16 Dec, 09:00"}
    assert snapshot(board(busy=[Busy(MONDAY, MONDAY + 99 * DAY)]), 1, BERLIN, TODAY, MONDAY)["next"] is None


def test_range_over_new_year_names_both_years() -> None:
    now = datetime(2026, 12, 28, 6, tzinfo=UTC)
    assert snapshot(board(now), 1, BERLIN, date(2026, 12, 28), now)["range"] == "28 Dec 2026 – 10 Jan 2027"


@pytest.mark.parametrize(
    "wanted", [None, "", "tomorrow", "2026-13-45", 5, [], {"a": 1}, "2020-01-01", "0001-01-01", "\0"]
)
def test_invalid_or_past_first_day_means_today(wanted: object) -> None:
    assert first_day(wanted, board(), BERLIN, MONDAY) == TODAY


@pytest.mark.parametrize(
    ("wanted", "shown"),
    [("2026-11-23", "2026-11-23"), ("2026-11-29", "2026-11-23"), ("2026-11-30", "2026-11-30"),
     ("2026-12-09", "2026-12-07"), ("9999-12-31", "2027-01-18")],
)  # fmt: skip
def test_first_day_moves_in_whole_weeks_from_today_within_the_horizon(wanted: str, shown: str) -> None:
    assert first_day(wanted, board(), BERLIN, MONDAY) == date.fromisoformat(shown)


def test_today_is_the_visitors_today() -> None:
    evening = datetime(2026, 11, 23, 20, tzinfo=UTC)
    assert first_day(None, board(evening), KATHMANDU, evening) == date(2026, 11, 24)
    assert first_day(None, board(evening), UTC_ZONE, evening) == date(2026, 11, 23)


def test_last_weeks_are_reachable_from_every_time_zone() -> None:
    far = ZoneInfo("Pacific/Kiritimati")
    calendar = board(zone=far, horizon=21)
    for zone in (far, ZoneInfo("Pacific/Midway")):
        since, reached = first_day(None, calendar, zone, MONDAY), set[str]()
        while True:
            drawn = snapshot(calendar, 1, zone, since, MONDAY)
            reached |= {slot[0] for slots in days(drawn).values() for slot in slots}
            if drawn["later"] is None:
                break
            since = first_day(drawn["later"], calendar, zone, MONDAY)
        assert len(reached) == len(calendar.slots)


def test_starts_that_only_this_visitor_can_see_are_drawn_as_gone() -> None:
    hidden = datetime(2026, 11, 24, 6, tzinfo=UTC)
    drawn = days(snapshot(board(), 1, BERLIN, TODAY, MONDAY, hidden=[hidden]))["2026-11-24"]
    assert drawn[:2] == [["2026-11-24T06:00:00Z", "07:00", "gone"], ["2026-11-24T08:00:00Z", "09:00", "open"]]


def test_own_hold_opens_the_times_it_blocks_and_own_booking_all_but_its_own() -> None:
    nine = datetime(2026, 11, 24, 8, tzinfo=UTC)
    kept = board(busy=[Busy(nine, nine + timedelta(hours=1), True, None, nine)])
    assert VisitorSlot(nine, UUID(int=1), booked=False).opens(kept) == [nine]
    assert VisitorSlot(nine, UUID(int=1), booked=True).opens(kept) == []
    assert VisitorSlot(nine + timedelta(hours=1), UUID(int=1), booked=False).opens(kept) == []
