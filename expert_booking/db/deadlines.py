"""Statements about deadlines: holds and requests expire, and ended sessions are completed some time later."""

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import DateTime, Interval, bindparam, text
from sqlalchemy.ext.asyncio import AsyncConnection

# Holds that never became bookings are deleted after this.
EXPIRED_HOLDS_KEPT: Final = timedelta(days=1)
# Rows that one statement changes.
BATCH: Final = 500
_now = bindparam("now", type_=DateTime(timezone=True))
_NEXT = text(
    """
    SELECT least((SELECT min(hold_until) FROM booking WHERE status = 'held'),
                 (SELECT min(coalesce(verify_by, answer_by, starts_at)) FROM booking WHERE status = 'pending'),
                 (SELECT min(ends_at) FROM booking WHERE status = 'confirmed') + :complete_after)
    """
).bindparams(bindparam("complete_after", type_=Interval))
# Skip rows that another process has locked, so that one locked row delays no other.
_EXPIRE = text(
    """
    WITH overdue_holds AS (
      SELECT id FROM booking WHERE status = 'held' AND hold_until <= :now
       ORDER BY hold_until LIMIT :limit FOR UPDATE SKIP LOCKED
    ), overdue_requests AS (
      SELECT id FROM booking WHERE status = 'pending' AND coalesce(verify_by, answer_by, starts_at) <= :now
       ORDER BY coalesce(verify_by, answer_by, starts_at) LIMIT :limit FOR UPDATE SKIP LOCKED
    )
    UPDATE booking
       SET status = 'expired', hold_origin = NULL, hold_keeper = NULL, answer_by = NULL, updated_at = now(),
           version = version + 1, changed_by = 'system', changed_with = NULL,
           change_reason = CASE WHEN status = 'held' THEN ''
                                WHEN verify_by IS NOT NULL THEN 'email address not confirmed in time'
                                ELSE 'not answered in time' END
     WHERE id IN (SELECT id FROM overdue_holds UNION ALL SELECT id FROM overdue_requests)
    """
).bindparams(_now)
_COMPLETE = text(
    """
    WITH ended AS (
      SELECT id FROM booking WHERE status = 'confirmed' AND ends_at <= :ended_by
       ORDER BY ends_at LIMIT :limit FOR UPDATE SKIP LOCKED
    )
    UPDATE booking
       SET status = 'completed', updated_at = now(), version = version + 1, changed_by = 'system', changed_with = NULL,
           changed_at = :now, change_reason = 'completed automatically'
     WHERE id IN (SELECT id FROM ended)
    """
).bindparams(_now, bindparam("ended_by", type_=DateTime(timezone=True)))
_SWEEP = text(
    """
    DELETE FROM booking WHERE id IN (
      SELECT id FROM booking WHERE status = 'expired' AND email IS NULL AND updated_at < :before LIMIT :limit
    )
    """
).bindparams(bindparam("before", type_=DateTime(timezone=True)))


async def next_due(connection: AsyncConnection, complete_after: timedelta | None) -> datetime | None:
    """Return the next deadline of a hold or booking; in the past if one is overdue. `complete_after`: see `Site`."""
    at: datetime | None = await connection.scalar(_NEXT, {"complete_after": complete_after})
    return at


async def expire(connection: AsyncConnection, now: datetime) -> bool:
    """Mark some overdue holds and pending bookings as expired; False if there were none."""
    return (await connection.execute(_EXPIRE, {"now": now, "limit": BATCH})).rowcount > 0


async def complete(connection: AsyncConnection, ended_by: datetime, now: datetime) -> bool:
    """Complete some confirmed sessions that ended at `ended_by` or earlier; True if there may be more of them."""
    values = {"ended_by": ended_by, "now": now, "limit": BATCH}
    return (await connection.execute(_COMPLETE, values)).rowcount == BATCH


async def sweep(connection: AsyncConnection, now: datetime) -> bool:
    """Delete some old holds that never became bookings; False if there were none."""
    return (await connection.execute(_SWEEP, {"before": now - EXPIRED_HOLDS_KEPT, "limit": BATCH})).rowcount > 0
