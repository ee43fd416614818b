"""REST endpoints for the catalogue: experts and their slots."""

from typing import Annotated, Final

import orjson
from fastapi import APIRouter, Depends, Query, Response

from expert_booking.api.callers import TOKEN_IS_OPTIONAL, caller_dependency
from expert_booking.api.error_docs import (
    INVALID,
    NO_EXPERT,
    NO_PROOF,
    NO_SESSION_TYPE,
    error_responses,
    example_response,
)
from expert_booking.api.path_ids import ExpertReference
from expert_booking.api.profiles import PHOTO
from expert_booking.api.session_types import SESSION_TYPE
from expert_booking.api.unknown_fields import StrictRoute
from expert_booking.domain.errors import Forbidden, NotAuthenticated
from expert_booking.schemas import Caller, ExpertDetail, ExpertPage, ExpertQuery, ExpertRecord, SlotPage, SlotQuery
from expert_booking.services import Services
from expert_booking.services.availability import SlotsFound

_ID = "7d9f1f0e-5c0b-4f5e-9a57-0c1d2e3f4a5b"
_EXPERT: Final = {
    "id": _ID, "slug": "jana-muller", "name": "Jana Müller", "category": "Career coaching", "experience": 12,
    "rating": 4.9, "ratingCount": 213, "headline": "Calm, practical help with your next career step",
    "languages": ["de", "en"],
    "timeZone": "Europe/Berlin", "photo": PHOTO, "nextAvailable": "2026-11-24T09:00:00Z",
}  # fmt: skip
_DETAIL: Final = {
    **_EXPERT,
    "bio": "I spent ten years in human resources before I began to coach.",
    "listed": True, "sessionTypes": [SESSION_TYPE],
}  # fmt: skip
_SLOTS: Final = {
    "expertId": _ID, "sessionTypeId": SESSION_TYPE["id"], "timeZone": "Europe/Berlin",
    "slots": [
        {"startsAt": "2026-11-24T09:00:00Z", "endsAt": "2026-11-24T10:00:00Z", "state": "open"},
        {"startsAt": "2026-11-24T10:00:00Z", "endsAt": "2026-11-24T11:00:00Z", "state": "booked"},
    ],
}  # fmt: skip
_PAGE: Final = {
    "experts": [_EXPERT], "total": 1000, "totalIsCapped": True, "page": 1, "limit": 20,
    "next": "cmF0aW5nOlswLCI0LjkwIiwyMTMsIjdkOWYxZjBlIl0", "previous": None,
    "facets": {
        "categories": [{"value": "Career coaching", "experts": 310}, {"value": "Law", "experts": 1420}],
        "languages": [{"value": "de", "experts": 512}], "minutes": [{"value": "60", "experts": 1730}],
        "ratings": [{"value": "4.5", "experts": 611}, {"value": "4", "experts": 1300},
                    {"value": "3.5", "experts": 1600}, {"value": "3", "experts": 1702}],
    },
}  # fmt: skip


def endpoints(services: Services) -> APIRouter:
    """Create the router for the public part of `/experts`."""
    router = APIRouter(prefix="/experts", tags=["experts"], route_class=StrictRoute)
    caller_from_token = Depends(caller_dependency(services))

    @router.get(
        "",
        summary="Search experts",
        responses={**example_response(200, "One page of experts.", _PAGE), **error_responses(INVALID)},
    )
    async def list_experts(query: Annotated[ExpertQuery, Query()]) -> ExpertPage:
        """Return active experts, one page at a time. `nextAvailable` is the next free start.

        `search` matches the beginning of words, and in names also the middle. It ignores accents, case and word order,
        and tolerates one typo in a word. Every word has to match. `category` can be repeated to match any of several.
        With `minutes`, only free times of that length count. `freeOn` and `freeBefore` are days in `timeZone`. The
        order `soonest` lists experts without a known free time last.

        To read the next page, send `next` as `after` with the same parameters; to go back, send `previous` as
        `before`. No expert is repeated or skipped, even if experts are added in between. `total` stops at 1,000;
        `totalIsCapped` is true if there are more. With `facets=true` the response also has the number of experts for
        each choice of each filter. These numbers may be a few minutes old.
        """
        return await services.experts.find(query)

    @router.get(
        "/{expert}",
        summary="Read an expert",
        responses={
            **example_response(200, "The expert.", _DETAIL, headers={"ETag": "For the expert and admins only."}),
            **error_responses(NO_PROOF, NO_EXPERT),
        },
        openapi_extra=TOKEN_IS_OPTIONAL,
    )
    async def get_expert(
        expert: ExpertReference, response: Response, caller: Caller | None = caller_from_token
    ) -> ExpertRecord | ExpertDetail:
        """Return an expert by id or slug, also by one that the expert had before. `bio` is Markdown.

        The expert and admins also see private fields and inactive session types, and can read an inactive expert. They
        also get an ETag, to send with PATCH.
        """
        try:
            record = await services.calendars.expert(await services.calendars.key(expert, caller))
        except (NotAuthenticated, Forbidden):
            return await services.experts.get(expert)
        response.headers["ETag"] = f'"{record.version}"'
        return record

    @router.get(
        "/{expert}/slots",
        summary="List the slots of an expert",
        response_model=SlotPage,
        responses={
            **example_response(200, "The slots, earliest first.", _SLOTS),
            **error_responses(NO_EXPERT, NO_SESSION_TYPE, INVALID),
        },
    )
    async def list_slots(expert: ExpertReference, query: Annotated[SlotQuery, Query()]) -> Response:
        """Return the slots from `from` to `to`: at most 62 days, both dates included.

        The dates are local dates in `timeZone`, by default the expert's. Slots in the past, or too soon for the
        expert's notice, are left out.
        """
        return _slot_page(await services.availability.slots(expert, query))

    return router


def _slot_page(found: SlotsFound) -> Response:
    """Serialize a `SlotPage` directly, without building a view for each of up to thousands of slots."""
    slots = [{"startsAt": slot.starts_at, "endsAt": slot.ends_at, "state": slot.state} for slot in found.slots]
    page = {"expertId": found.expert_id, "sessionTypeId": found.session_type_id, "timeZone": found.time_zone,
            "slots": slots}  # fmt: skip
    return Response(orjson.dumps(page, option=orjson.OPT_UTC_Z), media_type="application/json")
