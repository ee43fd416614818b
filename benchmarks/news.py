"""How long after the commit of a booking the first and the last open page of that expert hear of it.

The booking comes from outside, as from psql; the pages are opened as a browser opens them. The floor is a bare
socket.io server of Python that sends the same message to a room of as many. Where there is Node, its socket.io does it
as well, and hears of it from the same database server. News of another expert must reach none of the pages.
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

PATIENCE: Final = 20  # seconds
GOALS_AT: Final = 1000  # viewers
TEXT, PING, PONG = 0x1, 0x9, 0xA  # kinds of websocket frames
CLIENT: Final = re.compile(r"'client_id': '([^']+)', 'next_message_id': ([0-9]+)")

Say = Callable[[datetime], Awaitable[float]]  # that this slot is booked; gives the moment


class Viewer(asyncio.Protocol):
    """A websocket that speaks socket.io, barely: what it costs to listen must not show in the figures."""

    def __init__(self, audience: "Audience", path: str) -> None:
        self._audience = audience
        self._path = path
        self._received = b""
        self._upgraded = False
        self.joined = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Ask for a websocket."""
        self._transport = transport
        key = b64encode(secrets.token_bytes(16)).decode()
        lines = (f"GET {self._path} HTTP/1.1", "Host: 127.0.0.1", "Connection: Upgrade", "Upgrade: websocket",
                 "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {key}", "", "")  # fmt: skip
        transport.write("\r\n".join(lines).encode())

    def data_received(self, data: bytes) -> None:
        """Take apart what comes in."""
        if self._upgraded and not self._received and data.find(b'42["slots"') in (2, 4) and len(data) == _whole(data):
            self._audience.hear(data)  # the usual case, without the copies: this is timed
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
        """Nobody should hang up on us before the end."""
        if not self.joined.done():
            self.joined.set_exception(ConnectionError(f"hung up: {error}"))
        self._audience.lost += 1

    def close(self) -> None:
        """Leave."""
        self._transport.abort()

    def _frame(self) -> tuple[int, bytes] | None:
        """The kind and the content of the next whole frame; those of servers are not masked."""
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
            self._audience.hear(content)
        elif content == b"2":  # socket.io's own ping
            self._send(TEXT, b"3")
        elif content.startswith(b"0"):
            self._send(TEXT, b"40")
        elif content.startswith(b"40"):
            self.joined.set_result(None)
        elif content.startswith(b"44"):
            self.joined.set_exception(ConnectionError(content.decode()))

    def _send(self, kind: int, content: bytes) -> None:
        # Clients mask; with a mask of zeros the content stays as it is.
        self._transport.write(bytes((0x80 | kind, 0x80 | len(content))) + bytes(4) + content)


def _whole(data: bytes) -> int:
    """How long a frame of the server is that begins like this."""
    return 2 + data[1] if data[1] < 126 else 4 + int.from_bytes(data[2:4], "big")


@dataclass
class Heard:
    """When an audience heard something, in ms after it was said; and the CPU ms of the server, and ours to listen."""

    first: float
    last: float
    cost: float
    listening: float


class Audience:
    """All viewers of one server."""

    def __init__(self, server: _bench.Running) -> None:
        self._server = server
        self._viewers: list[Viewer] = []
        self._slot = b"-"
        self._times: list[float] = []
        self._all_heard = asyncio.Event()
        self.lost = 0

    def hear(self, message: bytes) -> None:
        """One of us has heard something."""
        if self._slot in message:
            self._times.append(time.monotonic())
            if len(self._times) == len(self._viewers):
                self._all_heard.set()

    async def grow(self, size: int, path: Callable[[], Awaitable[str]]) -> Self:
        """Let viewers come until there are so many; `path` says where each finds its websocket."""
        loop = asyncio.get_running_loop()
        while len(self._viewers) < size:
            viewer = Viewer(self, await path())
            await loop.create_connection(lambda viewer=viewer: viewer, "127.0.0.1", self._server.port)
            await asyncio.wait_for(viewer.joined, PATIENCE)
            self._viewers.append(viewer)
        await asyncio.sleep(1)  # the last ones are on their way into their rooms
        return self

    async def time(self, say: Say, slot: datetime) -> Heard:
        """Have it said that a slot is booked, and see when that arrives; everybody must hear it exactly once."""
        self._listen_for(slot)
        began, cpu = time.process_time(), self._server.exact_cpu()
        said_at = await say(slot)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._all_heard.wait(), PATIENCE)
        listening, cost = 1000 * (time.process_time() - began), 1000 * (self._server.exact_cpu() - cpu)
        await asyncio.sleep(0.1)
        heard = f"{len(self._times)} messages for {len(self._viewers)} viewers, of whom {self.lost} were cut off"
        assert (len(self._times), self.lost) == (len(self._viewers), 0), heard
        first, last = (1000 * (moment - said_at) for moment in (min(self._times), max(self._times)))
        return Heard(first, last, cost, listening)

    async def messages_about(self, say: Say, slot: datetime) -> int:
        """Have something said that is none of their business; how many messages arrive nevertheless."""
        self._listen_for(slot)
        await say(slot)
        await asyncio.sleep(0.5)
        return len(self._times)

    def close(self) -> None:
        """Everybody leaves."""
        for viewer in self._viewers:
            viewer.close()

    def _listen_for(self, slot: datetime) -> None:
        self._slot, self._times = text_of(slot).encode(), []
        self._all_heard.clear()


def websocket_path(**query: object) -> str:
    """Where socket.io listens, in both servers."""
    return "/_nicegui_ws/socket.io/?" + urlencode({**query, "EIO": 4, "transport": "websocket"})


def text_of(slot: datetime) -> str:
    """As messages name it."""
    return slot.strftime("%Y-%m-%dT%H:%M:%SZ")


async def open_page(port: int, number: int = 1) -> str:
    """Open an expert's page as a browser does; where its websocket is."""
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

        async def tell(slot: datetime) -> float:
            connection = await Http.open(floor.port)
            _, answer = await connection.post("/tell", message_about(slot))
            connection.close()
            return float(answer)

        async def notify(slot: datetime) -> float:
            return await asyncio.to_thread(notify_raw, notifier, json.dumps(message_about(slot)))

        async def socket_path() -> str:
            return websocket_path()

        audiences: dict[Say, Audience] = {book: pages, tell: Audience(floor)}
        if node is not None:
            audiences[notify] = Audience(node)
        rows, goals = [], list[_bench.Goal]()
        for size in options.viewers:
            for say, audience in audiences.items():
                await audience.grow(size, socket_path if audience is not pages else lambda: open_page(site.port))
                await audience.time(say, next(slots))  # once for nothing
            heard: dict[Say, list[Heard]] = {say: [] for say in audiences}
            for number in range(options.rounds):
                for say, audience in _bench.swapped(list(audiences.items()), number):
                    heard[say].append(await audience.time(say, next(slots)))
            strays = await pages.messages_about(partial(book, expert=2), next(slots))
            assert strays == 0, f"{strays} messages about another expert"
            rows.append(line(size, *heard.values()))
            if size == GOALS_AT:
                goals += goals_of(*heard.values())
        for audience in audiences.values():
            audience.close()
    names = ("ours", "the floor", "Node")[: len(audiences)]
    times = [f"{name}: {which} ms" for name in names for which in ("first", "last", "CPU")]
    ratios = [f"last, of {name}" for name in names[1:]]
    _bench.report("news", ("viewers", *times, *ratios, "listening, CPU ms"), rows, goals)


def line(size: int, *heard: Sequence[Heard]) -> tuple[object, ...]:
    """One line of the table: ours, the floor, and Node where it is."""
    figures = ("first", "last", "cost")
    times = [f"{median(getattr(one, which) for one in ones):.1f}" for ones in heard for which in figures]
    ratios = [f"{of(heard[0], floor):.2f}" for floor in heard[1:]]
    return size, *times, *ratios, f"{median(one.listening for one in heard[0]):.1f}"


def goals_of(ours: Sequence[Heard], *floors: Sequence[Heard]) -> list[_bench.Goal]:
    """How late the last one may hear."""
    wanted = (("the bare room emit", 0.5), ("Node's socket.io", 1.0))
    last = f"the last of {GOALS_AT:,} viewers, of "
    return [_bench.Goal(last + name, of(ours, floor), most, at_most=True)
            for (name, most), floor in zip(wanted, floors, strict=False)]  # fmt: skip


def of(ours: Sequence[Heard], floor: Sequence[Heard]) -> float:
    """When the last one hears, as a ratio."""
    return _bench.pair_ratio([one.last for one in ours], [one.last for one in floor])


def message_about(slot: datetime) -> dict[str, object]:
    """What the product says to its pages, from somebody who does not read a calendar for it."""
    room = f"slots:{expert_id(1)}:{expert_id(1)}"
    return {"expert": str(expert_id(1)), "room": room, "version": 1, "changes": [[text_of(slot), "booked"]]}


def notify_raw(connection: psycopg.Connection[Any], message: str) -> float:
    """Commit nothing but a notification, and return the moment."""
    connection.execute("SELECT pg_notify('slots', %s)", [message])
    return time.monotonic()


def other_database(url: str) -> str:
    """Another database of the same server: what is said there disturbs nobody here."""
    return urlsplit(url)._replace(path="/postgres").geturl()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--viewers", type=int, nargs="+", default=[100, 500, 1000, 2000], help="open pages (100 500 1000 2000)"
    )
    parser.add_argument("--rounds", type=int, default=15, help="of a booking and its floor (%(default)s)")
    parser.add_argument("--quick", action="store_true", help="a smoke run of some seconds")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.viewers, arguments.rounds = [20], 3
    uvloop.install()  # whoever listens must not be what takes the time,
    sys.setswitchinterval(0.0005)  # nor keep the thread waiting that books and looks at its clock
    _bench.run(main(arguments))
