"""Emails: messages in the outbox, what a recipient can do about them, and what the mailbox page shows."""

from collections.abc import Sequence
from uuid import UUID

from expert_booking.domain.email_schedule import Audience, Delivery, MessageKind, WantedEmails
from expert_booking.schemas.bookings import BookingView
from expert_booking.schemas.fields import Model, Utc


class MessageView(Model):
    """An unsent message and the state of its delivery, without personal data."""

    id: int
    kind: MessageKind
    audience: Audience
    booking_id: UUID | None
    tries: int
    created_at: Utc
    # The next attempt is not before this time; None: immediately.
    due_at: Utc | None
    # When it was given up or withheld, and why it is withheld (None: it was given up).
    failed_at: Utc | None
    withheld: Delivery | None
    # The latest error of the mail server.
    error: str

    @property
    def delivery(self) -> Delivery:
        """Whether the message is still waiting, has failed permanently or is withheld."""
        if self.failed_at is None:
            return Delivery.WAITING
        return self.withheld or Delivery.FAILED


class NotBookedView(Model):
    """What the recipient of an email can do if they did not book it."""

    booking: BookingView
    # The booking would be cancelled: it is live, its session has not ended, and the link has its current key version.
    may_cancel: bool
    # The link is older than the current key version of a live booking.
    outdated: bool
    # Someone has signed in with the address, so only the emails about this booking stop.
    proven: bool

    @property
    def done(self) -> bool:
        """Whether the recipient has already said that they did not book this."""
        return self.booking.wanted_emails is WantedEmails.NONE


class MailView(Model):
    """An email in the list of the mailbox page."""

    id: int
    recipient: str
    subject: str
    # None for emails whose kind is not recorded.
    kind: MessageKind | None
    created_at: Utc


class OpenedMail(MailView):
    """An email with its content. `html` is not sanitized: show it only in a sandbox."""

    headers: Sequence[tuple[str, str]]
    text: str
    html: str
    # The attached calendar file.
    calendar: bytes | None
    raw: bytes
