"""Statements about holds that are there. They are made, as bookings are, in `db/bookings.py`."""

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import DateTime, LargeBinary, Uuid, and_, bindparam, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from expert_booking.db.engine import AnyRow
from expert_booking.db.tables import booking

# The time in which the holds that a network starts are counted.
MINUTE: Final = timedelta(minutes=1)

_b = booking.c
_FACTS: Final = (_b.id, _b.expert_id, _b.session_type_id, _b.starts_at, _b.ends_at, _b.hold_until, _b.held_at,
                 _b.hold_keeper)  # fmt: skip
_LIVES: Final = and_(_b.status == "held", _b.hold_until > bindparam("now"))
_LIVE = select(*_FACTS).where(_LIVES)
_RENEW = (
    update(booking)
    .where(_b.id == bindparam("hold_id"), _LIVES)
    .values(hold_until=bindparam("until"), updated_at=func.now(), version=_b.version + 1)
    .returning(*_FACTS)
)
_KEEP = (
    update(booking)
    .where(_b.id == bindparam("hold_id"), _LIVES)
    .values(hold_keeper=bindparam("keeper"))
    .returning(*_FACTS)
)
_RELEASE = (
    update(booking)
    .where(_b.status == "held")
    .values(status="expired", hold_origin=None, hold_keeper=None, updated_at=func.now(), version=_b.version + 1,
            changed_by=bindparam("by"), changed_with=None, change_reason="")
    .returning(_b.id)
)  # fmt: skip
# The network's holds that are not over, and where it has started `most` holds after `since`, the start of the oldest of
# them. The new hold is counted by the same statement, and taken back with its transaction.
_COUNT_ONE_MORE = text(
    """
    WITH this_one AS (
      INSERT INTO network_hold (origin, held_at) VALUES (:origin, :now)
    ), lately AS (
      SELECT held_at FROM network_hold WHERE origin = :origin AND held_at > :since ORDER BY held_at DESC LIMIT :most
    )
    SELECT (SELECT count(*) FROM booking
             WHERE hold_origin = :origin AND status = 'held' AND hold_until > :now AND id IS DISTINCT FROM :besides),
           (SELECT min(held_at) FROM lately HAVING count(*) = :most)
    """
).bindparams(
    bindparam("origin", type_=LargeBinary), bindparam("besides", type_=Uuid),
    bindparam("now", type_=DateTime(timezone=True)), bindparam("since", type_=DateTime(timezone=True)),
)  # fmt: skip
_FORGET = text("DELETE FROM network_hold WHERE held_at <= :before")
_ONE_AT_A_TIME = text("SELECT pg_advisory_xact_lock(hashtextextended(encode(:whose, 'hex'), 0))")


async def by_id(connection: AsyncConnection, hold_id: UUID, now: datetime) -> AnyRow | None:
    """A hold that is not over."""
    return (await connection.execute(_LIVE.where(_b.id == hold_id), {"now": now})).one_or_none()


async def of_visitor(connection: AsyncConnection, visitor: bytes, now: datetime) -> AnyRow | None:
    """The hold of this browser, if it is not over."""
    return (await connection.execute(_LIVE.where(_b.visitor == visitor), {"now": now})).one_or_none()


async def renew(connection: AsyncConnection, hold_id: UUID, until: datetime, now: datetime) -> AnyRow | None:
    """Let a hold that is not over last until then."""
    return (await connection.execute(_RENEW, {"hold_id": hold_id, "until": until, "now": now})).one_or_none()


async def keep(connection: AsyncConnection, hold_id: UUID, keeper: UUID | None, now: datetime) -> AnyRow | None:
    """Say whose pages show a hold; None when it is over, or has just become a booking."""
    return (await connection.execute(_KEEP, {"hold_id": hold_id, "keeper": keeper, "now": now})).one_or_none()


async def release(connection: AsyncConnection, hold_id: UUID, keeper: UUID | None, now: datetime) -> bool:
    """Let a hold go; False when it is over already, or another process's pages keep it."""
    wanted = _RELEASE.where(_b.id == hold_id, _LIVES)
    if keeper is not None:
        wanted = wanted.where(_b.hold_keeper == keeper)
    return (await connection.execute(wanted, {"by": "customer", "now": now})).one_or_none() is not None


async def release_of_visitor(connection: AsyncConnection, visitor: bytes) -> None:
    """Let go whatever this browser holds, over or not."""
    await connection.execute(_RELEASE.where(_b.visitor == visitor), {"by": "customer"})


async def one_at_a_time(connection: AsyncConnection, whose: bytes) -> None:
    """Wait for whoever else takes a hold for this browser or network; our turn until the transaction ends."""
    await connection.execute(_ONE_AT_A_TIME, {"whose": whose})


async def count_one_more(
    connection: AsyncConnection, origin: bytes, now: datetime, *, besides: UUID | None, per_minute: int
) -> tuple[int, datetime | None]:
    """Count a hold that this network starts now; it is taken back with the transaction.

    How many other holds of the network are not over, without `besides`. And where it has already started `per_minute`
    holds within MINUTE, when the oldest of the last `per_minute` was started; else None.
    """
    values = {"origin": origin, "now": now, "since": now - MINUTE, "most": per_minute, "besides": besides}
    there, full_since = (await connection.execute(_COUNT_ONE_MORE, values)).one()
    return there, full_since


async def forget_old(connection: AsyncConnection, now: datetime) -> None:
    """Delete what does not count any more of the holds that networks have started."""
    await connection.execute(_FORGET, {"before": now - MINUTE})
