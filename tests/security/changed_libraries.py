"""The product on a modified uvicorn: `python -m tests.security.changed_libraries serve`."""

import asyncio
import sys
from typing import Any

from uvicorn.protocols.http import httptools_impl
from uvicorn.protocols.websockets import websockets_sansio_impl


class WebSocketWithoutBackPressure(websockets_sansio_impl.WebSocketsSansIOProtocol):
    """Like uvicorn 0.35 to 0.52.0, which goes on writing to a socket whose buffer is full."""

    def pause_writing(self) -> None:
        """Do nothing."""


class HttpWithMoreArguments(httptools_impl.HttpToolsProtocol):
    """A constructor that requires an argument which uvicorn passes and the product does not."""

    def __init__(self, *args: Any, _loop: asyncio.AbstractEventLoop | None, **kwargs: Any) -> None:
        super().__init__(*args, _loop=_loop, **kwargs)


if __name__ == "__main__":
    websockets_sansio_impl.WebSocketsSansIOProtocol = WebSocketWithoutBackPressure  # type: ignore[misc]
    httptools_impl.HttpToolsProtocol = HttpWithMoreArguments  # type: ignore[misc]
    from expert_booking.cli import main

    sys.exit(main())
