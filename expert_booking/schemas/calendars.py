"""An expert's calendar: session types, hours, and the slots that come of them."""

import re
from collections.abc import Sequence
from datetime import date, datetime
from hashlib import sha256
from typing import Annotated, Any, Final, Self
from uuid import UUID

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator

from expert_booking.domain.calendar import SlotState
from expert_booking.domain.hours import AvailabilityRule, OverrideKind, Window, clock_text
from expert_booking.domain.terms import Confirmation, Terms
from expert_booking.domain.unavailability import Blocker, Reason
from expert_booking.schemas.fields import (
    SLOT_DAYS,
    Day,
    Instant,
    Model,
    Name,
    Patch,
    Utc,
    ZoneName,
    at_most,
    clean,
    few,
    one_line,
    utc_text,
    wrong,
)

# More than anybody plans by hand.
PLAN_WINDOWS: Final = 200
MOST_SESSION_TYPES: Final = 50
DAY_WINDOWS: Final = 48
DAYS_OFF: Final = 3 * 366

# --- session types ----------------------------------------------------------------------------------------------

Description = Annotated[str, at_most(1000), AfterValidator(clean)]
SessionMinutes = Annotated[int, Field(ge=5, le=480)]
StepMinutes = Annotated[int, Field(ge=5, le=1440)]
BufferMinutes = Annotated[int, Field(ge=0, le=480)]
NoticeMinutes = Annotated[int, Field(ge=0, le=60 * 24 * 60)]
HorizonDays = Annotated[int, Field(ge=1, le=366)]
DailyCap = Annotated[int, Field(ge=1, le=100)]
Position = Annotated[int, Field(ge=1, le=1000)]
AnswerMinutes = Annotated[int, Field(ge=15, le=60 * 24 * 60)]
MaxReschedules = Annotated[int, Field(ge=0, le=100)]


class SessionTypeRequest(Model):
    """A new session type. Minutes are elapsed time; the horizon and the cap count the expert's local days.

    Customers may cancel and move their bookings until so long before the start, and move each at most so often.
    """

    title: Name
    description: Description = ""
    minutes: SessionMinutes = 60
    step_minutes: StepMinutes = 60
    before_minutes: BufferMinutes = 0
    after_minutes: BufferMinutes = 0
    notice_minutes: NoticeMinutes = 60
    horizon_days: HorizonDays = 60
    daily_cap: DailyCap | None = None
    confirmation: Confirmation = Confirmation.BY_EXPERT
    answer_minutes: AnswerMinutes = 2880
    cancel_notice_minutes: NoticeMinutes = 0
    reschedule_notice_minutes: NoticeMinutes = 0
    max_reschedules: MaxReschedules | None = None
    active: bool = True


class SessionTypeView(Model):
    """A session type as it is offered."""

    id: UUID
    title: str
    description: str = ""
    minutes: int
    step_minutes: int = 60
    before_minutes: int = 0
    after_minutes: int = 0
    notice_minutes: int = 0
    horizon_days: int = 60
    daily_cap: int | None = None
    confirmation: Confirmation = Confirmation.BY_EXPERT
    answer_minutes: int = 2880
    cancel_notice_minutes: int = 0
    reschedule_notice_minutes: int = 0
    max_reschedules: int | None = None
    active: bool = True

    @property
    def terms(self) -> Terms:
        """How its bookings are confirmed, cancelled and moved."""
        return Terms(self.confirmation, self.answer_minutes, self.cancel_notice_minutes, self.reschedule_notice_minutes,
                     self.max_reschedules)  # fmt: skip


class NewSessionType(SessionTypeRequest):
    """A new session type, shown after the others unless its position says otherwise."""

    position: Position | None = None


class SessionTypeChange(Patch):
    """What to change about a session type. `dailyCap: null` takes the cap away, and so does `maxReschedules: null`."""

    title: Name = ""
    description: Description = ""
    minutes: SessionMinutes = 60
    step_minutes: StepMinutes = 60
    before_minutes: BufferMinutes = 0
    after_minutes: BufferMinutes = 0
    notice_minutes: NoticeMinutes = 60
    horizon_days: HorizonDays = 60
    daily_cap: DailyCap | None = None
    confirmation: Confirmation = Confirmation.BY_EXPERT
    answer_minutes: AnswerMinutes = 2880
    cancel_notice_minutes: NoticeMinutes = 0
    reschedule_notice_minutes: NoticeMinutes = 0
    max_reschedules: MaxReschedules | None = None
    active: bool = True
    position: Position = 1


class PlacedSessionType(SessionTypeView):
    """A session type, and its place among the expert's others: the first is the one meant where none is named."""

    position: int


class SessionTypeList(Model):
    """An expert's session types, in their order."""

    session_types: Sequence[PlacedSessionType]


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


def _opening(text: str) -> str:
    if not re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]", text):
        raise ValueError("Please write a time of day such as 09:00.")
    return text


def _closing(text: str) -> str:
    if text != "24:00" and not re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]", text):
        raise ValueError("Please write a time of day such as 17:00, or 24:00 for the end of the day.")
    return text


OpeningTime = Annotated[str, AfterValidator(_opening), Field(examples=["09:00"])]
ClosingTime = Annotated[str, AfterValidator(_closing), Field(examples=["12:00"])]


class DayWindow(Model):
    """Hours by the expert's own clock; where they close no later than they open, they run past midnight."""

    opens: OpeningTime
    closes: ClosingTime

    @property
    def window(self) -> Window:
        """The same in minutes since midnight."""
        opens, closes = _minutes(self.opens), _minutes(self.closes)
        return Window(opens, closes if closes > opens else closes + 1440)

    @classmethod
    def showing(cls, window: Window) -> Self:
        """Hours as a clock shows them."""
        return cls(opens=clock_text(window.opens), closes=clock_text(window.closes))


class WeeklyWindow(DayWindow):
    """Hours of one weekday (1 = Monday), from the first to the last local date on which they open."""

    weekday: Annotated[int, Field(ge=1, le=7)]
    valid_from: Day | None = None
    valid_until: Day | None = None

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.valid_from and self.valid_until and self.valid_until < self.valid_from:
            raise wrong("validUntil", "`validUntil` must not be before `validFrom`.")
        return self

    @property
    def rule(self) -> AvailabilityRule:
        """The same as calendars have it."""
        return AvailabilityRule(self.weekday, *self.window, self.valid_from, self.valid_until)

    @classmethod
    def of(cls, rule: AvailabilityRule) -> Self:
        """A rule as programs have it."""
        opens, closes = clock_text(rule.opens), clock_text(rule.closes)
        return cls(
            weekday=rule.weekday, opens=opens, closes=closes, valid_from=rule.valid_from, valid_until=rule.valid_until
        )


WeeklyWindows = Annotated[Sequence[WeeklyWindow], Field(max_length=PLAN_WINDOWS), few(PLAN_WINDOWS)]


class WeeklyPlan(Model):
    """All weekly hours of an expert, and the zone whose clock they are read by."""

    time_zone: ZoneName
    windows: WeeklyWindows

    @property
    def version(self) -> str:
        """The same for the same plan, another for any other."""
        return sha256(self.model_dump_json().encode()).hexdigest()[:32]


# --- single dates -----------------------------------------------------------------------------------------------


class OverrideRequest(Model):
    """What is different on one date: `hours` instead of the weekly ones, `extra` hours as well, or `none`."""

    kind: OverrideKind
    windows: Annotated[Sequence[DayWindow], Field(max_length=DAY_WINDOWS), few(DAY_WINDOWS)] = ()

    @model_validator(mode="after")
    def _windows_where_wanted(self) -> Self:
        if self.kind is OverrideKind.NONE and self.windows:
            raise wrong("windows", "Where there are no hours there are no windows: please leave them out.")
        if self.kind is not OverrideKind.NONE and not self.windows:
            raise wrong("windows", "Please say which hours.")
        return self


class OverrideView(Model):
    """What is different on one of the expert's local dates."""

    day: Annotated[date, Field(alias="date")]
    kind: OverrideKind
    windows: Sequence[DayWindow]


class OverrideList(Model):
    """Dates on which something is different, in order."""

    overrides: Sequence[OverrideView]


class OverrideQuery(Model):
    """Which dates, both included; by default a year from today on."""

    since: Annotated[Day | None, Field(alias="from")] = None
    until: Annotated[Day | None, Field(alias="to")] = None

    @field_validator("until")
    @classmethod
    def _in_order(cls, until: date | None, info: ValidationInfo) -> date | None:
        since = info.data.get("since")
        if since and until and until < since:
            raise ValueError("`to` must not be before `from`.")
        return until


class DaysOffRequest(Model):
    """Local dates, both included, on which the expert takes no bookings. The reason is shown to nobody else."""

    first_day: Day
    last_day: Day
    reason: Annotated[str, at_most(200), AfterValidator(one_line)] = ""

    @field_validator("last_day")
    @classmethod
    def _in_order(cls, last: date, info: ValidationInfo) -> date:
        first = info.data.get("first_day", last)
        if last < first:
            raise ValueError("`lastDay` must not be before `firstDay`.")
        if (last - first).days >= DAYS_OFF:
            raise ValueError(f"Please take at most {DAYS_OFF} days off at once.")
        return last


class DaysOffView(Model):
    """Days off, as those see them who run the calendar."""

    id: UUID
    first_day: date
    last_day: date
    reason: str


class DaysOffList(Model):
    """Days off, the first to begin first."""

    days_off: Sequence[DaysOffView]


class DaysOffQuery(Model):
    """Which days off: those that end on this date or later; by default those that are not over yet."""

    since: Annotated[Day | None, Field(alias="from")] = None


def _minutes(clock: str) -> int:
    return int(clock[:2]) * 60 + int(clock[3:])


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


class BlockerView(Model):
    """Why a time is not free. The figures are the calendar's; the note is for those who run it."""

    reason: Reason
    message: str
    figures: dict[str, Any]
    note: str | None = None


def blocker_view(blocker: Blocker, *, with_note: bool = False) -> BlockerView:
    """An obstacle as programs get it: instants in UTC with a Z, dates as they are."""
    figures = {
        name: utc_text(figure) if isinstance(figure, datetime) else str(figure) if isinstance(figure, date) else figure
        for name, figure in blocker.figures.items()
    }
    note = blocker.note or None
    return BlockerView(reason=blocker.reason, message=str(blocker), figures=figures, note=note if with_note else None)


class SlotPage(Model):
    """The slots of some days in one session type."""

    expert_id: UUID
    session_type_id: UUID
    time_zone: str
    slots: Sequence[SlotView]


class ExplainQuery(Model):
    """Which instant, with an offset, and in which session type; by default in the one that visitors see first."""

    at: Instant
    session_type_id: UUID | None = None


class Explanation(Model):
    """Whether a session may start at an instant, and everything that is in the way, the first reason first."""

    at: Utc
    expert_id: UUID
    session_type_id: UUID
    time_zone: str
    local_time: str
    offered: bool
    reason: Reason | None
    message: str
    blockers: Sequence[BlockerView]
