"""Every pair of statuses: which moves exist, and which do not."""

from itertools import product

import pytest

from expert_booking.domain.errors import StatusChangeNotAllowed
from expert_booking.domain.lifecycle import LIVE, Status, check_move

# Written out by hand, not read from the code.
MOVES = {
    ("held", "pending"), ("held", "confirmed"), ("held", "expired"),
    ("pending", "confirmed"), ("pending", "declined"), ("pending", "cancelled"), ("pending", "expired"),
    ("confirmed", "completed"), ("confirmed", "no_show"), ("confirmed", "cancelled"),
}  # fmt: skip
NAMES = ("held", "pending", "confirmed", "completed", "cancelled", "declined", "expired", "no_show")


def test_these_are_all_the_statuses() -> None:
    assert {status.value for status in Status} == set(NAMES)


@pytest.mark.parametrize(("now_is", "to"), list(product(NAMES, NAMES)))
def test_a_move_is_allowed_exactly_if_it_is_one_of_ours(now_is: str, to: str) -> None:
    if (now_is, to) in MOVES:
        check_move(Status(now_is), Status(to))
        return
    with pytest.raises(StatusChangeNotAllowed) as refused:
        check_move(Status(now_is), Status(to))
    said = str(refused.value)
    assert now_is.replace("_", "-") in said
    assert to.replace("_", "-") in said
    assert "_" not in said


def test_a_finished_booking_moves_no_more() -> None:
    moving = {now_is for now_is, _ in MOVES}
    for status in set(NAMES) - moving:
        for to in Status:
            with pytest.raises(StatusChangeNotAllowed):
                check_move(Status(status), to)


def test_a_booking_keeps_its_time_unless_it_was_called_off() -> None:
    assert {status.value for status in LIVE} == {"held", "pending", "confirmed", "completed", "no_show"}
