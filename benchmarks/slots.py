"""Slots and the listing over REST: responses per second, compared with floors, and the time for very many slots.

First the slots of 14 days with 100 bookings, and the first page of the listing: responses per second, compared with
reading the same rows by plain psycopg, and with a FastAPI route that reads and returns them through the product's pool.

Then one expert's slots of 31 days with 2,000 bookings: the calculation alone, and the REST response.

That expert is open day and night, with sessions of a quarter of an hour: 2,976 slots. The floor reads the same 2,000
rows with plain psycopg. Statements are counted in PostgreSQL's log: 2,000 bookings must not need more than none.
"""

import argparse
import json
import time
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
TWO_WEEKS: Final = 14
BOOKINGS_IN_VIEW: Final = 100
EXPERTS: Final = 24
WANTED: Final = 0.4  # of the bare query through FastAPI
PSYCOPG: Final = "psycopg alone, one connection"
BARE: Final = "FastAPI, bare SELECT"
PRODUCT: Final = "product"
LISTING: Final = """
    SELECT id, slug, name, category, experience_years, rating, rating_count, headline, languages, time_zone FROM expert
     WHERE active ORDER BY rating_key DESC, rating_count DESC, id DESC LIMIT 20
"""
BUSY: Final = """
    SELECT lower(busy), upper(busy), status, starts_at FROM booking
     WHERE expert_id = %(expert)s AND starts_at >= %(since)s AND starts_at < %(until)s
       AND status IN ('held', 'pending', 'confirmed', 'completed', 'no_show')
"""


def path(number: int) -> str:
    """Return the path of the slots of the 31 days from tomorrow."""
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
        """Read it as the product does."""
        database, now, since = Database(_bench.for_sqlalchemy(url)), datetime.now(UTC), _bench.tomorrow()
        async with database.statements() as connection:
            [offer] = await availability.offers(connection, [expert_id(FULL)], now)
            busy = await availability.busy(connection, [expert_id(FULL)], since, since + timedelta(days=DAYS), now)
        await database.close()
        return cls(offer.with_busy(busy[expert_id(FULL)]).calendar)

    def timed(self) -> float:
        """Return how long the calculation of all slots takes, in ms."""
        began = perf_counter()
        slots = self._calendar.slots(self._since, self._since + timedelta(days=DAYS), self._now)
        took = 1000 * (perf_counter() - began)
        assert (len(slots), sum(slot.state == "booked" for slot in slots)) == (DAYS * 96, BOOKINGS)
        return took


def floor(connection: psycopg.Connection) -> float:
    """Return how long it takes to read only the bookings, in ms."""
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
    """Check the response."""
    status, body = await visitor.get(path(FULL))
    slots = json.loads(body)["slots"]
    assert (status, len(slots)) == (200, DAYS * 96), body[:500]
    assert sum(slot["state"] == "booked" for slot in slots) == BOOKINGS


def resident(pid: int) -> int:
    """Return the resident memory of a process in MiB (Linux)."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * 4096 // 2**20


async def measured(server: EmbeddedPostgres, options: argparse.Namespace) -> dict[str, list[float]]:
    """Measure all four in turn, in ms."""
    times: dict[str, list[float]] = defaultdict(list)
    engine = await Engine.read(server.url)
    with _bench.product(server.url) as site, psycopg.connect(server.url, autocommit=True) as connection:
        visitor = await Http.open(site.port)
        await checked(visitor)
        memory = []
        for number in range(-options.warm_up, options.times):
            if number in (0, options.times // 2, options.times - 1):
                memory.append(resident(site.pid))
            for name in _bench.alternated((FLOOR, ENGINE, REST, REST_FREE), number):
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


async def throughput(options: argparse.Namespace) -> None:
    """Measure responses per second of product and floors in turn, with the others paused."""
    first = _bench.tomorrow()
    days = f"from={first:%Y-%m-%d}&to={first + timedelta(days=TWO_WEEKS - 1):%Y-%m-%d}"
    kinds = {
        "slots, 14 days, 100 bookings": (
            f"/experts/{slug(1)}/slots?{days}",
            f"/experts/{expert_id(1)}/slots?since={first:%Y-%m-%d}&days={TWO_WEEKS}",
            (BUSY, BOOKINGS_IN_VIEW),
        ),
        "listing, 20 experts": ("/experts", "/experts", (LISTING, 20)),
    }
    span = {"expert": expert_id(1), "since": first, "until": first + timedelta(days=TWO_WEEKS)}
    rates: dict[tuple[str, str], list[float]] = defaultdict(list)
    cpu: dict[tuple[str, str], list[float]] = defaultdict(list)
    with _bench.database() as server, _bench.product(server.url) as site:
        address = _bench.for_sqlalchemy(server.url)
        with (
            _bench.floor("bare", DATABASE_URL=address) as bare,
            psycopg.connect(server.url, autocommit=True) as connection,
        ):
            prepare_office(connection, server.url)

            async def ask(name: str, kind: str) -> tuple[float, float]:
                path, bare_path, (query, rows) = kinds[kind]
                if name == PSYCOPG:
                    return read(connection, query, span, rows, options.seconds)
                wanted, running = (path, site) if name == PRODUCT else (bare_path, bare)
                used = running.cpu()
                rate = await _bench.per_second([running.port], options.clients, wanted, options.seconds)
                return rate, (running.cpu() - used) / (rate * options.seconds)

            await check(await Http.open(site.port), await Http.open(bare.port), kinds)
            for kind in kinds:
                for number in range(-1, options.rounds):
                    for name in _bench.alternated((PSYCOPG, BARE, PRODUCT), number):
                        with site.paused() if name != PRODUCT else bare.paused():
                            rate, seconds = await ask(name, kind)
                        if number >= 0:
                            rates[kind, name].append(rate)
                            cpu[kind, name].append(seconds)
    rows, goals = [], []
    for kind in kinds:
        floors = [rates[kind, name] for name in (PSYCOPG, BARE)]
        for name in (PSYCOPG, BARE, PRODUCT):
            ratios = (f"{_bench.pair_ratio(rates[kind, name], floor):.3f}" for floor in floors)
            used = f"{1_000_000 * median(cpu[kind, name]):,.0f}"
            rows.append((kind, name, f"{median(rates[kind, name]):,.0f}", *ratios, used))
    slots_kind = next(iter(kinds))
    ratio = _bench.pair_ratio(rates[slots_kind, PRODUCT], rates[slots_kind, BARE])
    goals.append(_bench.Goal(f"REST {slots_kind}, of the bare query through FastAPI", ratio, WANTED))
    head = ("request", "through", "per second", "of psycopg", "of FastAPI", "CPU µs")
    _bench.report(f"slots and listing, {options.clients} clients", head, rows, goals)


def prepare_office(connection: psycopg.Connection, url: str) -> None:
    """Add experts who work from nine to five; the first has 100 bookings in the next two weeks."""
    _bench.add_experts(url, EXPERTS, opens_hour=9, closes_hour=17)
    for n in range(BOOKINGS_IN_VIEW):
        _bench.book_raw(connection, expert_id(1), _bench.tomorrow() + timedelta(days=n // 8, hours=9 + n % 8))
    connection.execute("ANALYZE")
    _bench.wait_until_quiet(connection)


def read(
    connection: psycopg.Connection, query: str, values: dict[str, object], rows: int, seconds: float
) -> tuple[float, float]:
    """Return how often per second the rows can be read, and the CPU seconds of each time."""
    began, used, times = perf_counter(), time.process_time(), 0
    while perf_counter() < began + seconds:
        assert len(connection.execute(query, values).fetchall()) == rows
        times += 1
    return times / (perf_counter() - began), (time.process_time() - used) / times


async def check(product: Http, bare: Http, kinds: dict[str, tuple[str, str, tuple[str, int]]]) -> None:
    """Check the responses of product and floor."""
    for kind, (path, bare_path, (_, rows)) in kinds.items():
        _, body = await product.get(path)
        answer = json.loads(body)
        if "slots" in answer:
            assert len(answer["slots"]) == TWO_WEEKS * 8, kind
            assert sum(slot["state"] == "booked" for slot in answer["slots"]) == rows, kind
        else:
            assert len(answer["experts"]) == rows, kind
        _, body = await bare.get(bare_path)
        assert len(json.loads(body)) == rows, kind


async def very_many(options: argparse.Namespace) -> None:
    """Measure the slots of 31 days, a quarter of an hour each."""
    with _bench.database() as server:
        prepare(server.url)
        statements = await _bench.statements(server, {REST: path(FULL), REST_FREE: path(FREE)})
        counts = {name: len(found) - found.count(_bench.PING) for name, found in statements.items()}
        assert counts[REST] == counts[REST_FREE], "2,000 bookings need more statements than none"
        times = await measured(server, options)
    head = ("slots of 31 days", "p50 ms", "p95 ms", "of the floor", "statements")
    rows = [
        (name, f"{median(took):.1f}", f"{_bench.percentile(took, 95):.1f}",
         f"{_bench.pair_ratio(took, times[FLOOR]):.2f}", counts.get(name, ""))
        for name, took in times.items()
    ]  # fmt: skip
    _bench.report("slots of 31 days", head, sorted(rows, key=lambda row: float(row[1])))


async def main(options: argparse.Namespace) -> None:
    """Measure and print."""
    await throughput(options)
    await very_many(options)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=8, help="concurrent clients (%(default)s)")
    parser.add_argument("--seconds", type=float, default=2, help="seconds of each of these runs (%(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of these runs (%(default)s)")
    parser.add_argument("--times", type=int, default=100, help="requests for very many slots (%(default)s)")
    parser.add_argument("--warm-up", type=int, default=10, help="rounds that are not measured (%(default)s)")
    parser.add_argument("--quick", action="store_true", help="a smoke run of some seconds")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.rounds, arguments.seconds, arguments.times, arguments.warm_up = 1, 0.5, 5, 1
    _bench.run(main(arguments))
