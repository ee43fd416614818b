"""The locations and the questions of a session type, as lists that grow in the console's form."""

from collections.abc import Sequence
from typing import Any, Final

from nicegui import ui
from nicegui.element import Element
from nicegui.elements.mixins.validation_element import ValidationElement

from expert_booking.domain.locations import LocationKind
from expert_booking.domain.questions import WITH_OPTIONS, QuestionKind
from expert_booking.schemas import MAX_LOCATIONS, MAX_QUESTIONS, new_id

_LOCATIONS: Final = {
    LocationKind.VIDEO: "Video call",
    LocationKind.PHONE: "Phone call",
    LocationKind.ADDRESS: "In person",
    LocationKind.CUSTOMER: "The customer says",
    LocationKind.OTHER: "Other",
}
_TEXTS: Final = {
    LocationKind.VIDEO: ("Link", "{room} in it becomes a room of its own for each booking. Shown once confirmed."),
    LocationKind.PHONE: ("Number to call", "Empty: you call the customer. Shown once confirmed."),
    LocationKind.ADDRESS: ("Address", ""),
    LocationKind.CUSTOMER: ("Hint for the customer", "For example: anywhere in Berlin."),
    LocationKind.OTHER: ("Where", ""),
}
_QUESTIONS: Final = {
    QuestionKind.SHORT_TEXT: "Short text",
    QuestionKind.LONG_TEXT: "Long text",
    QuestionKind.CHOICE: "One choice",
    QuestionKind.CHOICES: "Several choices",
    QuestionKind.YES_NO: "Yes or no",
    QuestionKind.NUMBER: "Number",
}


class _List(Element):
    """Items that are added, moved and removed. Every change that adds or removes fields draws the list again."""

    name = ""
    most = 0

    def __init__(self, items: Sequence[dict[str, Any]]) -> None:
        super().__init__("div")
        self.classes("session-list")
        self._items = [dict(item) for item in items]
        self._fields: dict[str, ValidationElement[Any]] = {}
        with self:
            self._rows = ui.element("div").classes("session-list")
            self._add_button = ui.button(f"Add a {self.name}", on_click=self._add).props("outline no-caps")
        self._draw()

    def values(self) -> list[dict[str, Any]]:
        """The input, unvalidated."""
        return [dict(item) for item in self._items]

    def clear_errors(self) -> None:
        """Remove all errors."""
        for field in self._fields.values():
            field.error = None

    def show_error(self, field: str, message: str) -> bool:
        """Show an error beside its field, such as `0.text`; False if there is no such field."""
        found = self._fields.get(".".join(field.split(".")[:2]))
        if found is None:
            return False
        found.error = message
        return True

    def _draw(self) -> None:
        self._rows.clear()
        self._fields = {}
        with self._rows:
            for place, item in enumerate(self._items):
                with (
                    ui.element("div").classes("session-item").props(f"role=group aria-label='{self.name} {place + 1}'")
                ):
                    self._draw_item(place, item)
                    with ui.element("div").classes("session-item-buttons"):
                        self._buttons(place)
        self._add_button.set_enabled(len(self._items) < self.most)

    def _buttons(self, place: int) -> None:
        what = f"{self.name} {place + 1}"
        for text, label, change, shown in (
            ("↑", f"Move {what} up", lambda: self._move(place, -1), place > 0),
            ("↓", f"Move {what} down", lambda: self._move(place, 1), place + 1 < len(self._items)),
            ("Remove", f"Remove {what}", lambda: self._remove(place), True),
        ):
            if shown:
                ui.button(text, on_click=change).props(f'flat no-caps dense aria-label="{label}"')

    def _move(self, place: int, by: int) -> None:
        self._items.insert(place + by, self._items.pop(place))
        self._draw()

    def _remove(self, place: int) -> None:
        del self._items[place]
        self._draw()

    def _add(self) -> None:
        self._items.append(self._new())
        self._draw()

    def _field(self, place: int, name: str, field: Any) -> None:
        self._fields[f"{place}.{name}"] = field
        field.props("outlined")
        field.on_value_change(lambda event: self._items[place].__setitem__(name, event.value))

    def _new(self) -> dict[str, Any]:
        raise NotImplementedError

    def _draw_item(self, place: int, item: dict[str, Any]) -> None:
        raise NotImplementedError


class LocationList(_List):
    """The locations that a session type offers."""

    name = "location"
    most = MAX_LOCATIONS

    def _new(self) -> dict[str, Any]:
        return {"id": new_id(), "kind": LocationKind.VIDEO, "text": ""}

    def _draw_item(self, place: int, item: dict[str, Any]) -> None:
        kind = ui.select(_LOCATIONS, value=item["kind"], label="Kind")
        self._field(place, "kind", kind)
        kind.on_value_change(self._draw)
        label, hint = _TEXTS[LocationKind(item["kind"])]
        self._field(place, "text", ui.input(label, value=item["text"]).props(f'hint="{hint}"').classes("wide"))


class QuestionList(_List):
    """The questions of a session type."""

    name = "question"
    most = MAX_QUESTIONS

    def _new(self) -> dict[str, Any]:
        return {
            "id": new_id(), "kind": QuestionKind.SHORT_TEXT, "text": "", "required": False, "sensitive": False,
            "options": [],
        }  # fmt: skip

    def _draw_item(self, place: int, item: dict[str, Any]) -> None:
        self._field(place, "text", ui.input("Question", value=item["text"]).classes("wide"))
        kind = ui.select(_QUESTIONS, value=item["kind"], label="Answer")
        self._field(place, "kind", kind)
        kind.on_value_change(lambda: self._change_kind(place))
        if item["kind"] in WITH_OPTIONS:
            options = ui.textarea("Options, one per line", value="\n".join(item["options"])).props("outlined autogrow")
            self._fields[f"{place}.options"] = options
            options.on_value_change(lambda event: item.update(options=_lines(event.value)))
        for name, label in (("required", "Required"), ("sensitive", "Sensitive, not in emails")):
            switch = ui.switch(label, value=item[name])
            switch.on_value_change(lambda event, name=name: item.update({name: event.value}))

    def _change_kind(self, place: int) -> None:
        item = self._items[place]
        if item["kind"] not in WITH_OPTIONS:
            item["options"] = []
        self._draw()


def _lines(text: str | None) -> list[str]:
    return [line.strip() for line in (text or "").splitlines() if line.strip()]
