"""How long one expert's slots of 31 days take, with 2,000 bookings among them: the engine alone, and the REST answer.

The expert is open day and night, a quarter of an hour at a time: 2,976 slots. The floor reads the same 2,000 rows with
plain psycopg. The statements are counted in the server's log: 2,000 bookings must not take more of them than none.
"""

import argparse
import json
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Final

import _bench
import psycopg
from _bench import Http, expert_id, slug

from expert_booking.db import availability
from expert_booking.db.embedded import EmbeddedPostgres
from expert_booking.db.engine import Database

DAYS: Final = 31
BOOKINGS: Final = 2000
FULL, FREE = 1, 2  # the expert with the bookings, and one without
FLOOR: Final = "psycopg reads the bookings"
ENGINE: Final = "engine: rules and bookings to slots"
REST: Final = "/experts/…/slots, 2,000 bookings"
REST_FREE: Final = "/experts/…/slots, no booking"


def path(number: int) -> str:
    """The 31 days from tomorrow on."""
    first = _bench.tomorrow()
    return f"/experts/{slug(number)}/slots?from={first:%Y-%m-%d}&to={first + timedelta(days=DAYS - 1):%Y-%m-%d}"


def prepare(url: str) -> None:
    """Two experts who never sleep, and 2,000 of the 2,976 quarters of one of them, seven of every ten."""
    _bench.add_experts(url, 2, opens_hour=0, closes_hour=24)
    with psycopg.connect(url) as connection:
        connection.execute("UPDATE session_type SET minutes = 15, step_minutes = 15")
        connection.execute(
            """
            INSERT INTO booking (expert_id, session_type_id, starts_at, ends_at, busy, status,
                                 name, email, customer_key)
            SELECT %(expert)s, %(expert)s, s, s + interval '15 min', tstzrange(s, s + interval '15 min'), 'confirmed',
                   'Ada', 'ada@example.com', 'ada@example.com'
              FROM (SELECT %(first)s::timestamptz + n * interval '15 min' AS s
                      FROM generate_series(0, %(quarters)s) n WHERE n %% 10 < 7 LIMIT %(bookings)s) AS starts
            """,
            {"expert": expert_id(FULL), "first": _bench.tomorrow(), "quarters": DAYS * 96, "bookings": BOOKINGS},
        )
        connection.execute("ANALYZE")


class Engine:
    """The calendar of the busy expert, read once."""

    def __init__(self, calendar: availability.Calendar) -> None:
        self._calendar = calendar
        self._since = _bench.tomorrow()
        self._now = datetime.now(UTC)

    @classmethod
    async def read(cls, url: str) -> "Engine":
        """As the product reads it."""
        database, now, since = Database(_bench.for_sqlalchemy(url)), datetime.now(UTC), _bench.tomorrow()
        async with database.statements() as connection:
            [offer] = await availability.offers(connection, [expert_id(FULL)], now)
            busy = await availability.busy(connection, [expert_id(FULL)], since, since + timedelta(days=DAYS), now)
        await database.close()
        return cls(offer.with_busy(busy[expert_id(FULL)]).calendar)

    def timed(self) -> float:
        """How long all slots take, in ms."""
        began = perf_counter()
        slots = self._calendar.slots(self._since, self._since + timedelta(days=DAYS), self._now)
        took = 1000 * (perf_counter() - began)
        assert (len(slots), sum(slot.state == "booked" for slot in slots)) == (DAYS * 96, BOOKINGS)
        return took


def floor(connection: psycopg.Connection) -> float:
    """How long it takes to read the bookings and nothing else, in ms."""
    began = perf_counter()
    rows = connection.execute(
        "SELECT lower(busy), upper(busy) FROM booking WHERE expert_id = %s AND starts_at >= %s AND starts_at < %s "
        "AND status IN ('held', 'pending', 'confirmed', 'completed', 'no_show')",
        [expert_id(FULL), _bench.tomorrow(), _bench.tomorrow() + timedelta(days=DAYS)],
    ).fetchall()
    took = 1000 * (perf_counter() - began)
    assert len(rows) == BOOKINGS
    return took


async def checked(visitor: Http) -> None:
    """The answer is right."""
    status, body = await visitor.get(path(FULL))
    slots = json.loads(body)["slots"]
    assert (status, len(slots)) == (200, DAYS * 96), body[:500]
    assert sum(slot["state"] == "booked" for slot in slots) == BOOKINGS


def resident(pid: int) -> int:
    """How much memory a process has, in MiB (Linux)."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * 4096 // 2**20


async def measured(server: EmbeddedPostgres, options: argparse.Namespace) -> dict[str, list[float]]:
    """All four in turn, in ms."""
    times: dict[str, list[float]] = defaultdict(list)
    engine = await Engine.read(server.url)
    with _bench.product(server.url) as house, psycopg.connect(server.url, autocommit=True) as connection:
        visitor = await Http.open(house.port)
        await checked(visitor)
        memory = []
        for number in range(-options.warm_up, options.rounds):
            if number in (0, options.rounds // 2, options.rounds - 1):
                memory.append(resident(house.pid))
            for name in _bench.swapped((FLOOR, ENGINE, REST, REST_FREE), number):
                if name == FLOOR:
                    took = floor(connection)
                elif name == ENGINE:
                    took = engine.timed()
                else:
                    took = await _bench.timed(visitor, path(FULL if name == REST else FREE))
                if number >= 0:
                    times[name].append(took)
        print(f"Memory of the server at the start, in the middle and at the end: {memory} MiB\n")
    return times


async def main(options: argparse.Namespace) -> None:
    """Measure and print."""
    with _bench.database() as server:
        prepare(server.url)
        asked = await _bench.statements(server, {REST: path(FULL), REST_FREE: path(FREE)})
        counts = {name: len(found) - found.count(_bench.PING) for name, found in asked.items()}
        assert counts[REST] == counts[REST_FREE], "2,000 bookings ask more than none"
        times = await measured(server, options)
    head = ("slots of 31 days", "p50 ms", "p95 ms", "of the floor", "statements")
    rows = [
        (name, f"{median(took):.1f}", f"{_bench.percentile(took, 95):.1f}",
         f"{_bench.pair_ratio(took, times[FLOOR]):.2f}", counts.get(name, ""))
        for name, took in times.items()
    ]  # fmt: skip
    _bench.report("slots", head, sorted(rows, key=lambda row: float(row[1])))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=100, help="of every line in turn (%(default)s)")
    parser.add_argument("--warm-up", type=int, default=10, help="rounds that do not count (%(default)s)")
    parser.add_argument("--quick", action="store_true", help="a smoke run of some seconds")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.rounds, arguments.warm_up = 5, 1
    _bench.run(main(arguments))
