"""REST endpoints below `/bookings`."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Body, Depends, Path, Query, Request, Response
from fastapi.routing import APIRoute

from expert_booking.api.callers import (
    TOKEN_IS_OPTIONAL,
    bearer_token,
    caller_dependency,
    caller_if_any,
    client_network_hash,
)
from expert_booking.api.error_docs import (
    CODE_WRONG,
    FORBIDDEN,
    INVALID,
    NO_BOOKING,
    NO_EXPERT,
    NO_PROOF,
    NO_SESSION_TYPE,
    SLOT_NOT_OFFERED,
    SLOT_TAKEN,
    TOO_LARGE,
    Responses,
    error_responses,
    example_response,
    refused,
)
from expert_booking.api.path_ids import parse_id
from expert_booking.domain.errors import (
    BookingLimitReached,
    BookingNotFound,
    CancelTooLate,
    LocationChangeNotAllowed,
    NoReschedulesLeft,
    RescheduleNotAllowed,
    RescheduleTooLate,
    StatusChangeNotAllowed,
    TooManyBookings,
    TooManyChanges,
    TooManyNewLinks,
    TooManyVerificationEmails,
    VerificationTooLate,
    WrongCodesUsedUp,
)
from expert_booking.schemas import (
    BookingHistory,
    BookingPage,
    BookingQuery,
    BookingRequest,
    BookingView,
    BusyPage,
    Caller,
    NewBookingView,
    RescheduleRequest,
    StatusRequest,
    VerifyRequest,
)
from expert_booking.services import Services

_ID = "c1c2f4a4-9a0e-4b6b-8a7c-3b9f2f1f7d10"
_REQUEST: Final = {
    "expertId": "7d9f1f0e-5c0b-4f5e-9a57-0c1d2e3f4a5b", "startsAt": "2026-11-24T09:00:00Z", "name": "Ada Lovelace",
    "email": "ada@example.com", "phone": "+44 20 7946 0000", "notes": "My first session.",
    "timeZone": "Europe/London", "location": {"id": "video"}, "answers": {"goal": "A new job."},
}  # fmt: skip
_HELD: Final = {**_REQUEST, "holdId": "0d6f2c1b-8e37-4c5a-b1f4-52a7c9e0d318"}
_BUSY: Final = {"startsAt": "2026-11-24T09:00:00Z", "endsAt": "2026-11-24T10:00:00Z", "status": "pending"}
_BOOKING: Final = {
    **_BUSY, **_REQUEST, "phone": "+442079460000", "id": _ID, "expertSlug": "jana-muller", "expertName": "Jana Müller",
    "expertTimeZone": "Europe/Berlin",
    "sessionTypeId": "0b6f3a52-1d8e-4f0a-8a44-6c2b9d7e1f30", "sessionTitle": "Career consultation",
    "answerBy": "2026-11-24T09:00:00Z", "verifyBy": None, "awaitsVerification": False,
    "cancelUntil": "2026-11-23T09:00:00Z",
    "rescheduleUntil": "2026-11-24T08:00:00Z",
    "reschedulesLeft": 2, "price": {"amount": 4500, "currency": "EUR"},
    "paymentNote": "Please pay by bank transfer after the session.",
    "location": {"kind": "video", "text": "", "id": "video"},
    "answers": [{"id": "goal", "kind": "long_text", "question": "What would you like to achieve?",
                 "value": "A new job.", "sensitive": False}],
    "createdAt": "2026-11-22T12:00:00Z", "updatedAt": "2026-11-22T12:00:00Z", "version": 1,
    "wantedEmails": "all", "mail": "sent",
}  # fmt: skip
_UNVERIFIED: Final = {
    **_BOOKING, "answerBy": None, "verifyBy": "2026-11-22T12:30:00Z", "awaitsVerification": True, "mail": "waiting",
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


def _page(*bookings: dict[str, Any]) -> dict[str, Any]:
    return {"bookings": bookings, "total": len(bookings), "page": 1, "limit": 20}


_CONFIRMED: Final = {**_BOOKING, "status": "confirmed", "answerBy": None, "version": 2}
_LATER: Final = {"startsAt": "2026-11-24T11:00:00Z", "endsAt": "2026-11-24T12:00:00Z"}
_LIMIT_REACHED: Final = str(BookingLimitReached(with_expert=True, limit=3, current=3))
_ON_BOOK: Final[Responses] = {
    **example_response(
        201,
        "The new booking. Its `accessToken` gives access to this booking only.",
        headers={"Location": "The URL of the booking."},
        booking=_NEW,
        unconfirmed={**_UNVERIFIED, "accessToken": _NEW["accessToken"]},
    ),
    **error_responses(
        NO_EXPERT,
        NO_SESSION_TYPE,
        SLOT_TAKEN,
        refused(BookingLimitReached, _LIMIT_REACHED),
        TOO_LARGE,
        SLOT_NOT_OFFERED,
        INVALID,
        refused(TooManyBookings),
    ),
}
_ON_LIST: Final[Responses] = {
    **example_response(
        200,
        "With a token: full bookings. By expert without a token: times and status only.",
        all=_page(_BOOKING),
        times=_page(_BUSY),
    ),
    **error_responses(NO_PROOF, NO_EXPERT, INVALID),
}
_ON_GET: Final[Responses] = {
    **example_response(200, "The booking.", booking=_BOOKING),
    **error_responses(NO_PROOF, NO_BOOKING),
}
_ON_CHANGE: Final[Responses] = {
    **example_response(200, "The changed booking.", booking=_CONFIRMED),
    **error_responses(
        NO_PROOF,
        FORBIDDEN,
        NO_BOOKING,
        refused(StatusChangeNotAllowed),
        refused(CancelTooLate),
        TOO_LARGE,
        INVALID,
        refused(TooManyChanges),
    ),
}
_ON_RESCHEDULE: Final[Responses] = {
    **example_response(200, "The booking at its new time.", booking={**_BOOKING, **_LATER, "version": 2}),
    **error_responses(
        NO_PROOF,
        FORBIDDEN,
        NO_BOOKING,
        SLOT_TAKEN,
        refused(RescheduleNotAllowed),
        refused(LocationChangeNotAllowed),
        refused(RescheduleTooLate),
        refused(NoReschedulesLeft),
        TOO_LARGE,
        SLOT_NOT_OFFERED,
        INVALID,
        refused(TooManyChanges),
    ),
}
_ON_REVOKE: Final[Responses] = {
    204: {"description": "All earlier links and tokens of this booking are revoked."},
    **error_responses(NO_PROOF, FORBIDDEN, NO_BOOKING, refused(TooManyNewLinks)),
}
_ON_VERIFY: Final[Responses] = {
    **example_response(200, "The booking, now with the status that its session type gives it.", booking=_BOOKING),
    **error_responses(
        NO_PROOF,
        FORBIDDEN,
        NO_BOOKING,
        refused(WrongCodesUsedUp),
        refused(VerificationTooLate),
        TOO_LARGE,
        CODE_WRONG,
        INVALID,
    ),
}
_ON_SEND_AGAIN: Final[Responses] = {
    204: {"description": "The email is being sent again, or the address is confirmed already."},
    **error_responses(
        NO_PROOF, FORBIDDEN, NO_BOOKING, refused(VerificationTooLate), refused(TooManyVerificationEmails)
    ),
}
_ON_HISTORY: Final[Responses] = {
    **example_response(200, "The changes, oldest first.", changes=_CHANGES),
    **error_responses(NO_PROOF, FORBIDDEN, NO_BOOKING),
}

Reference = Annotated[str, Path(description="The id of the booking.", examples=[_ID])]


def endpoints(
    services: Services, routes: type[APIRoute], request_model: type[BookingRequest], secret: str
) -> APIRouter:
    """Create the router for `/bookings`. The settings decide which model requests have.

    `secret` keys the hashes of client networks.
    """
    router = APIRouter(prefix="/bookings", tags=["bookings"], route_class=routes)
    caller_from_token = Depends(caller_dependency(services))
    booking_request = Body(openapi_examples={"booking": {"value": _REQUEST}, "held": {"value": _HELD}})

    async def book(request: BookingRequest, http_request: Request) -> Response:
        """Book a slot, and return the booking with its `accessToken`.

        Of several requests for the same time exactly one succeeds; the others get a 409 with the nearest free times.
        Send the `holdId` of a hold to book the time it reserves. If the hold has expired, the time is booked if it is
        still free. With the `accessToken` the customer can read, reschedule and cancel this booking.

        If the session type asks for it (`emailVerification`), the booking has `awaitsVerification: true`: its time is
        taken, but the expert is told only once the customer has confirmed the email address. That is possible until
        `verifyBy`, with the link in an email, or with its code and `POST /bookings/{booking}/verify`. Requests with the
        token of the expert, of an admin, or of the customer with this address need no confirmation.

        If the session type asks questions, send `answers` by their `id`. Wrong or missing ones are `answers.<id>` in
        the `errors` of a 422. The expert's and admins' tokens need not answer.

        No token is needed. The bookings of a network in an hour are limited, except for an address whose customer's
        token is sent, and so are the upcoming bookings of an address. Tokens of experts and admins have no limits.
        """
        origin, caller = client_network_hash(http_request, secret), await caller_if_any(services, http_request)
        booking = await services.bookings.book(request, origin=origin, caller=caller)
        created = NewBookingView.model_construct(**dict(booking), access_token=services.tokens.for_booking(booking.id))
        # Serialized here, because FastAPI would validate the view once more.
        headers = {"Location": f"/bookings/{booking.id}"}
        return Response(created.model_dump_json(by_alias=True), 201, headers, "application/json")

    # A setting decides whether the phone number is required, and the documentation follows it.
    book.__annotations__["request"] = Annotated[request_model, booking_request]
    router.post(
        "",
        status_code=201,
        summary="Book a slot",
        response_model=NewBookingView,
        responses=_ON_BOOK,
        openapi_extra={"security": [{}, {bearer_token.scheme_name: []}]},  # a token is optional
    )(book)

    @router.get("", summary="List bookings", responses=_ON_LIST, openapi_extra=TOKEN_IS_OPTIONAL)
    async def list_bookings(
        query: Annotated[BookingQuery, Query()], caller: Caller | None = caller_from_token
    ) -> BookingPage | BusyPage:
        """List bookings, latest start first.

        `?email=` needs the token of an admin or a reader, or the token that the customer with this address received
        from `POST /access-links/redeem`. `?expertId=` returns full bookings to this expert and to admins; the
        expert does not see those that wait for the confirmation of the email address. For all others it returns only
        `startsAt`, `endsAt` and `status` of the bookings that keep time busy.
        """
        return await services.bookings.find(query, caller)

    @router.get("/{booking}", summary="Read a booking", responses=_ON_GET)
    async def get_booking(booking: Reference, caller: Caller | None = caller_from_token) -> BookingView:
        """Return a booking to its customer, its expert, admins and readers. All others get a 404.

        A 401 means that the token is not valid.
        """
        return await services.bookings.get(parse_id(booking, BookingNotFound), caller)

    @router.patch("/{booking}/status", summary="Change the status of a booking", responses=_ON_CHANGE)
    async def change_status(
        booking: Reference,
        request: StatusRequest,
        http_request: Request,
        caller: Caller | None = caller_from_token,
    ) -> BookingView:
        """Confirm, decline, cancel or complete a booking, or mark it as a no-show. The reason is kept in its history.

        The expert and admins may make every allowed change. The customer may cancel, within the terms of the booking,
        with its `accessToken` or a customer's token. Changes by customers are limited per hour, for each booking and
        each network, except with a customer's token.

        Allowed: pending → confirmed, declined, cancelled; confirmed → cancelled until the end of the session, and
        after it completed, no_show. A pending booking expires automatically if the expert does not answer in time.
        While it waits for the confirmation of the email address, it can only be cancelled.
        """
        return await services.bookings.change_status(
            parse_id(booking, BookingNotFound),
            request.status,
            caller,
            reason=request.reason,
            origin=client_network_hash(http_request, secret),
        )

    reschedule_request = Body(
        openapi_examples={
            "booking": {"value": {"startsAt": _LATER["startsAt"], "reason": "The train is late."}},
            "location": {"value": {"location": {"kind": "address", "text": "1 High Street, London"}}},
        }
    )

    @router.patch("/{booking}", summary="Reschedule a booking, or change its location", responses=_ON_RESCHEDULE)
    async def reschedule(
        booking: Reference,
        request: Annotated[RescheduleRequest, reschedule_request],
        http_request: Request,
        caller: Caller | None = caller_from_token,
    ) -> BookingView:
        """Reschedule a booking to another free time.

        The expert and admins may always do this, the customer within the terms of the booking; no one can while the
        booking waits for the confirmation of the email address. If the request is refused, the booking keeps its time.
        The customer's changes are limited per hour.

        With `location` instead of `startsAt`, the expert and admins change where it takes place, until the session is
        over. The customer gets an email with a new calendar file.
        """
        if request.location is not None:
            return await services.bookings.relocate(parse_id(booking, BookingNotFound), request.location, caller)
        assert request.starts_at is not None
        return await services.bookings.reschedule(
            parse_id(booking, BookingNotFound),
            request.starts_at,
            caller,
            reason=request.reason,
            origin=client_network_hash(http_request, secret),
        )

    @router.post(
        "/{booking}/access-token/revoke",
        status_code=204,
        summary="Revoke the access tokens of a booking",
        responses=_ON_REVOKE,
    )
    async def revoke_access_token(booking: Reference, caller: Caller | None = caller_from_token) -> Response:
        """Revoke every `accessToken` of a booking and every link to it in emails, and email the customer a new link.

        The customer, the expert and admins can use this when a link or token was shared by mistake. An `accessToken`
        that authorizes this request is revoked too. Tokens from `POST /access-links/redeem` stay valid.
        """
        await services.bookings.end_links(parse_id(booking, BookingNotFound), caller)
        return Response(status_code=204)

    verify_request = Body(openapi_examples={"code": {"value": {"code": "123456"}}})

    @router.post("/{booking}/verify", summary="Confirm the email address of a booking", responses=_ON_VERIFY)
    async def verify(
        booking: Reference,
        request: Annotated[VerifyRequest, verify_request],
        caller: Caller | None = caller_from_token,
    ) -> BookingView:
        """Confirm the customer's email address with the six-digit code that was sent to it.

        Needs the booking's `accessToken` or the customer's token: with the code alone, anyone who knows the id could
        use up the attempts. After five wrong codes the booking expires, and its time is available again. If the
        address is confirmed already, or need not be, the booking is returned as it is.
        """
        return await services.verification.verify(parse_id(booking, BookingNotFound), request.code, caller)

    @router.post(
        "/{booking}/verification-email",
        status_code=204,
        summary="Send the email with the code again",
        responses=_ON_SEND_AGAIN,
    )
    async def send_verification_email(booking: Reference, caller: Caller | None = caller_from_token) -> Response:
        """Send the email that asks the customer to confirm the address again, with the same code, up to three times."""
        await services.verification.send_again(parse_id(booking, BookingNotFound), caller)
        return Response(status_code=204)

    @router.get("/{booking}/changes", summary="List the changes of a booking", responses=_ON_HISTORY)
    async def list_changes(booking: Reference, caller: Caller | None = caller_from_token) -> BookingHistory:
        """Return the history of a booking, oldest change first, to its expert and admins. Entries never change."""
        return await services.bookings.history(parse_id(booking, BookingNotFound), caller)

    return router
