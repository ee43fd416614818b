"""Bookings as a table for hosts: selection, actions, order and pages in one element."""

from collections.abc import Awaitable, Callable
from typing import Any

from nicegui.element import Element
from nicegui.events import GenericEventArguments


class BookingsTable(Element, component="bookings_table.js"):
    """Shows what `show` passes: rows, columns and the addresses of other pages."""

    def __init__(
        self,
        *,
        on_go: Callable[[dict[str, Any]], Awaitable[None]],
        on_act: Callable[[dict[str, Any]], Awaitable[None]],
    ) -> None:
        """`on_go` receives the URL parameters of another page, `on_act` an action and ids. Both are unvalidated."""
        super().__init__()

        async def go(event: GenericEventArguments) -> None:
            if isinstance(event.args, dict):
                await on_go(event.args)

        async def act(event: GenericEventArguments) -> None:
            if isinstance(event.args, dict):
                await on_act(event.args)

        self.on("go", go)
        self.on("act", act)

    def show(self, result: dict[str, Any]) -> None:
        """Show another result. An identical one is not sent again."""
        if self._props.get("result") != result:
            self._props["result"] = result
            self.update()

    def clear_selection(self) -> None:
        """Select nothing."""
        self.run_method("clear")
