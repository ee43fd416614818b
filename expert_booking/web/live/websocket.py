"""uvicorn's websocket, which exposes its transport so that a frame for a thousand sockets is only encoded once.

The transport is an ASGI extension in the scope of the connection. Writing to it directly relies on two things:
`WebSocketsSansIOProtocol` passes each of its own messages to the transport immediately, whole and uncompressed; and a
socket has left its rooms before the server closes it.
"""

import asyncio
from asyncio import WriteTransport
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Final

from starlette.types import Receive, Scope, Send
from uvicorn import Config
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState
from websockets.frames import Frame, Opcode

EXTENSION: Final = "expert_booking.frames"
# Bytes in the write buffer from which it counts as full. The event loop pauses writing at the same size.
_BUFFER_LIMIT: Final = 2**16
# For `problem_with`: a handshake, a text for each of the three kinds of frame headers, and a timeout in seconds.
_HANDSHAKE: Final = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
    b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
)
_SAMPLES: Final = ("ü", "a" * 200, "a" * 70_000)
_CHECK_TIMEOUT: Final = 5.0
# Parts of one message. Browsers send messages of the allowed size whole.
_MAX_PARTS: Final = 100


class FrameWebSocket(WebSocketsSansIOProtocol):
    """A websocket with the extension. Requires `ws_per_message_deflate=False`."""

    def handle_cont(self, event: Frame) -> None:
        """Receive a part of a message. Empty parts have no size, so their number is limited too."""
        if len(self.frames) >= _MAX_PARTS:
            self.transport.abort()
        else:
            super().handle_cont(event)

    async def run_asgi(self, *args: Any, **kwargs: Any) -> None:
        """Serve this connection."""
        # If uvicorn has changed there is no extension, and messages are sent through Socket.IO.
        with suppress(AttributeError, LookupError, TypeError):
            self.scope["extensions"][EXTENSION] = self.transport  # type: ignore[assignment]
        await super().run_asgi(*args, **kwargs)


def text_frame(text: str) -> bytes:
    """A text as a frame sent by a server."""
    return Frame(Opcode.TEXT, text.encode()).serialize(mask=False)


def write_frame(transport: WriteTransport, frame: bytes) -> bool:
    """Write a frame, unless the socket is closing. Returns False if its buffer is full."""
    if transport.is_closing():
        return True  # a page that reconnects requests everything it shows
    if transport.get_write_buffer_size() > _BUFFER_LIMIT:
        return False
    transport.write(frame)
    return True


def problem_with(protocol: Callable[..., Any]) -> str | None:
    """How uvicorn's websocket differs from what this module expects; None if it does not.

    `protocol` is the class that serves a connection. It is tried on a transport that only records, which takes some ms.
    """
    with ThreadPoolExecutor(1) as thread:  # the caller may have a running event loop already
        try:
            return thread.submit(asyncio.run, _try_out(protocol)).result()
        except TimeoutError:
            return "the handshake does not complete"
        except Exception as error:
            return f"{type(error).__name__}: {error}"


async def _try_out(protocol: Callable[..., Any]) -> str | None:
    transport = _Recorder()
    opened: asyncio.Future[tuple[Scope, Send]] = asyncio.get_running_loop().create_future()
    ended = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        opened.set_result((scope, send))
        await ended.wait()

    config = Config(app, log_config=None, lifespan="off", ws_per_message_deflate=False, ws_ping_interval=None)
    websocket = protocol(config=config, server_state=ServerState(), app_state={})
    websocket.connection_made(transport)
    websocket.data_received(_HANDSHAKE)
    async with asyncio.timeout(_CHECK_TIMEOUT):
        try:
            scope, send = await opened
            return await _problem_of(websocket, transport, scope, send)
        finally:
            ended.set()


async def _problem_of(websocket: Any, transport: "_Recorder", scope: Scope, send: Send) -> str | None:
    if scope["extensions"].get(EXTENSION) is not transport:
        return "the transport is not in the scope"
    for text in _SAMPLES:
        before = len(transport.written)
        await send({"type": "websocket.send", "text": text})
        if transport.written[before:] != [text_frame(text)]:
            return "a message is not written immediately, whole and uncompressed"
    before = len(transport.written)
    websocket.pause_writing()
    waiting = asyncio.ensure_future(send({"type": "websocket.send", "text": "a"}))
    await asyncio.sleep(0)
    if waiting.done() or len(transport.written) > before:
        return "a message is written to a socket whose buffer is full"
    websocket.connection_lost(ConnectionResetError())
    with suppress(OSError):
        await waiting  # the connection is lost
    return None


class _Recorder(asyncio.Transport):
    """A transport that records what is written to it."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []

    def write(self, data: Any) -> None:
        self.written.append(bytes(data))

    def is_closing(self) -> bool:
        return False

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def close(self) -> None:
        pass
