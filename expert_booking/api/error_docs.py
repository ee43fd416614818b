"""OpenAPI documentation of requests and responses: examples, and the errors of each endpoint."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from fastapi import Body

from expert_booking.api.problems import BODY_TOO_LARGE, CODES, status_of
from expert_booking.domain.errors import (
    BookingNotFound,
    CodeWrong,
    ExpertNotFound,
    FieldsWrong,
    Forbidden,
    NotAuthenticated,
    Refusal,
    SessionTypeNotFound,
    SlotNotOffered,
    SlotTaken,
    SlugTaken,
    TooMany,
    Unavailable,
)
from expert_booking.domain.unavailability import Blocker, Reason
from expert_booking.schemas import PROBLEM_JSON, Problem, problem_body

Responses = dict[int | str, dict[str, Any]]


class ErrorDoc(NamedTuple):
    """An error that an endpoint can return. `detail` is an example: a few details contain values of the request."""

    status: int
    code: str
    detail: str


def refused(refusal: type[Refusal], detail: str = "") -> ErrorDoc:
    """Document a refusal. `detail` defaults to the docstring of its class, its general sentence."""
    return ErrorDoc(status_of(refusal), refusal.code, detail or refusal.__doc__ or "")


NO_PROOF: Final = refused(NotAuthenticated)
FORBIDDEN: Final = refused(Forbidden)
NO_EXPERT: Final = refused(ExpertNotFound)
NO_SESSION_TYPE: Final = refused(SessionTypeNotFound)
NO_BOOKING: Final = refused(BookingNotFound)
SLOT_TAKEN: Final = refused(SlotTaken, str(Blocker(Reason.BUSY)))
TOO_LARGE: Final = ErrorDoc(413, CODES[413], BODY_TOO_LARGE)
SLOT_NOT_OFFERED: Final = refused(SlotNotOffered, str(Blocker(Reason.OUTSIDE_HOURS)))
INVALID: Final = refused(FieldsWrong)
TOO_MANY: Final = refused(TooMany)
CODE_WRONG: Final = refused(CodeWrong, str(CodeWrong(4)))
UNAVAILABLE: Final = refused(Unavailable)
# The errors of every endpoint that only hosts may call.
HOST_ERRORS: Final = (NO_PROOF, FORBIDDEN, NO_EXPERT)

_ALTERNATIVES: Final = ["2026-11-24T08:00:00Z", "2026-11-24T10:00:00Z", "2026-11-24T11:00:00Z"]
_EXAMPLE_MEMBERS: Final[Mapping[str, Any]] = {
    "validation_failed": {"errors": [{"field": "email", "message": "Please fill this in."}]},
    "slug_taken": {"errors": [{"field": "slug", "message": SlugTaken.__doc__}]},
    "code_wrong": {
        "errors": [{"field": "code", "message": "This code is not correct. You can try 4 more times."}],
        "figures": {"attemptsLeft": 4},
    },
    "slot_taken": {
        "reason": "busy", "figures": {"busyFrom": "2026-11-24T09:00:00Z", "busyUntil": "2026-11-24T10:00:00Z"},
        "alternatives": _ALTERNATIVES,
    },
    "slot_not_offered": {
        "reason": "outside_hours", "figures": {"day": "2026-11-24", "hours": ["09:00–13:00"]},
        "alternatives": _ALTERNATIVES, "errors": [{"field": "startsAt", "message": SLOT_NOT_OFFERED.detail}],
    },
    "booking_limit_reached": {"figures": {"scope": "expert", "limit": 3, "current": 3}},
}  # fmt: skip


def example_response(
    status: int, description: str, value: Any = None, *, headers: Mapping[str, str] | None = None, **named: Any
) -> Responses:
    """Document a success with one example, or with several by name, and its headers with their descriptions."""
    media: dict[str, Any] = {"examples": {name: {"value": one} for name, one in named.items()}}
    response: dict[str, Any] = {
        "description": description,
        "content": {"application/json": media if named else {"example": value}},
    }
    if headers:
        response["headers"] = {
            name: {"description": text, "schema": {"type": "string"}} for name, text in headers.items()
        }
    return {status: response}


def created_response(description: str, value: Any) -> Responses:
    """Document a 201 with one example and its `Location`."""
    return example_response(201, description, value, headers={"Location": "The URL of the new resource."})


def body_example(value: Any) -> Any:
    """Document the request body with one example."""
    return Body(openapi_examples={"example": {"value": value}})


def error_responses(*docs: ErrorDoc) -> Responses:
    """Document the errors of an endpoint; those with the same status share one response with several examples."""
    responses: Responses = {}
    for doc in docs:
        response = responses.setdefault(
            doc.status, {"description": "", "model": Problem, "content": {PROBLEM_JSON: {"examples": {}}}}
        )
        response["description"] = _joined(response["description"], f"`{doc.code}`: {doc.detail}")
        body = problem_body(doc.status, doc.code, doc.detail, **_EXAMPLE_MEMBERS.get(doc.code, {}))
        response["content"][PROBLEM_JSON]["examples"][doc.code] = {"value": body}
        if doc.status == 429:
            response["headers"] = {"Retry-After": {"description": "In seconds.", "schema": {"type": "integer"}}}
    return responses


def add_error_responses(operation: dict[str, Any], *docs: ErrorDoc) -> None:
    """Add errors to an operation of a finished OpenAPI document."""
    for status, added in error_responses(*docs).items():
        empty = {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": {}}
        response = operation["responses"].setdefault(str(status), {"description": "", "content": {PROBLEM_JSON: empty}})
        response["description"] = _joined(response["description"], added["description"])
        response["content"][PROBLEM_JSON]["examples"] |= added["content"][PROBLEM_JSON]["examples"]


def correct_error_responses(document: dict[str, Any]) -> None:
    """Correct what FastAPI generates: errors as `application/json`, and a 422 for endpoints that have none."""
    for operation in (operation for path in document["paths"].values() for operation in path.values()):
        for status, response in list(operation["responses"].items()):
            content = response.get("content", {})
            if PROBLEM_JSON in content:
                content[PROBLEM_JSON]["schema"] = content.pop("application/json")["schema"]
            elif status == "422":
                del operation["responses"][status]
    for unused in ("HTTPValidationError", "ValidationError"):
        document["components"]["schemas"].pop(unused, None)


def _joined(*descriptions: str) -> str:
    return " ".join(filter(None, descriptions))
