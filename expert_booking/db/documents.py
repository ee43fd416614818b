"""The JSON documents in columns of session types and bookings, as values of the domain."""

from collections.abc import Mapping
from dataclasses import asdict
from json import dumps
from typing import Any

from expert_booking.domain.locations import Location, LocationKind


def location_of(document: Mapping[str, Any]) -> Location:
    """Return the location in a document."""
    return Location(LocationKind(document["kind"]), document["text"], document.get("id", ""))


def location_json(location: Location | None) -> str | None:
    """Return the document of a location, as a parameter of a statement that casts it to JSONB."""
    return None if location is None else dumps(asdict(location), ensure_ascii=False)
