"""uvicorn's HTTP protocol with limits per client: size of the request head, time, and number of connections.

uvicorn has no such limits: it keeps a request head of any length, and waits forever for the rest of a request. This
module uses these attributes of `HttpToolsProtocol`: `connections`, `cycle`, `flow`, `headers`, `loop`, `pipeline`,
`scope`, `server_state`, `transport`.
"""

import asyncio
import json
import logging
from collections import OrderedDict
from dataclasses import dataclass
from http import HTTPStatus
from time import monotonic
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

log = logging.getLogger(__name__)

_END_OF_HEAD: Final = b"\r\n\r\n"
# A body of unknown length is parsed in pieces of this size, so that little of the next request is parsed with it.
_PIECE_BYTES: Final = 4096
# Seconds between two warnings of the same kind.
_WARN_EVERY: Final = 300.0

# The states of a connection.
_HEAD: Final = 0  # waiting for a request, or for the rest of its head
_BODY: Final = 1  # waiting for the rest of the body
_ANSWER: Final = 2  # has read a request and not yet sent the whole response
_CLOSING: Final = 3  # refused, or a websocket now: incoming data is dropped

_REASONS: Final = {
    408: ("request_timeout", "The request took too long to arrive."),
    431: ("head_too_large", "The request line and headers are too long, or there are too many of them."),
}


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """What one connection may use, in bytes and seconds, and how many connections there may be."""

    # Request line and headers; also what surrounds the body: chunk sizes, extensions and trailers.
    head_bytes: int = 64 * 1024
    headers: int = 200
    # From connecting to the end of the first head. On a kept-alive connection: from a response to the first byte of
    # the next request, and from there to the end of its head.
    head_seconds: float = 15.0
    # Without a byte of an announced body; and for the whole body.
    body_pause_seconds: float = 30.0
    body_seconds: float = 300.0
    # Of a body whose request has already been answered.
    unread_bytes: int = 1024 * 1024
    # Without a byte from a websocket. Engine.IO pings every 4 s.
    websocket_seconds: float = 30.0
    # Between an error response and closing, so that a client that is still sending can read it.
    linger_seconds: float = 1.0
    connections: int = 10_000


class WaitingConnections:
    """The HTTP connections of a server that are waiting for their client, longest wait first."""

    def __init__(self, limits: ConnectionLimits) -> None:
        self.limits = limits
        self._heads: OrderedDict[HttpProtocol, float] = OrderedDict()
        self._bodies: set[HttpProtocol] = set()
        self._warned_at = -_WARN_EVERY

    def wait_for_head(self, connection: "HttpProtocol") -> None:
        """Record that the connection waits for a request from now on."""
        self._heads[connection] = monotonic()
        self._heads.move_to_end(connection)

    def wait_for_body(self, connection: "HttpProtocol") -> None:
        """Record that the connection waits for a body from now on."""
        self._bodies.add(connection)

    def has_head(self, connection: "HttpProtocol") -> None:
        """Record that the request head is complete."""
        self._heads.pop(connection, None)

    def has_body(self, connection: "HttpProtocol") -> None:
        """Record that the body is complete."""
        self._bodies.discard(connection)

    def forget(self, connection: "HttpProtocol") -> None:
        """Forget a connection that is closed, or has become a websocket."""
        self._heads.pop(connection, None)
        self._bodies.discard(connection)

    def close_overdue(self) -> None:
        """Close the connections whose client took too long."""
        now = monotonic()
        while self._heads:
            connection, since = next(iter(self._heads.items()))
            if now - since < self.limits.head_seconds:
                break
            connection.time_out()
        for connection in [one for one in self._bodies if one.body_is_overdue(now)]:
            connection.time_out()

    def make_room(self) -> bool:
        """Close the connection that has waited longest for a request. Returns False if none is waiting."""
        self._warn()
        if not self._heads:
            return False
        oldest, _ = self._heads.popitem(last=False)
        oldest.transport.abort()
        return True

    def _warn(self) -> None:
        now = monotonic()
        if now - self._warned_at >= _WARN_EVERY:
            self._warned_at = now
            log.warning(
                "connection limit reached (%d): each new connection closes the one that has been idle longest",
                self.limits.connections,
            )


class HttpProtocol(HttpToolsProtocol):
    """One HTTP connection. It reads one request at a time, and is closed if its client takes too long.

    A head that is too long is answered with 431, a request that takes too long with 408.
    """

    # Slots: more than thirty attributes in the instance's dict would slow down all of them.
    __slots__ = (
        "_at", "_body_began", "_body_bytes", "_body_left", "_body_moved", "_held", "_limits", "_overhead", "_tail",
        "_unread_bytes", "_waiting",
    )  # fmt: skip

    def __init__(self, waiting: WaitingConnections, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._waiting = waiting
        self._limits = waiting.limits
        self._at = _HEAD
        # Bytes outside the body since the last head was complete; and the last three bytes of an incomplete head.
        self._overhead = 0
        self._tail = b""
        # Data received while a response was being sent.
        self._held = b""
        # Bytes of the body: still to come (0: unknown), in the piece being parsed, and received after the response.
        self._body_left = self._body_bytes = 0
        self._unread_bytes = 0
        self._body_began = self._body_moved = 0.0

    # --- the connection ---------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first request, unless there are too many connections."""
        super().connection_made(transport)
        if len(self.connections) > self._limits.connections and not self._waiting.make_room():
            self._at = _CLOSING
            transport.abort()
            return
        self._waiting.wait_for_head(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Release what belongs to the connection."""
        self._waiting.forget(self)
        self._held = b""
        super().connection_lost(exc)

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection over to a websocket."""
        self._waiting.forget(self)
        self._at = _CLOSING
        super().handle_websocket_upgrade()

    # --- incoming data ----------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Parse one request. Data of the next one is kept until this one is answered."""
        start, end = 0, len(data)
        while start < end:
            if self._at == _HEAD:
                start = self._parse_head(data, start)
            elif self._at == _BODY:
                start = self._parse_body(data, start)
            else:
                break
            if self.transport.is_closing():
                return
        if start < end and self._at == _ANSWER:
            self._held += data[start:]
            self.flow.pause_reading()

    def _parse_head(self, data: bytes, start: int) -> int:
        """Parse up to the end of the head, if `data` contains it. Returns the position after the parsed data."""
        stop = self._end_of_head(data, start)
        if stop - start > self._limits.head_bytes - self._overhead:
            self._refuse(431)
            return len(data)
        piece = data if stop - start == len(data) else data[start:stop]
        super().data_received(piece)
        if self._at == _HEAD:
            if not self._overhead and self.cycle is not None:
                self._waiting.wait_for_head(self)  # these are the first bytes of the next request
            self._overhead += len(piece)
            self._tail = (self._tail + piece[-3:])[-3:]
            return stop
        self._waiting.has_head(self)
        self._overhead, self._tail = 0, b""
        if self._at == _BODY:
            self._waiting.wait_for_body(self)
            self._body_began = self._body_moved = monotonic()
            self._body_left = int(dict(self.headers).get(b"content-length", 0))
            self._unread_bytes = 0
        return stop

    def _end_of_head(self, data: bytes, start: int) -> int:
        if self._tail:
            found = (self._tail + data[start : start + 3]).find(_END_OF_HEAD)
            if found >= 0:
                return start + found + len(_END_OF_HEAD) - len(self._tail)
        found = data.find(_END_OF_HEAD, start)
        return len(data) if found < 0 else found + len(_END_OF_HEAD)

    def _parse_body(self, data: bytes, start: int) -> int:
        """Parse a piece of the body. Returns the position after it."""
        piece = data[start : start + (self._body_left or _PIECE_BYTES)]
        self._body_bytes = 0
        super().data_received(piece)
        overhead = len(piece) - self._body_bytes
        self._body_left = max(self._body_left - len(piece), 0)
        if self._body_bytes:
            self._body_moved = monotonic()
        if self._at == _BODY:
            self._overhead += overhead
            if self._overhead > self._limits.head_bytes or self._unread_bytes > self._limits.unread_bytes:
                self._refuse(431)
        elif self._at != _CLOSING:
            self._waiting.has_body(self)
            # The piece may have contained the first bytes of the next request.
            begun = self.scope is not self.cycle.scope
            self._overhead, self._tail = (overhead, piece[-3:]) if begun else (0, b"")
            if self._at == _HEAD:
                self._waiting.wait_for_head(self)
        return start + len(piece)

    # --- callbacks of the parser ------------------------------------------------------------------------------------

    def on_headers_complete(self) -> None:
        """Pass the request on, unless it has too many headers."""
        if len(self.headers) > self._limits.headers:
            self._refuse(431)
        if self._at == _CLOSING:
            return
        self._at = _BODY
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Pass on a part of the body."""
        if self._at == _CLOSING:
            return
        self._body_bytes += len(body)
        if self.cycle.response_complete:
            self._unread_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is complete."""
        if self._at == _CLOSING:
            return
        super().on_message_complete()
        self._at = _ANSWER if self.cycle is not None and not self.cycle.response_complete else _HEAD

    def on_response_complete(self) -> None:
        """Continue with the next request."""
        if self._at != _ANSWER or not self.cycle.response_complete:
            super().on_response_complete()
            return
        # As uvicorn does, but without a timer per request: `WaitingConnections` is cheaper.
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        self._at = _HEAD
        self._waiting.wait_for_head(self)
        if self._held:
            held, self._held = self._held, b""
            self.data_received(held)

    # --- timeouts ---------------------------------------------------------------------------------------------------

    def body_is_overdue(self, now: float) -> bool:
        """Whether the client has stopped sending the body, or sends it too slowly. `now` is of `monotonic()`."""
        if self.flow.read_paused:  # the application is slow, not the client
            self._body_moved = now
            return False
        limits = self._limits
        return now - self._body_moved >= limits.body_pause_seconds or now - self._body_began >= limits.body_seconds

    def time_out(self) -> None:
        """Close the connection, with 408 if a request has begun."""
        if self._at == _HEAD and not self._overhead:
            self._waiting.forget(self)
            self.transport.close()
        else:
            self._refuse(408)

    def _refuse(self, status: int) -> None:
        """Send an error, unless a response has begun, and close the connection."""
        answered = self._at != _HEAD and (self.cycle.response_started or bool(self.pipeline))
        self._at = _CLOSING
        self._waiting.forget(self)
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if not answered:
            self.transport.write(_error(status))
        # Closing immediately would reset the connection while the client is sending, and the error would be lost.
        self.flow.pause_reading()
        self.loop.call_later(self._limits.linger_seconds, self.transport.close)


def _error(status: int) -> bytes:
    code, detail = _REASONS[status]
    title = HTTPStatus(status).phrase
    body = json.dumps({"type": "about:blank", "title": title, "status": status, "code": code, "detail": detail})
    return (
        f"HTTP/1.1 {status} {title}\r\nContent-Type: application/problem+json\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}"
    ).encode()
