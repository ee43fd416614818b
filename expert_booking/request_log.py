"""The outermost part of the server: it sees every request come in and every answer go out."""

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
# What has no route of its own: files, and the websocket's own way of asking. All else that has none is one.
_FOLDERS: Final = frozenset({"assets", "docs-assets", "openapi.json", "_nicegui", "_nicegui_ws"})
_NOWHERE: Final = "(no route)"
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_SORRY: Final = "Something went wrong on our side. Please try again."


class RequestLogMiddleware:
    """Gives every request an id, counts it and leaves one line in the log: its route, never what stands in its place.

    The id is taken from `X-Request-Id` where a proxy has given one, goes back in the same header and into every line
    that is logged meanwhile. What a page does later, over its websocket, has the id of that connection.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, proxies: ProxyDetector | None = None) -> None:
        self.app = app  # NiceGUI looks for its server along attributes of this name
        self._metrics = metrics
        self._proxies = proxies or ProxyDetector()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand on one connection."""
        if scope["type"] != "lifespan":
            scope = _without_escapes(scope)
            self._proxies.look_at(scope["headers"])
        if scope["type"] == "http":
            await self._answer(scope, receive, send)
            return
        if scope["type"] == "websocket":
            request_id.set(_id_of(scope))  # each connection is a task with a context of its own
        await self.app(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        began, status, folder = perf_counter(), 0, _folder_of(scope)
        name = _id_of(scope)
        mark = (HEADER, name.encode())
        before = request_id.set(name)

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message = {**message, "headers": [*message.get("headers", ()), mark]}
            await send(message)

        try:
            await self.app(scope, receive, send_with_id)
        except ClientDisconnect:
            pass  # in the middle of the request: there is nobody to answer
        except Exception:
            log.exception("a request failed")
            if not status:
                await _apologise(send_with_id, name)
        finally:
            self._note(scope, folder, status, perf_counter() - began)
            request_id.reset(before)

    def _note(self, scope: Scope, folder: str, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", None) or folder
        method = scope["method"] if scope["method"] in _METHODS else "other"
        self._metrics.answered(method, route, status, seconds)
        if access.isEnabledFor(logging.INFO):
            about = {"method": method, "route": route, "status": status, "ms": round(1000 * seconds, 1)}
            access.info("%s %s %d in %.1f ms", *about.values(), extra={"about": about})


def _id_of(scope: Scope) -> str:
    return request_id_of(next((value for key, value in scope["headers"] if key == HEADER), None))


def _without_escapes(scope: Scope) -> Scope:
    """The same without cookies that have a backslash in them; none of ours has.

    Python's `http.cookies` before 3.11.10 and 3.12.6 takes time that grows with the square of their number: seconds for
    one header (CVE-2024-7592).
    """
    if not any(key == b"cookie" and b"\\" in value for key, value in scope["headers"]):
        return scope

    def plain(value: bytes) -> bytes:
        return b";".join(cookie for cookie in value.split(b";") if b"\\" not in cookie)

    headers = [(key, plain(value) if key == b"cookie" else value) for key, value in scope["headers"]]
    return {**scope, "headers": headers}


def _folder_of(scope: Scope) -> str:
    # Before anybody has looked for a route: whoever mounts an application cuts the path.
    first = scope["path"].split("/", 2)[1:2]
    return f"/{first[0]}" if first and first[0] in _FOLDERS else _NOWHERE


async def _apologise(send: Send, name: str) -> None:
    content = json.dumps(problem_body(500, "internal_error", _SORRY, requestId=name)).encode()
    headers = [(b"content-type", PROBLEM_JSON.encode()), (b"content-length", str(len(content)).encode())]
    await send({"type": "http.response.start", "status": 500, "headers": headers})
    await send({"type": "http.response.body", "body": content})
