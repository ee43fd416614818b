"""The embedded PostgreSQL is killed under the servers that use it, as the kernel does when memory is short."""

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psycopg
import pytest

from expert_booking.db.embedded import EmbeddedPostgres
from tests.db.test_embedded import kill_servers, postgres_processes
from tests.serving import PATIENCE, ServerProcess

Serve = Callable[[int], list[ServerProcess]]
AGAIN = "PostgreSQL is running again"
BY_ANOTHER = f"{AGAIN}: another process started it"


@pytest.fixture
def folder() -> Iterator[Path]:
    """A data folder in memory that PostgreSQL's own user may enter."""
    memory = Path("/dev/shm")
    made = Path(tempfile.mkdtemp(prefix="embedded-restart-", dir=memory if memory.is_dir() else None))
    made.chmod(0o755)
    yield made
    kill_servers(lambda cluster: cluster.is_relative_to(made))
    shutil.rmtree(made)


@pytest.fixture
def postgres(folder: Path) -> Iterator[EmbeddedPostgres]:
    """The embedded server as this test sees it. It starts nothing again: only the product's processes do."""
    server = EmbeddedPostgres.start(folder / "data", say=lambda _: None, fsync=False)
    yield server
    server.stop()


@pytest.fixture
def serve_embedded(postgres: EmbeddedPostgres, folder: Path, tmp_path: Path) -> Iterator[Serve]:
    """Start so many processes of the product on the embedded database."""
    running: list[ServerProcess] = []

    def serve(number: int) -> list[ServerProcess]:
        for _ in range(number):
            running.append(ServerProcess(tmp_path, None, DATA_DIR=str(folder / "data"), DEMO="false"))
            running[-1].wait_until_alive()
        return running

    yield serve
    for server in running:
        server.kill()


def test_a_killed_postgres_is_started_again_by_one_of_its_servers(
    postgres: EmbeddedPostgres, serve_embedded: Serve
) -> None:
    servers = serve_embedded(2)
    tell(postgres.url, "CREATE TABLE kept AS SELECT 42 AS answer")
    kill_servers(postgres.data_path.__eq__)
    wait_until(lambda: all(map(is_ready, servers)))
    assert ask(postgres.url, "SELECT answer FROM kept") == 42
    assert answers(servers)
    wait_until(lambda: sum(AGAIN in server.words() for server in servers) == 2)
    assert sum(BY_ANOTHER in server.words() for server in servers) == 1
    # News of changes is heard again, too.
    wait_until(lambda: all("feed_listening 1.0" in httpx.get(f"{s.url}/metrics").text for s in servers))

    # After one killed backend PostgreSQL recovers by itself, and is left alone.
    before = [server.words() for server in servers]
    began = ask(postgres.url, "SELECT pg_postmaster_start_time()")
    with psycopg.connect(postgres.url) as connection:
        os.kill(connection.info.backend_pid, signal.SIGKILL)
    wait_until(lambda: all(map(is_ready, servers)) and answers(servers))
    assert ask(postgres.url, "SELECT pg_postmaster_start_time()") == began
    for words, server in zip(before, servers, strict=True):
        assert "PostgreSQL has stopped" not in server.words().removeprefix(words)

    # The end is as ever: the last one out stops PostgreSQL.
    postgres.stop()
    assert [server.stop() for server in servers] == [0, 0]
    assert not [pid for pid, cluster in postgres_processes() if cluster == postgres.data_path]


def test_a_server_whose_database_is_gone_ends_with_an_error(postgres: EmbeddedPostgres, serve_embedded: Serve) -> None:
    [server] = serve_embedded(1)
    postgres.data_path.rename(postgres.data_path.with_name("elsewhere"))
    kill_servers(lambda cluster: cluster.name == "elsewhere" and cluster.parent == postgres.data_path.parent)
    assert server.process.wait(PATIENCE) == 1
    assert (
        f"expert-booking: The database folder {postgres.data_path} is missing: restore it from a backup."
        in server.words()
    )
    assert "Traceback" not in server.words()


# --- helpers ------------------------------------------------------------------------------------------------------


def wait_until(true: Callable[[], bool]) -> None:
    """Return when it is true. Fails after a while."""
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, "it did not become true"
        time.sleep(0.1)


def is_ready(server: ServerProcess) -> bool:
    """Whether the server says that it can be given requests."""
    return httpx.get(f"{server.url}/readyz", timeout=30).status_code == 200


def answers(servers: list[ServerProcess]) -> bool:
    """Whether pages and programs get their answers from all of them."""
    return all(httpx.get(server.url + path, timeout=30).status_code == 200
               for server in servers for path in ("/", "/experts"))  # fmt: skip


def ask(url: str, question: str) -> object:
    """The first value of the answer, as soon as PostgreSQL takes connections."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            with psycopg.connect(url, autocommit=True) as connection:
                row = connection.execute(question.encode()).fetchone()
            return row[0] if row else None
        except psycopg.OperationalError:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def tell(url: str, statement: str) -> None:
    """Have it done."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement.encode())
