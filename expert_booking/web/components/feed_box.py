"""A calendar to subscribe to: its address is asked for, and only then shown."""

from collections.abc import Awaitable, Callable

from nicegui.element import Element


class FeedBox(Element, component="feed_box.js"):
    """Shows a private address, makes a new one, gives it up. What cannot be undone is asked once more, in place."""

    def __init__(self, *, title: str, on_wish: Callable[[str], Awaitable[None]]) -> None:
        """`on_wish` gets what is wanted, unchecked: `open`, `renew` or `close`."""
        super().__init__()
        self._props["title"] = title

        async def wish(name: str) -> None:
            await on_wish(name)

        for name in ("open", "renew", "close"):
            self.on(name, lambda _, name=name: wish(name))

    def show(self, url: str, said: str) -> None:
        """The address (empty: there is none), and what has happened to it."""
        self.run_method("show", url, said)

    def rest(self, refusal: str) -> None:
        """It did not work, and why."""
        self.run_method("rest", refusal)
