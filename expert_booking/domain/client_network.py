"""Network addresses: what tells one household of the public from another, without keeping where it lives."""

import hmac
import re
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, ip_address
from typing import Final

_THIS_MACHINE: Final = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?", re.I)
_OF_PROXIES: Final = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip", "via")
_PROXY_HEADERS: Final = frozenset(name.encode() for name in _OF_PROXIES)


def network_hash(address: str, secret: str) -> bytes:
    """A keyed hash of the network that an address belongs to; whoever lacks the secret cannot try addresses.

    An IPv4 address is a network by itself, of IPv6 one has a whole /64. What is no address is one as it is written.
    """
    return hmac.digest(secret.encode(), network_of(address), "sha256")


def network_of(address: str) -> bytes:
    """The network that an address belongs to: an IPv4 address, or the /64 of an IPv6 address."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address.encode(errors="replace")
    parsed = getattr(parsed, "ipv4_mapped", None) or parsed
    return parsed.packed if isinstance(parsed, IPv4Address) else parsed.packed[:8]


def is_here(address: str, headers: Mapping[str, str]) -> bool:
    """Whether somebody on this very machine asks for this very machine: by no other name, and past no proxy.

    `headers` are those of the request, whatever the case of their names.
    """
    passed_on = any(name in headers for name in _OF_PROXIES)
    return _is_loopback(address) and bool(_THIS_MACHINE.fullmatch(headers.get("host", ""))) and not passed_on


class ProxyDetector:
    """Remembers whether any request to this process showed that people reach it through a proxy or by another name.

    A plain `proxy_pass` changes `Host` and adds no header, but the browsers behind it still send the public name as the
    `Origin` of their websockets and forms.
    """

    def __init__(self, *, public: bool = False) -> None:
        """`public`: this is known from the start."""
        self.seen = public

    def look_at(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Take the headers of one request into account; their names are lower-case, as in ASGI."""
        if not self.seen:
            self.seen = any(_tells_of_elsewhere(name, value) for name, value in headers)


def _tells_of_elsewhere(name: bytes, value: bytes) -> bool:
    if name == b"host":
        return not _THIS_MACHINE.fullmatch(value.decode("latin-1"))
    if name == b"origin":
        return value != b"null" and not _THIS_MACHINE.fullmatch(value.decode("latin-1").partition("://")[2])
    return name in _PROXY_HEADERS


def _is_loopback(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False
