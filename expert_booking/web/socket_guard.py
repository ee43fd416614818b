"""Guard in front of NiceGUI's Socket.IO server: who may connect, how often, and what a connection may send.

The Socket.IO server trusts what it receives and keeps it in memory. These rules hold for websockets and for polling:

- a connection comes from a page of this site (see `own_origin`) and names one page, the only one it can speak for;
- one network may have 200 connections (a setting), and the process 10,000;
- it sends at most 64 kB at once, nothing binary, and only packets that pages of ours send (see `socket_packets`); after
  three others it is closed;
- it sends 100 packets at once and 30 a second after that; what is more waits;
- it is closed if it has not completed its handshake after 20 s, or if more than 1 MB waits to be read by it.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Mapping
from http import HTTPStatus
from time import monotonic
from typing import Any, Final
from urllib.parse import parse_qs

from socketio import AsyncServer
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from expert_booking.domain.client_network import network_of
from expert_booking.logs import CountedWarning
from expert_booking.metrics import Metrics
from expert_booking.web.live.websocket import EXTENSION
from expert_booking.web.own_origin import is_own_origin
from expert_booking.web.socket_packets import Packet, packet_of

log = logging.getLogger(__name__)

# Bytes that a page may send at once: a form and its texts are far smaller.
LONGEST: Final = 2**16
# Connections of all networks together.
MOST_SOCKETS: Final = 10_000
# Malformed packets after which a connection is closed.
MOST_MALFORMED: Final = 3
# Seconds for the handshake, and from a refused one until the connection is closed.
_TO_HANDSHAKE: Final = 20.0
_TO_CLOSE: Final = 3.0
# Packets a page may send at once, and a second from then on: more than a key that is held down.
_BURST: Final = 100
_PER_SECOND: Final = 30
# Bytes that may wait for a connection that does not read them.
_MOST_WAITING: Final = 2**20
# Requests of one polling connection at the same time; a browser has one that waits for news and one that sends.
_MOST_POLLS: Final = 4
_MOST_PACKETS_OF_A_POST: Final = 16
_SCOPE_KEY: Final = "expert_booking.socket"
_GONE: Final[Message] = {"type": "websocket.disconnect", "code": 1008}


class OutgoingQueue(asyncio.Queue[Any]):
    """Engine.IO's queue of outgoing packets, which also counts their characters."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.waiting = 0
        super().__init__(*args, **kwargs)

    def _put(self, item: Any) -> None:
        self.waiting += _length(item)
        super()._put(item)

    def _get(self) -> Any:
        item = super()._get()
        self.waiting -= _length(item)
        return item


def _length(packet: Any) -> int:
    data = getattr(packet, "data", None)
    return len(data) if isinstance(data, str | bytes) else 0


class GuardedSocket:
    """One connection of a page, from its first request to its end."""

    __slots__ = (
        "_allowance", "_checked_at", "closing", "connected", "eio_sid", "guard", "handshaken", "malformed", "network",
        "page_id", "polls", "queue", "timer", "transport", "upgrading",
    )  # fmt: skip

    def __init__(self, guard: "SocketGuard", page_id: str, network: bytes) -> None:
        self.guard = guard
        self.page_id = page_id
        self.network = network
        self.eio_sid: str | None = None
        self.queue: Any = None
        self.transport: Any = None
        self.timer: asyncio.TimerHandle | None = None
        # Whether it has asked Socket.IO to connect, has completed its handshake, and is to be closed.
        self.connected = self.handshaken = self.closing = False
        self.malformed = self.polls = 0
        self.upgrading = False
        self._allowance, self._checked_at = float(_BURST), monotonic()

    @classmethod
    def of(cls, environ: Mapping[str, Any]) -> "GuardedSocket | None":
        """The connection that Engine.IO knows by this environment; None where it did not pass a guard."""
        found = environ.get("asgi.scope", {}).get(_SCOPE_KEY)
        return found if isinstance(found, cls) else None

    def accept(self, text: str | None) -> bool:
        """Whether to hand on this packet; None is a binary one. Closes the connection where it has to be."""
        if self.queue is not None and self.queue.waiting > _MOST_WAITING:
            self.abort()
            return False
        packet = Packet.BINARY if text is None or len(text) > LONGEST else packet_of(text)
        if packet is Packet.EVENT and self.connected:
            return True
        if packet is Packet.CONNECT and not self.connected:
            self.connected = True
            return True
        if packet is Packet.DISCONNECT:
            self.closing = True
            return True
        if packet is Packet.BINARY:
            self.reject(at_once=True)
        elif packet not in (Packet.CONTROL, Packet.DROPPED):
            self.reject()
        return packet is Packet.CONTROL

    def reject(self, *, at_once: bool = False) -> None:
        """Count a malformed packet, and close the connection after the third (or at once)."""
        self.malformed += 1
        self.guard.count_malformed()
        self.closing = self.closing or at_once or self.malformed >= MOST_MALFORMED

    def delay(self) -> float:
        """Seconds to wait before the next packet is looked at; counts one packet."""
        now = monotonic()
        self._allowance = min(self._allowance + (now - self._checked_at) * _PER_SECOND, float(_BURST)) - 1
        self._checked_at = now
        return max(-self._allowance / _PER_SECOND, 0)

    def complete_handshake(self) -> None:
        """Its page exists, and this connection belongs to it."""
        self.handshaken = True
        self._set_timer(None)

    def close_soon(self) -> None:
        """Close it after the browser had time to receive that its page does not exist."""
        self._set_timer(_TO_CLOSE)

    def begin(self, eio_sid: str, queue: Any) -> None:
        """Engine.IO has accepted it."""
        self.eio_sid, self.queue = eio_sid, queue
        self._set_timer(_TO_HANDSHAKE)

    def abort(self) -> None:
        """Close it now, without waiting for it to read anything."""
        self.closing = True
        self._set_timer(None)
        self.guard.close(self)

    def abort_if_closing(self) -> None:
        """Close it now, if it is to be closed."""
        if self.closing:
            self.abort()

    def end(self) -> None:
        """It is closed."""
        self.closing = True
        self._set_timer(None)
        self.transport = self.queue = None

    def _set_timer(self, seconds: float | None) -> None:
        if self.timer is not None:
            self.timer.cancel()
        self.timer = None if seconds is None else asyncio.get_running_loop().call_later(seconds, self.abort)


class SocketGuard:
    """ASGI application before NiceGUI's Socket.IO server."""

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
            "%d websocket connections came from pages of other sites and were refused. If they are from this site, "
            "set EXPERT_BOOKING_BASE_URL to its address.",
        )
        self._too_many = CountedWarning(
            log,
            "%d websocket connections were refused because their network, or this process, has too many. See "
            "EXPERT_BOOKING_SOCKETS_PER_NETWORK; behind a proxy on another machine also FORWARDED_ALLOW_IPS.",
        )

    def __len__(self) -> int:
        """How many connections there are."""
        return len(self._sockets)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand on one connection, or one request of a polling connection."""
        refusal = self._refusal(scope)
        query = {} if refusal else _query_of(scope)
        if refusal or query is None or "j" in query:  # JSONP is for browsers of long ago
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
        if self._networks[network] >= self._per_network or len(self._sockets) >= MOST_SOCKETS:
            self._too_many.add()
            self._metrics.socket_refused("too_many")
            await _refuse(scope, receive, send, HTTPStatus.TOO_MANY_REQUESTS)
            return
        socket = GuardedSocket(self, page_ids[0], network)
        self._sockets.add(socket)
        self._networks[network] += 1
        scope = {**scope, _SCOPE_KEY: socket}
        try:
            if scope["type"] == "websocket":
                socket.transport = scope.get("extensions", {}).get(EXTENSION)
                await self.app(scope, _checking(socket, receive), send)
            else:
                await self.app(scope, receive, send)
        finally:
            # A polling connection lives on between its requests; Engine.IO says when it has ended.
            if scope["type"] == "websocket" or socket.eio_sid is None:
                self._end(socket)

    def began(self, eio_sid: str, environ: Mapping[str, Any]) -> None:
        """Engine.IO has accepted a connection."""
        socket = GuardedSocket.of(environ)
        if socket is not None:
            self._by_sid[eio_sid] = socket
            socket.begin(eio_sid, getattr(self._eio.sockets.get(eio_sid), "queue", None))

    def ended(self, eio_sid: str) -> None:
        """Engine.IO has closed a connection."""
        socket = self._by_sid.get(eio_sid)
        if socket is not None:
            self._end(socket)

    def rejected(self, eio_sid: str) -> None:
        """Socket.IO could not read a packet of this connection."""
        socket = self._by_sid.get(eio_sid)
        if socket is not None:
            socket.reject()

    def count_malformed(self) -> None:
        """A connection has sent a malformed packet."""
        self._malformed.add()
        self._metrics.malformed_packet()

    def close(self, socket: GuardedSocket) -> None:
        """Close a connection now."""
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
        elif socket.polls >= _MOST_POLLS:
            await _refuse(scope, receive, send, HTTPStatus.TOO_MANY_REQUESTS)
        else:
            socket.polls += 1
            try:
                await (self._post(socket, scope, receive, send) if scope["method"] == "POST"
                       else self.app(scope, receive, send))  # fmt: skip
            finally:
                socket.polls -= 1

    def _is_open(self, socket: GuardedSocket) -> bool:
        """Whether Engine.IO would take more of this connection; it raises KeyError otherwise."""
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
        for text in (body or "").split("\x1e", _MOST_PACKETS_OF_A_POST)[:_MOST_PACKETS_OF_A_POST]:
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
    """Receive the packets that a page may send, and a disconnect when the connection is to be closed."""

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
        return _GONE

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
    """The body of a request; None where it is too long, or no text."""
    body = bytearray()
    more = True
    while more:
        message = await receive()
        body += message.get("body", b"")
        if message["type"] != "http.request" or len(body) > LONGEST:
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
