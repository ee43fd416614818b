"""What a host can do with a booking now: the transitions of its life that are theirs."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from nicegui.element import Element
from nicegui.events import GenericEventArguments

from expert_booking.domain.lifecycle import Status
from expert_booking.schemas import REASON_LENGTH

# How each move is called, what is asked once more, and what is said about its reason; no question: it is done at once.
_ACTIONS: Final[dict[Status, dict[str, str | bool]]] = {
    Status.CONFIRMED: {"label": "Confirm"},
    Status.COMPLETED: {"label": "Completed"},
    Status.NO_SHOW: {"label": "No-show", "quiet": True},
    Status.DECLINED: {"label": "Decline", "question": "Decline this request?", "yes": "Yes, decline it"},
    Status.CANCELLED: {"label": "Cancel booking", "question": "Cancel this booking?", "yes": "Yes, cancel it"},
}


class HostActions(Element, component="host_actions.js"):
    """A button for every move that is open; what cannot be undone is asked once more, in place, with a reason."""

    def __init__(self, *, reschedule_url: str, on_change: Callable[[str, str], Awaitable[None]]) -> None:
        """`on_change` gets the wanted status and the reason, both unchecked."""
        super().__init__()
        self._props["rescheduleUrl"] = reschedule_url
        self._props["reasonLength"] = REASON_LENGTH

        async def change(event: GenericEventArguments) -> None:
            wanted = event.args if isinstance(event.args, dict) else {}
            status, reason = wanted.get("status"), wanted.get("reason")
            if isinstance(status, str) and isinstance(reason, str):
                await on_change(status, reason)

        self.on("change", change)

    def show(self, transitions: Sequence[Status], *, may_reschedule: bool, when: str) -> None:
        """Offer these transitions of its life, and another time. `when` is what would be declined or cancelled."""
        # Of a request that waits, declining says the same as cancelling, and says it better.
        offered = [
            to
            for to in transitions
            if to in _ACTIONS and not (to is Status.CANCELLED and Status.DECLINED in transitions)
        ]
        buttons: list[dict[str, str | bool]] = [{"status": to.value, **_ACTIONS[to]} for to in offered]
        wanted = {"transitions": buttons, "mayReschedule": may_reschedule, "when": when, "title": _title(transitions)}
        if any(self._props.get(name) != value for name, value in wanted.items()):
            self._props.update(wanted)
            self.update()

    def rest(self, refusal: str = "") -> None:
        """The answer is here: nothing to say, or why not."""
        self.run_method("rest", refusal)


def _title(transitions: Sequence[Status]) -> str:
    if Status.COMPLETED in transitions:
        return "How did it go?"
    return "Your answer" if Status.CONFIRMED in transitions else "Change or cancel"
