"""Blocks: time that a host keeps free by hand."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Annotated, Final
from uuid import UUID

from pydantic import Field, ValidationInfo, field_validator, model_validator

from expert_booking.domain.lifecycle import Status
from expert_booking.schemas.fields import Day, Instant, Model, RequestModel, Utc, invalid_field, lines

BLOCK_NOTE_LENGTH: Final = 500
MAX_BLOCK: Final = timedelta(hours=48)
# The most days in one list of blocks.
BLOCK_DAYS: Final = 366


def _whole_minute(instant: datetime) -> datetime:
    if instant.second or instant.microsecond:
        raise ValueError("Please use a whole minute.")
    return instant


class BlockRequest(RequestModel):
    """Time to keep free, to the minute. With `repeatWeekly`, every week at the same local time of the expert."""

    starts_at: Instant
    ends_at: Annotated[Instant, Field(description="At most 48 hours after `startsAt`. Use days off for longer times.")]
    note: Annotated[str, lines(BLOCK_NOTE_LENGTH), Field(description="Only hosts of this calendar see it.")] = ""
    repeat_weekly: bool = False
    repeat_until: Annotated[
        Day | None, Field(description="With `repeatWeekly`: the last local date. null: no end.")
    ] = None
    skip_conflicts: Annotated[
        bool, Field(description="Leave out the times that are not free, instead of refusing the request.")
    ] = False

    @field_validator("starts_at", "ends_at")
    @classmethod
    def _minute(cls, instant: datetime) -> datetime:
        return _whole_minute(instant)

    @field_validator("ends_at")
    @classmethod
    def _in_order(cls, ends_at: datetime, info: ValidationInfo) -> datetime:
        starts_at = info.data.get("starts_at")
        if starts_at is None:  # already reported
            return ends_at
        if ends_at <= starts_at:
            raise ValueError("`endsAt` must be after `startsAt`.")
        if ends_at - starts_at > MAX_BLOCK:
            raise ValueError("Please block at most 48 hours at once. Use days off for longer times.")
        return ends_at

    @model_validator(mode="after")
    def _only_with_repetition(self) -> "BlockRequest":
        if self.repeat_until is not None and not self.repeat_weekly:
            raise invalid_field("repeatUntil", "Please send `repeatUntil` only with `repeatWeekly`.")
        return self


class BlockView(Model):
    """Time that a host keeps free, as hosts see it."""

    id: UUID
    starts_at: Utc
    ends_at: Utc
    note: str
    series_id: Annotated[UUID | None, Field(description="The blocks of one weekly series have the same.")] = None
    version: int


class ConflictView(Model):
    """What is in the way of a block: a booking, a hold or another block. Holds have no name."""

    wanted_starts_at: Annotated[Utc, Field(description="The start of the block that is not possible.")]
    booking_id: Annotated[UUID | None, Field(description="null: a hold.")]
    starts_at: Utc
    ends_at: Utc
    status: Status
    customer_name: str | None = None


class BlocksAdded(Model):
    """The new blocks, earliest first, and what was in the way of those that were left out."""

    series_id: UUID | None
    blocks: Sequence[BlockView]
    conflicts: Sequence[ConflictView]


class BlockList(Model):
    """Blocks, earliest first."""

    blocks: Sequence[BlockView]


class BlockQuery(RequestModel):
    """The blocks that overlap these local dates of the expert, both included. The default is 30 days from today."""

    since: Annotated[Day | None, Field(alias="from", description="The first date.")] = None
    until: Annotated[
        Day | None, Field(alias="to", description="The last date: not before `from`, and at most 366 days in all.")
    ] = None

    @field_validator("until")
    @classmethod
    def _in_order(cls, until: date | None, info: ValidationInfo) -> date | None:
        since = info.data.get("since")
        if since and until and until < since:
            raise ValueError("`to` must not be before `from`.")
        if since and until and (until - since).days >= BLOCK_DAYS:
            raise ValueError(f"Please request at most {BLOCK_DAYS} days.")
        return until


class BlockDeletion(RequestModel):
    """Whether to delete one block, or all of its series."""

    series: Annotated[bool, Field(description="Delete the whole series that the block belongs to.")] = False
