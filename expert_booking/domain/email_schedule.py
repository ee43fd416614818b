"""Mail: which messages there are, when one is tried again, and when reminders go out. What they say is elsewhere."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final


class MessageKind(StrEnum):
    RECEIVED = "received"
    CONFIRMED = "confirmed"
    DECLINED = "declined"
    RESCHEDULED = "rescheduled"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    REMINDER = "reminder"
    # The links to the booking were ended.
    NEW_LINK = "new_link"
    ACCESS_LINK = "access_link"
    # An expert's new address: to that one, with a link that confirms it, and to the one until then.
    NEW_ADDRESS = "new_address"
    ADDRESS_CHANGE = "address_change"


class Audience(StrEnum):
    CUSTOMER = "customer"
    EXPERT = "expert"


class Delivery(StrEnum):
    """What has become of a message: not sent yet, accepted by the mail server, or given up."""

    WAITING = "waiting"
    SENT = "sent"
    FAILED = "failed"


_FIRST_PAUSE: Final = timedelta(seconds=5)
_LONGEST_PAUSE: Final = timedelta(hours=1)
# Ten tries in the first hour and a half, then one every hour: two days in all.
MOST_TRIES: Final = 56


def pause_after(tries: int) -> timedelta | None:
    """How long to wait after so many failed tries before the next one; None: give up."""
    if tries >= MOST_TRIES:
        return None
    return min(_FIRST_PAUSE * float(2 ** min(tries - 1, 20)), _LONGEST_PAUSE)


def reminder_windows(starts_at: datetime, before: tuple[timedelta, ...]) -> list[tuple[datetime, datetime]]:
    """From when until when each reminder of a session may go out, given how long before the start they are wanted.

    A reminder that is late goes out until the next one is due, the last one until the session begins.
    """
    begins = sorted(starts_at - span for span in set(before))
    return list(zip(begins, [*begins[1:], starts_at], strict=False))


def reminders_at(now: datetime, before: tuple[timedelta, ...]) -> list[tuple[timedelta, datetime, datetime]]:
    """The same from where we stand: each reminder, and the starts of the sessions of which it may go out now.

    After the first of the two instants, and up to the second.
    """
    spans = sorted(set(before), reverse=True)
    return [(span, now + shorter, now + span) for span, shorter in zip(spans, [*spans[1:], timedelta()], strict=False)]
