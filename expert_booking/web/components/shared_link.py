"""A button that ends the emailed links to a booking and has a new one sent, after a confirmation in place."""

from collections.abc import Awaitable, Callable

from nicegui.element import Element


class SharedLink(Element, component="shared_link.js"):
    """For customers who have shared the link in an email by mistake."""

    def __init__(self, *, on_end: Callable[[], Awaitable[None]]) -> None:
        """`on_end` is called once the customer has confirmed."""
        super().__init__()
        self._props["email"] = ""

        async def end() -> None:
            await on_end()

        self.on("end", end)

    def show(self, email: str) -> None:
        """Offer to send a new link to `email`; offer nothing if it is empty."""
        if self._props["email"] != email:
            self._props["email"] = email
            self.update()

    def done(self, error: str = "") -> None:
        """Close the question, or keep it open and show the error."""
        self.run_method("done", error)
