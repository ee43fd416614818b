"""REST endpoints for lists of bookings: pages, CSV, and actions on several bookings."""

from collections.abc import AsyncIterator
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query
from fastapi.responses import StreamingResponse
from fastapi.routing import APIRoute

from expert_booking.api.booking_docs import BOOKING, BUSY, CONFIRMED
from expert_booking.api.callers import TOKEN_IS_OPTIONAL, caller_dependency
from expert_booking.api.error_docs import (
    FORBIDDEN,
    INVALID,
    NO_BOOKING,
    NO_EXPERT,
    NO_PROOF,
    TOO_LARGE,
    Responses,
    body_example,
    error_responses,
    example_response,
)
from expert_booking.domain.csv_text import MEDIA_TYPE
from expert_booking.schemas import (
    ActionResults,
    BookingAction,
    BookingFilter,
    BookingPage,
    BookingQuery,
    BusyPage,
    Caller,
)
from expert_booking.services import Services
from expert_booking.services.csv_exports import BOOKING_COLUMNS, BOOKINGS_FILE, bookings_csv

_OTHER_ID: Final = "5b7de1a2-0c52-4c41-8f0e-0a7d3f6f5a11"
_NEXT: Final = "LXN0YXJ0OlsiMjAyNi0xMS0yNFQwOTowMDowMFoiLCJjMWMyZjRhNCJd"


def _page(*bookings: dict[str, Any]) -> dict[str, Any]:
    return {"bookings": bookings, "total": len(bookings), "page": 1, "limit": 20}


_ON_LIST: Final[Responses] = {
    **example_response(
        200,
        "With a token: full bookings. By expert without a token: times and status only.",
        all={**_page(BOOKING), "total": 51, "totalIsCapped": False, "next": _NEXT, "previous": None},
        times=_page(BUSY),
    ),
    **error_responses(NO_PROOF, NO_EXPERT, INVALID),
}
_ON_EXPORT: Final[Responses] = {
    200: {
        "description": "The bookings as CSV, one a line.",
        "content": {"text/csv": {"schema": {"type": "string"}, "example": ",".join(BOOKING_COLUMNS) + "\r\n"}},
    },
    **error_responses(NO_PROOF, NO_EXPERT, INVALID),
}
_RESULTS: Final = {
    "results": [
        {"id": BOOKING["id"], "booking": CONFIRMED, "error": None},
        {"id": _OTHER_ID, "booking": None, "error": {"code": NO_BOOKING.code, "detail": NO_BOOKING.detail}},
    ],
    "done": 1,
    "refused": 1,
}
_ON_ACTION: Final[Responses] = {
    **example_response(200, "What became of each booking.", _RESULTS),
    **error_responses(NO_PROOF, FORBIDDEN, TOO_LARGE, INVALID),
}
_ACTION: Final = {"action": "confirm", "ids": [BOOKING["id"], _OTHER_ID], "reason": "See you there."}


def endpoints(services: Services, routes: type[APIRoute]) -> APIRouter:
    """Create the router for lists of bookings."""
    router = APIRouter(tags=["bookings"], route_class=routes)
    caller_from_token = Depends(caller_dependency(services))

    @router.get("/bookings", summary="List bookings", responses=_ON_LIST, openapi_extra=TOKEN_IS_OPTIONAL)
    async def list_bookings(
        query: Annotated[BookingQuery, Query()], caller: Caller | None = caller_from_token
    ) -> BookingPage | BusyPage:
        """List bookings, latest start first unless `sort` says otherwise.

        `?email=` needs the token of an admin or a reader, or the token that the customer with this address received
        from `POST /access-links/redeem`. `?expertId=` returns full bookings to this expert and to admins; the
        expert does not see those that wait for the confirmation of the email address. For all others it returns only
        `startsAt`, `endsAt` and `status` of the bookings that keep time busy.

        Those who see full bookings can filter and sort them. `status` can be repeated to match any of several; every
        word of `search` has to match. To read the next page, send `next` as `after` with the same parameters; to go
        back, send `previous` as `before`. No booking is repeated or skipped, even if others are added in between.
        `total` stops at 10,000; `totalIsCapped` is true if there are more.
        """
        return await services.booking_lists.find(query, caller)

    @router.get("/bookings.csv", summary="Export bookings", response_class=StreamingResponse, responses=_ON_EXPORT)
    async def export_bookings(
        query: Annotated[BookingFilter, Query()], caller: Caller | None = caller_from_token
    ) -> StreamingResponse:
        """Return all bookings that match the filters of `GET /bookings` as CSV (RFC 4180, UTF-8 with BOM).

        Needs a token that sees full bookings. The first line has the names of the columns. Texts that a spreadsheet
        would take for a formula begin with an apostrophe.
        """
        lines = bookings_csv(services.booking_lists.export(query, caller))
        # The first part is read before the response begins, so that a refusal has its status.
        first = await anext(lines)
        headers = {"Content-Disposition": f'attachment; filename="{BOOKINGS_FILE}"', "Cache-Control": "no-store"}
        return StreamingResponse(_chain(first, lines), media_type=MEDIA_TYPE, headers=headers)

    @router.post("/bookings/actions", summary="Change several bookings", responses=_ON_ACTION)
    async def act(
        request: Annotated[BookingAction, body_example(_ACTION)], caller: Caller | None = caller_from_token
    ) -> ActionResults:
        """Confirm, decline, cancel or complete up to 100 bookings, or mark them as no-shows, for one reason.

        For experts and admins. Each booking is changed on its own, as by `PATCH /bookings/{booking}/status`: one that
        is refused does not stop the others. `results` are in the order of `ids`; each has either the changed `booking`
        or an `error` with its `code`.
        """
        return await services.booking_lists.act(request, caller)

    return router


async def _chain(first: str, lines: AsyncIterator[str]) -> AsyncIterator[str]:
    yield first
    async for part in lines:
        yield part
