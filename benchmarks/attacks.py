"""What an ordinary visitor notices of all known attacks at once, behind the nginx of `deploy/` and without a proxy.

A visitor opens an expert's page, reads slots and books, first alone and then during the attacks of `_attackers.py`,
which come from another loopback address. The benchmark compares the median latency of both periods, and the memory of
the servers before and after. Nothing leaves this machine.
"""

import argparse
import asyncio
import json
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any, Final

import _bench
import httpx
import psycopg
from _bench import Goal, expert_id, slug

from expert_booking.db.embedded import EmbeddedPostgres
from tests.backing_servers import Nginx
from tests.server import ServerProcess

VISITED, ATTACKED = 1, 2  # the visitor books one expert, the attackers hold times of another
LATENCY: Final = 2.0  # median during the attacks, as a ratio to the median before
MEMORY: Final = 150.0  # MB of growth
STATEMENT_BYTES: Final = "SELECT pg_database_size(current_database())"


class MeasuredServer(ServerProcess):
    """A server whose memory is only its own, unlike that of a forked process."""

    forked = False


@dataclass
class Site:
    """Servers under attack, and the port at which visitors and attackers reach them."""

    name: str
    servers: Sequence[ServerProcess]
    port: int

    def memory(self) -> list[float]:
        """The resident memory of each server, in MB."""
        return [_bench.Running(server.port, server.process.pid).memory() for server in self.servers]

    def log_bytes(self) -> int:
        """Return the size of all servers' logs, in bytes."""
        return sum(server.log.stat().st_size for server in self.servers)


class Visitor:
    """Open a page, read slots and book in a loop, and record the latency of each response, in ms."""

    def __init__(self, port: int) -> None:
        self._http = httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60)
        self._times = (_bench.tomorrow() + timedelta(days=n // 24, hours=n % 24) for n in count())
        self.failures: Counter[str] = Counter()

    async def visit(self, seconds: float) -> dict[str, list[float]]:
        """Visit for this many seconds, and return the latencies of each kind of request."""
        taken, until = defaultdict[str, list[float]](list), time.monotonic() + seconds
        day = f"{_bench.tomorrow():%Y-%m-%d}"
        while time.monotonic() < until:
            for name, method, path, body in (
                ("page", "GET", f"/expert/{slug(VISITED)}", None),
                ("slots", "GET", f"/experts/{expert_id(VISITED)}/slots?from={day}&to={day}", None),
                ("booking", "POST", "/bookings", self._booking()),
            ):
                began = time.perf_counter()
                try:
                    status = (await self._http.request(method, path, json=body)).status_code
                except httpx.TransportError as error:
                    self.failures[f"{name} {type(error).__name__}"] += 1
                else:
                    if status not in (200, 201):
                        self.failures[f"{name} {status}"] += 1
                taken[name].append(1000 * (time.perf_counter() - began))
                await asyncio.sleep(0.03)
        return taken

    def _booking(self) -> dict[str, Any]:
        return {"expertId": str(expert_id(VISITED)), "startsAt": f"{next(self._times):%Y-%m-%dT%H:%M:%SZ}",
                "name": "Ada Lovelace", "email": "ada@example.com", "phone": "+44 20 7946 0000"}  # fmt: skip


@contextmanager
def site(database: EmbeddedPostgres, folder: Path, *, behind_nginx: bool) -> Iterator[Site]:
    """Run one server without a proxy, or two behind the nginx of `deploy/`."""
    with ExitStack() as stack:
        smtp_port = stack.enter_context(_bench.mail_server())
        servers = []
        for _ in range(2 if behind_nginx else 1):
            server = MeasuredServer(folder, _bench.for_sqlalchemy(database.url), **settings(smtp_port))
            servers.append(stack.enter_context(server).wait_until_alive())
        if not behind_nginx:
            yield Site("without a proxy", servers, servers[0].port)
            return
        nginx = Nginx(folder, servers).wait_until_alive()
        stack.callback(nginx.stop)
        yield Site("behind nginx", servers, nginx.port)


def settings(smtp_port: int) -> dict[str, str]:
    """Return the settings of an ordinary installation, without the higher limits of the tests.

    Only bookings keep their high limits: the one visitor here books as many ordinary visitors do together.
    """
    return {"SMTP_URL": f"smtp://127.0.0.1:{smtp_port}", "MAIL_FROM": "booking@example.com", "HOLDS_PER_NETWORK": "20"}


async def measure(site: Site, database: EmbeddedPostgres, quiet: float, attacked: float) -> list[Goal]:
    """Visit without attacks, then during them, and report the difference."""
    visitor = Visitor(site.port)
    await visitor.visit(5)  # warm-up
    before = await visitor.visit(quiet)
    memory, logged, stored = site.memory(), site.log_bytes(), bytes_of(database)
    attack = await asyncio.create_subprocess_exec(
        sys.executable, str(Path(__file__).with_name("_attackers.py")), str(site.port), str(expert_id(ATTACKED)),
        str(attacked), stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    during = await visitor.visit(attacked)
    outcomes = json.loads((await attack.communicate())[0])
    await visitor.visit(5)
    grown = [after - at_first for after, at_first in zip(site.memory(), memory, strict=True)]

    for what, number in outcomes.items():
        print(f"{number:8,}  {what}")
    for what, number in visitor.failures.items():
        print(f"{number:8,}  visitor's {what}")
    goals = [
        Goal(f"{site.name}: {name} under attack, of the quiet one", median(during[name]) / median(before[name]),
             LATENCY, at_most=True)
        for name in before
    ]  # fmt: skip
    goals.append(Goal(f"{site.name}: MB that the largest server has grown", max(grown), MEMORY, at_most=True))
    goals.append(Goal(f"{site.name}: ordinary requests that failed", sum(visitor.failures.values()), 0, at_most=True))
    rows = [
        (name, len(during[name]), *(f"{figure:.1f}" for figure in (
            median(before[name]), median(during[name]), _bench.percentile(before[name], 99),
            _bench.percentile(during[name], 99),
        )))
        for name in before
    ]  # fmt: skip
    _bench.report(
        f"Under attack, {site.name}",
        ("request", "times", "median quiet ms", "median attacked ms", "p99 quiet ms", "p99 attacked ms"), rows, goals,
    )  # fmt: skip
    sizes = [f"{at_first:.0f} to {at_first + more:.0f}" for at_first, more in zip(memory, grown, strict=True)]
    print(f"Log: {site.log_bytes() - logged:,} bytes; database: {bytes_of(database) - stored:,} bytes; memory of each "
          f"server: {', '.join(sizes)} MB")  # fmt: skip
    return goals


def bytes_of(database: EmbeddedPostgres) -> int:
    """Return the size of the database in bytes."""
    with psycopg.connect(database.url, autocommit=True) as connection:
        row = connection.execute(STATEMENT_BYTES).fetchone()
    assert row is not None
    return int(row[0])


async def main(options: argparse.Namespace) -> None:
    """Measure with and without nginx. Exits with 1 if a goal is missed."""
    missed = []
    for behind_nginx in (False, True):
        with _bench.database() as database, _bench.scratch() as folder:
            _bench.add_experts(database.url, 3, opens_hour=0, closes_hour=24)
            with site(database, folder, behind_nginx=behind_nginx) as attacked:
                goals = await measure(attacked, database, options.quiet, options.seconds)
        missed += [goal for goal in goals if not goal.met]
    sys.exit(1 if missed and not options.quick else 0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=120, help="seconds of attack (%(default)s)")
    parser.add_argument("--quiet", type=float, default=20, help="seconds without attack before it (%(default)s)")
    parser.add_argument("--quick", action="store_true", help="a smoke run of some seconds, without goals")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.seconds, arguments.quiet = 10, 3
    _bench.run(main(arguments))
