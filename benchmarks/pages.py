"""How long the server takes for a page, and how many SQL statements it asks, with no booking and with 100 in view.

One visitor, one connection, one page after the other, zone cookie and gzip as a browser has them. The floor is an empty
NiceGUI page in a process of its own.
"""

import argparse
from collections import defaultdict
from collections.abc import Sequence
from datetime import timedelta
from statistics import median
from typing import Final

import _bench
import psycopg
from _bench import Http, expert_id, slug

from expert_booking.db.embedded import EmbeddedPostgres

BOOKINGS: Final = 100
EXPERTS: Final = 24
FULL, FREE = 1, 2  # the expert with the bookings, and one without
FLOOR: Final = "empty NiceGUI page"
HEADERS: Final = ("Cookie: zone=Europe/Berlin", "Accept-Encoding: gzip")


def paths() -> dict[str, str]:
    """What is asked for, by the name it has in the table."""
    first = _bench.tomorrow()
    free = first + timedelta(days=20, hours=9)
    days = f"from={first:%Y-%m-%d}&to={first + timedelta(days=13):%Y-%m-%d}"
    return {
        f"/expert/…, {BOOKINGS} bookings": f"/expert/{slug(FULL)}",
        "/expert/…, no booking": f"/expert/{slug(FREE)}",
        "/": "/",
        f"/book/…, {BOOKINGS} bookings": f"/book/{slug(FULL)}?at={free:%Y-%m-%dT%H:%M:%SZ}",
        f"/experts/…/slots, 14 days, {BOOKINGS} bookings": f"/experts/{slug(FULL)}/slots?{days}",
        "/experts/…/slots, 14 days, no booking": f"/experts/{slug(FREE)}/slots?{days}",
    }


def book(server: EmbeddedPostgres) -> None:
    """Give one expert that many bookings in the two weeks that the page shows."""
    first = _bench.tomorrow()
    with psycopg.connect(server.url, autocommit=True) as connection:
        for n in range(BOOKINGS):
            _bench.book_raw(connection, expert_id(FULL), first + timedelta(days=n // 8, hours=9 + n % 8))


async def main(options: argparse.Namespace) -> None:
    """Measure and print."""
    wanted = paths()
    times: dict[str, list[float]] = defaultdict(list)
    with _bench.database() as server:
        _bench.add_experts(server.url, EXPERTS, opens_hour=9, closes_hour=17)
        book(server)
        asked = await _bench.statements(server, wanted, *HEADERS)
        for full, free in (list(wanted)[:2], list(wanted)[-2:]):
            assert len(asked[full]) == len(asked[free]), f"{full} asks more than {free}"
        with _bench.product(server.url) as house, _bench.floor("empty_page") as floor:
            visitor, neighbour = await Http.open(house.port), await Http.open(floor.port)
            variants = [(FLOOR, neighbour, "/empty"), *((name, visitor, path) for name, path in wanted.items())]
            for number in range(-options.warm_up, options.rounds):
                for name, connection, path in _bench.swapped(variants, number):
                    took = await _bench.timed(connection, path, *HEADERS)
                    if number >= 0:
                        times[name].append(took)
    head = ("page", "p50 ms", "p95 ms", "of the floor", "statements", "pings")
    _bench.report("pages", head, [line(name, times[name], times[FLOOR], asked.get(name, [])) for name, *_ in variants])


def line(name: str, times: Sequence[float], floors: Sequence[float], asked: Sequence[str]) -> tuple[object, ...]:
    """One line of the table."""
    p95, ratio, pings = _bench.percentile(times, 95), _bench.pair_ratio(times, floors), asked.count(_bench.PING)
    return name, f"{median(times):.1f}", f"{p95:.1f}", f"{ratio:.2f}", len(asked) - pings, pings


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    # Not many: NiceGUI keeps a page that nobody connects to for a minute, and looks at it ten times a second.
    parser.add_argument("--rounds", type=int, default=60, help="of every page in turn (%(default)s)")
    parser.add_argument("--warm-up", type=int, default=5, help="rounds that do not count (%(default)s)")
    parser.add_argument("--quick", action="store_true", help="a smoke run of some seconds")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.rounds, arguments.warm_up = 5, 1
    _bench.run(main(arguments))
