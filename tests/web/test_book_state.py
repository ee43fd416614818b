"""The state of a booking form after each event, and what it says about the hold."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from expert_booking.domain.calendar import Busy, Calendar, SessionLength
from expert_booking.domain.errors import SlotTaken
from expert_booking.domain.hours import AvailabilityRule, Hours
from expert_booking.schemas import HoldView
from expert_booking.services.availability import Board
from expert_booking.web.book_state import (
    BookState,
    Event,
    FormSlot,
    HoldRefused,
    HoldReleased,
    HoldRenewed,
    HoldState,
    HoldTaken,
    SlotRead,
    hold_text,
    next_state,
    refusal_of,
)

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)  # Monday, 09:00 in Berlin
HOUR = timedelta(hours=1)
SLOT = FormSlot(UUID(int=1), UUID(int=2), NOW + 2 * HOUR)
TAKEN = SlotTaken()


def hold(number: int = 1, *, at: datetime = SLOT.starts_at, expert: UUID = SLOT.expert_id) -> HoldView:
    """A hold of the form's slot, unless another start or expert is given."""
    return HoldView(
        id=UUID(int=number), expert_id=expert, session_type_id=SLOT.session_type_id, starts_at=at, ends_at=at + HOUR,
        hold_until=NOW + HOUR / 12,
    )  # fmt: skip


def board(*, busy: Sequence[Busy] = (), notice_minutes: int = 0) -> Board:
    """The board of an expert who works every day from nine to five, in steps of an hour."""
    rules = tuple(AvailabilityRule(day, 540, 1020) for day in range(1, 8))
    length = SessionLength(60, 60, notice_minutes=notice_minutes, horizon_days=60)
    calendar = Calendar(BERLIN, Hours(rules), length, busy=tuple(busy))
    return Board(expert_id=SLOT.expert_id, session_type_id=SLOT.session_type_id, session_title="Consultation",
                 calendar=calendar, last_day=calendar.horizon(NOW), read_at=NOW, slots=())  # fmt: skip


OTHER = hold(2, at=SLOT.starts_at + HOUR)
CONNECTING, HELD, RELEASED, EXPIRED, REPLACED, NOT_HELD, FREE_AGAIN = HoldState


@pytest.mark.parametrize(
    ("before", "event", "after"),
    [
        (CONNECTING, HoldTaken(hold()), HELD),
        (EXPIRED, HoldTaken(hold()), HELD),
        (FREE_AGAIN, HoldTaken(hold()), HELD),
        (CONNECTING, HoldRefused("Too many holds."), NOT_HELD),
        (HELD, HoldRenewed(hold()), HELD),
        (HELD, HoldReleased(), RELEASED),
        (CONNECTING, SlotRead(None, None), CONNECTING),
        (CONNECTING, SlotRead(hold(), None), HELD),
        (CONNECTING, SlotRead(OTHER, None), CONNECTING),
        (HELD, SlotRead(hold(), None), HELD),
        (HELD, SlotRead(None, None), EXPIRED),
        (HELD, SlotRead(None, TAKEN), EXPIRED),
        (HELD, SlotRead(OTHER, None), REPLACED),
        (REPLACED, SlotRead(OTHER, None), REPLACED),
        (REPLACED, SlotRead(None, None), EXPIRED),
        (REPLACED, SlotRead(hold(), None), HELD),
        (RELEASED, SlotRead(None, None), RELEASED),
        (RELEASED, SlotRead(OTHER, None), RELEASED),
        (EXPIRED, SlotRead(None, TAKEN), EXPIRED),
        (NOT_HELD, SlotRead(None, None), NOT_HELD),
    ],
)
def test_event_leads_to_the_next_hold_state(before: HoldState, event: Event, after: HoldState) -> None:
    assert next_state(BookState(SLOT, before), event, NOW).hold_state is after


def test_refusal_that_no_longer_applies_makes_the_slot_free_again() -> None:
    refused = BookState(SLOT, EXPIRED, refusal=TAKEN)
    assert next_state(refused, SlotRead(None, None), NOW).hold_state is FREE_AGAIN
    assert next_state(refused, SlotRead(hold(), None), NOW).hold_state is HELD
    assert next_state(refused, SlotRead(None, TAKEN), NOW).hold_state is EXPIRED


def test_taken_hold_clears_the_refusal() -> None:
    state = next_state(BookState(SLOT, EXPIRED, refusal=TAKEN), HoldTaken(hold()), NOW)
    assert (state.refusal, state.own_booking, state.own_hold) == (None, None, hold())


def test_refused_hold_keeps_the_rest_of_the_state() -> None:
    before = BookState(SLOT, EXPIRED, own_hold=OTHER, refusal=TAKEN)
    after = next_state(before, HoldRefused("Too many holds."), NOW)
    assert after == replace(before, hold_state=NOT_HELD, why_not_held="Too many holds.")


def test_held_since_is_the_start_of_an_uninterrupted_hold() -> None:
    first = next_state(BookState(SLOT), HoldTaken(hold()), NOW)
    again = next_state(first, SlotRead(hold(), None), NOW + HOUR)
    assert (first.held_since, again.held_since) == (NOW, NOW)
    expired = next_state(again, SlotRead(None, None), NOW + HOUR)
    assert next_state(expired, HoldTaken(hold(2)), NOW + 2 * HOUR).held_since == NOW + 2 * HOUR


def test_own_hold_does_not_block_the_slot_but_another_visitors_does() -> None:
    busy = board(busy=[Busy(SLOT.starts_at, SLOT.starts_at + HOUR, held=True, session_starts_at=SLOT.starts_at)])
    state = BookState(SLOT)
    assert refusal_of(state, hold(), busy) is None
    assert isinstance(refusal_of(state, None, busy), SlotTaken)
    assert isinstance(refusal_of(state, hold(expert=UUID(int=9)), busy), SlotTaken)


def test_notice_counts_from_when_the_hold_was_taken() -> None:
    later = replace(board(notice_minutes=120), read_at=NOW + HOUR)
    held = BookState(SLOT, HELD, own_hold=hold(), held_since=NOW)
    assert refusal_of(held, hold(), later) is None
    assert refusal_of(held, None, later) is not None
    begun = replace(later, read_at=SLOT.starts_at)
    assert refusal_of(held, hold(), begun) is not None


def test_busy_span_includes_the_buffers() -> None:
    length = SessionLength(60, 60, before_minutes=10, after_minutes=15)
    span = SLOT.busy_span(length)
    assert span == (SLOT.starts_at - timedelta(minutes=10), SLOT.starts_at + timedelta(minutes=75))


def test_hold_text_says_why_there_is_no_hold_or_where_it_is_now() -> None:
    assert hold_text(BookState(SLOT, NOT_HELD, why_not_held="Too many holds."), BERLIN) == "Too many holds."
    moved = BookState(SLOT, REPLACED, own_hold=OTHER)
    assert hold_text(moved, BERLIN) == "It is Mon 23 Nov, 12:00. This one is still free."
    assert hold_text(BookState(SLOT, EXPIRED), BERLIN) == ""
