"""REST: running a calendar, as an admin or as its expert."""

import re
from collections.abc import Mapping
from enum import Enum
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Body, Depends, Header, Path, Query, Response
from fastapi.routing import APIRoute

from expert_booking.api.callers import caller_of
from expert_booking.api.problems import told
from expert_booking.domain.errors import DaysOffNotFound, NotFound, SessionTypeNotFound, TooManyAccessRequests
from expert_booking.schemas import (
    Caller,
    Day,
    DaysOffList,
    DaysOffQuery,
    DaysOffRequest,
    DaysOffView,
    ExpertChange,
    ExpertRecord,
    ExplainQuery,
    Explanation,
    NewExpert,
    NewSessionType,
    OverrideList,
    OverrideQuery,
    OverrideRequest,
    OverrideView,
    PlacedSessionType,
    SessionTypeChange,
    SessionTypeList,
    WeeklyPlan,
)
from expert_booking.services import Services
from expert_booking.services.calendars import CalendarKey
from expert_booking.services.permissions import check_admin

_ID: Final = "7d9f1f0e-5c0b-4f5e-9a57-0c1d2e3f4a5b"
_TYPE_ID: Final = "0b6f3a52-1d8e-4f0a-8a44-6c2b9d7e1f30"
_OFF_ID: Final = "5d0c6c1e-3d0a-4b52-9a76-1f6f0a4f6a11"
_VERSION: Final = '"9b2f3c4d5e6f708192a3b4c5d6e7f809"'

_NEW_TYPE: Final = {
    "title": "Career consultation", "description": "An hour for one question.", "minutes": 60, "stepMinutes": 30,
    "beforeMinutes": 0, "afterMinutes": 15, "noticeMinutes": 120, "horizonDays": 60, "dailyCap": 4,
    "confirmation": "by_expert", "answerMinutes": 1440, "cancelNoticeMinutes": 1440, "rescheduleNoticeMinutes": 60,
    "maxReschedules": 2, "active": True,
}  # fmt: skip
_WINDOWS: Final = [
    {"weekday": 1, "opens": "09:00", "closes": "12:00", "validFrom": None, "validUntil": None},
    {"weekday": 5, "opens": "22:00", "closes": "02:00", "validFrom": "2026-06-01", "validUntil": "2026-08-31"},
]
_PLAN: Final = {"timeZone": "Europe/Berlin", "windows": _WINDOWS}
_FACTS: Final = {
    "name": "Jana Müller", "category": "Career coaching", "headline": "Calm, practical help with your next step",
    "bio": "I spent ten years in human resources before I began to coach.", "experience": 12,
    "languages": ["de", "en"], "timeZone": "Europe/Berlin", "country": "DE", "region": "BY", "closedOnHolidays": True,
    "email": "jana@example.com",
}  # fmt: skip
_NEW_EXPERT: Final = {**_FACTS, "slug": "jana-muller", "sessionTypes": [_NEW_TYPE], "windows": _WINDOWS}
_TYPE: Final = {"id": _TYPE_ID, **_NEW_TYPE}
_RECORD: Final = {
    "id": _ID, "slug": "jana-muller", **_FACTS, "rating": 4.9, "ratingCount": 213, "active": True,
    "pendingEmail": "jana@office.example.com",
    "nextAvailable": "2026-11-24T09:00:00Z", "sessionTypes": [_TYPE],
}  # fmt: skip
_PLACED: Final = {**_TYPE, "position": 1}
_NEW_OVERRIDE: Final = {"kind": "hours", "windows": [{"opens": "14:00", "closes": "18:00"}]}
_OVERRIDE: Final = {"date": "2026-12-23", **_NEW_OVERRIDE}
_NEW_OFF: Final = {"firstDay": "2026-12-24", "lastDay": "2027-01-03", "reason": "Skiing"}
_OFF: Final = {"id": _OFF_ID, **_NEW_OFF}
_EXPLANATION: Final = {
    "at": "2026-12-24T09:00:00Z", "expertId": _ID, "sessionTypeId": _TYPE_ID, "timeZone": "Europe/Berlin",
    "localTime": "2026-12-24T10:00:00+01:00", "offered": False, "reason": "day_off",
    "message": "The expert takes no bookings on this day.",
    "obstacles": [
        {"reason": "day_off", "message": "The expert takes no bookings on this day.",
         "figures": {"firstDay": "2026-12-24", "lastDay": "2027-01-03"}, "note": "Skiing"},
    ],
}  # fmt: skip

# The chapters of the documentation.
_EXPERTS: Final[list[str | Enum]] = ["experts"]
_TYPES: Final[list[str | Enum]] = ["session types"]
_HOURS: Final[list[str | Enum]] = ["hours"]

_UNKNOWN: Final = (404, "expert_not_found", "There is no such expert.")
_NO_TYPE: Final = (404, "session_type_not_found", "This expert offers no such session.")
_NO_OVERRIDE: Final = (404, "override_not_found", "There are no special hours on this date.")
_NO_OFF: Final = (404, "days_off_not_found", "There are no such days off.")
_NO_PROOF: Final = (401, "proof_needed", "Please send a valid token: Authorization: Bearer …")
_FORBIDDEN: Final = (403, "forbidden", "This token does not allow that.")
_SLUG: Final = (409, "slug_taken", "There is already an expert with this slug.")
_FULL: Final = (409, "too_many", "There are 50 of these already, and there can be no more. Please delete some first.")
_LONG: Final = (413, "body_too_large", "The body is longer than any request can be.")
_WRONG: Final = (422, "validation_failed", "Some of this cannot be right; `errors` says what.")
_OFTEN: Final = (429, TooManyAccessRequests.code, "A new address was entered 5 times within an hour.")
_RUN: Final = (_NO_PROOF, _FORBIDDEN, _UNKNOWN)

Answers = dict[int | str, dict[str, Any]]
Reference = Annotated[str, Path(description="The expert's id or slug.", examples=["jana-muller"])]
TypeReference = Annotated[str, Path(description="The session type's id.", examples=[_TYPE_ID])]
OffReference = Annotated[str, Path(description="The id of these days off.", examples=[_OFF_ID])]
OverrideDay = Annotated[Day, Path(alias="date", description="A local date of the expert.", examples=["2026-12-23"])]
IfMatch = Annotated[str | None, Header(description="The ETag of the plan that was read: 412 if it is another now.")]
IfNoneMatch = Annotated[str | None, Header(description="The ETag of the plan that is known: 304 if it still is so.")]


def endpoints(services: Services, routes: type[APIRoute]) -> APIRouter:
    """What there is below `/experts` for those who run calendars."""
    router = APIRouter(prefix="/experts", route_class=routes)
    caller_from_token = Depends(caller_of(services))

    async def key_from_token(expert: Reference, caller: Caller | None = caller_from_token) -> CalendarKey:
        return await services.calendars.key(expert, caller)

    async def admin_from_token(caller: Caller | None = caller_from_token) -> Caller | None:
        # Asked before the body is looked at; the service asks again.
        check_admin(caller)
        return caller

    # Nobody is told what is wrong with a request before it is clear that they may make it.
    key, admin = Depends(key_from_token), Depends(admin_from_token)
    _add_experts(router, services, key, admin)
    _add_session_types(router, services, key, caller_from_token)
    _add_hours(router, services, key)
    _add_overrides(router, services, key)
    _add_days_off(router, services, key)

    @router.get(
        "/{expert}/slots/explain",
        tags=_EXPERTS,
        responses={**_example(200, "Why.", _EXPLANATION), **told(*_RUN, _NO_TYPE, _WRONG)},
    )
    async def explain(query: Annotated[ExplainQuery, Query()], key: CalendarKey = key) -> Explanation:
        """Whether a session may start at an instant; if not, everything that is in the way, the first reason first.

        A past instant is judged by the rules as they are now.
        """
        return await services.calendars.explain(key, query)

    return router


def _add_experts(router: APIRouter, services: Services, key: Any, admin: Any) -> None:
    @router.post(
        "",
        status_code=201,
        tags=_EXPERTS,
        responses={**_created(_RECORD), **told(_NO_PROOF, _FORBIDDEN, _SLUG, _LONG, _WRONG)},
    )
    async def add_expert(
        request: Annotated[NewExpert, _body(_NEW_EXPERT)], response: Response, caller: Caller | None = admin
    ) -> ExpertRecord:
        """Add an expert, as an admin."""
        expert = await services.calendars.add_expert(request, caller)
        response.headers["Location"] = f"/experts/{expert.id}"
        return expert

    @router.patch(
        "/{expert}",
        tags=_EXPERTS,
        responses={**_example(200, "The changed expert.", _RECORD), **told(*_RUN, _SLUG, _LONG, _WRONG, _OFTEN)},
    )
    async def change_expert(
        request: Annotated[ExpertChange, _body({"headline": "A new start", "experience": 13})], key: CalendarKey = key
    ) -> ExpertRecord:
        """Change what is given, as the expert or an admin. Another zone moves free slots, and no booking.

        A new `email` is `pendingEmail` until the link that is mailed to it was used; until then the old address counts.
        Only admins may change `active`.
        """
        return await services.calendars.change_expert(key, request)


def _add_session_types(router: APIRouter, services: Services, key: Any, caller_from_token: Any) -> None:
    path, one, tags = "/{expert}/session-types", "/{expert}/session-types/{session_type}", _TYPES
    listed = _example(200, "In their order.", {"sessionTypes": [_PLACED]})

    @router.get(path, tags=tags, responses={**listed, **told(_NO_PROOF, _UNKNOWN)})
    async def list_session_types(expert: Reference, caller: Caller | None = caller_from_token) -> SessionTypeList:
        """What an expert offers, in order; those who run the calendar also see what is not active."""
        return await services.calendars.session_types(expert, caller)

    @router.post(path, status_code=201, tags=tags, responses={**_created(_PLACED), **told(*_RUN, _FULL, _LONG, _WRONG)})
    async def add_session_type(
        request: Annotated[NewSessionType, _body(_NEW_TYPE)],
        response: Response,
        key: CalendarKey = key,
    ) -> PlacedSessionType:
        """Add a session type; without a position it comes last.

        `confirmation` says whether bookings of it are confirmed `at_once` or `by_expert`, who has `answerMinutes` for
        that (else they expire). Customers may cancel until `cancelNoticeMinutes` before the start, and move a booking
        to another time until `rescheduleNoticeMinutes` before, `maxReschedules` times (`null`: as often as they like).
        """
        added = await services.calendars.add_session_type(key, request)
        response.headers["Location"] = f"/experts/{key.expert_id}/session-types/{added.id}"
        return added

    changed = _example(200, "The changed session type.", _PLACED)

    @router.patch(one, tags=tags, responses={**changed, **told(*_RUN, _NO_TYPE, _LONG, _WRONG)})
    async def change_session_type(
        session_type: TypeReference,
        request: Annotated[
            SessionTypeChange, _body({"minutes": 45, "cancelNoticeMinutes": 720, "maxReschedules": None})
        ],
        key: CalendarKey = key,
    ) -> PlacedSessionType:
        """Change what is given. Bookings stay as they are, and count for a new cap."""
        return await services.calendars.change_session_type(key, _id(session_type, SessionTypeNotFound), request)

    in_use = (409, "session_type_in_use", "There are bookings of this session, so it cannot be deleted.")

    @router.delete(one, status_code=204, tags=tags, responses=told(*_RUN, _NO_TYPE, in_use))
    async def remove_session_type(session_type: TypeReference, key: CalendarKey = key) -> None:
        """Delete a session type that was never booked; others are made inactive instead."""
        await services.calendars.remove_session_type(key, _id(session_type, SessionTypeNotFound))


def _add_hours(router: APIRouter, services: Services, key: Any) -> None:
    path, tags = "/{expert}/availability", _HOURS
    shown = _example(200, "The weekly plan.", _PLAN, headers={"ETag": "Changes with the plan."})

    @router.get(
        path,
        tags=tags,
        response_model=WeeklyPlan,
        responses={**shown, 304: {"description": "The plan is still the one that is known."}, **told(*_RUN)},
    )
    async def get_plan(
        response: Response, if_none_match: IfNoneMatch = None, key: CalendarKey = key
    ) -> WeeklyPlan | Response:
        """The whole weekly plan. `weekday` 1 is Monday; what closes no later than it opens runs past midnight."""
        plan = await services.calendars.plan(key)
        headers = {"ETag": f'"{plan.version}"', "Cache-Control": "no-cache"}
        known = _versions(if_none_match or "", weak=True)
        if known is None or plan.version in known:
            return Response(status_code=304, headers=headers)
        response.headers.update(headers)
        return plan

    changed = (412, "plan_changed", "Somebody else has changed these hours since you read them.")

    @router.put(path, tags=tags, responses={**shown, **told(*_RUN, changed, _LONG, _WRONG)})
    async def put_plan(
        request: Annotated[WeeklyPlan, _body(_PLAN)],
        response: Response,
        if_match: IfMatch = None,
        key: CalendarKey = key,
    ) -> WeeklyPlan:
        """Replace the whole weekly plan. With `If-Match` no change of anybody else is ever lost.

        Another zone moves the free slots to come, and no booking.
        """
        versions = None if if_match is None else _versions(if_match)
        plan = await services.calendars.put_plan(key, request, versions)
        response.headers["ETag"] = f'"{plan.version}"'
        return plan


def _add_overrides(router: APIRouter, services: Services, key: Any) -> None:
    path, one, tags = "/{expert}/overrides", "/{expert}/overrides/{date}", _HOURS
    listed = _example(200, "In order.", {"overrides": [_OVERRIDE]})
    shown = _example(200, "What is different on this date.", _OVERRIDE)

    @router.get(path, tags=tags, responses={**listed, **told(*_RUN, _WRONG)})
    async def list_overrides(query: Annotated[OverrideQuery, Query()], key: CalendarKey = key) -> OverrideList:
        """What is different on single dates, by default in a year from today on."""
        return await services.calendars.overrides(key, query)

    @router.get(one, tags=tags, responses={**shown, **told(*_RUN, _NO_OVERRIDE, _WRONG)})
    async def get_override(day: OverrideDay, key: CalendarKey = key) -> OverrideView:
        """What is different on one date."""
        return await services.calendars.override(key, day)

    @router.put(one, tags=tags, responses={**shown, **told(*_RUN, _FULL, _LONG, _WRONG)})
    async def put_override(
        day: OverrideDay, request: Annotated[OverrideRequest, _body(_NEW_OVERRIDE)], key: CalendarKey = key
    ) -> OverrideView:
        """Other hours on one date (`hours`), more of them (`extra`), or `none`. Other hours open on holidays too."""
        return await services.calendars.put_override(key, day, request)

    @router.delete(one, status_code=204, tags=tags, responses=told(*_RUN, _NO_OVERRIDE, _WRONG))
    async def remove_override(day: OverrideDay, key: CalendarKey = key) -> None:
        """A date as all others again."""
        await services.calendars.remove_override(key, day)


def _add_days_off(router: APIRouter, services: Services, key: Any) -> None:
    path, one, tags = "/{expert}/days-off", "/{expert}/days-off/{days_off}", _HOURS
    listed = _example(200, "The first to begin first.", {"daysOff": [_OFF]})

    @router.get(path, tags=tags, responses={**listed, **told(*_RUN, _WRONG)})
    async def list_days_off(query: Annotated[DaysOffQuery, Query()], key: CalendarKey = key) -> DaysOffList:
        """Days off that are not over, or that end on a date or later."""
        return await services.calendars.days_off(key, query)

    @router.post(path, status_code=201, tags=tags, responses={**_created(_OFF), **told(*_RUN, _FULL, _LONG, _WRONG)})
    async def add_days_off(
        request: Annotated[DaysOffRequest, _body(_NEW_OFF)], response: Response, key: CalendarKey = key
    ) -> DaysOffView:
        """Take days off, both dates included. Bookings on them stay. The reason is for those who run the calendar."""
        added = await services.calendars.add_days_off(key, request)
        response.headers["Location"] = f"/experts/{key.expert_id}/days-off/{added.id}"
        return added

    @router.delete(one, status_code=204, tags=tags, responses=told(*_RUN, _NO_OFF))
    async def remove_days_off(days_off: OffReference, key: CalendarKey = key) -> None:
        """Work on these days after all."""
        await services.calendars.remove_days_off(key, _id(days_off, DaysOffNotFound))


def _body(example: Any) -> Any:
    return Body(openapi_examples={"example": {"value": example}})


def _example(status: int, description: str, value: Any, headers: Mapping[str, str] | None = None) -> Answers:
    content = {"application/json": {"example": value}}
    told_headers = {name: {"description": text, "schema": {"type": "string"}} for name, text in (headers or {}).items()}
    return {status: {"description": description, "content": content, "headers": told_headers}}


def _created(value: Any) -> Answers:
    return _example(201, "Added.", value, headers={"Location": "Its address."})


def _id(reference: str, refusal: type[NotFound]) -> UUID:
    try:
        return UUID(reference)
    except ValueError as error:
        raise refusal from error


def _versions(header: str, *, weak: bool = False) -> list[str] | None:
    """The entity tags of a header; None for `*`, which is any. Weak ones count only where they may (RFC 9110)."""
    if header.strip() == "*":
        return None
    return [tag for weakness, tag in re.findall(r'(W/)?"([^"]*)"', header) if weak or not weakness]
