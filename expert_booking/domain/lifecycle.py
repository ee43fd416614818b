"""The life of a booking: its statuses, the transitions between them, and who may make them."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from expert_booking.domain.errors import RescheduleNotAllowed, StatusChangeNotAllowed


class Status(StrEnum):
    HELD = "held"
    PENDING = "pending"
    CONFIRMED = "confirmed"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    DECLINED = "declined"
    EXPIRED = "expired"
    NO_SHOW = "no_show"
    # Time that a host keeps free. It has no customer, and is no booking.
    BLOCKED = "blocked"


class Actor(StrEnum):
    """Who changes a booking. `system` is the product at a deadline; `database` is SQL run by hand."""

    CUSTOMER = "customer"
    EXPERT = "expert"
    ADMIN = "admin"
    SYSTEM = "system"
    DATABASE = "database"


# A live booking blocks its time. The database's fences list the same six statuses.
LIVE: Final = frozenset(
    {Status.HELD, Status.PENDING, Status.CONFIRMED, Status.COMPLETED, Status.NO_SHOW, Status.BLOCKED}
)

HOSTS: Final = frozenset({Actor.EXPERT, Actor.ADMIN})
_CUSTOMER: Final = frozenset({Actor.CUSTOMER})
_SYSTEM: Final = frozenset({Actor.SYSTEM})


@dataclass(frozen=True, slots=True)
class Transition:
    """Who may make a status change, and whether only before or only after the session has ended."""

    by: frozenset[Actor]
    before_end: bool = False
    after_end: bool = False

    def is_open(self, ends_at: datetime, now: datetime) -> bool:
        """Whether it can be made at this time. Both are UTC."""
        return not (self.before_end if now >= ends_at else self.after_end)


# All allowed transitions. The customer's are also subject to the terms of the session type.
TRANSITIONS: Final[dict[tuple[Status, Status], Transition]] = {
    (Status.HELD, Status.PENDING): Transition(_CUSTOMER),
    (Status.HELD, Status.CONFIRMED): Transition(_CUSTOMER),
    (Status.HELD, Status.EXPIRED): Transition(_CUSTOMER | _SYSTEM),
    (Status.PENDING, Status.CONFIRMED): Transition(HOSTS),
    (Status.PENDING, Status.DECLINED): Transition(HOSTS),
    (Status.PENDING, Status.CANCELLED): Transition(HOSTS | _CUSTOMER, before_end=True),
    (Status.PENDING, Status.EXPIRED): Transition(_SYSTEM),
    (Status.CONFIRMED, Status.COMPLETED): Transition(HOSTS, after_end=True),
    (Status.CONFIRMED, Status.NO_SHOW): Transition(HOSTS, after_end=True),
    (Status.CONFIRMED, Status.CANCELLED): Transition(HOSTS | _CUSTOMER, before_end=True),
}

# What is possible while the customer has not confirmed the email address.
_UNVERIFIED: Final = frozenset({Status.CANCELLED, Status.EXPIRED})
NOT_VERIFIED: Final = "The customer has not confirmed the email address of this booking yet."

RESCHEDULABLE: Final = frozenset({Status.PENDING, Status.CONFIRMED})


def check_transition(
    now_is: Status, to: Status, by: Actor, *, ends_at: datetime, now: datetime, unverified: bool = False
) -> None:
    """Raise StatusChangeNotAllowed unless this actor may change the status now. `ends_at` and `now` are UTC.

    A change to the status that the booking already has is not allowed either. `unverified`: its customer has not
    confirmed the email address yet.
    """
    transition = TRANSITIONS.get((now_is, to))
    if transition is None:
        raise StatusChangeNotAllowed(f"A booking that is {status_text(now_is)} cannot become {status_text(to)}.")
    if by not in transition.by:
        whose = " or the ".join(sorted(transition.by))
        raise StatusChangeNotAllowed(
            f"Only the {whose} can make a booking that is {status_text(now_is)} {status_text(to)}."
        )
    if unverified and to not in _UNVERIFIED:
        raise StatusChangeNotAllowed(NOT_VERIFIED)
    if transition.is_open(ends_at, now):
        return
    if transition.before_end:
        raise StatusChangeNotAllowed(f"This session has ended and can no longer be {status_text(to)}.")
    raise StatusChangeNotAllowed(f"A booking can only become {status_text(to)} after the session has ended.")


def open_transitions(
    now_is: Status, by: Actor, *, ends_at: datetime, now: datetime, unverified: bool = False
) -> list[Status]:
    """The statuses that this actor may give a booking now, in lifecycle order. `ends_at` and `now` are UTC.

    `unverified`: its customer has not confirmed the email address yet.
    """
    return [
        to
        for (status, to), transition in TRANSITIONS.items()
        if status is now_is
        and by in transition.by
        and transition.is_open(ends_at, now)
        and not (unverified and to not in _UNVERIFIED)
    ]


def check_reschedule(now_is: Status, *, unverified: bool = False) -> None:
    """Raise RescheduleNotAllowed if a booking with this status cannot be rescheduled.

    `unverified`: its customer has not confirmed the email address yet.
    """
    if unverified and now_is is Status.PENDING:
        raise RescheduleNotAllowed("The email address of this booking must be confirmed before it can be rescheduled.")
    if now_is not in RESCHEDULABLE:
        raise RescheduleNotAllowed(f"A booking that is {status_text(now_is)} cannot be rescheduled.")


def status_text(status: Status) -> str:
    """The status as it reads inside a sentence: `no_show` is "no-show"."""
    return status.value.replace("_", "-")
