"""The terms of a booking: how it is confirmed, and until when the customer may cancel or reschedule it.

The same values decide what is allowed and produce the sentences on pages and in emails.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from expert_booking.domain.errors import CancelTooLate, NoReschedulesLeft, RescheduleNotAllowed, RescheduleTooLate
from expert_booking.domain.lifecycle import RESCHEDULABLE, Status, check_reschedule
from expert_booking.domain.prices import Price
from expert_booking.domain.unavailability import duration


class Confirmation(StrEnum):
    INSTANT = "at_once"
    BY_EXPERT = "by_expert"


class EmailVerification(StrEnum):
    """Which bookings are made only once the customer has confirmed the email address.

    `NEW_ADDRESSES`: those of addresses with which no session was ever attended and no booking ever confirmed.
    """

    NEVER = "never"
    NEW_ADDRESSES = "new_addresses"
    ALWAYS = "always"


# How long a new booking waits until its customer confirms the email address.
VERIFY_WITHIN: Final = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class InitialState:
    """The status and the deadlines (UTC) of a new booking.

    Until `verify_by` the customer must confirm the email address; None: that is not needed. `answer_minutes` is the
    time that the expert then has to answer; None: the booking is then confirmed, or nothing needs to be verified.
    """

    status: Status
    answer_by: datetime | None
    verify_by: datetime | None = None
    answer_minutes: int | None = None


@dataclass(frozen=True, slots=True)
class Terms:
    """The terms of a session type. Notices are elapsed time before the start and do not apply to hosts.

    `max_reschedules` is how often the customer may reschedule a booking; None means no limit. `price` None means that
    no price is stated; `payment_note` says how to pay.
    """

    confirmation: Confirmation = Confirmation.BY_EXPERT
    answer_minutes: int = 2880
    cancel_notice_minutes: int = 0
    reschedule_notice_minutes: int = 0
    max_reschedules: int | None = None
    email_verification: EmailVerification = EmailVerification.NEVER
    price: Price | None = None
    payment_note: str = ""

    def initial_state(self, starts_at: datetime, now: datetime, *, verify: bool) -> InitialState:
        """The state of a booking made now (UTC). `verify`: the customer must first confirm the email address."""
        if not verify:
            return InitialState(self.initial_status(), self.answer_by(starts_at, now))
        answer_minutes = None if self.confirmation is Confirmation.INSTANT else self.answer_minutes
        return InitialState(Status.PENDING, None, min(now + VERIFY_WITHIN, starts_at), answer_minutes)

    def initial_status(self) -> Status:
        """The status of a new booking whose customer need not confirm the email address, or has done so."""
        return Status.CONFIRMED if self.confirmation is Confirmation.INSTANT else Status.PENDING

    def answer_by(self, starts_at: datetime, now: datetime) -> datetime | None:
        """The expert's deadline (UTC) for answering a booking made now; None if bookings are confirmed instantly."""
        if self.confirmation is Confirmation.INSTANT:
            return None
        return min(now + timedelta(minutes=self.answer_minutes), starts_at)

    def cancel_until(self, starts_at: datetime) -> datetime:
        """The last instant at which the customer may cancel."""
        return starts_at - timedelta(minutes=self.cancel_notice_minutes)

    def reschedule_until(self, starts_at: datetime) -> datetime:
        """The last instant at which the customer may reschedule."""
        return starts_at - timedelta(minutes=self.reschedule_notice_minutes)

    def reschedules_left(self, reschedules: int) -> int | None:
        """How often the customer may still reschedule; None means no limit."""
        return None if self.max_reschedules is None else max(0, self.max_reschedules - reschedules)

    def check_cancel(self, starts_at: datetime, now: datetime) -> None:
        """Raise CancelTooLate if the customer's deadline for cancelling has passed."""
        if now > self.cancel_until(starts_at):
            raise CancelTooLate(f"This session can only be cancelled {until(self.cancel_notice_minutes)}.")

    def check_reschedule(self, starts_at: datetime, reschedules: int, now: datetime) -> None:
        """Raise NoReschedulesLeft or RescheduleTooLate if the customer may no longer reschedule."""
        if self.reschedules_left(reschedules) == 0:
            raise NoReschedulesLeft(_no_reschedules_text(self.max_reschedules or 0))
        if now > self.reschedule_until(starts_at):
            raise RescheduleTooLate(f"This session can only be rescheduled {until(self.reschedule_notice_minutes)}.")

    def sentences(self) -> list[str]:
        """The terms as the customer reads them before booking: confirmation, cancellation, rescheduling, payment."""
        how_often = {None: "", 1: ", once", 2: ", twice"}.get(
            self.max_reschedules, f", up to {self.max_reschedules} times"
        )
        confirmed = (
            "Confirmed instantly."
            if self.confirmation is Confirmation.INSTANT
            else f"The expert confirms within {duration(self.answer_minutes)}."
        )
        rescheduling = (
            "Rescheduling is not possible."
            if self.max_reschedules == 0
            else f"You can reschedule {until(self.reschedule_notice_minutes)}{how_often}."
        )
        verification = _VERIFICATION[self.email_verification]
        cancelling = f"Free cancellation {until(self.cancel_notice_minutes)}."
        return [*verification, confirmed, cancelling, rescheduling, *([self.payment_note] if self.payment_note else [])]


@dataclass(frozen=True, slots=True)
class Leeway:
    """What the terms of one booking still allow its customer.

    Instants are UTC. `reschedules_left` is None if there is no limit.
    """

    status: Status
    starts_at: datetime
    answer_by: datetime | None
    cancel_until: datetime
    reschedule_until: datetime
    reschedules_left: int | None
    # The customer's deadline to confirm the email address; None once that is done, or if it is not needed.
    verify_by: datetime | None = None

    @property
    def unverified(self) -> bool:
        """Whether the booking waits until its customer confirms the email address."""
        return self.status is Status.PENDING and self.verify_by is not None

    def may_cancel(self, now: datetime) -> bool:
        """Whether the customer may cancel at this instant."""
        return self.unverified or (self.status in RESCHEDULABLE and now <= self.cancel_until)

    def may_reschedule(self, now: datetime) -> bool:
        """Whether the customer may reschedule at this instant."""
        is_on = self.status in RESCHEDULABLE and not self.unverified
        return is_on and now <= self.reschedule_until and self.reschedules_left != 0

    def answer(self, format_instant: Callable[[datetime], str]) -> str:
        """The expert's deadline, for the customer; empty unless the booking is pending.

        `format_instant` formats an instant with its time zone.
        """
        return self._answer("The expert answers", format_instant)

    def answer_prompt(self, format_instant: Callable[[datetime], str]) -> str:
        """The same deadline, for the expert; empty unless the booking is pending."""
        return self._answer("Please answer", format_instant)

    def sentences(self, now: datetime, format_instant: Callable[[datetime], str]) -> list[str]:
        """What the customer may do and until when; empty once the session has started or the booking is not live."""
        if self.status not in RESCHEDULABLE or now > self.starts_at:
            return []
        if self.unverified:
            return ["If you no longer want this time, cancel the booking so that others can book it."]
        if self.reschedules_left != 0 and self.cancel_until == self.reschedule_until and now > self.reschedule_until:
            return [f"Cancelling and rescheduling were possible until {format_instant(self.reschedule_until)}."]
        if self.cancel_until == self.reschedule_until and self.may_reschedule(now):
            return [self._cancelling(now, format_instant), f"Until then you can also reschedule{self._how_often()}."]
        return [self._cancelling(now, format_instant), self.rescheduling(now, format_instant)]

    def rescheduling(self, now: datetime, format_instant: Callable[[datetime], str]) -> str:
        """Until when the customer may reschedule, or why they cannot."""
        if self.reschedules_left == 0:
            return "This booking cannot be rescheduled."
        if now > self.reschedule_until:
            return f"Rescheduling was possible until {format_instant(self.reschedule_until)}."
        return f"You can reschedule {self._until(self.reschedule_until, format_instant)}{self._how_often()}."

    def why_not_reschedule(self, now: datetime, format_instant: Callable[[datetime], str]) -> str:
        """Why the customer cannot reschedule; empty while they can."""
        try:
            check_reschedule(self.status, unverified=self.unverified)
        except RescheduleNotAllowed as refusal:
            return str(refusal)
        return "" if self.may_reschedule(now) else self.rescheduling(now, format_instant)

    def next_change(self, now: datetime) -> datetime | None:
        """The next instant (UTC) after which these sentences change; None if there is none."""
        verify_by = self.verify_by if self.unverified else None
        deadlines = (verify_by, self.answer_by, self.cancel_until, self.reschedule_until, self.starts_at)
        return min((deadline for deadline in deadlines if deadline is not None and deadline >= now), default=None)

    def _answer(self, start: str, format_instant: Callable[[datetime], str]) -> str:
        if self.status is not Status.PENDING or self.answer_by is None:
            return ""
        deadline = self._until(self.answer_by, format_instant, "by")
        return f"{start} {deadline}. Without an answer, the booking expires."

    def _cancelling(self, now: datetime, format_instant: Callable[[datetime], str]) -> str:
        if now > self.cancel_until:
            return f"Cancelling was possible until {format_instant(self.cancel_until)}."
        return f"You can cancel {self._until(self.cancel_until, format_instant)}."

    def _how_often(self) -> str:
        number = self.reschedules_left
        return {None: "", 1: ", once more", 2: ", twice more"}.get(number, f", {number} more times")

    def _until(self, instant: datetime, format_instant: Callable[[datetime], str], word: str = "until") -> str:
        if instant == self.starts_at:
            return "before the start" if word == "by" else "until the start"
        return f"{word} {format_instant(instant)}"


def until(notice_minutes: int) -> str:
    """`until the start`, `until 24 hours before the start`."""
    return f"until {duration(notice_minutes)} before the start" if notice_minutes else "until the start"


_VERIFICATION: Final = {
    EmailVerification.NEVER: [],
    EmailVerification.NEW_ADDRESSES: ["New customers confirm their email address with a code."],
    EmailVerification.ALWAYS: ["You confirm your email address with a code."],
}


def _no_reschedules_text(max_reschedules: int) -> str:
    if max_reschedules == 0:
        return "This session cannot be rescheduled."
    times = {1: "once", 2: "twice"}.get(max_reschedules, f"{max_reschedules} times")
    return f"This booking has already been rescheduled {times} and cannot be rescheduled again."
