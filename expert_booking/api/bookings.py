"""REST: bookings."""

from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Body, Depends, Path, Query, Response
from fastapi.routing import APIRoute

from expert_booking.api.callers import caller_of
from expert_booking.api.problems import told
from expert_booking.domain.errors import BookingNotFound, TooManyNewLinks
from expert_booking.schemas import (
    BookingHistory,
    BookingPage,
    BookingQuery,
    BookingRequest,
    BookingRequestWithPhone,
    BookingView,
    BusyPage,
    Caller,
    NewBookingView,
    RescheduleRequest,
    StatusRequest,
)
from expert_booking.services import Services

_ID = "c1c2f4a4-9a0e-4b6b-8a7c-3b9f2f1f7d10"
_REQUEST: Final = {
    "expertId": "7d9f1f0e-5c0b-4f5e-9a57-0c1d2e3f4a5b", "startsAt": "2026-11-24T09:00:00Z", "name": "Ada Lovelace",
    "email": "ada@example.com", "phone": "+44 20 7946 0000", "notes": "My first session.",
    "timeZone": "Europe/London",
}  # fmt: skip
_HELD: Final = {**_REQUEST, "holdId": "0d6f2c1b-8e37-4c5a-b1f4-52a7c9e0d318"}
_BUSY: Final = {"startsAt": "2026-11-24T09:00:00Z", "endsAt": "2026-11-24T10:00:00Z", "status": "pending"}
_BOOKING: Final = {
    **_BUSY, **_REQUEST, "id": _ID, "expertSlug": "jana-muller", "expertName": "Jana Müller",
    "expertTimeZone": "Europe/Berlin",
    "sessionTypeId": "0b6f3a52-1d8e-4f0a-8a44-6c2b9d7e1f30", "sessionTitle": "Career consultation",
    "answerBy": "2026-11-24T09:00:00Z", "cancelUntil": "2026-11-23T09:00:00Z",
    "rescheduleUntil": "2026-11-24T08:00:00Z",
    "reschedulesLeft": 2,
    "createdAt": "2026-11-22T12:00:00Z", "updatedAt": "2026-11-22T12:00:00Z", "version": 1, "mail": "sent",
}  # fmt: skip
_NEW: Final = {**_BOOKING, "mail": "waiting", "accessToken": "eb_booking_wcL0pJoOS2uKfDufLx99EKm1Vb0c…"}
_CHANGES: Final = {
    "changes": [
        {"at": "2026-11-22T12:00:00Z", "actor": "customer", "fromStatus": None, "toStatus": "pending",
         "fromStartsAt": None, "toStartsAt": "2026-11-24T09:00:00Z", "reason": ""},
        {"at": "2026-11-22T14:30:00Z", "actor": "expert", "fromStatus": "pending", "toStatus": "confirmed",
         "fromStartsAt": "2026-11-24T09:00:00Z", "toStartsAt": "2026-11-24T09:00:00Z", "reason": ""},
    ],
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
    **_example(201, "Booked. `accessToken` opens this booking alone.", booking=_NEW),
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
_FORBIDDEN: Final = (403, "forbidden", "This token does not allow that.")
_LONG: Final = (413, "body_too_large", "The body is longer than any request can be.")
_ON_CHANGE: Final[Answers] = {
    **_example(
        200, "The changed booking.", booking={**_BOOKING, "status": "confirmed", "answerBy": None, "version": 2}
    ),
    **told(
        _NO_PROOF,
        _FORBIDDEN,
        _UNKNOWN,
        (409, "status_change_not_allowed", "A booking that is cancelled cannot become confirmed."),
        (409, "cancel_too_late", "This session could be cancelled until 1 day before it begins."),
        _LONG,
        _WRONG,
    ),
}
_LATER: Final = {"startsAt": "2026-11-24T11:00:00Z", "endsAt": "2026-11-24T12:00:00Z"}
_ON_RESCHEDULE: Final[Answers] = {
    **_example(200, "The booking at its new time.", booking={**_BOOKING, **_LATER, "version": 2}),
    **told(
        _NO_PROOF,
        _FORBIDDEN,
        _UNKNOWN,
        (409, "slot_taken", "Someone else has just booked this time."),
        (409, "reschedule_not_allowed", "A booking that is cancelled cannot be moved to another time."),
        (409, "reschedule_too_late", "This session could be moved until 2 hours before it begins."),
        (409, "no_reschedules_left", "This booking was moved twice already, which is as often as its terms allow."),
        _LONG,
        (422, "slot_not_offered", "This time is outside the expert's hours."),
        _WRONG,
    ),
}
_ON_END_LINKS: Final[Answers] = {
    204: {"description": "All earlier links and tokens of this booking have ended."},
    **told(
        _NO_PROOF,
        _FORBIDDEN,
        _UNKNOWN,
        (429, TooManyNewLinks.code, TooManyNewLinks.__doc__ or ""),
    ),
}
_ON_HISTORY: Final[Answers] = {
    **_example(200, "All of it, the first first.", changes=_CHANGES),
    **told(_NO_PROOF, _FORBIDDEN, _UNKNOWN),
}


def endpoints(services: Services, routes: type[APIRoute], *, phone_required: bool) -> APIRouter:
    """Everything below `/bookings`."""
    router = APIRouter(prefix="/bookings", tags=["bookings"], route_class=routes)
    caller_from_token = Depends(caller_of(services))
    wanted = Body(openapi_examples={"booking": {"value": _REQUEST}, "held": {"value": _HELD}})

    async def book(request: BookingRequest) -> Response:
        """Book a slot. Of several who ask for the same time exactly one gets it: with `holdId` the one who holds it.

        Where the hold is over, the time is booked like any other, if it is still free. With the `accessToken` of the
        answer its customer reads, moves and cancels it.
        """
        booking = await services.bookings.book(request)
        made = NewBookingView.model_construct(**dict(booking), access_token=services.access.booking_token(booking.id))
        # Written at once: FastAPI would look through what is right already.
        headers = {"Location": f"/bookings/{booking.id}"}
        return Response(made.model_dump_json(by_alias=True), 201, headers, "application/json")

    # Which fields are required is the site's choice, and the documentation says so.
    book.__annotations__["request"] = Annotated[BookingRequestWithPhone if phone_required else BookingRequest, wanted]
    router.post("", status_code=201, response_model=NewBookingView, responses=_ON_BOOK)(book)

    @router.get("", responses=_ON_LIST)
    async def list_bookings(
        query: Annotated[BookingQuery, Query()], caller: Caller | None = caller_from_token
    ) -> BookingPage | BusyPage:
        """Bookings, the latest start first.

        `?email=` needs proof: an admin's or reader's token, or the own one of the customer with this very address, from
        `POST /access-links/redeem`. `?expertId=` shows everything to that expert's and an admin's token, and to
        everybody else only startsAt, endsAt and status of what keeps time busy.
        """
        return await services.bookings.find(query, caller)

    @router.get("/{booking}", responses=_ON_GET)
    async def get_booking(booking: Reference, caller: Caller | None = caller_from_token) -> BookingView:
        """One booking, for its customer and those entitled; for everybody else there is none.

        A 401 means the token is not valid.
        """
        return await services.bookings.get(_id(booking), caller)

    @router.patch("/{booking}/status", responses=_ON_CHANGE)
    async def change_status(
        booking: Reference, request: StatusRequest, caller: Caller | None = caller_from_token
    ) -> BookingView:
        """Confirm, complete, cancel, decline … a booking, as an admin or as its expert. The reason is for its history.

        Its customer can cancel it, within its terms, with its own `accessToken` or a customer's token.

        pending → confirmed, declined, cancelled; confirmed → cancelled, and after the session's end completed, no_show.
        Requests that nobody answers in time become expired by themselves.
        """
        return await services.bookings.change_status(_id(booking), request.status, caller, reason=request.reason)

    moved = Body(
        openapi_examples={"booking": {"value": {"startsAt": _LATER["startsAt"], "reason": "The train is late."}}}
    )

    @router.patch("/{booking}", responses=_ON_RESCHEDULE)
    async def reschedule(
        booking: Reference, request: Annotated[RescheduleRequest, moved], caller: Caller | None = caller_from_token
    ) -> BookingView:
        """Move a booking to another free time, as an admin, as its expert, or as its customer within its terms.

        When refused, it keeps its old time.
        """
        return await services.bookings.reschedule(_id(booking), request.starts_at, caller, reason=request.reason)

    @router.post("/{booking}/access-token/revoke", status_code=204, responses=_ON_END_LINKS)
    async def revoke_access_token(booking: Reference, caller: Caller | None = caller_from_token) -> Response:
        """End every `accessToken` of a booking and every link to it in emails. Its customer is emailed a new link.

        For its customer, its expert and admins, when a link or token was shared by mistake. A token that is used for
        this ends, too; the customer's token of `POST /access-links/redeem` goes on working.
        """
        await services.bookings.end_links(_id(booking), caller)
        return Response(status_code=204)

    @router.get("/{booking}/changes", responses=_ON_HISTORY)
    async def list_changes(booking: Reference, caller: Caller | None = caller_from_token) -> BookingHistory:
        """All that has happened to a booking, for those who run its calendar. Nothing of it is ever changed."""
        return await services.bookings.history(_id(booking), caller)

    return router


Reference = Annotated[str, Path(description="The booking's id.", examples=[_ID])]


def _id(reference: str) -> UUID:
    try:
        return UUID(reference)
    except ValueError as error:
        raise BookingNotFound from error
