"""uvicorn's websocket, which also takes finished frames: what a thousand sockets hear is put into a frame once.

ASGI has no word for that, so it is an extension in the connection's scope, as ASGI means extensions to be: the
transport. That counts on `WebSocketsSansIOProtocol` handing each message of its own to the transport at once, whole and
uncompressed; and on a socket being out of its rooms before the server closes it.
"""

from asyncio import WriteTransport
from typing import Final

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame, Opcode

EXTENSION: Final = "expert_booking.frames"
# So many bytes wait to be taken when a buffer is full: where the event loop, too, says that writing has to pause.
_FULL: Final = 2**16
# Parts of one message. Browsers send messages of our size whole.
_MOST_PARTS: Final = 100


class FramedWebSocket(WebSocketsSansIOProtocol):
    """A websocket with the extension; messages are not compressed (`ws_per_message_deflate=False`)."""

    def handle_cont(self, event: Frame) -> None:
        """Take a part of a message. Empty parts have no size, so their number is limited, too."""
        if len(self.frames) >= _MOST_PARTS:
            self.transport.abort()
        else:
            super().handle_cont(event)

    async def run_asgi(self) -> None:
        """Serve this connection."""
        self.scope["extensions"][EXTENSION] = self.transport  # type: ignore[assignment]
        await super().run_asgi()


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
