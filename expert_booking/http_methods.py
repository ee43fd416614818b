"""HEAD and OPTIONS for every path, and the `Allow` header, which lists all methods of a path."""

from collections.abc import Callable, Sequence
from typing import Any, Final

from starlette.routing import BaseRoute, Match, Mount
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")
# In the scope of a HEAD request: functions to call after the response, such as one that deletes the page.
AFTER_HEAD: Final = "after_head"
# The transport of open pages has its own rules, see web/socket_guard.py.
_SOCKETS: Final = "/_nicegui_ws/"


async def serve(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Serve one HTTP request by `app`, which knows neither HEAD nor OPTIONS.

    HEAD gets the status and headers of GET, but no body and no cookies. OPTIONS of a known path gets 204 and `Allow`.
    """
    method = scope["method"]
    if method == "HEAD" and not scope["path"].startswith(_SOCKETS):
        await _serve_head(app, scope, receive, send)
    elif method == "OPTIONS" and (allowed := allow_header(app, scope["path"])):
        await send({"type": "http.response.start", "status": 204, "headers": [(b"allow", allowed.encode())]})
        await send({"type": "http.response.body"})
    else:
        await app(scope, receive, send)


def allow_header(app: ASGIApp, path: str) -> str:
    """The value of `Allow` for this path; empty if the application has no such path."""
    scope: Scope = {"type": "http", "path": path, "root_path": "", "headers": [], "query_string": b""}
    methods = {method for method in _METHODS if _is_served(_routes_of(app), {**scope, "method": method})}
    if not methods:
        return ""
    return ", ".join(sorted(methods | {"OPTIONS"} | ({"HEAD"} if "GET" in methods else set())))


def _routes_of(app: Any) -> Sequence[BaseRoute]:
    """The routes of an application inside any middleware, which keeps it in the attribute `app`."""
    while not hasattr(app, "routes"):
        app = app.app
    routes: Sequence[BaseRoute] = app.routes
    return routes


def _is_served(routes: Sequence[BaseRoute], scope: Scope) -> bool:
    for route in routes:
        match, child_scope = route.matches(scope)
        if match is not Match.FULL:
            continue
        if not isinstance(route, Mount):
            return True
        if isinstance(route.app, StaticFiles):
            return bool(scope["method"] == "GET")
        if _is_served(route.routes, {**scope, **child_scope}):
            return True
    return False


async def _serve_head(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    after: list[Callable[[], None]] = []
    as_get = {**scope, "method": "GET", AFTER_HEAD: after}

    async def send_head(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = [header for header in message.get("headers", ()) if header[0].lower() != b"set-cookie"]
            await send({**message, "headers": headers})
        elif not message.get("more_body", False):
            await send({"type": "http.response.body"})

    try:
        await app(as_get, receive, send_head)
    finally:
        if "route" in as_get:
            scope["route"] = as_get["route"]  # for the metrics and the log
        for function in after:
            function()
