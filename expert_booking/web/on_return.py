"""When somebody comes back to a page, it looks again: not everything that may have changed is news."""

from collections.abc import Callable

from nicegui import ui


def on_return(look: Callable[[], None]) -> None:
    """Have `look` called whenever this page gets the focus, or is shown again. assets/page.js says so."""
    ui.on("seen", lambda _: look())
