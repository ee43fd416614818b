"""The life of a booking: its statuses and the moves between them."""

from enum import StrEnum
from typing import Final

from expert_booking.domain.errors import StatusChangeNotAllowed


class Status(StrEnum):
    HELD = "held"
    PENDING = "pending"
    CONFIRMED = "confirmed"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    DECLINED = "declined"
    EXPIRED = "expired"
    NO_SHOW = "no_show"


# A live booking keeps its time from everybody else; the two fences of the database know the same five.
LIVE: Final = frozenset({Status.HELD, Status.PENDING, Status.CONFIRMED, Status.COMPLETED, Status.NO_SHOW})

MOVES: Final[dict[Status, frozenset[Status]]] = {
    Status.HELD: frozenset({Status.PENDING, Status.CONFIRMED, Status.EXPIRED}),
    Status.PENDING: frozenset({Status.CONFIRMED, Status.DECLINED, Status.CANCELLED, Status.EXPIRED}),
    Status.CONFIRMED: frozenset({Status.COMPLETED, Status.NO_SHOW, Status.CANCELLED}),
    Status.COMPLETED: frozenset(),
    Status.CANCELLED: frozenset(),
    Status.DECLINED: frozenset(),
    Status.EXPIRED: frozenset(),
    Status.NO_SHOW: frozenset(),
}


def check_move(now_is: Status, to: Status) -> None:
    """Pass silently when a booking may go from one status to the other.

    Raises StatusChangeNotAllowed otherwise, also when it already has that status.
    """
    if to not in MOVES[now_is]:
        raise StatusChangeNotAllowed(f"A booking that is {words(now_is)} cannot become {words(to)}.")


def words(status: Status) -> str:
    """The status as people read it inside a sentence: `no_show` is "no-show"."""
    return status.value.replace("_", "-")
