"""The CSV files of the console, for signed-in browsers."""

from collections.abc import AsyncIterator, Mapping
from typing import Any, Final
from urllib.parse import quote

from fastapi import FastAPI, Request, Response
from fastapi.responses import PlainTextResponse, StreamingResponse
from pydantic import ValidationError

from expert_booking.domain.csv_text import MEDIA_TYPE
from expert_booking.domain.errors import Refusal
from expert_booking.schemas import BookingFilter, Caller, StatisticsQuery
from expert_booking.services import Services
from expert_booking.services.csv_exports import BOOKINGS_FILE, STATISTICS_FILE, bookings_csv, statistics_csv
from expert_booking.web import console
from expert_booking.web.sign_in import redirect
from expert_booking.web.visitor import identity_of

_INVALID: Final = "This address has an invalid filter. Go back, and use the link of the page."


def mount(web: FastAPI, services: Services) -> None:
    """Add the addresses."""

    async def bookings(request: Request) -> Response:
        found = await _expert(services, request)
        if isinstance(found, Response):
            return found
        expert_id, caller = found
        wanted = {**_parameters(request), "status": request.query_params.getlist("status"), "expertId": expert_id}
        try:
            lines = bookings_csv(services.booking_lists.export(BookingFilter.model_validate(wanted), caller))
            first = await anext(lines)
        except ValidationError:
            return PlainTextResponse(_INVALID, 422)
        return StreamingResponse(_chain(first, lines), media_type=MEDIA_TYPE, headers=_headers(BOOKINGS_FILE))

    async def statistics(request: Request) -> Response:
        found = await _expert(services, request)
        if isinstance(found, Response):
            return found
        expert_id, caller = found
        try:
            key = await services.calendars.key(str(expert_id), caller)
            counted = await services.statistics.read(key, StatisticsQuery.model_validate(_parameters(request)))
        except (ValidationError, Refusal):
            return PlainTextResponse(_INVALID, 422)
        return Response(statistics_csv(counted), media_type=MEDIA_TYPE, headers=_headers(STATISTICS_FILE))

    web.add_api_route("/console/bookings.csv", bookings)
    web.add_api_route("/console/statistics.csv", statistics)


async def _expert(services: Services, request: Request) -> tuple[Any, Caller] | Response:
    """The chosen expert of the signed-in host, and as whom the host acts; or the way to the sign-in page."""
    identity = await identity_of(services, request)
    if identity is None or not identity.experts:
        page = request.url.path.removesuffix(".csv")
        return redirect(f"/sign-in?next={quote(page, safe='/')}")
    expert = console.chosen_expert(identity, request.query_params.get("expert", ""))
    caller = identity.host_of(expert.id)
    assert caller is not None
    return expert.id, caller


def _parameters(request: Request) -> Mapping[str, str]:
    return {name: value for name, value in request.query_params.items() if name not in ("expert", "status")}


def _headers(file_name: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{file_name}"', "Cache-Control": "no-store"}


async def _chain(first: str, lines: AsyncIterator[str]) -> AsyncIterator[str]:
    yield first
    async for part in lines:
        yield part
