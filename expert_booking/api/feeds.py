"""REST endpoints below `/feeds`: iCalendar feeds for calendar applications, which can send no token."""

from typing import Annotated, Final

from fastapi import APIRouter, Header, Path, Response

from expert_booking.api.error_docs import Responses, error_responses, refused
from expert_booking.domain.errors import FeedNotFound
from expert_booking.services import Services

_KEY: Final = "N0ybGGLzSfeZf0uNvp6HjBpQ2s1C0vVxkq7m3T8yW4eZaB1c"
_ETAG: Final = '"5f0c1d2e3f4a5b6c7d8e9fa0b1c2d3e4"'
_EXAMPLE: Final = "\r\n".join((
    "BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//Expert Booking//Expert Booking//EN", "METHOD:PUBLISH", "BEGIN:VEVENT",
    "UID:c1c2f4a4-9a0e-4b6b-8a7c-3b9f2f1f7d10@0b6f3a52-1d8e-4f0a-8a44-6c2b9d7e1f30", "SEQUENCE:1",
    "DTSTAMP:20261122T120000Z", "DTSTART:20261124T090000Z", "DTEND:20261124T100000Z", "STATUS:CONFIRMED",
    "SUMMARY:Career consultation with Jana Müller", "END:VEVENT", "END:VCALENDAR", "",
))  # fmt: skip
# Neither to be stored by caches nor indexed by search engines. Calendar applications keep the ETag with their copy.
_HEADERS: Final = {"Cache-Control": "no-store", "X-Robots-Tag": "noindex"}
_TAGGED: Final = {"ETag": {"description": "Changes when the calendar does.", "schema": {"type": "string"}}}
_ON_READ: Final[Responses] = {
    200: {
        "description": "The calendar (RFC 5545).",
        "content": {"text/calendar": {"schema": {"type": "string"}, "examples": {"calendar": {"value": _EXAMPLE}}}},
        "headers": _TAGGED,
    },
    304: {"description": "The calendar has not changed.", "headers": _TAGGED},
    **error_responses(refused(FeedNotFound)),
}

Key = Annotated[str, Path(description="The secret key. Anyone who has it can read the calendar.", examples=[_KEY])]
IfNoneMatch = Annotated[
    str, Header(description="ETags of versions the client has: 304 if one of them is current.", examples=[_ETAG])
]


def endpoints(services: Services) -> APIRouter:
    """Create the router for `/feeds`."""
    router = APIRouter(prefix="/feeds", tags=["feeds"])

    @router.head("/{key}.ics", include_in_schema=False)
    @router.get("/{key}.ics", summary="Read a calendar feed", response_class=Response, responses=_ON_READ)
    async def read_feed(key: Key, if_none_match: IfNoneMatch = "") -> Response:
        """Return the bookings of a customer or an expert as an iCalendar feed to subscribe to.

        It contains pending, confirmed and completed bookings of the last 90 days and all upcoming ones. Customers and
        experts create and revoke the URL of their feed on the page "My bookings".
        """
        file = await services.feeds.content(key)
        headers = {**_HEADERS, "ETag": file.etag}
        if _is_known(file.etag, if_none_match):
            return Response(status_code=304, headers=headers)
        return Response(file.body, headers=headers, media_type="text/calendar")

    return router


def _is_known(etag: str, if_none_match: str) -> bool:
    tags = {tag.strip().removeprefix("W/") for tag in if_none_match.split(",")}
    return etag in tags or "*" in tags
