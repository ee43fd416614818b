"""An expert's calendar: session types, hours, and the slots that come of them."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator

from expert_booking.domain.calendar import SlotState
from expert_booking.domain.obstacles import Obstacle, Reason
from expert_booking.schemas.words import SLOT_DAYS, Day, Model, Name, Utc, ZoneName, at_most, clean, utc_text

# --- session types ----------------------------------------------------------------------------------------------

Description = Annotated[str, at_most(1000), AfterValidator(clean)]
SessionMinutes = Annotated[int, Field(ge=5, le=480)]
StepMinutes = Annotated[int, Field(ge=5, le=1440)]
BufferMinutes = Annotated[int, Field(ge=0, le=480)]
NoticeMinutes = Annotated[int, Field(ge=0, le=60 * 24 * 60)]
HorizonDays = Annotated[int, Field(ge=1, le=366)]
DailyCap = Annotated[int, Field(ge=1, le=100)]


class SessionTypeRequest(Model):
    """A new session type. Minutes are elapsed time; the horizon and the cap count the expert's local days."""

    title: Name
    description: Description = ""
    minutes: SessionMinutes = 60
    step_minutes: StepMinutes = 60
    before_minutes: BufferMinutes = 0
    after_minutes: BufferMinutes = 0
    notice_minutes: NoticeMinutes = 60
    horizon_days: HorizonDays = 60
    daily_cap: DailyCap | None = None
    active: bool = True


class SessionTypeView(SessionTypeRequest):
    """A session type as it is offered."""

    id: UUID


# --- weekly hours -----------------------------------------------------------------------------------------------


class RuleRequest(Model):
    """Weekly hours in the expert's zone, in minutes since midnight; `closes` past 1440 is the next day.

    `valid_from` and `valid_until` are the first and the last local date on which such hours open.
    """

    weekday: Annotated[int, Field(ge=1, le=7)]
    opens: Annotated[int, Field(ge=0, lt=1440)]
    closes: Annotated[int, Field(gt=0, le=2880)]
    valid_from: Day | None = None
    valid_until: Day | None = None

    @model_validator(mode="after")
    def _closes_later(self) -> Self:
        if not self.opens < self.closes <= self.opens + 1440:
            raise ValueError("Hours must close after they open, at most a day later.")
        return self


# --- slots ------------------------------------------------------------------------------------------------------


class SlotQuery(Model):
    """Which slots: local dates, both included. `time_zone` says whose dates; by default the expert's."""

    since: Annotated[Day, Field(alias="from")]
    until: Annotated[Day, Field(alias="to")]
    time_zone: ZoneName | None = None
    session_type_id: UUID | None = None

    @field_validator("until")
    @classmethod
    def _in_order(cls, until: date, info: ValidationInfo) -> date:
        since = info.data.get("since", until)  # where `from` is wrong itself, that is said already
        if until < since:
            raise ValueError("`to` must not be before `from`.")
        if (until - since).days >= SLOT_DAYS:
            raise ValueError(f"Please ask for at most {SLOT_DAYS} days at once.")
        return until


class SlotView(Model):
    """One start."""

    starts_at: Utc
    ends_at: Utc
    state: SlotState


class ObstacleView(Model):
    """Why a time is not free. The figures are the calendar's; the note is for those who run it."""

    reason: Reason
    message: str
    figures: dict[str, Any]
    note: str | None = None


def obstacle_view(obstacle: Obstacle, *, with_note: bool = False) -> ObstacleView:
    """An obstacle as programs get it: instants in UTC with a Z, dates as they are."""
    figures = {
        name: utc_text(figure) if isinstance(figure, datetime) else str(figure) if isinstance(figure, date) else figure
        for name, figure in obstacle.figures.items()
    }
    note = obstacle.note or None
    return ObstacleView(
        reason=obstacle.reason, message=str(obstacle), figures=figures, note=note if with_note else None
    )


class SlotPage(Model):
    """The slots of some days in one session type."""

    expert_id: UUID
    session_type_id: UUID
    time_zone: str
    slots: Sequence[SlotView]
