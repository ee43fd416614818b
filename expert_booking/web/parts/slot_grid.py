"""The slot board: one element, however many slots. It is told what to show, and hears changes by itself."""

from collections.abc import Awaitable, Callable
from datetime import date, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from nicegui.element import Element
from nicegui.events import GenericEventArguments

from expert_booking.domain.calendar import DAY, Slot, local_instant
from expert_booking.services.availability import Board
from expert_booking.web import words

WEEK: Final = timedelta(days=7)
WEEKS_SHOWN: Final = 2


class SlotGrid(Element, component="slot_grid.js"):
    """Two weeks of an expert's slots, by day, in the visitor's zone; skeletons until there is something to show."""

    def __init__(
        self,
        *,
        book_url: str,
        on_week: Callable[[object], Awaitable[None]],
        on_stale: Callable[[], Awaitable[None]],
    ) -> None:
        """`on_week` gets the first day asked for (text, unchecked); `on_stale` is asked for the whole board."""
        super().__init__()
        self._props["bookUrl"] = book_url

        async def week(event: GenericEventArguments) -> None:
            await on_week(event.args)

        self.on("week", week)
        self.on("stale", lambda _: on_stale())

    def begin(self, snapshot: str) -> None:
        """What the page is delivered with: a snapshot as JSON, which NiceGUI, unlike a dictionary, does not copy."""
        self._props["board"] = snapshot

    def show(self, snapshot: str) -> None:
        """Show this instead, on the open page."""
        self._props["board"] = snapshot
        self.run_method("show", snapshot)


def first_day(wanted: object, board: Board, zone: ZoneInfo, now: datetime) -> date:
    """The first day to show, in whole weeks from today: the wanted one (text), within what is offered."""
    today = now.astimezone(zone).date()
    try:
        day = date.fromisoformat(str(wanted))
    except ValueError:
        return today
    last = max(today, local_instant(board.zone, board.last_day, 1439).astimezone(zone).date())
    weeks = (min(max(day, today), last) - today) // WEEK
    return today + weeks * WEEK


def snapshot(board: Board, version: int, zone: ZoneInfo, since: date, now: datetime) -> dict[str, Any]:
    """Two weeks of a board from a local day on, in words for people."""
    today = now.astimezone(zone).date()
    until = since + WEEKS_SHOWN * WEEK
    first, end = local_instant(zone, since, 0), local_instant(zone, until, 0)
    by_day: dict[date, list[Slot]] = {}
    for slot in board.slots:
        if first <= slot.starts_at < end:
            by_day.setdefault(slot.starts_at.astimezone(zone).date(), []).append(slot)
    last = local_instant(board.zone, board.last_day + DAY, 0)
    return {
        "expert": str(board.expert_id),
        "version": version,
        "since": words.iso(first),
        "until": words.iso(end),
        "zone": words.zone_at(zone, max(first, now)),
        "expertZone": words.zone_at(board.zone, max(first, now)) if board.zone.key != zone.key else "",
        "range": _range(since, until - DAY),
        "earlier": (since - WEEK).isoformat() if since > today else None,
        "later": (since + WEEK).isoformat() if local_instant(zone, since + WEEK, 0) < last else None,
        "start": since.isoformat() if since != today else "",
        "next": _next(board, zone, end, now),
        "weeks": [
            [_day(since + (7 * week + n) * DAY, today, by_day, zone) for n in range(7)] for week in range(WEEKS_SHOWN)
        ],
    }


def _day(day: date, today: date, by_day: dict[date, list[Slot]], zone: ZoneInfo) -> dict[str, Any]:
    return {
        "date": day.isoformat(),
        "name": f"{day:%a}",
        "short": f"{day.day} {day:%b}",
        "long": f"{day:%A}, {day.day} {day:%B %Y}",
        "today": day == today,
        "slots": [
            [words.iso(slot.starts_at), words.clock_time(slot.starts_at, zone), slot.state.value]
            for slot in by_day.get(day, ())
        ],
    }


def _next(board: Board, zone: ZoneInfo, after: datetime, now: datetime) -> dict[str, str] | None:
    """Where to look when nothing is free in what is shown."""
    slot = next((slot for slot in board.slots if slot.starts_at >= after and slot.state.value == "open"), None)
    if slot is None:
        return None
    local = slot.starts_at.astimezone(zone)
    return {"day": local.date().isoformat(), "text": words.near_time(slot.starts_at, zone, now)}


def _range(first: date, last: date) -> str:
    start = f"{first.day} {first:%b}" if first.year == last.year else f"{first.day} {first:%b %Y}"
    return f"{start} – {last.day} {last:%b %Y}"
