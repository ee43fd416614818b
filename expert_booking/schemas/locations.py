"""Locations of session types, the customer's choice among them, and the location that a host sets for a booking."""

from collections.abc import Sequence
from secrets import token_hex
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from expert_booking.domain import phone_numbers
from expert_booking.domain.locations import LocationKind
from expert_booking.domain.text_input import has_visible
from expert_booking.schemas.fields import RequestModel, at_most_items, invalid_field, lines

MAX_LOCATIONS: Final = 5
PLACE_LENGTH: Final = 300
ItemId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,40}$", description="Default: a new id.")]
Place = Annotated[str, lines(PLACE_LENGTH)]


def new_id() -> str:
    """A new id of a location or question."""
    return token_hex(4)


class LocationRequest(RequestModel):
    """The location of a booking.

    `text` is the link of a video call (https), the number of a phone call, or an address or other text. Without a link,
    the link of a video call is still to come; without a number, the expert calls the customer.
    """

    kind: LocationKind
    text: Annotated[Place, Field(validate_default=True)] = ""

    @field_validator("text")
    @classmethod
    def _fits_the_kind(cls, text: str, info: ValidationInfo) -> str:
        kind = info.data.get("kind")
        if kind in (LocationKind.ADDRESS, LocationKind.OTHER) and not has_visible(text):
            raise ValueError("Please fill this in.")
        if kind is LocationKind.VIDEO and text and not _is_link(text):
            raise ValueError("Please use a link that begins with https://.")
        return phone_numbers.e164(text, None) if kind is LocationKind.PHONE and text else text


class OfferedLocation(LocationRequest):
    """A location that a session type offers. `{room}` in a link becomes a name of its own for each booking."""

    id: ItemId = Field(default_factory=new_id)


def _distinct(items: Sequence[OfferedLocation]) -> Sequence[OfferedLocation]:
    check_distinct([item.id for item in items])
    return items


def check_distinct(ids: Sequence[str]) -> None:
    """Raise an error for the first id that occurs twice."""
    for place, one in enumerate(ids):
        if one in ids[:place]:
            raise invalid_field(f"{place}.id", "Each id can be used only once.")


OfferedLocations = Annotated[
    Sequence[OfferedLocation],
    Field(max_length=MAX_LOCATIONS),
    at_most_items(MAX_LOCATIONS),
    AfterValidator(_distinct),
]


class LocationChoice(RequestModel):
    """Where the customer wants to meet: one of the session type's locations, and the place if the customer names it."""

    id: Annotated[str | None, Field(max_length=40, description="Default: the first location.")] = None
    text: Place = ""


def _is_link(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme == "https" and bool(parts.hostname) and not any(map(str.isspace, text))
    except ValueError:
        return False
