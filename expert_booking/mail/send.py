"""Deliver emails to a mail server over SMTP."""

import asyncio
import re
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final, Protocol
from urllib.parse import unquote, urlsplit

from aiosmtplib import (
    SMTP,
    SMTPAuthenticationError,
    SMTPConnectError,
    SMTPException,
    SMTPNotSupported,
    SMTPRecipientsRefused,
    SMTPResponseException,
    SMTPSenderRefused,
)

from expert_booking.mail.message import Email

# Seconds for one email in all, and for QUIT.
_SEND_TIMEOUT: Final = 30.0
_QUIT_TIMEOUT: Final = 2.0
# Seconds that a connection waits for another email. Some servers limit the number of emails over one connection.
_IDLE_SECONDS: Final = 5.0
_EMAILS_PER_CONNECTION: Final = 50
# 5xx codes about the sign-in, not the email: the operator can fix them, so the email is tried again.
_SIGN_IN_CODES: Final = frozenset({530, 534, 535, 538})
# Replies to RCPT that are about the recipient's mailbox: it does not exist or is disabled. The others are about the
# sender, the policy of a server (5.7) or a full mailbox (5.2.2), and may be different for the next email.
_MAILBOX_CODES: Final = frozenset({550, 551, 553})
_MAILBOX_ENHANCED_CODES: Final = re.compile(r"5\.(1\.(?![78]$)\d+|2\.[01]|4\.1)")
_ENHANCED_CODE: Final = re.compile(r"\s*([245]\.\d{1,3}\.\d{1,3})\b")
_INVALID_URL: Final = "should look like smtp://user:password@mail.example.com:587 or smtps://…:465"


class DeliveryError(Exception):
    """The mail server did not accept an email.

    `permanent` means that trying again is useless, and `address_refused` that this applies to every email to the
    address. `reason` is short and contains nothing personal: status codes, not the server's text, which often repeats
    the address.
    """

    def __init__(self, reason: str, *, permanent: bool, address_refused: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.permanent = permanent
        self.address_refused = address_refused


class EmailTransport(Protocol):
    """Something that delivers emails."""

    async def send(self, email: Email) -> None:
        """Deliver the email, and return once it has been accepted. Raises DeliveryError."""

    async def close(self) -> None:
        """Release what is kept for further emails."""


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """Address and sign-in of a mail server.

    `tls` means TLS from the first byte (smtps). Otherwise STARTTLS is used if offered, or always if `starttls_needed`.
    """

    host: str
    port: int
    user: str | None
    password: str | None
    tls: bool
    starttls_needed: bool


def smtp_server(url: str) -> SmtpServer:
    """Parse the URL of a mail server, such as smtp://host or smtps://user:password@host:465.

    Passwords are only sent encrypted, except to a server on this machine. Raises ValueError with a message for people.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ValueError(_INVALID_URL) from error
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname or parts.path.strip("/") or parts.query:
        raise ValueError(_INVALID_URL)
    tls = parts.scheme == "smtps"
    return SmtpServer(
        host=parts.hostname,
        port=port or (465 if tls else 587 if parts.username else 25),
        user=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
        tls=tls,
        starttls_needed=not tls and parts.username is not None and not _is_local(parts.hostname),
    )


class SmtpTransport:
    """Deliver emails to a mail server. A connection is used again for emails that follow within some seconds."""

    def __init__(self, server: SmtpServer, *, timeout: float = _SEND_TIMEOUT) -> None:
        """`timeout` is in seconds, for one email in all."""
        self._server = server
        self._timeout = timeout
        self._idle: list[_Connection] = []
        self._closing: set[asyncio.Task[None]] = set()

    async def send(self, email: Email) -> None:
        """Deliver the email. Raises DeliveryError."""
        connection, delivered = None, False
        try:
            async with asyncio.timeout(self._timeout):
                connection = await self._connection()
                await _deliver(connection.client, email)
            delivered = True
        except TimeoutError as error:
            raise DeliveryError("timeout", permanent=False) from error
        finally:
            if connection is not None:
                if delivered:
                    self._keep(connection)
                else:
                    connection.client.close()

    async def check(self) -> None:
        """Connect and sign in without sending an email. Raises DeliveryError."""
        try:
            async with asyncio.timeout(self._timeout):
                connection = await self._new_connection()
        except TimeoutError as error:
            raise DeliveryError("timeout", permanent=False) from error
        await connection.quit()

    async def close(self) -> None:
        """Close the connections that wait for another email."""
        while self._idle:
            self._close(self._idle[0])
        if self._closing:
            await asyncio.wait(self._closing)

    async def _connection(self) -> "_Connection":
        while self._idle:
            connection = self._idle.pop()
            if await connection.works():
                return connection
        return await self._new_connection()

    async def _new_connection(self) -> "_Connection":
        client = self._client()
        try:
            await _connect(client)
        except BaseException:
            client.close()
            raise
        return _Connection(client)

    def _keep(self, connection: "_Connection") -> None:
        connection.emails += 1
        self._idle.append(connection)
        if connection.emails >= _EMAILS_PER_CONNECTION:
            self._close(connection)
        else:
            emails = connection.emails
            asyncio.get_running_loop().call_later(_IDLE_SECONDS, self._close_if_idle, connection, emails)

    def _close_if_idle(self, connection: "_Connection", emails: int) -> None:
        if connection in self._idle and connection.emails == emails:
            self._close(connection)

    def _close(self, connection: "_Connection") -> None:
        self._idle.remove(connection)
        task = asyncio.get_running_loop().create_task(connection.quit())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    def _client(self) -> SMTP:
        server = self._server
        # The certificate is always verified, except for optional STARTTLS on this machine: self-signed certificates
        # are common there, and the connection does not leave the machine.
        may_be_self_signed = not server.tls and not server.starttls_needed and _is_local(server.host)
        return SMTP(
            hostname=server.host,
            port=server.port,
            username=server.user,
            password=server.password,
            use_tls=server.tls,
            start_tls=True if server.starttls_needed else False if server.tls else None,
            validate_certs=not may_be_self_signed,
            timeout=self._timeout,
        )


class _Connection:
    """A connection to the mail server, and how many emails it has delivered."""

    def __init__(self, client: SMTP) -> None:
        self.client = client
        self.emails = 0

    async def works(self) -> bool:
        """Whether the server still answers. Servers close idle connections."""
        try:
            await self.client.noop()
        except (SMTPException, OSError):
            self.client.close()
            return False
        return True

    async def quit(self) -> None:
        """Say goodbye and close. The server has accepted all emails, so a failure does not matter."""
        with suppress(SMTPException, OSError, TimeoutError):
            await self.client.quit(timeout=_QUIT_TIMEOUT)
        self.client.close()


async def _connect(client: SMTP) -> None:
    # An error here concerns every email, not this one, so none is permanent.
    try:
        await client.connect()
    except TimeoutError:
        raise
    except SMTPAuthenticationError as error:
        raise DeliveryError(f"sign-in refused: {_codes(error.code, error.message)}", permanent=False) from error
    except SMTPResponseException as error:
        raise DeliveryError(f"connection refused: {_codes(error.code, error.message)}", permanent=False) from error
    except SMTPConnectError as error:
        cause = type(error.__cause__ or error).__name__
        raise DeliveryError(f"no connection ({cause})", permanent=False) from error
    except (SMTPException, OSError, ValueError) as error:
        raise DeliveryError(f"no connection ({type(error).__name__})", permanent=False) from error


async def _deliver(client: SMTP, email: Email) -> None:
    try:
        if email.needs_smtputf8 and not client.supports_extension("smtputf8"):
            raise SMTPNotSupported("SMTPUTF8")
        options = ["SMTPUTF8", "BODY=8BITMIME"] if email.needs_smtputf8 else []
        await client.sendmail(email.sender, [email.recipient], email.content, mail_options=options)
    except TimeoutError:
        raise
    except SMTPRecipientsRefused as error:
        raise _recipient_refusal(error.recipients[0]) from error
    except SMTPSenderRefused as error:
        raise DeliveryError(f"sender refused: {_codes(error.code, error.message)}", permanent=False) from error
    except SMTPResponseException as error:
        raise _refusal("email", error) from error
    except SMTPNotSupported as error:
        raise DeliveryError("the server does not support SMTPUTF8, which this address needs", permanent=True) from error
    except ValueError as error:
        raise DeliveryError("the address is not valid", permanent=True) from error
    except (SMTPException, OSError) as error:
        raise DeliveryError(f"connection lost ({type(error).__name__})", permanent=False) from error


def _recipient_refusal(error: SMTPResponseException) -> DeliveryError:
    refusal = _refusal("recipient", error)
    enhanced = _ENHANCED_CODE.match(error.message)
    about_mailbox = _MAILBOX_ENHANCED_CODES.fullmatch(enhanced[1]) if enhanced else error.code in _MAILBOX_CODES
    refusal.address_refused = refusal.permanent and bool(about_mailbox)
    return refusal


def _refusal(what: str, error: SMTPResponseException) -> DeliveryError:
    permanent = 500 <= error.code < 600 and error.code not in _SIGN_IN_CODES
    return DeliveryError(f"{what} refused: {_codes(error.code, error.message)}", permanent=permanent)


def _codes(code: int, message: str) -> str:
    enhanced = _ENHANCED_CODE.match(message)
    return f"{code} {enhanced[1]}" if enhanced else str(code)


def _is_local(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
