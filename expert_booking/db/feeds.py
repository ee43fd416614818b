"""Statements about calendars to subscribe to, and what stands in them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Select, bindparam, delete, func, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from expert_booking.db.engine import AnyRow
from expert_booking.db.tables import booking, expert, feed, installation

# Nobody has as many before them; where there are more, the earliest are left out.
MOST: Final = 1000

_b, _f = booking.c, feed.c
_FEED: Final = (
    select(_f.customer_key, _f.expert_id, expert.c.name.label("expert_name"))
    .join_from(feed, expert, expert.c.id == _f.expert_id, isouter=True)
    # An expert who is not active has no more rights than anyone else.
    .where(_f.id == bindparam("feed_id"), or_(_f.expert_id.is_(None), expert.c.active))
)
_ENTRY: Final = (
    select(
        _b.id.label("booking_id"), select(installation.c.id).scalar_subquery().label("installation"), _b.status,
        _b.starts_at, _b.ends_at, _b.sequence, _b.changed_at, _b.title.label("session_title"),
        expert.c.name.label("expert_name"), _b.name.label("customer_name"), _b.email.label("customer_email"),
        _b.phone.label("customer_phone"), _b.notes, _b.key_version,
    )
    .join_from(booking, expert, expert.c.id == _b.expert_id)
    # A hold has no customer: it is nobody's booking.
    .where(_b.email.is_not(None))
)  # fmt: skip
_SHOWN: Final = (
    _ENTRY.where(_b.status.in_(("pending", "confirmed", "completed")), _b.ends_at > bindparam("since"))
    .order_by(_b.starts_at.desc(), _b.id)
    .limit(MOST)
)


async def by_id(connection: AsyncConnection, feed_id: UUID) -> AnyRow | None:
    """Whose calendar it is; None when it was given up."""
    return (await connection.execute(_FEED, {"feed_id": feed_id})).one_or_none()


async def of_owner(connection: AsyncConnection, **owner: Any) -> UUID | None:
    """The calendar of a `customer_key` or an `expert_id`, if there is one."""
    found: UUID | None = await connection.scalar(select(_f.id).filter_by(**owner))
    return found


async def put(connection: AsyncConnection, *, anew: bool, **owner: Any) -> UUID:
    """The one there is, or a new one; `anew`: the one there is gets another id, and the old one is nobody's."""
    [whose] = owner
    id_then = func.gen_random_uuid() if anew else _f.id
    statement = insert(feed).values(**owner)
    # An update even where nothing changes: of several who open it at once, all get the same.
    statement = statement.on_conflict_do_update(index_elements=[whose], set_={"id": id_then})
    number: UUID = (await connection.execute(statement.returning(_f.id))).scalar_one()
    return number


async def close(connection: AsyncConnection, **owner: Any) -> None:
    """Give up the calendar of a customer or an expert."""
    await connection.execute(delete(feed).filter_by(**owner))


async def entries(connection: AsyncConnection, since: datetime, **owner: Any) -> Sequence[AnyRow]:
    """What stands in somebody's calendar and ends after `since`, the latest start first."""
    wanted: Select[*tuple[Any, ...]] = _SHOWN.where(*(_b[name] == value for name, value in owner.items()))
    return (await connection.execute(wanted, {"since": since})).all()


async def entry(connection: AsyncConnection, booking_id: UUID) -> AnyRow | None:
    """One booking, in whatever status."""
    return (await connection.execute(_ENTRY.where(_b.id == booking_id))).one_or_none()
