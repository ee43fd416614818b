"""What an expert asks before a session: where to meet, and questions. Beside the booking form, only if needed."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from typing import Any

from nicegui.element import Element
from nicegui.events import GenericEventArguments

from expert_booking.domain.locations import LABELS, Location, LocationKind
from expert_booking.schemas import ANSWER_LENGTHS, PLACE_LENGTH, FieldError, SessionTypeView

# How long the browser may take to return the input, in seconds.
_TIMEOUT = 10.0


class BookingQuestions(Element, component="booking_questions.js"):
    """The choice of a location, and questions. The input stays in the browser until the booking is made."""

    def __init__(self, session_type: SessionTypeView, *, draft: str, on_typing: Callable[[], Awaitable[None]]) -> None:
        """`draft` is the name under which the browser stores the input. `on_typing` is called now and then."""
        super().__init__()
        self._props.update(draft=draft, placeLength=PLACE_LENGTH, **_asked(session_type))
        self.on("typing", lambda _: on_typing())
        self.on("values", self._receive)
        self._values: asyncio.Future[dict[str, Any]] | None = None

    def show(self, session_type: SessionTypeView) -> None:
        """Ask what the session type now asks. What was typed stays."""
        asked = _asked(session_type)
        if any(self._props[name] != value for name, value in asked.items()):
            self._props.update(asked)
            self.update()

    async def values(self) -> dict[str, Any]:
        """The input, unvalidated, as the fields `location` and `answers` of a booking request. Raises TimeoutError."""
        self._values = asyncio.get_running_loop().create_future()
        self.run_method("send")
        return await asyncio.wait_for(self._values, _TIMEOUT)

    def _receive(self, event: GenericEventArguments) -> None:
        if self._values is not None and not self._values.done():
            values = event.args if isinstance(event.args, dict) else {}
            self._values.set_result({name: values.get(name) for name in ("location", "answers")})

    def show_errors(self, field_errors: Sequence[FieldError]) -> None:
        """Show each error beside its field."""
        self.run_method("showErrors", {field_error.field: field_error.message for field_error in field_errors})

    def forget(self) -> None:
        """Delete the draft."""
        self.run_method("forget")


def asks(session_type: SessionTypeView) -> bool:
    """Whether a session type asks for anything."""
    locations = session_type.locations
    return (
        bool(session_type.questions)
        or len(locations) > 1
        or any(one.kind is LocationKind.CUSTOMER for one in locations)
    )


def _asked(session_type: SessionTypeView) -> dict[str, Any]:
    return {
        "locations": [_location(one) for one in session_type.locations],
        "questions": [{**asdict(one), "length": ANSWER_LENGTHS.get(one.kind)} for one in session_type.questions],
    }


def _location(one: Location) -> dict[str, Any]:
    names_place = one.kind is LocationKind.CUSTOMER
    return {
        "id": one.id,
        "label": LABELS[one.kind] if names_place else one.label(),
        "asks": names_place,
        "hint": one.text if names_place else "",
    }
