"""A block of a host's calendar, in a panel at the side."""

from collections.abc import Awaitable, Callable
from typing import Any
from zoneinfo import ZoneInfo

from nicegui import ui

from expert_booking.domain import formatting
from expert_booking.schemas import ScheduleEntry


class BlockPanel:
    """Shows the time and the note of a block, and removes it or its series."""

    def __init__(
        self,
        zone: ZoneInfo,
        *,
        on_remove: Callable[[ScheduleEntry, bool], Awaitable[None]],
        on_close: Callable[[str], Any],
    ) -> None:
        """`on_remove` gets the block, and whether its whole series is meant; `on_close` its id."""
        self._zone, self._on_remove = zone, on_remove
        self._id = ""
        with ui.dialog().props('position=right full-height no-refocus aria-label="Blocked time"') as self._dialog:
            self._card = ui.card().classes("calendar-panel")
        self._dialog.on("hide", lambda _: on_close(self._id))

    def show(self, entry: ScheduleEntry) -> None:
        """Open the panel with this block."""
        self._id = str(entry.id)
        self._card.clear()
        with self._card:
            with ui.element("div").classes("head"):
                ui.label(entry.note or "Busy").props("role=heading aria-level=2").classes("panel-name")
                ui.button(icon="close", on_click=self._dialog.close).props('flat round dense aria-label="Close"')
            self._alert = ui.label("").classes("note bad").props("role=alert")
            self._alert.bind_visibility_from(self._alert, "text")
            day = formatting.long_day(entry.starts_at, self._zone)
            ui.label(f"{day}, {formatting.time_span(entry.starts_at, entry.ends_at, self._zone)}")
            ui.label("This time cannot be booked. Only hosts see the note.").classes("soft small")
            with ui.element("div").classes("actions"):
                ui.button("Remove", on_click=lambda: self._on_remove(entry, False)).props("outline color=negative")
                if entry.series_id is not None:
                    self._series = ui.button("Remove the whole series", on_click=lambda: self._remove_series(entry))
                    self._series.props("outline color=negative")
        self._asked = False
        self._dialog.open()

    async def _remove_series(self, entry: ScheduleEntry) -> None:
        """Remove the series on the second click. It includes past blocks, and cannot be undone."""
        if self._asked:
            await self._on_remove(entry, True)
        self._asked = True
        self._series.set_text("Yes, remove every block of this series")

    def fail(self, text: str) -> None:
        """Show why the block could not be removed."""
        self._alert.set_text(text)

    def close(self) -> None:
        """Close the panel."""
        self._dialog.close()
