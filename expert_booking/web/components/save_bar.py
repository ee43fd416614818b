"""A bar at the bottom of a page with unsaved changes, which asks before the page is left."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from nicegui.element import Element


class SaveBar(Element, component="save_bar.js"):
    """Visible while there are unsaved changes."""

    def __init__(self, *, on_save: Callable[[], Awaitable[Any]], on_discard: Callable[[], Any]) -> None:
        super().__init__()
        self._props.update(changes=[], note="", sending=False)
        self.on("save", lambda _: on_save())
        self.on("discard", lambda _: on_discard())

    def show(self, changes: Sequence[str], note: str = "") -> None:
        """Show what has changed, and a note on what saving does; without changes, hide the bar."""
        self._props.update(changes=list(changes), note=note)
        self.update()

    def wait(self, sending: bool) -> None:
        """Disable the buttons while the changes are being saved."""
        self._props["sending"] = sending
        self.update()
