"""Statements about what is over when its time has come: holds, and requests that nobody has answered."""

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import DateTime, bindparam, text
from sqlalchemy.ext.asyncio import AsyncConnection

# A hold that nobody made a booking of is of no use to anybody after this.
_HOLDS_ARE_KEPT: Final = timedelta(days=1)
_SOME: Final = 500
_now = bindparam("now", type_=DateTime(timezone=True))
_NEXT = text(
    """
    SELECT least((SELECT min(hold_until) FROM booking WHERE status = 'held'),
                 (SELECT min(coalesce(answer_by, starts_at)) FROM booking WHERE status = 'pending'))
    """
)
# What somebody else is just changing is left to them, or to the next time: who sits on a row delays no other.
_EXPIRE = text(
    """
    WITH lapsed AS (
      SELECT id FROM booking WHERE status = 'held' AND hold_until <= :now
       ORDER BY hold_until LIMIT :most FOR UPDATE SKIP LOCKED
    ), unanswered AS (
      SELECT id FROM booking WHERE status = 'pending' AND coalesce(answer_by, starts_at) <= :now
       ORDER BY coalesce(answer_by, starts_at) LIMIT :most FOR UPDATE SKIP LOCKED
    )
    UPDATE booking
       SET status = 'expired', hold_origin = NULL, hold_keeper = NULL, answer_by = NULL, updated_at = now(),
           version = version + 1, changed_by = 'system', changed_with = NULL,
           change_reason = CASE status WHEN 'pending' THEN 'not answered in time' ELSE '' END
     WHERE id IN (SELECT id FROM lapsed UNION ALL SELECT id FROM unanswered)
    """
).bindparams(_now)
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


async def expire(connection: AsyncConnection, now: datetime) -> bool:
    """Write of some holds and requests whose time is over that it is; False when there are none left."""
    return (await connection.execute(_EXPIRE, {"now": now, "most": _SOME})).rowcount > 0


async def sweep(connection: AsyncConnection, now: datetime) -> bool:
    """Delete some old holds that nobody made a booking of; False when there are none left. Their history stays."""
    return (await connection.execute(_SWEEP, {"before": now - _HOLDS_ARE_KEPT, "most": _SOME})).rowcount > 0
