"""Handlers of the events that pages send to NiceGUI. They check the page and the type of each value.

NiceGUI's own handlers trust the page id in each message, and fail with a traceback on values of unexpected types.
"""

import logging
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qs

from nicegui import Client, core
from socketio import AsyncServer
from socketio.exceptions import ConnectionRefusedError as SocketRefused
from starlette.routing import Mount

from expert_booking.metrics import Metrics
from expert_booking.web.guarded_socket import MAX_PACKET, GuardedSocket, OutgoingQueue
from expert_booking.web.page_limits import Pages, limit_pages
from expert_booking.web.socket_guard import SocketGuard
from expert_booking.web.socket_packets import EVENTS

log = logging.getLogger(__name__)

# NiceGUI's script reloads the page when the connection is refused with this message.
_RELOAD: Final = "Implicit handshake failed"
# Characters of a tab id, the highest message number, and the number of arguments of an event.
_MAX_TAB_ID: Final = 64
_MAX_MESSAGE_NUMBER: Final = 2**31
_MAX_ARGUMENTS: Final = 20
_UNUSED_EVENTS: Final = ("log", "javascript_response")


class SocketEvents:
    """Handlers of the events that the pages need."""

    def __init__(self, sio: AsyncServer, pages: Pages | None) -> None:
        self._sio = sio
        self._pages = pages
        # NiceGUI's handler, for connections that did not pass the guard.
        self._original_connect = sio.handlers["/"]["connect"]

    def register(self) -> None:
        """Replace NiceGUI's handlers, and remove those that are not needed."""
        for name in _UNUSED_EVENTS:
            self._sio.handlers["/"].pop(name, None)
        self._sio.on("connect", self.connect)
        for name in EVENTS:
            self._sio.on(name, getattr(self, name))

    async def connect(self, sid: str, environ: Mapping[str, Any], _auth: object = None) -> None:
        """Accept a connection. Raises ConnectionRefusedError if its page does not exist or is not the browser's."""
        socket = GuardedSocket.of(environ)
        if socket is None:
            await self._original_connect(sid, environ)
            return
        page = Client.instances.get(socket.page_id)
        query = {key: values[0] for key, values in parse_qs(environ.get("QUERY_STRING", "")).items()}
        implicit = query.get("implicit_handshake") == "true"
        if page is None or (implicit and not await self._complete_handshake(socket, page, sid, environ, query)):
            socket.close_soon()
            raise SocketRefused(_RELOAD)

    async def handshake(self, sid: str, message: object = None, *_: object) -> bool:
        """Connect a page that the browser loaded in advance. False: the page must be reloaded."""
        environ = self._sio.get_environ(sid)
        socket, page = self._page_of(sid)
        if socket is None or page is None or not _is_for(page, message):
            return False
        assert isinstance(message, dict)
        return await self._complete_handshake(socket, page, sid, environ, message)

    def event(self, sid: str, message: object = None, *_: object) -> None:
        """Handle an event of a page, such as a click."""
        socket, page = self._page_of(sid)
        if socket is None or page is None or not page.has_socket_connection:
            return
        if not _is_for(page, message) or not _is_event(message):
            socket.reject()
            return
        assert isinstance(message, dict)
        element = page.elements.get(message["id"])
        if element is None or message["listener_id"] not in element._event_listeners:
            return  # the element was deleted before the event arrived
        try:
            page.handle_event(message)
        except ValueError:  # an argument is not JSON; NiceGUI catches exceptions of the pages' handlers
            socket.reject()

    def ack(self, sid: str, message: object = None, *_: object) -> None:
        """A page acknowledges all messages before this number."""
        socket, page = self._page_of(sid)
        if socket is None or page is None:
            return
        number = message.get("next_message_id") if isinstance(message, dict) and _is_for(page, message) else None
        if type(number) is int:
            page.outbox.prune_history(number)
        else:
            socket.reject()

    def _page_of(self, sid: str) -> tuple[GuardedSocket | None, Client | None]:
        socket = GuardedSocket.of(self._sio.get_environ(sid) or {})
        return socket, None if socket is None else Client.instances.get(socket.page_id)

    async def _complete_handshake(
        self, socket: GuardedSocket, page: Client, sid: str, environ: Any, message: Mapping[str, Any]
    ) -> bool:
        tab_id, next_message = message.get("tab_id"), _number(message.get("next_message_id"))
        if not isinstance(tab_id, str) or not 0 < len(tab_id) <= _MAX_TAB_ID or next_message is None:
            socket.reject()
            return False
        if not page.accept_handshake(sid, tab_id, environ):
            return False
        page.environ = environ
        await self._sio.enter_room(sid, page.id)
        if self._pages is not None:
            self._pages.connected(page)
        socket.complete_handshake()
        # One document id per page, so that memory does not grow with the ids that a browser sends; and no previous tab,
        # since nothing is stored per tab.
        await page.handle_handshake(sid, tab_id, None, page.id, next_message)
        return True


def guard_sockets(*, per_network: int, pages_per_network: int, base_url: str | None, metrics: Metrics) -> None:
    """Put the guard in front of NiceGUI's Socket.IO server, and limit unconnected pages.

    If NiceGUI or python-socketio differ from what this module expects, it only logs an error.
    """
    pages = limit_pages(pages_per_network)
    try:
        _install_guard(core.sio, pages, per_network=per_network, base_url=base_url, metrics=metrics)
    except _Unexpected as error:
        log.error("this version of NiceGUI or python-socketio is not supported: websockets are not limited (%s)",
                  error.args[0])  # fmt: skip


class _Unexpected(Exception):
    """A private part of a library is not as expected. The message names it."""


def _install_guard(
    sio: AsyncServer, pages: Pages | None, *, per_network: int, base_url: str | None, metrics: Metrics
) -> None:
    mount = _mount()
    known = sio.handlers.get("/", {}) if hasattr(sio, "handlers") else {}
    if not {"connect", *EVENTS} <= known.keys():
        raise _Unexpected("handlers of events")
    engine: Any = getattr(sio, "eio", None)
    wanted = {name: getattr(sio, f"_handle_eio_{name}", None) for name in ("connect", "message", "disconnect")}
    if None in wanted.values() or not wanted.keys() <= getattr(engine, "handlers", {}).keys():
        raise _Unexpected("handlers of Engine.IO")
    app = mount.app.app if isinstance(mount.app, SocketGuard) else mount.app
    guard = SocketGuard(app, sio, per_network=per_network, base_url=base_url, metrics=metrics)
    if not isinstance(mount.app, SocketGuard):
        SocketEvents(sio, pages).register()
    _listen(sio, guard)
    engine.cors_allowed_origins = []  # no CORS headers: the guard refuses other origins
    engine.max_http_buffer_size = MAX_PACKET
    engine.create_queue = OutgoingQueue
    mount.app = guard
    metrics.watch("sockets", "Websocket and polling connections of open pages.", lambda: len(guard))


def _mount() -> Mount:
    for route in core.app.routes:
        if isinstance(route, Mount) and route.path == "/_nicegui_ws":
            return route
    raise _Unexpected("no /_nicegui_ws")


def _listen(sio: AsyncServer, guard: SocketGuard) -> None:
    """Tell the guard when connections begin and end, and when a packet cannot be parsed."""

    async def connect(eio_sid: str, environ: dict[str, Any]) -> Any:
        guard.on_connect(eio_sid, environ)
        return await sio._handle_eio_connect(eio_sid, environ)

    async def message(eio_sid: str, data: Any) -> None:
        try:
            await sio._handle_eio_message(eio_sid, data)
        except ValueError:
            guard.on_malformed_packet(eio_sid)

    async def disconnect(eio_sid: str, reason: Any = None) -> None:
        try:
            await sio._handle_eio_disconnect(eio_sid, reason)
        finally:
            guard.on_disconnect(eio_sid)

    for name, handler in (("connect", connect), ("message", message), ("disconnect", disconnect)):
        sio.eio.on(name, handler)


def _is_for(page: Client, message: object) -> bool:
    return isinstance(message, dict) and message.get("client_id") == page.id


def _is_event(message: Any) -> bool:
    element, arguments = message.get("id"), message.get("args", [])
    if type(element) is not int or not isinstance(arguments, list) or len(arguments) > _MAX_ARGUMENTS:
        return False
    if not all(one is None or isinstance(one, str) for one in arguments):
        return False
    return isinstance(message.get("listener_id"), str)


def _number(value: object) -> int | None:
    """A message number, which is text in a query string; None if it is invalid."""
    if isinstance(value, str):
        value = int(value) if value.isascii() and value.isdecimal() and len(value) <= 10 else None
    return value if type(value) is int and 0 <= value <= _MAX_MESSAGE_NUMBER else None
