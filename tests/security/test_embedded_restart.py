"""The embedded PostgreSQL is killed while servers use it, as the kernel does when memory runs out."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psycopg
import pytest

from expert_booking.db.embedded import EmbeddedPostgres
from tests.db.test_embedded import kill_servers, postgres_processes
from tests.server import PATIENCE, ServerProcess, database_folder

Serve = Callable[[int], list[ServerProcess]]
AGAIN = "PostgreSQL is running again"
BY_ANOTHER = f"{AGAIN}: another process started it"


@pytest.fixture
def folder() -> Iterator[Path]:
    """A data folder. Servers in it are killed afterwards."""
    with database_folder() as made:
        yield made
        kill_servers(lambda cluster: cluster.is_relative_to(made))


@pytest.fixture
def postgres(folder: Path) -> Iterator[EmbeddedPostgres]:
    """The embedded server as seen by the test. Only the product's processes restart it."""
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


def test_killed_postgres_is_restarted_by_exactly_one_server(postgres: EmbeddedPostgres, serve_embedded: Serve) -> None:
    servers = serve_embedded(2)
    execute(postgres.url, "CREATE TABLE kept AS SELECT 42 AS answer")
    kill_servers(postgres.data_path.__eq__)
    wait_until(lambda: all(map(is_ready, servers)))
    assert query_value(postgres.url, "SELECT answer FROM kept") == 42
    assert all_respond(servers)
    wait_until(lambda: sum(AGAIN in server.log_text() for server in servers) == 2)
    assert sum(BY_ANOTHER in server.log_text() for server in servers) == 1
    # Events arrive again, too.
    wait_until(lambda: all("feed_listening 1.0" in httpx.get(f"{s.url}/metrics").text for s in servers))

    # After one killed backend PostgreSQL recovers on its own, and the servers leave it alone.
    before = [server.log_text() for server in servers]
    began = query_value(postgres.url, "SELECT pg_postmaster_start_time()")
    with psycopg.connect(postgres.url) as connection:
        os.kill(connection.info.backend_pid, signal.SIGKILL)
    wait_until(lambda: all(map(is_ready, servers)) and all_respond(servers))
    assert query_value(postgres.url, "SELECT pg_postmaster_start_time()") == began
    for words, server in zip(before, servers, strict=True):
        assert "PostgreSQL has stopped" not in server.log_text().removeprefix(words)

    # Shutdown works as usual: the last process stops PostgreSQL.
    postgres.stop()
    assert [server.stop() for server in servers] == [0, 0]
    assert not [pid for pid, cluster in postgres_processes() if cluster == postgres.data_path]


def test_server_exits_with_an_error_if_its_database_folder_is_missing(
    postgres: EmbeddedPostgres, serve_embedded: Serve
) -> None:
    [server] = serve_embedded(1)
    postgres.data_path.rename(postgres.data_path.with_name("elsewhere"))
    kill_servers(lambda cluster: cluster.name == "elsewhere" and cluster.parent == postgres.data_path.parent)
    assert server.process.wait(PATIENCE) == 1
    assert (
        f"expert-booking: The database folder {postgres.data_path} is missing: restore it from a backup."
        in server.log_text()
    )
    assert "Traceback" not in server.log_text()


# --- helpers ------------------------------------------------------------------------------------------------------


def wait_until(true: Callable[[], bool]) -> None:
    """Wait until the condition is true. Fails after PATIENCE seconds."""
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, "the condition was not met in time"
        time.sleep(0.1)


def is_ready(server: ServerProcess) -> bool:
    """Check whether the server reports itself as ready."""
    return httpx.get(f"{server.url}/readyz", timeout=30).status_code == 200


def all_respond(servers: list[ServerProcess]) -> bool:
    """Check that all servers answer pages and API requests."""
    return all(httpx.get(server.url + path, timeout=30).status_code == 200
               for server in servers for path in ("/", "/experts"))  # fmt: skip


def query_value(url: str, question: str) -> object:
    """Return the first value of a query, as soon as PostgreSQL accepts connections."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            with psycopg.connect(url, autocommit=True) as connection:
                row = connection.execute(question.encode()).fetchone()
            return row[0] if row else None
        except psycopg.OperationalError:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def execute(url: str, statement: str) -> None:
    """Execute one statement."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement.encode())
