"""Statements for bookings by the million: lines in COPY's text format instead of rows."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

# What a line holds, one column after another, with tabs in between.
COLUMNS: Final = (
    "id", "expert_id", "session_type_id", "starts_at", "ends_at", "busy", "status", "name", "email", "customer_key",
    "phone", "notes", "time_zone", "title", "cancel_notice_minutes", "reschedule_notice_minutes", "max_reschedules",
)  # fmt: skip
_names: Final = ", ".join(COLUMNS)
_INCOMING: Final = (
    f"CREATE TEMP TABLE IF NOT EXISTS incoming_lines ON COMMIT DELETE ROWS AS SELECT {_names} FROM booking LIMIT 0"  # noqa: S608
)
# As if changed when they begin: of what nobody has booked nobody is reminded.
_INSERT_INCOMING: Final = (
    f"INSERT INTO booking ({_names}, changed_at) SELECT {_names}, starts_at FROM incoming_lines ON CONFLICT DO NOTHING"  # noqa: S608
)
_REMIND_NOBODY: Final = "ALTER TABLE booking ALTER changed_at SET DEFAULT '9999-01-01 00:00Z'"
_REMIND_AGAIN: Final = "ALTER TABLE booking ALTER changed_at SET DEFAULT now()"
_NOW: Final = text("SELECT now()")
_SAMPLES_REMIND_NOBODY: Final = text(
    """
    UPDATE booking SET changed_at = starts_at
     WHERE created_at >= :since AND status IN ('pending', 'confirmed') AND changed_at < starts_at
       AND NOT EXISTS (SELECT FROM message WHERE message.booking_id = booking.id)
    """
)

# Everything that costs time for each single row; checks are cheap and stay. Foreign keys go first and come last.
_CONSTRAINTS: Final = text(
    """
    SELECT conrelid::regclass::text AS owner, quote_ident(conname) AS name, pg_get_constraintdef(oid) AS definition
      FROM pg_constraint
     WHERE contype IN ('p', 'u', 'x', 'f') AND 'booking'::regclass IN (conrelid, confrelid)
     ORDER BY position(contype::text IN 'fxup'), conname
    """
)
_INDEXES: Final = text(
    """
    SELECT indexrelid::regclass::text AS name, pg_get_indexdef(indexrelid) AS definition FROM pg_index
     WHERE indrelid = 'booking'::regclass
       AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid AND conrelid = indrelid)
     ORDER BY 1
    """
)
_FILLED: Final = text("SELECT EXISTS (SELECT FROM booking)")


async def now(connection: AsyncConnection) -> datetime:
    """The database's own time."""
    at: datetime = (await connection.execute(_NOW)).scalar_one()
    return at


async def remind_nobody(connection: AsyncConnection, since: datetime) -> None:
    """Of bookings that were made since then, and of which nobody was told, nobody is reminded either."""
    await connection.execute(_SAMPLES_REMIND_NOBODY, {"since": since})


async def close_if_empty(connection: AsyncConnection) -> bool:
    """Close the table to everybody else until the transaction ends, if there is no booking in it, not even a hold."""
    if await connection.scalar(_FILLED):
        return False
    await connection.execute(text("LOCK TABLE booking IN ACCESS EXCLUSIVE MODE"))
    return not await connection.scalar(_FILLED)  # somebody may have booked while this waited


async def insert(connection: AsyncConnection, lines: bytes) -> None:
    """Insert some bookings; those whose id is there or whose time is taken are left out."""
    cursor = await _cursor(connection)
    await cursor.execute(_INCOMING)
    async with cursor.copy(f"COPY incoming_lines ({_names}) FROM STDIN") as copy:
        await copy.write(lines)
    await cursor.execute(_INSERT_INCOMING)


async def fill(connection: AsyncConnection, lines: AsyncIterator[bytes]) -> None:
    """Insert bookings into the table that is empty and closed, with all fences and indexes built afterwards.

    All in the caller's transaction: until it ends nobody else can use the table, and if it does not end well (or the
    power fails) there are all fences and no bookings. Lines that contradict each other fail when the fences are built.
    """
    async with _without_fences(connection):
        cursor = await _cursor(connection)
        await cursor.execute(_REMIND_NOBODY)
        async with cursor.copy(f"COPY booking ({_names}) FROM STDIN") as copy:
            async for some in lines:
                await copy.write(some)
        await cursor.execute(_REMIND_AGAIN)
    # In place of the news of each row: everybody's rows are to be worked out anew.
    await connection.execute(text("INSERT INTO expert_changed (expert_id) SELECT id FROM expert"))


@asynccontextmanager
async def _without_fences(connection: AsyncConnection) -> AsyncIterator[None]:
    for setting in ("statement_timeout = 0", "maintenance_work_mem = '512MB'"):
        await connection.execute(text(f"SET LOCAL {setting}"))
    constraints = (await connection.execute(_CONSTRAINTS)).all()
    indexes = (await connection.execute(_INDEXES)).all()
    await connection.execute(text("ALTER TABLE booking DISABLE TRIGGER USER"))
    for owner, name, _ in constraints:
        await connection.execute(text(f"ALTER TABLE {owner} DROP CONSTRAINT {name}"))
    for name, _ in indexes:
        await connection.execute(text(f"DROP INDEX {name}"))
    yield
    for _, definition in indexes:
        await connection.exec_driver_sql(definition)
    for owner, name, definition in reversed(constraints):
        await connection.exec_driver_sql(f"ALTER TABLE {owner} ADD CONSTRAINT {name} {definition}")
    await connection.execute(text("ALTER TABLE booking ENABLE TRIGGER USER"))


async def _cursor(connection: AsyncConnection) -> Any:
    return (await connection.get_raw_connection()).driver_connection.cursor()  # type: ignore[union-attr]
