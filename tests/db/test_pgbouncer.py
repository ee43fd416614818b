"""The product behind a real pgbouncer in transaction mode, with a direct connection for notifications."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from sqlalchemy import text

from expert_booking.db import schema
from expert_booking.db.engine import Database, DriverStatement, driver_url
from expert_booking.doctor import State, database_checks
from tests.api.conftest import booking_of
from tests.backing_servers import PgBouncer
from tests.conftest import AddExpert
from tests.page_viewer import Viewer
from tests.server import PATIENCE, SECRET_KEY, ServerProcess, command, free_port

Connection = psycopg.Connection[tuple[Any, ...]]
# As docs/operations.md recommends.
CONNECT_QUERY = "SET statement_timeout = 15000; SET lock_timeout = 5000; SET random_page_cost = 1.1"


@pytest.fixture
def pgbouncer(database_url: str) -> Iterator[PgBouncer]:
    """A pgbouncer with the recommended configuration."""
    with running(database_url, connect_query=CONNECT_QUERY) as pgbouncer:
        yield pgbouncer


@contextmanager
def running(database_url: str, **settings: str) -> Iterator[PgBouncer]:
    """Run a pgbouncer in front of this test's database."""
    pgbouncer = PgBouncer(database_url, **settings)
    try:
        yield pgbouncer
    finally:
        pgbouncer.stop()


@pytest.fixture
async def pooled(database_url: str) -> AsyncIterator[Database]:
    """The product's pool of connections, through a pgbouncer whose own connections are in another time zone."""
    with running(database_url, connect_query="SET timezone TO ''Asia/Tokyo''") as pgbouncer:
        database = Database(pgbouncer.url.replace("postgresql:", "postgresql+psycopg:"), pool_size=8, pooler=True)
        yield database
        await database.close()


async def test_statements_do_not_depend_on_the_session_they_run_in(pooled: Database) -> None:
    """More clients than sessions, so that each statement may find another session than the one before it."""
    where_am_i = DriverStatement(text("SELECT pg_backend_pid() AS pid, current_setting('timezone') AS zone"))

    async def client() -> set[int]:
        sessions = set()
        for _ in range(20):  # more than psycopg needs to prepare a statement
            async with pooled.statements() as connection:
                [row] = await where_am_i.all(connection, {})
            assert row.zone == "UTC"
            async with pooled.transaction() as connection:
                assert (await connection.execute(text("SELECT now() AS at"))).one().at.utcoffset().total_seconds() == 0
            sessions.add(row.pid)
        return sessions

    used = await asyncio.gather(*(client() for _ in range(8)))
    assert max(map(len, used)) > 1


@pytest.fixture
def server(pgbouncer: PgBouncer, database_url: str, tmp_path: Path) -> Iterator[ServerProcess]:
    """The product behind pgbouncer."""
    with ServerProcess(tmp_path, pgbouncer.url, LISTEN_DATABASE_URL=driver_url(database_url)) as server:
        yield server.wait_until_alive()
        assert server.stop() == 0


async def test_site_behind_a_pooler_books_and_updates_open_pages(
    server: ServerProcess, add_expert: AddExpert, sql: Connection
) -> None:
    expert = await add_expert(hours=(0, 1440), slug="jana")
    async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
        assert (await client.get("/readyz")).status_code == 200
        start = (await client.get("/experts/jana")).json()["nextAvailable"]
        viewer = await Viewer.open(client, "/expert/jana")
        before = len(viewer.received)
        booked = await client.post("/bookings", json=booking_of(expert, startsAt=start))
        assert booked.status_code == 201, booked.text
        async with asyncio.timeout(PATIENCE):  # the notification arrives through the direct connection
            while not any("slots" in message for message in viewer.received[before:]):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        taken = await client.post("/bookings", json=booking_of(expert, startsAt=start))
        assert (taken.status_code, taken.json()["code"]) == (409, "slot_taken")
        await viewer.close()
    query = "SELECT application_name FROM pg_stat_activity WHERE datname = current_database()"
    assert ("expert-booking news",) in sql.execute(query).fetchall()
    assert "Traceback" not in server.log_text()
    assert "time limit" not in server.log_text()


@pytest.mark.parametrize(
    ("settings", "commands"),
    [
        ({}, [["serve"], ["migrate"], ["token", "list"], ["backup", "x.dump"]]),
        ({"ignore_startup_parameters": "options", "connect_query": CONNECT_QUERY}, [["serve"]]),
    ],
)
def test_pooler_without_a_direct_connection_is_refused_with_the_setting_to_use(
    database_url: str, tmp_path: Path, settings: dict[str, str], commands: list[list[str]]
) -> None:
    with running(database_url, **settings) as pgbouncer:
        wanted = {"DATABASE_URL": pgbouncer.url, "SECRET_KEY": SECRET_KEY, "PORT": str(free_port())}
        for arguments in commands:
            refused = command(*arguments, folder=tmp_path, **wanted)
            assert refused.returncode == 2, refused.stderr
            [sentence] = refused.stderr.splitlines()
            assert "EXPERT_BOOKING_DATABASE_URL leads to a connection pooler" in sentence
            assert "set EXPERT_BOOKING_LISTEN_DATABASE_URL" in sentence


def test_commands_use_the_direct_connection(pgbouncer: PgBouncer, empty_database_url: str, tmp_path: Path) -> None:
    settings = {"DATABASE_URL": pgbouncer.url, "LISTEN_DATABASE_URL": driver_url(empty_database_url)}
    assert command("migrate", folder=tmp_path, **settings).returncode == 0
    assert schema.level(empty_database_url)[0] == schema.head()
    seeded = command("seed", "--experts", "2", "--bookings", "3", folder=tmp_path, **settings)
    assert seeded.returncode == 0, seeded.stderr
    assert "2 experts" in seeded.stderr


def test_doctor_checks_the_pooler(
    pgbouncer: PgBouncer, database_url: str, empty_database_url: str, sql: Connection
) -> None:
    assert database_checks.pooler(sql, pgbouncer.url).state is State.OK
    with running(empty_database_url) as elsewhere:
        found = database_checks.pooler(sql, elsewhere.url)
        assert (found.state, "different databases" in found.says) == (State.FAIL, True)
    with running(database_url) as unlimited:
        found = database_checks.pooler(sql, unlimited.url)
        assert (found.state, "connect_query" in found.advice) == (State.HINT, True)
    assert database_checks.pooler(sql, elsewhere.url).state is State.FAIL  # stopped
