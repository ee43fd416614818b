"""The life of a booking: its statuses, the moves between them, and who may make them."""

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


class Actor(StrEnum):
    """Who changes a booking. The house is the product itself, at a deadline; the database whoever writes by hand."""

    CUSTOMER = "customer"
    EXPERT = "expert"
    ADMIN = "admin"
    HOUSE = "house"
    DATABASE = "database"


# A live booking keeps its time from everybody else; the two fences of the database know the same five.
LIVE: Final = frozenset({Status.HELD, Status.PENDING, Status.CONFIRMED, Status.COMPLETED, Status.NO_SHOW})

HOSTS: Final = frozenset({Actor.EXPERT, Actor.ADMIN})
_CUSTOMER: Final = frozenset({Actor.CUSTOMER})
_HOUSE: Final = frozenset({Actor.HOUSE})


@dataclass(frozen=True, slots=True)
class Move:
    """Who may make it, and whether only after the session's end."""

    by: frozenset[Actor]
    after_end: bool = False


# Every move there is. The customer's own ones are also bound by the terms of the session type.
MOVES: Final[dict[tuple[Status, Status], Move]] = {
    (Status.HELD, Status.PENDING): Move(_CUSTOMER),
    (Status.HELD, Status.CONFIRMED): Move(_CUSTOMER),
    (Status.HELD, Status.EXPIRED): Move(_CUSTOMER | _HOUSE),
    (Status.PENDING, Status.CONFIRMED): Move(HOSTS),
    (Status.PENDING, Status.DECLINED): Move(HOSTS),
    (Status.PENDING, Status.CANCELLED): Move(HOSTS | _CUSTOMER),
    (Status.PENDING, Status.EXPIRED): Move(_HOUSE),
    (Status.CONFIRMED, Status.COMPLETED): Move(HOSTS, after_end=True),
    (Status.CONFIRMED, Status.NO_SHOW): Move(HOSTS, after_end=True),
    (Status.CONFIRMED, Status.CANCELLED): Move(HOSTS | _CUSTOMER),
}
# What is not settled yet can be moved to another time.
MOVABLE: Final = frozenset({Status.PENDING, Status.CONFIRMED})


def check_move(now_is: Status, to: Status, by: Actor, *, ends_at: datetime, now: datetime) -> None:
    """Pass silently when a booking that ends at `ends_at` may go from one status to the other. Both instants are UTC.

    Raises StatusChangeNotAllowed otherwise, also when it already has that status.
    """
    move = MOVES.get((now_is, to))
    if move is None:
        raise StatusChangeNotAllowed(f"A booking that is {words(now_is)} cannot become {words(to)}.")
    if by not in move.by:
        whose = " or the ".join(sorted(move.by))
        raise StatusChangeNotAllowed(f"Only the {whose} can make a booking that is {words(now_is)} {words(to)}.")
    if move.after_end and now < ends_at:
        raise StatusChangeNotAllowed(f"A booking can only become {words(to)} after the session has ended.")


def open_moves(now_is: Status, by: Actor, *, ends_at: datetime, now: datetime) -> list[Status]:
    """To which statuses this actor can bring a booking at this instant, in the order of its life. Both are UTC."""
    return [
        to
        for (status, to), move in MOVES.items()
        if status is now_is and by in move.by and not (move.after_end and now < ends_at)
    ]


def check_reschedule(now_is: Status) -> None:
    """Pass silently when a booking with this status can be moved to another time. Raises RescheduleNotAllowed."""
    if now_is not in MOVABLE:
        raise RescheduleNotAllowed(f"A booking that is {words(now_is)} cannot be moved to another time.")


def words(status: Status) -> str:
    """The status as people read it inside a sentence: `no_show` is "no-show"."""
    return status.value.replace("_", "-")
