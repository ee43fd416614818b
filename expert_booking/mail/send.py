"""Deliver emails to a mail server over SMTP."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from copy import deepcopy
from dataclasses import dataclass
from email.headerregistry import Address
from email.message import EmailMessage
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

from expert_booking.domain.addresses import in_ascii

# Seconds for one email in all, and for QUIT.
_SEND_TIMEOUT: Final = 30.0
_QUIT_TIMEOUT: Final = 2.0
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

    async def send(self, email: EmailMessage) -> None:
        """Deliver the email, and return once it has been accepted. Raises DeliveryError."""


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
    """Deliver emails to a mail server, each over a new connection."""

    def __init__(self, server: SmtpServer, *, timeout: float = _SEND_TIMEOUT) -> None:
        """`timeout` is in seconds, for one email in all."""
        self._server = server
        self._timeout = timeout

    async def send(self, email: EmailMessage) -> None:
        """Deliver the email. Raises DeliveryError."""
        async with self._connected() as client:
            await _deliver(client, email)

    async def check(self) -> None:
        """Connect and sign in without sending an email. Raises DeliveryError."""
        async with self._connected():
            pass

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[SMTP]:
        client = self._client()
        try:
            async with asyncio.timeout(self._timeout):
                await _connect(client)
                yield client
            # The server has accepted the email, so a failing QUIT does not matter.
            with suppress(SMTPException, OSError):
                await client.quit(timeout=_QUIT_TIMEOUT)
        except TimeoutError as error:
            raise DeliveryError("timeout", permanent=False) from error
        finally:
            client.close()

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


async def _deliver(client: SMTP, email: EmailMessage) -> None:
    try:
        email = _with_ascii_domains(email)
        await client.send_message(email, sender=_address(email, "From"), recipients=[_address(email, "To")])
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


def _with_ascii_domains(email: EmailMessage) -> EmailMessage:
    # Every server accepts the ASCII form of an international domain. The local part has no such form.
    converted = deepcopy(email)
    for header in ("From", "To"):
        address = email[header].addresses[0]
        if not address.domain.isascii():
            converted.replace_header(header, Address(address.display_name, addr_spec=in_ascii(address.addr_spec)))
    return converted


def _address(email: EmailMessage, header: str) -> str:
    return str(email[header].addresses[0].addr_spec)


def _is_local(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
