"""A calendar to subscribe to. Its address is created and shown on request."""

from collections.abc import Awaitable, Callable
from typing import Final

from expert_booking.web.components.question import Question

# What the box says after each action.
FEED_MESSAGES: Final = {
    "open": "Add this address to your calendar app, or open it.",
    "renew": "This is the new address. The old one no longer works.",
    "close": "This calendar address no longer works.",
}


class FeedBox(Question, component="feed_box.js"):
    """Shows a calendar's private address, replaces it or turns it off. Both ask for confirmation in place."""

    def __init__(self, *, title: str, on_action: Callable[[str], Awaitable[None]]) -> None:
        """`on_action` receives `open`, `renew` or `close`."""
        super().__init__()
        self._props["title"] = title

        async def act(name: str) -> None:
            await on_action(name)

        for name in ("open", "renew", "close"):
            self.on(name, lambda _, name=name: act(name))

    def show(self, url: str, message: str) -> None:
        """Show the address, which is empty if there is none, and a message about it."""
        self.run_method("show", url, message)
