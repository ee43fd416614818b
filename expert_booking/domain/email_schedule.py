"""The kinds of email, which are withheld, when a failed one is retried, and when reminders go out.

The texts are in `mail/`.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class MessageKind(StrEnum):
    RECEIVED = "received"
    CONFIRMED = "confirmed"
    DECLINED = "declined"
    RESCHEDULED = "rescheduled"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    # A host has changed where it takes place.
    RELOCATED = "relocated"
    REMINDER = "reminder"
    # The customer of a new booking must confirm the address.
    VERIFICATION = "verification"
    # The links to the booking were revoked.
    NEW_LINK = "new_link"
    ACCESS_LINK = "access_link"
    # An expert's new address: a confirmation link to the new one, and a notice to the old one.
    NEW_ADDRESS = "new_address"
    ADDRESS_CHANGE = "address_change"


class Audience(StrEnum):
    CUSTOMER = "customer"
    EXPERT = "expert"


class Delivery(StrEnum):
    """The delivery state of a message: not sent yet, accepted by the mail server, given up, or withheld and why."""

    WAITING = "waiting"
    SENT = "sent"
    FAILED = "failed"
    # The address has received too many emails in 24 hours, and nobody has ever signed in with it.
    OVER_LIMIT = "over_limit"
    # The owner of the address said that they did not book this.
    SILENCED = "silenced"
    # The mail server refused an earlier email to the address permanently.
    REFUSED = "refused"


WITHHELD: Final = frozenset({Delivery.OVER_LIMIT, Delivery.SILENCED, Delivery.REFUSED})


class WantedEmails(StrEnum):
    """The emails about a booking that its customer wants. `none` lasts until someone signs in with the address."""

    ALL = "all"
    NO_REMINDERS = "no_reminders"
    NONE = "none"


# The emails about bookings that an expert may turn off, by what the expert calls them (`wanted_emails`).
EXPERT_EMAILS: Final[Mapping[MessageKind, str]] = MappingProxyType(
    {
        MessageKind.RECEIVED: "bookings", MessageKind.CONFIRMED: "bookings",
        MessageKind.RESCHEDULED: "changes", MessageKind.CANCELLED: "changes", MessageKind.DECLINED: "changes",
        MessageKind.EXPIRED: "changes", MessageKind.REMINDER: "reminders",
    }
)  # fmt: skip


# The emails to one address are counted over this span.
LIMIT_SPAN: Final = timedelta(hours=24)
# A sign-in email to an address that was refused is tried again after this, in case its mailbox works again.
REFUSED_FOR_SIGN_IN: Final = timedelta(hours=1)


_FIRST_DELAY: Final = timedelta(seconds=5)
_MAX_DELAY: Final = timedelta(hours=1)
# Ten attempts in the first hour and a half, then one every hour: two days in total.
MAX_ATTEMPTS: Final = 56


def retry_delay(tries: int) -> timedelta | None:
    """How long to wait before the next attempt after this many failed ones; None to give up."""
    if tries >= MAX_ATTEMPTS:
        return None
    return min(_FIRST_DELAY * float(2 ** min(tries - 1, 20)), _MAX_DELAY)


def reminder_windows(starts_at: datetime, before: tuple[timedelta, ...]) -> list[tuple[datetime, datetime]]:
    """The window (from, until) in which each reminder of a session may go out, earliest first.

    `before` says how long before the start each reminder is due. A late reminder may go out until the next one is due,
    the last one until the session starts.
    """
    begins = sorted(starts_at - span for span in set(before))
    return list(zip(begins, [*begins[1:], starts_at], strict=False))


def reminders_at(now: datetime, before: tuple[timedelta, ...]) -> list[tuple[timedelta, datetime, datetime]]:
    """For each reminder, the range of session starts for which it may go out now: (before, after, until).

    `after` is exclusive, `until` inclusive.
    """
    spans = sorted(set(before), reverse=True)
    return [(span, now + shorter, now + span) for span, shorter in zip(spans, [*spans[1:], timedelta()], strict=False)]
