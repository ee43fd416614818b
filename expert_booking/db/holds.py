"""Statements about existing holds. Holds are inserted like bookings, in `db/bookings/`."""

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import DateTime, LargeBinary, Uuid, and_, bindparam, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from expert_booking.db.engine import AnyRow
from expert_booking.db.tables import booking

# The period of the limit on new holds per network.
MINUTE: Final = timedelta(minutes=1)

_b = booking.c
_COLUMNS: Final = (_b.id, _b.expert_id, _b.session_type_id, _b.starts_at, _b.ends_at, _b.hold_until, _b.held_at,
                 _b.hold_keeper)  # fmt: skip
_IS_LIVE: Final = and_(_b.status == "held", _b.hold_until > bindparam("now"))
_LIVE = select(*_COLUMNS).where(_IS_LIVE)
_RENEW = (
    update(booking)
    .where(_b.id == bindparam("hold_id"), _IS_LIVE)
    .values(hold_until=bindparam("until"), updated_at=func.now(), version=_b.version + 1)
    .returning(*_COLUMNS)
)
_SET_KEEPER = (
    update(booking)
    .where(_b.id == bindparam("hold_id"), _IS_LIVE)
    .values(hold_keeper=bindparam("keeper"))
    .returning(*_COLUMNS)
)
_RELEASE = (
    update(booking)
    .where(_b.status == "held")
    .values(status="expired", hold_origin=None, hold_keeper=None, updated_at=func.now(), version=_b.version + 1,
            changed_by=bindparam("by"), changed_with=None, change_reason="")
    .returning(_b.id)
)  # fmt: skip
# Counts the new hold, and returns the network's other live holds and, if it has started `per_minute` holds after
# `since`, when the oldest of these started. A rollback uncounts the hold.
_COUNT_NEW = text(
    """
    WITH counted AS (
      INSERT INTO network_hold (origin, held_at) VALUES (:origin, :now)
    ), recent AS (
      SELECT held_at FROM network_hold WHERE origin = :origin AND held_at > :since
       ORDER BY held_at DESC LIMIT :per_minute
    )
    SELECT (SELECT count(*) FROM booking
             WHERE hold_origin = :origin AND status = 'held' AND hold_until > :now AND id IS DISTINCT FROM :besides),
           (SELECT min(held_at) FROM recent HAVING count(*) = :per_minute)
    """
).bindparams(
    bindparam("origin", type_=LargeBinary), bindparam("besides", type_=Uuid),
    bindparam("now", type_=DateTime(timezone=True)), bindparam("since", type_=DateTime(timezone=True)),
)  # fmt: skip
_DELETE_OLD = text("DELETE FROM network_hold WHERE held_at <= :before")
_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended(encode(:owner, 'hex'), 0))")


async def by_id(connection: AsyncConnection, hold_id: UUID, now: datetime) -> AnyRow | None:
    """Return a live hold."""
    return (await connection.execute(_LIVE.where(_b.id == hold_id), {"now": now})).one_or_none()


async def of_visitor(connection: AsyncConnection, visitor: bytes, now: datetime) -> AnyRow | None:
    """Return the live hold of this browser, or None."""
    return (await connection.execute(_LIVE.where(_b.visitor == visitor), {"now": now})).one_or_none()


async def renew(connection: AsyncConnection, hold_id: UUID, until: datetime, now: datetime) -> AnyRow | None:
    """Extend a live hold; None if it is not live."""
    return (await connection.execute(_RENEW, {"hold_id": hold_id, "until": until, "now": now})).one_or_none()


async def set_keeper(connection: AsyncConnection, hold_id: UUID, keeper: UUID | None, now: datetime) -> AnyRow | None:
    """Set the process whose pages show a hold; None if it expired or became a booking."""
    return (await connection.execute(_SET_KEEPER, {"hold_id": hold_id, "keeper": keeper, "now": now})).one_or_none()


async def release(connection: AsyncConnection, hold_id: UUID, keeper: UUID | None, now: datetime) -> bool:
    """Release a hold; False if it is not live, or if pages of another process than `keeper` show it."""
    wanted = _RELEASE.where(_b.id == hold_id, _IS_LIVE)
    if keeper is not None:
        wanted = wanted.where(_b.hold_keeper == keeper)
    return (await connection.execute(wanted, {"by": "customer", "now": now})).one_or_none() is not None


async def release_of_visitor(connection: AsyncConnection, visitor: bytes) -> None:
    """Release the hold of this browser, expired or not."""
    await connection.execute(_RELEASE.where(_b.visitor == visitor), {"by": "customer"})


async def lock_new_holds(connection: AsyncConnection, owner: bytes) -> None:
    """Lock new holds of this browser or network until the transaction ends. Waits for other transactions."""
    await connection.execute(_LOCK, {"owner": owner})


async def count_new(
    connection: AsyncConnection, origin: bytes, now: datetime, *, besides: UUID | None, per_minute: int
) -> tuple[int, datetime | None]:
    """Count a hold that this network starts now. A rollback uncounts it.

    Returns how many other live holds the network has, without `besides`; and if it has already started `per_minute`
    holds within MINUTE, when the oldest of these started, else None.
    """
    values = {"origin": origin, "now": now, "since": now - MINUTE, "per_minute": per_minute, "besides": besides}
    live, full_since = (await connection.execute(_COUNT_NEW, values)).one()
    return live, full_since


async def forget_old(connection: AsyncConnection, now: datetime) -> None:
    """Delete counted holds that are older than MINUTE."""
    await connection.execute(_DELETE_OLD, {"before": now - MINUTE})
