"""uvicorn with connection limits, and a shutdown that drops no request."""

import asyncio
import errno
import gc
import json
import logging
import signal
import socket
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from time import monotonic
from types import FrameType
from typing import Final, NoReturn

import uvicorn
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from expert_booking import open_files
from expert_booking.http_protocol import ConnectionLimits, HttpProtocol, WaitingConnections
from expert_booking.schemas import PROBLEM_JSON, problem_body
from expert_booking.web.live.websocket import FrameWebSocket

log = logging.getLogger(__name__)

# At shutdown: seconds for new connections to send their request, and for running requests to finish.
_FIRST_REQUEST_TIMEOUT: Final = 2.0
_REQUEST_TIMEOUT: Final = 10
# Seconds between two checks for overdue connections, between two counts of open files, and between two warnings that
# there are many.
_CHECK_EVERY: Final = 0.5
_COUNT_FILES_EVERY: Final = 10.0
_WARN_EVERY: Final = 300.0
_DRAINING: Final = problem_body(503, "draining", "This server is shutting down. Please retry.")


def serve(app: ASGIApp, listener: socket.socket, limits: ConnectionLimits | None = None) -> None:
    """Serve until SIGINT or SIGTERM, then finish running requests and return. A second signal exits immediately.

    New connections are refused after the signal, so a proxy tries another process before it has sent anything.
    """
    open_files.raise_limit()
    limits = limits or ConnectionLimits()
    limits = replace(limits, connections=min(limits.connections, open_files.room_for_connections()))
    drain, waiting = Drain(app), WaitingConnections(limits)
    config = uvicorn.Config(
        drain,
        http=partial(HttpProtocol, waiting),  # type: ignore[arg-type]  # it is only called
        timeout_keep_alive=round(limits.head_seconds),
        log_level="warning",
        log_config=None,  # see logs.py
        access_log=False,  # queries contain email addresses; RequestLogMiddleware writes lines without them
        ws=_WebSocket,
        ws_per_message_deflate=False,
        ws_ping_interval=None,  # Socket.IO already pings
        ws_max_size=2**16,  # pages send less
        timeout_graceful_shutdown=_REQUEST_TIMEOUT,
        server_header=False,
        lifespan="on",
    )
    _Server(config, drain, listener, waiting).run(sockets=[listener])


def tune_garbage_collection() -> None:
    """Freeze the objects of the start, and collect garbage less often."""
    # Scanning these long-lived objects again and again costs pauses of 100 ms.
    gc.collect()
    gc.freeze()
    # Open pages consist of hundreds of live objects each; scanning them less often is enough. A page that is deleted
    # leaves 45 kB of garbage, so a full collection after every 1,500 pages keeps that below 70 MB.
    gc.set_threshold(5_000, 10, 10)


class Drain:
    """The application. While draining, every response closes its connection, and `/readyz` answers 503."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app  # NiceGUI finds its own application by following attributes of this name
        self.draining = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if not self.draining or scope["type"] != "http":
            await self.app(scope, receive, send)
        elif scope["path"] == "/readyz":
            await _not_ready(send)
        else:
            await self.app(scope, receive, _closing_the_connection(send))


class _WebSocket(FrameWebSocket):
    """A websocket that records when its client last sent something."""

    received_at = 0.0

    def data_received(self, data: bytes) -> None:
        """Record the time, and parse the data."""
        self.received_at = monotonic()
        super().data_received(data)


class _Server(uvicorn.Server):
    def __init__(
        self, config: uvicorn.Config, drain: Drain, listener: socket.socket, waiting: WaitingConnections
    ) -> None:
        super().__init__(config)
        self._drain = drain
        self._listener = listener
        self._waiting = waiting
        self._accepts_last = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        problem = self._problem()
        self._accepts_last = problem is None
        if problem is not None:
            log.warning("a shutdown will drop connections that were just opened: uvicorn has changed: %s", problem)
        self._watching = asyncio.create_task(self._watch_connections())

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.should_exit:
            sys.exit(128 + signal.Signals(sig))
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._drain.draining = True
        if self._accepts_last:
            await self._accept_last_connections()
            await self._receive_first_requests()
        await super().shutdown(sockets)
        self._watching.cancel()

    async def _watch_connections(self) -> NoReturn:
        """Close connections whose clients take too long, and warn before the process runs out of open files."""
        next_warning, was_late = 0.0, False
        while True:
            due = monotonic() + _CHECK_EVERY
            await asyncio.sleep(_CHECK_EVERY)
            was_late = not was_late and monotonic() - due > _CHECK_EVERY
            if was_late:
                continue  # the event loop was blocked: first read what clients sent during that time
            self._waiting.close_overdue()
            self._close_silent_websockets()
            if monotonic() >= next_warning:
                next_warning = monotonic() + (_WARN_EVERY if open_files.warn_near_limit() else _COUNT_FILES_EVERY)

    def _close_silent_websockets(self) -> None:
        # Engine.IO closes those it knows. It does not know websockets that were opened but never used.
        before = monotonic() - self._waiting.limits.websocket_seconds
        for connection in list(self.server_state.connections):
            if isinstance(connection, _WebSocket) and connection.received_at < before:
                connection.transport.abort()

    def _problem(self) -> str | None:
        """How uvicorn differs from what the methods below expect; None if it does not. Call after `startup`."""
        try:
            if not _has_sent_no_request(self._protocol()):
                return "cannot tell whether a new connection has sent a request"
            if not [server.close for server in self.servers]:
                return "its listener is not accessible"
            iter(self.server_state.connections)
        except Exception as error:
            return f"{type(error).__name__}: {error}"
        return None

    async def _accept_last_connections(self) -> None:
        # Clients in the accept queue believe they are connected and may have sent a booking. Closing the listener would
        # reset them, so accept them first. Nothing is awaited in between, so no further client can slip in.
        accepted = list(_accept_all(self._listener))
        for server in self.servers:
            server.close()
        self._listener.close()
        loop = asyncio.get_running_loop()
        for connection in accepted:
            await loop.connect_accepted_socket(self._protocol, connection)

    def _protocol(self) -> asyncio.Protocol:
        make = self.config.http_protocol_class
        return make(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)  # type: ignore[call-arg]

    async def _receive_first_requests(self) -> None:
        # A connection without a request yet is not idle: the request may be in the socket's buffer.
        loop = asyncio.get_running_loop()
        until = loop.time() + _FIRST_REQUEST_TIMEOUT
        while loop.time() < until and any(map(_has_sent_no_request, self.server_state.connections)):  # noqa: ASYNC110
            await asyncio.sleep(0.02)


def _accept_all(listener: socket.socket) -> Iterator[socket.socket]:
    while True:
        try:
            connection, _ = listener.accept()
        except ConnectionAbortedError:
            continue
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EWOULDBLOCK):
                log.warning("could not accept queued connections during shutdown: %s", type(error).__name__)
            return
        connection.setblocking(False)
        yield connection


def _has_sent_no_request(connection: object) -> bool:
    # Websockets have no such attribute.
    return getattr(connection, "cycle", connection) is None


def _closing_the_connection(send: Send) -> Send:
    async def send_last(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message)["Connection"] = "close"
        await send(message)

    return send_last


async def _not_ready(send: Send) -> None:
    headers = [(b"content-type", PROBLEM_JSON.encode()), (b"connection", b"close"), (b"retry-after", b"1")]
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(_DRAINING).encode()})
