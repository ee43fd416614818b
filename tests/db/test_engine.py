"""The connection pool checks only connections that may be dead, and a dead one causes no error."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest
from psycopg import AsyncCursor
from sqlalchemy import bindparam, text
from sqlalchemy.exc import IntegrityError

from expert_booking.db import engine
from expert_booking.db.engine import AnyConnection, Database, DriverStatement, violated
from expert_booking.domain.errors import Unavailable

Connection = psycopg.Connection[tuple[Any, ...]]
BACKEND_PID = DriverStatement(text("SELECT pg_backend_pid() AS pid"))


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A database with a pool of two connections."""
    database = Database(database_url, pool_size=2)
    yield database
    await database.close()


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The statements that the driver sends."""
    sent: list[str] = []
    execute = AsyncCursor.execute

    async def record(cursor: AsyncCursor[Any], query: Any, *how: Any, **more: Any) -> AsyncCursor[Any]:
        sent.append(str(query))
        return await execute(cursor, query, *how, **more)

    monkeypatch.setattr(AsyncCursor, "execute", record)
    return sent


async def backend_pid(database: Database) -> int:
    """The pid of the server process of a connection."""
    async with database.statements() as connection:
        [row] = await BACKEND_PID.all(connection, {})
    return int(row.pid)


async def test_recently_used_connection_is_reused_without_a_ping(database: Database, sent: list[str]) -> None:
    pid = await backend_pid(database)
    sent.clear()
    assert [await backend_pid(database) for _ in range(3)] == [pid] * 3
    assert len(sent) == 3


async def test_idle_connection_is_checked_before_use(
    database: Database, sent: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pid, now = await backend_pid(database), engine.monotonic()
    sent.clear()
    monkeypatch.setattr(engine, "monotonic", lambda: now + 31)
    assert await backend_pid(database) == pid
    assert len(sent) == 2


@pytest.mark.parametrize("ask", [Database.statements, Database.transaction])
async def test_connections_closed_by_the_server_cause_no_error(database: Database, sql: Connection, ask: Any) -> None:
    async with database.statements(), database.statements():
        pass  # both connections are open now
    ended = sql.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    ).fetchall()
    assert ended == [(True,), (True,)]

    async def select_one() -> Any:
        async with ask(database) as connection:
            return await connection.scalar(text("SELECT 1"))

    assert await asyncio.gather(*(select_one() for _ in range(8))) == [1] * 8


async def test_connection_lost_during_a_driver_statement_raises_unavailable_once(database: Database) -> None:
    suicide = DriverStatement(text("SELECT pg_terminate_backend(pg_backend_pid())"))
    with pytest.raises(Unavailable):
        async with database.statements() as connection:
            await suicide.all(connection, {})
    assert await backend_pid(database)


async def test_cancelled_driver_statement_leaves_the_connection_usable(database: Database) -> None:
    async def sleep(connection: AnyConnection) -> None:
        await DriverStatement(text("SELECT pg_sleep(60)")).all(connection, {})

    async with database.statements() as connection:
        sleeping = asyncio.create_task(sleep(connection))
        await asyncio.sleep(0.1)
        sleeping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sleeping
        assert await connection.scalar(text("SELECT 1")) == 1


async def test_driver_statement_joins_the_surrounding_transaction(database: Database, sql: Connection) -> None:
    sql.execute("CREATE TABLE note (word text PRIMARY KEY)")
    write = DriverStatement(text("INSERT INTO note VALUES (:word) RETURNING word").bindparams(bindparam("word")))

    async def write_twice() -> None:
        async with database.transaction() as connection:
            assert (await write.one_or_none(connection, {"word": "first"})).word == "first"
            await write.all(connection, {"word": "first"})

    try:
        with pytest.raises(IntegrityError) as refusal:
            await write_twice()
        assert violated(refusal.value) == "note_pkey"
        assert sql.execute("SELECT count(*) FROM note").fetchone() == (0,)
        async with database.statements() as connection:
            await write.all(connection, {"word": "alone"})
            assert sql.execute("SELECT word FROM note").fetchall() == [("alone",)]
    finally:
        sql.execute("DROP TABLE note")
