"""Statements about the tokens that programs carry."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import DateTime, bindparam, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert as pg_insert
from sqlalchemy.ext.asyncio import AsyncConnection

from expert_booking.db.engine import AnyRow
from expert_booking.db.tables import expert, token

# The last use is written down at most this often for each token.
USE_NOTED: Final = timedelta(hours=1)

_t = token.c
_now, _before = (bindparam(name, type_=DateTime(timezone=True)) for name in ("now", "before"))
_EXPERT_ACTIVE: Final = expert.c.active.label("expert_active")
_UNREVOKED = (
    select(_t.id.label("token_id"), _t.role, _t.expert_id, _t.expires_at, _t.last_used_at, _EXPERT_ACTIVE)
    .join_from(token, expert, expert.c.id == _t.expert_id, isouter=True)
    .where(_t.secret_hash == bindparam("secret_hash"), _t.revoked_at.is_(None))
)
_NOTE_USE = (
    update(token)
    .where(_t.id == bindparam("token_id"), or_(_t.last_used_at.is_(None), _t.last_used_at <= _before))
    .values(last_used_at=_now)
)
_VIEW = select(
    _t.id, _t.name, _t.role, expert.c.slug.label("expert_slug"), _EXPERT_ACTIVE, _t.created_at, _t.expires_at,
    _t.last_used_at, _t.revoked_at,
).join_from(token, expert, expert.c.id == _t.expert_id, isouter=True)  # fmt: skip


async def unrevoked(connection: AsyncConnection, secret_hash: bytes) -> AnyRow | None:
    """A token that was not revoked: id, role, expert and whether that is active, when it expires, its last use."""
    return (await connection.execute(_UNREVOKED, {"secret_hash": secret_hash})).one_or_none()


async def note_use(connection: AsyncConnection, token_id: UUID, now: datetime) -> None:
    """Write down that a token was used, unless that was written within the hour."""
    await connection.execute(_NOTE_USE, {"token_id": token_id, "now": now, "before": now - USE_NOTED})


async def add(
    connection: AsyncConnection, *, name: str, role: str, expert_id: UUID | None, secret_hash: bytes,
    created_at: datetime, expires_at: datetime,
) -> bool:  # fmt: skip
    """Insert a token; False when the name is taken."""
    statement = pg_insert(token).values(
        name=name, role=role, expert_id=expert_id, secret_hash=secret_hash, created_at=created_at, expires_at=expires_at
    )
    return await connection.scalar(statement.on_conflict_do_nothing().returning(_t.id)) is not None


async def every(connection: AsyncConnection) -> Sequence[AnyRow]:
    """All tokens, the revoked ones too, oldest first."""
    return (await connection.execute(_VIEW.order_by(_t.created_at, _t.name))).all()


async def revoke(connection: AsyncConnection, name: str) -> bool:
    """End a token for good; False when there is no such token that still counts."""
    statement = update(token).where(_t.name == name, _t.revoked_at.is_(None)).values(revoked_at=func.now())
    return await connection.scalar(statement.returning(_t.id)) is not None
