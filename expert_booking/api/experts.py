"""REST: experts and their slots."""

from typing import Annotated, Any, Final

import orjson
from fastapi import APIRouter, Depends, Path, Query, Response

from expert_booking.api.callers import caller_of
from expert_booking.api.problems import told
from expert_booking.domain.errors import Forbidden, NotAuthenticated
from expert_booking.schemas import Caller, ExpertDetail, ExpertPage, ExpertQuery, ExpertRecord, SlotPage, SlotQuery
from expert_booking.services import Services
from expert_booking.services.availability import SlotsFound

_ID = "7d9f1f0e-5c0b-4f5e-9a57-0c1d2e3f4a5b"
_TYPE_ID = "0b6f3a52-1d8e-4f0a-8a44-6c2b9d7e1f30"
_EXPERT: Final = {
    "id": _ID, "slug": "jana-muller", "name": "Jana Müller", "category": "Career coaching", "experience": 12,
    "rating": 4.9, "ratingCount": 213, "headline": "Calm, practical help with your next career step",
    "languages": ["de", "en"],
    "timeZone": "Europe/Berlin", "nextAvailable": "2026-11-24T09:00:00Z",
}  # fmt: skip
_DETAIL: Final = {
    **_EXPERT,
    "bio": "I spent ten years in human resources before I began to coach.",
    "sessionTypes": [
        {"id": _TYPE_ID, "title": "Career consultation", "minutes": 60, "confirmation": "by_expert",
         "answerMinutes": 1440, "cancelNoticeMinutes": 1440, "rescheduleNoticeMinutes": 60, "maxReschedules": 2},
    ],
}  # fmt: skip
_SLOTS: Final = {
    "expertId": _ID, "sessionTypeId": _TYPE_ID, "timeZone": "Europe/Berlin",
    "slots": [
        {"startsAt": "2026-11-24T09:00:00Z", "endsAt": "2026-11-24T10:00:00Z", "state": "open"},
        {"startsAt": "2026-11-24T10:00:00Z", "endsAt": "2026-11-24T11:00:00Z", "state": "booked"},
    ],
}  # fmt: skip
_NO_PROOF: Final = (401, "proof_needed", "Please send a valid token: Authorization: Bearer …")
_UNKNOWN: Final = (404, "expert_not_found", "There is no such expert.")
_NO_SESSION: Final = (404, "session_type_not_found", "This expert offers no such session.")
_WRONG: Final = (422, "validation_failed", "Some of this cannot be right; `errors` says what.")
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

Answers = dict[int | str, dict[str, Any]]
Reference = Annotated[str, Path(description="The expert's id or slug.", examples=["jana-muller"])]


def _example(value: Any) -> Answers:
    return {200: {"content": {"application/json": {"example": value}}}}


def endpoints(services: Services) -> APIRouter:
    """Everything below `/experts`."""
    router = APIRouter(prefix="/experts", tags=["experts"])
    caller_from_token = Depends(caller_of(services))

    @router.get("", responses={**_example(_PAGE), **told(_WRONG)})
    async def list_experts(query: Annotated[ExpertQuery, Query()]) -> ExpertPage:
        """Active experts, a page at a time; `nextAvailable` is the next free start (with `minutes`: of that length).

        `search` finds words by their beginning, in names also inside, whatever their accents, case and order, and with
        a slip of one letter; every word has to be found. `category` may come several times: any of them counts.
        `freeOn` and `freeBefore` are days in `timeZone`. Who has no known free time comes last in the order `soonest`.

        To read on, give `next` as `after` (or `previous` as `before`) beside the same parameters: however many experts
        are added meanwhile, nobody comes twice and nobody is left out. `total` counts to a thousand, `totalIsCapped`
        says that there are more. With `facets=true`, `facets` says how many each choice of each filter would leave, all
        other filters as they are; these counts may be some minutes old.
        """
        return await services.experts.find(query)

    @router.get("/{expert}", responses={**_example(_DETAIL), **told(_NO_PROOF, _UNKNOWN)})
    async def get_expert(expert: Reference, caller: Caller | None = caller_from_token) -> ExpertRecord | ExpertDetail:
        """One expert, by id or slug; those who run the calendar see all of it, also of an expert who is not active."""
        try:
            return await services.calendars.expert(await services.calendars.key(expert, caller))
        except (NotAuthenticated, Forbidden):
            return await services.experts.get(expert)

    @router.get(
        "/{expert}/slots",
        response_model=SlotPage,
        responses={**_example(_SLOTS), **told(_UNKNOWN, _NO_SESSION, _WRONG)},
    )
    async def list_slots(expert: Reference, query: Annotated[SlotQuery, Query()]) -> Response:
        """The slots of at most 62 days, both dates included, without the past and the time of notice.

        The dates are local ones in `timeZone`, by default the expert's.
        """
        return _slot_page(await services.availability.slots(expert, query))

    return router


def _slot_page(found: SlotsFound) -> Response:
    """A `SlotPage` in JSON, written in one go: there may be thousands of slots."""
    slots = [{"startsAt": slot.starts_at, "endsAt": slot.ends_at, "state": slot.state} for slot in found.slots]
    page = {"expertId": found.expert_id, "sessionTypeId": found.session_type_id, "timeZone": found.time_zone,
            "slots": slots}  # fmt: skip
    return Response(orjson.dumps(page, option=orjson.OPT_UTC_Z), media_type="application/json")
