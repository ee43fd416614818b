"""Emails: messages waiting in the outbox, and what the mailbox page shows."""

from collections.abc import Sequence
from uuid import UUID

from expert_booking.domain.email_schedule import Audience, Delivery, MessageKind
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
    failed_at: Utc | None
    # The latest error of the mail server.
    error: str

    @property
    def delivery(self) -> Delivery:
        """Whether the message is still waiting or has failed permanently."""
        return Delivery.WAITING if self.failed_at is None else Delivery.FAILED


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
