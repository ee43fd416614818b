"""A button that ends the emailed links to a booking and has a new one sent, after a confirmation in place."""

from collections.abc import Awaitable, Callable

from expert_booking.web.components.question import Question


class SharedLink(Question, component="shared_link.js"):
    """For customers who have shared the link in an email by mistake. An answer without an error closes the question."""

    def __init__(self, *, on_end: Callable[[], Awaitable[None]]) -> None:
        """`on_end` is called once the customer has confirmed."""
        super().__init__()
        self._props["email"] = ""

        async def end() -> None:
            await on_end()

        self.on("end", end)

    def show(self, email: str) -> None:
        """Offer to send a new link to `email`; offer nothing if it is empty."""
        self.change(email=email)
