"""The terms of a session type: what they decide, and how they read."""

from datetime import UTC, datetime, timedelta

import pytest

from expert_booking.domain.errors import CancelTooLate, NoReschedulesLeft, RescheduleTooLate
from expert_booking.domain.lifecycle import Status
from expert_booking.domain.terms import Confirmation, Terms

STARTS_AT = datetime(2026, 11, 24, 9, tzinfo=UTC)
DAY, INSTANT = timedelta(days=1), timedelta(microseconds=1)


def test_a_session_is_cancelled_until_the_very_instant_of_the_cut_off() -> None:
    terms = Terms(cancel_notice_minutes=1440)
    terms.check_cancel(STARTS_AT, STARTS_AT - DAY)
    with pytest.raises(CancelTooLate, match="until 1 day before the start"):
        terms.check_cancel(STARTS_AT, STARTS_AT - DAY + INSTANT)


def test_without_notice_it_is_cancelled_until_it_begins() -> None:
    Terms().check_cancel(STARTS_AT, STARTS_AT)
    with pytest.raises(CancelTooLate, match="until the start"):
        Terms().check_cancel(STARTS_AT, STARTS_AT + INSTANT)


def test_a_booking_is_moved_until_its_own_cut_off_and_so_often() -> None:
    terms = Terms(reschedule_notice_minutes=120, max_reschedules=2)
    two_hours_before = STARTS_AT - timedelta(hours=2)
    terms.check_reschedule(STARTS_AT, 1, two_hours_before)
    with pytest.raises(RescheduleTooLate, match="until 2 hours before the start"):
        terms.check_reschedule(STARTS_AT, 1, two_hours_before + INSTANT)
    with pytest.raises(NoReschedulesLeft, match="already been rescheduled twice"):
        terms.check_reschedule(STARTS_AT, 2, two_hours_before)
    assert [terms.reschedules_left(moves) for moves in range(4)] == [2, 1, 0, 0]


def test_without_a_number_it_is_moved_as_often_as_one_likes() -> None:
    Terms().check_reschedule(STARTS_AT, 1000, STARTS_AT)
    assert Terms().reschedules_left(1000) is None


def test_a_session_that_cannot_be_moved_says_so() -> None:
    with pytest.raises(NoReschedulesLeft, match="cannot be rescheduled"):
        Terms(max_reschedules=0).check_reschedule(STARTS_AT, 0, STARTS_AT - DAY)


def test_who_confirms_decides_how_a_booking_begins_and_until_when_somebody_has_to_answer() -> None:
    asked, at_once = Terms(answer_minutes=60), Terms(Confirmation.AT_ONCE)
    assert (asked.first_status(), at_once.first_status()) == (Status.PENDING, Status.CONFIRMED)
    assert asked.answer_by(STARTS_AT, STARTS_AT - DAY) == STARTS_AT - DAY + timedelta(hours=1)
    assert asked.answer_by(STARTS_AT, STARTS_AT - INSTANT) == STARTS_AT
    assert at_once.answer_by(STARTS_AT, STARTS_AT - DAY) is None


@pytest.mark.parametrize(
    ("terms", "said"),
    [
        (
            Terms(),
            "The expert confirms within 2 days. Free cancellation until the start. You can reschedule until the start.",
        ),
        (
            Terms(Confirmation.AT_ONCE, 60, 1440, 90, 1),
            "Confirmed instantly. Free cancellation until 1 day before the start. "
            "You can reschedule until 90 minutes before the start, once.",
        ),
        (
            Terms(answer_minutes=180, cancel_notice_minutes=60, max_reschedules=0),
            "The expert confirms within 3 hours. Free cancellation until 1 hour before the start. "
            "Rescheduling is not possible.",
        ),
        (
            Terms(max_reschedules=5),
            "The expert confirms within 2 days. Free cancellation until the start. "
            "You can reschedule until the start, up to 5 times.",
        ),
    ],
)
def test_the_terms_are_printed_as_they_decide(terms: Terms, said: str) -> None:
    assert " ".join(terms.sentences()) == said
