"""What the terms still allow the customer of a booking, as values and as text."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from expert_booking.domain.errors import CancelTooLate, NoReschedulesLeft, RescheduleTooLate
from expert_booking.domain.lifecycle import Status
from expert_booking.domain.terms import Leeway, Terms

NINE = datetime(2026, 11, 24, 9, tzinfo=UTC)
HOUR = timedelta(hours=1)
MOMENT = timedelta(microseconds=1)


def format_instant(instant: datetime) -> str:
    return f"{instant:%d %b %H:%M}"


def leeway(terms: Terms, *, moves: int = 0, status: Status = Status.CONFIRMED) -> Leeway:
    """The leeway of a booking with these terms that starts at nine and was made three days before."""
    return Leeway(
        status=status,
        starts_at=NINE,
        answer_by=terms.answer_by(NINE, NINE - 72 * HOUR),
        cancel_until=terms.cancel_until(NINE),
        reschedule_until=terms.reschedule_until(NINE),
        reschedules_left=terms.reschedules_left(moves),
    )


def allowed(check: Callable[..., None], *args: object) -> bool:
    try:
        check(*args)
    except (CancelTooLate, RescheduleTooLate, NoReschedulesLeft):
        return False
    return True


@pytest.mark.parametrize("moves", [0, 1, 2])
@pytest.mark.parametrize("before", [49 * HOUR, 48 * HOUR, 48 * HOUR - MOMENT, 24 * HOUR, 24 * HOUR - MOMENT, -HOUR])
def test_offered_actions_are_those_the_terms_allow(moves: int, before: timedelta) -> None:
    terms = Terms(cancel_notice_minutes=1440, reschedule_notice_minutes=2880, max_reschedules=2)
    left, now = leeway(terms, moves=moves), NINE - before
    assert left.may_cancel(now) == allowed(terms.check_cancel, NINE, now)
    assert left.may_reschedule(now) == allowed(terms.check_reschedule, NINE, moves, now)


@pytest.mark.parametrize("status", sorted(set(Status) - {Status.PENDING, Status.CONFIRMED}))
def test_cancelled_or_finished_booking_has_no_actions_and_no_text(status: Status) -> None:
    left, now = leeway(Terms(), status=status), NINE - 72 * HOUR
    assert (left.may_cancel(now), left.may_reschedule(now), left.sentences(now, format_instant)) == (False, False, [])
    assert f"that is {status.value.replace('_', '-')} cannot be rescheduled" in left.why_not_reschedule(
        now, format_instant
    )


@pytest.mark.parametrize(
    ("terms", "moves", "said"),
    [
        (Terms(), 0, ["You can cancel until the start.", "Until then you can also reschedule."]),
        (Terms(cancel_notice_minutes=1440, reschedule_notice_minutes=60, max_reschedules=2), 0,
         ["You can cancel until 23 Nov 09:00.", "You can reschedule until 24 Nov 08:00, twice more."]),
        (Terms(cancel_notice_minutes=60, reschedule_notice_minutes=60, max_reschedules=2), 1,
         ["You can cancel until 24 Nov 08:00.", "Until then you can also reschedule, once more."]),
        (Terms(max_reschedules=7), 2,
         ["You can cancel until the start.", "Until then you can also reschedule, 5 more times."]),
        (Terms(max_reschedules=0), 0, ["You can cancel until the start.", "This booking cannot be rescheduled."]),
    ],
)  # fmt: skip
def test_deadlines_to_cancel_and_reschedule_are_shown_as_instants(terms: Terms, moves: int, said: list[str]) -> None:
    assert leeway(terms, moves=moves).sentences(NINE - 48 * HOUR, format_instant) == said


def test_passed_deadlines_are_shown_as_passed() -> None:
    both = leeway(Terms(cancel_notice_minutes=1440, reschedule_notice_minutes=1440))
    assert both.sentences(NINE - HOUR, format_instant) == [
        "Cancelling and rescheduling were possible until 23 Nov 09:00."
    ]
    assert both.why_not_reschedule(NINE - HOUR, format_instant) == ("Rescheduling was possible until 23 Nov 09:00.")
    cancelling = leeway(Terms(cancel_notice_minutes=1440))
    assert cancelling.sentences(NINE - HOUR, format_instant) == [
        "Cancelling was possible until 23 Nov 09:00.", "You can reschedule until the start."
    ]  # fmt: skip
    assert both.sentences(NINE + MOMENT, format_instant) == []


def test_answer_deadline_is_shown_while_pending() -> None:
    by_expert = Terms(answer_minutes=1440)
    assert leeway(by_expert, status=Status.PENDING).answer(format_instant) == (
        "The expert answers by 22 Nov 09:00. Without an answer, the booking expires."
    )
    late = leeway(Terms(answer_minutes=1440 * 7), status=Status.PENDING)
    assert late.answer(format_instant) == "The expert answers before the start. Without an answer, the booking expires."
    assert leeway(by_expert, status=Status.CONFIRMED).answer(format_instant) == ""


def test_text_changes_at_each_deadline_and_not_after_the_last() -> None:
    left = leeway(Terms(answer_minutes=1440, cancel_notice_minutes=1440, reschedule_notice_minutes=60))
    turns, now = [], NINE - 72 * HOUR
    while (turn := left.next_change(now)) is not None:
        turns.append((NINE - turn) // HOUR)
        now = turn + MOMENT
    assert turns == [48, 24, 1, 0]


def test_unverified_booking_can_be_cancelled_at_any_time_but_not_rescheduled() -> None:
    strict = replace(leeway(Terms(cancel_notice_minutes=10_000)), status=Status.PENDING, verify_by=NINE - 71 * HOUR)
    now = NINE - 71.5 * HOUR
    assert strict.may_cancel(now)
    assert not strict.may_reschedule(now)
    assert "must be confirmed" in strict.why_not_reschedule(now, format_instant)
    assert strict.next_change(now) == NINE - 71 * HOUR
    assert len(strict.sentences(now, format_instant)) == 1
    assert not replace(strict, verify_by=None).may_cancel(now)
