"""The hours of a week: painted on a grid by dragging, or typed into one text field for each day."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from nicegui.element import Element
from nicegui.events import GenericEventArguments

from expert_booking.domain.calendar_plan import WEEKDAYS
from expert_booking.domain.hour_texts import MAX_TEXT, MAX_WINDOWS
from expert_booking.domain.hours import Window
from expert_booking.web.availability_draft import DayHours

_DAYS: Final = range(7)


class WeekHours(Element, component="week_hours.js"):
    """A grid and seven text fields. Days are numbered from 0 (Monday)."""

    def __init__(
        self,
        *,
        on_paint: Callable[[Mapping[int, Sequence[Window]]], None],
        on_type: Callable[[int, str], None],
        on_copy: Callable[[int, Sequence[int]], None],
    ) -> None:
        """`on_paint` receives the new hours of the days that changed, `on_type` the text of a day, unparsed."""
        super().__init__()
        self.on("hours", lambda event: _with(_painted(event), on_paint))

        def typed(event: GenericEventArguments) -> None:
            day, text = _fields(event, "day", "text")
            if day in _DAYS and isinstance(text, str) and len(text) <= MAX_TEXT:
                on_type(day, text)

        def copied(event: GenericEventArguments) -> None:
            day, to = _fields(event, "day", "to")
            if day in _DAYS and isinstance(to, list) and all(other in _DAYS for other in to):
                on_copy(day, to)

        self.on("typed", typed)
        self.on("copy", copied)

    def show(self, label: str, days: Sequence[DayHours]) -> None:
        """Show the hours of Monday to Sunday. `label` says which hours these are."""
        self._props.update(
            label=label,
            days=[
                {
                    "name": name,
                    "windows": [list(window) for window in day.windows],
                    "text": day.text,
                    "error": day.error,
                    "changed": day.changed,
                }
                for name, day in zip(WEEKDAYS, days, strict=True)
            ],
        )
        self.update()


def _with(value: Any, action: Callable[[Any], None]) -> None:
    if value is not None:
        action(value)


def _fields(event: GenericEventArguments, *names: str) -> list[Any]:
    args = event.args if isinstance(event.args, dict) else {}
    return [args.get(name) for name in names]


def _painted(event: GenericEventArguments) -> dict[int, tuple[Window, ...]] | None:
    """The hours that the browser sent, by day; None if they are not valid."""
    args = event.args if isinstance(event.args, dict) else {}
    try:
        painted = {int(day): tuple(Window(*map(int, window)) for window in windows) for day, windows in args.items()}
    except (TypeError, ValueError, OverflowError):
        return None
    valid = all(
        day in _DAYS and len(windows) <= MAX_WINDOWS and all(map(_is_valid, windows))
        for day, windows in painted.items()
    )
    return {day: tuple(sorted(windows)) for day, windows in painted.items()} if valid else None


def _is_valid(window: Window) -> bool:
    return 0 <= window.opens < 1440 and window.opens < window.closes <= window.opens + 1440
