"""On which terms a session is booked: how it is confirmed, and until when the customer may cancel or move it.

The same data decides and is printed, on pages and in mails.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from expert_booking.domain.errors import CancelTooLate, NoReschedulesLeft, RescheduleNotAllowed, RescheduleTooLate
from expert_booking.domain.lifecycle import RESCHEDULABLE, Status, check_reschedule
from expert_booking.domain.unavailability import duration


class Confirmation(StrEnum):
    AT_ONCE = "at_once"
    BY_EXPERT = "by_expert"


@dataclass(frozen=True, slots=True)
class Terms:
    """What a session type says about its bookings. Notices are elapsed time before the start; hosts are exempt.

    `max_reschedules` is how often the customer may move a booking; None: as often as they like.
    """

    confirmation: Confirmation = Confirmation.BY_EXPERT
    answer_minutes: int = 2880
    cancel_notice_minutes: int = 0
    reschedule_notice_minutes: int = 0
    max_reschedules: int | None = None

    def first_status(self) -> Status:
        """What a booking is when the customer has made it."""
        return Status.CONFIRMED if self.confirmation is Confirmation.AT_ONCE else Status.PENDING

    def answer_by(self, starts_at: datetime, now: datetime) -> datetime | None:
        """Until when the expert has to answer a booking made now; None where nobody is asked."""
        if self.confirmation is Confirmation.AT_ONCE:
            return None
        return min(now + timedelta(minutes=self.answer_minutes), starts_at)

    def cancel_until(self, starts_at: datetime) -> datetime:
        """The last instant at which the customer may cancel."""
        return starts_at - timedelta(minutes=self.cancel_notice_minutes)

    def reschedule_until(self, starts_at: datetime) -> datetime:
        """The last instant at which the customer may move it to another time."""
        return starts_at - timedelta(minutes=self.reschedule_notice_minutes)

    def reschedules_left(self, reschedules: int) -> int | None:
        """How often the customer may still move it; None: as often as they like."""
        return None if self.max_reschedules is None else max(0, self.max_reschedules - reschedules)

    def check_cancel(self, starts_at: datetime, now: datetime) -> None:
        """Pass silently while the customer may cancel. Raises CancelTooLate."""
        if now > self.cancel_until(starts_at):
            raise CancelTooLate(f"This session can only be cancelled {until(self.cancel_notice_minutes)}.")

    def check_reschedule(self, starts_at: datetime, reschedules: int, now: datetime) -> None:
        """Pass silently while the customer may move the booking. Raises NoReschedulesLeft or RescheduleTooLate."""
        if self.reschedules_left(reschedules) == 0:
            raise NoReschedulesLeft(_no_reschedules(self.max_reschedules or 0))
        if now > self.reschedule_until(starts_at):
            raise RescheduleTooLate(
                f"This session can only be moved to another time {until(self.reschedule_notice_minutes)}."
            )

    def sentences(self) -> list[str]:
        """The terms as the customer reads them before booking: how it is confirmed, cancelled, moved."""
        how_often = {None: "", 1: ", once", 2: ", twice"}.get(
            self.max_reschedules, f", up to {self.max_reschedules} times"
        )
        confirmed = (
            "It is confirmed at once."
            if self.confirmation is Confirmation.AT_ONCE
            else f"The expert confirms it within {duration(self.answer_minutes)}."
        )
        rescheduling = (
            "It cannot be moved to another time."
            if self.max_reschedules == 0
            else f"You can move it to another time {until(self.reschedule_notice_minutes)}{how_often}."
        )
        return [confirmed, f"You can cancel {until(self.cancel_notice_minutes)}.", rescheduling]


@dataclass(frozen=True, slots=True)
class Leeway:
    """What the terms of one booking still allow its customer. Instants are UTC; no `reschedules_left`: no limit."""

    status: Status
    starts_at: datetime
    answer_by: datetime | None
    cancel_until: datetime
    reschedule_until: datetime
    reschedules_left: int | None

    def answer_prompt(self, format_instant: Callable[[datetime], str]) -> str:
        """Ask the expert to answer in time; empty unless the booking is pending. Compare `answer`, for the customer."""
        if self.status is not Status.PENDING or self.answer_by is None:
            return ""
        deadline = self._until(self.answer_by, format_instant, "by")
        return f"Please answer {deadline}. Without an answer, the booking expires."

    def may_cancel(self, now: datetime) -> bool:
        """Whether the customer may cancel it at this instant."""
        return self.status in RESCHEDULABLE and now <= self.cancel_until

    def may_reschedule(self, now: datetime) -> bool:
        """Whether the customer may move it to another time at this instant."""
        return self.status in RESCHEDULABLE and now <= self.reschedule_until and self.reschedules_left != 0

    def answer(self, tell: Callable[[datetime], str]) -> str:
        """Until when the expert answers; empty where nobody is asked. `tell` names an instant with its zone."""
        if self.status is not Status.PENDING or self.answer_by is None:
            return ""
        return f"The expert answers {self._until(self.answer_by, tell, 'by')}. Without an answer it expires."

    def sentences(self, now: datetime, tell: Callable[[datetime], str]) -> list[str]:
        """What the customer may do until when, and what not any more; nothing once it has begun or is off."""
        if self.status not in RESCHEDULABLE or now > self.starts_at:
            return []
        if self.reschedules_left != 0 and self.cancel_until == self.reschedule_until and now > self.reschedule_until:
            return [f"You could cancel or move it to another time until {tell(self.reschedule_until)}. That is over."]
        if self.cancel_until == self.reschedule_until and self.may_reschedule(now):
            return [self._cancelling(now, tell), f"Until then you can also move it to another time{self._how_often()}."]
        return [self._cancelling(now, tell), self.rescheduling(now, tell)]

    def rescheduling(self, now: datetime, tell: Callable[[datetime], str]) -> str:
        """Until when the customer may move it, or why they cannot."""
        if self.reschedules_left == 0:
            return "It cannot be moved to another time."
        if now > self.reschedule_until:
            return f"You could move it to another time until {tell(self.reschedule_until)}. That is over."
        return f"You can move it to another time {self._until(self.reschedule_until, tell)}{self._how_often()}."

    def why_not_reschedule(self, now: datetime, tell: Callable[[datetime], str]) -> str:
        """Why the customer cannot move it; empty while they can."""
        try:
            check_reschedule(self.status)
        except RescheduleNotAllowed as refusal:
            return str(refusal)
        return "" if self.may_reschedule(now) else self.rescheduling(now, tell)

    def next_turn(self, now: datetime) -> datetime | None:
        """The next instant after which something of this reads differently."""
        turns = (self.answer_by, self.cancel_until, self.reschedule_until, self.starts_at)
        return min((turn for turn in turns if turn is not None and turn >= now), default=None)

    def _cancelling(self, now: datetime, tell: Callable[[datetime], str]) -> str:
        if now > self.cancel_until:
            return f"You could cancel until {tell(self.cancel_until)}. That is over."
        return f"You can cancel {self._until(self.cancel_until, tell)}."

    def _how_often(self) -> str:
        number = self.reschedules_left
        return {None: "", 1: ", once more", 2: ", twice more"}.get(number, f", {number} more times")

    def _until(self, instant: datetime, tell: Callable[[datetime], str], word: str = "until") -> str:
        if instant == self.starts_at:
            return "before it begins" if word == "by" else "until it begins"
        return f"{word} {tell(instant)}"


def until(notice_minutes: int) -> str:
    """`until it begins`, `until 24 hours before it begins`."""
    return f"until {duration(notice_minutes)} before it begins" if notice_minutes else "until it begins"


def _no_reschedules(most: int) -> str:
    if most == 0:
        return "This session cannot be moved to another time."
    times = {1: "once", 2: "twice"}.get(most, f"{most} times")
    return f"This booking has been moved {times} already, and cannot be moved again."
