"""REST endpoints for the statistics of an expert."""

from enum import Enum
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query, Response

from expert_booking.api.callers import caller_dependency
from expert_booking.api.error_docs import HOST_ERRORS, INVALID, error_responses, example_response
from expert_booking.api.path_ids import ExpertReference
from expert_booking.api.unknown_fields import StrictRoute
from expert_booking.domain.csv_text import MEDIA_TYPE
from expert_booking.schemas import Caller, Statistics, StatisticsQuery
from expert_booking.services import Services
from expert_booking.services.calendars import CalendarKey
from expert_booking.services.csv_exports import STATISTICS_COLUMNS, STATISTICS_FILE, statistics_csv

_FIGURES: Final = {
    "bookings": 12, "cancelled": 2, "declined": 1, "noShows": 1, "bookedMinutes": 720, "leadMinutes": 4320,
}  # fmt: skip
_OFFERED: Final = {**_FIGURES, "offeredMinutes": 2400, "utilisation": 0.3}
_EXAMPLE: Final = {
    "expertId": "7d9f1f0e-5c0b-4f5e-9a57-0c1d2e3f4a5b", "timeZone": "Europe/Berlin",
    "from": "2026-11-23", "to": "2026-11-29", "total": _OFFERED, "weeks": [{"week": "2026-11-23", **_OFFERED}],
    "sessionTypes": [
        {"sessionTypeId": "0b6f3a52-1d8e-4f0a-8a44-6c2b9d7e1f30", "title": "Career consultation", **_FIGURES}
    ],
    "hours": [[0] * 9 + [3, 2] + [0] * 13, *[[0] * 24] * 5, [0] * 15 + [7] + [0] * 8],
}  # fmt: skip
_TAGS: Final[list[str | Enum]] = ["experts"]
_ERRORS: Final = error_responses(*HOST_ERRORS, INVALID)


def endpoints(services: Services) -> APIRouter:
    """Create the router for the statistics."""
    router = APIRouter(prefix="/experts", tags=_TAGS, route_class=StrictRoute)
    caller_from_token = Depends(caller_dependency(services))

    async def key_from_token(expert: ExpertReference, caller: Caller | None = caller_from_token) -> CalendarKey:
        return await services.calendars.key(expert, caller)

    # Runs before the query is validated: callers without permission get no validation errors.
    key = Depends(key_from_token)

    @router.get(
        "/{expert}/statistics",
        summary="Read the statistics of an expert",
        responses={**example_response(200, "The statistics.", _EXAMPLE), **_ERRORS},
    )
    async def read_statistics(query: Annotated[StatisticsQuery, Query()], key: CalendarKey = key) -> Statistics:
        """Count the bookings whose sessions start from `from` to `to`, in the expert's time zone.

        Both dates are included. Without them, the answer has the last twelve weeks with the current one. Bookings that
        wait for the confirmation of the email address do not count. Offered hours follow the current plan, also in the
        past, without blocked time.
        """
        return await services.statistics.read(key, query)

    @router.get(
        "/{expert}/statistics.csv",
        summary="Export the statistics of an expert",
        response_class=Response,
        responses={
            200: {
                "description": "The same figures as CSV.",
                "content": {
                    "text/csv": {"schema": {"type": "string"}, "example": ",".join(STATISTICS_COLUMNS) + "\r\n"}
                },
            },
            **_ERRORS,
        },
    )
    async def export_statistics(query: Annotated[StatisticsQuery, Query()], key: CalendarKey = key) -> Response:
        """Return the same figures as CSV: `group` is total, week, session type or hour."""
        text = statistics_csv(await services.statistics.read(key, query))
        headers = {"Content-Disposition": f'attachment; filename="{STATISTICS_FILE}"'}
        return Response(text, media_type=MEDIA_TYPE, headers=headers)

    return router
