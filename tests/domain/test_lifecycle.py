"""Every pair of statuses, for each actor, before and after the end: which transitions exist."""

from datetime import UTC, datetime, timedelta
from itertools import product

import pytest

from expert_booking.domain.errors import RescheduleNotAllowed, StatusChangeNotAllowed
from expert_booking.domain.lifecycle import LIVE, Actor, Status, check_reschedule, check_transition, open_transitions

# Written by hand, not read from the code: which actors may, and whether only before or after the end.
TRANSITIONS = {
    ("held", "pending"): "customer", ("held", "confirmed"): "customer", ("held", "expired"): "customer system",
    ("pending", "confirmed"): "expert admin", ("pending", "declined"): "expert admin",
    ("pending", "cancelled"): "customer expert admin, before", ("pending", "expired"): "system",
    ("confirmed", "completed"): "expert admin, after", ("confirmed", "no_show"): "expert admin, after",
    ("confirmed", "cancelled"): "customer expert admin, before",
}  # fmt: skip
NAMES = ("held", "pending", "confirmed", "completed", "cancelled", "declined", "expired", "no_show", "blocked")
ENDS_AT = datetime(2026, 11, 24, 9, tzinfo=UTC)
JUST_BEFORE = ENDS_AT - timedelta(microseconds=1)


def test_statuses_are_exactly_these() -> None:
    assert {status.value for status in Status} == set(NAMES)


@pytest.mark.parametrize(("now_is", "to"), list(product(NAMES, NAMES)))
@pytest.mark.parametrize("now", [JUST_BEFORE, ENDS_AT])
def test_transition_is_allowed_if_and_only_if_it_is_in_the_table(now_is: str, to: str, now: datetime) -> None:
    who, _, when = TRANSITIONS.get((now_is, to), "").partition(", ")
    for actor in Actor:
        if actor in who.split() and when in ("", "after" if now is ENDS_AT else "before"):
            check_transition(Status(now_is), Status(to), actor, ends_at=ENDS_AT, now=now)
            continue
        with pytest.raises(StatusChangeNotAllowed) as refused:
            check_transition(Status(now_is), Status(to), actor, ends_at=ENDS_AT, now=now)
        message = str(refused.value)
        assert to.replace("_", "-") in message
        assert "_" not in message


@pytest.mark.parametrize("now_is", list(Status))
@pytest.mark.parametrize("now", [JUST_BEFORE, ENDS_AT])
def test_offered_transitions_are_the_allowed_ones(now_is: Status, now: datetime) -> None:
    for actor in Actor:
        for to in Status:
            if to in open_transitions(now_is, actor, ends_at=ENDS_AT, now=now):
                check_transition(now_is, to, actor, ends_at=ENDS_AT, now=now)
                continue
            with pytest.raises(StatusChangeNotAllowed):
                check_transition(now_is, to, actor, ends_at=ENDS_AT, now=now)


def test_live_statuses_keep_their_time() -> None:
    assert {status.value for status in LIVE} == {"held", "pending", "confirmed", "completed", "no_show", "blocked"}


@pytest.mark.parametrize("status", list(Status))
def test_only_future_live_bookings_can_be_rescheduled(status: Status) -> None:
    if status.value in ("pending", "confirmed"):
        check_reschedule(status)
        return
    with pytest.raises(RescheduleNotAllowed, match=status.value.replace("_", "-")):
        check_reschedule(status)


def test_unverified_booking_can_only_be_cancelled_or_expire() -> None:
    before = ENDS_AT - timedelta(hours=2)
    for to, actor in product(Status, Actor):
        if to.value in ("cancelled", "expired"):
            continue
        with pytest.raises(StatusChangeNotAllowed):
            check_transition(Status.PENDING, to, actor, ends_at=ENDS_AT, now=before, unverified=True)
    check_transition(Status.PENDING, Status.CANCELLED, Actor.EXPERT, ends_at=ENDS_AT, now=before, unverified=True)
    offered = open_transitions(Status.PENDING, Actor.EXPERT, ends_at=ENDS_AT, now=before, unverified=True)
    assert offered == [Status.CANCELLED]
    with pytest.raises(RescheduleNotAllowed, match="must be confirmed"):
        check_reschedule(Status.PENDING, unverified=True)
