"""Which rules of a calendar a host may set aside, and the slot of a host. Overlapping is never among them."""

from collections.abc import Collection
from datetime import datetime
from enum import StrEnum
from typing import Final

from expert_booking.domain.calendar import Calendar, Slot
from expert_booking.domain.errors import SlotNotOffered, SlotTaken
from expert_booking.domain.unavailability import Reason


class RuleOverride(StrEnum):
    """A rule that a host sets aside for one booking. Days off and holidays are outside the hours, too."""

    OUTSIDE_HOURS = "outside_hours"
    OFF_GRID = "off_grid"
    MIN_NOTICE = "min_notice"
    BEYOND_HORIZON = "beyond_horizon"
    DAY_FULL = "day_full"


_ALLOWED_BY: Final = {
    Reason.OUTSIDE_HOURS: RuleOverride.OUTSIDE_HOURS,
    Reason.DAY_OFF: RuleOverride.OUTSIDE_HOURS,
    Reason.HOLIDAY: RuleOverride.OUTSIDE_HOURS,
    Reason.OFF_GRID: RuleOverride.OFF_GRID,
    Reason.MIN_NOTICE: RuleOverride.MIN_NOTICE,
    Reason.BEYOND_HORIZON: RuleOverride.BEYOND_HORIZON,
    Reason.DAY_FULL: RuleOverride.DAY_FULL,
}


def slot_for_host(
    calendar: Calendar, starts_at: datetime, now: datetime, override: Collection[RuleOverride]
) -> tuple[Slot, list[RuleOverride]]:
    """The slot that starts at exactly this instant, and those of these overrides that it needs. Instants are UTC.

    Raises SlotTaken if it overlaps the busy time, and SlotNotOffered with the reason otherwise. If naming overrides
    would allow it, the refusal lists all that it needs.
    """
    blockers = list(calendar.blockers(starts_at, now))
    for blocker in blockers:
        if blocker.reason in (Reason.BUSY, Reason.HELD):
            raise SlotTaken(blocker)
        if blocker.reason not in _ALLOWED_BY:
            raise SlotNotOffered(blocker)
    needed = [_ALLOWED_BY[blocker.reason] for blocker in blockers]
    for blocker, one in zip(blockers, needed, strict=True):
        if one not in override:
            refusal = SlotNotOffered(blocker)
            refusal.override = tuple(needed)
            raise refusal
    return calendar.slot_at(starts_at), needed
