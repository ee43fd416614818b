"""The form that a customer fills in. The input stays in the browser until the booking is made."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from uuid import UUID

from nicegui.element import Element
from nicegui.events import GenericEventArguments

from expert_booking.domain import phone_numbers
from expert_booking.schemas import EMAIL_LENGTH, NAME_LENGTH, NOTES_LENGTH, PHONE_LENGTH, FieldError


class BookingForm(Element, component="booking_form.js"):
    """Name, email, phone and notes."""

    def __init__(
        self,
        *,
        draft: str,
        submission: str,
        phone_required: bool,
        phone_hint: str,
        by_expert: bool,
        mails: bool,
        asks_for_code: bool,
        on_book: Callable[[dict[str, Any]], Awaitable[None]],
        on_typing: Callable[[], Awaitable[None]],
    ) -> None:
        """`draft` is the name under which the browser stores the input; `submission` is the id of a new draft.

        `by_expert`: the expert has to confirm the booking. `mails`: the site sends emails. `asks_for_code`: the
        customer confirms the email address with a code. `on_book` receives the input, unvalidated. `on_typing` is
        called now and then while the customer types.
        """
        super().__init__()
        self._props["draft"] = draft
        self._props["submission"] = submission
        self._props["phoneRequired"] = phone_required
        self._props["phoneHint"] = phone_hint
        self._props["byExpert"] = by_expert
        self._props["mails"] = mails
        self._props["asksForCode"] = asks_for_code
        self._props["limits"] = {
            "name": NAME_LENGTH,
            "email": EMAIL_LENGTH,
            "phone": PHONE_LENGTH,
            "notes": NOTES_LENGTH,
        }

        async def book(event: GenericEventArguments) -> None:
            if isinstance(event.args, dict):
                await on_book(event.args)

        self.on("book", book)
        self.on("typing", lambda _: on_typing())

    def show_phone_hint(self, text: str) -> None:
        """Show another hint below the phone number."""
        if self._props["phoneHint"] != text:
            self._props["phoneHint"] = text
            self.update()

    def show_errors(self, field_errors: Sequence[FieldError]) -> None:
        """Enable the form again, and show each error beside its field."""
        self.run_method("showErrors", {field_error.field: field_error.message for field_error in field_errors})

    def done(self) -> None:
        """Enable the form again."""
        self.run_method("showErrors", {})

    def show_notice(self) -> None:
        """Scroll to the notice above the form."""
        self.run_method("showNotice")

    def leave_for(self, url: str) -> None:
        """Delete the draft and go to `url`."""
        self.run_method("leave", url)


def phone_hint(region: str | None) -> str:
    """How to write a phone number, for a visitor from this country."""
    example = phone_numbers.example(region)
    if example is None:
        return "With the country code, such as +44 7400 123456."
    return f"Such as {example}. For another country, start with + and its code."


def fields_of(form: dict[str, Any]) -> dict[str, Any]:
    """Return the customer's input, unvalidated. Fields that the browser left out are empty."""
    return {name: form.get(name, "") for name in ("name", "email", "phone", "notes")}


def submission_of(form: dict[str, Any]) -> UUID | None:
    """Return the id of the draft; None if it is not valid."""
    try:
        return UUID(str(form.get("submission")))
    except ValueError:
        return None
