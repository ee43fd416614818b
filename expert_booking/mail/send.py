"""The way to the mail server."""

from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final
from urllib.parse import unquote, urlsplit

_WRONG: Final = "should look like smtp://user:password@mail.example.com:587 or smtps://…:465"


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


def _is_here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
