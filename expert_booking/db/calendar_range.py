"""Statements for the host's view of a calendar: what takes time in a range, and the customers of an expert."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import DateTime, Text, Uuid, bindparam, func, or_, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from expert_booking.db.engine import DriverStatement
from expert_booking.db.tables import LIVE_ROWS, booking

# Nothing that takes time in a range starts earlier than this before it.
_LONGEST: Final = timedelta(days=31)
_b = booking.c
_INSTANT: Final = DateTime(timezone=True)

# The index by expert and start serves both the order and the range.
_ENTRIES = DriverStatement(
    select(
        _b.id, _b.starts_at, _b.ends_at, func.lower(_b.busy, type_=_INSTANT).label("busy_from"),
        func.upper(_b.busy, type_=_INSTANT).label("busy_until"), _b.status, _b.title, _b.name, _b.notes, _b.version,
        _b.session_type_id, _b.hold_until, _b.verify_by.is_not(None).label("unverified"),
    )
    .where(
        _b.expert_id == bindparam("expert_id", type_=Uuid),
        _b.starts_at >= bindparam("earliest", type_=_INSTANT),
        _b.starts_at < bindparam("until", type_=_INSTANT),
        func.upper(_b.busy) > bindparam("since", type_=_INSTANT),
        text(LIVE_ROWS),
        or_(_b.status != "held", _b.hold_until > bindparam("now", type_=_INSTANT)),
    )
    .order_by(_b.starts_at, _b.id)
)  # fmt: skip
_found = (
    select(_b.name, _b.email, _b.phone, _b.time_zone, _b.starts_at)
    .distinct(_b.customer_key)
    .where(
        _b.expert_id == bindparam("expert_id", type_=Uuid),
        _b.customer_key != "",
        or_(
            _b.name.ilike(bindparam("pattern", type_=Text), escape="\\"),
            _b.email.ilike(bindparam("pattern", type_=Text), escape="\\"),
        ),
    )
    .order_by(_b.customer_key, _b.starts_at.desc())
    .subquery()
)
_CUSTOMERS = DriverStatement(
    select(_found.c.name, _found.c.email, _found.c.phone, _found.c.time_zone)
    .order_by(_found.c.starts_at.desc())
    .limit(bindparam("limit"))
)


async def entries(
    connection: AsyncConnection, expert_id: UUID, since: datetime, until: datetime, now: datetime
) -> Sequence[Any]:
    """Return the live bookings, holds and blocks that take time in [since, until), earliest first."""
    values = {"expert_id": expert_id, "earliest": since - _LONGEST, "since": since, "until": until, "now": now}
    return await _ENTRIES.all(connection, values)


async def customers(connection: AsyncConnection, expert_id: UUID, words: str, limit: int) -> Sequence[Any]:
    """Return the customers of this expert whose name or address contains `words`, the latest first."""
    escaped = words.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    values = {"expert_id": expert_id, "pattern": f"%{escaped}%", "limit": limit}
    return await _CUSTOMERS.all(connection, values)
