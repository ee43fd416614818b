"""Statements about deadlines: holds and unanswered pending bookings expire."""

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import DateTime, bindparam, text
from sqlalchemy.ext.asyncio import AsyncConnection

# Holds that never became bookings are deleted after this.
EXPIRED_HOLDS_KEPT: Final = timedelta(days=1)
_BATCH: Final = 500
_now = bindparam("now", type_=DateTime(timezone=True))
_NEXT = text(
    """
    SELECT least((SELECT min(hold_until) FROM booking WHERE status = 'held'),
                 (SELECT min(coalesce(answer_by, starts_at)) FROM booking WHERE status = 'pending'))
    """
)
# Skip rows that another process has locked, so that one locked row delays no other.
_EXPIRE = text(
    """
    WITH overdue_holds AS (
      SELECT id FROM booking WHERE status = 'held' AND hold_until <= :now
       ORDER BY hold_until LIMIT :limit FOR UPDATE SKIP LOCKED
    ), overdue_requests AS (
      SELECT id FROM booking WHERE status = 'pending' AND coalesce(answer_by, starts_at) <= :now
       ORDER BY coalesce(answer_by, starts_at) LIMIT :limit FOR UPDATE SKIP LOCKED
    )
    UPDATE booking
       SET status = 'expired', hold_origin = NULL, hold_keeper = NULL, answer_by = NULL, updated_at = now(),
           version = version + 1, changed_by = 'system', changed_with = NULL,
           change_reason = CASE status WHEN 'pending' THEN 'not answered in time' ELSE '' END
     WHERE id IN (SELECT id FROM overdue_holds UNION ALL SELECT id FROM overdue_requests)
    """
).bindparams(_now)
_SWEEP = text(
    """
    DELETE FROM booking WHERE id IN (
      SELECT id FROM booking WHERE status = 'expired' AND email IS NULL AND updated_at < :before LIMIT :limit
    )
    """
).bindparams(bindparam("before", type_=DateTime(timezone=True)))


async def next_due(connection: AsyncConnection) -> datetime | None:
    """Return the next deadline of a hold or pending booking; in the past if one is overdue."""
    at: datetime | None = await connection.scalar(_NEXT)
    return at


async def expire(connection: AsyncConnection, now: datetime) -> bool:
    """Mark some overdue holds and pending bookings as expired; False if there were none."""
    return (await connection.execute(_EXPIRE, {"now": now, "limit": _BATCH})).rowcount > 0


async def sweep(connection: AsyncConnection, now: datetime) -> bool:
    """Delete some old holds that never became bookings; False if there were none."""
    return (await connection.execute(_SWEEP, {"before": now - EXPIRED_HOLDS_KEPT, "limit": _BATCH})).rowcount > 0
