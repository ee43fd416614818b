"""Pages and their connections at the packet level, including packets that no browser sends."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode
from uuid import uuid4

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.server import ServerProcess

PATIENCE: Final = 40  # seconds
METRICS_TOKEN: Final = "what Prometheus sends 1234"
_CLIENT: Final = re.compile(r"'client_id': '([^']+)', 'next_message_id': ([0-9]+)")
_ELEMENTS: Final = re.compile(r"parseElements\(String\.raw`(.*?)`\)", re.S)
PATH: Final = "/_nicegui_ws/socket.io/"


@dataclass(frozen=True)
class FetchedPage:
    """A page as delivered by the server."""

    client_id: str
    next_message_id: str
    elements: dict[str, Any]

    def query(self, **changes: str | None) -> str:
        """Build the query with which the page's script connects; None omits a value."""
        values: dict[str, str | None] = {
            "EIO": "4", "transport": "websocket", "client_id": self.client_id, "implicit_handshake": "true",
            "next_message_id": self.next_message_id, "document_id": str(uuid4()), "tab_id": str(uuid4()), **changes,
        }  # fmt: skip
        return urlencode({key: value for key, value in values.items() if value is not None})

    def listeners(self) -> list[tuple[int, str, str]]:
        """Return element, id and event of all listeners on the page."""
        return [
            (int(element), listener["listener_id"], listener["type"])
            for element, facts in self.elements.items()
            for listener in facts.get("events", ())
        ]

    def event(self, kind: str, *arguments: object) -> str:
        """Build the packet that reports an event of the page."""
        element, listener, _ = next(one for one in self.listeners() if one[2] == kind)
        return self.packet("event", id=element, listener_id=listener, args=[json.dumps(one) for one in arguments])

    def packet(self, name: str, **values: object) -> str:
        """Build an event packet with any values."""
        return f"42{json.dumps([name, {'client_id': self.client_id, **values}], separators=(',', ':'))}"


async def fetch(server: ServerProcess, path: str = "/", headers: dict[str, str] | None = None) -> FetchedPage:
    """Fetch a page as a browser does."""
    async with httpx.AsyncClient(base_url=server.url, timeout=60) as browser:
        answer = await browser.get(path, headers={"Accept": "text/html", **(headers or {})})
    found, elements = _CLIENT.search(answer.text), _ELEMENTS.search(answer.text)
    assert found, answer.text
    assert elements
    plain = elements[1]
    for code, letter in (("&#36;", "$"), ("&#96;", "`"), ("&gt;", ">"), ("&lt;", "<"), ("&amp;", "&")):
        plain = plain.replace(code, letter)
    return FetchedPage(found[1], found[2], json.loads(plain))


async def dial(server: ServerProcess, query: str, headers: dict[str, str] | None = None) -> ClientConnection:
    """Open a websocket with this query."""
    url = f"ws://127.0.0.1:{server.port}{PATH}?{query}"
    return await connect(
        url, compression=None, ping_interval=None, max_queue=None, open_timeout=60, additional_headers=headers
    )


async def open_page(
    server: ServerProcess, page: FetchedPage, headers: dict[str, str] | None = None, **changes: str | None
) -> tuple[ClientConnection, str]:
    """Connect as the page's script does. Returns the websocket and Socket.IO's answer."""
    websocket = await dial(server, page.query(**changes), headers)
    assert str(await websocket.recv()).startswith("0")
    await websocket.send("40")
    answer = str(await websocket.recv())
    while answer == "2":
        await websocket.send("3")
        answer = str(await websocket.recv())
    return websocket, answer


async def read_until_closed(websocket: ClientConnection) -> list[str]:
    """Answer pings until the connection is closed. Returns all other messages."""
    received: list[str] = []
    try:
        while True:
            message = str(await websocket.recv())
            if message == "2":
                await websocket.send("3")
            else:
                received.append(message)
    except ConnectionClosed:
        return received


@asynccontextmanager
async def answering_pings(websocket: ClientConnection) -> AsyncIterator[None]:
    """Keep this connection open inside the block: the server closes one whose pings are not answered."""
    answering = asyncio.create_task(read_until_closed(websocket))
    yield
    answering.cancel()
    with suppress(asyncio.CancelledError):
        await answering


async def is_open(websocket: ClientConnection, page: FetchedPage) -> bool:
    """Check that a page's connection still answers."""
    try:
        await websocket.send(page.packet("handshake").replace("42", "429", 1))
        async with asyncio.timeout(PATIENCE):
            while (message := str(await websocket.recv())) != "439[false]":
                if message == "2":
                    await websocket.send("3")
    except (ConnectionClosed, TimeoutError):
        return False
    return True


async def wait_for_metric(server: ServerProcess, name: str, most: float) -> None:
    """Wait until a metric is at most this value."""
    async with asyncio.timeout(PATIENCE):
        while await metric(server, name) > most:  # noqa: ASYNC110 - metrics can only be polled
            await asyncio.sleep(0.2)


async def metric(server: ServerProcess, name: str) -> float:
    """Return one metric. The server needs METRICS_TOKEN, because the tests connect as if through a proxy."""
    async with httpx.AsyncClient(timeout=60, headers={"Authorization": f"Bearer {METRICS_TOKEN}"}) as browser:
        text = (await browser.get(f"{server.url}/metrics")).text
    figures = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    return float(figures[f"expert_booking_{name}"])
