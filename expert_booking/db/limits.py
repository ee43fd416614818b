"""Statements about what networks and customers have done recently, to limit it.

Bookings are counted by the statement that inserts them (`db/bookings/inserts.py`).
"""

from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import DateTime, LargeBinary, Uuid, bindparam, text
from sqlalchemy.ext.asyncio import AsyncConnection

from expert_booking.domain.limits import HOUR

# The network first, then the booking, always in that order, to avoid deadlocks. Without a network only the booking.
_LOCK_CHANGES: Final = text(
    """
    SELECT pg_advisory_xact_lock(hashtextextended('changes from ' || encode(:origin, 'hex'), 0)),
           pg_advisory_xact_lock(hashtextextended('changes of ' || CAST(:booking_id AS text), 0))
    """
).bindparams(bindparam("origin", type_=LargeBinary), bindparam("booking_id", type_=Uuid))
# Counts this change, and returns when the oldest of the last `per_hour` changes before it was made, of the booking and
# by the network; NULL if there were fewer. A rollback uncounts the change.
_COUNT_CHANGE: Final = text(
    """
    WITH counted AS (
      INSERT INTO network_change (booking_id, origin, changed_at) VALUES (:booking_id, :origin, :now)
    )
    SELECT (SELECT changed_at FROM network_change WHERE booking_id = :booking_id AND changed_at > :since
             ORDER BY changed_at DESC OFFSET :per_hour - 1 LIMIT 1),
           (SELECT changed_at FROM network_change WHERE origin = :origin AND changed_at > :since
             ORDER BY changed_at DESC OFFSET :per_hour - 1 LIMIT 1)
    """
).bindparams(
    bindparam("booking_id", type_=Uuid), bindparam("origin", type_=LargeBinary),
    bindparam("now", type_=DateTime(timezone=True)), bindparam("since", type_=DateTime(timezone=True)),
)  # fmt: skip
_DELETE_OLD_CHANGES: Final = text("DELETE FROM network_change WHERE changed_at <= :since")
_DELETE_OLD_BOOKINGS: Final = text(
    """
    DELETE FROM network_booking AS made WHERE booked_at <= :since AND NOT (:live_count AND EXISTS (
      SELECT FROM booking WHERE id = made.booking_id AND status IN ('pending', 'confirmed') AND starts_at > :now))
    """
)


async def lock_changes(connection: AsyncConnection, booking_id: UUID, origin: bytes | None) -> None:
    """Lock changes of this booking and by this network until the transaction ends. Waits for other transactions."""
    await connection.execute(_LOCK_CHANGES, {"booking_id": booking_id, "origin": origin})


async def count_change(
    connection: AsyncConnection, booking_id: UUID, origin: bytes | None, now: datetime, *, per_hour: int
) -> tuple[datetime | None, datetime | None]:
    """Count a change that is made now. A rollback uncounts it.

    If there were already `per_hour` changes within HOUR, return when the oldest of these was made: of the booking, and
    by the network.
    """
    values = {"booking_id": booking_id, "origin": origin, "now": now, "since": now - HOUR, "per_hour": per_hour}
    of_booking, by_network = (await connection.execute(_COUNT_CHANGE, values)).one()
    return of_booking, by_network


async def forget_old(connection: AsyncConnection, now: datetime, *, live_count: bool) -> None:
    """Delete which networks made bookings and changes more than HOUR ago.

    With `live_count`, the network of a booking is kept as long as the booking is upcoming and not cancelled, because
    upcoming bookings are limited.
    """
    await connection.execute(_DELETE_OLD_CHANGES, {"since": now - HOUR})
    await connection.execute(_DELETE_OLD_BOOKINGS, {"since": now - HOUR, "now": now, "live_count": live_count})
