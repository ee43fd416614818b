"""REST endpoints below `/experts/{expert}/session-types`."""

from enum import Enum
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Response

from expert_booking.api.callers import TOKEN_IS_OPTIONAL
from expert_booking.api.error_docs import (
    HOST_ERRORS,
    INVALID,
    NO_EXPERT,
    NO_PROOF,
    NO_SESSION_TYPE,
    TOO_LARGE,
    TOO_MANY,
    body_example,
    created_response,
    error_responses,
    example_response,
    refused,
)
from expert_booking.api.path_ids import ExpertReference, parse_id
from expert_booking.domain.errors import SessionTypeInUse, SessionTypeNotFound
from expert_booking.schemas import (
    Caller,
    NewSessionType,
    PlacedSessionType,
    SessionTypeChange,
    SessionTypeList,
    SessionTypeOrder,
)
from expert_booking.services import Services
from expert_booking.services.calendars import CalendarKey

_ID: Final = "0b6f3a52-1d8e-4f0a-8a44-6c2b9d7e1f30"
NEW_SESSION_TYPE: Final[dict[str, Any]] = {
    "title": "Career consultation", "description": "An hour for one question.", "minutes": 60, "stepMinutes": 30,
    "beforeMinutes": 0, "afterMinutes": 15, "noticeMinutes": 120, "horizonDays": 60, "dailyCap": 4,
    "confirmation": "by_expert", "answerMinutes": 1440, "cancelNoticeMinutes": 1440, "rescheduleNoticeMinutes": 60,
    "maxReschedules": 2, "emailVerification": "new_addresses", "price": {"amount": 4500, "currency": "EUR"},
    "paymentNote": "Please pay by bank transfer after the session.",
    "locations": [
        {"kind": "video", "text": "https://video.example.com/{room}", "id": "video"},
        {"kind": "address", "text": "1 High Street, London", "id": "office"},
    ],
    "questions": [
        {"id": "goal", "kind": "long_text", "text": "What would you like to achieve?", "required": True,
         "sensitive": False, "options": []},
        {"id": "known", "kind": "choice", "text": "Have we met before?", "required": False, "sensitive": False,
         "options": ["No", "In a talk", "In a session"]},
    ],
    "active": True,
}  # fmt: skip
# As the public sees it.
SESSION_TYPE: Final = {
    "id": _ID, **NEW_SESSION_TYPE,
    "locations": [{**location, "text": location["text"] * (location["kind"] != "video")}
                  for location in NEW_SESSION_TYPE["locations"]],
}  # fmt: skip
_PLACED: Final = {"id": _ID, **NEW_SESSION_TYPE, "position": 1}
_TAGS: Final[list[str | Enum]] = ["session types"]

TypeReference = Annotated[str, Path(description="The id of the session type.", examples=[_ID])]


def add_session_types(router: APIRouter, services: Services, key: Any, caller_from_token: Any) -> None:
    """Add the endpoints to the router of calendars. `key` is the dependency that checks for a host."""
    path, one = "/{expert}/session-types", "/{expert}/session-types/{session_type}"
    listed = example_response(200, "The session types, by position.", {"sessionTypes": [_PLACED]})

    @router.get(
        path,
        tags=_TAGS,
        summary="List session types",
        responses={**listed, **error_responses(NO_PROOF, NO_EXPERT)},
        openapi_extra=TOKEN_IS_OPTIONAL,
    )
    async def list_session_types(expert: ExpertReference, caller: Caller | None = caller_from_token) -> SessionTypeList:
        """Return the session types of an expert, by position. The expert and admins also see inactive ones."""
        return await services.calendars.session_types(expert, caller)

    @router.post(
        path,
        status_code=201,
        tags=_TAGS,
        summary="Add a session type",
        responses={
            **created_response("The new session type.", _PLACED),
            **error_responses(*HOST_ERRORS, TOO_MANY, TOO_LARGE, INVALID),
        },
    )
    async def add_session_type(
        request: Annotated[NewSessionType, body_example(NEW_SESSION_TYPE)],
        response: Response,
        key: CalendarKey = key,
    ) -> PlacedSessionType:
        """Add a session type. Without a `position` it is listed last.

        With `confirmation` `at_once`, bookings are confirmed instantly. With `by_expert`, the expert has
        `answerMinutes` to confirm a booking before it expires. Customers may cancel up to `cancelNoticeMinutes` before
        the start and reschedule up to `rescheduleNoticeMinutes` before it, at most `maxReschedules` times (`null`: no
        limit).

        With `emailVerification` `always`, a booking waits for up to 30 minutes until its customer confirms the email
        address, and only then the expert is told. With `new_addresses`, this applies to addresses with which no session
        was ever attended and no booking ever confirmed.

        The `price` counts the currency's minor unit, as ISO 4217 defines it: `{"amount": 4500, "currency": "EUR"}` is
        €45.00. An amount of 0 means free; `null` states no price. `paymentNote` says how to pay.

        With several `locations`, the customer chooses one. The link of a video call and the number of a phone call are
        shown only to the two sides of a confirmed booking. `{room}` in a link becomes a name of its own for each
        booking. Of kind `customer`, the customer names the place.

        Customers answer the `questions`, at most 10, when they book. Keep the `id` of a question when you change its
        text. Answers to `sensitive` questions are shown only after signing in, and are never sent by email.
        """
        added = await services.calendars.add_session_type(key, request)
        response.headers["Location"] = f"/experts/{key.expert_id}/session-types/{added.id}"
        return added

    changed = example_response(200, "The changed session type.", _PLACED)

    @router.patch(
        one,
        tags=_TAGS,
        summary="Change a session type",
        responses={**changed, **error_responses(*HOST_ERRORS, NO_SESSION_TYPE, TOO_LARGE, INVALID)},
    )
    async def change_session_type(
        session_type: TypeReference,
        request: Annotated[
            SessionTypeChange, body_example({"minutes": 45, "cancelNoticeMinutes": 720, "maxReschedules": None})
        ],
        key: CalendarKey = key,
    ) -> PlacedSessionType:
        """Change the fields that are sent, and leave the others as they are.

        Existing bookings keep their terms. They count towards a new daily cap.
        """
        return await services.calendars.change_session_type(key, parse_id(session_type, SessionTypeNotFound), request)

    ordered = example_response(200, "The session types in their new order.", {"sessionTypes": [_PLACED]})

    @router.put(
        f"{path}/order",
        tags=_TAGS,
        summary="Reorder session types",
        responses={**ordered, **error_responses(*HOST_ERRORS, TOO_LARGE, INVALID)},
    )
    async def order_session_types(
        request: Annotated[SessionTypeOrder, body_example({"ids": [_ID]})], key: CalendarKey = key
    ) -> SessionTypeList:
        """Put the session types in another order. `ids` names each of them once. The first one is preselected."""
        return await services.calendars.order_session_types(key, request.ids)

    @router.post(
        f"{one}/duplicate",
        status_code=201,
        tags=_TAGS,
        summary="Duplicate a session type",
        responses={
            **created_response("The copy.", {**_PLACED, "title": "Copy of Career consultation", "active": False}),
            **error_responses(*HOST_ERRORS, NO_SESSION_TYPE, TOO_MANY),
        },
    )
    async def duplicate_session_type(
        session_type: TypeReference, response: Response, key: CalendarKey = key
    ) -> PlacedSessionType:
        """Add a copy of a session type. It is listed last, and is not `active` until you switch it on."""
        copy = await services.calendars.duplicate_session_type(key, parse_id(session_type, SessionTypeNotFound))
        response.headers["Location"] = f"/experts/{key.expert_id}/session-types/{copy.id}"
        return copy

    @router.delete(
        one,
        status_code=204,
        tags=_TAGS,
        summary="Delete a session type",
        response_description="The session type is deleted.",
        responses=error_responses(*HOST_ERRORS, NO_SESSION_TYPE, refused(SessionTypeInUse)),
    )
    async def remove_session_type(session_type: TypeReference, key: CalendarKey = key) -> None:
        """Delete a session type that was never booked. To retire one that has bookings, set `active` to false."""
        await services.calendars.remove_session_type(key, parse_id(session_type, SessionTypeNotFound))
