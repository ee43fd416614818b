"""Fields for dates, times and texts that are read when they are left."""

from collections.abc import Callable
from datetime import date, time
from typing import Any

from nicegui import ui


def date_field(label: str, on_change: Callable[[], Any] | None = None) -> ui.input:
    """A field for a date, with the browser's own picker. `on_change` is called when it is left or picked."""
    return _field(label, "date", on_change)


def time_field(label: str, on_change: Callable[[], Any] | None = None) -> ui.input:
    """A field for a time of day."""
    return _field(label, "time", on_change)


def date_of(field: ui.input) -> date | None:
    """The date in a field; None if it is empty or not complete."""
    try:
        return date.fromisoformat(field.value or "")
    except ValueError:
        return None


def minutes_of(field: ui.input) -> int | None:
    """The time in a field in minutes since midnight; None if it is empty or not complete."""
    try:
        at = time.fromisoformat(field.value or "")
    except ValueError:
        return None
    return at.hour * 60 + at.minute


def _field(label: str, kind: str, on_change: Callable[[], Any] | None) -> ui.input:
    field = ui.input(label).props(f"type={kind} outlined dense stack-label")
    if on_change is not None:
        field.on("change", lambda _: on_change(), args=[])
    return field
