"""Path parameters: ids and slugs."""

from typing import Annotated
from uuid import UUID

from fastapi import Path

from expert_booking.domain.errors import NotFound

ExpertReference = Annotated[str, Path(description="The id or slug of the expert.", examples=["jana-muller"])]

BookingReference = Annotated[
    str, Path(description="The id of the booking.", examples=["c1c2f4a4-9a0e-4b6b-8a7c-3b9f2f1f7d10"])
]


def parse_id(text: str, not_found: type[NotFound]) -> UUID:
    """Parse an id. Raises `not_found` for a text that is no id, so that it gets the same 404 as an unknown id."""
    try:
        return UUID(text)
    except ValueError as error:
        raise not_found from error
