"""Statements about assistants. The rows of removed assistants stay, because the history of bookings names them."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from expert_booking.db.engine import AnyRow
from expert_booking.db.tables import assistant

_a = assistant.c


async def of_expert(connection: AsyncConnection, expert_id: UUID) -> Sequence[AnyRow]:
    """Return the current assistants of an expert, in the order in which they were added."""
    wanted = select(_a.email, _a.email_key, _a.added_at).where(_a.expert_id == expert_id, _a.removed_at.is_(None))
    return (await connection.execute(wanted.order_by(_a.added_at, _a.email_key))).all()


async def add(connection: AsyncConnection, expert_id: UUID, email: str, email_key: str, now: datetime) -> None:
    """Insert an assistant. The caller has checked that there is no current one with this address."""
    values = {"expert_id": expert_id, "email": email, "email_key": email_key, "added_at": now}
    await connection.execute(insert(assistant).values(values))


async def remove(connection: AsyncConnection, expert_id: UUID, email_key: str, now: datetime) -> bool:
    """End the access of an assistant; False if there is none with this address."""
    current = (_a.expert_id == expert_id, _a.email_key == email_key, _a.removed_at.is_(None))
    return (await connection.execute(update(assistant).where(*current).values(removed_at=now))).rowcount == 1
