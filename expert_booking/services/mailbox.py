"""The mailbox of a demo site without a mail server: emails are stored here and shown on a page."""

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from email import message_from_bytes, policy
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.utils import getaddresses
from typing import Final
from uuid import UUID

from expert_booking.bus import Bus
from expert_booking.db import mailbox as rows
from expert_booking.db.engine import AnyRow, Database
from expert_booking.domain.addresses import customer_key
from expert_booking.domain.email_schedule import MessageKind
from expert_booking.domain.errors import MailNotFound
from expert_booking.mail.message import Email
from expert_booking.schemas import MailView, OpenedMail, StoredMail

_LARGEST_ID: Final = 2**63 - 1
_BOOKING_LINK: Final = re.compile(r"/booking/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})")


class Mailbox:
    """Accepts emails like a mail server, and shows them."""

    def __init__(self, database: Database, bus: Bus) -> None:
        self._database = database
        self._subscribers: dict[object, Callable[[], None]] = {}
        # The event comes from the database, so emails sent by other processes count too.
        bus.listen_for_mail(self._notify)

    async def send(self, email: Email) -> None:
        """Store an email."""
        async with self._database.statements() as connection:
            await rows.put(connection, email.recipient, email.content)

    async def close(self) -> None:
        """Nothing is kept for further emails."""

    async def latest(self, recipient: str = "") -> Sequence[MailView]:
        """The latest emails, newest first; only those to addresses that contain `recipient`, ignoring case."""
        async with self._database.statements() as connection:
            kept = await rows.latest(connection)
        mails = [_mail(row, _parsed(row)) for row in kept]
        return [mail for mail in mails if recipient.casefold() in mail.recipient.casefold()]

    async def open(self, mail_id: int) -> OpenedMail:
        """One email. Raises MailNotFound."""
        row = None
        if 0 < mail_id <= _LARGEST_ID:
            async with self._database.statements() as connection:
                row = await rows.by_id(connection, mail_id)
        if row is None:
            raise MailNotFound
        email = _parsed(row)
        return OpenedMail(
            **_mail(row, email).model_dump(),
            headers=_headers(email),
            text=_body(email, "plain"),
            html=_body(email, "html"),
            calendar=_calendar(email),
            raw=bytes(row.raw),
        )

    def subscribe(self, subscriber: Callable[[], None]) -> Callable[[], None]:
        """Call `subscriber` whenever there may be a new email, until the returned function is called."""
        subscription = object()
        self._subscribers[subscription] = subscriber

        def unsubscribe() -> None:
            self._subscribers.pop(subscription, None)

        return unsubscribe

    async def sweep(self) -> None:
        """Delete all but the latest emails."""
        async with self._database.statements() as connection:
            await rows.sweep(connection)

    def _notify(self) -> None:
        for subscriber in list(self._subscribers.values()):
            subscriber()


def mails_about(
    kept: Iterable[AnyRow], keys: Collection[str], booking_ids: Collection[UUID], *, besides: Collection[UUID] = ()
) -> list[AnyRow]:
    """The stored emails about one of these bookings or to customers with these keys, in the given order.

    Those about a booking in `besides` are left out.
    """
    return [row for row in kept if _is_about(_parsed(row), keys, booking_ids, besides)]


def stored_mail(row: AnyRow) -> StoredMail:
    """An email of the mailbox for an export of personal data."""
    email = _parsed(row)
    mail = _mail(row, email)
    return StoredMail(
        recipient=mail.recipient, subject=mail.subject, created_at=mail.created_at, text=_body(email, "plain")
    )


def _is_about(
    email: EmailMessage, keys: Collection[str], booking_ids: Collection[UUID], besides: Collection[UUID]
) -> bool:
    # Every email about a booking contains a link to its page.
    linked = set(map(UUID, _BOOKING_LINK.findall(_body(email, "plain"))))
    if not linked.isdisjoint(besides):
        return False
    recipients = {_key(address) for _, address in getaddresses([str(email["To"])])}
    return not linked.isdisjoint(booking_ids) or not recipients.isdisjoint(keys)


def _key(address: str) -> str | None:
    with suppress(ValueError):
        return customer_key(address)
    return None


def _parsed(row: AnyRow) -> EmailMessage:
    return message_from_bytes(bytes(row.raw), EmailMessage, policy=policy.SMTPUTF8)


def _mail(row: AnyRow, email: EmailMessage) -> MailView:
    headers = dict(_headers(email))
    return MailView(
        id=row.id,
        recipient=headers.get("To", ""),
        subject=headers.get("Subject", ""),
        kind=_kind(headers.get("Message-ID", "")),
        created_at=row.created_at,
    )


def _headers(email: EmailMessage) -> list[tuple[str, str]]:
    # Not email.items(), which inserts a space into a name that is encoded in two pieces.
    return [(name, _decoded(str(value))) for name, value in email.raw_items()]


def _decoded(header: str) -> str:
    unicode = header.encode(errors="surrogateescape").decode(errors="replace")
    return re.sub(r"\r?\n", "", str(make_header(decode_header(unicode)))).strip()


def _kind(message_id: str) -> MessageKind | None:
    # The outbox writes it as <number.kind.installation@domain>.
    with suppress(ValueError, IndexError):
        return MessageKind(message_id.split(".")[1])
    return None


def _body(email: EmailMessage, kind: str) -> str:
    body = email.get_body((kind,))
    return str(body.get_content()) if body is not None else ""


def _calendar(email: EmailMessage) -> bytes | None:
    for part in email.walk():
        if part.get_content_type() in ("text/calendar", "application/ics"):
            content = part.get_content()
            return content if isinstance(content, bytes) else str(content).encode()
    return None
