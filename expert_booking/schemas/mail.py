"""Mail: what waits in the outbox, and what the mailbox page shows."""

from collections.abc import Sequence
from uuid import UUID

from expert_booking.domain.email_schedule import Audience, Delivery, MessageKind
from expert_booking.schemas.fields import Model, Utc


class MessageView(Model):
    """A message that has not been sent: where it stands, and nothing about anybody."""

    id: int
    kind: MessageKind
    audience: Audience
    booking_id: UUID | None
    tries: int
    created_at: Utc
    # Not before; none: at once.
    due_at: Utc | None
    failed_at: Utc | None
    # What the mail server said last.
    error: str

    @property
    def delivery(self) -> Delivery:
        """Whether it still waits or was given up."""
        return Delivery.WAITING if self.failed_at is None else Delivery.FAILED


class MailView(Model):
    """A mail as the list of the mailbox shows it."""

    id: int
    recipient: str
    subject: str
    # What it is about, where that can be told.
    kind: MessageKind | None
    created_at: Utc


class OpenedMail(MailView):
    """A mail with all that is in it. `html` is as it was sent: nobody but a sandbox may show it."""

    headers: Sequence[tuple[str, str]]
    text: str
    html: str
    # The calendar file that came with it.
    calendar: bytes | None
    raw: bytes
