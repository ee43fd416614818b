"""uvicorn's websocket, which also takes finished frames: what a thousand sockets hear is put into a frame once.

ASGI has no word for that, so it is an extension in the connection's scope, as ASGI means extensions to be. It counts on
what `WebSocketsSansIOProtocol` does: every message is handed to the transport at once and whole, uncompressed.
"""

from collections.abc import Callable
from typing import Final

from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import State

EXTENSION: Final = "expert_booking.frames"

WriteFrame = Callable[[bytes], bool]


class FramedWebSocket(WebSocketsSansIOProtocol):
    """A websocket with the extension; messages are not compressed (`ws_per_message_deflate=False`)."""

    async def run_asgi(self) -> None:
        """Serve this connection."""
        self.scope["extensions"][EXTENSION] = self.write_frame  # type: ignore[assignment]
        await super().run_asgi()

    def write_frame(self, frame: bytes) -> bool:
        """Write one whole frame now; False where the buffer is full. Raises ClientDisconnected (an OSError)."""
        if self.disconnected or self.conn.state is not State.OPEN:
            raise ClientDisconnected
        if not self.writable.is_set():
            return False
        self.transport.write(frame)
        return True


def text_frame(text: str) -> bytes:
    """The frame of a server that says this text."""
    return Frame(Opcode.TEXT, text.encode()).serialize(mask=False)
