"""REST endpoints below `/bookings`."""

from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Request, Response
from fastapi.routing import APIRoute

from expert_booking.api.booking_body import booking_body, sender_dependency
from expert_booking.api.booking_docs import (
    BY_HAND,
    HELD,
    LATER,
    ON_BOOK,
    ON_CHANGE,
    ON_GET,
    ON_HISTORY,
    ON_RESCHEDULE,
    ON_REVOKE,
    ON_SEND_AGAIN,
    ON_VERIFY,
    REQUEST,
)
from expert_booking.api.callers import (
    bearer_token,
    caller_dependency,
    client_network_hash,
)
from expert_booking.api.host_bookings import add_host_bookings
from expert_booking.api.path_ids import BookingReference, parse_id
from expert_booking.domain.errors import BookingNotFound
from expert_booking.schemas import (
    BookingHistory,
    BookingRequest,
    BookingView,
    Caller,
    HostBookingRequest,
    NewBookingView,
    RescheduleRequest,
    StatusRequest,
    VerifyRequest,
)
from expert_booking.services import Services


def endpoints(
    services: Services,
    routes: type[APIRoute],
    request_model: type[BookingRequest],
    host_request_model: type[HostBookingRequest],
    secret: str,
) -> APIRouter:
    """Create the router for `/bookings`. The settings decide which models requests have.

    `secret` keys the hashes of client networks.
    """
    router = APIRouter(prefix="/bookings", tags=["bookings"], route_class=routes)
    caller_from_token = Depends(caller_dependency(services))
    booking_request = Body(
        openapi_examples={"booking": {"value": REQUEST}, "held": {"value": HELD}, "byHand": {"value": BY_HAND}}
    )
    sender = Depends(sender_dependency(services))

    async def book(request: BookingRequest, http_request: Request, caller: Caller | None = sender) -> Response:
        """Book a slot, and return the booking with its `accessToken`.

        Of several requests for the same time exactly one succeeds; the others get a 409 with the nearest free times.
        Send the `holdId` of a hold to book the time it reserves. If the hold has expired, the time is booked if it is
        still free. With the `accessToken` the customer can read, reschedule and cancel this booking.

        If the session type asks for it (`emailVerification`), the booking has `awaitsVerification: true`: its time is
        taken, but the expert is told only once the customer has confirmed the email address. That is possible until
        `verifyBy`, with the link in an email, or with its code and `POST /bookings/{booking}/verify`. Requests with the
        token of the expert, of an admin, or of the customer with this address need no confirmation.

        A booking with the token of the expert or of an admin is made by hand: it is confirmed, and needs only a name.
        Without an email address no emails are sent, and there is no `accessToken`. A host may set rules of the calendar
        aside with `override`, to the minute, and book without an email with `notify: false`. If a rule stands in the
        way, the 422 lists the `override` that is needed. Overlapping another booking is never possible.

        If the session type asks questions, send `answers` by their `id`. Wrong or missing ones are `answers.<id>` in
        the `errors` of a 422. The expert's and admins' tokens need not answer.

        No token is needed. The bookings of a network in an hour are limited, except for an address whose customer's
        token is sent, and so are the upcoming bookings of an address. Tokens of experts and admins have no limits.
        """
        if isinstance(request, HostBookingRequest):
            booking = await services.bookings.book_by_hand(request, caller)
        else:
            origin = client_network_hash(http_request, secret)
            booking = await services.bookings.book(request, origin=origin, caller=caller)
        token = services.tokens.for_booking(booking.id) if booking.email else None
        created = NewBookingView.model_construct(**dict(booking), access_token=token)
        # Serialized here, because FastAPI would validate the view once more.
        headers = {"Location": f"/bookings/{booking.id}"}
        return Response(created.model_dump_json(by_alias=True), 201, headers, "application/json")

    # A setting decides whether the phone number is required, and the documentation follows it.
    book.__annotations__["request"] = Annotated[booking_body(request_model, host_request_model), booking_request]
    router.post(
        "",
        status_code=201,
        summary="Book a slot",
        response_model=NewBookingView,
        responses=ON_BOOK,
        openapi_extra={"security": [{}, {bearer_token.scheme_name: []}]},  # a token is optional
    )(book)

    @router.get("/{booking}", summary="Read a booking", responses=ON_GET)
    async def get_booking(booking: BookingReference, caller: Caller | None = caller_from_token) -> BookingView:
        """Return a booking to its customer, its expert, admins and readers. All others get a 404.

        A 401 means that the token is not valid.
        """
        return await services.bookings.get(parse_id(booking, BookingNotFound), caller)

    @router.patch("/{booking}/status", summary="Change the status of a booking", responses=ON_CHANGE)
    async def change_status(
        booking: BookingReference,
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

        With `version`, the change is refused if the booking has changed since you read it. With `notify: false`, a host
        changes it without an email.
        """
        return await services.bookings.change_status(
            parse_id(booking, BookingNotFound),
            request.status,
            caller,
            reason=request.reason,
            origin=client_network_hash(http_request, secret),
            version=request.version,
            notify=_if_sent(request, "notify"),
        )

    reschedule_request = Body(
        openapi_examples={
            "booking": {"value": {"startsAt": LATER["startsAt"], "reason": "The train is late."}},
            "location": {"value": {"location": {"kind": "address", "text": "1 High Street, London"}}},
        }
    )

    @router.patch("/{booking}", summary="Reschedule a booking, or change its location", responses=ON_RESCHEDULE)
    async def reschedule(
        booking: BookingReference,
        request: Annotated[RescheduleRequest, reschedule_request],
        http_request: Request,
        caller: Caller | None = caller_from_token,
    ) -> BookingView:
        """Reschedule a booking to another free time.

        The expert and admins may always do this, the customer within the terms of the booking; no one can while the
        booking waits for the confirmation of the email address. If the request is refused, the booking keeps its time.
        The customer's changes are limited per hour.

        With `version`, the change is refused if the booking has changed since you read it. A host may set rules of the
        calendar aside with `override`, to the minute, and reschedule without an email with `notify: false`.

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
            version=request.version,
            override=_if_sent(request, "override"),
            notify=_if_sent(request, "notify"),
        )

    add_host_bookings(router, services, caller_from_token)

    @router.post(
        "/{booking}/access-token/revoke",
        status_code=204,
        summary="Revoke the access tokens of a booking",
        responses=ON_REVOKE,
    )
    async def revoke_access_token(booking: BookingReference, caller: Caller | None = caller_from_token) -> Response:
        """Revoke every `accessToken` of a booking and every link to it in emails, and email the customer a new link.

        The customer, the expert and admins can use this when a link or token was shared by mistake. An `accessToken`
        that authorizes this request is revoked too. Tokens from `POST /access-links/redeem` stay valid.
        """
        await services.bookings.end_links(parse_id(booking, BookingNotFound), caller)
        return Response(status_code=204)

    verify_request = Body(openapi_examples={"code": {"value": {"code": "123456"}}})

    @router.post("/{booking}/verify", summary="Confirm the email address of a booking", responses=ON_VERIFY)
    async def verify(
        booking: BookingReference,
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
        responses=ON_SEND_AGAIN,
    )
    async def send_verification_email(booking: BookingReference, caller: Caller | None = caller_from_token) -> Response:
        """Send the email that asks the customer to confirm the address again, with the same code, up to three times."""
        await services.verification.send_again(parse_id(booking, BookingNotFound), caller)
        return Response(status_code=204)

    @router.get("/{booking}/changes", summary="List the changes of a booking", responses=ON_HISTORY)
    async def list_changes(booking: BookingReference, caller: Caller | None = caller_from_token) -> BookingHistory:
        """Return the history of a booking, oldest change first, to its expert and admins. Entries never change."""
        return await services.bookings.history(parse_id(booking, BookingNotFound), caller)

    return router


def _if_sent(request: StatusRequest | RescheduleRequest, field: str) -> Any:
    """The value of a field; None if it was not sent."""
    return getattr(request, field) if field in request.model_fields_set else None
