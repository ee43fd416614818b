"""The time from the commit of a booking until the first and the last open page of that expert receive the change.

The booking is made outside the product, as with psql; the pages are opened as a browser opens them. The floor is a bare
socket.io server in Python that sends the same message to a room of the same size. If Node is installed, its socket.io
does the same, triggered by a notification of the same database server. No page may receive changes of another expert.
"""

import argparse
import asyncio
import json
import re
import secrets
import sys
import time
from base64 import b64encode
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from itertools import count
from statistics import median
from typing import Any, Final, Self
from urllib.parse import urlencode, urlsplit
from uuid import uuid4

import _bench
import psycopg
import uvloop
from _bench import Http, book_raw, expert_id, slug

TIMEOUT: Final = 20  # seconds
GOALS_AT: Final = 1000  # viewers
TEXT, PING, PONG = 0x1, 0x9, 0xA  # kinds of websocket frames
CLIENT: Final = re.compile(r"'client_id': '([^']+)', 'next_message_id': ([0-9]+)")

Publish = Callable[[datetime], Awaitable[float]]  # publishes that a slot is booked and returns the time


class Viewer(asyncio.Protocol):
    """A minimal socket.io client over a websocket, so that the cost of receiving does not affect the figures."""

    def __init__(self, audience: "Audience", path: str) -> None:
        self._audience = audience
        self._path = path
        self._received = b""
        self._upgraded = False
        self.joined = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Send the websocket handshake."""
        self._transport = transport
        key = b64encode(secrets.token_bytes(16)).decode()
        lines = (f"GET {self._path} HTTP/1.1", "Host: 127.0.0.1", "Connection: Upgrade", "Upgrade: websocket",
                 "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {key}", "", "")  # fmt: skip
        transport.write("\r\n".join(lines).encode())

    def data_received(self, data: bytes) -> None:
        """Parse the received frames."""
        if self._upgraded and not self._received and data.find(b'42["slots"') in (2, 4) and len(data) == _length(data):
            self._audience.on_message(data)  # the common case, without copies, because this is timed
            return
        self._received += data
        if not self._upgraded:
            head, end, rest = self._received.partition(b"\r\n\r\n")
            if not end:
                return
            assert head.startswith(b"HTTP/1.1 101"), head
            self._upgraded, self._received = True, rest
        while (frame := self._frame()) is not None:
            self._answer(*frame)

    def connection_lost(self, error: Exception | None) -> None:
        """Count it: the server should not close connections before the end."""
        if not self.joined.done():
            self.joined.set_exception(ConnectionError(f"connection closed: {error}"))
        self._audience.lost += 1

    def close(self) -> None:
        """Close the connection."""
        self._transport.abort()

    def _frame(self) -> tuple[int, bytes] | None:
        """Return the opcode and the content of the next complete frame. Servers do not mask frames."""
        if len(self._received) < 2:
            return None
        kind, size = self._received[0] & 0x0F, self._received[1]
        begin = {126: 4, 127: 10}.get(size, 2)
        if begin > 2:
            size = int.from_bytes(self._received[2:begin], "big")
        if len(self._received) < begin + size:
            return None
        content, self._received = self._received[begin : begin + size], self._received[begin + size :]
        return kind, content

    def _answer(self, kind: int, content: bytes) -> None:
        if kind == PING:
            self._send(PONG, content)
        elif kind != TEXT:
            return
        elif content.startswith(b'42["slots"'):
            self._audience.on_message(content)
        elif content == b"2":  # socket.io's ping
            self._send(TEXT, b"3")
        elif content.startswith(b"0"):
            self._send(TEXT, b"40")
        elif content.startswith(b"40"):
            self.joined.set_result(None)
        elif content.startswith(b"44"):
            self.joined.set_exception(ConnectionError(content.decode()))

    def _send(self, kind: int, content: bytes) -> None:
        # Clients must mask frames; a mask of zeros leaves the content unchanged.
        self._transport.write(bytes((0x80 | kind, 0x80 | len(content))) + bytes(4) + content)


def _length(data: bytes) -> int:
    """Return the length of a server's frame that begins with these bytes."""
    return 2 + data[1] if data[1] < 126 else 4 + int.from_bytes(data[2:4], "big")


@dataclass
class Delivery:
    """When the first and last viewer received a message (ms after publishing), and CPU ms of server and viewers."""

    first: float
    last: float
    server_cpu: float
    viewers_cpu: float


class Audience:
    """All viewers connected to one server."""

    def __init__(self, server: _bench.Running) -> None:
        self._server = server
        self._viewers: list[Viewer] = []
        self._slot = b"-"
        self._times: list[float] = []
        self._all_received = asyncio.Event()
        self.lost = 0

    def on_message(self, message: bytes) -> None:
        """Record that a viewer has received a message."""
        if self._slot in message:
            self._times.append(time.monotonic())
            if len(self._times) == len(self._viewers):
                self._all_received.set()

    async def grow(self, size: int, path: Callable[[], Awaitable[str]]) -> Self:
        """Connect viewers until there are this many. `path` returns the websocket's path for each of them."""
        loop = asyncio.get_running_loop()
        while len(self._viewers) < size:
            viewer = Viewer(self, await path())
            await loop.create_connection(lambda viewer=viewer: viewer, "127.0.0.1", self._server.port)
            await asyncio.wait_for(viewer.joined, TIMEOUT)
            self._viewers.append(viewer)
        await asyncio.sleep(1)  # the last viewers are still joining their rooms
        return self

    async def time(self, publish: Publish, slot: datetime) -> Delivery:
        """Publish that a slot is booked, and time the delivery. Every viewer must receive it exactly once."""
        self._expect(slot)
        began, cpu = time.process_time(), self._server.exact_cpu()
        published_at = await publish(slot)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._all_received.wait(), TIMEOUT)
        viewers_cpu, server_cpu = 1000 * (time.process_time() - began), 1000 * (self._server.exact_cpu() - cpu)
        await asyncio.sleep(0.1)
        summary = f"{len(self._times)} messages for {len(self._viewers)} viewers, {self.lost} disconnected"
        assert (len(self._times), self.lost) == (len(self._viewers), 0), summary
        first, last = (1000 * (moment - published_at) for moment in (min(self._times), max(self._times)))
        return Delivery(first, last, server_cpu, viewers_cpu)

    async def messages_about(self, publish: Publish, slot: datetime) -> int:
        """Publish a change that does not concern these viewers, and return how many messages arrive nevertheless."""
        self._expect(slot)
        await publish(slot)
        await asyncio.sleep(0.5)
        return len(self._times)

    def close(self) -> None:
        """Disconnect all viewers."""
        for viewer in self._viewers:
            viewer.close()

    def _expect(self, slot: datetime) -> None:
        self._slot, self._times = text_of(slot).encode(), []
        self._all_received.clear()


def websocket_path(**query: object) -> str:
    """Return the path of socket.io, the same on all servers."""
    return "/_nicegui_ws/socket.io/?" + urlencode({**query, "EIO": 4, "transport": "websocket"})


def text_of(slot: datetime) -> str:
    """Return the slot's start as written in messages."""
    return slot.strftime("%Y-%m-%dT%H:%M:%SZ")


async def open_page(port: int, number: int = 1) -> str:
    """Open an expert's page as a browser does, and return the path of its websocket."""
    connection = await Http.open(port)
    status, page = await connection.get(f"/expert/{slug(number)}", "Cookie: zone=Europe/Berlin")
    connection.close()
    assert status == 200, page
    client_id, next_message_id = CLIENT.search(page.decode()).groups()
    ids = {name: str(uuid4()) for name in ("document_id", "tab_id", "old_tab_id")}
    return websocket_path(client_id=client_id, next_message_id=next_message_id, implicit_handshake="true", **ids)


async def main(options: argparse.Namespace) -> None:
    """Measure and print."""
    with (
        _bench.database() as server,
        _bench.product(server.url) as site,
        _bench.floor("rooms") as floor,
        _bench.node(other_database(server.url)) as node,
        psycopg.connect(server.url, autocommit=True) as writer,
        psycopg.connect(other_database(server.url), autocommit=True) as notifier,
    ):
        _bench.add_experts(server.url, 2, opens_hour=9, closes_hour=17)
        slots = (_bench.tomorrow() + timedelta(days=n // 8, hours=9 + n % 8) for n in count())
        pages = Audience(site)

        async def book(slot: datetime, *, expert: int = 1) -> float:
            return await asyncio.to_thread(book_raw, writer, expert_id(expert), slot)

        async def emit(slot: datetime) -> float:
            connection = await Http.open(floor.port)
            _, answer = await connection.post("/emit", message_about(slot))
            connection.close()
            return float(answer)

        async def notify(slot: datetime) -> float:
            return await asyncio.to_thread(notify_raw, notifier, json.dumps(message_about(slot)))

        async def socket_path() -> str:
            return websocket_path()

        audiences: dict[Publish, Audience] = {book: pages, emit: Audience(floor)}
        if node is not None:
            audiences[notify] = Audience(node)
        rows, goals = [], list[_bench.Goal]()
        for size in options.viewers:
            for publish, audience in audiences.items():
                await audience.grow(size, socket_path if audience is not pages else lambda: open_page(site.port))
                await audience.time(publish, next(slots))  # warm-up
            received: dict[Publish, list[Delivery]] = {publish: [] for publish in audiences}
            for number in range(options.rounds):
                for publish, audience in _bench.alternated(list(audiences.items()), number):
                    received[publish].append(await audience.time(publish, next(slots)))
            strays = await pages.messages_about(partial(book, expert=2), next(slots))
            assert strays == 0, f"{strays} messages about another expert"
            rows.append(line(size, *received.values()))
            if size == GOALS_AT:
                goals += goals_of(*received.values())
        for audience in audiences.values():
            audience.close()
    names = ("product", "floor", "Node")[: len(audiences)]
    times = [f"{name}: {which} ms" for name in names for which in ("first", "last", "CPU")]
    ratios = [f"last, of {name}" for name in names[1:]]
    _bench.report("live updates", ("viewers", *times, *ratios, "viewers, CPU ms"), rows, goals)


def line(size: int, *deliveries: Sequence[Delivery]) -> tuple[object, ...]:
    """Return one row of the table: the product, the floor and, if installed, Node."""
    figures = ("first", "last", "server_cpu")
    times = [f"{median(getattr(one, which) for one in ones):.1f}" for ones in deliveries for which in figures]
    ratios = [f"{ratio_of_last(deliveries[0], floor):.2f}" for floor in deliveries[1:]]
    return size, *times, *ratios, f"{median(one.viewers_cpu for one in deliveries[0]):.1f}"


def goals_of(ours: Sequence[Delivery], *floors: Sequence[Delivery]) -> list[_bench.Goal]:
    """Return the goals for the delivery to the last viewer."""
    wanted = (("the bare room emit", 0.5), ("Node's socket.io", 1.0))
    last = f"the last of {GOALS_AT:,} viewers, of "
    return [_bench.Goal(last + name, ratio_of_last(ours, floor), limit, at_most=True)
            for (name, limit), floor in zip(wanted, floors, strict=False)]  # fmt: skip


def ratio_of_last(ours: Sequence[Delivery], floor: Sequence[Delivery]) -> float:
    """Return the time until the last viewer receives a message, as a ratio to the floor."""
    return _bench.pair_ratio([one.last for one in ours], [one.last for one in floor])


def message_about(slot: datetime) -> dict[str, object]:
    """Return the message that the product sends to its pages, without reading a calendar."""
    room = f"slots:{expert_id(1)}:{expert_id(1)}"
    return {"expert": str(expert_id(1)), "room": room, "version": 1, "changes": [[text_of(slot), "booked"]]}


def notify_raw(connection: psycopg.Connection[Any], message: str) -> float:
    """Commit only a notification, and return the time."""
    connection.execute("SELECT pg_notify('slots', %s)", [message])
    return time.monotonic()


def other_database(url: str) -> str:
    """Return the URL of another database on the same server, whose notifications do not reach the product."""
    return urlsplit(url)._replace(path="/postgres").geturl()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--viewers", type=int, nargs="+", default=[100, 500, 1000, 2000], help="open pages (100 500 1000 2000)"
    )
    parser.add_argument("--rounds", type=int, default=15, help="rounds of product and floors (%(default)s)")
    parser.add_argument("--quick", action="store_true", help="a smoke run of some seconds")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.viewers, arguments.rounds = [20], 3
    # The viewers must not be the bottleneck, nor delay the thread that books and takes the time.
    uvloop.install()
    sys.setswitchinterval(0.0005)
    _bench.run(main(arguments))
