"""What the customer can still do with a booking: the terms as they apply now, and the buttons."""

from collections.abc import Awaitable, Callable, Sequence

from nicegui.events import GenericEventArguments

from expert_booking.schemas import REASON_LENGTH
from expert_booking.web.components.question import Question


class BookingActions(Question, component="booking_actions.js"):
    """Offers rescheduling and cancelling while they are allowed. Cancelling asks for confirmation in place."""

    def __init__(self, *, reschedule_url: str, on_cancel: Callable[[str], Awaitable[None]]) -> None:
        """`on_cancel` receives the reason as typed, unvalidated."""
        super().__init__()
        self._props["rescheduleUrl"] = reschedule_url
        self._props["reasonLength"] = REASON_LENGTH

        async def cancel(event: GenericEventArguments) -> None:
            await on_cancel(event.args if isinstance(event.args, str) else "")

        self.on("cancel", cancel)

    def show(
        self,
        sentences: Sequence[str],
        *,
        may_reschedule: bool,
        may_cancel: bool,
        title: str = "Reschedule or cancel",
        **when: str,
    ) -> None:
        """Show the terms and the buttons they allow. `day`, `time` and `zone` say when the booking is."""
        self.change(
            title=title, sentences=list(sentences), when=when, mayReschedule=may_reschedule, mayCancel=may_cancel
        )
