"""The form a customer fills in. What is typed stays in the browser until the booking is made."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from nicegui.element import Element
from nicegui.events import GenericEventArguments

from expert_booking.schemas import EMAIL_LENGTH, NAME_LENGTH, NOTES_LENGTH, PHONE_LENGTH, FieldError


class BookingForm(Element, component="booking_form.js"):
    """Name, e-mail, phone, notes."""

    def __init__(
        self,
        *,
        draft: str,
        submission: str,
        phone_required: bool,
        by_expert: bool,
        on_book: Callable[[dict[str, Any]], Awaitable[None]],
        on_typing: Callable[[], Awaitable[None]],
    ) -> None:
        """`draft` names what is typed, for coming back to it; `submission` this form, unless the draft has one already.

        `by_expert`: the expert has to confirm what is booked. `on_book` gets what was typed, unchecked; `on_typing` is
        called now and then while somebody types.
        """
        super().__init__()
        self._props["draft"] = draft
        self._props["submission"] = submission
        self._props["phoneRequired"] = phone_required
        self._props["byExpert"] = by_expert
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

    def complain(self, field_errors: Sequence[FieldError]) -> None:
        """Say what is wrong beside each field, and let the customer go on typing."""
        self.run_method("complain", {field_error.field: field_error.message for field_error in field_errors})

    def rest(self) -> None:
        """Let the customer send it again."""
        self.run_method("complain", {})

    def leave_for(self, url: str) -> None:
        """The booking is made: forget the draft and go there."""
        self.run_method("leave", url)
