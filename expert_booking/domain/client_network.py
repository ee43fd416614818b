"""Client network addresses: tell visitors' networks apart for rate limits without storing the addresses."""

import hmac
import re
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, ip_address
from typing import Final

_LOOPBACK_HOST: Final = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?", re.I)
_PROXY_HEADER_NAMES: Final = (
    "forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip", "via",
)  # fmt: skip
_PROXY_HEADERS: Final = frozenset(name.encode() for name in _PROXY_HEADER_NAMES)
_EXAMINED_HEADERS: Final = _PROXY_HEADERS | {b"host", b"origin"}


def network_hash(address: str, secret: str) -> bytes:
    """A keyed hash of the client's network (see `network_of`). Without the secret, addresses cannot be guessed.

    Text that is not an IP address is hashed as it is.
    """
    return hmac.digest(secret.encode(), network_of(address), "sha256")


def network_of(address: str) -> bytes:
    """The network of a client: its IPv4 address, or the /64 prefix of its IPv6 address."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address.encode(errors="replace")
    parsed = getattr(parsed, "ipv4_mapped", None) or parsed
    return parsed.packed if isinstance(parsed, IPv4Address) else parsed.packed[:8]


def is_here(address: str, headers: Mapping[str, str]) -> bool:
    """Whether a request came from this machine, directly and under a loopback host name, not through a proxy.

    `headers` must be a case-insensitive mapping of the request headers.
    """
    proxied = any(name in headers for name in _PROXY_HEADER_NAMES)
    return _is_loopback(address) and bool(_LOOPBACK_HOST.fullmatch(headers.get("host", ""))) and not proxied


class ProxyDetector:
    """Remembers whether any request to this process came through a proxy or under a public host name.

    A plain `proxy_pass` changes `Host` and adds no header, but the browsers behind it still send the public name as the
    `Origin` of their websockets and forms.
    """

    def __init__(self, *, public: bool = False) -> None:
        """Set `public` if the site is known to be public from the start."""
        self.seen = public

    def look_at(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Check the headers of one request. Names are lower-case bytes, as in ASGI."""
        if self.seen:
            return
        for name, value in headers:
            if name in _EXAMINED_HEADERS and _is_from_outside(name, value):
                self.seen = True


def _is_from_outside(name: bytes, value: bytes) -> bool:
    if name == b"host":
        return not _LOOPBACK_HOST.fullmatch(value.decode("latin-1"))
    if name == b"origin":
        return value != b"null" and not _LOOPBACK_HOST.fullmatch(value.decode("latin-1").partition("://")[2])
    return name in _PROXY_HEADERS


def _is_loopback(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False
