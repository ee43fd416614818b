"""The mailbox of a site without a mail server: mail stays here, to be read on a page."""

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from email import message_from_bytes, policy
from email.header import decode_header, make_header
from email.message import EmailMessage
from typing import Final

from expert_booking.bus import Bus
from expert_booking.db import mailbox as rows
from expert_booking.db.engine import AnyRow, Database
from expert_booking.domain.email_schedule import MessageKind
from expert_booking.domain.errors import MailNotFound
from expert_booking.schemas import MailView, OpenedMail

_LARGEST_ID: Final = 2**63 - 1


class Mailbox:
    """Takes mail as a mail server does, and shows it."""

    def __init__(self, database: Database, bus: Bus) -> None:
        self._database = database
        self._subscribers: dict[object, Callable[[], None]] = {}
        # Told by the database, so mails of other processes are seen too.
        bus.listen_for_mail(self._tell)

    async def send(self, letter: EmailMessage) -> None:
        """Keep it."""
        async with self._database.statements() as connection:
            await rows.put(connection, str(letter["To"]), letter.as_bytes(policy=policy.SMTPUTF8))

    async def mails(self, recipient: str = "") -> Sequence[MailView]:
        """The latest mails, the latest first; only those to addresses in which these letters are."""
        async with self._database.statements() as connection:
            kept = await rows.latest(connection)
        mails = [_mail(row, _parsed(row)) for row in kept]
        return [mail for mail in mails if recipient.casefold() in mail.recipient.casefold()]

    async def open(self, mail_id: int) -> OpenedMail:
        """One mail. Raises MailNotFound."""
        row = None
        if 0 < mail_id <= _LARGEST_ID:
            async with self._database.statements() as connection:
                row = await rows.by_id(connection, mail_id)
        if row is None:
            raise MailNotFound
        letter = _parsed(row)
        return OpenedMail(
            **_mail(row, letter).model_dump(),
            headers=_headers(letter),
            text=_said(letter, "plain"),
            html=_said(letter, "html"),
            calendar=_calendar(letter),
            raw=bytes(row.raw),
        )

    def subscribe(self, subscriber: Callable[[], None]) -> Callable[[], None]:
        """Call `subscriber` whenever there may be another mail, until the returned function is called."""
        subscription = object()
        self._subscribers[subscription] = subscriber

        def unsubscribe() -> None:
            self._subscribers.pop(subscription, None)

        return unsubscribe

    async def sweep(self) -> None:
        """Forget all but the latest."""
        async with self._database.statements() as connection:
            await rows.sweep(connection)

    def _tell(self) -> None:
        for subscriber in list(self._subscribers.values()):
            subscriber()


def _parsed(row: AnyRow) -> EmailMessage:
    return message_from_bytes(bytes(row.raw), EmailMessage, policy=policy.SMTPUTF8)


def _mail(row: AnyRow, letter: EmailMessage) -> MailView:
    headers = dict(_headers(letter))
    return MailView(
        id=row.id,
        recipient=headers.get("To", ""),
        subject=headers.get("Subject", ""),
        kind=_kind(headers.get("Message-ID", "")),
        created_at=row.created_at,
    )


def _headers(letter: EmailMessage) -> list[tuple[str, str]]:
    # Not as letter.items() reads them: that puts a space into a name that is encoded in two pieces.
    return [(name, _decoded(str(value))) for name, value in letter.raw_items()]


def _decoded(header: str) -> str:
    unicode = header.encode(errors="surrogateescape").decode(errors="replace")
    return re.sub(r"\r?\n", "", str(make_header(decode_header(unicode)))).strip()


def _kind(message_id: str) -> MessageKind | None:
    # The outbox makes it so: <number.kind.installation@domain>.
    with suppress(ValueError, IndexError):
        return MessageKind(message_id.split(".")[1])
    return None


def _said(letter: EmailMessage, kind: str) -> str:
    body = letter.get_body((kind,))
    return str(body.get_content()) if body is not None else ""


def _calendar(letter: EmailMessage) -> bytes | None:
    for part in letter.walk():
        if part.get_content_type() in ("text/calendar", "application/ics"):
            content = part.get_content()
            return content if isinstance(content, bytes) else str(content).encode()
    return None
