"""Problem details (RFC 9457): the JSON body of every error response."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Final

from pydantic import Field

from expert_booking.domain.rule_overrides import RuleOverride
from expert_booking.domain.unavailability import Reason
from expert_booking.schemas.blocks import ConflictView
from expert_booking.schemas.fields import Model, Utc
from expert_booking.schemas.validation_messages import FieldError

PROBLEM_JSON: Final = "application/problem+json"

_FIGURES: Final = """\
Details of the `reason`. past: now · min_notice: noticeMinutes, bookableFrom · beyond_horizon: horizonDays, lastDay ·
day_off: firstDay, lastDay · holiday: day, holiday · outside_hours: day, hours · off_grid: stepMinutes, before, after ·
busy, held: busyFrom, busyUntil · day_full: day, booked, dailyCap. Instants are in UTC, days and hours in the expert's
time zone. With `booking_limit_reached`: scope (`expert` or `all`), limit, current. With `code_wrong`: attemptsLeft."""


class Problem(Model):
    """An error. `code` is stable and meant for programs, `detail` is meant for people."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    code: str
    errors: Sequence[FieldError] | None = Field(None, description="With 422: the invalid fields.")
    reason: Reason | None = Field(
        None, description="With `slot_not_offered` and `slot_taken`: why the time is unavailable."
    )
    figures: dict[str, Any] | None = Field(None, description=_FIGURES)
    override: Sequence[RuleOverride] | None = Field(
        None, description="For hosts, with `slot_not_offered`: the `override` with which the time can be booked."
    )
    conflicts: Sequence[ConflictView] | None = Field(None, description="With `block_conflict`: what is in the way.")
    alternatives: Sequence[Utc] | None = Field(
        None, description="With a `reason`: the nearest free starts of the same session type, in order of time."
    )
    request_id: str | None = Field(
        None, description="With 5xx: the request id, to find the error in the log. Also in `X-Request-Id`."
    )


def problem_body(status: int, code: str, detail: str, **members: Any) -> dict[str, Any]:
    """The body of an error response, with `members` as additional members of the problem object."""
    title = HTTPStatus(status).phrase
    return {"type": "about:blank", "title": title, "status": status, "detail": detail, "code": code, **members}
