"""Run the attacks of a security audit against a port on loopback: `python _attackers.py PORT EXPERT_ID SECONDS`.

All run at once. Each attack is one coroutine with a limited rate. They come from another loopback address than the
measured visitor, as attackers on the internet come from another network. The responses are printed at the end as JSON.
"""

import asyncio
import json
import os
import sys
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode
from uuid import uuid4

import httpx

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from tests.page_viewer import CLIENT

ATTACKER: Final = "127.0.0.66"  # the address that all attacks come from
IDLE_CONNECTIONS: Final = 400

Attack = Callable[["Target"], Awaitable[None]]


class Target:
    """The server under attack, and the number of responses of each kind."""

    def __init__(self, port: int, expert: str) -> None:
        self.port, self.expert = port, expert
        self.origin = f"127.0.0.1:{port}"
        self.outcomes: Counter[str] = Counter()
        self.http = httpx.AsyncClient(
            base_url=f"http://{self.origin}",
            timeout=30,
            transport=httpx.AsyncHTTPTransport(local_address=ATTACKER, limits=httpx.Limits(max_connections=50)),
        )

    async def request(self, attack: str, method: str, path: str, **more: Any) -> httpx.Response:
        """Send one request and count its status."""
        answer = await self.http.request(method, path, **more)
        self.outcomes[f"{attack} {answer.status_code}"] += 1
        return answer

    async def open_page(self) -> str:
        """Request a page and return its client id, without connecting to it."""
        found = CLIENT.search((await self.http.get(f"/expert/{self.expert}")).text)
        return found[1] if found else ""

    def socket(self, **query: str) -> connect:
        """Open a websocket to NiceGUI's endpoint."""
        names = {"EIO": "4", "transport": "websocket", **query}
        return connect(
            f"ws://{self.origin}/_nicegui_ws/socket.io/?{urlencode(names)}",
            local_addr=(ATTACKER, 0), compression=None, ping_interval=None, open_timeout=20, close_timeout=1,
        )  # fmt: skip

    def page_socket(self, client_id: str) -> connect:
        """Open the websocket of a page, as its script does."""
        ids = {name: str(uuid4()) for name in ("document_id", "tab_id", "old_tab_id")}
        return self.socket(client_id=client_id, next_message_id="0", implicit_handshake="true", **ids)


async def joined(socket: ClientConnection) -> None:
    """Finish Socket.IO's handshake."""
    await socket.recv()
    await socket.send("40")
    await asyncio.wait_for(socket.recv(), 5)


async def quadratic_log_message(target: Target) -> None:
    """A socket event that NiceGUI writes to the server's log (1)."""
    async with target.page_socket(client_id := await target.open_page()) as socket:
        await joined(socket)
        for _ in range(3):
            message = {"client_id": client_id, "level": "error", "message": "A" * 120_000 + " @"}
            await socket.send("42" + json.dumps(["log", message]))
            await asyncio.sleep(0.5)


async def poisoned_urls(target: Target) -> None:
    """Headers that could get into URLs of scripts and redirects (2)."""
    prefix = {"Accept": "text/html", "X-Forwarded-Prefix": "//evil.test"}
    await target.request("prefix", "GET", "/_nicegui/3.18.0/offer", headers=prefix)
    await target.request("prefix", "GET", "/", headers=prefix)
    await target.request("host", "GET", "/_nicegui/3.18.0/static", headers={"Host": "evil.test"})
    await target.request("host", "GET", "/experts/", headers={"Host": "evil.test"})
    await asyncio.sleep(0.2)


async def many_pages_of_one_socket(target: Target) -> None:
    """One socket that claims one page after the other (4)."""
    async with target.socket() as socket:
        await joined(socket)
        for _ in range(20):
            handshake = {"client_id": await target.open_page(), "document_id": "d", "tab_id": "t", "next_message_id": 0}
            await socket.send("420" + json.dumps(["handshake", handshake]))
            await asyncio.sleep(0.05)


async def pages_without_a_socket(target: Target) -> None:
    """Pages that are fetched and never opened (4)."""
    await target.request("page", "GET", f"/expert/{target.expert}")
    await asyncio.sleep(0.1)


async def announced_attachments(target: Target) -> None:
    """A binary event that announces 100,000 attachments, and some of them (4)."""
    async with target.page_socket(await target.open_page()) as socket:
        await joined(socket)
        await socket.send('45100000-["event",{"_placeholder":true,"num":0}]')
        for _ in range(50):
            await socket.send(b"\0" * 100_000)
            await asyncio.sleep(0.05)


async def endless_header(target: Target) -> None:
    """A header line without an end (5)."""
    _, writer = await asyncio.open_connection("127.0.0.1", target.port, local_addr=(ATTACKER, 0))
    try:
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nA: ")
        for _ in range(15 * 20):
            writer.write(b"a" * 50_000)
            await writer.drain()
            await asyncio.sleep(0.05)
    finally:
        writer.transport.abort()


async def idle_connections(target: Target) -> None:
    """Connections that never send anything (6)."""
    opened = []
    try:
        for _ in range(IDLE_CONNECTIONS):
            opened.append(await asyncio.open_connection("127.0.0.1", target.port, local_addr=(ATTACKER, 0)))
            await asyncio.sleep(0.005)
        await asyncio.sleep(20)
    finally:
        closed = [reader.at_eof() for reader, _ in opened]
        target.outcomes["idle connections closed by the server"] += sum(closed)
        for _, writer in opened:
            writer.transport.abort()


async def local_pages(target: Target) -> None:
    """Local pages, requested through a proxy that sends no forwarding headers (7)."""
    for path in ("/mailbox", "/metrics"):
        await target.request(path, "GET", path, headers={"Host": "127.0.0.1:8080"})
    await asyncio.sleep(0.5)


async def stored_responses(target: Target) -> None:
    """A new key with each request, for an expert who does not exist (8)."""
    body = {"expertId": str(uuid4()), "startsAt": "2027-01-04T09:00:00Z"}
    await target.request("refused hold", "POST", "/holds", json=body, headers={"Idempotency-Key": str(uuid4())})
    await asyncio.sleep(0.05)


async def held_and_released(target: Target) -> None:
    """Holds that are released immediately (8)."""
    start = (datetime.now(UTC) + timedelta(days=3)).replace(hour=12, minute=0, second=0, microsecond=0)
    held = await target.request("hold", "POST", "/holds", json={
        "expertId": target.expert, "startsAt": f"{start:%Y-%m-%dT%H:%M:%SZ}",
    })  # fmt: skip
    if held.status_code == 201:
        await target.request("release", "DELETE", f"/holds/{held.json()['id']}")
    await asyncio.sleep(0.1)


async def malformed_frames(target: Target) -> None:
    """Frames that are not valid packets (9)."""
    async with target.page_socket(await target.open_page()) as socket:
        await joined(socket)
        for _ in range(100):
            await socket.send("4xx")
            await asyncio.sleep(0.01)


async def forged_log_lines(target: Target) -> None:
    """Line breaks and escape codes in everything that may be logged (9)."""
    forged = "a\r\nERROR expert_booking: all data were deleted\x1b[31m"
    async with target.page_socket(client_id := await target.open_page()) as socket:
        await joined(socket)
        await socket.send("42" + json.dumps(["log", {"client_id": client_id, "level": "error", "message": forged}]))
        await socket.send("42" + json.dumps([forged, {}]))
        await socket.send("42" + json.dumps(["event", {"client_id": client_id, "id": forged, "listener_id": forged}]))
        await asyncio.sleep(0.5)


async def codes_for_other_people(target: Target) -> None:
    """Sign-in emails to another person's address (11)."""
    await target.request("access link", "POST", "/access-links", json={"email": "alice@example.com"})
    await asyncio.sleep(0.5)


async def foreign_websocket(target: Target) -> None:
    """A socket opened by a page of another site (low)."""
    key = b64encode(os.urandom(16)).decode()
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": key,
               "Origin": "https://evil.test"}  # fmt: skip
    reader, writer = await asyncio.open_connection("127.0.0.1", target.port, local_addr=(ATTACKER, 0))
    try:
        head = "".join(f"{name}: {value}\r\n" for name, value in {"Host": target.origin, **upgrade}.items())
        path = f"/_nicegui_ws/socket.io/?EIO=4&transport=websocket&client_id={await target.open_page()}"
        writer.write(f"GET {path} HTTP/1.1\r\n{head}\r\n".encode())
        status = (await asyncio.wait_for(reader.readline(), 20)).split()[1:2]
        target.outcomes[f"foreign websocket {status[0].decode() if status else 'closed'}"] += 1
    finally:
        writer.transport.abort()
    await asyncio.sleep(0.5)


async def odd_request_targets(target: Target) -> None:
    """Request lines without a path (low)."""
    reader, writer = await asyncio.open_connection("127.0.0.1", target.port, local_addr=(ATTACKER, 0))
    try:
        writer.write(b"OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        status = (await asyncio.wait_for(reader.readline(), 20)).split()[1:2]
        target.outcomes[f"OPTIONS * {status[0].decode() if status else 'closed'}"] += 1
    finally:
        writer.transport.abort()
    await asyncio.sleep(0.5)


ATTACKS: Final[tuple[Attack, ...]] = (
    quadratic_log_message, poisoned_urls, many_pages_of_one_socket, pages_without_a_socket, announced_attachments,
    endless_header, idle_connections, local_pages, stored_responses, held_and_released, malformed_frames,
    forged_log_lines, codes_for_other_people, foreign_websocket, odd_request_targets,
)  # fmt: skip


async def repeat(attack: Attack, target: Target, until: float) -> None:
    """Repeat an attack. Closed connections and refusals are expected."""
    while time.monotonic() < until:
        with suppress(OSError, EOFError, TimeoutError, WebSocketException, httpx.TransportError):
            async with asyncio.timeout(max(0.0, until - time.monotonic())):
                await attack(target)
        target.outcomes[f"rounds of {attack.__name__}"] += 1
        await asyncio.sleep(0.1)  # avoid a tight loop if the server closes the connection immediately


async def main(port: int, expert: str, seconds: float) -> None:
    """Run all attacks at once, and print the responses."""
    os.nice(19)  # real attackers do not use the server's processor
    target, until = Target(port, expert), time.monotonic() + seconds
    await asyncio.gather(*(repeat(attack, target, until) for attack in ATTACKS))
    await target.http.aclose()
    print(json.dumps(dict(sorted(target.outcomes.items()))))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], float(sys.argv[3])))
