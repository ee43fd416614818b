"""Compare one process with two processes on one database: bookings, slots and pages per second.

The same number of clients uses one process, or two of them in equal parts. Processes, PostgreSQL and clients share this
machine: with two cores there is none for the second process, so this shows its cost rather than its gain. While one
process is measured, the other is stopped (SIGSTOP). After every run of bookings there must be exactly one row for each
acknowledged booking, and no two live ones may overlap.
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Sequence
from contextlib import nullcontext
from datetime import timedelta
from statistics import median
from typing import Final

import _bench
import bookings
import psycopg
from _bench import Http, Running, slug

ONE: Final = "one process"
TWO: Final = "two processes"
BOOKINGS: Final = "bookings"
SLOTS: Final = "slots, 14 days"
PAGES: Final = "pages, /expert/…"
DAYS: Final = 14
WORKING_HOURS: Final = 24  # of every expert, each day


async def booked(ports: Sequence[int], clients: int, seconds: float) -> bookings.Run:
    """Run `POST /bookings` on distinct slots, with the clients distributed over the processes."""
    connections = [await Http.open(ports[n % len(ports)]) for n in range(clients)]
    try:
        bookers = [bookings.http_booker(connection) for connection in connections]
        return await bookings.load(bookers, bookings.slots(bookings.DISTINCT), seconds)
    finally:
        for connection in connections:
            connection.close()


async def check(sites: Sequence[Running], paths: dict[str, str]) -> None:
    """Check the responses of each process."""
    for site in sites:
        visitor = await Http.open(site.port)
        status, body = await visitor.get(paths[SLOTS])
        assert (status, len(json.loads(body)["slots"])) == (200, DAYS * WORKING_HOURS), body[:500]
        status, body = await visitor.get(paths[PAGES])
        assert status == 200, body[:500]
        assert b"Jana Doe" in body
        visitor.close()


async def main(options: argparse.Namespace) -> None:
    """Measure and print."""
    first = _bench.tomorrow()
    days = f"from={first:%Y-%m-%d}&to={first + timedelta(days=DAYS - 1):%Y-%m-%d}"
    paths = {SLOTS: f"/experts/{slug(1)}/slots?{days}", PAGES: f"/expert/{slug(1)}"}
    rates: dict[tuple[str, str], list[float]] = defaultdict(list)
    with _bench.database() as server, _bench.product(server.url) as one, _bench.product(server.url) as other:
        _bench.add_experts(server.url, bookings.EXPERTS, opens_hour=0, closes_hour=WORKING_HOURS)
        with psycopg.connect(server.url, autocommit=True) as connection:
            _bench.wait_until_quiet(connection)
            await check((one, other), paths)
            for kind in (BOOKINGS, SLOTS, PAGES):
                for number in range(-1, options.rounds):
                    for name in _bench.alternated((ONE, TWO), number):
                        ports = [one.port] if name == ONE else [one.port, other.port]
                        with other.paused() if name == ONE else nullcontext():
                            if kind == BOOKINGS:
                                run = await booked(ports, options.clients, options.seconds)
                                rate = run.rate
                            else:
                                rate = await _bench.per_second(ports, options.clients, paths[kind], options.seconds)
                        if kind == BOOKINGS:
                            bookings.check_and_clear(connection, run, bookings.DISTINCT)
                        if number >= 0:
                            rates[kind, name].append(rate)
    rows = [
        (kind, name, f"{median(rates[kind, name]):,.0f}",
         f"{_bench.pair_ratio(rates[kind, name], rates[kind, ONE]):.2f}")
        for kind in (BOOKINGS, SLOTS, PAGES) for name in (ONE, TWO)
    ]  # fmt: skip
    head = (f"{options.clients} clients", "served by", "per second", "of one process")
    _bench.report("two processes against one", head, rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3, help="seconds of each run (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of both variants (%(default)s)")
    parser.add_argument("--clients", type=int, default=16, help="concurrent clients, over all processes (%(default)s)")
    parser.add_argument("--quick", action="store_true", help="a smoke run of some seconds")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.seconds, arguments.rounds, arguments.clients = 0.5, 1, 8
    _bench.run(main(arguments))
