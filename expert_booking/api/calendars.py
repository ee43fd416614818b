"""REST endpoints below `/experts` that manage a calendar, for its expert and admins."""

from enum import Enum
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Header, Query, Response
from fastapi.routing import APIRoute

from expert_booking.api.blocks import add_blocks
from expert_booking.api.calendar_rules import add_calendar_rules
from expert_booking.api.callers import caller_dependency
from expert_booking.api.error_docs import (
    FORBIDDEN,
    HOST_ERRORS,
    INVALID,
    NO_PROOF,
    NO_SESSION_TYPE,
    TOO_LARGE,
    body_example,
    created_response,
    error_responses,
    example_response,
    refused,
)
from expert_booking.api.etags import entity_tags
from expert_booking.api.hours import WINDOWS, add_hours
from expert_booking.api.path_ids import ExpertReference
from expert_booking.api.profiles import PHOTO, add_profiles
from expert_booking.api.session_types import NEW_SESSION_TYPE, SESSION_TYPE, add_session_types
from expert_booking.domain.errors import ProfileChanged, SlugTaken, TooManyAccessRequests
from expert_booking.schemas import Caller, ExpertChange, ExpertRecord, ExplainQuery, Explanation, NewExpert
from expert_booking.services import Services
from expert_booking.services.calendars import CalendarKey
from expert_booking.services.permissions import check_admin

_ID: Final = "7d9f1f0e-5c0b-4f5e-9a57-0c1d2e3f4a5b"
_FACTS: Final = {
    "name": "Jana Müller", "category": "Career coaching", "headline": "Calm, practical help with your next step",
    "bio": "I spent ten years in human resources before I began to coach.", "experience": 12,
    "languages": ["de", "en"], "timeZone": "Europe/Berlin", "country": "DE", "region": "BY", "closedOnHolidays": True,
    "listed": True, "wantedEmails": ["bookings", "changes", "reminders"], "email": "jana@example.com",
}  # fmt: skip
_NEW_EXPERT: Final = {**_FACTS, "slug": "jana-muller", "sessionTypes": [NEW_SESSION_TYPE], "windows": WINDOWS}
_RECORD: Final = {
    "id": _ID, "slug": "jana-muller", **_FACTS, "rating": 4.9, "ratingCount": 213, "active": True,
    "pendingEmail": "jana@office.example.com", "photo": PHOTO,
    "nextAvailable": "2026-11-24T09:00:00Z", "sessionTypes": [SESSION_TYPE],
}  # fmt: skip
_EXPLANATION: Final = {
    "at": "2026-12-24T09:00:00Z", "expertId": _ID, "sessionTypeId": SESSION_TYPE["id"], "timeZone": "Europe/Berlin",
    "localTime": "2026-12-24T10:00:00+01:00", "offered": False, "reason": "day_off",
    "message": "The expert takes no bookings on this day.",
    "obstacles": [
        {"reason": "day_off", "message": "The expert takes no bookings on this day.",
         "figures": {"firstDay": "2026-12-24", "lastDay": "2027-01-03"}, "note": "Skiing"},
    ],
}  # fmt: skip

_TAGS: Final[list[str | Enum]] = ["experts"]

_SLUG_TAKEN: Final = refused(SlugTaken)
_TOO_MANY_EMAILS: Final = refused(TooManyAccessRequests, "The email address was changed 5 times within an hour.")

IfMatch = Annotated[str | None, Header(description="The ETag of the expert you read: 412 if the profile has changed.")]


def endpoints(services: Services, routes: type[APIRoute]) -> APIRouter:
    """Create the router for the part of `/experts` that manages calendars."""
    router = APIRouter(prefix="/experts", route_class=routes)
    caller_from_token = Depends(caller_dependency(services))

    async def key_from_token(expert: ExpertReference, caller: Caller | None = caller_from_token) -> CalendarKey:
        return await services.calendars.key(expert, caller)

    async def admin_from_token(caller: Caller | None = caller_from_token) -> Caller | None:
        # The service checks this again.
        check_admin(caller)
        return caller

    # Dependencies run before the body is validated: callers without permission get no validation errors.
    key, admin = Depends(key_from_token), Depends(admin_from_token)
    _add_experts(router, services, key, admin)
    add_session_types(router, services, key, caller_from_token)
    add_hours(router, services, key)
    add_blocks(router, services, key, caller_from_token)
    add_profiles(router, services, key)
    add_calendar_rules(router, services, key)

    @router.get(
        "/{expert}/slots/explain",
        tags=_TAGS,
        summary="Explain why a time is or is not available",
        responses={
            **example_response(200, "The explanation.", _EXPLANATION),
            **error_responses(*HOST_ERRORS, NO_SESSION_TYPE, INVALID),
        },
    )
    async def explain(query: Annotated[ExplainQuery, Query()], key: CalendarKey = key) -> Explanation:
        """Return whether a session can start at an instant, and if not, every reason against it.

        The most important reason comes first. A past instant is checked against the current rules.
        """
        return await services.calendars.explain(key, query)

    return router


def _add_experts(router: APIRouter, services: Services, key: Any, admin: Any) -> None:
    @router.post(
        "",
        status_code=201,
        tags=_TAGS,
        summary="Add an expert",
        responses={
            **created_response("The new expert.", _RECORD),
            **error_responses(NO_PROOF, FORBIDDEN, _SLUG_TAKEN, TOO_LARGE, INVALID),
        },
    )
    async def add_expert(
        request: Annotated[NewExpert, body_example(_NEW_EXPERT)], response: Response, caller: Caller | None = admin
    ) -> ExpertRecord:
        """Add an expert with session types and weekly hours. Only admins can do this."""
        expert = await services.calendars.add_expert(request, caller)
        response.headers["Location"] = f"/experts/{expert.id}"
        return expert

    @router.patch(
        "/{expert}",
        tags=_TAGS,
        summary="Change an expert",
        responses={
            **example_response(200, "The changed expert.", _RECORD, headers={"ETag": "Changes with the profile."}),
            **error_responses(*HOST_ERRORS, _SLUG_TAKEN, refused(ProfileChanged), TOO_LARGE, INVALID, _TOO_MANY_EMAILS),
        },
    )
    async def change_expert(
        request: Annotated[ExpertChange, body_example({"headline": "A new start", "experience": 13})],
        response: Response,
        if_match: IfMatch = None,
        key: CalendarKey = key,
    ) -> ExpertRecord:
        """Change the fields that are sent, and leave the others as they are.

        Send the ETag of the expert you read as `If-Match` to avoid overwriting a change that you have not read. An old
        `slug` keeps leading to this expert. An expert that is not `listed` is in no search but can be booked by link.

        A new time zone shifts future slots but no bookings. A new `email` is shown as `pendingEmail` until the link
        sent to it is used; until then the old address stays in use. Only admins can change `active`.
        """
        versions = None if if_match is None else entity_tags(if_match)
        changed = await services.calendars.change_expert(key, request, versions)
        response.headers["ETag"] = f'"{changed.version}"'
        return changed
