"""The form that a customer fills in. The input stays in the browser until the booking is made."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from uuid import UUID

from nicegui.element import Element
from nicegui.events import GenericEventArguments

from expert_booking.schemas import EMAIL_LENGTH, NAME_LENGTH, NOTES_LENGTH, PHONE_LENGTH, FieldError


class BookingForm(Element, component="booking_form.js"):
    """Name, email, phone and notes."""

    def __init__(
        self,
        *,
        draft: str,
        submission: str,
        phone_required: bool,
        by_expert: bool,
        mails: bool,
        on_book: Callable[[dict[str, Any]], Awaitable[None]],
        on_typing: Callable[[], Awaitable[None]],
    ) -> None:
        """`draft` is the name under which the browser stores the input; `submission` is the id of a new draft.

        `by_expert`: the expert has to confirm the booking. `mails`: the site sends emails. `on_book` receives the
        input, unvalidated. `on_typing` is called now and then while the customer types.
        """
        super().__init__()
        self._props["draft"] = draft
        self._props["submission"] = submission
        self._props["phoneRequired"] = phone_required
        self._props["byExpert"] = by_expert
        self._props["mails"] = mails
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


def fields_of(form: dict[str, Any]) -> dict[str, Any]:
    """Return the customer's input, unvalidated. Fields that the browser left out are empty."""
    return {name: form.get(name, "") for name in ("name", "email", "phone", "notes")}


def submission_of(form: dict[str, Any]) -> UUID | None:
    """Return the id of the draft; None if it is not valid."""
    try:
        return UUID(str(form.get("submission")))
    except ValueError:
        return None
