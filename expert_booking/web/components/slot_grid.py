"""An expert's sessions and slot board, as one element however many slots there are.

The page sends it whole boards. The browser receives the changes in between directly, through a Socket.IO room.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from nicegui.element import Element
from nicegui.events import GenericEventArguments

from expert_booking.domain import formatting
from expert_booking.domain.calendar import DAY, local_instant
from expert_booking.domain.locations import summary
from expert_booking.schemas import SessionTypeView
from expert_booking.services.availability import Board

WEEK: Final = timedelta(days=7)
WEEKS_SHOWN: Final = 2


class SlotGrid(Element, component="slot_grid.js"):
    """An expert's sessions, and two weeks of the chosen one's slots, by day, in the visitor's zone.

    Shows skeletons until it has slots.
    """

    def __init__(
        self,
        *,
        book_url: str,
        session_types: Sequence[SessionTypeView],
        chosen: UUID | None,
        on_look: Callable[[dict[str, Any]], Awaitable[None]],
        on_stale: Callable[[], Awaitable[None]],
        fixed: bool = False,
        on_pick: Callable[[datetime], Awaitable[None]] | None = None,
    ) -> None:
        """`on_look` receives the wanted `session` and first day (`from`), unvalidated, and a sequence number, `ask`.

        `on_stale` must send the whole board. `fixed`: do not offer a choice of sessions. `on_pick` receives the start
        (UTC) of the chosen slot, unvalidated; without it a slot links to the booking form.
        """
        super().__init__()
        self._session_types = session_types
        # One update, because NiceGUI reacts to each change.
        self._props.update(bookUrl="" if on_pick else book_url, session=str(chosen or ""), fixed=fixed)

        async def look(event: GenericEventArguments) -> None:
            if isinstance(event.args, dict):
                await on_look(event.args)

        self.on("look", look)
        self.on("stale", lambda _: on_stale())

        async def pick(event: GenericEventArguments) -> None:
            start = _start(event.args)
            if start is not None and on_pick is not None:
                await on_pick(start)

        if on_pick is not None:
            self.on("pick", pick)

    def load(self, snapshot: str | None, own: dict[str, Any] | None = None) -> None:
        """Set what the page is delivered with. `snapshot` is JSON because NiceGUI would copy a dictionary.

        `own` is the visitor's own slot: its `start`, its label (`words`), and the starts that are free only for them
        (`opens`).
        """
        if snapshot is None:
            self._props["sessions"] = _choice(self._session_types)
        else:
            self._props.update(board=snapshot, own=own)

    def show(self, snapshot: str, own: dict[str, Any] | None = None, ask: object = None) -> None:
        """Replace the board on the open page; `ask` is the sequence number of the request it answers."""
        self.run_method("show", snapshot, own, ask)

    def show_own(self, own: dict[str, Any] | None) -> None:
        """Replace the visitor's own slot; the board stays as it is."""
        self.run_method("show_own", own)


def first_day(wanted: object, board: Board, zone: ZoneInfo, now: datetime) -> date:
    """Return the first day to show, whole weeks from today: the wanted ISO date, limited to the days on offer."""
    today = now.astimezone(zone).date()
    try:
        day = date.fromisoformat(str(wanted))
    except ValueError:
        return today
    last = max(today, local_instant(board.zone, board.last_day, 1439).astimezone(zone).date())
    weeks = (min(max(day, today), last) - today) // WEEK
    return today + weeks * WEEK


def snapshot(
    board: Board, version: int, zone: ZoneInfo, since: date, now: datetime, *, hidden: Sequence[datetime] = ()
) -> dict[str, Any]:
    """Return two weeks of a board from the day `since` in `zone`, formatted for display.

    `hidden` are starts that have no slot (state `gone`) but are free for this visitor.
    """
    today = now.astimezone(zone).date()
    until = since + WEEKS_SHOWN * WEEK
    first, end = local_instant(zone, since, 0), local_instant(zone, until, 0)
    by_day: dict[date, list[tuple[datetime, str]]] = {}
    states = [(slot.starts_at, slot.state.value) for slot in board.slots] + [(start, "gone") for start in hidden]
    for start, state in sorted(states) if hidden else states:
        if first <= start < end:
            by_day.setdefault(start.astimezone(zone).date(), []).append((start, state))
    last = local_instant(board.zone, board.last_day + DAY, 0)
    return {
        "session": str(board.session_type_id or ""),
        "title": board.session_title,
        "length": formatting.minutes(board.minutes),
        "sessions": _choice(board.session_types),
        "version": version,
        "since": formatting.iso(first),
        "until": formatting.iso(end),
        "zone": formatting.zone_at(zone, max(first, now)),
        "expertZone": formatting.zone_at(board.zone, max(first, now)) if board.zone.key != zone.key else "",
        "range": _range(since, until - DAY),
        "earlier": (since - WEEK).isoformat() if since > today else None,
        "later": (since + WEEK).isoformat() if local_instant(zone, since + WEEK, 0) < last else None,
        "start": since.isoformat() if since != today else "",
        "next": _next(board, zone, end, now),
        "weeks": [
            [_day(since + (7 * week + n) * DAY, today, by_day, zone) for n in range(7)] for week in range(WEEKS_SHOWN)
        ],
    }


def _start(text: object) -> datetime | None:
    try:
        return datetime.strptime(str(text), "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None


def _choice(session_types: Sequence[SessionTypeView]) -> list[dict[str, str]]:
    return [
        {
            "id": str(one.id),
            "title": one.title,
            "length": formatting.minutes(one.minutes) + (f" · {formatting.price(one.price)}" if one.price else ""),
            "about": one.description,
            "terms": " ".join(filter(None, [summary(one.locations), *one.terms.sentences()])),
        }
        for one in session_types
    ]


def _day(day: date, today: date, by_day: dict[date, list[tuple[datetime, str]]], zone: ZoneInfo) -> dict[str, Any]:
    return {
        "date": day.isoformat(),
        "name": f"{day:%a}",
        "short": f"{day.day} {day:%b}",
        "long": f"{day:%A}, {day.day} {day:%B %Y}",
        "today": day == today,
        "slots": [
            [formatting.iso(start), formatting.clock_time(start, zone), state] for start, state in by_day.get(day, ())
        ],
    }


def _next(board: Board, zone: ZoneInfo, after: datetime, now: datetime) -> dict[str, str] | None:
    """Return the next free slot after the days shown."""
    slot = next((slot for slot in board.slots if slot.starts_at >= after and slot.state.value == "open"), None)
    if slot is None:
        return None
    local = slot.starts_at.astimezone(zone)
    return {"day": local.date().isoformat(), "text": formatting.near_time(slot.starts_at, zone, now)}


def _range(first: date, last: date) -> str:
    start = f"{first.day} {first:%b}" if first.year == last.year else f"{first.day} {first:%b %Y}"
    return f"{start} – {last.day} {last:%b %Y}"
