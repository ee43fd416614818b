"""Statements that only the demo needs: days unlike the others, of an expert by slug."""

from datetime import date
from typing import Final

from sqlalchemy import ARRAY, Date, SmallInteger, bindparam, text
from sqlalchemy.ext.asyncio import AsyncConnection

_ADD_OVERRIDE: Final = text(
    "INSERT INTO override (expert_id, day, kind, windows) SELECT id, :day, :kind, to_jsonb(:windows) FROM expert"
    " WHERE slug = :slug ON CONFLICT DO NOTHING"
).bindparams(bindparam("day", type_=Date), bindparam("windows", type_=ARRAY(SmallInteger, dimensions=2)))
_ADD_DAYS_OFF: Final = text(
    "INSERT INTO day_off (expert_id, first_day, last_day, reason) SELECT id, :first_day, :last_day, :reason"
    " FROM expert WHERE slug = :slug"
).bindparams(bindparam("first_day", type_=Date), bindparam("last_day", type_=Date))


async def add_override(
    connection: AsyncConnection, slug: str, day: date, kind: str, windows: list[tuple[int, int]]
) -> None:
    """Other hours, more or none on one local date; what is said about it already stays."""
    values = {"slug": slug, "day": day, "kind": kind, "windows": [list(window) for window in windows]}
    await connection.execute(_ADD_OVERRIDE, values)


async def add_days_off(connection: AsyncConnection, slug: str, first_day: date, last_day: date, reason: str) -> None:
    """Local dates, both included, on which nothing opens."""
    values = {"slug": slug, "first_day": first_day, "last_day": last_day, "reason": reason}
    await connection.execute(_ADD_DAYS_OFF, values)
