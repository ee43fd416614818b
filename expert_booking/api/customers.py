"""REST endpoints below `/customers`: people's own data, for admins."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Query, Response

from expert_booking.api.callers import caller_dependency
from expert_booking.api.error_docs import FORBIDDEN, INVALID, NO_PROOF, error_responses, example_response
from expert_booking.api.unknown_fields import StrictRoute
from expert_booking.domain.lifecycle import Actor
from expert_booking.schemas import Caller, CustomerData, CustomerErased, EraseQuery
from expert_booking.services import Services
from expert_booking.services.permissions import check_admin

_ADDRESS: Final = "ada@example.com"
_ID: Final = "c1c2f4a4-9a0e-4b6b-8a7c-3b9f2f1f7d10"
_MADE_AT: Final = "2026-11-22T12:00:00Z"
_BOOKING: Final[dict[str, Any]] = {
    "id": _ID, "startsAt": "2026-11-24T09:00:00Z", "endsAt": "2026-11-24T10:00:00Z", "status": "confirmed",
    "expertId": "7d9f1f0e-5c0b-4f5e-9a57-0c1d2e3f4a5b", "expertSlug": "jana-muller", "expertName": "Jana Müller",
    "expertTimeZone": "Europe/Berlin", "sessionTypeId": "0b6f3a52-1d8e-4f0a-8a44-6c2b9d7e1f30",
    "sessionTitle": "Career consultation", "name": "Ada Lovelace", "email": _ADDRESS, "phone": "+442079460000",
    "notes": "My first session.", "timeZone": "Europe/London", "answerBy": None, "cancelUntil": "2026-11-23T09:00:00Z",
    "rescheduleUntil": "2026-11-24T08:00:00Z", "reschedulesLeft": 2, "createdAt": _MADE_AT, "updatedAt": _MADE_AT,
    "version": 1, "mail": "sent",
    "history": [{"at": _MADE_AT, "actor": "customer", "fromStatus": None, "toStatus": "confirmed",
                 "fromStartsAt": None, "toStartsAt": "2026-11-24T09:00:00Z", "reason": ""}],
    "emails": [{"kind": "confirmed", "audience": "customer", "state": "sent", "tries": 1, "createdAt": _MADE_AT,
                "sentAt": "2026-11-22T12:00:01Z", "failedAt": None, "error": ""}],
    "identifiers": {"customerKey": _ADDRESS, "visitor": "9f86d081884c7d65…"},
}  # fmt: skip
_DATA: Final = {
    "email": _ADDRESS, "exportedAt": "2026-11-23T08:00:00Z", "bookings": [_BOOKING], "holds": [],
    "calendarFeeds": [{"createdAt": _MADE_AT}],
    "proofs": [{"kind": "browser", "email": _ADDRESS, "createdAt": _MADE_AT, "expiresAt": "2026-12-22T12:00:00Z"}],
    "accessRequests": [], "storedResponses": [], "mailbox": [], "other": {},
}  # fmt: skip
_ERASED: Final = {"erased": 3, "cancelled": 1, "kept": 0}
_ERRORS: Final = error_responses(NO_PROOF, FORBIDDEN, INVALID)

# A local part may contain a slash.
CustomerEmail = Annotated[
    str, Path(description="The customer's email address.", examples=[_ADDRESS], json_schema_extra={"format": "email"})
]


def endpoints(services: Services) -> APIRouter:
    """Create the router for `/customers`."""
    router = APIRouter(prefix="/customers", tags=["customers"], route_class=StrictRoute)

    caller_from_token = Depends(caller_dependency(services))

    async def admin_from_token(caller: Caller | None = caller_from_token) -> Caller:
        # Before the address is looked at: other callers get the same answer for every address.
        check_admin(caller)
        assert caller is not None
        return caller

    admin_only = Depends(admin_from_token)

    @router.get(
        "/{email:path}",
        summary="Export a customer's data",
        dependencies=[admin_only],
        responses={**example_response(200, "The customer's data.", _DATA), **_ERRORS},
    )
    async def export_customer(email: CustomerEmail, response: Response) -> CustomerData:
        """Return everything that is stored about an email address, for its owner (articles 15 and 20 of the GDPR).

        For an address about which nothing is stored, the lists are empty. Experts and admins are not customers: their
        own data is in `/experts`.
        """
        response.headers["Cache-Control"] = "no-store"
        return await services.customers.data(email)

    @router.delete(
        "/{email:path}",
        summary="Erase a customer's data",
        responses={
            **example_response(200, "The data is erased. All numbers are zero if there was none.", _ERASED),
            **_ERRORS,
        },
    )
    async def erase_customer(
        email: CustomerEmail, query: Annotated[EraseQuery, Query()], caller: Caller = admin_only
    ) -> CustomerErased:
        """Erase the data of the customer with this email address (article 17 of the GDPR). Safe to repeat.

        Bookings keep their time, status and history without the person: `name` and `email` become null. Upcoming
        bookings are cancelled first, whatever their terms say, and their experts get an email. With `keepUpcoming=true`
        they stay as they are until they are over, and are erased then. Sign-ins, calendar feeds, holds, emails and
        stored responses of the address are deleted.
        """
        return await services.customers.erase(
            email, by=Actor.ADMIN, token_id=caller.token_id, keep_upcoming=query.keep_upcoming
        )

    return router
