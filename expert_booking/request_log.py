"""ASGI middleware: request ids, request metrics and the access log."""

import json
import logging
from time import perf_counter
from typing import Final

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from expert_booking.domain.client_network import ProxyDetector
from expert_booking.logs import request_id, request_id_of
from expert_booking.metrics import Metrics
from expert_booking.schemas import PROBLEM_JSON, problem_body

log = logging.getLogger(__name__)
access = logging.getLogger("expert_booking.access")

HEADER: Final = b"x-request-id"
# Paths that are served without a route: files and the websocket. All other requests without one share one label.
_FOLDERS: Final = frozenset({"assets", "docs-assets", "openapi.json", "_nicegui", "_nicegui_ws"})
_NO_ROUTE: Final = "(no route)"
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_INTERNAL_ERROR: Final = "Something went wrong on our side. Please try again."


class RequestLogMiddleware:
    """Adds a request id, records metrics and writes one access-log line. Logs the route template, never the path.

    The id is taken from a proxy's `X-Request-Id` or generated. It is returned in the same header and added to every log
    line written during the request. Events of a page have the id of its websocket connection.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, proxies: ProxyDetector | None = None) -> None:
        self.app = app  # NiceGUI finds its own application by following attributes of this name
        self._metrics = metrics
        self._proxies = proxies or ProxyDetector()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "lifespan":
            if _has_escaped_cookie(scope):
                scope = _without_escaped_cookies(scope)
            self._proxies.look_at(scope["headers"])
        if scope["type"] == "http":
            await self._answer(scope, receive, send)
            return
        if scope["type"] == "websocket":
            request_id.set(_id_of(scope))  # each connection is a task with its own context
        await self.app(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        began, status, folder = perf_counter(), 0, _folder_of(scope)
        name = _id_of(scope)
        header = (HEADER, name.encode())
        before = request_id.set(name)

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message = {**message, "headers": [*message.get("headers", ()), header]}
            await send(message)

        try:
            await self.app(scope, receive, send_with_id)
        except ClientDisconnect:
            pass  # the client disconnected while sending its request
        except Exception:
            log.exception("request failed")
            if not status:
                await _send_internal_error(send_with_id, name)
        finally:
            self._record(scope, folder, status, perf_counter() - began)
            request_id.reset(before)

    def _record(self, scope: Scope, folder: str, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", None) or folder
        method = scope["method"] if scope["method"] in _METHODS else "other"
        self._metrics.answered(method, route, status, seconds)
        if access.isEnabledFor(logging.INFO):
            fields = {"method": method, "route": route, "status": status, "ms": round(1000 * seconds, 1)}
            access.info("%s %s %d in %.1f ms", *fields.values(), extra={"fields": fields})


def _id_of(scope: Scope) -> str:
    for key, value in scope["headers"]:
        if key == HEADER:
            return request_id_of(value)
    return request_id_of(None)


def _has_escaped_cookie(scope: Scope) -> bool:
    for key, value in scope["headers"]:  # noqa: SIM110 - any() would need twice the time, for every request
        if key == b"cookie" and b"\\" in value:
            return True
    return False


def _without_escaped_cookies(scope: Scope) -> Scope:
    """Remove cookies that contain a backslash, which the product's own never do.

    Python's `http.cookies` before 3.11.10 and 3.12.6 needs time quadratic in the number of backslashes: seconds for one
    header (CVE-2024-7592).
    """

    def plain(value: bytes) -> bytes:
        return b";".join(cookie for cookie in value.split(b";") if b"\\" not in cookie)

    headers = [(key, plain(value) if key == b"cookie" else value) for key, value in scope["headers"]]
    return {**scope, "headers": headers}


def _folder_of(scope: Scope) -> str:
    # Called before routing: mounted applications cut the path.
    first = scope["path"].split("/", 2)[1:2]
    return f"/{first[0]}" if first and first[0] in _FOLDERS else _NO_ROUTE


async def _send_internal_error(send: Send, name: str) -> None:
    content = json.dumps(problem_body(500, "internal_error", _INTERNAL_ERROR, requestId=name)).encode()
    headers = [(b"content-type", PROBLEM_JSON.encode()), (b"content-length", str(len(content)).encode())]
    await send({"type": "http.response.start", "status": 500, "headers": headers})
    await send({"type": "http.response.body", "body": content})
