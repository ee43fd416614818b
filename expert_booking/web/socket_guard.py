"""Guard in front of NiceGUI's Socket.IO server: limits who may connect, how often, and what a connection may send.

The Socket.IO server trusts what it receives and keeps it in memory. These rules apply to websockets and polling:

- a connection comes from a page of this site (see `own_origin`) and names one page, the only one it can act for;
- one network may have 200 connections (a setting), and the process 10,000;
- packets have at most 64 kB, are not binary, and are of a kind that pages send (see `socket_packets`); after three
  others the connection is closed;
- it may send bursts of 100 packets and 30 per second after that; further packets are delayed;
- it is closed if it has not completed its handshake after 20 s, or if more than 1 MB waits for it.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import parse_qs

from socketio import AsyncServer
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from expert_booking.domain.client_network import network_of
from expert_booking.logs import CountedWarning
from expert_booking.metrics import Metrics
from expert_booking.web.guarded_socket import MAX_PACKET, SCOPE_KEY, GuardedSocket
from expert_booking.web.live.websocket import EXTENSION
from expert_booking.web.own_origin import is_own_origin

log = logging.getLogger(__name__)

# Connections of all networks together.
MAX_SOCKETS: Final = 10_000
# Concurrent requests of a polling connection (browsers have one that waits and one that sends), and packets per POST.
_MAX_POLLS: Final = 4
_MAX_PACKETS_PER_POST: Final = 16
_DISCONNECT: Final[Message] = {"type": "websocket.disconnect", "code": 1008}


class SocketGuard:
    """ASGI middleware around NiceGUI's Socket.IO server."""

    def __init__(
        self, app: ASGIApp, sio: AsyncServer, *, per_network: int, base_url: str | None, metrics: Metrics
    ) -> None:
        self.app = app
        self._eio = sio.eio
        self._per_network = per_network
        self._base_url = base_url
        self._metrics = metrics
        self._networks: Counter[bytes] = Counter()
        self._sockets: set[GuardedSocket] = set()
        self._by_sid: dict[str, GuardedSocket] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._malformed = CountedWarning(log, "%d malformed websocket packets")
        self._foreign = CountedWarning(
            log,
            "refused %d websocket connections from pages of other origins. If they are from this site, set "
            "EXPERT_BOOKING_BASE_URL to its address.",
        )
        self._too_many = CountedWarning(
            log,
            "refused %d websocket connections because their network, or this process, has too many. See "
            "EXPERT_BOOKING_SOCKETS_PER_NETWORK and, behind a proxy on another machine, FORWARDED_ALLOW_IPS.",
        )

    def __len__(self) -> int:
        """The number of connections."""
        return len(self._sockets)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one websocket connection, or one request of a polling connection."""
        refusal = self._refusal(scope)
        query = {} if refusal else _query_of(scope)
        if refusal or query is None or "j" in query:  # JSONP is for outdated browsers
            await _refuse(scope, receive, send, refusal or HTTPStatus.BAD_REQUEST)
        elif "sid" in query:
            await self._continue(query["sid"][0], scope, receive, send)
        else:
            await self._begin(query.get("client_id", []), scope, receive, send)

    def _refusal(self, scope: Scope) -> HTTPStatus | None:
        if not scope["path"].rstrip("/").endswith("/_nicegui_ws/socket.io"):
            return HTTPStatus.NOT_FOUND
        if scope["type"] == "http" and scope["method"] not in ("GET", "POST"):
            return HTTPStatus.METHOD_NOT_ALLOWED
        if not is_own_origin(scope, self._base_url):
            self._foreign.add()
            self._metrics.socket_refused("foreign_origin")
            return HTTPStatus.FORBIDDEN
        return None

    # --- a new connection -------------------------------------------------------------------------------------------

    async def _begin(self, page_ids: list[str], scope: Scope, receive: Receive, send: Send) -> None:
        if len(page_ids) != 1:
            await _refuse(scope, receive, send, HTTPStatus.BAD_REQUEST)
            return
        network = network_of(scope["client"][0] if scope.get("client") else "")
        if self._networks[network] >= self._per_network or len(self._sockets) >= MAX_SOCKETS:
            self._too_many.add()
            self._metrics.socket_refused("too_many")
            await _refuse(scope, receive, send, HTTPStatus.TOO_MANY_REQUESTS)
            return
        socket = GuardedSocket(self, page_ids[0], network)
        self._sockets.add(socket)
        self._networks[network] += 1
        scope = {**scope, SCOPE_KEY: socket}
        try:
            if scope["type"] == "websocket":
                socket.transport = scope.get("extensions", {}).get(EXTENSION)
                await self.app(scope, _checking(socket, receive), send)
            else:
                await self.app(scope, receive, send)
        finally:
            # A polling connection exists between its requests; Engine.IO reports its end.
            if scope["type"] == "websocket" or socket.eio_sid is None:
                self._end(socket)

    def on_connect(self, eio_sid: str, environ: Mapping[str, Any]) -> None:
        """Handle that Engine.IO has accepted a connection."""
        socket = GuardedSocket.of(environ)
        if socket is not None:
            self._by_sid[eio_sid] = socket
            socket.begin(eio_sid, getattr(self._eio.sockets.get(eio_sid), "queue", None))

    def on_disconnect(self, eio_sid: str) -> None:
        """Handle that Engine.IO has closed a connection."""
        socket = self._by_sid.get(eio_sid)
        if socket is not None:
            self._end(socket)

    def on_malformed_packet(self, eio_sid: str) -> None:
        """Handle a packet of this connection that Socket.IO could not parse."""
        socket = self._by_sid.get(eio_sid)
        if socket is not None:
            socket.reject()

    def count_malformed(self) -> None:
        """Count a malformed packet in the log and the metrics."""
        self._malformed.add()
        self._metrics.malformed_packet()

    def close(self, socket: GuardedSocket) -> None:
        """Close a connection immediately."""
        if socket.transport is not None:
            socket.transport.abort()
        elif socket.eio_sid is not None:
            task = asyncio.create_task(self._disconnect(socket.eio_sid))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    async def _disconnect(self, eio_sid: str) -> None:
        engine_socket = self._eio.sockets.get(eio_sid)
        if engine_socket is not None:
            await engine_socket.close(wait=False, abort=True)

    def _end(self, socket: GuardedSocket) -> None:
        if socket not in self._sockets:
            return
        self._sockets.discard(socket)
        self._networks[socket.network] -= 1
        if self._networks[socket.network] <= 0:
            del self._networks[socket.network]
        if socket.eio_sid is not None:
            self._by_sid.pop(socket.eio_sid, None)
        socket.end()

    # --- a polling connection ---------------------------------------------------------------------------------------

    async def _continue(self, eio_sid: str, scope: Scope, receive: Receive, send: Send) -> None:
        socket = self._by_sid.get(eio_sid)
        if socket is None or not self._is_open(socket):
            await _refuse(scope, receive, send, HTTPStatus.BAD_REQUEST)
        elif scope["type"] == "websocket":
            await self._upgrade(socket, scope, receive, send)
        elif socket.polls >= _MAX_POLLS:
            await _refuse(scope, receive, send, HTTPStatus.TOO_MANY_REQUESTS)
        else:
            socket.polls += 1
            try:
                await (self._post(socket, scope, receive, send) if scope["method"] == "POST"
                       else self.app(scope, receive, send))  # fmt: skip
            finally:
                socket.polls -= 1

    def _is_open(self, socket: GuardedSocket) -> bool:
        """Whether Engine.IO accepts more requests of this connection. Otherwise it would raise KeyError."""
        engine_socket = self._eio.sockets.get(socket.eio_sid)
        return engine_socket is not None and not engine_socket.closed

    async def _upgrade(self, socket: GuardedSocket, scope: Scope, receive: Receive, send: Send) -> None:
        if socket.upgrading or socket.transport is not None:
            await _refuse(scope, receive, send, HTTPStatus.BAD_REQUEST)
            return
        socket.upgrading, socket.transport = True, scope.get("extensions", {}).get(EXTENSION)
        try:
            await self.app(scope, _checking(socket, receive), send)
        finally:
            socket.upgrading, socket.transport = False, None

    async def _post(self, socket: GuardedSocket, scope: Scope, receive: Receive, send: Send) -> None:
        body = await _body_of(receive)
        socket.closing = socket.closing or body is None
        accepted = []
        for text in (body or "").split("\x1e", _MAX_PACKETS_PER_POST)[:_MAX_PACKETS_PER_POST]:
            await asyncio.sleep(socket.delay())
            if not socket.closing and socket.accept(text):
                accepted.append(text)
        if not self._is_open(socket) or (socket.closing and not accepted):
            await _refuse(scope, receive, send, HTTPStatus.BAD_REQUEST)
            socket.abort_if_closing()
            return
        content = "\x1e".join(accepted).encode()
        lengths = [(key, value) for key, value in scope["headers"] if key not in (b"content-length",)]
        scope = {**scope, "headers": [*lengths, (b"content-length", b"%d" % len(content))]}
        await self.app(scope, _replaying(content, receive), send)
        socket.abort_if_closing()


def _checking(socket: GuardedSocket, receive: Receive) -> Receive:
    """Wrap `receive`: deliver only allowed packets, and a disconnect when the connection must be closed."""

    async def receive_checked() -> Message:
        while not socket.closing:
            message = await receive()
            if message["type"] != "websocket.receive":
                return message
            delay = socket.delay()
            if delay:
                await asyncio.sleep(delay)
            if socket.accept(message.get("text")):
                return message
        return _DISCONNECT

    return receive_checked


def _replaying(content: bytes, receive: Receive) -> Receive:
    replayed = False

    async def receive_replayed() -> Message:
        nonlocal replayed
        if replayed:
            return await receive()
        replayed = True
        return {"type": "http.request", "body": content, "more_body": False}

    return receive_replayed


async def _body_of(receive: Receive) -> str | None:
    """The body of a request; None if it is too long or not UTF-8."""
    body = bytearray()
    more = True
    while more:
        message = await receive()
        body += message.get("body", b"")
        if message["type"] != "http.request" or len(body) > MAX_PACKET:
            return None
        more = message.get("more_body", False)
    try:
        return body.decode()
    except UnicodeDecodeError:
        return None


def _query_of(scope: Scope) -> dict[str, list[str]] | None:
    try:
        return parse_qs(scope["query_string"].decode("ascii"), max_num_fields=30)
    except ValueError:
        return None


async def _refuse(scope: Scope, receive: Receive, send: Send, status: HTTPStatus) -> None:
    start = "http.response.start"
    body = "http.response.body"
    if scope["type"] == "websocket":
        await receive()
        if "websocket.http.response" not in scope.get("extensions", {}):
            await send({"type": "websocket.close", "code": 1008})
            return
        start, body = f"websocket.{start}", f"websocket.{body}"
    headers = [(b"content-type", b"text/plain"), (b"cache-control", b"no-store")]
    await send({"type": start, "status": int(status), "headers": headers})
    await send({"type": body, "body": status.phrase.encode()})
