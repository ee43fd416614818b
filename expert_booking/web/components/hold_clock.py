"""How long a time is still kept for the visitor, or why it is not and what can be done about it."""

from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Any, Final

from nicegui.element import Element


class HoldState(StrEnum):
    """How the time of a form stands with its visitor."""

    ASKING = "asking"  # the page has not arrived yet
    HELD = "held"
    RELEASED = "released"
    OVER = "over"
    RESCHEDULED = "rescheduled"  # the visitor holds another time now
    ALONE = "alone"  # it could not be held
    FREE = "free"  # somebody had it


# What is said and offered where the time can be booked, but is not held.
_SAYS: Final[dict[HoldState, tuple[str, str, str]]] = {
    HoldState.RELEASED: ("You have released this time.", "It is still free.", "Keep it again"),
    HoldState.OVER: ("Your hold is over.", "The time is still free.", "Keep it again"),
    HoldState.RESCHEDULED: ("You are keeping another time now.", "This one is still free.", "Keep this time again"),
    HoldState.ALONE: ("This time is not kept for you.", "You can book it as long as it is free.", "Keep it for me"),
    HoldState.FREE: ("This time is free again.", "", "Keep it for me"),
}


class HoldClock(Element, component="hold_clock.js"):
    """A countdown with a way to let the time go, or a note with a way to have it kept."""

    def __init__(
        self,
        *,
        on_keep: Callable[[], Awaitable[None]],
        on_release: Callable[[], Awaitable[None]],
        on_over: Callable[[], Awaitable[None]],
    ) -> None:
        """`on_over` is called when the countdown has run out."""
        super().__init__()
        self.on("keep", lambda _: on_keep())
        self.on("release", lambda _: on_release())
        self.on("over", lambda _: on_over())

    def show(self, keeping: HoldState | None, *, seconds: float = 0, text: str = "") -> None:
        """Show how it stands; nothing for None. `seconds` are left of a hold; `text` is said instead of the usual."""
        now: dict[str, Any] = {"keeping": keeping, "seconds": seconds}
        if keeping in _SAYS:
            title, usual, button = _SAYS[keeping]
            now |= {"title": title, "text": text or usual, "button": button}
        if now != self._props.get("now"):
            self._props["now"] = now
            self.update()
