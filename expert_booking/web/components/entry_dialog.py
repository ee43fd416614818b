"""The base of the dialogs of a host's calendar: a heading, fields, what the calendar says, and two buttons."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from nicegui import ui

from expert_booking.domain.errors import FieldsWrong
from expert_booking.domain.rule_overrides import RuleOverride


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the calendar says about a time: fine (all empty), against some rules, with a warning, or impossible."""

    warning: str = ""
    rules: tuple[RuleOverride, ...] = ()
    refusal: str = ""


FINE: Final = Verdict()


class EntryDialog:
    """A dialog with a heading, fields, a verdict about the time, and two buttons."""

    def __init__(self, name: str, *, on_cancel: Callable[[], Any]) -> None:
        self._on_cancel = on_cancel
        self._done = True
        self._verdict = FINE
        with ui.dialog().props(f'no-backdrop-dismiss aria-labelledby="{name}-title"') as self._dialog:
            self._card = ui.card().classes("calendar-dialog")
        self._dialog.on("hide", lambda _: self._hidden())

    def cancel(self) -> None:
        """Close the dialog without an answer."""
        if not self._done:
            self._done = True
            self._dialog.close()
            self._on_cancel()

    def close(self) -> None:
        """Close the dialog after its answer was carried out."""
        self._done = True
        self._dialog.close()

    def fail(self, text: str) -> None:
        """Show why the answer could not be carried out. What was typed stays."""
        self._error.set_text(text)

    def _open(self) -> None:
        self._done = False
        self.fail("")
        self._dialog.open()

    def _hidden(self) -> None:
        self.cancel()

    def _draw_end(self, label: str, submit: Callable[[], Awaitable[None]]) -> None:
        self._warning = ui.label("").classes("note warn").props("role=status")
        self._warning.bind_visibility_from(self._warning, "text")
        self._error = ui.label("").classes("note bad").props("role=alert")
        self._error.bind_visibility_from(self._error, "text")
        with ui.element("div").classes("actions"):
            ui.button("Go back", on_click=self.cancel).props("outline")
            self._submit = ui.button(label, on_click=submit).props("unelevated")

    async def _look(self, check: Callable[[], Awaitable[Verdict]], wall: Callable[[], datetime | None]) -> bool:
        """Ask the calendar about the time in the fields. False if the time has changed in the meantime."""
        considered = wall()
        try:
            verdict = await check()
        except FieldsWrong:  # shown at its field
            verdict = FINE
        if considered != wall():
            return False
        self._verdict = verdict
        return True

    async def _after_failure(self, consider: Callable[[], Awaitable[None]]) -> None:
        """Look again after an answer was refused: the calendar may have changed. Otherwise the reason stays."""
        if not self._done and self._error.text:
            reason = self._error.text
            await consider()
            if not (self._verdict.warning or self._verdict.refusal):
                self.fail(reason)

    def _show(self, verdict: Verdict, label: str, insist: str) -> None:
        self._warning.set_text(verdict.warning)
        self._error.set_text(verdict.refusal)
        self._submit.set_text(insist if verdict.warning else label)


def labelled_switch(text: str, *, value: bool = False) -> ui.switch:
    """A switch with its text as accessible label, which Quasar leaves out."""
    return ui.switch(text, value=value).props(f'aria-label="{text}"')
