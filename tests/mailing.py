"""A real mail server on this machine, that takes mail, refuses it, is slow or is not there, as the test wants it."""

import asyncio
import threading
from collections.abc import Callable
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from expert_booking.mail.send import SmtpServer, SmtpTransport, smtp_server
from tests.serving import free_port

Answer = Callable[[str, EmailMessage], str | None]


class MailServer:
    """Keeps what it has taken in `mails`, in the order in which it came."""

    def __init__(self, **options: Any) -> None:
        self.port = free_port()
        self.mails: list[EmailMessage] = []
        # Who asks to send to whom, and what is answered before and after the mail itself; None: yes.
        self.envelopes: list[tuple[str, list[str], list[str]]] = []
        self.to_recipient: Callable[[str], str | None] = lambda _: None
        self.to_mail: Answer = lambda _, __: None
        # How many mails are in its hands at this moment, and whether it lets go of any.
        self.in_hand = 0
        self.going_on = threading.Event()
        self.going_on.set()
        self._options = options
        self._controller: Controller | None = None

    @property
    def url(self) -> str:
        """As EXPERT_BOOKING_SMTP_URL names it."""
        return f"smtp://127.0.0.1:{self.port}"

    @property
    def address(self) -> SmtpServer:
        """The same, as read from there."""
        return smtp_server(self.url)

    def transport(self) -> SmtpTransport:
        """The way to it."""
        return SmtpTransport(self.address)

    def start(self) -> "MailServer":
        """Be there."""
        options = {"enable_SMTPUTF8": True, **self._options}
        self._controller = Controller(self, hostname="127.0.0.1", port=self.port, **options)
        self._controller.start()
        return self

    def stop(self) -> None:
        """Be there no more."""
        self.going_on.set()
        if self._controller is not None:
            self._controller.stop()
            self._controller = None

    def to(self, address: str) -> list[EmailMessage]:
        """What came for somebody."""
        return [mail for mail in self.mails if address in str(mail["To"])]

    # --- what aiosmtpd calls, in a thread of its own ------------------------------------------------------------

    async def handle_RCPT(  # noqa: N802
        self, _: SMTP, __: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Somebody is to get a mail."""
        refusal = self.to_recipient(address)
        if refusal is not None:
            return refusal
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 OK"

    async def handle_DATA(self, _: SMTP, __: Session, envelope: Envelope) -> str:  # noqa: N802
        """The mail itself."""
        assert isinstance(envelope.content, bytes)
        mail = message_from_bytes(envelope.content, EmailMessage, policy=policy.SMTPUTF8)
        self.in_hand += 1
        try:
            # In another thread: this one goes on with other mails.
            await asyncio.to_thread(self.going_on.wait)
        finally:
            self.in_hand -= 1
        refusal = self.to_mail(envelope.rcpt_tos[0], mail)
        if refusal is not None:
            return refusal
        self.envelopes.append((envelope.mail_from or "", list(envelope.rcpt_tos), list(envelope.mail_options)))
        self.mails.append(mail)
        return "250 OK"
