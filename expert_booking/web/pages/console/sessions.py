"""`/console/sessions`: the session types of an expert as cards: add, edit, duplicate, reorder, switch on and off."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final
from uuid import UUID

from fastapi import Request
from nicegui import ui
from pydantic import ValidationError

from expert_booking.domain import formatting
from expert_booking.domain.errors import FieldsWrong
from expert_booking.domain.locations import summary
from expert_booking.schemas import (
    Caller,
    FieldError,
    NewSessionType,
    PlacedSessionType,
    SessionTypeChange,
    field_errors,
)
from expert_booking.services import Services
from expert_booking.services.calendars import CalendarKey
from expert_booking.web import console
from expert_booking.web.components.session_type_form import SessionTypeForm

# Once the browser has drawn the cards again.
_FOCUS: Final = "setTimeout(() => document.querySelector('[data-session-type=\"{}\"] [data-action={}]')?.focus(), 100)"


def mount(services: Services) -> None:
    """Serve the page."""

    @console.page(services, "sessions")
    async def sessions(page: console.Console, request: Request) -> None:
        view = SessionsPage(services, page)
        with page.frame("sessions", "Sessions"):
            await view.draw()


class SessionsPage:
    """The cards, and the dialog that edits one session type. Changes made elsewhere appear at once."""

    def __init__(self, services: Services, page: console.Console) -> None:
        self._services = services
        self._page = page
        self._shown: Sequence[PlacedSessionType] = ()
        self._dragged: UUID | None = None

    async def draw(self) -> None:
        """Draw the page with the session types as they are now."""
        self._page.subscribe(self.read)
        with ui.element("div").classes("session-head"):
            ui.label("What people can book with you, in the order in which they see it.").classes("soft")
            ui.button("Add session type", on_click=lambda: self._open(None)).props("no-caps unelevated")
        self._list = ui.element("ol").classes("session-cards")
        self._dialog = ui.dialog().props('persistent aria-label="Session type"')
        await self.read()

    async def read(self) -> None:
        """Read the session types, and draw them if they have changed."""
        caller = await self._page.caller()
        if caller is None:
            return
        found = await self._services.calendars.session_types(str(self._page.expert.id), caller)
        if found.session_types != self._shown or not self._shown:
            self._shown = found.session_types
            self._paint()

    def _paint(self) -> None:
        self._list.clear()
        with self._list:
            if not self._shown:
                with ui.element("li").classes("session-empty"):
                    ui.label("No session types yet. Add your first one, so that people can book you.")
            for place, session_type in enumerate(self._shown):
                self._draw_card(place, session_type)

    def _draw_card(self, place: int, session_type: PlacedSessionType) -> None:
        card = ui.element("li").classes("session-card" if session_type.active else "session-card off")
        card.props(f'draggable=true data-session-type="{session_type.id}"')
        card.on("dragstart", lambda: setattr(self, "_dragged", session_type.id))
        card.on("dragover", js_handler="(event) => event.preventDefault()")
        card.on("drop", lambda: self._drop(place), js_handler="(event) => { event.preventDefault(); emit(); }")
        with card:
            with ui.element("div").classes("session-card-text"):
                ui.label(session_type.title).props("role=heading aria-level=2").classes("session-card-title")
                ui.label(_facts(session_type)).classes("session-card-facts")
                ui.label(" ".join(session_type.terms.sentences())).classes("session-card-terms")
            with ui.element("div").classes("session-card-actions"):
                self._draw_actions(place, session_type)

    def _draw_actions(self, place: int, session_type: PlacedSessionType) -> None:
        title, last = session_type.title, len(self._shown) - 1
        switch = ui.switch("Bookable", value=session_type.active)
        switch.on_value_change(lambda event: self._switch(session_type, active=bool(event.value)))
        _button("Edit", f"Edit {title}", "edit", lambda: self._open(session_type))
        _button("Duplicate", f"Duplicate {title}", "duplicate", lambda: self._duplicate(session_type))
        _button("↑", f"Move {title} up", "up", lambda: self._move(place, place - 1, "up")).set_enabled(place > 0)
        _button("↓", f"Move {title} down", "down", lambda: self._move(place, place + 1, "down")).set_enabled(
            place < last
        )

    def _open(self, session_type: PlacedSessionType | None) -> None:
        self._dialog.clear()
        with self._dialog, ui.card().classes("session-dialog"):
            title = "New session type" if session_type is None else f"Edit {session_type.title}"
            ui.label(title).props("role=heading aria-level=2").classes("session-dialog-title")
            form = SessionTypeForm(session_type)
            problem = ui.label("").props("role=alert").classes("session-problem")
            with ui.element("div").classes("session-dialog-buttons"):
                ui.button("Cancel", on_click=self._dialog.close).props("flat no-caps")
                ui.button("Save", on_click=lambda: self._save(session_type, form, problem)).props("no-caps unelevated")
        self._dialog.open()

    async def _save(self, session_type: PlacedSessionType | None, form: SessionTypeForm, problem: ui.label) -> None:
        async def save(caller: Caller) -> bool:
            try:
                key = await self._key(caller)
                if session_type is None:
                    new = NewSessionType.model_validate(form.values())
                    await self._services.calendars.add_session_type(key, new)
                else:
                    change = SessionTypeChange.model_validate(form.values())
                    await self._services.calendars.change_session_type(key, session_type.id, change)
            except ValidationError as error:
                problem.set_text(form.show_errors(field_errors(error)) or "Please check the marked fields.")
                return False
            except FieldsWrong as error:
                wrong = [FieldError(field=field, message=message) for field, message in error.errors.items()]
                problem.set_text(form.show_errors(wrong) or "Please check the marked fields.")
                return False
            return True

        if await self._page.run(save):
            self._dialog.close()
            self._page.saved()
            await self.read()

    async def _switch(self, session_type: PlacedSessionType, *, active: bool) -> None:
        if active == session_type.active:
            return

        async def switch(caller: Caller) -> None:
            change = SessionTypeChange(active=active)
            await self._services.calendars.change_session_type(await self._key(caller), session_type.id, change)

        await self._page.run(switch, saved="Saved")
        await self.read()

    async def _duplicate(self, session_type: PlacedSessionType) -> None:
        async def duplicate(caller: Caller) -> PlacedSessionType:
            return await self._services.calendars.duplicate_session_type(await self._key(caller), session_type.id)

        copy = await self._page.run(duplicate, saved="Saved")
        if copy is not None:
            await self.read()
            self._focus(copy.id, "edit")

    async def _drop(self, place: int) -> None:
        ids = [one.id for one in self._shown]
        if self._dragged in ids and ids.index(self._dragged) != place:
            await self._move(ids.index(self._dragged), place, "edit")

    async def _move(self, place: int, to: int, button: str) -> None:
        ids = [one.id for one in self._shown]
        moved = ids.pop(place)
        ids.insert(to, moved)

        async def order(caller: Caller) -> None:
            await self._services.calendars.order_session_types(await self._key(caller), ids)

        await self._page.run(order, saved="Saved")
        await self.read()
        # The card was drawn again. At the end of the list, its button is disabled.
        other = {0: "down", len(ids) - 1: "up"}.get(to, button)
        self._focus(moved, button if button == "edit" else other)

    def _focus(self, session_type_id: UUID, action: str) -> None:
        # Not `ui.run_javascript`: drawing the cards has deleted the button that was clicked.
        self._page.client.run_javascript(_FOCUS.format(session_type_id, action))

    async def _key(self, caller: Caller) -> CalendarKey:
        return await self._services.calendars.key(str(self._page.expert.id), caller)


def _button(text: str, label: str, action: str, on_click: Callable[[], Awaitable[None] | None]) -> ui.button:
    # The label begins with the visible text, for people who speak to their computer.
    name = f"aria-label={_quoted(label)}"
    return ui.button(text, on_click=on_click).props(f"outline no-caps dense data-action={action} {name}")


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "").replace('"', "'") + '"'


def _facts(session_type: PlacedSessionType) -> str:
    questions = len(session_type.questions)
    facts = (
        formatting.minutes(session_type.minutes),
        formatting.price(session_type.price) if session_type.price else "",
        summary(session_type.locations).removesuffix("."),
        f"{questions} question{'s' * (questions > 1)}" if questions else "",
        "" if session_type.active else "Not bookable",
    )
    return " · ".join(filter(None, facts))
