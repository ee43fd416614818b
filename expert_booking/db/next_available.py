"""Statements about the derived rows of `tables/next_available.py`: which experts are outdated, and their new rows."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ARRAY, BindParameter, DateTime, Table, Uuid, bindparam, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection

from expert_booking.db.engine import DriverStatement
from expert_booking.db.tables import LIVE_ROWS, expert_free, expert_next
from expert_booking.domain.free_times import FreeTimes

LOCK: Final = 6_021_744_312  # the advisory lock of the worker; any number that is not used otherwise
_ids = bindparam("ids", type_=ARRAY(Uuid))
_now = bindparam("now", type_=DateTime(timezone=True))

# Does not wait for the disk: a crash may undo the last transactions, but rows and queue together, so they are repeated.
_TRY_LOCK = DriverStatement(
    text("SELECT pg_try_advisory_xact_lock(:lock) AS locked FROM set_config('synchronous_commit', 'off', true)")
)
_LOCK_SESSION = text("SELECT pg_advisory_lock(:lock)")
_UNLOCK_SESSION = text("SELECT pg_advisory_unlock(:lock)")
_QUEUED = text("SELECT id, expert_id FROM expert_changed")
_DEQUEUE = text("DELETE FROM expert_changed WHERE id = ANY(:ids)")
_NEXT_CHECK = DriverStatement(
    text(
        "SELECT CASE WHEN EXISTS (SELECT FROM expert_changed) THEN :now"
        " ELSE (SELECT min(check_at) FROM expert_next WHERE minutes = 0) END AS at"
    ).bindparams(_now)
)
# The experts queued first, each with all queued rows, so that a very busy expert does not starve the others.
_CLAIM = DriverStatement(
    text(
        """
        WITH queued AS MATERIALIZED (SELECT id, expert_id FROM expert_changed ORDER BY id LIMIT 1000),
        first AS (SELECT expert_id FROM queued GROUP BY expert_id ORDER BY min(id) LIMIT :limit),
        changed AS (
          DELETE FROM expert_changed
           WHERE id = ANY(ARRAY(SELECT id FROM queued WHERE expert_id IN (SELECT expert_id FROM first)))
          RETURNING expert_id
        )
        SELECT expert_id FROM changed
        UNION
        (SELECT expert_id FROM expert_next WHERE minutes = 0 AND check_at <= :now ORDER BY check_at LIMIT :limit)
        """
    ).bindparams(_now)
)
_EXISTING = DriverStatement(
    text("SELECT id FROM expert WHERE id = ANY(:ids) ORDER BY id FOR KEY SHARE").bindparams(_ids)
)
_HOLD_EXPIRIES = DriverStatement(
    text(
        "SELECT expert_id, min(hold_until) AS at FROM booking WHERE expert_id = ANY(:ids)"  # noqa: S608
        f" AND status = 'held' AND hold_until > :now AND {LIVE_ROWS} GROUP BY expert_id"
    ).bindparams(_ids, _now)
)


def _equalise(table: Table, given: str, *values: BindParameter[Any]) -> DriverStatement:
    """A statement that makes the rows of some experts equal to `given`, and writes only those that differ."""
    columns, key = list(table.columns), list(table.primary_key)
    names, keys = ", ".join(column.name for column in columns), ", ".join(column.name for column in key)
    changed = ", ".join(f"{column.name} = excluded.{column.name}" for column in columns if column not in key)
    # No index contains the ctid, so the planner cannot choose an index-only scan by time here.
    statement = f"""
        WITH wanted ({names}) AS MATERIALIZED ({given}),
        existing AS MATERIALIZED (SELECT ctid AS row_id, {names} FROM {table.name} WHERE expert_id = ANY(:ids)),
        deleted AS (
          DELETE FROM {table.name} WHERE ctid = ANY(ARRAY(
            SELECT row_id FROM existing WHERE ({keys}) NOT IN (SELECT {keys} FROM wanted)
          ))
        )
        INSERT INTO {table.name} ({names}) SELECT * FROM wanted EXCEPT SELECT {names} FROM existing
        ON CONFLICT ({keys}) DO UPDATE SET {changed}
        RETURNING 1 AS written
        """  # noqa: S608 - only our own names
    return DriverStatement(text(statement).bindparams(_ids, *values))


_EQUALISE_NEXT = _equalise(
    expert_next,
    "SELECT * FROM unnest(:expert_id, :minutes, :free_at, :check_at)",
    *(bindparam(column.name, type_=postgresql.ARRAY(column.type)) for column in expert_next.columns),
)
# Thousands of rows: arrays in PostgreSQL's text format cost the driver nothing.
_EQUALISE_FREE = _equalise(
    expert_free,
    """SELECT (:ids)[place], minutes, half_day, to_timestamp(first_at), to_timestamp(last_at)
         FROM unnest(CAST(:place AS int[]), CAST(:minutes AS smallint[]), CAST(:half_day AS int[]),
                     CAST(:first_at AS bigint[]), CAST(:last_at AS bigint[]))
           AS given (place, minutes, half_day, first_at, last_at)""",
)


async def try_lock(connection: AsyncConnection) -> bool:
    """Take the worker's lock until the transaction ends; False if another process has it."""
    [row] = await _TRY_LOCK.all(connection, {"lock": LOCK})
    return bool(row.locked)


@asynccontextmanager
async def all_queued(connection: AsyncConnection) -> AsyncIterator[list[UUID]]:
    """Yield all queued experts, and remove them from the queue if the block succeeds.

    Waits for the worker's lock and holds it during the block. Needs a connection in autocommit mode.
    """
    await connection.execute(_LOCK_SESSION, {"lock": LOCK})
    try:
        queued = (await connection.execute(_QUEUED)).all()
        yield sorted({row.expert_id for row in queued})
        await connection.execute(_DEQUEUE, {"ids": [row.id for row in queued]})
    finally:
        await connection.execute(_UNLOCK_SESSION, {"lock": LOCK})


async def existing(connection: AsyncConnection, expert_ids: Sequence[UUID]) -> list[UUID]:
    """Return those of these experts that exist, locked against deletion until the transaction ends."""
    return [row.id for row in await _EXISTING.all(connection, {"ids": list(expert_ids)})]


async def next_check(connection: AsyncConnection, now: datetime) -> datetime | None:
    """Return when the next row must be recomputed; `now` or earlier if one is already due, None without rows."""
    [row] = await _NEXT_CHECK.all(connection, {"now": now})
    at: datetime | None = row.at
    return at


async def claim(connection: AsyncConnection, limit: int, now: datetime) -> list[UUID]:
    """Return some experts whose rows must be recomputed, and remove them from the queue with the transaction."""
    return [row.expert_id for row in await _CLAIM.all(connection, {"limit": limit, "now": now})]


async def hold_expiries(connection: AsyncConnection, expert_ids: Sequence[UUID], now: datetime) -> dict[UUID, datetime]:
    """Return when the first hold of each of these experts expires, for those that have holds."""
    return {
        row.expert_id: row.at for row in await _HOLD_EXPIRIES.all(connection, {"ids": list(expert_ids), "now": now})
    }


async def write(connection: AsyncConnection, found: Mapping[UUID, Mapping[int, FreeTimes]]) -> None:
    """Replace the rows of these experts, given by expert and session length. Each expert needs at least one length."""
    ids = list(found)
    nexts = [(key, minutes, free.first_at, free.check_at) for key, by in found.items() for minutes, free in by.items()]
    await _EQUALISE_NEXT.all(connection, {"ids": ids, **_columns(expert_next, nexts)})
    spans = [
        (place, minutes, half_day, *span)
        for place, by_minutes in enumerate(found.values(), 1)
        for minutes, free in by_minutes.items()
        for half_day, span in free.half_days.items()
    ]
    names = ("place", "minutes", "half_day", "first_at", "last_at")
    columns = zip(*spans, strict=True) if spans else ((),) * len(names)
    arrays = {name: f"{{{','.join(map(str, column))}}}" for name, column in zip(names, columns, strict=True)}
    await _EQUALISE_FREE.all(connection, {"ids": ids, **arrays})


def _columns(table: Table, rows: Sequence[tuple[Any, ...]]) -> dict[str, list[Any]]:
    return {column.name: [row[place] for row in rows] for place, column in enumerate(table.columns)}
