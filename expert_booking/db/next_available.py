"""Statements about the derived rows: whose are wrong, and what they are to be."""

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

TURN: Final = 6_021_744_312  # the name of the lock; any number that nobody else uses
_ids = bindparam("ids", type_=ARRAY(Uuid))
_now = bindparam("now", type_=DateTime(timezone=True))

# The disk is not waited for: a crash may undo the last of these transactions, rows and notes together; it comes again.
_TAKE_TURN = DriverStatement(
    text("SELECT pg_try_advisory_xact_lock(:turn) AS ours FROM set_config('synchronous_commit', 'off', true)")
)
_KEEP_TURN = text("SELECT pg_advisory_lock(:turn)")
_END_TURN = text("SELECT pg_advisory_unlock(:turn)")
_NOTED = text("SELECT id, expert_id FROM expert_changed")
_FORGET = text("DELETE FROM expert_changed WHERE id = ANY(:notes)")
_NEXT_CHECK = DriverStatement(
    text(
        "SELECT CASE WHEN EXISTS (SELECT FROM expert_changed) THEN :now"
        " ELSE (SELECT min(check_at) FROM expert_next WHERE minutes = 0) END AS at"
    ).bindparams(_now)
)
# Who has been noted first comes first, with all notes of theirs: somebody who is booked all the time is one of many.
_CLAIM = DriverStatement(
    text(
        """
        WITH noted AS MATERIALIZED (SELECT id, expert_id FROM expert_changed ORDER BY id LIMIT 1000),
        first AS (SELECT expert_id FROM noted GROUP BY expert_id ORDER BY min(id) LIMIT :most),
        changed AS (
          DELETE FROM expert_changed
           WHERE id = ANY(ARRAY(SELECT id FROM noted WHERE expert_id IN (SELECT expert_id FROM first)))
          RETURNING expert_id
        )
        SELECT expert_id FROM changed
        UNION
        (SELECT expert_id FROM expert_next WHERE minutes = 0 AND check_at <= :now ORDER BY check_at LIMIT :most)
        """
    ).bindparams(_now)
)
_EXISTING = DriverStatement(
    text("SELECT id FROM expert WHERE id = ANY(:ids) ORDER BY id FOR KEY SHARE").bindparams(_ids)
)
_LAPSES = DriverStatement(
    text(
        "SELECT expert_id, min(hold_until) AS at FROM booking WHERE expert_id = ANY(:ids)"  # noqa: S608
        f" AND status = 'held' AND hold_until > :now AND {LIVE_ROWS} GROUP BY expert_id"
    ).bindparams(_ids, _now)
)


def _equalise(table: Table, given: str, *values: BindParameter[Any]) -> DriverStatement:
    """Make the rows of some experts equal to those that are `given`, touching only those that differ."""
    columns, key = list(table.columns), list(table.primary_key)
    names, keys = ", ".join(column.name for column in columns), ", ".join(column.name for column in key)
    changed = ", ".join(f"{column.name} = excluded.{column.name}" for column in columns if column not in key)
    # No index knows where a row lies (ctid), so none by time looks as if it were enough to read the rows from.
    statement = f"""
        WITH wanted ({names}) AS MATERIALIZED ({given}),
        there AS MATERIALIZED (SELECT ctid AS lies_at, {names} FROM {table.name} WHERE expert_id = ANY(:ids)),
        gone AS (
          DELETE FROM {table.name} WHERE ctid = ANY(ARRAY(
            SELECT lies_at FROM there WHERE ({keys}) NOT IN (SELECT {keys} FROM wanted)
          ))
        )
        INSERT INTO {table.name} ({names}) SELECT * FROM wanted EXCEPT SELECT {names} FROM there
        ON CONFLICT ({keys}) DO UPDATE SET {changed}
        RETURNING 1 AS written
        """  # noqa: S608 - our own names only
    return DriverStatement(text(statement).bindparams(_ids, *values))


_EQUALISE_NEXT = _equalise(
    expert_next,
    "SELECT * FROM unnest(:expert_id, :minutes, :free_at, :check_at)",
    *(bindparam(column.name, type_=postgresql.ARRAY(column.type)) for column in expert_next.columns),
)
# Some thousand rows at once: arrays of numbers in PostgreSQL's own writing cost the driver nothing.
_EQUALISE_FREE = _equalise(
    expert_free,
    """SELECT (:ids)[place], minutes, half_day, to_timestamp(first_at), to_timestamp(last_at)
         FROM unnest(CAST(:place AS int[]), CAST(:minutes AS smallint[]), CAST(:half_day AS int[]),
                     CAST(:first_at AS bigint[]), CAST(:last_at AS bigint[]))
           AS given (place, minutes, half_day, first_at, last_at)""",
)


async def take_turn(connection: AsyncConnection) -> bool:
    """Be the only one who works rows out until the transaction ends; False when somebody else is at it."""
    [row] = await _TAKE_TURN.all(connection, {"turn": TURN})
    return bool(row.ours)


@asynccontextmanager
async def everything_noted(connection: AsyncConnection) -> AsyncIterator[list[UUID]]:
    """Everybody whose rows are to be worked out anew, off the list when this ends well; our turn meanwhile.

    On a connection without a transaction. Waits for its turn.
    """
    await connection.execute(_KEEP_TURN, {"turn": TURN})
    try:
        notes = (await connection.execute(_NOTED)).all()
        yield sorted({note.expert_id for note in notes})
        await connection.execute(_FORGET, {"notes": [note.id for note in notes]})
    finally:
        await connection.execute(_END_TURN, {"turn": TURN})


async def existing(connection: AsyncConnection, expert_ids: Sequence[UUID]) -> list[UUID]:
    """Those of these experts who are there; nobody can delete them before the transaction ends."""
    return [row.id for row in await _EXISTING.all(connection, {"ids": list(expert_ids)})]


async def next_check(connection: AsyncConnection, now: datetime) -> datetime | None:
    """When the first row has to be worked out anew: `now` or earlier where there is something to do already."""
    [row] = await _NEXT_CHECK.all(connection, {"now": now})
    at: datetime | None = row.at
    return at


async def claim(connection: AsyncConnection, most: int, now: datetime) -> list[UUID]:
    """Some experts whose rows are to be worked out anew, off the list as soon as the transaction ends well."""
    return [row.expert_id for row in await _CLAIM.all(connection, {"most": most, "now": now})]


async def lapses(connection: AsyncConnection, expert_ids: Sequence[UUID], now: datetime) -> dict[UUID, datetime]:
    """When the first hold of each of these experts lapses, of those who have one."""
    return {row.expert_id: row.at for row in await _LAPSES.all(connection, {"ids": list(expert_ids), "now": now})}


async def write(connection: AsyncConnection, found: Mapping[UUID, Mapping[int, FreeTimes]]) -> None:
    """Make the rows of these experts say what has been found; an expert without any minutes must not be among them."""
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
