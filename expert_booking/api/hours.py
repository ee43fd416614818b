"""REST endpoints for an expert's hours: the weekly plan, date overrides and days off."""

from enum import Enum
from typing import Annotated, Any, Final

from fastapi import APIRouter, Header, Path, Query, Response

from expert_booking.api.error_docs import (
    HOST_ERRORS,
    INVALID,
    TOO_LARGE,
    TOO_MANY,
    body_example,
    created_response,
    error_responses,
    example_response,
    refused,
)
from expert_booking.api.etags import entity_tags, not_modified
from expert_booking.api.path_ids import parse_id
from expert_booking.domain.errors import DaysOffNotFound, OverrideNotFound, PlanChanged
from expert_booking.schemas import (
    Day,
    DaysOffList,
    DaysOffQuery,
    DaysOffRequest,
    DaysOffView,
    OverrideList,
    OverrideQuery,
    OverrideRequest,
    OverrideView,
    WeeklyPlan,
)
from expert_booking.services import Services
from expert_booking.services.calendars import CalendarKey

_DAYS_OFF_ID: Final = "5d0c6c1e-3d0a-4b52-9a76-1f6f0a4f6a11"
WINDOWS: Final = [
    {"weekday": 1, "opens": "09:00", "closes": "12:00", "validFrom": None, "validUntil": None},
    {"weekday": 5, "opens": "22:00", "closes": "02:00", "validFrom": "2026-06-01", "validUntil": "2026-08-31"},
]
_PLAN: Final = {"timeZone": "Europe/Berlin", "windows": WINDOWS}
_NEW_OVERRIDE: Final = {"kind": "hours", "windows": [{"opens": "14:00", "closes": "18:00"}]}
_OVERRIDE: Final = {"date": "2026-12-23", **_NEW_OVERRIDE}
_NEW_DAYS_OFF: Final = {"firstDay": "2026-12-24", "lastDay": "2027-01-03", "reason": "Skiing"}
_DAYS_OFF: Final = {"id": _DAYS_OFF_ID, **_NEW_DAYS_OFF}
_TAGS: Final[list[str | Enum]] = ["hours"]

_NO_OVERRIDE: Final = refused(OverrideNotFound)
_NO_DAYS_OFF: Final = refused(DaysOffNotFound)

OffReference = Annotated[str, Path(description="The id of the days off.", examples=[_DAYS_OFF_ID])]
OverrideDay = Annotated[
    Day, Path(alias="date", description="A local date in the expert's time zone.", examples=["2026-12-23"])
]
IfMatch = Annotated[str | None, Header(description="The ETag of the plan you read: 412 if the plan has changed.")]
IfNoneMatch = Annotated[str | None, Header(description="The ETag of the plan you have: 304 if it has not changed.")]


def add_hours(router: APIRouter, services: Services, key: Any) -> None:
    """Add the endpoints to the router of calendars. `key` is the dependency that checks for a host."""
    _add_weekly_hours(router, services, key)
    _add_overrides(router, services, key)
    _add_days_off(router, services, key)


def _add_weekly_hours(router: APIRouter, services: Services, key: Any) -> None:
    path = "/{expert}/availability"
    shown = example_response(200, "The weekly plan.", _PLAN, headers={"ETag": "Changes with the plan."})

    @router.get(
        path,
        tags=_TAGS,
        summary="Read the weekly hours",
        response_model=WeeklyPlan,
        responses={**shown, 304: {"description": "The plan has not changed."}, **error_responses(*HOST_ERRORS)},
    )
    async def get_plan(
        response: Response, if_none_match: IfNoneMatch = None, key: CalendarKey = key
    ) -> WeeklyPlan | Response:
        """Return the weekly plan, with its ETag.

        `weekday` 1 is Monday. Hours whose `closes` is not after `opens` run past midnight.
        """
        plan = await services.calendars.plan(key)
        return not_modified(response, plan.version, if_none_match) or plan

    @router.put(
        path,
        tags=_TAGS,
        summary="Replace the weekly hours",
        responses={**shown, **error_responses(*HOST_ERRORS, refused(PlanChanged), TOO_LARGE, INVALID)},
    )
    async def put_plan(
        request: Annotated[WeeklyPlan, body_example(_PLAN)],
        response: Response,
        if_match: IfMatch = None,
        key: CalendarKey = key,
    ) -> WeeklyPlan:
        """Replace the whole weekly plan, and return it with its new ETag.

        Send `If-Match` to avoid overwriting a change that you have not read. A new time zone shifts future slots but no
        bookings.
        """
        versions = None if if_match is None else entity_tags(if_match)
        plan = await services.calendars.put_plan(key, request, versions)
        response.headers["ETag"] = f'"{plan.version}"'
        return plan


def _add_overrides(router: APIRouter, services: Services, key: Any) -> None:
    path, one = "/{expert}/overrides", "/{expert}/overrides/{date}"
    listed = example_response(200, "The overrides, by date.", {"overrides": [_OVERRIDE]})
    shown = example_response(200, "The override of this date.", _OVERRIDE)

    @router.get(
        path,
        tags=_TAGS,
        summary="List date overrides",
        responses={**listed, **error_responses(*HOST_ERRORS, INVALID)},
    )
    async def list_overrides(query: Annotated[OverrideQuery, Query()], key: CalendarKey = key) -> OverrideList:
        """Return the overrides of single dates from `from` to `to`, by default for one year from today."""
        return await services.calendars.overrides(key, query)

    @router.get(
        one,
        tags=_TAGS,
        summary="Read the override of a date",
        responses={**shown, **error_responses(*HOST_ERRORS, _NO_OVERRIDE, INVALID)},
    )
    async def get_override(day: OverrideDay, key: CalendarKey = key) -> OverrideView:
        """Return the override of a date, or 404 if the weekly hours apply."""
        return await services.calendars.override(key, day)

    @router.put(
        one,
        tags=_TAGS,
        summary="Set the override of a date",
        responses={**shown, **error_responses(*HOST_ERRORS, TOO_MANY, TOO_LARGE, INVALID)},
    )
    async def put_override(
        day: OverrideDay, request: Annotated[OverrideRequest, body_example(_NEW_OVERRIDE)], key: CalendarKey = key
    ) -> OverrideView:
        """Set the hours of one date, and replace an earlier override of it.

        `hours` replaces the weekly hours, `extra` adds to them, `none` closes the date. `hours` also opens a date that
        is a public holiday.
        """
        return await services.calendars.put_override(key, day, request)

    @router.delete(
        one,
        status_code=204,
        tags=_TAGS,
        summary="Remove the override of a date",
        response_description="The override is removed.",
        responses=error_responses(*HOST_ERRORS, _NO_OVERRIDE, INVALID),
    )
    async def remove_override(day: OverrideDay, key: CalendarKey = key) -> None:
        """Remove the override of a date. The weekly hours apply again."""
        await services.calendars.remove_override(key, day)


def _add_days_off(router: APIRouter, services: Services, key: Any) -> None:
    path, one = "/{expert}/days-off", "/{expert}/days-off/{days_off}"
    listed = example_response(200, "The days off, by first day.", {"daysOff": [_DAYS_OFF]})

    @router.get(
        path,
        tags=_TAGS,
        summary="List days off",
        responses={**listed, **error_responses(*HOST_ERRORS, INVALID)},
    )
    async def list_days_off(query: Annotated[DaysOffQuery, Query()], key: CalendarKey = key) -> DaysOffList:
        """Return current and future days off, or with `from` those that end on this date or later."""
        return await services.calendars.days_off(key, query)

    @router.post(
        path,
        status_code=201,
        tags=_TAGS,
        summary="Add days off",
        responses={
            **created_response("The new days off.", _DAYS_OFF),
            **error_responses(*HOST_ERRORS, TOO_MANY, TOO_LARGE, INVALID),
        },
    )
    async def add_days_off(
        request: Annotated[DaysOffRequest, body_example(_NEW_DAYS_OFF)], response: Response, key: CalendarKey = key
    ) -> DaysOffView:
        """Add a range of days off, both dates included.

        Existing bookings on these days stay. Only the expert and admins see the reason.
        """
        added = await services.calendars.add_days_off(key, request)
        response.headers["Location"] = f"/experts/{key.expert_id}/days-off/{added.id}"
        return added

    @router.delete(
        one,
        status_code=204,
        tags=_TAGS,
        summary="Remove days off",
        response_description="The days off are removed.",
        responses=error_responses(*HOST_ERRORS, _NO_DAYS_OFF),
    )
    async def remove_days_off(days_off: OffReference, key: CalendarKey = key) -> None:
        """Remove a range of days off. The weekly hours apply again."""
        await services.calendars.remove_days_off(key, parse_id(days_off, DaysOffNotFound))
