"""The way to the mail server."""

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

# Seconds for all that belongs to one mail, and for the farewell.
_LONGEST: Final = 30.0
_FAREWELL: Final = 2.0
# What the server says of us and not of this mail: the operator mends it.
_OURS_TO_MEND: Final = frozenset({530, 534, 535, 538})
_ENHANCED: Final = re.compile(r"\s*([245]\.\d{1,3}\.\d{1,3})\b")
_WRONG: Final = "should look like smtp://user:password@mail.example.com:587 or smtps://…:465"


class DeliveryError(Exception):
    """A mail was not taken.

    `permanent`: it never will be as it is. `reason` is short and has nothing personal in it: codes, not the server's
    own words, which often repeat the address.
    """

    def __init__(self, reason: str, *, permanent: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.permanent = permanent


class EmailTransport(Protocol):
    """Somebody who takes mail."""

    async def send(self, letter: EmailMessage) -> None:
        """Hand it over; whoever returns has it. Raises DeliveryError."""


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """Where mail is handed over. `tls` from the first byte (smtps), or STARTTLS: always, or where it is offered."""

    host: str
    port: int
    user: str | None
    password: str | None
    tls: bool
    starttls_needed: bool


def smtp_server(url: str) -> SmtpServer:
    """The mail server at this address: smtp://host, smtps://user:password@host:465.

    Passwords only travel encrypted, unless the server is this very machine. Raises ValueError with a sentence.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ValueError(_WRONG) from error
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname or parts.path.strip("/") or parts.query:
        raise ValueError(_WRONG)
    tls = parts.scheme == "smtps"
    return SmtpServer(
        host=parts.hostname,
        port=port or (465 if tls else 587 if parts.username else 25),
        user=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
        tls=tls,
        starttls_needed=not tls and parts.username is not None and not _is_here(parts.hostname),
    )


class SmtpTransport:
    """Hands mail to a mail server, each over a connection of its own."""

    def __init__(self, server: SmtpServer, *, longest: float = _LONGEST) -> None:
        """`longest` is how many seconds one mail may take in all."""
        self._server = server
        self._longest = longest

    async def send(self, letter: EmailMessage) -> None:
        """Hand it over. Raises DeliveryError."""
        async with self._connected() as client:
            await _hand_over(client, letter)

    async def check(self) -> None:
        """Connect and sign in as for a mail, and send none. Raises DeliveryError."""
        async with self._connected():
            pass

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[SMTP]:
        client = self._client()
        try:
            async with asyncio.timeout(self._longest):
                await _connect(client)
                yield client
            # It is theirs now, whatever comes of the farewell.
            with suppress(SMTPException, OSError):
                await client.quit(timeout=_FAREWELL)
        except TimeoutError as error:
            raise DeliveryError("timeout", permanent=False) from error
        finally:
            client.close()

    def _client(self) -> SMTP:
        server = self._server
        # Whom we speak to is always checked; only STARTTLS that is merely offered on this very machine, where nobody
        # listens in, may have a certificate that nobody knows.
        unknown_is_fine = not server.tls and not server.starttls_needed and _is_here(server.host)
        return SMTP(
            hostname=server.host,
            port=server.port,
            username=server.user,
            password=server.password,
            use_tls=server.tls,
            start_tls=True if server.starttls_needed else False if server.tls else None,
            validate_certs=not unknown_is_fine,
            timeout=self._longest,
        )


async def _connect(client: SMTP) -> None:
    # Whatever is wrong here is wrong for every mail, so none of it is this one's fault.
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


async def _hand_over(client: SMTP, letter: EmailMessage) -> None:
    try:
        letter = _in_ascii(letter)
        await client.send_message(letter, sender=_address(letter, "From"), recipients=[_address(letter, "To")])
    except TimeoutError:
        raise
    except SMTPRecipientsRefused as error:
        raise _refused("recipient", error.recipients[0]) from error
    except SMTPSenderRefused as error:
        raise DeliveryError(f"sender refused: {_codes(error.code, error.message)}", permanent=False) from error
    except SMTPResponseException as error:
        raise _refused("mail", error) from error
    except SMTPNotSupported as error:
        raise DeliveryError("the server knows no SMTPUTF8, which this address needs", permanent=True) from error
    except ValueError as error:
        raise DeliveryError("no address to send to", permanent=True) from error
    except (SMTPException, OSError) as error:
        raise DeliveryError(f"connection lost ({type(error).__name__})", permanent=False) from error


def _refused(what: str, error: SMTPResponseException) -> DeliveryError:
    permanent = 500 <= error.code < 600 and error.code not in _OURS_TO_MEND
    return DeliveryError(f"{what} refused: {_codes(error.code, error.message)}", permanent=permanent)


def _codes(code: int, said: str) -> str:
    enhanced = _ENHANCED.match(said)
    return f"{code} {enhanced[1]}" if enhanced else str(code)


def _in_ascii(letter: EmailMessage) -> EmailMessage:
    # A domain in its letters has a spelling that every server knows; the part before it has none.
    plain = deepcopy(letter)
    for header in ("From", "To"):
        was = letter[header].addresses[0]
        if not was.domain.isascii():
            plain.replace_header(header, Address(was.display_name, addr_spec=in_ascii(was.addr_spec)))
    return plain


def _address(letter: EmailMessage, header: str) -> str:
    return str(letter[header].addresses[0].addr_spec)


def _is_here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
