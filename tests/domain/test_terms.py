"""The terms of a session type: decisions and texts."""

from datetime import UTC, datetime, timedelta

import pytest

from expert_booking.domain.errors import CancelTooLate, NoReschedulesLeft, RescheduleTooLate
from expert_booking.domain.lifecycle import Status
from expert_booking.domain.terms import Confirmation, Terms

STARTS_AT = datetime(2026, 11, 24, 9, tzinfo=UTC)
DAY, INSTANT = timedelta(days=1), timedelta(microseconds=1)


def test_session_can_be_cancelled_up_to_the_exact_cut_off() -> None:
    terms = Terms(cancel_notice_minutes=1440)
    terms.check_cancel(STARTS_AT, STARTS_AT - DAY)
    with pytest.raises(CancelTooLate, match="until 1 day before it begins"):
        terms.check_cancel(STARTS_AT, STARTS_AT - DAY + INSTANT)


def test_without_notice_a_session_can_be_cancelled_until_it_begins() -> None:
    Terms().check_cancel(STARTS_AT, STARTS_AT)
    with pytest.raises(CancelTooLate, match="until it begins"):
        Terms().check_cancel(STARTS_AT, STARTS_AT + INSTANT)


def test_booking_can_be_rescheduled_until_its_cut_off_and_up_to_its_limit() -> None:
    terms = Terms(reschedule_notice_minutes=120, max_reschedules=2)
    two_hours_before = STARTS_AT - timedelta(hours=2)
    terms.check_reschedule(STARTS_AT, 1, two_hours_before)
    with pytest.raises(RescheduleTooLate, match="until 2 hours before it begins"):
        terms.check_reschedule(STARTS_AT, 1, two_hours_before + INSTANT)
    with pytest.raises(NoReschedulesLeft, match="moved twice already"):
        terms.check_reschedule(STARTS_AT, 2, two_hours_before)
    assert [terms.reschedules_left(moves) for moves in range(4)] == [2, 1, 0, 0]


def test_without_a_limit_a_booking_can_be_rescheduled_any_number_of_times() -> None:
    Terms().check_reschedule(STARTS_AT, 1000, STARTS_AT)
    assert Terms().reschedules_left(1000) is None


def test_terms_without_rescheduling_say_so() -> None:
    with pytest.raises(NoReschedulesLeft, match="cannot be moved"):
        Terms(max_reschedules=0).check_reschedule(STARTS_AT, 0, STARTS_AT - DAY)


def test_confirmation_mode_decides_the_initial_status_and_answer_deadline() -> None:
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
            "The expert confirms it within 2 days. You can cancel until it begins. "
            "You can move it to another time until it begins.",
        ),
        (
            Terms(Confirmation.AT_ONCE, 60, 1440, 90, 1),
            "It is confirmed at once. You can cancel until 1 day before it begins. "
            "You can move it to another time until 90 minutes before it begins, once.",
        ),
        (
            Terms(answer_minutes=180, cancel_notice_minutes=60, max_reschedules=0),
            "The expert confirms it within 3 hours. You can cancel until 1 hour before it begins. "
            "It cannot be moved to another time.",
        ),
        (
            Terms(max_reschedules=5),
            "The expert confirms it within 2 days. You can cancel until it begins. "
            "You can move it to another time until it begins, up to 5 times.",
        ),
    ],
)
def test_printed_terms_match_the_decisions(terms: Terms, said: str) -> None:
    assert " ".join(terms.sentences()) == said
