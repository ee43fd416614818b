"""What the customer can still do with a booking: the terms as they apply to it, and the buttons."""

from collections.abc import Awaitable, Callable, Sequence

from nicegui.element import Element
from nicegui.events import GenericEventArguments

from expert_booking.schemas import REASON_LENGTH


class BookingActions(Element, component="booking_actions.js"):
    """Move and cancel, as far as they are allowed now. Cancelling is asked once more, in place."""

    def __init__(self, *, reschedule_url: str, on_cancel: Callable[[str], Awaitable[None]]) -> None:
        """`on_cancel` gets the reason as it was typed, unchecked."""
        super().__init__()
        self._props["rescheduleUrl"] = reschedule_url
        self._props["reasonLength"] = REASON_LENGTH

        async def cancel(event: GenericEventArguments) -> None:
            await on_cancel(event.args if isinstance(event.args, str) else "")

        self.on("cancel", cancel)

    def show(self, sentences: Sequence[str], *, may_reschedule: bool, may_cancel: bool, **when: str) -> None:
        """Say the terms, and offer what they allow. `day`, `time` and `zone` are what would be cancelled."""
        wanted = {"sentences": list(sentences), "when": when, "mayReschedule": may_reschedule, "mayCancel": may_cancel}
        if any(self._props.get(name) != value for name, value in wanted.items()):
            self._props.update(wanted)
            self.update()

    def rest(self, refusal: str = "") -> None:
        """The answer is here: nothing to say, or why not."""
        self.run_method("rest", refusal)
