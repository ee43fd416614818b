"""Network addresses: what tells one household of the public from another, without keeping where it lives."""

import hmac
from ipaddress import IPv4Address, ip_address


def origin_of(address: str, secret: str) -> bytes:
    """A keyed hash of the network that an address belongs to; whoever lacks the secret cannot try addresses.

    An IPv4 address is a network by itself, of IPv6 one has a whole /64. What is no address is one as it is written.
    """
    return hmac.digest(secret.encode(), _network(address), "sha256")


def _network(address: str) -> bytes:
    try:
        parsed = ip_address(address)
    except ValueError:
        return address.encode(errors="replace")
    parsed = getattr(parsed, "ipv4_mapped", None) or parsed
    return parsed.packed if isinstance(parsed, IPv4Address) else parsed.packed[:8]
