"""uvicorn's websocket, which also takes finished frames: what a thousand sockets hear is put into a frame once.

ASGI has no word for that, so it is an extension in the connection's scope, as ASGI means extensions to be: the
transport. That counts on `WebSocketsSansIOProtocol` handing each message of its own to the transport at once, whole and
uncompressed; and on a socket being out of its rooms before the server closes it.
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
# So many bytes wait to be taken when a buffer is full: where the event loop, too, says that writing has to pause.
_FULL: Final = 2**16
# For `problem_with`: a handshake, and one text for each of the three kinds of frame header. And a limit in seconds.
_HANDSHAKE: Final = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
    b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
)
_SAMPLES: Final = ("ü", "a" * 200, "a" * 70_000)
_LONGEST_CHECK: Final = 5.0
# Parts of one message. Browsers send messages of our size whole.
_MOST_PARTS: Final = 100


class FrameWebSocket(WebSocketsSansIOProtocol):
    """A websocket with the extension; messages are not compressed (`ws_per_message_deflate=False`)."""

    def handle_cont(self, event: Frame) -> None:
        """Take a part of a message. Empty parts have no size, so their number is limited, too."""
        if len(self.frames) >= _MOST_PARTS:
            self.transport.abort()
        else:
            super().handle_cont(event)

    async def run_asgi(self, *args: Any, **kwargs: Any) -> None:
        """Serve this connection."""
        # Where uvicorn has changed there is no extension, and messages go through Socket.IO.
        with suppress(AttributeError, LookupError, TypeError):
            self.scope["extensions"][EXTENSION] = self.transport  # type: ignore[assignment]
        await super().run_asgi(*args, **kwargs)


def text_frame(text: str) -> bytes:
    """The frame in which a server says this text."""
    return Frame(Opcode.TEXT, text.encode()).serialize(mask=False)


def write_frame(transport: WriteTransport, frame: bytes) -> bool:
    """Write a whole frame now, to a socket that is not closing; False where the buffer is full."""
    if transport.is_closing():
        return True  # whoever comes back is told everything
    if transport.get_write_buffer_size() > _FULL:
        return False
    transport.write(frame)
    return True


def problem_with(protocol: Callable[..., Any]) -> str | None:
    """What is not as this module expects of uvicorn's websockets; None if everything is.

    `protocol` is the class that serves a connection. It is tried out on a transport that only records, in some ms.
    """
    with ThreadPoolExecutor(1) as thread:  # the caller may have a running event loop already
        try:
            return thread.submit(asyncio.run, _try_out(protocol)).result()
        except TimeoutError:
            return "a connection is not opened"
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
    async with asyncio.timeout(_LONGEST_CHECK):
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
            return "a message is not written at once, whole and uncompressed"
    before = len(transport.written)
    websocket.pause_writing()
    waiting = asyncio.ensure_future(send({"type": "websocket.send", "text": "a"}))
    await asyncio.sleep(0)
    if waiting.done() or len(transport.written) > before:
        return "a message is written to a socket whose buffer is full"
    websocket.connection_lost(ConnectionResetError())
    with suppress(OSError):
        await waiting  # nobody waits for a lost connection
    return None


class _Recorder(asyncio.Transport):
    """A transport that keeps what is written to it."""

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
