"""Error responses: every refusal becomes an `application/problem+json` document (RFC 9457)."""

from collections.abc import Mapping
from typing import Any, Final

from fastapi.responses import JSONResponse

from expert_booking.domain.errors import (
    BlockConflict,
    BookingLimitReached,
    CodeWrong,
    Conflict,
    FieldsWrong,
    Forbidden,
    Invalid,
    NotAuthenticated,
    NotFound,
    PlanChanged,
    PreconditionFailed,
    Refusal,
    SlotNotOffered,
    SlotTaken,
    TooManyRequests,
    Unavailable,
)
from expert_booking.logs import request_id
from expert_booking.schemas import PROBLEM_JSON, blocker_view, problem_body, utc_text

# The longest request body, in bytes.
BODY_LIMIT: Final = 64 * 1024
BODY_TOO_LARGE: Final = f"Request body too large (limit {BODY_LIMIT // 1024} kB)."
# Codes of errors that have no refusal class, by status.
CODES: Final = {404: "not_found", 405: "method_not_allowed", 413: "body_too_large"}
_STATUSES: Final[tuple[tuple[type[Refusal], int], ...]] = (
    (NotFound, 404),
    (Conflict, 409),
    (PreconditionFailed, 412),
    (Invalid, 422),
    (NotAuthenticated, 401),
    (Forbidden, 403),
    (TooManyRequests, 429),
    (Unavailable, 503),
)


def status_of(refusal: type[Refusal]) -> int:
    """The HTTP status of a refusal class."""
    return next((status for kind, status in _STATUSES if issubclass(refusal, kind)), 400)


def problem(
    status: int, code: str, detail: str, *, headers: Mapping[str, str] | None = None, **members: Any
) -> JSONResponse:
    """An error response; one with a status of 500 or above gets the `requestId`."""
    if status >= 500 and request_id.get() is not None:
        members["requestId"] = request_id.get()
    body = problem_body(status, code, detail, **members)
    return JSONResponse(body, status, headers=headers, media_type=PROBLEM_JSON)


def refusal_problem(refusal: Refusal) -> JSONResponse:
    """The error response for a refusal: its base class gives the status, its class the code."""
    status = status_of(type(refusal))
    if isinstance(refusal, SlotNotOffered | SlotTaken):
        return _slot_problem(status, refusal)
    if isinstance(refusal, FieldsWrong):
        errors = [{"field": field, "message": message} for field, message in refusal.errors.items()]
        return problem(status, refusal.code, str(refusal), errors=errors)
    if isinstance(refusal, BookingLimitReached):
        return problem(status, refusal.code, str(refusal), figures=refusal.figures)
    if isinstance(refusal, BlockConflict):
        conflicts = [conflict.model_dump(mode="json", by_alias=True) for conflict in refusal.conflicts]
        return problem(status, refusal.code, str(refusal), conflicts=conflicts)
    if isinstance(refusal, CodeWrong):
        errors = [{"field": "code", "message": str(refusal)}]
        return problem(status, refusal.code, str(refusal), errors=errors, figures={"attemptsLeft": refusal.left})
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
    if isinstance(refusal, PlanChanged):
        headers["ETag"] = f'"{refusal.version}"'
    if isinstance(refusal, TooManyRequests):
        headers["Retry-After"] = str(refusal.retry_after)
    return problem(status, refusal.code, str(refusal), headers=headers)


def _slot_problem(status: int, refusal: SlotNotOffered | SlotTaken) -> JSONResponse:
    blocker = blocker_view(refusal.blocker)
    alternatives = [utc_text(start) for start in refusal.alternatives]
    members: dict[str, Any] = {
        "reason": blocker.reason,
        "figures": blocker.figures,
        "alternatives": alternatives,
    }
    if status == 422:
        members["errors"] = [{"field": "startsAt", "message": str(refusal)}]
    if isinstance(refusal, SlotNotOffered) and refusal.override:
        members["override"] = refusal.override
    return problem(status, refusal.code, str(refusal), **members)
