"""What a page costs: GETs and connections per second, CPU, bytes, SQL statements, and memory while it is open.

The pages are asked for and connected to as a browser does it, without one: zone cookie, gzip, a websocket. The floor is
an empty NiceGUI page, set up as the product sets NiceGUI and Python's collector up. A window is long enough for the
collector to come by in each. Every kind of page has a process of its own.
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
LOOP: Final = 4  # connections, each of which asks for the next page when it has the last one
FLOOR: Final = "empty NiceGUI page"
EXPERT: Final = f"/expert/…, {BOOKINGS} bookings"
HEADERS: Final = ("Cookie: zone=Europe/Berlin", "Accept-Encoding: gzip")
CLIENT: Final = re.compile(r"'client_id': '([^']+)', 'next_message_id': ([0-9]+)")


class Kind(NamedTuple):
    """A kind of page: its name in the table, its paths in turn, and whether the browser has a cookie of ours."""

    name: str
    paths: Sequence[str]
    known: bool = False


class Costs(NamedTuple):
    """What one window has shown of a kind of page."""

    gets: float  # a second
    get_cpu: float  # ms each
    connects: float
    connect_cpu: float


@dataclass
class Site:
    """A server, asked for one kind of page only."""

    kind: Kind
    running: Running
    headers: Sequence[str] = HEADERS
    costs: list[Costs] = field(default_factory=list)
    size = plain = asked = 0
    memory = 0.0
    floor: "Site | None" = None

    async def window(self, pages: int) -> Costs:
        """Get so many pages, connect to all of them, and leave: pages that nobody connects to would pile up."""
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

    async def weigh(self, pages: int) -> None:
        """See what so many open and connected pages weigh, in kB each."""
        before, viewers = self.running.memory(), []
        for _ in range(0, pages, 20):
            viewers += await self._connect(await self._get(20))
        await asyncio.sleep(2)  # what comes after the connection is done as well
        there = sum(one.is_there for one in viewers)
        assert there > pages / 2, f"of {pages} pages only {there} are still connected: the machine is too busy"
        self.memory = 1024 * (self.running.memory() - before) / there
        await _leave(viewers)

    async def look(self) -> None:
        """Have everything made that is made once, and see how large a page is."""
        page = (await self._get(2 * LOOP))[0]
        self.size, self.plain = len(page), len(gzip.decompress(page))
        if self.kind.known:
            self.headers = (f"{HEADERS[0]}; {await self._cookie()}", *HEADERS[1:])
        await _leave(await self._connect([page]))

    async def _cookie(self) -> str:
        """Some browser's, as the form gives it."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.running.port)
        writer.write(f"GET {form(FREE, 0)} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        writer.close()
        return re.search(r"set-cookie: (eb_browser=[^;]+)", head, re.I).group(1)

    def _path(self) -> str:
        self.asked += 1
        return self.kind.paths[self.asked % len(self.kind.paths)]

    async def _get(self, pages: int) -> list[bytes]:
        async def ask() -> list[bytes]:
            visitor = await Http.open(self.running.port)
            answers = [await visitor.get(self._path(), *self.headers) for _ in range(pages // LOOP)]
            visitor.close()
            assert all(status == 200 for status, _ in answers), answers[0]
            return [page for _, page in answers]

        return list(chain(*await asyncio.gather(*(ask() for _ in range(LOOP)))))

    async def _connect(self, pages: Sequence[bytes]) -> list["Viewer"]:
        async def in_turn(number: int) -> list[Viewer]:
            return [await Viewer.of(self.running.port, page) for page in pages[number::LOOP]]

        return list(chain(*await asyncio.gather(*map(in_turn, range(LOOP)))))


class Viewer:
    """An open page: its websocket, which has to answer now and then."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._answering = asyncio.create_task(self._answer())

    @classmethod
    async def of(cls, port: int, page: bytes) -> Self:
        """Connect to a delivered page."""
        return cls(await connected(port, page))

    @property
    def is_there(self) -> bool:
        """Whether the server has not hung up: where nobody answers for 2 seconds it does."""
        return not self._answering.done()

    def leave(self) -> None:
        """Close the tab."""
        self._answering.cancel()
        self._socket.transport.abort()

    async def _answer(self) -> None:
        with suppress(ConnectionClosed):
            async for said in self._socket:
                if said == "2":
                    await self._socket.send("3")


async def connected(port: int, page: bytes) -> ClientConnection:
    """The websocket of a delivered page, as its script opens it."""
    client_id, next_message_id = CLIENT.search(gzip.decompress(page).decode()).groups()
    ids = {name: str(uuid4()) for name in ("document_id", "tab_id", "old_tab_id")}
    query = {"client_id": client_id, "next_message_id": next_message_id, "implicit_handshake": "true", **ids}
    address = f"ws://127.0.0.1:{port}/_nicegui_ws/socket.io/?{urlencode({**query, 'EIO': 4, 'transport': 'websocket'})}"
    socket = await connect(address, compression=None, ping_interval=None, max_queue=None)
    assert str(await socket.recv()).startswith("0")
    await socket.send("40")
    while not (said := str(await socket.recv())).startswith("40"):
        assert not said.startswith("44"), said
    return socket


async def _leave(viewers: Sequence[Viewer]) -> None:
    for one in viewers:
        one.leave()
    await asyncio.sleep(0.1)


def form(number: int, hours: int) -> str:
    """The address of a form for a free time, so many of the expert's hours after the bookings."""
    free = _bench.tomorrow() + timedelta(days=15 + hours // 8, hours=9 + hours % 8)
    return f"/book/{slug(number)}?at={free:%Y-%m-%dT%H:%M:%SZ}"


def kinds() -> list[Kind]:
    """What is asked for. Everybody at a form wants another time."""
    forms = [form(3 + n % (EXPERTS - 3), n // (EXPERTS - 3)) for n in range(5000)]
    return [
        Kind(EXPERT, [f"/expert/{slug(FULL)}"]),
        Kind("/", ["/"]),
        Kind("/expert/…, no booking", [f"/expert/{slug(FREE)}"]),
        Kind("/expert/…, a browser with a cookie", [f"/expert/{slug(FULL)}"], known=True),
        Kind("/book/…", [form(FULL, 0), *forms]),
    ]


def book(server: EmbeddedPostgres) -> None:
    """Give one expert that many bookings in the two weeks that the page shows."""
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
        asked = await _bench.statements(server, plain, *HEADERS)
        assert len(asked[EXPERT]) == len(asked["/expert/…, no booking"]), "bookings cost statements"
        # Forms hold times, which is news and work for every process of the site: they are measured by themselves.
        *quiet, forms = kinds()
        sites = await measure(quiet[: options.kinds], server, options)
        if options.kinds > len(quiet):
            sites += (await measure([forms], server, options))[1:]
    report(sites, asked)


async def measure(kinds: Sequence[Kind], server: EmbeddedPostgres, options: argparse.Namespace) -> list["Site"]:
    """The floor and these kinds, side by side."""
    with ExitStack() as stack:
        sites = [await open_site(stack, Kind(FLOOR, ["/empty"]), None)]
        sites += [await open_site(stack, kind, server) for kind in kinds]
        for site in sites:
            site.floor = sites[0]
            await site.weigh(options.pages)
        for number in range(options.rounds):
            for site in _bench.swapped(sites, number):
                site.costs.append(await site.window(options.window))
    return sites


async def open_site(stack: ExitStack, kind: Kind, server: EmbeddedPostgres | None) -> Site:
    """A server for one kind of page, warmed up."""
    running = stack.enter_context(
        _bench.floor("empty_page")
        if server is None
        else _bench.product(server.url, HOLDS_PER_NETWORK="1000", HOLDS_PER_MINUTE="100000")
    )
    site = Site(kind, running)
    await site.look()
    return site


def report(sites: Sequence[Site], asked: dict[str, list[str]]) -> None:
    """Print."""

    def ratio(site: Site, what: str) -> float:
        return _bench.pair_ratio(_all(site, what), _all(site.floor, what))

    def heavy(site: Site) -> float:
        return site.memory / site.floor.memory

    def line(site: Site) -> tuple[object, ...]:
        name, statements = site.kind.name, asked.get(site.kind.name, [])
        pings = statements.count(_bench.PING)
        return (name, f"{median(_all(site, 'gets')):.0f}", f"{ratio(site, 'gets'):.2f}",
                f"{fmean(_all(site, 'get_cpu')):.2f}", f"{median(_all(site, 'connects')):.0f}",
                f"{ratio(site, 'connects'):.2f}", f"{fmean(_all(site, 'connect_cpu')):.2f}",
                f"{site.plain:,}", f"{site.size:,}", f"{site.memory:.0f}", f"{heavy(site):.2f}",
                f"{len(statements) - pings} + {pings}" if name in asked else "")  # fmt: skip

    head = ("page", "GET/s", "of the floor", "CPU ms", "connects/s", "of the floor", "CPU ms",
            "bytes", "gzip", "kB open", "of the floor", "statements + pings")  # fmt: skip
    expert = next(site for site in sites if site.kind.name == EXPERT)
    cpu = fmean(_all(expert.floor, "get_cpu")) / fmean(_all(expert, "get_cpu"))
    goals = [
        Goal("expert page GET/s, of the empty NiceGUI page's", ratio(expert, "gets"), 0.6),
        Goal("the same by CPU, of which other work on the machine takes nothing", cpu, 0.6),
        Goal("memory of an open expert page, of the empty one's", heavy(expert), 1.5, at_most=True),
    ]
    _bench.report("pages", head, [line(site) for site in sites], goals)


def _all(site: Site, what: str) -> list[float]:
    return [getattr(cost, what) for cost in site.costs]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=8, help="of a window of every kind (%(default)s)")
    parser.add_argument("--window", type=int, default=240, help="pages in a window (%(default)s)")
    parser.add_argument("--pages", type=int, default=500, help="open ones, for their memory (%(default)s)")
    parser.add_argument("--kinds", type=int, default=len(kinds()), help="so many of them only (all)")
    parser.add_argument("--quick", action="store_true", help="a smoke run of some seconds")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.rounds, arguments.window, arguments.pages, arguments.kinds = 2, 12, 40, 1
    _bench.run(main(arguments))
