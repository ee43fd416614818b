"""Whether to move a booking to the time that was chosen; or why it cannot be, and which times can."""

from collections.abc import Awaitable, Callable
from typing import Any

from nicegui.element import Element
from nicegui.events import GenericEventArguments


class RescheduleQuestion(Element, component="reschedule_question.js"):
    """Stays at the lower edge of the window while the board is looked at; nothing until a time is chosen."""

    def __init__(
        self,
        *,
        on_reschedule: Callable[[], Awaitable[None]],
        on_pick: Callable[[Any], Awaitable[None]],
        on_keep: Callable[[], None],
    ) -> None:
        """`on_pick` gets the start of an alternative, unchecked."""
        super().__init__()
        self.on("reschedule", lambda _: on_reschedule())
        self.on("keep", lambda _: on_keep())

        async def pick(event: GenericEventArguments) -> None:
            await on_pick(event.args)

        self.on("pick", pick)

    def show(self, *, question: dict[str, Any] | None = None, notice: dict[str, Any] | None = None) -> None:
        """Ask, or say why not. A question is `at` and `times`; a notice `code`, `reason`, `title`, `text`, `times`."""
        wanted = {"question": question, "notice": notice}
        if any(self._props.get(name) != value for name, value in wanted.items()):
            self._props.update(wanted)
            self.update()

    def rest(self, trouble: str) -> None:
        """It did not work, and why; it may be tried again."""
        self.run_method("rest", trouble)

    def leave_for(self, url: str) -> None:
        """It is done: go there."""
        self.run_method("leave", url)
