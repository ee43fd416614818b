"""A range of a calendar as the items that `WeekCalendar` draws, in wall-clock time of the expert's zone."""

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from expert_booking.domain import formatting
from expert_booking.domain.calendar import DAY
from expert_booking.domain.lifecycle import RESCHEDULABLE
from expert_booking.domain.wall_clock import clock_change, wall_span, wall_time
from expert_booking.schemas import EntryKind, ScheduleEntry, ScheduleView

Item = dict[str, Any]
_MIDNIGHT: Final = time()
_HOUR: Final = timedelta(hours=1)
# Where the grid begins if nothing is open or booked, in hours.
_USUAL_START: Final = 8


def data_of(read: ScheduleView, since: date, until: date, now: datetime) -> dict[str, Any]:
    """What `WeekCalendar` shows: the items, the range they cover, the zone's offset now, and where the grid begins.

    The range is from `since` to `until` (exclusive), in local dates of the expert.
    """
    zone = ZoneInfo(read.time_zone)
    items = [*_taken(read, zone), *_open(read, zone), *_closed(read), *_clock_changes(zone, since, until)]
    return {
        "since": since.isoformat(),
        "until": until.isoformat(),
        "offset": _offset(now, zone),
        "scroll": _scroll(items),
        "items": items,
    }


def wall_text(wall: datetime) -> str:
    """`2026-12-01T09:30`."""
    return wall.isoformat(timespec="minutes")


def day_of(instant: datetime, zone: ZoneInfo) -> date:
    """The zone's date at this instant."""
    return wall_time(instant, zone).date()


def first_free(read: ScheduleView, after: datetime) -> datetime | None:
    """The first hour (UTC) from `after` on that is open and not taken, on the half hour; None if there is none."""
    for one in read.open_times:
        start = max(one.starts_at, after)
        while start + _HOUR <= one.ends_at:
            if not any(taken.busy_from < start + _HOUR and start < taken.busy_until for taken in read.entries):
                return start
            start += _HOUR / 2
    return None


def _taken(read: ScheduleView, zone: ZoneInfo) -> Iterator[Item]:
    for entry in read.entries:
        yield _entry(entry, zone)
        for name, begin, end in (
            ("before", entry.busy_from, entry.starts_at), ("after", entry.ends_at, entry.busy_until),
        ):  # fmt: skip
            if begin < end:
                yield _background(f"{name}-{entry.id}", "buffer", *wall_span(begin, end, zone))


def _entry(entry: ScheduleEntry, zone: ZoneInfo) -> Item:
    begin, end = wall_span(entry.starts_at, entry.ends_at, zone)
    title, text = _texts(entry)
    return {
        "id": str(entry.id),
        "kind": entry.kind.value,
        "status": entry.status.value,
        "start": wall_text(begin),
        "end": wall_text(end),
        "time": formatting.time_span(entry.starts_at, entry.ends_at, zone),
        "day": formatting.long_day(entry.starts_at, zone),
        "title": title,
        "text": text,
        "movable": is_movable(entry),
    }


def is_movable(entry: ScheduleEntry) -> bool:
    """Whether the entry can be dragged to another time."""
    return entry.kind is EntryKind.BOOKING and entry.status in RESCHEDULABLE and bool(entry.customer_name)


def _texts(entry: ScheduleEntry) -> tuple[str, str]:
    if entry.kind is EntryKind.HOLD:
        return "On hold", "Someone is booking this time"
    if entry.kind is EntryKind.BLOCK:
        return entry.note or "Busy", "Blocked, every week" if entry.series_id else "Blocked"
    text = f"{formatting.STATUS[entry.status]} · {entry.session_title}"
    return entry.customer_name or formatting.DELETED_CUSTOMER, text


def _open(read: ScheduleView, zone: ZoneInfo) -> Iterator[Item]:
    for one in read.open_times:
        begin, end = wall_span(one.starts_at, one.ends_at, zone)
        yield _background(f"open-{wall_text(begin)}", "open", begin, end)


def _closed(read: ScheduleView) -> Iterator[Item]:
    for one in read.closed_days:
        yield _all_day(f"closed-{one.day}", "closed", one.day, one.name or "Day off")


def _clock_changes(zone: ZoneInfo, since: date, until: date) -> Iterator[Item]:
    day = since
    while day < until:
        change = clock_change(zone, day)
        if change is not None:
            text = "Twice: the clocks go back" if change.twice else "Skipped: the clocks go forward"
            yield {**_background(f"clock-{day}", "clock", change.begins, change.ends), "title": text}
        day += DAY


def _background(key: str, kind: str, begin: datetime, end: datetime) -> Item:
    return {"id": key, "kind": kind, "background": True, "start": wall_text(begin), "end": wall_text(end)}


def _all_day(key: str, kind: str, day: date, text: str) -> Item:
    begin = datetime.combine(day, _MIDNIGHT)
    return {**_background(key, kind, begin, begin + DAY), "allDay": True, "title": text}


def _scroll(items: list[Item]) -> str:
    """An hour before the earliest opening or session of the range, as `HH:MM:SS`."""
    hours = [int(item["start"][11:13]) for item in items if item["kind"] in ("open", "booking")]
    return f"{max(min(hours, default=_USUAL_START) - 1, 0):02}:00:00"


def _offset(instant: datetime, zone: ZoneInfo) -> str:
    """`+01:00`."""
    text = instant.astimezone(zone).isoformat()[-6:]
    return "+00:00" if text[0] not in "+-" else text
