"""Slots of an expert, and why a time is not available."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field, ValidationInfo, field_validator

from expert_booking.domain.calendar import SlotState
from expert_booking.domain.unavailability import Blocker, Reason
from expert_booking.schemas.fields import SLOT_DAYS, Day, Instant, Model, RequestModel, Utc, ZoneName, utc_text


class SlotQuery(RequestModel):
    """A range of local dates, both included, in `timeZone` (default: the expert's)."""

    since: Annotated[Day, Field(alias="from", description="The first date.")]
    until: Annotated[
        Day, Field(alias="to", description=f"The last date: not before `from`, and at most {SLOT_DAYS} days in all.")
    ]
    time_zone: ZoneName | None = None
    session_type_id: UUID | None = None

    @field_validator("until")
    @classmethod
    def _in_order(cls, until: date, info: ValidationInfo) -> date:
        since = info.data.get("since", until)  # an invalid `from` is already reported
        if until < since:
            raise ValueError("`to` must not be before `from`.")
        if (until - since).days >= SLOT_DAYS:
            raise ValueError(f"Please request at most {SLOT_DAYS} days.")
        return until


class SlotView(Model):
    """One bookable start."""

    starts_at: Utc
    ends_at: Utc
    state: SlotState


class BlockerView(Model):
    """One reason why a time is unavailable, with its figures. Only hosts see the note."""

    reason: Reason
    message: str
    figures: dict[str, Any]
    note: str | None = None


def blocker_view(blocker: Blocker, *, with_note: bool = False) -> BlockerView:
    """Convert a blocker for JSON: instants become RFC 3339 in UTC, dates `YYYY-MM-DD`."""
    figures = {
        name: utc_text(figure) if isinstance(figure, datetime) else str(figure) if isinstance(figure, date) else figure
        for name, figure in blocker.figures.items()
    }
    note = blocker.note or None
    return BlockerView(reason=blocker.reason, message=str(blocker), figures=figures, note=note if with_note else None)


class SlotPage(Model):
    """The slots of one session type in a range of dates."""

    expert_id: UUID
    session_type_id: UUID
    time_zone: str
    slots: Sequence[SlotView]


class ExplainQuery(RequestModel):
    """An instant with an offset, and a session type (default: the expert's first)."""

    at: Instant
    session_type_id: UUID | None = None


class Explanation(Model):
    """Whether a session can start at an instant. `obstacles` lists every reason against it, most important first."""

    at: Utc
    expert_id: UUID
    session_type_id: UUID
    time_zone: str
    local_time: str
    offered: bool
    reason: Reason | None
    message: str
    blockers: Annotated[Sequence[BlockerView], Field(alias="obstacles")]
