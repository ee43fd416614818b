"""Reload a page when its visitor returns to it, for changes that are not events."""

from collections.abc import Callable

from nicegui import ui


def on_return(reload: Callable[[], None]) -> None:
    """Call `reload` whenever this page gets the focus or becomes visible. assets/page.js sends the event."""
    ui.on("seen", lambda _: reload())
