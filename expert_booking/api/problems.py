"""Errors as RFC 9457 has them, and how the documentation tells of them."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

from fastapi.responses import JSONResponse
from pydantic import Field

from expert_booking.domain.errors import (
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
from expert_booking.domain.unavailability import Reason
from expert_booking.logs import request_id
from expert_booking.schemas import FieldError, Model, Utc, blocker_view, utc_text

MEDIA_TYPE: Final = "application/problem+json"
CODES: Final = {404: "not_found", 405: "method_not_allowed", 413: "body_too_large"}
_KINDS: Final[tuple[tuple[type[Refusal], int], ...]] = (
    (NotFound, 404),
    (Conflict, 409),
    (PreconditionFailed, 412),
    (Invalid, 422),
    (NotAuthenticated, 401),
    (Forbidden, 403),
    (TooManyRequests, 429),
    (Unavailable, 503),
)

FIGURES: Final = """\
With a `reason`, what it is about. past: now · min_notice: noticeMinutes, bookableFrom · beyond_horizon: horizonDays,
lastDay · day_off: firstDay, lastDay · holiday: day, holiday · outside_hours: day, hours · off_grid: stepMinutes,
before, after · busy, held: busyFrom, busyUntil · day_full: day, booked, dailyCap. Instants are UTC, days and hours the
expert's own."""


class Problem(Model):
    """What went wrong: `code` is stable and for programs, `detail` for people."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    code: str
    errors: Sequence[FieldError] | None = Field(None, description="With 422: what is wrong with which field.")
    reason: Reason | None = Field(None, description="With `slot_not_offered` and `slot_taken`: why, for programs.")
    figures: dict[str, Any] | None = Field(None, description=FIGURES)
    alternatives: Sequence[Utc] | None = Field(
        None, description="With a `reason`: the nearest free starts of the same session, in order of time."
    )
    request_id: str | None = Field(None, description="With 5xx: by what it is found in the log, as `X-Request-Id` too.")


def problem(
    status: int, code: str, detail: str, *, headers: Mapping[str, str] | None = None, **more: Any
) -> JSONResponse:
    """An error answer."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail, "code": code}
    if status >= 500 and request_id.get() is not None:
        more["requestId"] = request_id.get()
    return JSONResponse({**body, **more}, status, headers=headers, media_type=MEDIA_TYPE)


def refusal_problem(refusal: Refusal) -> JSONResponse:
    """A refusal as an error answer: its kind gives the status, its class the code."""
    status = next((status for kind, status in _KINDS if isinstance(refusal, kind)), 400)
    if isinstance(refusal, SlotNotOffered | SlotTaken):
        why = blocker_view(refusal.blocker)
        errors: dict[str, Any] = {"errors": [{"field": "startsAt", "message": str(refusal)}]} if status == 422 else {}
        others = [utc_text(start) for start in refusal.alternatives]
        more = {"reason": why.reason, "figures": why.figures, "alternatives": others, **errors}
        return problem(status, refusal.code, str(refusal), **more)
    if isinstance(refusal, FieldsWrong):
        wrong = [{"field": field, "message": message} for field, message in refusal.errors.items()]
        return problem(status, refusal.code, str(refusal), errors=wrong)
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
    if isinstance(refusal, PlanChanged):
        headers["ETag"] = f'"{refusal.version}"'
    if isinstance(refusal, TooManyRequests):
        headers["Retry-After"] = str(refusal.retry_after)
    return problem(status, refusal.code, str(refusal), headers=headers)


_OTHERS: Final = ["2026-11-24T08:00:00Z", "2026-11-24T10:00:00Z", "2026-11-24T11:00:00Z"]
_TOLD_MORE: Final[Mapping[str, Any]] = {
    "slot_taken": {
        "reason": "busy", "figures": {"busyFrom": "2026-11-24T09:00:00Z", "busyUntil": "2026-11-24T10:00:00Z"},
        "alternatives": _OTHERS,
    },
    "slot_not_offered": {
        "reason": "outside_hours", "figures": {"day": "2026-11-24", "hours": ["09:00–13:00"]}, "alternatives": _OTHERS,
    },
}  # fmt: skip


def told(*cases: tuple[int, str, str]) -> dict[int | str, dict[str, Any]]:
    """For the documentation: which errors an endpoint gives, each as (status, code, when)."""
    responses: dict[int | str, dict[str, Any]] = {}
    for status, code, when in cases:
        example = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": when,
                   "code": code}  # fmt: skip
        if code == "validation_failed":
            example |= {"errors": [{"field": "email", "message": "Please fill this in."}]}
        example |= _TOLD_MORE.get(code, {})
        if code == "slot_not_offered":
            example |= {"errors": [{"field": "startsAt", "message": when}]}
        told_so_far = responses.setdefault(
            status, {"description": "", "model": Problem, "content": {MEDIA_TYPE: {"examples": {}}}}
        )
        told_so_far["description"] = "; ".join(filter(None, (told_so_far["description"], f"`{code}`: {when}")))
        told_so_far["content"][MEDIA_TYPE]["examples"][code] = {"value": example}
        if status == 429:
            told_so_far["headers"] = {"Retry-After": {"description": "In seconds.", "schema": {"type": "integer"}}}
    return responses


def tell(operation: dict[str, Any], *cases: tuple[int, str, str]) -> None:
    """The same for an endpoint whose documentation is there already."""
    for status, more in told(*cases).items():
        unsaid = {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": {}}
        answer = operation["responses"].setdefault(str(status), {"description": "", "content": {MEDIA_TYPE: unsaid}})
        answer["description"] = "; ".join(filter(None, (answer["description"], more["description"])))
        answer["content"][MEDIA_TYPE]["examples"] |= more["content"][MEDIA_TYPE]["examples"]


def as_served(documentation: dict[str, Any]) -> None:
    """Correct what FastAPI writes: errors as application/json, and a 422 of its own where there is none."""
    for operation in (operation for path in documentation["paths"].values() for operation in path.values()):
        for status, response in list(operation["responses"].items()):
            content = response.get("content", {})
            if MEDIA_TYPE in content:
                content[MEDIA_TYPE]["schema"] = content.pop("application/json")["schema"]
            elif status == "422":
                del operation["responses"][status]
    for unused in ("HTTPValidationError", "ValidationError"):
        documentation["components"]["schemas"].pop(unused, None)
