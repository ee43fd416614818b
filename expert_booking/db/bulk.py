"""Statements that load millions of bookings, as lines in COPY's text format."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from expert_booking.db.tables import AGREED_TERMS

# The columns of a line, separated by tabs.
COLUMNS: Final = (
    "id", "expert_id", "session_type_id", "starts_at", "ends_at", "busy", "status", "name", "email", "customer_key",
    "phone", "notes", "time_zone", "title", *AGREED_TERMS,
)  # fmt: skip
_names: Final = ", ".join(COLUMNS)
_INCOMING: Final = (
    f"CREATE TEMP TABLE IF NOT EXISTS incoming_lines ON COMMIT DELETE ROWS AS SELECT {_names} FROM booking LIMIT 0"  # noqa: S608
)
# changed_at = starts_at, so that no reminder is sent for imported bookings.
_INSERT_INCOMING: Final = (
    f"INSERT INTO booking ({_names}, changed_at) SELECT {_names}, starts_at FROM incoming_lines ON CONFLICT DO NOTHING"  # noqa: S608
)
_REMINDERS_OFF: Final = "ALTER TABLE booking ALTER changed_at SET DEFAULT '9999-01-01 00:00Z'"
_REMINDERS_ON: Final = "ALTER TABLE booking ALTER changed_at SET DEFAULT now()"
_NOW: Final = text("SELECT now()")
_SUPPRESS_REMINDERS: Final = text(
    """
    UPDATE booking SET changed_at = starts_at
     WHERE created_at >= :since AND status IN ('pending', 'confirmed') AND changed_at < starts_at
       AND NOT EXISTS (SELECT FROM message WHERE message.booking_id = booking.id)
    """
)

# Constraints that are expensive per row; check constraints are cheap and stay. Foreign keys are dropped first and
# recreated last.
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
_HAS_BOOKINGS: Final = text("SELECT EXISTS (SELECT FROM booking)")


async def now(connection: AsyncConnection) -> datetime:
    """Return the database's time."""
    at: datetime = (await connection.execute(_NOW)).scalar_one()
    return at


async def suppress_reminders(connection: AsyncConnection, since: datetime) -> None:
    """Suppress reminders for bookings that were made since then and have no emails."""
    await connection.execute(_SUPPRESS_REMINDERS, {"since": since})


async def close_if_empty(connection: AsyncConnection) -> bool:
    """Lock the table exclusively until the transaction ends, if it has no bookings or holds. False if it has."""
    if await connection.scalar(_HAS_BOOKINGS):
        return False
    await connection.execute(text("LOCK TABLE booking IN ACCESS EXCLUSIVE MODE"))
    return not await connection.scalar(_HAS_BOOKINGS)  # another process may have booked while this waited


async def insert(connection: AsyncConnection, lines: bytes) -> None:
    """Insert some bookings. Skips those whose id exists or whose time is taken."""
    cursor = await _cursor(connection)
    await cursor.execute(_INCOMING)
    async with cursor.copy(f"COPY incoming_lines ({_names}) FROM STDIN") as copy:
        await copy.write(lines)
    await cursor.execute(_INSERT_INCOMING)


async def fill(connection: AsyncConnection, lines: AsyncIterator[bytes]) -> None:
    """Load bookings into the empty, locked table, and build its fences and indexes afterwards.

    All in the caller's transaction, which blocks every other use of the table. If the transaction fails (or the power
    does), the fences are there and the table is empty. Conflicting lines fail when the fences are built.
    """
    async with _without_fences(connection):
        cursor = await _cursor(connection)
        await cursor.execute(_REMINDERS_OFF)
        async with cursor.copy(f"COPY booking ({_names}) FROM STDIN") as copy:
            async for chunk in lines:
                await copy.write(chunk)
        await cursor.execute(_REMINDERS_ON)
    # The triggers that announce each row were off, so queue every expert for recomputation.
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
