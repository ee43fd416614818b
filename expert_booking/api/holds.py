"""REST: holding a time while its customer makes up their mind."""

from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Body, Path, Request, Response
from fastapi.routing import APIRoute

from expert_booking.api.callers import network_of_caller
from expert_booking.api.problems import told
from expert_booking.domain.errors import HoldNotFound
from expert_booking.schemas import HoldRequest, HoldView
from expert_booking.services import Services

_ID: Final = "0d6f2c1b-8e37-4c5a-b1f4-52a7c9e0d318"
_EXPERT_ID: Final = "7d9f1f0e-5c0b-4f5e-9a57-0c1d2e3f4a5b"
_REQUEST: Final = {"expertId": _EXPERT_ID, "startsAt": "2026-11-24T09:00:00Z"}
_HOLD: Final = {
    "id": _ID, **_REQUEST, "sessionTypeId": "0b6f3a52-1d8e-4f0a-8a44-6c2b9d7e1f30", "endsAt": "2026-11-24T10:00:00Z",
    "holdUntil": "2026-11-22T12:05:00Z",
}  # fmt: skip

Answers = dict[int | str, dict[str, Any]]
Reference = Annotated[str, Path(description="The hold's id.", examples=[_ID])]

_ON_HOLD: Final[Answers] = {
    201: {
        "description": "Held.",
        "content": {"application/json": {"examples": {"hold": {"value": _HOLD}}}},
        "headers": {"Location": {"description": "The hold's address.", "schema": {"type": "string"}}},
    },
    **told(
        (404, "expert_not_found", "There is no such expert."),
        (404, "session_type_not_found", "This expert offers no such session."),
        (409, "slot_taken", "Someone else has just booked this time."),
        (413, "body_too_large", "The body is longer than any request can be."),
        (422, "slot_not_offered", "This time is outside the expert's hours."),
        (422, "validation_failed", "Some of this cannot be right; `errors` says what."),
        (429, "too_many_holds", "Too many times are being held from your network at the moment."),
        (429, "too_many_holds_per_minute", "Many times were held from your network in the last minute."),
    ),
}


def endpoints(services: Services, routes: type[APIRoute], secret: str) -> APIRouter:
    """Everything below `/holds`; network addresses are hashed with `secret`."""
    router = APIRouter(prefix="/holds", tags=["holds"], route_class=routes)
    wanted = Body(openapi_examples={"hold": {"value": _REQUEST}})

    @router.post("", status_code=201, responses=_ON_HOLD)
    async def take_hold(wanted: Annotated[HoldRequest, wanted], request: Request, response: Response) -> HoldView:
        """Hold a time until `holdUntil`. Give the hold's id as `holdId` to `POST /bookings`, and the time is yours.

        The id is the only key to a hold: keep it to yourself. A hold lasts as long as the site allows (5 minutes
        unless it says otherwise) and is not renewed. Each hold is one more, up to a number from one network, and one
        network starts only so many holds in a minute, including those that are over by now.
        """
        hold = await services.holds.take(wanted, origin=network_of_caller(request, secret))
        response.headers["Location"] = f"/holds/{hold.id}"
        return hold

    @router.delete("/{hold}", status_code=204, responses=told((404, "hold_not_found", HoldNotFound.__doc__ or "")))
    async def release_hold(hold: Reference) -> None:
        """Let a time go: it is free again for everybody at once. A booking is not let go like this."""
        await services.holds.release(_id(hold))

    return router


def _id(reference: str) -> UUID:
    try:
        return UUID(reference)
    except ValueError as error:
        raise HoldNotFound from error
