"""Ending the links to a booking that were emailed: a new one is sent then. Asked once more, in place."""

from collections.abc import Awaitable, Callable

from nicegui.element import Element


class SharedLink(Element, component="shared_link.js"):
    """A button for customers who have given the link in an email away by mistake."""

    def __init__(self, *, on_end: Callable[[], Awaitable[None]]) -> None:
        """`on_end` is called when the customer is sure."""
        super().__init__()
        self._props["email"] = ""

        async def end() -> None:
            await on_end()

        self.on("end", end)

    def show(self, email: str) -> None:
        """Offer it; the new link goes to `email`. Empty: offer nothing."""
        if self._props["email"] != email:
            self._props["email"] = email
            self.update()

    def done(self) -> None:
        """The links have ended."""
        self.run_method("done")

    def rest(self, refusal: str) -> None:
        """They have not, and why."""
        self.run_method("rest", refusal)
