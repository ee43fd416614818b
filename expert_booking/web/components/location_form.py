"""Where a booking takes place: a form with which a host changes it, in place."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

from nicegui.events import GenericEventArguments

from expert_booking.domain.locations import Location, LocationKind
from expert_booking.schemas import PLACE_LENGTH
from expert_booking.web.components.question import Question

# What a host can set, with the label of its text. The customer has no more say once the booking is made.
_KINDS: Final = (
    (LocationKind.VIDEO, "Video call", "Link"),
    (LocationKind.PHONE, "Phone call", "Number to call, or empty: you call the customer"),
    (LocationKind.ADDRESS, "In person", "Address"),
    (LocationKind.OTHER, "Other", "Where"),
)


class LocationForm(Question, component="location_form.js"):
    """For hosts. An answer without an error closes the form."""

    def __init__(self, *, on_save: Callable[[dict[str, Any]], Awaitable[None]]) -> None:
        """`on_save` receives `kind` and `text`, unvalidated."""
        super().__init__()
        kinds = [{"value": kind.value, "text": text, "label": label} for kind, text, label in _KINDS]
        self._props.update(shown=False, kinds=kinds, kind="", text="", placeLength=PLACE_LENGTH)

        async def save(event: GenericEventArguments) -> None:
            if isinstance(event.args, dict):
                await on_save({name: event.args.get(name) for name in ("kind", "text")})

        self.on("save", save)

    def show(self, location: Location | None, *, shown: bool) -> None:
        """Offer to change this location, or nothing."""
        known = location is not None and location.kind is not LocationKind.CUSTOMER
        kind = location.kind if location and known else LocationKind.OTHER if location else LocationKind.VIDEO
        self.change(shown=shown, kind=kind.value, text=location.text if location else "")
