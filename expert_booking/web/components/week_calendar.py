"""A day, a week or a month of one calendar, with dragging: a wrapper of the vendored EventCalendar."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final

from nicegui.element import Element
from nicegui.events import GenericEventArguments

from expert_booking.web.components.raw_html import plain_json

VIEWS: Final = ("day", "week", "month")
# More days than a month's view shows; a browser cannot ask for more.
_MAX_DAYS: Final = timedelta(days=50)


@dataclass(frozen=True, slots=True)
class Selected:
    """A selected range of wall-clock time in the calendar's zone. `end` is None after a click or a key.

    `start` is None if no time was chosen. `whole_days`: days were selected, and not times.
    """

    start: datetime | None = None
    end: datetime | None = None
    whole_days: bool = False


class WeekCalendar(Element, component="week_calendar.js"):
    """Bookings, holds, blocks and open hours on a grid of wall-clock time.

    The items are dictionaries of `calendar_items.data_of`. The events hand over wall-clock times of the
    calendar's zone; a browser's own zone plays no part. The page must load assets/event-calendar.min.js and its styles.
    """

    def __init__(
        self,
        *,
        day: date,
        view: str | None,
        on_range: Callable[[date, date], Awaitable[None]],
        on_open: Callable[[str], Awaitable[None]],
        on_select: Callable[[Selected], Awaitable[None]],
        on_drag: Callable[[str], Awaitable[None]],
        on_drop: Callable[[str, datetime], Awaitable[None]],
    ) -> None:
        """`day` is shown first, in `view`, or in the one that fits the window.

        `on_range` receives the first day and the day after the last one that the browser shows now and has no data for.
        `on_open` receives the id of an item that was clicked, `on_drag` of one whose dragging begins, and `on_drop`
        also its new start. Ids are not validated.
        """
        super().__init__()
        self._props.update(date=day.isoformat(), view=view)
        self._on("range", _range, on_range)
        self._on("open", _id, on_open)
        self._on("select", _selected, on_select)
        self._on("drag", _id, on_drag)
        self._on("drop", _drop, on_drop)

    def load(self, data: dict[str, Any]) -> None:
        """Set what the page is delivered with."""
        self._props["data"] = plain_json(data)

    def show(self, data: dict[str, Any]) -> None:
        """Show this range as it is now. A drag in progress is not disturbed."""
        self.run_method("show", plain_json(data))

    def show_targets(self, item: str, spans: Sequence[tuple[str, str]]) -> None:
        """Light up these spans of wall-clock time while this item is dragged."""
        self.run_method("targets", item, spans)

    def settle(self, *, back: bool = False) -> None:
        """End the selection or the drop; with `back`, the dropped item returns to its place."""
        self.run_method("settle", back)

    def focus_item(self, item: str) -> None:
        """Put the keyboard focus on an item."""
        self.run_method("focusItem", item)

    def copy(self, text: str) -> None:
        """Copy a text to the clipboard."""
        self.run_method("copy", text)

    def _on(self, event: str, read: Callable[[Any], tuple[Any, ...]], handler: Callable[..., Awaitable[None]]) -> None:
        async def handle(event: GenericEventArguments) -> None:
            try:
                values = read(event.args)
            except (KeyError, TypeError, ValueError):
                return  # not sent by our script
            await handler(*values)

        self.on(event, handle)


def _range(args: Any) -> tuple[date, date]:
    since, until = date.fromisoformat(args["since"]), date.fromisoformat(args["until"])
    if not (2000 <= since.year <= 2100 and since < until <= since + _MAX_DAYS):
        raise ValueError
    return since, until


def _id(args: Any) -> tuple[str]:
    if not isinstance(args, str):
        raise TypeError
    return (args,)


def _selected(args: Any) -> tuple[Selected]:
    start, end = (None if args[name] is None else _wall(args[name]) for name in ("start", "end"))
    return (Selected(start, end, args.get("allDay") is True),)


def _drop(args: Any) -> tuple[str, datetime]:
    return _id(args["id"])[0], _wall(args["start"])


def _wall(text: str) -> datetime:
    wall = datetime.fromisoformat(text)
    if wall.tzinfo is not None or not 2000 <= wall.year <= 2100:
        raise ValueError
    return wall
