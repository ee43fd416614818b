"""A real SMTP server on this machine that accepts, refuses or delays emails, or is stopped, as the test needs."""

import asyncio
import threading
from collections.abc import Callable
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from expert_booking.mail.send import SmtpServer, SmtpTransport, smtp_server
from tests.server import free_port

Reply = Callable[[str, EmailMessage], str | None]


class MailServer:
    """An SMTP server that collects accepted emails in `emails`, in order of arrival."""

    def __init__(self, **options: Any) -> None:
        self.port = free_port()
        self.emails: list[EmailMessage] = []
        # Sender, recipients and options of each accepted email; the replies to RCPT and DATA, where None accepts.
        self.envelopes: list[tuple[str, list[str], list[str]]] = []
        self.recipient_reply: Callable[[str], str | None] = lambda _: None
        self.message_reply: Reply = lambda _, __: None
        # The number of connections so far.
        self.connections = 0
        # The number of emails being received; clear `proceed` to keep them from being accepted.
        self.in_progress = 0
        self.proceed = threading.Event()
        self.proceed.set()
        self._options = options
        self._controller: Controller | None = None

    @property
    def url(self) -> str:
        """The value for EXPERT_BOOKING_SMTP_URL."""
        return f"smtp://127.0.0.1:{self.port}"

    @property
    def address(self) -> SmtpServer:
        """The parsed URL."""
        return smtp_server(self.url)

    def transport(self) -> SmtpTransport:
        """A transport that sends to this server."""
        return SmtpTransport(self.address)

    def start(self) -> "MailServer":
        """Listen on the port."""
        options = {"enable_SMTPUTF8": True, **self._options}
        self._controller = Controller(self, hostname="127.0.0.1", port=self.port, **options)
        self._controller.start()
        return self

    def stop(self) -> None:
        """Close the port."""
        self.proceed.set()
        if self._controller is not None:
            self._controller.stop()
            self._controller = None

    def to(self, address: str) -> list[EmailMessage]:
        """The emails to this address."""
        return [email for email in self.emails if address in str(email["To"])]

    # --- called by aiosmtpd in its own thread -------------------------------------------------------------------

    async def handle_EHLO(  # noqa: N802
        self, _: SMTP, session: Session, __: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        """Count a connection, which begins with EHLO."""
        session.host_name = hostname
        self.connections += 1
        return responses

    async def handle_RCPT(  # noqa: N802
        self, _: SMTP, __: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Accept or refuse a recipient."""
        refusal = self.recipient_reply(address)
        if refusal is not None:
            return refusal
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 OK"

    async def handle_DATA(self, _: SMTP, __: Session, envelope: Envelope) -> str:  # noqa: N802
        """Accept or refuse an email."""
        assert isinstance(envelope.content, bytes)
        email = message_from_bytes(envelope.content, EmailMessage, policy=policy.SMTPUTF8)
        self.in_progress += 1
        try:
            # Wait in another thread so that this one can receive other emails.
            await asyncio.to_thread(self.proceed.wait)
        finally:
            self.in_progress -= 1
        refusal = self.message_reply(envelope.rcpt_tos[0], email)
        if refusal is not None:
            return refusal
        self.envelopes.append((envelope.mail_from or "", list(envelope.rcpt_tos), list(envelope.mail_options)))
        self.emails.append(email)
        return "250 OK"
