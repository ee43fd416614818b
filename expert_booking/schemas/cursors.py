"""Cursors: where a page of the catalogue begins or ends, as text that only we read."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Final
from uuid import UUID

from pydantic import Field, TypeAdapter, ValidationError

from expert_booking.schemas.fields import Instant

CURSOR_LENGTH: Final = 1000


class ExpertSort(StrEnum):
    """The orders of the catalogue; every one is completed by the id, so that no page repeats or drops anybody."""

    RELEVANCE = "relevance"
    RATING = "rating"
    EXPERIENCE = "experience"
    NAME = "name"
    SOONEST = "soonest"


# A place is the section of the order (names before others, for example), and an expert's sort keys in there.
Place = Sequence[Any]
_Section = Annotated[int, Field(ge=0, le=9)]
_Number = Annotated[int, Field(ge=0, le=2**31 - 1)]
_Rating = Annotated[Decimal, Field(ge=-1, le=5, decimal_places=2)]
_Folded = Annotated[str, Field(max_length=100, pattern=r"^[^\x00]*$")]
_PLACES: Final[dict[ExpertSort, TypeAdapter[Any]]] = {
    ExpertSort.RELEVANCE: TypeAdapter(tuple[_Section, _Rating, _Number, UUID]),
    ExpertSort.RATING: TypeAdapter(tuple[_Section, _Rating, _Number, UUID]),
    ExpertSort.EXPERIENCE: TypeAdapter(tuple[_Section, _Number, _Rating, _Number, UUID]),
    ExpertSort.NAME: TypeAdapter(tuple[_Section, _Folded, UUID]),
    ExpertSort.SOONEST: TypeAdapter(tuple[_Section, Instant, UUID]),
}


def cursor(sort: ExpertSort, place: Place) -> str:
    """The cursor of a place."""
    text = f"{sort}:".encode() + _PLACES[sort].dump_json(tuple(place))
    return urlsafe_b64encode(text).decode().rstrip("=")


def place_of(sort: ExpertSort, text: str) -> Place:
    """The place of a cursor. Raises ValueError for anything but a cursor of this order."""
    try:
        given, _, keys = urlsafe_b64decode(text + "=" * (-len(text) % 4)).partition(b":")
        if given.decode() == sort:
            place: Place = _PLACES[sort].validate_json(keys)
            return place
    except ValidationError as error:
        raise ValueError("not a cursor") from error
    raise ValueError("a cursor of another order")
