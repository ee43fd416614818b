"""Hours of a calendar: what is accepted, and which field an error names."""

from typing import Any

import pytest
from pydantic import ValidationError

from expert_booking.domain.hours import Window
from expert_booking.schemas import DaysOffRequest, OverrideRequest, WeeklyWindow, field_errors
from expert_booking.schemas.hours import MAX_DAY_WINDOWS, MAX_DAYS_OFF, DayWindow

NINE_TO_FIVE = {"opens": "09:00", "closes": "17:00"}


@pytest.mark.parametrize(
    ("opens", "closes", "window"),
    [
        ("09:00", "17:00", Window(540, 1020)),
        ("22:00", "02:00", Window(1320, 1560)),
        ("00:00", "24:00", Window(0, 1440)),
        ("08:00", "08:00", Window(480, 1920)),
    ],
)
def test_hours_that_close_before_they_open_run_past_midnight(opens: str, closes: str, window: Window) -> None:
    assert DayWindow(opens=opens, closes=closes).window == window
    assert DayWindow.from_window(window).window == window


@pytest.mark.parametrize(
    ("model", "value", "field"),
    [
        (DayWindow, {"opens": "9:00", "closes": "17:00"}, "opens"),
        (DayWindow, {"opens": "24:00", "closes": "17:00"}, "opens"),
        (DayWindow, {"opens": "09:00", "closes": "25:00"}, "closes"),
        (WeeklyWindow, {**NINE_TO_FIVE, "weekday": 8}, "weekday"),
        (WeeklyWindow, {**NINE_TO_FIVE, "weekday": 1, "validFrom": "2026-12-02", "validUntil": "2026-12-01"},
         "validUntil"),
        (OverrideRequest, {"kind": "none", "windows": [NINE_TO_FIVE]}, "windows"),
        (OverrideRequest, {"kind": "hours"}, "windows"),
        (OverrideRequest, {"kind": "extra", "windows": [NINE_TO_FIVE] * (MAX_DAY_WINDOWS + 1)}, "windows"),
        (OverrideRequest, {"kind": "extra", "windows": [NINE_TO_FIVE, {"opens": "9"}]}, "windows.1.opens"),
        (DaysOffRequest, {"firstDay": "2026-12-24", "lastDay": "2026-12-23"}, "lastDay"),
        (DaysOffRequest, {"firstDay": "2026-12-24", "lastDay": "2029-12-26"}, "lastDay"),
        (DaysOffRequest, {"firstDay": 1_800_000_000, "lastDay": "2027-01-20"}, "firstDay"),
        (DaysOffRequest, {"firstDay": "2026-12-24", "lastDay": "2026-12-26", "reason": "x" * 201}, "reason"),
    ],
)  # fmt: skip
def test_invalid_hours_are_refused_with_the_field(model: Any, value: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError) as refused:
        model.model_validate(value)
    assert field in [error.field for error in field_errors(refused.value)]


def test_days_off_may_last_three_years() -> None:
    longest = DaysOffRequest.model_validate({"firstDay": "2026-12-24", "lastDay": "2029-12-25"})
    assert (longest.last_day - longest.first_day).days == MAX_DAYS_OFF - 1
