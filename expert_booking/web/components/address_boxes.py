"""The email addresses around a calendar: the expert's own, and those of assistants."""

from collections.abc import Awaitable, Callable
from typing import Any

from nicegui import ui
from nicegui.element import Element

from expert_booking.schemas import AssistantList, ExpertRecord
from expert_booking.web.components.raw_html import RawHtml, plain_json

# Gets an address, and returns the error to show next to it, or an empty text.
Act = Callable[[str], Awaitable[str]]


class AddressBox:
    """The expert's email address, and a field for a new one, which has to be confirmed."""

    def __init__(self, record: ExpertRecord, *, on_change: Act) -> None:
        with _panel("Email address"):
            self._now = ui.label()
            self._pending = ui.label().classes("note")
            _address_form("New email address", "Change address", on_change)
        self.show(record)

    def show(self, record: ExpertRecord) -> None:
        """Show the addresses of this profile."""
        self._now.set_text(f"You sign in with {record.email}, and your emails go there.")
        self._pending.set_text(
            f"We've sent a link to {record.pending_email}. The new address counts once you've opened it."
        )
        self._pending.set_visibility(record.pending_email is not None)


class AssistantsBox:
    """The addresses of assistants, each with a button to remove it, and a field to add one."""

    def __init__(self, shown: AssistantList, *, on_add: Act, on_remove: Callable[[str], Awaitable[Any]]) -> None:
        self._on_remove = on_remove
        self._shown: AssistantList | None = None
        with _panel("Assistants"):
            ui.label(
                "Assistants sign in with their own address and run this calendar for you. They can't change your email "
                "address, calendar feed or assistants."
            ).classes("soft small")
            self._list = Element("ul").classes("assistants").props('aria-label="Assistants"')
            _address_form("Assistant's email address", "Add assistant", on_add)
        self.show(shown)

    def show(self, shown: AssistantList) -> None:
        """Show these assistants."""
        if shown == self._shown:
            return  # drawing the list again would lose a click on one of its buttons
        self._shown = shown
        self._list.clear()
        with self._list:
            for assistant in shown.assistants:
                with Element("li"):
                    ui.label(assistant.email)
                    remove = ui.button("Remove", on_click=lambda _, email=assistant.email: self._on_remove(email))
                    remove.props("flat no-caps").props["aria-label"] = f"Remove {assistant.email}"


def _address_form(label: str, button: str, act: Act) -> None:
    """A field for an address with a button. An error stands next to the field, which keeps what was typed."""

    async def submit() -> None:
        field.error = await act(field.value or "") or None
        if field.error is None:
            field.set_value("")

    with Element("form").classes("address-form").props("novalidate").on("submit.prevent", submit, args=[]):
        field = ui.input(label).props("outlined type=email autocomplete=off maxlength=254")
        ui.button(button).props("outline no-caps type=submit")


def _panel(title: str) -> Element:
    panel = Element("section").classes("panel profile-panel")
    with panel:
        RawHtml(plain_json(title), tag="h2")
    return panel
