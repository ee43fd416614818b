"""REST endpoints for the blocks of a calendar, what its console shows, and the customers of its expert."""

from enum import Enum
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Query, Response

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
from expert_booking.api.path_ids import parse_id
from expert_booking.domain.errors import BlockConflict, BlockNotFound
from expert_booking.schemas import (
    BlockDeletion,
    BlockList,
    BlockQuery,
    BlockRequest,
    BlocksAdded,
    Caller,
    CustomerMatches,
    CustomerQuery,
    ScheduleQuery,
    ScheduleView,
)
from expert_booking.services import Services
from expert_booking.services.calendars import CalendarKey

_BLOCK_ID: Final = "1f6f0a4f-6a11-4b52-9a76-5d0c6c1e3d0a"
_SERIES_ID: Final = "3d0a5d0c-6c1e-4b52-9a76-6a111f6f0a4f"
_NEW: Final = {
    "startsAt": "2026-11-24T11:10:00Z", "endsAt": "2026-11-24T11:55:00Z", "note": "Lunch", "repeatWeekly": True,
    "repeatUntil": "2027-06-30", "skipConflicts": True,
}  # fmt: skip
_BLOCK: Final = {
    "id": _BLOCK_ID, "startsAt": _NEW["startsAt"], "endsAt": _NEW["endsAt"], "note": "Lunch", "seriesId": _SERIES_ID,
    "version": 1,
}  # fmt: skip
_CONFLICT: Final = {
    "wantedStartsAt": "2026-12-01T11:10:00Z", "bookingId": "c1c2f4a4-9a0e-4b6b-8a7c-3b9f2f1f7d10",
    "startsAt": "2026-12-01T11:00:00Z", "endsAt": "2026-12-01T12:00:00Z", "status": "confirmed",
    "customerName": "Ada Lovelace",
}  # fmt: skip
_ADDED: Final = {"seriesId": _SERIES_ID, "blocks": [_BLOCK], "conflicts": [_CONFLICT]}
_TAKEN: Final = {"startsAt": "2026-11-24T09:00:00Z", "endsAt": "2026-11-24T10:00:00Z",
                 "busyFrom": "2026-11-24T09:00:00Z", "busyUntil": "2026-11-24T10:15:00Z"}  # fmt: skip
_SCHEDULE: Final = {
    "expertId": "7d9f1f0e-5c0b-4f5e-9a57-0c1d2e3f4a5b", "timeZone": "Europe/Berlin",
    "since": "2026-11-22T23:00:00Z", "until": "2026-11-29T23:00:00Z",
    "entries": [
        {"id": "c1c2f4a4-9a0e-4b6b-8a7c-3b9f2f1f7d10", "kind": "booking", **_TAKEN, "status": "confirmed", "version": 2,
         "customerName": "Ada Lovelace", "sessionTypeId": "0b6f3a52-1d8e-4f0a-8a44-6c2b9d7e1f30",
         "sessionTitle": "Career consultation", "answerBy": None, "note": "", "seriesId": None},
    ],
    "openTimes": [{"startsAt": "2026-11-23T08:00:00Z", "endsAt": "2026-11-23T16:00:00Z"}],
    "closedDays": [{"date": "2026-11-27", "startsAt": "2026-11-26T23:00:00Z", "endsAt": "2026-11-27T23:00:00Z",
                    "reason": "day_off", "name": "Skiing"}],
}  # fmt: skip
_CUSTOMERS: Final = {
    "customers": [
        {"name": "Ada Lovelace", "email": "ada@example.com", "phone": "+442079460000", "timeZone": "Europe/London",
         "lastStartsAt": "2026-11-24T09:00:00Z"},
    ],
}  # fmt: skip
_TAGS: Final[list[str | Enum]] = ["calendar"]

BlockReference = Annotated[str, Path(description="The id of the block.", examples=[_BLOCK_ID])]


def add_blocks(router: APIRouter, services: Services, key: Any, caller_from_token: Any) -> None:
    """Add the endpoints to the router of calendars. `key` is the dependency that checks for a host."""
    _add_blocks(router, services, key, caller_from_token)
    _add_reads(router, services, key, caller_from_token)


def _add_blocks(router: APIRouter, services: Services, key: Any, caller_from_token: Any) -> None:
    path = "/{expert}/blocks"

    @router.post(
        path,
        status_code=201,
        tags=_TAGS,
        summary="Block time",
        responses={
            **created_response("The new blocks, and what was in the way of those that were left out.", _ADDED),
            **error_responses(*HOST_ERRORS, refused(BlockConflict), TOO_MANY, TOO_LARGE, INVALID),
        },
    )
    async def add_block(
        request: Annotated[BlockRequest, body_example(_NEW)],
        response: Response,
        key: CalendarKey = key,
        caller: Caller | None = caller_from_token,
    ) -> BlocksAdded:
        """Keep time free, once or every week. Customers see the time as not available, and never the note.

        Weekly blocks keep the expert's wall-clock time when the clocks change. They are made for a year ahead, and
        later ones every week. If a time is not free, the request is refused with all `conflicts`; with `skipConflicts`
        those times are left out.
        """
        added = await services.blocks.add(key.expert_id, request, caller)
        response.headers["Location"] = f"/experts/{key.expert_id}/blocks/{added.blocks[0].id}"
        return added

    @router.get(
        path,
        tags=_TAGS,
        summary="List blocks",
        responses={
            **example_response(200, "The blocks, earliest first.", {"blocks": [_BLOCK]}),
            **error_responses(*HOST_ERRORS, INVALID),
        },
    )
    async def list_blocks(
        query: Annotated[BlockQuery, Query()],
        key: CalendarKey = key,
        caller: Caller | None = caller_from_token,
    ) -> BlockList:
        """Return the blocks of some local dates of the expert, by default of 30 days from today."""
        return await services.blocks.list_all(key.expert_id, query, caller)

    @router.delete(
        path + "/{block}",
        status_code=204,
        tags=_TAGS,
        summary="Delete a block",
        responses={
            204: {"description": "The block is deleted, or its whole series."},
            **error_responses(*HOST_ERRORS, refused(BlockNotFound), INVALID),
        },
    )
    async def delete_block(
        block: BlockReference,
        query: Annotated[BlockDeletion, Query()],
        key: CalendarKey = key,
        caller: Caller | None = caller_from_token,
    ) -> Response:
        """Delete a block, so that its time can be booked. With `?series=true`, delete all blocks of its series."""
        block_id = parse_id(block, BlockNotFound)
        await services.blocks.remove(key.expert_id, block_id, caller, series=query.series)
        return Response(status_code=204)


def _add_reads(router: APIRouter, services: Services, key: Any, caller_from_token: Any) -> None:
    @router.get(
        "/{expert}/schedule",
        tags=_TAGS,
        summary="Read the schedule",
        responses={
            **example_response(200, "The schedule.", _SCHEDULE),
            **error_responses(*HOST_ERRORS, INVALID),
        },
    )
    async def get_schedule(
        query: Annotated[ScheduleQuery, Query()],
        key: CalendarKey = key,
        caller: Caller | None = caller_from_token,
    ) -> ScheduleView:
        """Return everything that the calendar shows of some time: bookings, blocks, holds, open time and closed days.

        A booking whose customer has not confirmed the email address is shown as a hold.
        """
        return await services.schedule.week(key.expert_id, query.since, query.until, caller)

    @router.get(
        "/{expert}/customers",
        tags=_TAGS,
        summary="Search customers",
        responses={
            **example_response(200, "The customers, latest booking first.", _CUSTOMERS),
            **error_responses(*HOST_ERRORS, INVALID),
        },
    )
    async def search_customers(
        query: Annotated[CustomerQuery, Query()],
        key: CalendarKey = key,
        caller: Caller | None = caller_from_token,
    ) -> CustomerMatches:
        """Return the expert's customers whose name or email address contains a text: the latest 10."""
        return CustomerMatches(customers=await services.customers.search(key.expert_id, query.q, caller))
