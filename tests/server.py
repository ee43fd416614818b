"""The product as operators run it: a separate process, started by the command and stopped by a signal."""

import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import cycle, islice
from pathlib import Path
from typing import Any, Self

import httpx

from tests.forking import ForkedProcess

ROOT = Path(__file__).parents[1]
SECRET_KEY = "a secret for the tests only"
PATIENCE = 60  # seconds; both cores may be busy
_PORTS = range(10_100, 32_000)  # Chromium refuses 10080
_ports = islice(cycle(_PORTS), random.randrange(len(_PORTS)), None)


def environment(**settings: str) -> dict[str, str]:
    """This process's environment with only the given settings of the product: `environment(PORT="8123")`."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("EXPERT_BOOKING_")}
    return {**inherited, "PYTHONPATH": str(ROOT), **{f"EXPERT_BOOKING_{key}": value for key, value in settings.items()}}


def command(
    *arguments: str, folder: Path, timeout: float = PATIENCE, **settings: str
) -> subprocess.CompletedProcess[str]:
    """Run `expert-booking …` in a folder without `.env` and wait for it to exit."""
    with tempfile.TemporaryDirectory() as outputs:
        out, err = Path(outputs, "stdout"), Path(outputs, "stderr")
        process = ForkedProcess(
            "expert_booking", *arguments, cwd=folder, env=environment(**settings), stdout=out, stderr=err
        )
        try:
            code = process.wait(timeout)
        finally:
            process.kill()
        return subprocess.CompletedProcess(arguments, code, out.read_text(), err.read_text())


def free_port() -> int:
    """A port that is free at this moment.

    It is below the ports that Linux gives to outgoing connections, so no connection takes it before a server does. Each
    process counts up from a random port, so two test processes rarely try the same one at the same time.
    """
    for port in _ports:
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise AssertionError


@contextmanager
def database_folder() -> Iterator[Path]:
    """A folder for an embedded database, removed afterwards. PostgreSQL's own user may enter it, unlike pytest's.

    It is in memory if 2 GiB are free there, because creating a database is much slower on a busy disk.
    """
    memory = Path("/dev/shm")
    roomy = memory.is_dir() and shutil.disk_usage(memory).free > 2**31
    folder = Path(tempfile.mkdtemp(prefix="expert-booking-tests-", dir=memory if roomy else None))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def is_port_open(port: int) -> bool:
    """Check whether a server listens on this local port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class ServerProcess:
    """`expert-booking serve` on a free local port. `log` is its log file, shown if a test fails."""

    module = "expert_booking"
    forked = True

    def __init__(self, folder: Path, database_url: str | None, **settings: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / f"server-{self.port}.log"
        self.log.touch()
        # All visitors of a test share one network, and many book with one address, so the limits are high.
        wanted = {"PORT": str(self.port), "SECRET_KEY": SECRET_KEY, "HOLDS_PER_NETWORK": "1000",
                  "HOLDS_PER_MINUTE": "100000", "SOCKETS_PER_NETWORK": "10000",
                  "UNCONNECTED_PAGES_PER_NETWORK": "10000", "BOOKINGS_PER_NETWORK": "10000",
                  "LIVE_BOOKINGS_PER_EXPERT": "10000", "LIVE_BOOKINGS_PER_CUSTOMER": "10000",
                  "CHANGES_PER_HOUR": "10000", "EMAILS_PER_ADDRESS": "1000", **settings}  # fmt: skip
        if database_url is not None:
            wanted["DATABASE_URL"] = database_url
        self.process = self._start(folder, environment(**wanted))

    def _start(self, folder: Path, environment: dict[str, str]) -> subprocess.Popen[bytes] | ForkedProcess:
        if self.forked and "LD_PRELOAD" not in environment:
            return ForkedProcess(self.module, "serve", cwd=folder, env=environment, stdout=self.log, stderr=self.log)
        with self.log.open("w") as log:
            return subprocess.Popen(
                [sys.executable, "-m", self.module, "serve"],
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def wait_until_alive(self) -> "ServerProcess":
        """Wait until `/healthz` returns 200; raise AssertionError if the server exits or does not answer in time."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            assert self.process.poll() is None, f"the server ended with {self.process.returncode}:\n{self.log_text()}"
            if is_port_open(self.port):  # an HTTP request costs much more than this
                with suppress(httpx.TransportError):
                    if httpx.get(f"{self.url}/healthz", timeout=5).status_code == 200:
                        return self
            time.sleep(0.05)
        self.kill()
        raise AssertionError(f"the server did not answer in {PATIENCE} s:\n{self.log_text()}")

    def stop(self, timeout: float = 20) -> int:
        """Stop the server with SIGTERM, as a service manager does, and return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"the server did not stop in {timeout} s:\n{self.log_text()}") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def kill(self) -> None:
        """Kill the process, as after a crash."""
        self.process.kill()
        self.process.wait()

    @property
    def mailbox(self) -> str:
        """The URL of the demo's mailbox, as printed at start."""
        printed = re.search(r"Read the emails at (\S+)", self.log_text())
        assert printed is not None, self.log_text()
        return printed[1]

    def log_text(self) -> str:
        """The server's whole output."""
        return self.log.read_text(errors="replace")


class WatchedServer(ServerProcess):
    """A server that reports which resources its open pages use."""

    module = "tests.browser.inside"

    def resource_counts(self) -> dict[str, int]:
        """The numbers of pages, subscribers, live boards, followed next free times and rooms."""
        return self._get("/inside")

    def metric_counts(self) -> dict[str, int]:
        """The same numbers without rooms, read from `/metrics`. Only connected pages count there."""
        metrics = httpx.get(f"{self.url}/metrics", timeout=30).text
        names = {
            "pages": 'pages{state="connected"}', "subscribers": "subscribers", "boards": "live_boards",
            "next_free": "listed_experts",
        }  # fmt: skip
        lines = dict(line.rsplit(" ", 1) for line in metrics.splitlines() if not line.startswith("#"))
        return {name: round(float(lines[f"expert_booking_{metric}"])) for name, metric in names.items()}

    def resource_usage(self) -> dict[str, int]:
        """The numbers of tasks, timers, objects, room locks and lagging sockets, and the memory in kB."""
        return self._get("/inside/weight")

    def routes(self) -> dict[str, list[str]]:
        """The methods of all routes, by path template."""
        return self._get("/inside/routes")

    def _get(self, path: str) -> Any:
        return httpx.get(f"{self.url}{path}", timeout=60).json()
