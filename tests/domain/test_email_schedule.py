"""When emails are retried and when reminders are sent."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as some

from expert_booking.domain.email_schedule import MAX_ATTEMPTS, reminder_windows, reminders_at, retry_delay

START = datetime(2026, 11, 24, 8, tzinfo=UTC)
HOUR = timedelta(hours=1)
spans = some.lists(some.integers(1, 20_160).map(lambda minutes: timedelta(minutes=minutes)), max_size=5).map(tuple)


def test_retry_delays_grow_to_an_hour_and_end_after_two_days() -> None:
    pauses = [retry_delay(tries) for tries in range(1, MAX_ATTEMPTS)]
    assert [pause and pause.total_seconds() for pause in pauses[:4]] == [5, 10, 20, 40]
    assert pauses == sorted(pause for pause in pauses if pause is not None)
    assert pauses[-1] == HOUR
    assert timedelta(hours=44) < sum((pause for pause in pauses if pause), timedelta()) < timedelta(hours=50)
    assert retry_delay(MAX_ATTEMPTS) is None
    assert retry_delay(MAX_ATTEMPTS + 1) is None


def test_late_reminder_is_sent_until_the_next_is_due_and_the_last_until_the_start() -> None:
    assert reminder_windows(START, (HOUR, 24 * HOUR, HOUR)) == [
        (START - 24 * HOUR, START - HOUR),
        (START - HOUR, START),
    ]
    assert reminder_windows(START, ()) == []
    assert reminders_at(START, ()) == []


@given(before=spans, minutes=some.integers(-30_000, 30_000))
def test_due_times_and_due_reminder_agree(before: tuple[timedelta, ...], minutes: int) -> None:
    now = START + timedelta(minutes=minutes)
    by_session = {START - begins for begins, ends in reminder_windows(START, before) if begins <= now < ends}
    by_now = {span for span, after, until in reminders_at(now, before) if after < START <= until}
    assert by_session == by_now
    assert len(by_now) <= 1
