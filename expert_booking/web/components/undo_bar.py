"""A message at the bottom of the page with a button that takes the last change back."""

from collections.abc import Awaitable, Callable
from typing import Final

from nicegui import ui

SECONDS: Final = 10.0


class UndoBar:
    """Shows what was done, and "Undo" for ten seconds. A later change replaces it."""

    def __init__(self) -> None:
        self._area = ui.element("div").props("role=status")
        self._number = 0

    def show(self, text: str, undo: Callable[[], Awaitable[None]]) -> None:
        """Show the message. `undo` runs at most once."""
        self._number += 1
        number = self._number

        async def take_back() -> None:
            self._hide(number)
            await undo()

        self._area.clear()
        with self._area, ui.element("div").classes("calendar-undo"):
            ui.label(text)
            ui.button("Undo", on_click=take_back).props("flat").classes("undo")
            ui.timer(SECONDS, lambda: self._hide(number), once=True)

    def _hide(self, number: int) -> None:
        if number == self._number:
            self._area.clear()
