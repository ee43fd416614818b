"""Statements that read what a host's calendar shows."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import DateTime, func, or_, select, text
from sqlalchemy.dialects.postgresql import Range
from sqlalchemy.ext.asyncio import AsyncConnection

from expert_booking.db.engine import AnyRow
from expert_booking.db.tables import LIVE_ROWS, booking

_b = booking.c
_ENTRIES: Final = select(
    _b.id, _b.starts_at, _b.ends_at,
    func.lower(_b.busy, type_=DateTime(timezone=True)).label("busy_from"),
    func.upper(_b.busy, type_=DateTime(timezone=True)).label("busy_until"),
    _b.status, _b.version, _b.name, _b.session_type_id, _b.title, _b.answer_by, _b.verify_by, _b.notes, _b.series_id,
)  # fmt: skip


async def entries(
    connection: AsyncConnection, expert_id: UUID, since: datetime, until: datetime, now: datetime
) -> Sequence[AnyRow]:
    """Return the live bookings, blocks and holds whose busy time overlaps [since, until). Ignores expired holds."""
    wanted = _ENTRIES.where(
        _b.expert_id == expert_id,
        _b.busy.op("&&")(Range(since, until)),
        text(LIVE_ROWS),
        or_(_b.status != "held", _b.hold_until > now),
    )
    return (await connection.execute(wanted.order_by(_b.starts_at))).all()
