"""REST endpoints below `/holds`: hold a slot while the customer fills in the booking form."""

from typing import Annotated, Final

from fastapi import APIRouter, Body, Path, Request, Response
from fastapi.routing import APIRoute

from expert_booking.api.callers import client_network_hash
from expert_booking.api.error_docs import (
    INVALID,
    NO_EXPERT,
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
from expert_booking.domain.errors import HoldNotFound, TooManyHolds, TooManyHoldsPerMinute
from expert_booking.schemas import HoldRequest, HoldView
from expert_booking.services import Services

_ID: Final = "0d6f2c1b-8e37-4c5a-b1f4-52a7c9e0d318"
_EXPERT_ID: Final = "7d9f1f0e-5c0b-4f5e-9a57-0c1d2e3f4a5b"
_REQUEST: Final = {"expertId": _EXPERT_ID, "startsAt": "2026-11-24T09:00:00Z"}
_HOLD: Final = {
    "id": _ID, **_REQUEST, "sessionTypeId": "0b6f3a52-1d8e-4f0a-8a44-6c2b9d7e1f30", "endsAt": "2026-11-24T10:00:00Z",
    "holdUntil": "2026-11-22T12:05:00Z",
}  # fmt: skip

Reference = Annotated[str, Path(description="The id of the hold.", examples=[_ID])]

_ON_HOLD: Final[Responses] = {
    **example_response(201, "The hold.", headers={"Location": "The URL of the hold."}, hold=_HOLD),
    **error_responses(
        NO_EXPERT,
        NO_SESSION_TYPE,
        SLOT_TAKEN,
        TOO_LARGE,
        SLOT_NOT_OFFERED,
        INVALID,
        refused(TooManyHolds),
        refused(TooManyHoldsPerMinute),
    ),
}


def endpoints(services: Services, routes: type[APIRoute], secret: str) -> APIRouter:
    """Create the router for `/holds`. `secret` keys the hashes of client networks."""
    router = APIRouter(prefix="/holds", tags=["holds"], route_class=routes)
    hold_request = Body(openapi_examples={"hold": {"value": _REQUEST}})

    @router.post("", status_code=201, summary="Hold a slot", responses=_ON_HOLD)
    async def take_hold(body: Annotated[HoldRequest, hold_request], request: Request, response: Response) -> HoldView:
        """Hold a slot until `holdUntil`. Send its id as `holdId` to `POST /bookings` to book the slot.

        Keep the id private: anyone with it can use or release the hold. A hold lasts 5 minutes unless the site is
        configured otherwise, and cannot be renewed. The number of holds from one network is limited, both at the same
        time and per minute. Expired and released holds count towards the limit per minute.
        """
        hold = await services.holds.take(body, origin=client_network_hash(request, secret))
        response.headers["Location"] = f"/holds/{hold.id}"
        return hold

    @router.delete(
        "/{hold}",
        status_code=204,
        summary="Release a hold",
        response_description="The hold is released.",
        responses=error_responses(refused(HoldNotFound)),
    )
    async def release_hold(hold: Reference) -> None:
        """Release a hold. The slot is available to others immediately. This does not cancel a booking."""
        await services.holds.release(parse_id(hold, HoldNotFound))

    return router
