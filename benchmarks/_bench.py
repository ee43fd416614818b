"""What the benchmarks share: a database, servers and clients of their own, and figures side by side."""

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
sys.path.insert(0, str(ROOT))  # a checkout measures itself, not what is installed

from expert_booking.db import schema  # noqa: E402
from expert_booking.db.embedded import EmbeddedPostgres  # noqa: E402

Variant = TypeVar("Variant")

# A line of the server's log; the pool's ping, with which it tries a connection before each use, is an empty statement.
STATEMENT: Final = re.compile(r"LOG:  (?:statement|execute [^:]*): (.*)")
PING: Final = ";"
PATIENCE: Final = 60  # seconds for a server to come up; both cores may be busy

# --- the figures ------------------------------------------------------------------------------------------------


def pair_ratio(figures: Sequence[float], floors: Sequence[float]) -> float:
    """The median of the ratios of neighbours: each figure was taken right beside its floor, so noise cancels out."""
    return median(figure / floor for figure, floor in zip(figures, floors, strict=True))


def percentile(figures: Sequence[float], percent: float) -> float:
    """The figure that so many percent do not exceed."""
    return sorted(figures)[min(len(figures) - 1, int(len(figures) * percent / 100))]


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """As Markdown, in columns: the first one is a name, all others are figures."""
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
    """What we want of a figure: its ratio to a floor of the same run is at least, or at most, so much."""

    what: str
    ratio: float
    wanted: float
    at_most: bool = False

    @property
    def met(self) -> bool:
        """Whether it is so."""
        return self.ratio <= self.wanted if self.at_most else self.ratio >= self.wanted

    def __str__(self) -> str:
        bound = "at most" if self.at_most else "at least"
        return f"{self.what}: {self.ratio:.2f}, wanted {bound} {self.wanted:g}: {'met' if self.met else 'NOT MET'}"


def report(title: str, head: Sequence[str], rows: Sequence[Sequence[object]], goals: Sequence[Goal] = ()) -> None:
    """Print a table and how far the goals are met; `all.py` gets it to keep as well."""
    print(table(head, rows), flush=True)
    for goal in goals:
        print(goal, flush=True)
    folder = os.environ.get("BENCHMARK_RESULTS")
    if folder is not None:
        told = {"title": title, "head": head, "rows": rows, "goals": [goal._asdict() for goal in goals]}
        path = Path(folder, f"{len(list(Path(folder).iterdir())):03}.json")
        path.write_text(json.dumps(told, default=str))


def swapped(variants: Sequence[Variant], round_number: int) -> Sequence[Variant]:
    """The variants in an order that changes each round, so that none is always measured first."""
    return variants[::-1] if round_number % 2 else variants


# --- the database -----------------------------------------------------------------------------------------------


@contextmanager
def database() -> Iterator[EmbeddedPostgres]:
    """A migrated database on a server of its own, fsync on; gone afterwards."""
    with scratch() as folder:
        server = EmbeddedPostgres.start(folder, say=lambda _: None)
        try:
            schema.migrate(for_sqlalchemy(server.url))
            yield server
        finally:
            server.stop()


@contextmanager
def database_in(folder: Path) -> Iterator[EmbeddedPostgres]:
    """The database of an existing data folder, which stays."""
    server = EmbeddedPostgres.start(folder)
    try:
        yield server
    finally:
        server.stop()


def for_sqlalchemy(url: str) -> str:
    """The same address, with SQLAlchemy's name of the driver."""
    return url.replace("postgresql://", "postgresql+psycopg://", 1)


def expert_id(number: int) -> UUID:
    """The id of one of the benchmark's experts, and of what this expert offers; pgbench can make it, too."""
    return UUID(int=number)


def slug(number: int) -> str:
    """The slug of one of the benchmark's experts."""
    return f"expert-{number}"


def add_experts(url: str, count: int, *, opens_hour: int, closes_hour: int) -> None:
    """Experts 1 … count in UTC, every day, an hour at a time, without notice, 60 days ahead."""
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        numbers = range(1, count + 1)
        cursor.executemany(
            """
            INSERT INTO expert (id, slug, name, category, headline, bio, time_zone, email, rating, rating_count)
            VALUES (%s, %s, 'Somebody', %s, 'Calm, practical', repeat('Words. ', 60), 'UTC', 'e@example.com', 4.5, 9)
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


# The statement with which the product books, and in the same columns, for writers that are not the product.
INSERT: Final = """
    INSERT INTO booking (id, expert_id, session_type_id, starts_at, ends_at, busy, status, name, email, customer_key,
                         phone, notes, time_zone, visitor, submission)
    VALUES (gen_random_uuid(), {expert}, {expert}, {start}, {start} + interval '1 hour',
            tstzrange({start}, {start} + interval '1 hour'), 'pending', 'Ada Lovelace', 'ada@example.com',
            'ada@example.com', '+44 20 7946 0000', '', NULL, NULL, NULL)
    ON CONFLICT DO NOTHING RETURNING created_at, updated_at, version
"""


def book_raw(connection: psycopg.Connection[Any], expert: UUID, starts_at: datetime) -> float:
    """Book as psql would, and return the moment at which it was committed (`time.monotonic`)."""
    row = connection.execute(
        INSERT.format(expert="%(expert)s", start="%(start)s::timestamptz"), {"expert": expert, "start": starts_at}
    ).fetchone()
    committed = time.monotonic()
    assert row is not None, f"{starts_at} was taken"
    return committed


def tomorrow() -> datetime:
    """The first midnight to come, UTC."""
    return datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)


# --- the servers ------------------------------------------------------------------------------------------------


class Running(NamedTuple):
    """A server at work."""

    port: int
    pid: int

    def cpu(self) -> float:
        """How many seconds of CPU it has used (Linux)."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def exact_cpu(self) -> float:
        """The same, to the microsecond."""
        threads = Path(f"/proc/{self.pid}/task").glob("*/schedstat")
        return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9

    def memory(self) -> float:
        """How many MB of memory it holds (Linux)."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    @contextmanager
    def asleep(self) -> Iterator[None]:
        """It does nothing meanwhile, not even in the background."""
        os.kill(self.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.pid, signal.SIGCONT)


@contextmanager
def product(url: str, **more: str) -> Iterator[Running]:
    """`expert-booking serve` over this database."""
    # All viewers of a benchmark come from one network.
    limits = {"SOCKETS_PER_NETWORK": "100000", "UNCONNECTED_PAGES_PER_NETWORK": "100000"}
    settings = {"DATABASE_URL": url, "SECRET_KEY": "a secret for the benchmarks only", **limits, **more}
    with _server([sys.executable, "-m", "expert_booking", "serve"], "/healthz", settings) as running:
        yield running


@contextmanager
def mail_server() -> Iterator[int]:
    """A mail server that takes everything and keeps nothing; its port. It needs aiosmtpd."""
    port = _free_port()
    sink = [sys.executable, "-m", "aiosmtpd", "-n", "-c", "aiosmtpd.handlers.Sink", "-l", f"127.0.0.1:{port}"]
    process = subprocess.Popen(sink, stdin=subprocess.DEVNULL)
    try:
        yield port
    finally:
        _stop(process)


@contextmanager
def floor(name: str, **settings: str) -> Iterator[Running]:
    """One of the bare servers of `_floors.py`."""
    with _server([sys.executable, str(ROOT / "benchmarks" / "_floors.py"), name], "/alive", settings) as running:
        yield running


@contextmanager
def node(url: str) -> Iterator[Running | None]:
    """Node's socket.io over this database, installed for this run; None on a machine without Node and npm."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        print("There is no Node or no npm on this machine: nothing is compared with it.", flush=True)
        yield None
        return
    with scratch() as folder:
        shutil.copytree(ROOT / "benchmarks" / "node", folder, dirs_exist_ok=True)
        quietly = ("--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error")
        subprocess.run(["npm", "ci", *quietly], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        with _server(["node", str(folder / "server.js")], "/alive", {"DATABASE_URL": url}) as running:
            yield running


@contextmanager
def _server(command: Sequence[str], alive: str, settings: Mapping[str, str]) -> Iterator[Running]:
    with scratch() as folder, (folder / "log").open("w+") as log:  # a folder without any .env
        port = _free_port()
        plain = {key: value for key, value in os.environ.items() if not key.startswith("EXPERT_BOOKING_")}
        path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
        ours = {f"EXPERT_BOOKING_{key}": value for key, value in {**settings, "PORT": str(port)}.items()}
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**plain, **ours, "PYTHONPATH": path},
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
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"{process.args} ended with {process.returncode}")
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise RuntimeError(f"{url} did not answer in {PATIENCE} s")


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
    """A folder that the database's server may enter, too; gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="expert-booking-benchmark-"))
    folder.chmod(0o755)  # as root the database's server runs under another uid, and has to get there
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


# --- the clients ------------------------------------------------------------------------------------------------


class Http:
    """One connection, kept open, that knows just enough of HTTP/1.1: whoever measures must not be the bottleneck."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, port: int) -> Self:
        """Connect."""
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def get(self, path: str, *headers: str) -> tuple[int, bytes]:
        """The status and the body."""
        head = "\r\n".join((f"GET {path} HTTP/1.1", "Host: 127.0.0.1", *headers))
        return await self._ask(f"{head}\r\n\r\n".encode())

    async def post(self, path: str, body: Mapping[str, object], *headers: str) -> tuple[int, bytes]:
        """The same, for something said in JSON."""
        content = json.dumps(body)
        head = "\r\n".join((f"POST {path} HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/json", *headers))
        return await self._ask(f"{head}\r\nContent-Length: {len(content)}\r\n\r\n{content}".encode())

    def close(self) -> None:
        """Hang up."""
        self._writer.close()

    async def _ask(self, request: bytes) -> tuple[int, bytes]:
        self._writer.write(request)
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
        return int(head[9:12]), await self._reader.readexactly(length)


async def per_second(ports: Sequence[int], clients: int, path: str, seconds: float) -> float:
    """How many answers a second so many visitors get who ask again and again, shared out over these servers."""
    # New ones each time: a server hangs up on who is silent for some seconds.
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
    """How long one answer takes, in ms."""
    began = time.perf_counter()
    status, body = await connection.get(path, *headers)
    took = 1000 * (time.perf_counter() - began)
    assert status == 200, body
    return took


def wait_until_quiet(connection: psycopg.Connection[Any]) -> None:
    """Return when the server has worked out when everybody is free next."""
    deadline = time.monotonic() + PATIENCE
    while connection.execute("SELECT FROM expert_changed LIMIT 1").fetchone() is not None:
        assert time.monotonic() < deadline, "nobody works out when experts are free next"
        time.sleep(0.05)


async def statements(server: EmbeddedPostgres, wanted: Mapping[str, str], *headers: str) -> dict[str, list[str]]:
    """The statements (their first lines) that the database hears for each, once it has been asked for."""
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("ALTER DATABASE expert_booking SET log_statement = 'all'")
        try:
            with product(server.url) as site:
                wait_until_quiet(connection)
                visitor = await Http.open(site.port)
                asked = {}
                for name, path in wanted.items():
                    await timed(visitor, path, *headers)
                    heard = []
                    for _ in range(3):
                        before = len(_logged(server.data_path))
                        await timed(visitor, path, *headers)
                        heard.append(_logged(server.data_path)[before:])
                    # Whoever keeps the derived rows true may ask something in between.
                    asked[name] = min(heard, key=len)
        finally:
            connection.execute("ALTER DATABASE expert_booking RESET log_statement")
    return asked


def _logged(cluster: Path) -> list[str]:
    logs = sorted((cluster / "log").glob("*.log"), key=lambda log: log.stat().st_mtime)
    return [statement for log in logs for statement in STATEMENT.findall(log.read_text())]


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run a benchmark; whatever ends it, even a signal, ends everything that it has started."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # a thousand viewers are two thousand sockets
    asyncio.run(main)
