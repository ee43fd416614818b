"""The cost of a page: GETs and connections per second, CPU, bytes, SQL statements, and memory while it is open.

Pages are requested and connected as by a browser, but without one: zone cookie, gzip, a websocket. The floor is an
empty NiceGUI page, with the product's settings of NiceGUI and the garbage collector. A window is long enough for the
collector to run in each. Every kind of page has a separate process.
"""

import argparse
import asyncio
import gzip
import re
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import chain
from statistics import fmean, median
from time import perf_counter
from typing import Final, NamedTuple, Self
from urllib.parse import urlencode
from uuid import uuid4

import _bench
import psycopg
from _bench import Goal, Http, Running, expert_id, slug
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from expert_booking.db.embedded import EmbeddedPostgres

BOOKINGS: Final = 100
EXPERTS: Final = 24
FULL, FREE = 1, 2  # the expert with the bookings, and one without
CONNECTIONS: Final = 4  # each requests the next page as soon as it has the last one
FLOOR: Final = "empty NiceGUI page"
EXPERT: Final = f"/expert/…, {BOOKINGS} bookings"
HEADERS: Final = ("Cookie: zone=Europe/Berlin", "Accept-Encoding: gzip")
CLIENT: Final = re.compile(r"'client_id': '([^']+)', 'next_message_id': ([0-9]+)")


class Kind(NamedTuple):
    """A kind of page: its name in the table, the paths to request in turn, and whether the browser has our cookie."""

    name: str
    paths: Sequence[str]
    known: bool = False


class Costs(NamedTuple):
    """The figures of one kind of page in one window."""

    gets: float  # a second
    get_cpu: float  # ms each
    connects: float
    connect_cpu: float


@dataclass
class Site:
    """A server that serves one kind of page."""

    kind: Kind
    running: Running
    headers: Sequence[str] = HEADERS
    costs: list[Costs] = field(default_factory=list)
    size = plain = requested = 0
    memory = 0.0
    floor: "Site | None" = None

    async def window(self, pages: int) -> Costs:
        """Get this many pages, connect to all of them and close them: unconnected pages would pile up."""
        began, cpu = perf_counter(), self.running.cpu()
        delivered = await self._get(pages)
        got, got_cpu = perf_counter(), self.running.cpu()
        viewers = await self._connect(delivered)
        connected, connected_cpu = perf_counter(), self.running.cpu()
        await _leave(viewers)
        return Costs(
            pages / (got - began),
            1000 * (got_cpu - cpu) / pages,
            pages / (connected - got),
            1000 * (connected_cpu - got_cpu) / pages,
        )

    async def measure_memory(self, pages: int) -> None:
        """Measure the memory of this many open pages, in kB each."""
        before, viewers = self.running.memory(), []
        for _ in range(0, pages, 20):
            viewers += await self._connect(await self._get(20))
        await asyncio.sleep(2)  # let the work that follows a connection finish
        connected = sum(one.is_connected for one in viewers)
        assert connected > pages / 2, f"only {connected} of {pages} pages are still connected: the machine is too busy"
        self.memory = 1024 * (self.running.memory() - before) / connected
        await _leave(viewers)

    async def warm_up(self) -> None:
        """Request pages to fill caches, and measure the size of a page."""
        page = (await self._get(2 * CONNECTIONS))[0]
        self.size, self.plain = len(page), len(gzip.decompress(page))
        if self.kind.known:
            self.headers = (f"{HEADERS[0]}; {await self._cookie()}", *HEADERS[1:])
        await _leave(await self._connect([page]))

    async def _cookie(self) -> str:
        """Return a browser's cookie, as the form sets it."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.running.port)
        writer.write(f"GET {form(FREE, 0)} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        writer.close()
        return re.search(r"set-cookie: (eb_browser=[^;]+)", head, re.I).group(1)

    def _path(self) -> str:
        self.requested += 1
        return self.kind.paths[self.requested % len(self.kind.paths)]

    async def _get(self, pages: int) -> list[bytes]:
        async def ask() -> list[bytes]:
            visitor = await Http.open(self.running.port)
            answers = [await visitor.get(self._path(), *self.headers) for _ in range(pages // CONNECTIONS)]
            visitor.close()
            assert all(status == 200 for status, _ in answers), answers[0]
            return [page for _, page in answers]

        return list(chain(*await asyncio.gather(*(ask() for _ in range(CONNECTIONS)))))

    async def _connect(self, pages: Sequence[bytes]) -> list["Viewer"]:
        async def in_turn(number: int) -> list[Viewer]:
            return [await Viewer.of(self.running.port, page) for page in pages[number::CONNECTIONS]]

        return list(chain(*await asyncio.gather(*map(in_turn, range(CONNECTIONS)))))


class Viewer:
    """An open page: a websocket that answers pings."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._answering = asyncio.create_task(self._answer())

    @classmethod
    async def of(cls, port: int, page: bytes) -> Self:
        """Connect to a delivered page."""
        return cls(await connected(port, page))

    @property
    def is_connected(self) -> bool:
        """Whether the connection is open. The server closes it if a ping is not answered within 2 seconds."""
        return not self._answering.done()

    def leave(self) -> None:
        """Close the tab."""
        self._answering.cancel()
        self._socket.transport.abort()

    async def _answer(self) -> None:
        with suppress(ConnectionClosed):
            async for message in self._socket:
                if message == "2":
                    await self._socket.send("3")


async def connected(port: int, page: bytes) -> ClientConnection:
    """Open the websocket of a delivered page, as its script does."""
    client_id, next_message_id = CLIENT.search(gzip.decompress(page).decode()).groups()
    ids = {name: str(uuid4()) for name in ("document_id", "tab_id", "old_tab_id")}
    query = {"client_id": client_id, "next_message_id": next_message_id, "implicit_handshake": "true", **ids}
    address = f"ws://127.0.0.1:{port}/_nicegui_ws/socket.io/?{urlencode({**query, 'EIO': 4, 'transport': 'websocket'})}"
    socket = await connect(address, compression=None, ping_interval=None, max_queue=None)
    assert str(await socket.recv()).startswith("0")
    await socket.send("40")
    while not (message := str(await socket.recv())).startswith("40"):
        assert not message.startswith("44"), message
    return socket


async def _leave(viewers: Sequence[Viewer]) -> None:
    for one in viewers:
        one.leave()
    await asyncio.sleep(0.1)


def form(number: int, hours: int) -> str:
    """Return the URL of a booking form for a free time, this many bookable hours after the bookings."""
    free = _bench.tomorrow() + timedelta(days=15 + hours // 8, hours=9 + hours % 8)
    return f"/book/{slug(number)}?at={free:%Y-%m-%dT%H:%M:%SZ}"


def kinds() -> list[Kind]:
    """Return the kinds of pages. Each form is for a different time."""
    forms = [form(3 + n % (EXPERTS - 3), n // (EXPERTS - 3)) for n in range(5000)]
    return [
        Kind(EXPERT, [f"/expert/{slug(FULL)}"]),
        Kind("/", ["/"]),
        Kind("/expert/…, no booking", [f"/expert/{slug(FREE)}"]),
        Kind("/expert/…, a browser with a cookie", [f"/expert/{slug(FULL)}"], known=True),
        Kind("/book/…", [form(FULL, 0), *forms]),
    ]


def book(server: EmbeddedPostgres) -> None:
    """Make the bookings of one expert in the two weeks that the page shows."""
    first = _bench.tomorrow()
    with psycopg.connect(server.url, autocommit=True) as connection:
        for n in range(BOOKINGS):
            _bench.book_raw(connection, expert_id(FULL), first + timedelta(days=n // 8, hours=9 + n % 8))


async def main(options: argparse.Namespace) -> None:
    """Measure and print."""
    with _bench.database() as server:
        _bench.add_experts(server.url, EXPERTS, opens_hour=9, closes_hour=17)
        book(server)
        plain = {kind.name: kind.paths[0] for kind in kinds() if not kind.known}
        statements = await _bench.statements(server, plain, *HEADERS)
        assert len(statements[EXPERT]) == len(statements["/expert/…, no booking"]), "bookings cost statements"
        # Forms hold times, which every process of the site has to process, so they are measured separately.
        *quiet, forms = kinds()
        sites = await measure(quiet[: options.kinds], server, options)
        if options.kinds > len(quiet):
            sites += (await measure([forms], server, options))[1:]
    report(sites, statements)


async def measure(kinds: Sequence[Kind], server: EmbeddedPostgres, options: argparse.Namespace) -> list["Site"]:
    """Measure the floor and these kinds of pages in turn."""
    with ExitStack() as stack:
        sites = [await open_site(stack, Kind(FLOOR, ["/empty"]), None)]
        sites += [await open_site(stack, kind, server) for kind in kinds]
        for site in sites:
            site.floor = sites[0]
            await site.measure_memory(options.pages)
        for number in range(options.rounds):
            for site in _bench.alternated(sites, number):
                site.costs.append(await site.window(options.window))
    return sites


async def open_site(stack: ExitStack, kind: Kind, server: EmbeddedPostgres | None) -> Site:
    """Start and warm up a server for one kind of page."""
    running = stack.enter_context(
        _bench.floor("empty_page")
        if server is None
        else _bench.product(server.url, HOLDS_PER_NETWORK="1000", HOLDS_PER_MINUTE="100000")
    )
    site = Site(kind, running)
    await site.warm_up()
    return site


def report(sites: Sequence[Site], statements: dict[str, list[str]]) -> None:
    """Print the table and the goals."""

    def ratio(site: Site, what: str) -> float:
        return _bench.pair_ratio(_all(site, what), _all(site.floor, what))

    def memory_ratio(site: Site) -> float:
        return site.memory / site.floor.memory

    def line(site: Site) -> tuple[object, ...]:
        name, logged = site.kind.name, statements.get(site.kind.name, [])
        pings = logged.count(_bench.PING)
        return (name, f"{median(_all(site, 'gets')):.0f}", f"{ratio(site, 'gets'):.2f}",
                f"{fmean(_all(site, 'get_cpu')):.2f}", f"{median(_all(site, 'connects')):.0f}",
                f"{ratio(site, 'connects'):.2f}", f"{fmean(_all(site, 'connect_cpu')):.2f}",
                f"{site.plain:,}", f"{site.size:,}", f"{site.memory:.0f}", f"{memory_ratio(site):.2f}",
                f"{len(logged) - pings} + {pings}" if name in statements else "")  # fmt: skip

    head = ("page", "GET/s", "of the floor", "CPU ms", "connects/s", "of the floor", "CPU ms",
            "bytes", "gzip", "kB open", "of the floor", "statements + pings")  # fmt: skip
    expert = next(site for site in sites if site.kind.name == EXPERT)
    cpu = fmean(_all(expert.floor, "get_cpu")) / fmean(_all(expert, "get_cpu"))
    goals = [
        Goal("expert page GET/s, of the empty NiceGUI page's", ratio(expert, "gets"), 0.6),
        Goal("the same by CPU, of which other work on the machine takes nothing", cpu, 0.6),
        Goal("memory of an open expert page, of the empty one's", memory_ratio(expert), 1.5, at_most=True),
    ]
    _bench.report("pages", head, [line(site) for site in sites], goals)


def _all(site: Site, what: str) -> list[float]:
    return [getattr(cost, what) for cost in site.costs]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=8, help="windows of every kind (%(default)s)")
    parser.add_argument("--window", type=int, default=240, help="pages in a window (%(default)s)")
    parser.add_argument("--pages", type=int, default=500, help="open pages, for the memory (%(default)s)")
    parser.add_argument("--kinds", type=int, default=len(kinds()), help="measure only this many kinds (all)")
    parser.add_argument("--quick", action="store_true", help="a smoke run of some seconds")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.rounds, arguments.window, arguments.pages, arguments.kinds = 2, 12, 40, 1
    _bench.run(main(arguments))
