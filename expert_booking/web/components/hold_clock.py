"""Shows how long a time is on hold for the visitor, or why it is not, with a button to hold it again."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

from nicegui.element import Element

from expert_booking.web.book_state import HoldState

# Title, text and button while the time is free but not held.
_TEXTS: Final[dict[HoldState, tuple[str, str, str]]] = {
    HoldState.RELEASED: ("You released this time.", "It is still free.", "Hold it again"),
    HoldState.EXPIRED: ("Your hold has expired.", "The time is still free.", "Hold it again"),
    HoldState.REPLACED: ("You are now holding a different time.", "This one is still free.", "Hold this time again"),
    HoldState.NOT_HELD: ("This time is not on hold for you.", "You can book it while it is free.", "Hold it for me"),
    HoldState.FREE_AGAIN: ("This time is free again.", "", "Hold it for me"),
}


class HoldClock(Element, component="hold_clock.js"):
    """A countdown with a button to release the time, or a note with a button to hold it."""

    def __init__(
        self,
        *,
        on_hold: Callable[[], Awaitable[None]],
        on_release: Callable[[], Awaitable[None]],
        on_expired: Callable[[], Awaitable[None]],
    ) -> None:
        """`on_expired` is called when the countdown has run out."""
        super().__init__()
        self.on("hold", lambda _: on_hold())
        self.on("release", lambda _: on_release())
        self.on("expired", lambda _: on_expired())

    def show(self, state: HoldState | None, *, seconds: float = 0, text: str = "") -> None:
        """Show the state, or nothing for None. `seconds` is what is left of a hold; `text` replaces the default."""
        now: dict[str, Any] = {"state": state, "seconds": seconds}
        if state in _TEXTS:
            title, default, button = _TEXTS[state]
            now |= {"title": title, "text": text or default, "button": button}
        if now != self._props.get("now"):
            self._props["now"] = now
            self.update()
