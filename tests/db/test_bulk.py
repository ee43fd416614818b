"""Bulk loading of bookings: the fences are dropped only inside the transaction and always come back."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from sqlalchemy.exc import IntegrityError

from expert_booking.db import bulk
from expert_booking.db.engine import Database, driver_url
from expert_booking.services import Services
from tests.conftest import MONDAY_MORNING, AddExpert
from tests.db.test_migrations import fingerprint

Connection = psycopg.Connection[tuple[Any, ...]]
HOUR = timedelta(hours=1)
INTO_BOOKING = f"COPY booking ({', '.join(bulk.COLUMNS)}) FROM STDIN"


class Interrupted(Exception):
    """An interruption like Ctrl-C."""


def row_of(sql: Connection, expert_id: UUID, start: datetime) -> bytes:
    [(session_type,)] = sql.execute("SELECT id FROM session_type WHERE expert_id = %s", [expert_id]).fetchall()
    end = start + HOUR
    words = (uuid4(), expert_id, session_type, start, end, f"[{start},{end})", "pending", "Ada", "a@example.com",
             "a@example.com", "1", "", "UTC", "Talk", 60, 0, "\\N", 4500, "EUR", "")  # fmt: skip
    return ("\t".join(map(str, words)) + "\n").encode()


async def stream(*parts: bytes | Exception) -> AsyncIterator[bytes]:
    for part in parts:
        if isinstance(part, Exception):
            raise part
        yield part


def count(sql: Connection, table: str) -> int:
    [(found,)] = sql.execute(f"SELECT count(*) FROM {table}").fetchall()
    return int(found)


async def test_bulk_load_restores_all_fences_indexes_and_triggers(
    database: Database, add_expert: AddExpert, sql: Connection
) -> None:
    expert = await add_expert()
    sql.execute("CREATE TABLE errand (booking_id uuid REFERENCES booking (id))")
    before = fingerprint(database.url)
    sql.execute("TRUNCATE expert_changed")
    async with database.transaction() as connection:
        await bulk.fill(connection, stream(*(row_of(sql, expert, MONDAY_MORNING + n * HOUR) for n in range(3))))
    assert count(sql, "booking") == 3
    assert count(sql, "expert_changed") == 1
    assert fingerprint(database.url) == before
    sql.execute("UPDATE booking SET notes = 'x'")
    assert count(sql, "expert_changed") == 2  # notifications are sent again
    with pytest.raises(psycopg.errors.ExclusionViolation):
        sql.execute("UPDATE booking SET busy = tstzrange(lower(busy) - interval '1 minute', upper(busy))")


async def test_interrupted_bulk_load_leaves_no_rows_and_all_fences(
    database: Database, add_expert: AddExpert, sql: Connection
) -> None:
    expert = await add_expert()
    before = fingerprint(database.url)
    one = row_of(sql, expert, MONDAY_MORNING)
    with pytest.raises(Interrupted):
        async with database.transaction() as connection:
            await bulk.fill(connection, stream(one, Interrupted()))
    assert count(sql, "booking") == 0
    assert fingerprint(database.url) == before


async def test_overlapping_rows_are_refused(database: Database, add_expert: AddExpert, sql: Connection) -> None:
    expert = await add_expert()
    before = fingerprint(database.url)
    overlapping = row_of(sql, expert, MONDAY_MORNING), row_of(sql, expert, MONDAY_MORNING + HOUR / 2)
    with pytest.raises(IntegrityError):
        async with database.transaction() as connection:
            await bulk.fill(connection, stream(*overlapping))
    assert count(sql, "booking") == 0
    assert fingerprint(database.url) == before


async def test_rows_are_loaded_around_existing_bookings(
    database: Database, add_expert: AddExpert, sql: Connection
) -> None:
    expert = await add_expert()
    lines = [row_of(sql, expert, MONDAY_MORNING + n * HOUR / 2) for n in range(4)]
    for _ in range(2):
        async with database.transaction() as connection:
            await bulk.insert(connection, b"".join(lines))
    assert count(sql, "booking") == 2


async def test_booking_made_while_the_table_is_being_locked_keeps_its_time(
    services: Services, database: Database, add_expert: AddExpert, sql: Connection
) -> None:
    expert = await add_expert()
    lines = [row_of(sql, expert, MONDAY_MORNING + n * HOUR / 2) for n in range(4)]
    with psycopg.connect(driver_url(database.url)) as visitor:
        later_row = row_of(sql, expert, MONDAY_MORNING + HOUR)
        with visitor.cursor().copy(INTO_BOOKING) as copy:
            copy.write(later_row)
        importing = asyncio.create_task(services.bookings.import_lines(stream(*lines)))
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'booking'::regclass"
        while sql.execute(waiting).fetchone() != (1,):  # noqa: ASYNC110 - only the database can see it
            await asyncio.sleep(0.01)
        visitor.commit()
    await importing
    starts = sql.execute("SELECT starts_at FROM booking ORDER BY 1").fetchall()
    assert starts == [(MONDAY_MORNING,), (MONDAY_MORNING + HOUR,)]


async def test_copy_is_checked_by_both_fences(add_expert: AddExpert, sql: Connection) -> None:
    expert = await add_expert()

    def copy_in(start: datetime) -> None:
        one = row_of(sql, expert, start)
        with sql.cursor().copy(INTO_BOOKING) as copy:
            copy.write(one)

    copy_in(MONDAY_MORNING)
    with pytest.raises(psycopg.errors.ExclusionViolation):
        copy_in(MONDAY_MORNING + HOUR / 2)
    sql.execute("ALTER TABLE booking DROP CONSTRAINT ex_booking_no_overlap")
    with pytest.raises(psycopg.errors.UniqueViolation):
        copy_in(MONDAY_MORNING)
    assert count(sql, "booking") == 1
