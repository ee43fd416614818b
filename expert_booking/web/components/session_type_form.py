"""The form of a session type in the console: grouped fields, with the terms as sentences while editing."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from babel.numbers import get_currency_name
from nicegui import ui
from nicegui.element import Element
from nicegui.elements.mixins.validation_element import ValidationElement
from pydantic import ValidationError
from pydantic.alias_generators import to_camel

from expert_booking.domain import formatting
from expert_booking.domain.prices import currencies, minor_digits
from expert_booking.domain.terms import Confirmation, EmailVerification, Terms
from expert_booking.domain.unavailability import duration
from expert_booking.schemas import FieldError, NewSessionType, PlacedSessionType
from expert_booking.web.components.session_type_lists import LocationList, QuestionList

_HOUR: Final = 60
_DAY: Final = 24 * _HOUR
_NOTICES: Final = (0, 30, _HOUR, 2 * _HOUR, 4 * _HOUR, 12 * _HOUR, _DAY, 2 * _DAY, 3 * _DAY, 7 * _DAY)
_ANSWERS: Final = (_HOUR, 4 * _HOUR, 12 * _HOUR, _DAY, 2 * _DAY, 3 * _DAY, 7 * _DAY)
_UNLIMITED: Final = "no limit"
_CONFIRMATION: Final = {Confirmation.INSTANT: "Instantly", Confirmation.BY_EXPERT: "By me"}
_VERIFICATION: Final = {
    EmailVerification.NEVER: "No one",
    EmailVerification.NEW_ADDRESSES: "New customers",
    EmailVerification.ALWAYS: "Every customer",
}
_PRICE: Final = {"none": "Not stated", "free": "Free", "paid": "A price"}
_NEW: Final = NewSessionType(title="x").model_dump() | {"title": ""}


class SessionTypeForm(Element):
    """The fields of a new or an existing session type. The input is unvalidated."""

    def __init__(self, session_type: PlacedSessionType | None) -> None:
        """`session_type` None: a new one, with the defaults."""
        super().__init__("div")
        self.classes("session-form")
        stored = session_type.model_dump() if session_type else _NEW
        self._values: dict[str, Any] = {name: stored[name] for name in NewSessionType.model_fields if name in stored}
        self._fields: dict[str, ValidationElement[Any]] = {}
        price = self._values.pop("price")
        self._kind = "none" if price is None else "paid" if price["amount"] else "free"
        self._currency = price["currency"] if price else "EUR"
        self._amount = None if self._kind != "paid" else price["amount"] / 10 ** minor_digits(price["currency"])
        with self:
            self._draw()
        self._show_terms()

    def values(self) -> dict[str, Any]:
        """The input, as the fields of a request."""
        return {
            **self._values,
            "price": self._price(),
            "locations": self._locations.values(),
            "questions": self._questions.values(),
        }

    def show_errors(self, errors: Sequence[FieldError]) -> str:
        """Show each error beside its field, and return those of no field."""
        lists: dict[str, LocationList | QuestionList] = {"locations": self._locations, "questions": self._questions}
        for field in self._fields.values():
            field.error = None
        for one in lists.values():
            one.clear_errors()
        rest: list[str] = []
        for error in errors:
            name, _, inside = error.field.partition(".")
            if error.field in self._fields:
                self._fields[error.field].error = error.message
            elif name not in lists or not lists[name].show_error(inside, error.message):
                rest.append(error.message)
        return " ".join(rest)

    def _draw(self) -> None:
        with _group("Basics"):
            self._add_text("title", "Title")
            self._fields["title"].classes("wide")
            self._add_text("description", "Description", lines=True)
        with _group("Times"):
            self._add_number("minutes", "Length", "minutes")
            self._add_number("step_minutes", "A start every", "minutes")
            self._add_number("before_minutes", "Buffer before", "minutes")
            self._add_number("after_minutes", "Buffer after", "minutes")
        with _group("Rules"):
            self._add_select("notice_minutes", "Notice before the start", _durations(_NOTICES, "none"))
            self._add_number("horizon_days", "Bookable in advance", "days")
            self._add_number("daily_cap", "Most bookings a day", "", placeholder=_UNLIMITED)
            self._add_select("confirmation", "Bookings are confirmed", _CONFIRMATION)
            self._add_select("answer_minutes", "My time to answer", _durations(_ANSWERS, "none"))
            self._add_select("cancel_notice_minutes", "Cancelling until", _durations(_NOTICES, "the start", " before"))
            self._add_select(
                "reschedule_notice_minutes", "Rescheduling until", _durations(_NOTICES, "the start", " before")
            )
            self._add_number("max_reschedules", "Most reschedules", "", placeholder=_UNLIMITED)
            self._add_select("email_verification", "Who confirms their email", _VERIFICATION)
        with ui.element("div").classes("session-terms"):
            ui.label("Your customers read").classes("session-terms-label")
            self._sentence = ui.label("").props("data-terms aria-live=polite")
        with _group("Location"):
            self._locations = LocationList(self._values.pop("locations"))
        with _group("Price"):
            self._draw_price()
            self._add_text("payment_note", "How to pay", lines=True)
        with _group("Questions"):
            self._questions = QuestionList(self._values.pop("questions"))

    def _draw_price(self) -> None:
        kind = ui.select(_PRICE, value=self._kind, label="Price").props("outlined")
        amount = ui.number("Amount", value=self._amount, min=0).props("outlined")
        names = {code: f"{code} · {get_currency_name(code, locale=formatting.LOCALE)}" for code in currencies()}
        currency = ui.select(names, value=self._currency, label="Currency", with_input=True).props("outlined")
        for field in (amount, currency):
            field.bind_visibility_from(kind, "value", value="paid")
        kind.on_value_change(lambda event: setattr(self, "_kind", event.value))
        amount.on_value_change(lambda event: setattr(self, "_amount", event.value))
        currency.on_value_change(lambda event: setattr(self, "_currency", event.value))
        self._fields |= {"price": amount, "price.amount": amount, "price.currency": currency}

    def _price(self) -> dict[str, Any] | None:
        if self._kind == "none":
            return None
        if self._kind == "free":
            return {"amount": 0, "currency": self._currency}
        exact = None if self._amount is None else Decimal(str(self._amount)).scaleb(minor_digits(self._currency or ""))
        # Anything that is not a whole number of the smallest unit is refused.
        amount = int(exact) if exact is not None and exact == int(exact) else exact and float(exact)
        return {"amount": amount, "currency": self._currency}

    def _add_text(self, name: str, label: str, *, lines: bool = False) -> None:
        make = ui.textarea if lines else ui.input
        self._add(name, make(label, value=self._values[name]).props("outlined autogrow" if lines else "outlined"))

    def _add_number(self, name: str, label: str, unit: str, *, placeholder: str = "") -> None:
        field = ui.number(label, value=self._values[name], min=0, precision=0, suffix=unit or None)
        self._add(name, field.props(f'outlined stack-label placeholder="{placeholder}"'))

    def _add_select(self, name: str, label: str, options: Mapping[Any, str]) -> None:
        value = self._values[name]
        known = dict(options) if value in options else {**options, value: duration(value)}
        self._add(name, ui.select(known, value=value, label=label).props("outlined"))

    def _add(self, name: str, field: Any) -> None:
        self._fields[to_camel(name)] = field

        def change(value: Any) -> None:
            self._values[name] = int(value) if isinstance(value, float) and value.is_integer() else value
            self._show_terms()

        field.on_value_change(lambda event: change(event.value))

    def _show_terms(self) -> None:
        try:
            terms = Terms(**{name: self._values[name] for name in _TERMS})
            self._sentence.set_text(" ".join(terms.sentences()))
        except (TypeError, ValueError, ValidationError):
            self._sentence.set_text("Please fill in the rules.")


_TERMS: Final = (
    "confirmation", "answer_minutes", "cancel_notice_minutes", "reschedule_notice_minutes", "max_reschedules",
    "email_verification", "payment_note",
)  # fmt: skip


def _group(title: str) -> Element:
    group = ui.element("fieldset").classes("session-group")
    with group:
        ui.html(title, sanitize=False, tag="legend")
    return group


def _durations(minutes: Sequence[int], nothing: str, after: str = "") -> dict[int, str]:
    return {one: f"{duration(one)}{after}" if one else nothing for one in minutes}
