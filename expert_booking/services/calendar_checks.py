"""Checks of calendar changes before they are written."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from expert_booking.domain.errors import FieldsWrong, TooMany
from expert_booking.domain.holidays import holiday_place_error
from expert_booking.domain.plan_checks import overlaps_of_day, overlaps_of_week
from expert_booking.schemas import DayWindow, WeeklyWindow

_WEEKDAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def check_week(windows: Sequence[WeeklyWindow]) -> None:
    """Raise FieldsWrong if windows of a week overlap."""
    overlaps = overlaps_of_week([window.rule for window in windows])
    _refuse_overlaps({
        later: f"{_WEEKDAYS[windows[earlier].weekday - 1]} {windows[earlier].window} (windows.{earlier})"
        for later, earlier in overlaps.items()
    })  # fmt: skip


def check_windows(windows: Sequence[DayWindow], path: str = "") -> None:
    """Raise FieldsWrong if windows of one date overlap. `path` is where the date is in the request."""
    overlaps = overlaps_of_day([window.window for window in windows])
    _refuse_overlaps(
        {later: f"{windows[earlier].window} ({path}windows.{earlier})" for later, earlier in overlaps.items()}, path
    )


def check_holiday_place(fields: Mapping[str, Any]) -> None:
    """Raise FieldsWrong if the country, region or holiday setting of an expert is invalid."""
    field_error = holiday_place_error(fields["country"], fields["region"], closed=fields["closed_on_holidays"])
    if field_error is not None:
        raise FieldsWrong(dict([field_error]))


def check_limit(count: int, limit: int) -> None:
    """Raise TooMany if the limit has been reached."""
    if count >= limit:
        raise TooMany(f"You already have the maximum of {limit}. Please delete some first.")


def _refuse_overlaps(overlapped: Mapping[int, str], path: str = "") -> None:
    if overlapped:
        raise FieldsWrong(
            {f"{path}windows.{later}.opens": f"These hours overlap {which}." for later, which in overlapped.items()}
        )
