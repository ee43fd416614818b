"""Serves until it is told to stop, and then ends so that nobody who is served notices."""

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

# How long whoever has connected is given to say what they want, in seconds; and how long requests may take to finish.
_FIRST_WORDS: Final = 2.0
_LAST_WORDS: Final = 10
# Seconds between two looks for connections that have waited too long; between two counts of open files; and between
# two warnings that there are many.
_LOOK: Final = 0.5
_COUNT_FILES_EVERY: Final = 10.0
_WARN_EVERY: Final = 300.0
_DRAINING: Final = problem_body(503, "draining", "This process is about to end: ask another one.")


def serve(app: ASGIApp, listener: socket.socket, limits: ConnectionLimits | None = None) -> None:
    """Serve until SIGINT or SIGTERM, then finish what was begun and return; at a second signal leave at once.

    New connections are refused from the signal on, so a proxy goes on to another process before it has sent anything.
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
        log_config=None,  # ours
        access_log=False,  # addresses of people stand in queries; the reception writes lines without any
        ws=_WebSocket,
        ws_per_message_deflate=False,
        ws_ping_interval=None,  # Socket.IO pings already
        ws_max_size=2**16,  # pages send less
        timeout_graceful_shutdown=_LAST_WORDS,
        server_header=False,
        lifespan="on",
    )
    _Server(config, drain, listener, waiting).run(sockets=[listener])


def collect_less() -> None:
    """Have Python look for garbage less often, from when all is there that stays."""
    # Looking through that again and again costs pauses of 100 ms.
    gc.collect()
    gc.freeze()
    # And open pages are hundreds of objects each, which all live: looking through them less often is enough.
    gc.set_threshold(5_000, 10, 50)


class Drain:
    """The application; once it is draining, every answer is the last one on its connection, and it is not ready."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app  # NiceGUI looks for its server along attributes of this name
        self.draining = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand on one connection."""
        if not self.draining or scope["type"] != "http":
            await self.app(scope, receive, send)
        elif scope["path"] == "/readyz":
            await _not_ready(send)
        else:
            await self.app(scope, receive, _last_on_its_connection(send))


class _WebSocket(FrameWebSocket):
    """A websocket that knows when its client last sent something."""

    heard_at = 0.0

    def data_received(self, data: bytes) -> None:
        """Parse what has come in."""
        self.heard_at = monotonic()
        super().data_received(data)


class _Server(uvicorn.Server):
    def __init__(
        self, config: uvicorn.Config, drain: Drain, listener: socket.socket, waiting: WaitingConnections
    ) -> None:
        super().__init__(config)
        self._drain = drain
        self._listener = listener
        self._waiting = waiting
        self._finishes_waiting = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        problem = self._problem()
        self._finishes_waiting = problem is None
        if problem is not None:
            log.warning("At a shutdown, connections that were just opened are cut off, as uvicorn does it: %s", problem)
        self._watching = asyncio.create_task(self._watch_connections())

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.should_exit:
            sys.exit(128 + signal.Signals(sig))
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._drain.draining = True
        if self._finishes_waiting:
            await self._close_the_door()
            await self._hear_first_words()
        await super().shutdown(sockets)
        self._watching.cancel()

    async def _watch_connections(self) -> NoReturn:
        """Close connections whose clients take too long, and warn before there are too many open files."""
        next_warning, stood_still = 0.0, False
        while True:
            due = monotonic() + _LOOK
            await asyncio.sleep(_LOOK)
            stood_still = not stood_still and monotonic() - due > _LOOK
            if stood_still:
                continue  # what clients have sent meanwhile is read first
            self._waiting.close_overdue()
            self._close_silent_websockets()
            if monotonic() >= next_warning:
                next_warning = monotonic() + (_WARN_EVERY if open_files.warn_near_limit() else _COUNT_FILES_EVERY)

    def _close_silent_websockets(self) -> None:
        # Engine.IO closes those it knows; one that was asked for and never used stays unknown to it.
        before = monotonic() - self._waiting.limits.websocket_seconds
        for connection in list(self.server_state.connections):
            if isinstance(connection, _WebSocket) and connection.heard_at < before:
                connection.transport.abort()

    def _problem(self) -> str | None:
        """What is not as the methods below expect of uvicorn; None if everything is. Call after `startup`."""
        try:
            if not _is_unheard(self._protocol()):
                return "a new connection does not show that it has sent no request"
            if not [server.close for server in self.servers]:
                return "it does not show its listener"
            iter(self.server_state.connections)
        except Exception as error:
            return f"{type(error).__name__}: {error}"
        return None

    async def _close_the_door(self) -> None:
        # Who stands at the door already has connected as far as they know, and perhaps sent a booking: closing the
        # listener would cut them off. So they come in first, and nobody can come between the last of them and the end.
        inside = list(_waiting_at(self._listener))
        for server in self.servers:
            server.close()
        self._listener.close()
        loop = asyncio.get_running_loop()
        for connection in inside:
            await loop.connect_accepted_socket(self._protocol, connection)

    def _protocol(self) -> asyncio.Protocol:
        make = self.config.http_protocol_class
        return make(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)  # type: ignore[call-arg]

    async def _hear_first_words(self) -> None:
        # Who has connected and not been heard yet is not idle: the request may lie in the socket.
        loop = asyncio.get_running_loop()
        until = loop.time() + _FIRST_WORDS
        while loop.time() < until and any(map(_is_unheard, self.server_state.connections)):  # noqa: ASYNC110
            await asyncio.sleep(0.02)


def _waiting_at(listener: socket.socket) -> Iterator[socket.socket]:
    while True:
        try:
            connection, _ = listener.accept()
        except ConnectionAbortedError:
            continue
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EWOULDBLOCK):
                log.warning("could not let everybody in at the end: %s", type(error).__name__)
            return
        connection.setblocking(False)
        yield connection


def _is_unheard(connection: object) -> bool:
    # Websockets have no such attribute.
    return getattr(connection, "cycle", connection) is None


def _last_on_its_connection(send: Send) -> Send:
    async def send_last(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message)["Connection"] = "close"
        await send(message)

    return send_last


async def _not_ready(send: Send) -> None:
    headers = [(b"content-type", PROBLEM_JSON.encode()), (b"connection", b"close"), (b"retry-after", b"1")]
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(_DRAINING).encode()})
