"""ASGI middleware that removes untrusted request headers and adds security headers to responses."""

import re
from secrets import token_urlsafe
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

Header = tuple[bytes, bytes]

# NiceGUI puts the value of this header before the URL of every script. The product always runs at the root of its host.
_UNTRUSTED: Final = b"x-forwarded-prefix"
# URLs below these contain a version or content hash, so successful responses may be cached forever.
_FILES: Final = ("/_nicegui/", "/assets/")
# The files of /docs: public, and validated by their ETag.
_DOCS_FILES: Final = "/docs-assets/"
_CACHEABLE: Final = frozenset({200, 206, 304})
_NO_STORE: Final = (b"cache-control", b"no-store")

# URLs of bookings contain their ids, so they are not sent to other sites. No other site may frame a page.
_ALWAYS: Final[tuple[Header, ...]] = (
    (b"referrer-policy", b"same-origin"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"SAMEORIGIN"),
)
# A year, as browsers recommend. Not for subdomains, which may be other sites.
_HTTPS_ONLY: Final[Header] = (b"strict-transport-security", b"max-age=31536000")
# Nothing that a page uses. Other windows, such as one that opened a page, cannot reach into it.
_PAGES_ONLY: Final[tuple[Header, ...]] = (
    (
        b"permissions-policy",
        b"accelerometer=(), autoplay=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), magnetometer=(), "
        b"microphone=(), midi=(), payment=(), publickey-credentials-get=(), usb=(), xr-spatial-tracking=()",
    ),
    (b"cross-origin-opener-policy", b"same-origin"),
)
_CSP: Final = b"content-security-policy"
# For responses that are not pages: they load nothing and are not framed.
_NO_CONTENT_ALLOWED: Final[Header] = (_CSP, b"default-src 'none'; frame-ancestors 'none'")
# NiceGUI's template has inline scripts, which get a nonce (see web/csp_nonce.py). 'unsafe-eval': Vue compiles
# component templates in the browser, and NiceGUI evaluates the handlers that the server sends it.
_PAGE: Final = (
    "default-src 'self'; script-src 'self' 'unsafe-eval' 'nonce-{nonce}'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; font-src 'self'; connect-src 'self'; object-src 'none'; base-uri 'self'; "
    "form-action 'self'; frame-ancestors 'self'"
)

_SCHEME_AND_HOST: Final = re.compile(rb"(?:[a-z][a-z0-9+.-]*:)?[/\\]{2,}[^/\\?#]*", re.I)


class HttpSecurity:
    """Removes `X-Forwarded-Prefix`, keeps redirects on this host and adds security headers.

    Only files, and responses that say so themselves, can be cached. Each request's scope has a `csp_nonce`. Browsers
    only run inline scripts that carry it.
    """

    def __init__(self, app: ASGIApp, *, https: bool = False) -> None:
        """`https`: browsers reach the site by https only, and remember that."""
        self.app = app  # NiceGUI finds its own application by following attributes of this name
        self._always = (*_ALWAYS, _HTTPS_ONLY) if https else _ALWAYS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        kind = scope["type"]
        if kind == "lifespan":
            await self.app(scope, receive, send)
            return
        if any(name == _UNTRUSTED for name, _ in scope["headers"]):
            scope["headers"] = [header for header in scope["headers"] if header[0] != _UNTRUSTED]
        if kind != "http":
            await self.app(scope, receive, send)
            return
        # Read the path now: mounted applications change it in the scope.
        nonce, path = token_urlsafe(16), scope["path"]
        scope["csp_nonce"] = nonce

        async def send_secured(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = self._secured(message["status"], list(message.get("headers", ())), nonce, path)
                message = {**message, "headers": headers}
            await send(message)

        await self.app(scope, receive, send_secured)

    def _secured(self, status: int, headers: list[Header], nonce: str, path: str) -> list[Header]:
        given = dict(headers)
        if 300 <= status < 400 and b"location" in given:
            headers = [(name, _on_this_host(value) if name == b"location" else value) for name, value in headers]
        if b"cache-control" not in given:
            if not path.startswith(_DOCS_FILES):
                headers.append(_NO_STORE)
        elif status not in _CACHEABLE and path.startswith(_FILES):
            headers = [header for header in headers if header[0] != b"cache-control"]
            headers.append(_NO_STORE)
        is_page = given.get(b"content-type", b"").startswith(b"text/html")
        if _CSP not in given:
            headers.append((_CSP, _PAGE.format(nonce=nonce).encode()) if is_page else _NO_CONTENT_ALLOWED)
        if is_page:
            headers += _PAGES_ONLY
        headers += [header for header in self._always if header[0] not in given]
        return headers


def _on_this_host(location: bytes) -> bytes:
    """The path of a redirect without its host, which comes from the request and cannot be trusted."""
    path = _SCHEME_AND_HOST.sub(b"", location, count=1) if _SCHEME_AND_HOST.match(location) else location
    # Browsers read two slashes, of either kind, as the beginning of a host.
    return b"/" + path.lstrip(b"/\\") if path[:1] in (b"/", b"\\", b"") else path
