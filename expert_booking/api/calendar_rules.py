"""Endpoints for all rules of a calendar in one document."""

from enum import Enum
from typing import Annotated, Any, Final

from fastapi import APIRouter, Response

from expert_booking.api.error_docs import (
    HOST_ERRORS,
    INVALID,
    NO_SESSION_TYPE,
    TOO_LARGE,
    body_example,
    error_responses,
    example_response,
    refused,
)
from expert_booking.api.etags import entity_tags, not_modified
from expert_booking.api.hours import WINDOWS, IfMatch, IfNoneMatch
from expert_booking.domain.errors import PlanChanged
from expert_booking.schemas import CalendarRules, PreviewRequest, RulesPreview
from expert_booking.services import Services
from expert_booking.services.calendars import CalendarKey

_TYPE_ID: Final = "0b6f1a52-6a3c-4c0e-8c4e-0f6a2f7f5a10"
_RULES: Final = {
    "timeZone": "Europe/Berlin", "windows": WINDOWS,
    "overrides": [{"date": "2026-12-23", "kind": "hours", "windows": [{"opens": "14:00", "closes": "18:00"}]}],
    "daysOff": [{"firstDay": "2026-12-24", "lastDay": "2027-01-03", "reason": "Skiing"}],
    "country": "DE", "region": "BY", "closedOnHolidays": True,
}  # fmt: skip
_PREVIEW: Final = {
    "sessionTypeId": _TYPE_ID, "timeZone": "Europe/Berlin",
    "slots": [{"startsAt": "2026-11-30T08:00:00Z", "endsAt": "2026-11-30T09:00:00Z", "state": "open"}],
    "affected": [{
        "id": "3e4f5a6b-7c8d-4e9f-a0b1-c2d3e4f5a6b7", "startsAt": "2026-12-01T09:00:00Z",
        "endsAt": "2026-12-01T10:00:00Z", "status": "confirmed", "name": "Ada Lovelace",
        "sessionTitle": "Consultation",
    }],
    "explanation": None,
}  # fmt: skip
_TAGS: Final[list[str | Enum]] = ["hours"]


def add_calendar_rules(router: APIRouter, services: Services, key: Any) -> None:
    """Add the endpoints to the router of calendars. `key` is the dependency that checks for a host."""
    path = "/{expert}/rules"
    shown = example_response(200, "The rules.", _RULES, headers={"ETag": "Changes with the rules."})

    @router.get(
        path,
        tags=_TAGS,
        summary="Read all rules of a calendar",
        response_model=CalendarRules,
        responses={**shown, 304: {"description": "The rules have not changed."}, **error_responses(*HOST_ERRORS)},
    )
    async def get_rules(
        response: Response, if_none_match: IfNoneMatch = None, key: CalendarKey = key
    ) -> CalendarRules | Response:
        """Return weekly hours, and the date overrides and days off from today on, with one ETag for all of them."""
        rules = await services.calendar_rules.read(key)
        return not_modified(response, rules.version, if_none_match) or rules

    @router.put(
        path,
        tags=_TAGS,
        summary="Replace all rules of a calendar",
        responses={**shown, **error_responses(*HOST_ERRORS, refused(PlanChanged), TOO_LARGE, INVALID)},
    )
    async def put_rules(
        request: Annotated[CalendarRules, body_example(_RULES)],
        response: Response,
        if_match: IfMatch = None,
        key: CalendarKey = key,
    ) -> CalendarRules:
        """Replace weekly hours, holidays, and the overrides and days off from today on, in one step.

        Overrides and days off that are not sent are removed. Send `If-Match` to avoid overwriting a change that you
        have not read. Existing bookings stay.
        """
        versions = None if if_match is None else entity_tags(if_match)
        rules = await services.calendar_rules.put(key, request, versions)
        response.headers["ETag"] = f'"{rules.version}"'
        return rules

    @router.post(
        path + "/preview",
        tags=_TAGS,
        summary="Try out rules",
        responses={
            **example_response(200, "The effect of the rules.", _PREVIEW),
            **error_responses(*HOST_ERRORS, NO_SESSION_TYPE, TOO_LARGE, INVALID),
        },
    )
    async def preview_rules(
        request: Annotated[PreviewRequest, body_example({"rules": _RULES})], key: CalendarKey = key
    ) -> RulesPreview:
        """Return the slots that visitors would see, and the bookings that would be outside the hours. Saves nothing.

        The dates are local dates in the time zone of the rules. With `at`, the response explains that instant.
        """
        return await services.calendar_rules.preview(key, request)
