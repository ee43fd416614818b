"""What the host's calendar draws, in wall-clock time of the expert."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from expert_booking.domain.lifecycle import Status
from expert_booking.domain.unavailability import Reason
from expert_booking.schemas import ClosedDay, EntryKind, OpenTime, ScheduleEntry, ScheduleView
from expert_booking.web.calendar_items import data_of, first_free

HOUR = timedelta(hours=1)
QUARTER = timedelta(minutes=15)
TEN = datetime(2026, 11, 24, 9, tzinfo=UTC)  # 10:00 in Berlin


def entry(starts_at: datetime = TEN, kind: EntryKind = EntryKind.BOOKING, **facts: Any) -> ScheduleEntry:
    """Something that takes an hour, and a quarter of an hour after it."""
    usual = {
        "id": UUID(int=7), "kind": kind, "starts_at": starts_at, "ends_at": starts_at + HOUR, "busy_from": starts_at,
        "busy_until": starts_at + HOUR + QUARTER, "status": Status.CONFIRMED, "version": 1, "customer_name": "Ada",
        "session_type_id": UUID(int=2), "session_title": "Consultation",
    }  # fmt: skip
    return ScheduleEntry.model_validate({**usual, **facts})


def drawn(*entries: ScheduleEntry, day: date = date(2026, 11, 24), **more: Any) -> dict[str, Any]:
    """The data of one day, with its items by id."""
    since = datetime(day.year, day.month, day.day, tzinfo=UTC)
    facts: dict[str, Any] = {
        "expert_id": UUID(int=1), "time_zone": "Europe/Berlin", "since": since, "until": since + timedelta(days=1),
        "entries": entries, "open_times": (), "closed_days": (), **more,
    }  # fmt: skip
    data = data_of(ScheduleView.model_validate(facts), day, day + timedelta(days=1), since)
    return {**data, "items": {item["id"]: item for item in data["items"]}}


def test_a_booking_and_its_buffer_are_drawn_on_the_experts_clock() -> None:
    items = drawn(entry())["items"]
    booking, buffer = items[str(UUID(int=7))], items[f"after-{UUID(int=7)}"]
    assert (booking["start"], booking["end"], booking["time"]) == (
        "2026-11-24T10:00",
        "2026-11-24T11:00",
        "10:00–11:00",
    )
    assert (booking["title"], booking["text"], booking["status"]) == ("Ada", "Confirmed · Consultation", "confirmed")
    assert (buffer["kind"], buffer["start"], buffer["end"]) == ("buffer", "2026-11-24T11:00", "2026-11-24T11:15")


@pytest.mark.parametrize("status", [Status.PENDING, Status.CONFIRMED, Status.COMPLETED, Status.NO_SHOW])
def test_only_pending_and_confirmed_bookings_can_be_dragged(status: Status) -> None:
    items = drawn(entry(status=status))["items"]
    assert items[str(UUID(int=7))]["movable"] is (status in (Status.PENDING, Status.CONFIRMED))


def test_holds_and_blocks_say_what_they_are_and_stay_where_they_are() -> None:
    hold = drawn(entry(kind=EntryKind.HOLD, status=Status.HELD, customer_name=None))["items"][str(UUID(int=7))]
    block = drawn(entry(kind=EntryKind.BLOCK, status=Status.BLOCKED, note="Dentist"))["items"][str(UUID(int=7))]
    assert (hold["title"], hold["movable"]) == ("On hold", False)
    assert (block["title"], block["text"], block["movable"]) == ("Dentist", "Blocked", False)


def test_both_readings_of_a_repeated_hour_name_their_offset() -> None:
    first, second = (datetime(2027, 10, 31, hour, tzinfo=UTC) for hour in (0, 1))
    items = drawn(entry(first), entry(second, id=UUID(int=8)), day=date(2027, 10, 31))["items"]
    assert items[str(UUID(int=7))]["time"] == "02:00 (UTC+2)–02:00 (UTC+1)"
    assert (items[str(UUID(int=7))]["start"], items[str(UUID(int=7))]["end"]) == (
        "2027-10-31T02:00",
        "2027-10-31T03:00",
    )
    assert items[str(UUID(int=8))]["time"] == "02:00 (UTC+1)–03:00"
    assert items["clock-2027-10-31"]["title"] == "Twice: the clocks go back"


def test_skipped_hours_are_marked() -> None:
    change = drawn(day=date(2027, 3, 28))["items"]["clock-2027-03-28"]
    assert (change["start"], change["end"]) == ("2027-03-28T02:00", "2027-03-28T03:00")
    assert change["title"] == "Skipped: the clocks go forward"


def test_closed_days_have_their_names_and_the_grid_begins_before_the_first_opening() -> None:
    day = date(2026, 11, 24)
    closed = ClosedDay(day=day, starts_at=TEN, ends_at=TEN + HOUR, reason=Reason.HOLIDAY, name="Harvest")
    data = drawn(closed_days=[closed], open_times=[OpenTime(starts_at=TEN, ends_at=TEN + HOUR)])
    assert data["items"]["closed-2026-11-24"]["title"] == "Harvest"
    assert data["items"]["closed-2026-11-24"]["allDay"]
    assert (data["scroll"], data["offset"]) == ("09:00:00", "+01:00")


def test_something_new_begins_in_the_first_free_hour() -> None:
    view = ScheduleView(
        expert_id=UUID(int=1), time_zone="Europe/Berlin", since=TEN, until=TEN + 9 * HOUR, entries=[entry()],
        open_times=[OpenTime(starts_at=TEN, ends_at=TEN + 3 * HOUR)], closed_days=[],
    )  # fmt: skip
    assert first_free(view, TEN - HOUR) == TEN + 1.5 * HOUR
    assert first_free(view, TEN + 2.5 * HOUR) is None
