"""Statements about the photos of experts."""

from collections.abc import Mapping
from uuid import UUID

from sqlalchemy import delete, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from expert_booking.db.tables import expert, expert_photo

_e, _p = expert.c, expert_photo.c


async def put(connection: AsyncConnection, expert_id: UUID, version: str, files: Mapping[int, bytes]) -> None:
    """Store the photo of an expert, by size in pixels, and replace an earlier one."""
    values = {"version": version, **{f"pixels_{pixels}": file for pixels, file in files.items()}}
    statement = insert(expert_photo).values(expert_id=expert_id, **values)
    await connection.execute(statement.on_conflict_do_update(index_elements=["expert_id"], set_=values))
    await connection.execute(update(expert).where(_e.id == expert_id).values(photo=version))


async def remove(connection: AsyncConnection, expert_id: UUID) -> None:
    """Delete the photo of an expert, if there is one."""
    await connection.execute(delete(expert_photo).where(_p.expert_id == expert_id))
    await connection.execute(update(expert).where(_e.id == expert_id).values(photo=""))


async def file(connection: AsyncConnection, version: str, pixels: int) -> bytes | None:
    """Return the file of this version and size, if it is the photo of an active expert."""
    wanted = select(_p[f"pixels_{pixels}"]).join_from(expert_photo, expert, _e.id == _p.expert_id)
    found: bytes | None = await connection.scalar(wanted.where(_p.version == version, _e.active).limit(1))
    return found
