"""ASGI middleware that limits the size of uploads from pages. NiceGUI itself only asks the browser to."""

from typing import Final

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from expert_booking.domain import photo_images

# Of NiceGUI's own URL for the uploads of one page.
_UPLOADS: Final = "/_nicegui/client/"
# The parts of a form around a file.
_MARGIN: Final = 64 * 1024


class UploadLimit:
    """Ends uploads that are larger than a photo may be, before they fill the memory or the disk."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app  # NiceGUI finds its own application by following attributes of this name

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count the bytes of an upload. Raises HTTPException 413 in the endpoint that reads it."""
        received = 0

        async def receive_counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > photo_images.MAX_BYTES + _MARGIN:
                raise HTTPException(413)
            return message

        is_upload = scope["type"] == "http" and scope["path"].startswith(_UPLOADS)
        await self.app(scope, receive_counted if is_upload else receive, send)
