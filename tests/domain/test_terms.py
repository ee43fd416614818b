"""The terms of a session type: decisions and texts."""

from datetime import UTC, datetime, timedelta

import pytest

from expert_booking.domain.errors import CancelTooLate, NoReschedulesLeft, RescheduleTooLate
from expert_booking.domain.lifecycle import Status
from expert_booking.domain.terms import Confirmation, EmailVerification, InitialState, Terms

STARTS_AT = datetime(2026, 11, 24, 9, tzinfo=UTC)
DAY, INSTANT = timedelta(days=1), timedelta(microseconds=1)


def test_session_can_be_cancelled_up_to_the_exact_cut_off() -> None:
    terms = Terms(cancel_notice_minutes=1440)
    terms.check_cancel(STARTS_AT, STARTS_AT - DAY)
    with pytest.raises(CancelTooLate, match="until 1 day before the start"):
        terms.check_cancel(STARTS_AT, STARTS_AT - DAY + INSTANT)


def test_without_notice_a_session_can_be_cancelled_until_it_begins() -> None:
    Terms().check_cancel(STARTS_AT, STARTS_AT)
    with pytest.raises(CancelTooLate, match="until the start"):
        Terms().check_cancel(STARTS_AT, STARTS_AT + INSTANT)


def test_booking_can_be_rescheduled_until_its_cut_off_and_up_to_its_limit() -> None:
    terms = Terms(reschedule_notice_minutes=120, max_reschedules=2)
    two_hours_before = STARTS_AT - timedelta(hours=2)
    terms.check_reschedule(STARTS_AT, 1, two_hours_before)
    with pytest.raises(RescheduleTooLate, match="until 2 hours before the start"):
        terms.check_reschedule(STARTS_AT, 1, two_hours_before + INSTANT)
    with pytest.raises(NoReschedulesLeft, match="already been rescheduled twice"):
        terms.check_reschedule(STARTS_AT, 2, two_hours_before)
    assert [terms.reschedules_left(moves) for moves in range(4)] == [2, 1, 0, 0]


def test_without_a_limit_a_booking_can_be_rescheduled_any_number_of_times() -> None:
    Terms().check_reschedule(STARTS_AT, 1000, STARTS_AT)
    assert Terms().reschedules_left(1000) is None


def test_terms_without_rescheduling_say_so() -> None:
    with pytest.raises(NoReschedulesLeft, match="cannot be rescheduled"):
        Terms(max_reschedules=0).check_reschedule(STARTS_AT, 0, STARTS_AT - DAY)


def test_confirmation_mode_decides_the_initial_status_and_answer_deadline() -> None:
    asked, at_once = Terms(answer_minutes=60), Terms(Confirmation.INSTANT)
    assert (asked.initial_status(), at_once.initial_status()) == (Status.PENDING, Status.CONFIRMED)
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
            Terms(Confirmation.INSTANT, 60, 1440, 90, 1),
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
        (
            Terms(payment_note="Please pay in cash."),
            "The expert confirms within 2 days. Free cancellation until the start. You can reschedule until the start. "
            "Please pay in cash.",
        ),
    ],
)
def test_printed_terms_match_the_decisions(terms: Terms, said: str) -> None:
    assert " ".join(terms.sentences()) == said


def test_booking_to_verify_is_pending_for_30_minutes_or_until_the_start() -> None:
    asked, at_once = Terms(answer_minutes=60), Terms(Confirmation.INSTANT)
    now = STARTS_AT - DAY
    until = now + timedelta(minutes=30)
    assert asked.initial_state(STARTS_AT, now, verify=True) == InitialState(Status.PENDING, None, until, 60)
    assert at_once.initial_state(STARTS_AT, now, verify=True) == InitialState(Status.PENDING, None, until, None)
    assert asked.initial_state(STARTS_AT, STARTS_AT - INSTANT, verify=True).verify_by == STARTS_AT
    assert at_once.initial_state(STARTS_AT, now, verify=False) == InitialState(Status.CONFIRMED, None)


@pytest.mark.parametrize(
    ("verification", "said"),
    [
        (EmailVerification.NEVER, "Confirmed instantly."),
        (EmailVerification.NEW_ADDRESSES, "New customers confirm their email address with a code."),
        (EmailVerification.ALWAYS, "You confirm your email address with a code."),
    ],
)
def test_terms_say_first_who_confirms_the_email_address(verification: EmailVerification, said: str) -> None:
    assert Terms(Confirmation.INSTANT, email_verification=verification).sentences()[0] == said
