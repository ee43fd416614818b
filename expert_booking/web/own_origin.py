"""Checks whether a browser's request comes from a page of this site."""

from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import Scope

_DEFAULT_PORTS: Final = {"http": 80, "ws": 80, "https": 443, "wss": 443}


def is_own_origin(scope: Scope, base_url: str | None) -> bool:
    """Whether the request's `Origin` matches `base_url`, or the host that the request was sent to.

    Without a `base_url`, `X-Forwarded-Host` is accepted too: pages of other sites cannot make a browser send it. A
    request without an `Origin` does not come from a page of another site.
    """
    headers = Headers(scope=scope)
    origins = headers.getlist("origin")
    if not origins:
        return True
    origin = _host_and_port(origins[0]) if len(origins) == 1 else None
    if origin is None:
        return False
    if base_url is not None and origin == _host_and_port(base_url):
        return True
    scheme = origins[0].partition(":")[0]
    hosts = [headers.get("host", "")]
    if base_url is None:
        hosts.append(headers.get("x-forwarded-host", ""))
    return any(origin == _host_and_port(f"{scheme}://{host}") for host in hosts if host)


def _host_and_port(url: str) -> tuple[str, int] | None:
    try:
        parts = urlsplit(url)
        port = parts.port or _DEFAULT_PORTS[parts.scheme]
    except (ValueError, KeyError):
        return None
    return (parts.hostname, port) if parts.hostname else None
