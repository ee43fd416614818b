"""The state of a booking form: what the page knows about its slot and about the visitor's hold. No I/O.

The page turns what happens into an event, asks `next_state` for the new state, and shows that.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from expert_booking.domain import formatting
from expert_booking.domain.calendar import MINUTE, SessionLength
from expert_booking.domain.errors import BookingLimitReached, Refusal, TooManyBookings
from expert_booking.schemas import BookingView, HoldView
from expert_booking.services.availability import Board


class HoldState(StrEnum):
    """Whether the visitor holds the slot of the form."""

    CONNECTING = "asking"  # the page is not connected yet
    HELD = "held"
    RELEASED = "released"
    EXPIRED = "over"
    REPLACED = "replaced"  # the visitor now holds a different slot
    NOT_HELD = "alone"  # the hold was refused, but the slot is free
    FREE_AGAIN = "free"  # someone else had held or booked it


@dataclass(frozen=True, slots=True)
class FormSlot:
    """The slot that the form is for. `starts_at` is UTC."""

    expert_id: UUID
    session_type_id: UUID
    starts_at: datetime

    def is_held_by(self, hold: HoldView) -> bool:
        """Whether this is the slot of the hold."""
        held = hold.expert_id, hold.session_type_id, hold.starts_at
        return held == (self.expert_id, self.session_type_id, self.starts_at)

    def busy_span(self, length: SessionLength) -> tuple[datetime, datetime]:
        """Return the start and end (UTC) of the time that a booking of this slot takes, with its buffers."""
        since = self.starts_at - length.before_minutes * MINUTE
        return since, self.starts_at + (length.minutes + length.after_minutes) * MINUTE


@dataclass(frozen=True, slots=True)
class BookState:
    """What the page knows. Instants are UTC."""

    slot: FormSlot
    hold_state: HoldState = HoldState.CONNECTING
    own_hold: HoldView | None = None  # this browser's hold, of this slot or another
    held_since: datetime | None = None
    why_not_held: str = ""
    refusal: Refusal | None = None  # why the slot cannot be booked
    own_booking: BookingView | None = None  # this visitor's booking, if that is why
    limit: "Limit | None" = None  # the limit that the last attempt to book exceeded, while the slot is free


Limit = TooManyBookings | BookingLimitReached


class HoldTaken(NamedTuple):
    """The services have granted a hold."""

    hold: HoldView


class HoldRefused(NamedTuple):
    """The services have refused a hold, but the slot may still be free."""

    why: str


class HoldRenewed(NamedTuple):
    """The services have extended the hold."""

    hold: HoldView


class HoldReleased(NamedTuple):
    """The visitor has released the slot."""


class SlotRead(NamedTuple):
    """The page has read the board, this browser's hold and, if the slot is taken, the visitor's own booking."""

    own_hold: HoldView | None
    refusal: Refusal | None
    own_booking: BookingView | None = None


class LimitExceeded(NamedTuple):
    """The services have refused the booking, but the slot is still free."""

    limit: Limit


Event = HoldTaken | HoldRefused | HoldRenewed | HoldReleased | SlotRead | LimitExceeded


def next_state(state: BookState, event: Event, now: datetime) -> BookState:
    """Return the state after the event. `now` (UTC) is when it happened."""
    match event:
        case HoldTaken(hold):
            return _with_own_hold(replace(state, refusal=None, own_booking=None), hold, now)
        case HoldRefused(why):
            return replace(state, hold_state=HoldState.NOT_HELD, why_not_held=why)
        case HoldRenewed(hold):
            return replace(state, own_hold=hold)
        case HoldReleased():
            return replace(state, hold_state=HoldState.RELEASED)
        case LimitExceeded(limit):
            return replace(state, limit=limit)
        case SlotRead(own_hold, refusal, own_booking):
            free_again = state.refusal is not None and refusal is None
            hold_state = HoldState.FREE_AGAIN if free_again else state.hold_state
            still = None if refusal else state.limit
            read = replace(state, hold_state=hold_state, refusal=refusal, own_booking=own_booking, limit=still)
            return _with_own_hold(read, own_hold, now)


def refusal_of(state: BookState, own_hold: HoldView | None, board: Board) -> Refusal | None:
    """Return why the visitor cannot book the slot, or None. Their own hold does not stand in their way."""
    slot = state.slot
    if own_hold is not None and own_hold.expert_id == slot.expert_id:
        board = replace(board, calendar=board.calendar.without(own_hold.starts_at))
        if slot.is_held_by(own_hold) and state.held_since and slot.starts_at > board.read_at:
            # The notice counts from when the hold was taken.
            board = replace(board, read_at=state.held_since)
    return board.refusal(slot.starts_at)


def hold_text(state: BookState, zone: ZoneInfo) -> str:
    """Return what to say about the hold instead of the default text of its state; empty for the default."""
    if state.hold_state is HoldState.NOT_HELD:
        return state.why_not_held
    if state.hold_state is HoldState.REPLACED and state.own_hold is not None:
        start = state.own_hold.starts_at
        day, time = formatting.short_day(start, zone), formatting.clock_time(start, zone)
        return f"It is {day}, {time}. This one is still free."
    return ""


def _with_own_hold(state: BookState, own_hold: HoldView | None, now: datetime) -> BookState:
    if own_hold is not None and state.slot.is_held_by(own_hold):
        held_since = state.held_since if state.hold_state is HoldState.HELD else now
        return replace(state, own_hold=own_hold, hold_state=HoldState.HELD, held_since=held_since)
    if state.hold_state in (HoldState.HELD, HoldState.REPLACED):
        return replace(state, own_hold=own_hold, hold_state=HoldState.REPLACED if own_hold else HoldState.EXPIRED)
    return replace(state, own_hold=own_hold)
