"""What a host may set aside, and what never."""

from datetime import UTC, date, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from expert_booking.domain.calendar import Busy, Calendar, SessionLength
from expert_booking.domain.errors import SlotNotOffered, SlotTaken
from expert_booking.domain.hours import AvailabilityRule, DaysOff, Hours
from expert_booking.domain.rule_overrides import RuleOverride, slot_for_host
from expert_booking.domain.unavailability import Reason

NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)  # Monday
NINE = datetime(2026, 11, 24, 9, tzinfo=UTC)
HOUR = timedelta(hours=1)
TYPE = UUID(int=7)
HOURS = Hours(
    tuple(AvailabilityRule(day, 540, 1020) for day in range(1, 8)),
    days_off=(DaysOff(date(2026, 11, 28), date(2026, 11, 28)),),
)
LENGTH = SessionLength(60, 60, after_minutes=15, notice_minutes=24 * 60, horizon_days=10, daily_cap=2)
CALENDAR = Calendar(ZoneInfo("UTC"), HOURS, LENGTH, session_type_id=TYPE)


def refusal(calendar: Calendar, starts_at: datetime, *override: RuleOverride) -> SlotNotOffered | SlotTaken:
    """Why a host cannot book this time."""
    with pytest.raises((SlotNotOffered, SlotTaken)) as refused:
        slot_for_host(calendar, starts_at, NOW, override)
    return refused.value


@pytest.mark.parametrize(
    ("starts_at", "reason", "override"),
    [
        (NINE + timedelta(minutes=7), Reason.OFF_GRID, "off_grid"),
        (NINE + 9 * HOUR, Reason.OUTSIDE_HOURS, "outside_hours"),
        (NINE + 96 * HOUR, Reason.DAY_OFF, "outside_hours"),
        (NOW + 2 * HOUR, Reason.MIN_NOTICE, "min_notice"),
        (NINE + 20 * 24 * HOUR, Reason.BEYOND_HORIZON, "beyond_horizon"),
    ],
)
def test_each_rule_is_set_aside_only_by_name(starts_at: datetime, reason: Reason, override: str) -> None:
    named = RuleOverride(override)
    others = [one for one in RuleOverride if one is not named]
    refused = refusal(CALENDAR, starts_at, *others)
    assert isinstance(refused, SlotNotOffered)
    assert (refused.blocker.reason, refused.override) == (reason, (named,))
    slot, used = slot_for_host(CALENDAR, starts_at, NOW, list(RuleOverride))
    assert (slot.starts_at, slot.busy_until, used) == (starts_at, starts_at + 75 * timedelta(minutes=1), [named])


def test_full_day_is_set_aside_by_name() -> None:
    taken = [Busy(NINE + n * HOUR, NINE + (n + 1) * HOUR, False, TYPE, NINE + n * HOUR) for n in (3, 5)]
    full = CALENDAR.with_busy(taken)
    refused = refusal(full, NINE + HOUR)
    assert isinstance(refused, SlotNotOffered)
    assert refused.override == (RuleOverride.DAY_FULL,)
    assert slot_for_host(full, NINE + HOUR, NOW, [RuleOverride.DAY_FULL])[1] == [RuleOverride.DAY_FULL]


def test_refusal_names_all_that_is_needed_and_a_free_time_needs_nothing() -> None:
    at = NOW + timedelta(hours=11, minutes=3)
    refused = refusal(CALENDAR, at, RuleOverride.MIN_NOTICE)
    assert isinstance(refused, SlotNotOffered)
    assert refused.blocker.reason is Reason.OUTSIDE_HOURS
    assert refused.override == (RuleOverride.MIN_NOTICE, RuleOverride.OUTSIDE_HOURS)
    assert slot_for_host(CALENDAR, NINE, NOW, list(RuleOverride)) == (CALENDAR.offered(NINE, NOW), [])


def test_overlaps_the_past_and_inactive_types_are_never_set_aside() -> None:
    taken = CALENDAR.with_busy([Busy(NINE + 10 * HOUR, NINE + 11 * HOUR)])
    # Outside the hours, too, which is no longer of interest.
    assert isinstance(refusal(taken, NINE + 10 * HOUR, *RuleOverride), SlotTaken)
    # The buffer after the session overlaps as well.
    assert isinstance(refusal(taken, NINE + 9 * HOUR - timedelta(minutes=10), *RuleOverride), SlotTaken)
    for calendar, at in ((CALENDAR, NOW - HOUR), (Calendar(ZoneInfo("UTC"), HOURS, LENGTH, active=False), NINE)):
        refused = refusal(calendar, at, *RuleOverride)
        assert isinstance(refused, SlotNotOffered)
        assert refused.override == ()
