"""REST endpoints with which hosts send the email of a booking again and get the customer's link."""

from typing import Any, Final

from fastapi import APIRouter, Response

from expert_booking.api.error_docs import (
    FORBIDDEN,
    NO_BOOKING,
    NO_PROOF,
    error_responses,
    example_response,
    refused,
)
from expert_booking.api.path_ids import BookingReference, parse_id
from expert_booking.domain.errors import BookingNotFound, EmailNotPossible, NoManageLink, TooManyEmailsAgain
from expert_booking.schemas import Caller, ManageLink
from expert_booking.services import Services

_HOST_ERRORS: Final = (NO_PROOF, FORBIDDEN, NO_BOOKING)
_LINK: Final = {"url": "https://book.example.com/booking/c1c2f4a4-9a0e-4b6b-8a7c-3b9f2f1f7d10?key=wcL0pJoOS2uKfDuf…"}


def add_host_bookings(router: APIRouter, services: Services, caller_from_token: Any) -> None:
    """Add the endpoints to the router of bookings."""

    @router.post(
        "/{booking}/emails",
        status_code=204,
        summary="Send the latest email again",
        responses={
            204: {"description": "The email is being sent."},
            **error_responses(*_HOST_ERRORS, refused(EmailNotPossible), refused(TooManyEmailsAgain)),
        },
    )
    async def send_again(booking: BookingReference, caller: Caller | None = caller_from_token) -> Response:
        """Send the customer the latest email about a booking once more, as its expert or an admin.

        If the booking has changed without an email since, the email says how it is now. At most three times an hour for
        each booking.
        """
        await services.booking_emails.send_again(parse_id(booking, BookingNotFound), caller)
        return Response(status_code=204)

    @router.get(
        "/{booking}/manage-link",
        summary="Read the customer's link",
        responses={
            **example_response(200, "The link.", _LINK),
            **error_responses(*_HOST_ERRORS, refused(NoManageLink)),
        },
    )
    async def get_manage_link(
        booking: BookingReference, response: Response, caller: Caller | None = caller_from_token
    ) -> ManageLink:
        """Return the link with which the customer manages a booking, to its expert and admins.

        Anyone with the link can cancel or reschedule the booking. Reading it revokes no other link.
        """
        url = await services.booking_emails.manage_link(parse_id(booking, BookingNotFound), caller)
        response.headers["Cache-Control"] = "no-store"
        return ManageLink(url=url)
