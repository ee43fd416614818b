"""Statements about calendar subscriptions and their entries."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Select, bindparam, delete, func, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from expert_booking.db.engine import AnyRow
from expert_booking.db.tables import booking, expert, feed, installation

# The most entries of a calendar. The earliest are left out.
MAX_ENTRIES: Final = 1000

_b, _f = booking.c, feed.c
_FEED: Final = (
    select(_f.customer_key, _f.expert_id, expert.c.name.label("expert_name"))
    .join_from(feed, expert, expert.c.id == _f.expert_id, isouter=True)
    # The calendar of an inactive expert is not served.
    .where(_f.id == bindparam("feed_id"), or_(_f.expert_id.is_(None), expert.c.active))
)
_ENTRY: Final = (
    select(
        _b.id.label("booking_id"), select(installation.c.id).scalar_subquery().label("installation"), _b.status,
        _b.starts_at, _b.ends_at, _b.sequence, _b.changed_at, _b.title.label("session_title"),
        expert.c.name.label("expert_name"), _b.name.label("customer_name"), _b.email.label("customer_email"),
        _b.phone.label("customer_phone"), _b.notes, _b.key_version, _b.price_amount,
        _b.price_currency, _b.payment_note, _b.location, _b.answers,
    )
    .join_from(booking, expert, expert.c.id == _b.expert_id)
    # Holds have no customer and are left out, and so are bookings whose customer has not confirmed the email address.
    .where(_b.email.is_not(None), _b.verify_by.is_(None))
)  # fmt: skip
_SHOWN: Final = (
    _ENTRY.where(_b.status.in_(("pending", "confirmed", "completed")), _b.ends_at > bindparam("since"))
    .order_by(_b.starts_at.desc(), _b.id)
    .limit(MAX_ENTRIES)
)


async def by_id(connection: AsyncConnection, feed_id: UUID) -> AnyRow | None:
    """Return the owner of a calendar; None if it was ended."""
    return (await connection.execute(_FEED, {"feed_id": feed_id})).one_or_none()


async def of_owner(connection: AsyncConnection, **owner: Any) -> UUID | None:
    """Return the calendar id of a `customer_key` or an `expert_id`, or None."""
    found: UUID | None = await connection.scalar(select(_f.id).filter_by(**owner))
    return found


async def put(connection: AsyncConnection, *, renew: bool, **owner: Any) -> UUID:
    """Return the calendar id of the owner, which is created if needed. `renew` replaces the id, ending the old one."""
    [owner_column] = owner
    new_id = func.gen_random_uuid() if renew else _f.id
    statement = insert(feed).values(**owner)
    # An UPDATE even if nothing changes, so that concurrent callers all get the same id.
    statement = statement.on_conflict_do_update(index_elements=[owner_column], set_={"id": new_id})
    feed_id: UUID = (await connection.execute(statement.returning(_f.id))).scalar_one()
    return feed_id


async def close(connection: AsyncConnection, **owner: Any) -> None:
    """End the calendar of a customer or an expert."""
    await connection.execute(delete(feed).filter_by(**owner))


async def entries(connection: AsyncConnection, since: datetime, **owner: Any) -> Sequence[AnyRow]:
    """Return the entries of a calendar that end after `since`, latest start first."""
    wanted: Select[*tuple[Any, ...]] = _SHOWN.where(*(_b[name] == value for name, value in owner.items()))
    return (await connection.execute(wanted, {"since": since})).all()


async def entry(connection: AsyncConnection, booking_id: UUID) -> AnyRow | None:
    """Return one booking, in any status, as an entry."""
    return (await connection.execute(_ENTRY.where(_b.id == booking_id))).one_or_none()
