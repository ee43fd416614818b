"""Asks whether to reschedule a booking to the chosen time, or says why that is not possible and offers other times."""

from collections.abc import Awaitable, Callable
from typing import Any

from nicegui.events import GenericEventArguments

from expert_booking.web.components.question import Question


class RescheduleQuestion(Question, component="reschedule_question.js"):
    """Stays at the lower edge of the window while the board scrolls. Empty until a time is chosen."""

    def __init__(
        self,
        *,
        on_reschedule: Callable[[], Awaitable[None]],
        on_pick: Callable[[Any], Awaitable[None]],
        on_keep: Callable[[], None],
    ) -> None:
        """`on_pick` receives the start of an alternative, unvalidated."""
        super().__init__()
        self.on("reschedule", lambda _: on_reschedule())
        self.on("keep", lambda _: on_keep())

        async def pick(event: GenericEventArguments) -> None:
            await on_pick(event.args)

        self.on("pick", pick)

    def show(self, *, question: dict[str, Any] | None = None, notice: dict[str, Any] | None = None) -> None:
        """Show a question (`at`, `times`), a notice (`code`, `reason`, `title`, `text`, `times`), or nothing."""
        self.change(question=question, notice=notice)

    def leave_for(self, url: str) -> None:
        """Go to `url`."""
        self.run_method("leave", url)
