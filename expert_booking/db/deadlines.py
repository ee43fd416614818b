"""Statements about what is over when its time has come: holds, and requests that nobody has answered."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import DateTime, Uuid, bindparam, text
from sqlalchemy.ext.asyncio import AsyncConnection

# A hold that nobody made a booking of is of no use to anybody after this.
_HOLDS_ARE_KEPT: Final = timedelta(days=1)
_SOME: Final = 1000
_now = bindparam("now", type_=DateTime(timezone=True))
_NEXT = text(
    """
    SELECT least((SELECT min(hold_until) FROM booking WHERE status = 'held'),
                 (SELECT min(coalesce(answer_by, starts_at)) FROM booking WHERE status = 'pending'))
    """
)
_DUE = text(
    """
    (SELECT id FROM booking WHERE status = 'held' AND hold_until <= :now ORDER BY hold_until LIMIT :most)
    UNION ALL
    (SELECT id FROM booking WHERE status = 'pending' AND coalesce(answer_by, starts_at) <= :now
      ORDER BY coalesce(answer_by, starts_at) LIMIT :most)
    """
).bindparams(_now)
# One row at a time: whoever books over a lapsed hold in the same moment waits for it and nothing else.
_EXPIRE = text(
    """
    UPDATE booking
       SET status = 'expired', hold_origin = NULL, hold_keeper = NULL, answer_by = NULL, updated_at = now(),
           version = version + 1, changed_by = 'house', changed_with = NULL,
           change_reason = CASE status WHEN 'pending' THEN 'not answered in time' ELSE '' END
     WHERE id = :id AND (status = 'held' AND hold_until <= :now
                         OR status = 'pending' AND coalesce(answer_by, starts_at) <= :now)
    """
).bindparams(_now, bindparam("id", type_=Uuid))
_SWEEP = text(
    """
    DELETE FROM booking WHERE id IN (
      SELECT id FROM booking WHERE status = 'expired' AND email IS NULL AND updated_at < :before LIMIT :most
    )
    """
).bindparams(bindparam("before", type_=DateTime(timezone=True)))


async def next_due(connection: AsyncConnection) -> datetime | None:
    """When the next hold lapses or the next request has waited long enough; in the past where that is to be written."""
    at: datetime | None = await connection.scalar(_NEXT)
    return at


async def due(connection: AsyncConnection, now: datetime) -> Sequence[UUID]:
    """Some of the holds and requests whose time is over."""
    return (await connection.scalars(_DUE, {"now": now, "most": _SOME})).all()


async def expire(connection: AsyncConnection, booking_id: UUID, now: datetime) -> None:
    """Write that it is over, if that is still so."""
    await connection.execute(_EXPIRE, {"id": booking_id, "now": now})


async def sweep(connection: AsyncConnection, now: datetime) -> None:
    """Delete some old holds that nobody made a booking of. Their history stays."""
    await connection.execute(_SWEEP, {"before": now - _HOLDS_ARE_KEPT, "most": _SOME})
