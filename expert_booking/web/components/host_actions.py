"""What a host can do with a booking now: the status transitions that are open to them."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from nicegui.events import GenericEventArguments

from expert_booking.domain.lifecycle import Status
from expert_booking.schemas import REASON_LENGTH
from expert_booking.web.components.question import Question

# Each transition's button, and the question that confirms it. Without a question it is carried out immediately.
_ACTIONS: Final[dict[Status, dict[str, str | bool]]] = {
    Status.CONFIRMED: {"label": "Confirm"},
    Status.COMPLETED: {"label": "Mark as completed"},
    Status.NO_SHOW: {"label": "Mark as no-show", "quiet": True},
    Status.DECLINED: {"label": "Decline", "question": "Decline this request?", "yes": "Yes, decline request"},
    Status.CANCELLED: {"label": "Cancel booking", "question": "Cancel this booking?", "yes": "Yes, cancel booking"},
}


class HostActions(Question, component="host_actions.js"):
    """A button for each open transition. One that cannot be undone asks for confirmation and a reason in place."""

    def __init__(self, *, reschedule_url: str, on_change: Callable[[str, str], Awaitable[None]]) -> None:
        """`on_change` receives the wanted status and the reason, both unvalidated."""
        super().__init__()
        self._props["rescheduleUrl"] = reschedule_url
        self._props["reasonLength"] = REASON_LENGTH

        async def change(event: GenericEventArguments) -> None:
            args = event.args if isinstance(event.args, dict) else {}
            status, reason = args.get("status"), args.get("reason")
            if isinstance(status, str) and isinstance(reason, str):
                await on_change(status, reason)

        self.on("change", change)

    def show(self, transitions: Sequence[Status], *, may_reschedule: bool, when: str) -> None:
        """Offer these transitions, and rescheduling. `when` is the time of the booking, for the question."""
        # A pending request can be declined or cancelled with the same effect; "decline" is the clearer word.
        offered = [
            to
            for to in transitions
            if to in _ACTIONS and not (to is Status.CANCELLED and Status.DECLINED in transitions)
        ]
        buttons: list[dict[str, str | bool]] = [{"status": to.value, **_ACTIONS[to]} for to in offered]
        self.change(transitions=buttons, mayReschedule=may_reschedule, when=when, title=_title(transitions))


def _title(transitions: Sequence[Status]) -> str:
    if Status.COMPLETED in transitions:
        return "How did it go?"
    return "Your answer" if Status.CONFIRMED in transitions else "Reschedule or cancel"
