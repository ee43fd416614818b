"""Cursors of lists: opaque text for the position at which a page begins or ends."""

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
    """The sort orders of the catalogue. Ties are broken by id, so that no page repeats or skips an expert."""

    RELEVANCE = "relevance"
    RATING = "rating"
    EXPERIENCE = "experience"
    NAME = "name"
    SOONEST = "soonest"


class BookingSort(StrEnum):
    """The sort orders of bookings: by start, or by when they were made. Ties are broken by id."""

    EARLIEST_START = "start"
    LATEST_START = "-start"
    FIRST_CREATED = "created"
    LAST_CREATED = "-created"

    @property
    def descending(self) -> bool:
        """Whether the latest comes first."""
        return self.startswith("-")


# A position in the order: the sort keys of a row. In the catalogue they begin with the section (matches in names
# before other matches, for example).
Place = Sequence[Any]
_Section = Annotated[int, Field(ge=0, le=9)]
_Number = Annotated[int, Field(ge=0, le=2**31 - 1)]
_Rating = Annotated[Decimal, Field(ge=-1, le=5, decimal_places=2)]
_Folded = Annotated[str, Field(max_length=100, pattern=r"^[^\x00]*$")]
_IN_TIME: Final[TypeAdapter[Any]] = TypeAdapter(tuple[Instant, UUID])
_PLACES: Final[dict[StrEnum, TypeAdapter[Any]]] = {
    ExpertSort.RELEVANCE: TypeAdapter(tuple[_Section, _Rating, _Number, UUID]),
    ExpertSort.RATING: TypeAdapter(tuple[_Section, _Rating, _Number, UUID]),
    ExpertSort.EXPERIENCE: TypeAdapter(tuple[_Section, _Number, _Rating, _Number, UUID]),
    ExpertSort.NAME: TypeAdapter(tuple[_Section, _Folded, UUID]),
    ExpertSort.SOONEST: TypeAdapter(tuple[_Section, Instant, UUID]),
    **dict.fromkeys(BookingSort, _IN_TIME),
}


def cursor(sort: StrEnum, place: Place) -> str:
    """Encode a position as a cursor."""
    text = f"{sort}:".encode() + _PLACES[sort].dump_json(tuple(place))
    return urlsafe_b64encode(text).decode().rstrip("=")


def place_of(sort: StrEnum, text: str) -> Place:
    """Decode a cursor. Raises ValueError unless it is a cursor of this sort order."""
    try:
        encoded_sort, _, keys = urlsafe_b64decode(text + "=" * (-len(text) % 4)).partition(b":")
        if encoded_sort.decode() == sort:
            place: Place = _PLACES[sort].validate_json(keys)
            return place
    except ValidationError as error:
        raise ValueError("not a cursor") from error
    raise ValueError("a cursor of another sort order")
