"""Why a time cannot be booked: a reason code for programs, the figures behind it, and a message for people."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum

Figure = int | str | date | datetime | list[str]
Figures = Mapping[str, Figure]


class Reason(StrEnum):
    """Why a time cannot be booked, in the order in which reasons are reported."""

    INACTIVE = "inactive"
    PAST = "past"
    MIN_NOTICE = "min_notice"
    BEYOND_HORIZON = "beyond_horizon"
    DAY_OFF = "day_off"
    HOLIDAY = "holiday"
    OUTSIDE_HOURS = "outside_hours"
    OFF_GRID = "off_grid"
    BUSY = "busy"
    HELD = "held"
    DAY_FULL = "day_full"


@dataclass(frozen=True, slots=True)
class Blocker:
    """One reason why a time cannot be booked.

    Figures are public: instants are UTC, dates are the expert's local dates. The note is only for those who run the
    calendar.
    """

    reason: Reason
    figures: Figures = field(default_factory=dict)
    note: str = ""

    def __str__(self) -> str:
        return _MESSAGES[self.reason].format(**{name: _text(name, figure) for name, figure in self.figures.items()})


_MESSAGES = {
    Reason.INACTIVE: "This session cannot be booked at the moment.",
    Reason.PAST: "This time has already passed.",
    Reason.MIN_NOTICE: "This time is too soon: the expert needs {noticeMinutes} of notice.",
    Reason.BEYOND_HORIZON: "This time is too far ahead: the expert takes bookings up to {lastDay}.",
    Reason.DAY_OFF: "The expert takes no bookings on this day.",
    Reason.HOLIDAY: "The expert takes no bookings on this day: it is {holiday}.",
    Reason.OUTSIDE_HOURS: "This time is outside the expert's hours.",
    Reason.OFF_GRID: "Sessions do not start at this time.",
    Reason.BUSY: "Someone else has just booked this time.",
    Reason.HELD: "Someone else is booking this time right now.",
    Reason.DAY_FULL: "This day is full: {booked} of {dailyCap} sessions are booked.",
}


def _text(name: str, figure: Figure) -> str:
    if name.endswith("Minutes") and isinstance(figure, int):
        return duration(figure)
    if isinstance(figure, date) and not isinstance(figure, datetime):
        return f"{figure.day} {figure:%B %Y}"
    return str(figure)


def duration(minutes: int) -> str:
    """`45 minutes`, `2 hours`, `1 day`: in the largest unit that divides it."""
    for unit, length in (("day", 1440), ("hour", 60), ("minute", 1)):
        if minutes % length == 0 and (minutes >= length or length == 1):
            number = minutes // length
            return f"{number} {unit}" if number == 1 else f"{number} {unit}s"
    raise AssertionError(minutes)
