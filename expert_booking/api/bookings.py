"""REST: bookings."""

from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Body, Depends, Path, Query, Response

from expert_booking.api.callers import caller_of
from expert_booking.api.problems import told
from expert_booking.domain.errors import BookingNotFound
from expert_booking.schemas import (
    BookingPage,
    BookingQuery,
    BookingRequest,
    BookingRequestWithPhone,
    BookingView,
    BusyPage,
    Caller,
    StatusRequest,
)
from expert_booking.services import Services

_ID = "c1c2f4a4-9a0e-4b6b-8a7c-3b9f2f1f7d10"
_REQUEST: Final = {
    "expertId": "7d9f1f0e-5c0b-4f5e-9a57-0c1d2e3f4a5b", "startsAt": "2026-11-24T09:00:00Z", "name": "Ada Lovelace",
    "email": "ada@example.com", "phone": "+44 20 7946 0000", "notes": "My first session.",
    "timeZone": "Europe/London",
}  # fmt: skip
_BUSY: Final = {"startsAt": "2026-11-24T09:00:00Z", "endsAt": "2026-11-24T10:00:00Z", "status": "pending"}
_BOOKING: Final = {
    **_BUSY, **_REQUEST, "id": _ID, "expertSlug": "jana-muller", "expertName": "Jana Müller",
    "expertTimeZone": "Europe/Berlin",
    "sessionTypeId": "0b6f3a52-1d8e-4f0a-8a44-6c2b9d7e1f30", "sessionTitle": "Career consultation",
    "createdAt": "2026-11-22T12:00:00Z", "updatedAt": "2026-11-22T12:00:00Z", "version": 1,
}  # fmt: skip
_WRONG: Final = (422, "validation_failed", "Some of this cannot be right; `errors` says what.")
_NO_PROOF: Final = (401, "proof_needed", "Please send a valid token: Authorization: Bearer …")
_UNKNOWN: Final = (404, "booking_not_found", "There is no such booking, or it is not yours to see.")
_NO_EXPERT: Final = (404, "expert_not_found", "There is no such expert.")

Answers = dict[int | str, dict[str, Any]]


def _example(status: int, description: str, **examples: Any) -> Answers:
    content = {"application/json": {"examples": {name: {"value": value} for name, value in examples.items()}}}
    return {status: {"description": description, "content": content}}


def _page(*bookings: dict[str, Any]) -> dict[str, Any]:
    return {"bookings": bookings, "total": len(bookings), "page": 1, "limit": 20}


_ON_BOOK: Final[Answers] = {
    **_example(201, "Booked.", booking=_BOOKING),
    **told(
        _NO_EXPERT,
        (404, "session_type_not_found", "This expert offers no such session."),
        (409, "slot_taken", "Someone else has just booked this time."),
        (413, "body_too_large", "The body is longer than any request can be."),
        (422, "slot_not_offered", "This time is outside the expert's hours."),
        _WRONG,
    ),
}
_ON_BOOK[201]["headers"] = {"Location": {"description": "The booking's address.", "schema": {"type": "string"}}}
_ON_LIST: Final[Answers] = {
    **_example(
        200, "With proof everything; by expert without proof bare times.", all=_page(_BOOKING), times=_page(_BUSY)
    ),
    **told(_NO_PROOF, _NO_EXPERT, _WRONG),
}
_ON_GET: Final[Answers] = {**_example(200, "The booking.", booking=_BOOKING), **told(_NO_PROOF, _UNKNOWN)}
_ON_CHANGE: Final[Answers] = {
    **_example(200, "The changed booking.", booking={**_BOOKING, "status": "confirmed", "version": 2}),
    **told(
        _NO_PROOF,
        (403, "forbidden", "This token does not allow that."),
        _UNKNOWN,
        (409, "status_change_not_allowed", "A booking that is cancelled cannot become confirmed."),
        (413, "body_too_large", "The body is longer than any request can be."),
        _WRONG,
    ),
}


def endpoints(services: Services, *, phone_required: bool) -> APIRouter:
    """Everything below `/bookings`."""
    router = APIRouter(prefix="/bookings", tags=["bookings"])
    caller_from_token = Depends(caller_of(services))
    wanted = Body(openapi_examples={"booking": {"value": _REQUEST}})

    async def book(request: BookingRequest, response: Response) -> BookingView:
        """Book a slot. Of several who ask for the same time exactly one gets it."""
        booking = await services.bookings.book(request)
        response.headers["Location"] = f"/bookings/{booking.id}"
        return booking

    # Which fields are required is the house's choice, and the documentation says so.
    book.__annotations__["request"] = Annotated[BookingRequestWithPhone if phone_required else BookingRequest, wanted]
    router.post("", status_code=201, responses=_ON_BOOK)(book)

    @router.get("", responses=_ON_LIST)
    async def list_bookings(
        query: Annotated[BookingQuery, Query()], caller: Caller | None = caller_from_token
    ) -> BookingPage | BusyPage:
        """Bookings, the latest start first.

        `?email=` needs proof: an admin's or reader's token. `?expertId=` shows everything to that expert's and an
        admin's token, and to everybody else only startsAt, endsAt and status of what keeps time busy.
        """
        return await services.bookings.find(query, caller)

    @router.get("/{booking}", responses=_ON_GET)
    async def get_booking(booking: Reference, caller: Caller | None = caller_from_token) -> BookingView:
        """One booking, for those entitled; for everybody else there is none. A 401 means the token is not valid."""
        return await services.bookings.get(_id(booking), caller)

    @router.patch("/{booking}/status", responses=_ON_CHANGE)
    async def change_status(
        booking: Reference, request: StatusRequest, caller: Caller | None = caller_from_token
    ) -> BookingView:
        """Confirm, complete, cancel, decline … a booking, as an admin or as its expert."""
        return await services.bookings.change_status(_id(booking), request.status, caller, reason=request.reason)

    return router


Reference = Annotated[str, Path(description="The booking's id.", examples=[_ID])]


def _id(reference: str) -> UUID:
    try:
        return UUID(reference)
    except ValueError as error:
        raise BookingNotFound from error
