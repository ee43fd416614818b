"""Shared by the benchmarks: temporary databases, servers, clients, and tables of results."""

import asyncio
import json
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any, Final, NamedTuple, Self, TypeVar
from uuid import UUID

import psycopg

ROOT: Final = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # measure this checkout, not an installed version

from expert_booking.db import schema  # noqa: E402
from expert_booking.db.embedded import EmbeddedPostgres  # noqa: E402

Variant = TypeVar("Variant")

# A statement in PostgreSQL's log. The pool's ping, which tests a connection before each use, is an empty statement.
STATEMENT: Final = re.compile(r"LOG:  (?:statement|execute [^:]*): (.*)")
PING: Final = ";"
START_TIMEOUT: Final = 60  # seconds; both cores may be busy

# --- the figures ------------------------------------------------------------------------------------------------


def pair_ratio(figures: Sequence[float], floors: Sequence[float]) -> float:
    """Return the median of the ratios. Each figure was measured right next to its floor, so noise cancels out."""
    return median(figure / floor for figure, floor in zip(figures, floors, strict=True))


def percentile(figures: Sequence[float], percent: float) -> float:
    """Return the percentile, such as the 95th, of the figures."""
    return sorted(figures)[min(len(figures) - 1, int(len(figures) * percent / 100))]


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a Markdown table. The first column is a name, all others are figures."""
    texts = [list(head), *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in texts) for column in range(len(head))]

    def line(row: Sequence[str]) -> str:
        name, *figures = (cell.ljust(width) if not n else cell.rjust(width)
                          for n, (cell, width) in enumerate(zip(row, widths, strict=True)))  # fmt: skip
        return "| " + " | ".join((name, *figures)) + " |"

    rule = (
        "|" + "|".join("-" * (width + 2) if not n else "-" * (width + 1) + ":" for n, width in enumerate(widths)) + "|"
    )
    return "\n".join((line(texts[0]), rule, *map(line, texts[1:])))


class Goal(NamedTuple):
    """A target: the ratio of a figure to a floor in the same run has to be at least, or at most, `wanted`."""

    what: str
    ratio: float
    wanted: float
    at_most: bool = False

    @property
    def met(self) -> bool:
        """Whether the target is met."""
        return self.ratio <= self.wanted if self.at_most else self.ratio >= self.wanted

    def __str__(self) -> str:
        bound = "at most" if self.at_most else "at least"
        return f"{self.what}: {self.ratio:.2f}, wanted {bound} {self.wanted:g}: {'met' if self.met else 'NOT MET'}"


def report(title: str, head: Sequence[str], rows: Sequence[Sequence[object]], goals: Sequence[Goal] = ()) -> None:
    """Print a table and the goals. Under `all.py`, also write them to the folder of results."""
    print(table(head, rows), flush=True)
    for goal in goals:
        print(goal, flush=True)
    folder = os.environ.get("BENCHMARK_RESULTS")
    if folder is not None:
        results = {"title": title, "head": head, "rows": rows, "goals": [goal._asdict() for goal in goals]}
        path = Path(folder, f"{len(list(Path(folder).iterdir())):03}.json")
        path.write_text(json.dumps(results, default=str))


def alternated(variants: Sequence[Variant], round_number: int) -> Sequence[Variant]:
    """Return the variants, reversed in every other round, so that none is always measured first."""
    return variants[::-1] if round_number % 2 else variants


# --- the database -----------------------------------------------------------------------------------------------


@contextmanager
def database() -> Iterator[EmbeddedPostgres]:
    """A migrated database on a temporary server, with fsync on."""
    with scratch() as folder:
        server = EmbeddedPostgres.start(folder, say=lambda _: None)
        try:
            schema.migrate(for_sqlalchemy(server.url))
            yield server
        finally:
            server.stop()


@contextmanager
def database_in(folder: Path) -> Iterator[EmbeddedPostgres]:
    """The database of an existing data folder, which is kept."""
    server = EmbeddedPostgres.start(folder)
    try:
        yield server
    finally:
        server.stop()


def for_sqlalchemy(url: str) -> str:
    """Return the URL with SQLAlchemy's name for the driver."""
    return url.replace("postgresql://", "postgresql+psycopg://", 1)


def expert_id(number: int) -> UUID:
    """Return the id of an expert of the benchmark and of their session type. pgbench can compute it, too."""
    return UUID(int=number)


def slug(number: int) -> str:
    """Return the slug of an expert of the benchmark."""
    return f"expert-{number}"


def add_experts(url: str, count: int, *, opens_hour: int, closes_hour: int) -> None:
    """Add experts 1 to `count`, open every day (UTC), with sessions of an hour, no notice and 60 days of horizon."""
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        numbers = range(1, count + 1)
        cursor.executemany(
            """
            INSERT INTO expert (id, slug, name, category, headline, bio, time_zone, email, rating, rating_count)
            VALUES (%s, %s, 'Jana Doe', %s, 'Calm, practical', repeat('Words. ', 60), 'UTC', 'e@example.com', 4.5, 9)
            """,
            [(expert_id(n), slug(n), f"Category {n % 8}") for n in numbers],
        )
        cursor.executemany(
            "INSERT INTO session_type (id, expert_id, title, minutes, step_minutes) VALUES (%s, %s, 'Advice', 60, 60)",
            [(expert_id(n), expert_id(n)) for n in numbers],
        )
        cursor.execute(
            """
            INSERT INTO availability_rule (expert_id, weekday, opens_minute, closes_minute)
            SELECT id, weekday, %s, %s FROM expert, generate_series(1, 7) weekday
            """,
            [60 * opens_hour, 60 * closes_hour],
        )


# The product's own INSERT, with the same columns, for other writers.
INSERT: Final = """
    INSERT INTO booking (id, expert_id, session_type_id, starts_at, ends_at, busy, status, name, email, customer_key,
                         phone, notes, time_zone, visitor, submission)
    VALUES (gen_random_uuid(), {expert}, {expert}, {start}, {start} + interval '1 hour',
            tstzrange({start}, {start} + interval '1 hour'), 'pending', 'Ada Lovelace', 'ada@example.com',
            'ada@example.com', '+44 20 7946 0000', '', NULL, NULL, NULL)
    ON CONFLICT DO NOTHING RETURNING created_at, updated_at, version
"""


def book_raw(connection: psycopg.Connection[Any], expert: UUID, starts_at: datetime) -> float:
    """Book as psql would, and return the time of the commit (`time.monotonic`)."""
    row = connection.execute(
        INSERT.format(expert="%(expert)s", start="%(start)s::timestamptz"), {"expert": expert, "start": starts_at}
    ).fetchone()
    committed = time.monotonic()
    assert row is not None, f"{starts_at} was taken"
    return committed


def tomorrow() -> datetime:
    """Return the next midnight (UTC)."""
    return datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)


# --- the servers ------------------------------------------------------------------------------------------------


class Running(NamedTuple):
    """A running server."""

    port: int
    pid: int

    def cpu(self) -> float:
        """Return the CPU seconds it has used (Linux)."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def exact_cpu(self) -> float:
        """Return the CPU seconds it has used, to the microsecond."""
        threads = Path(f"/proc/{self.pid}/task").glob("*/schedstat")
        return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9

    def memory(self) -> float:
        """Return its resident memory in MB (Linux)."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Stop the process (SIGSTOP) for the duration of the block, background work included."""
        os.kill(self.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.pid, signal.SIGCONT)


@contextmanager
def product(url: str, **more: str) -> Iterator[Running]:
    """Run `expert-booking serve` with this database."""
    # All viewers of a benchmark come from one network, so raise its limits.
    limits = {"SOCKETS_PER_NETWORK": "100000", "UNCONNECTED_PAGES_PER_NETWORK": "100000"}
    settings = {"DATABASE_URL": url, "SECRET_KEY": "a secret for the benchmarks only", **limits, **more}
    with _server([sys.executable, "-m", "expert_booking", "serve"], "/healthz", settings) as running:
        yield running


@contextmanager
def mail_server() -> Iterator[int]:
    """Run a mail server that discards every email, and yield its port. Needs aiosmtpd."""
    port = _free_port()
    sink = [sys.executable, "-m", "aiosmtpd", "-n", "-c", "aiosmtpd.handlers.Sink", "-l", f"127.0.0.1:{port}"]
    process = subprocess.Popen(sink, stdin=subprocess.DEVNULL)
    try:
        yield port
    finally:
        _stop(process)


@contextmanager
def floor(name: str, **settings: str) -> Iterator[Running]:
    """Run one of the bare servers of `_floors.py`."""
    with _server([sys.executable, str(ROOT / "benchmarks" / "_floors.py"), name], "/alive", settings) as running:
        yield running


@contextmanager
def node(url: str) -> Iterator[Running | None]:
    """Install and run Node's socket.io with this database. Yields None on a machine without Node or npm."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        print("Node or npm is not installed: skipping the comparison with Node.", flush=True)
        yield None
        return
    with scratch() as folder:
        shutil.copytree(ROOT / "benchmarks" / "node", folder, dirs_exist_ok=True)
        npm_options = ("--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error")
        subprocess.run(["npm", "ci", *npm_options], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        with _server(["node", str(folder / "server.js")], "/alive", {"DATABASE_URL": url}) as running:
            yield running


@contextmanager
def _server(command: Sequence[str], alive: str, settings: Mapping[str, str]) -> Iterator[Running]:
    with scratch() as folder, (folder / "log").open("w+") as log:  # a folder without a .env file
        port = _free_port()
        clean_env = {key: value for key, value in os.environ.items() if not key.startswith("EXPERT_BOOKING_")}
        path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
        our_env = {f"EXPERT_BOOKING_{key}": value for key, value in {**settings, "PORT": str(port)}.items()}
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**clean_env, **our_env, "PYTHONPATH": path},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        try:
            _wait_until_alive(process, f"http://127.0.0.1:{port}{alive}")
            yield Running(port, process.pid)
        except BaseException:
            log.seek(0)
            print(log.read(), file=sys.stderr)
            raise
        finally:
            _stop(process)


def _wait_until_alive(process: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"{process.args} exited with code {process.returncode}")
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise RuntimeError(f"{url} did not respond within {START_TIMEOUT} s")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port


@contextmanager
def scratch() -> Iterator[Path]:
    """A temporary folder that the database server can access, too."""
    folder = Path(tempfile.mkdtemp(prefix="expert-booking-benchmark-"))
    folder.chmod(0o755)  # started by root, the database server runs under another uid
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


# --- the clients ------------------------------------------------------------------------------------------------


def network(number: int) -> str:
    """Return a header that gives each request another network, because what one network may do in an hour is limited.

    The servers trust this header, because it comes from this machine.
    """
    return f"X-Forwarded-For: 10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


class Http:
    """A persistent connection with a minimal HTTP/1.1 client, so that the client is not the bottleneck."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, port: int) -> Self:
        """Connect."""
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def get(self, path: str, *headers: str) -> tuple[int, bytes]:
        """Send a GET and return the status and the body."""
        head = "\r\n".join((f"GET {path} HTTP/1.1", "Host: 127.0.0.1", *headers))
        return await self._send(f"{head}\r\n\r\n".encode())

    async def post(self, path: str, body: Mapping[str, object], *headers: str) -> tuple[int, bytes]:
        """Send a POST with a JSON body and return the status and the body."""
        content = json.dumps(body)
        head = "\r\n".join((f"POST {path} HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/json", *headers))
        return await self._send(f"{head}\r\nContent-Length: {len(content)}\r\n\r\n{content}".encode())

    def close(self) -> None:
        """Close the connection."""
        self._writer.close()

    async def _send(self, request: bytes) -> tuple[int, bytes]:
        self._writer.write(request)
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
        return int(head[9:12]), await self._reader.readexactly(length)


async def per_second(ports: Sequence[int], clients: int, path: str, seconds: float) -> float:
    """Return the responses per second for this many clients, distributed over these servers."""
    # New connections each time, because servers close idle ones after some seconds.
    connections = [await Http.open(ports[number % len(ports)]) for number in range(clients)]
    answers = 0
    began = time.perf_counter()

    async def visit(connection: Http) -> None:
        nonlocal answers
        while time.perf_counter() < began + seconds:
            await timed(connection, path)
            answers += 1

    try:
        await asyncio.gather(*map(visit, connections))
        return answers / (time.perf_counter() - began)
    finally:
        for connection in connections:
            connection.close()


async def timed(connection: Http, path: str, *headers: str) -> float:
    """Return how long one response takes, in ms."""
    began = time.perf_counter()
    status, body = await connection.get(path, *headers)
    took = 1000 * (time.perf_counter() - began)
    assert status == 200, body
    return took


def wait_until_quiet(connection: psycopg.Connection[Any]) -> None:
    """Wait until the server has recomputed the next free times of all experts."""
    deadline = time.monotonic() + START_TIMEOUT
    while connection.execute("SELECT FROM expert_changed LIMIT 1").fetchone() is not None:
        assert time.monotonic() < deadline, "next free times are not recomputed"
        time.sleep(0.05)


async def statements(server: EmbeddedPostgres, wanted: Mapping[str, str], *headers: str) -> dict[str, list[str]]:
    """Return the first lines of the SQL statements that a second request for each path causes."""
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("ALTER DATABASE expert_booking SET log_statement = 'all'")
        try:
            with product(server.url) as site:
                wait_until_quiet(connection)
                visitor = await Http.open(site.port)
                by_name = {}
                for name, path in wanted.items():
                    await timed(visitor, path, *headers)
                    attempts = []
                    for _ in range(3):
                        before = len(_logged(server.data_path))
                        await timed(visitor, path, *headers)
                        attempts.append(_logged(server.data_path)[before:])
                    # Background work may add statements in between.
                    by_name[name] = min(attempts, key=len)
        finally:
            connection.execute("ALTER DATABASE expert_booking RESET log_statement")
    return by_name


def _logged(cluster: Path) -> list[str]:
    logs = sorted((cluster / "log").glob("*.log"), key=lambda log: log.stat().st_mtime)
    return [statement for log in logs for statement in STATEMENT.findall(log.read_text())]


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run a benchmark. On any error or signal, stop everything that it has started."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    _, hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard_limit, hard_limit))  # 1,000 viewers need 2,000 sockets
    asyncio.run(main)
