"""Open pages without a browser: fetch the page and open its websocket as a browser does."""

import asyncio
import re
from contextlib import suppress
from typing import Final
from urllib.parse import urlencode
from uuid import uuid4

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

CLIENT: Final = re.compile(r"'client_id': '([^']+)', 'next_message_id': ([0-9]+)")


class Viewer:
    """An open page that collects the messages it receives and answers pings until it is closed."""

    def __init__(self, websocket: ClientConnection) -> None:
        self._websocket = websocket
        self.received: list[str] = []
        self._listening = asyncio.create_task(self._listen())

    @classmethod
    async def open(cls, browser: httpx.AsyncClient, path: str) -> "Viewer":
        """Open this path with the cookies of this HTTP client."""
        page = (await browser.get(path)).raise_for_status().text
        found = CLIENT.search(page)
        assert found, page
        query = {"client_id": found[1], "next_message_id": found[2], "implicit_handshake": "true",
                 **{name: str(uuid4()) for name in ("document_id", "tab_id", "old_tab_id")}}  # fmt: skip
        url = f"ws://{browser.base_url.netloc.decode()}/_nicegui_ws/socket.io/?EIO=4&transport=websocket&"
        websocket = await connect(url + urlencode(query), compression=None, ping_interval=None, max_queue=None)
        await websocket.recv()
        await websocket.send("40")
        assert str(await websocket.recv()).startswith("40")
        return cls(websocket)

    async def close(self) -> None:
        """Close the websocket, as closing a tab does."""
        self._listening.cancel()
        await self._websocket.close()

    async def _listen(self) -> None:
        with suppress(ConnectionClosed):
            async for message in self._websocket:
                if message == "2":
                    await self._websocket.send("3")
                else:
                    self.received.append(str(message))
