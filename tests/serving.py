"""The product as people run it: a process of its own, started by the command, stopped by a signal."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

import httpx

ROOT = Path(__file__).parents[1]
SECRET_KEY = "a secret for the tests only"
PATIENCE = 60  # seconds; both cores may be busy


def environment(**settings: str) -> dict[str, str]:
    """Ours without any setting of the product, and these ones: `environment(PORT="8123")`."""
    plain = {key: value for key, value in os.environ.items() if not key.startswith("EXPERT_BOOKING_")}
    return {**plain, "PYTHONPATH": str(ROOT), **{f"EXPERT_BOOKING_{key}": value for key, value in settings.items()}}


def command(
    *arguments: str, folder: Path, timeout: float = PATIENCE, **settings: str
) -> subprocess.CompletedProcess[str]:
    """Run `expert-booking …` to its end, in a folder without any `.env`."""
    return subprocess.run(
        [sys.executable, "-m", "expert_booking", *arguments],
        cwd=folder,
        env=environment(**settings),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def free_port() -> int:
    """A port nobody listens on at this moment."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port


class ServerProcess:
    """`expert-booking serve` on a free port of this machine; its log lies in `log` and is shown if it fails."""

    module = "expert_booking"

    def __init__(self, folder: Path, database_url: str | None, **settings: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / f"server-{self.port}.log"
        # All visitors of a test come from one network.
        wanted = {"PORT": str(self.port), "SECRET_KEY": SECRET_KEY, "HOLDS_PER_NETWORK": "1000",
                  "HOLDS_PER_MINUTE": "100000", "SOCKETS_PER_NETWORK": "10000",
                  "UNCONNECTED_PAGES_PER_NETWORK": "10000", **settings}  # fmt: skip
        if database_url is not None:
            wanted["DATABASE_URL"] = database_url
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", self.module, "serve"],
                cwd=folder,
                env=environment(**wanted),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def wait_until_alive(self) -> "ServerProcess":
        """Return when it answers."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            assert self.process.poll() is None, f"the server ended with {self.process.returncode}:\n{self.words()}"
            try:
                if httpx.get(f"{self.url}/healthz", timeout=5).status_code == 200:
                    return self
            except httpx.TransportError:
                time.sleep(0.1)  # there is nothing to await: the port is not open yet
        self.kill()
        raise AssertionError(f"the server did not answer in {PATIENCE} s:\n{self.words()}")

    def stop(self, timeout: float = 20) -> int:
        """SIGTERM, as a service manager does it; the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"the server did not stop in {timeout} s:\n{self.words()}") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def kill(self) -> None:
        """As a crash or the kernel does it."""
        self.process.kill()
        self.process.wait()

    @property
    def mailbox(self) -> str:
        """The address of the demo's mailbox, as the start has printed it."""
        printed = re.search(r"Read the emails at (\S+)", self.words())
        assert printed is not None, self.words()
        return printed[1]

    def words(self) -> str:
        """All that it printed."""
        return self.log.read_text(errors="replace")


class WatchedServer(ServerProcess):
    """The server, and how much open pages keep alive in it."""

    module = "tests.browser.inside"

    def inside(self) -> dict[str, int]:
        """Pages, followers, live boards, followed next free times, rooms."""
        return self._look("/inside")

    def told(self) -> dict[str, int]:
        """The same, but for rooms, as Prometheus is told of it: all of these pages are connected."""
        figures = httpx.get(f"{self.url}/metrics", timeout=30).text
        names = {
            "pages": 'pages{state="connected"}', "subscribers": "subscribers", "boards": "live_boards",
            "next_free": "listed_experts",
        }  # fmt: skip
        lines = dict(line.rsplit(" ", 1) for line in figures.splitlines() if not line.startswith("#"))
        return {name: round(float(lines[f"expert_booking_{told}"])) for name, told in names.items()}

    def weight(self) -> dict[str, int]:
        """Tasks, timers, objects, locks of rooms, sockets that are behind; and memory, in kB."""
        return self._look("/inside/weight")

    def _look(self, path: str) -> dict[str, int]:
        counted: dict[str, int] = httpx.get(f"{self.url}{path}", timeout=60).json()
        return counted
