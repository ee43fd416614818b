"""Which times a host can choose: by the rules, against them, and never over something else."""

from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest

from expert_booking.domain.errors import Forbidden, SlotNotOffered, SlotTaken
from expert_booking.domain.rule_overrides import RuleOverride
from expert_booking.schemas import BlockRequest, Caller, Role
from expert_booking.services import Services
from expert_booking.services.calendars import CalendarKey
from tests.conftest import AddExpert, Book

TEN = datetime(2026, 11, 24, 9, tzinfo=UTC)  # Tuesday, 10:00 in Berlin
HOUR = timedelta(hours=1)


async def key_of(services: Services, expert_id: UUID) -> CalendarKey:
    """The expert's key to the calendar."""
    return await services.calendars.key(str(expert_id), Caller(role=Role.EXPERT, expert_id=expert_id))


async def test_free_spans_are_where_the_session_fits_without_the_booking_itself(
    services: Services, add_expert: AddExpert, book: Book
) -> None:
    expert = await add_expert(minutes=60, step_minutes=30)
    own, other = await book(expert, TEN), await book(expert, TEN + 3 * HOUR)
    key = await key_of(services, expert)
    spans = await services.host_times.free_spans(
        key, own.session_type_id, date(2026, 11, 24), date(2026, 11, 25), own=own.starts_at
    )
    assert spans == [(TEN - HOUR, other.starts_at), (other.ends_at, TEN + 7 * HOUR)]


async def test_the_rules_against_a_time_are_named_for_its_host(
    services: Services, add_expert: AddExpert, book: Book
) -> None:
    expert = await add_expert(notice_minutes=60 * 48)
    own = await book(expert, TEN + timedelta(days=2))
    key = await key_of(services, expert)
    against = services.host_times.rules_against
    assert await against(key, own.session_type_id, own.starts_at + HOUR) == []
    found = await against(key, own.session_type_id, TEN.replace(hour=5, minute=7))
    assert [one.rule for one in found] == [RuleOverride.MIN_NOTICE, RuleOverride.OUTSIDE_HOURS]
    assert str(found[1].blocker) == "This time is outside the expert's hours."


async def test_not_even_a_host_can_choose_a_taken_or_past_time(
    services: Services, add_expert: AddExpert, book: Book
) -> None:
    expert = await add_expert()
    own = await book(expert, TEN)
    key, against = await key_of(services, expert), services.host_times.rules_against
    caller = Caller(role=Role.EXPERT, expert_id=expert)
    request = BlockRequest(starts_at=TEN + 2 * HOUR, ends_at=TEN + 3 * HOUR)
    await services.blocks.add(expert, request, caller)
    for taken in (TEN, TEN + 2 * HOUR):
        with pytest.raises(SlotTaken):
            await against(key, own.session_type_id, taken)
    assert await against(key, own.session_type_id, TEN, own=own.starts_at) == []
    with pytest.raises(SlotNotOffered):
        await against(key, own.session_type_id, services.clock() - HOUR)


async def test_other_experts_get_no_key(services: Services, add_expert: AddExpert) -> None:
    expert, other = await add_expert(), await add_expert(slug="other", email="other@example.com")
    with pytest.raises(Forbidden):
        await services.calendars.key(str(expert), Caller(role=Role.EXPERT, expert_id=other))
