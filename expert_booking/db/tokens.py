"""Statements about API tokens."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import DateTime, bindparam, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert as pg_insert
from sqlalchemy.ext.asyncio import AsyncConnection

from expert_booking.db.engine import AnyRow
from expert_booking.db.tables import expert, token

# The last use of a token is recorded at most this often.
USE_RECORDED_EVERY: Final = timedelta(hours=1)

_t = token.c
_now, _before = (bindparam(name, type_=DateTime(timezone=True)) for name in ("now", "before"))
_EXPERT_ACTIVE: Final = expert.c.active.label("expert_active")
_UNREVOKED = (
    select(_t.id.label("token_id"), _t.role, _t.expert_id, _t.expires_at, _t.last_used_at, _EXPERT_ACTIVE)
    .join_from(token, expert, expert.c.id == _t.expert_id, isouter=True)
    .where(_t.secret_hash == bindparam("secret_hash"), _t.revoked_at.is_(None))
)
_RECORD_USE = (
    update(token)
    .where(_t.id == bindparam("token_id"), or_(_t.last_used_at.is_(None), _t.last_used_at <= _before))
    .values(last_used_at=_now)
)
_VIEW = select(
    _t.id, _t.name, _t.role, expert.c.slug.label("expert_slug"), _EXPERT_ACTIVE, _t.created_at, _t.expires_at,
    _t.last_used_at, _t.revoked_at,
).join_from(token, expert, expert.c.id == _t.expert_id, isouter=True)  # fmt: skip


async def unrevoked(connection: AsyncConnection, secret_hash: bytes) -> AnyRow | None:
    """Return an unrevoked token with its role, expert, expiry and last use, or None. It may have expired."""
    return (await connection.execute(_UNREVOKED, {"secret_hash": secret_hash})).one_or_none()


async def record_use(connection: AsyncConnection, token_id: UUID, now: datetime) -> None:
    """Record the use of a token, unless one was recorded within USE_RECORDED_EVERY."""
    await connection.execute(_RECORD_USE, {"token_id": token_id, "now": now, "before": now - USE_RECORDED_EVERY})


async def add(
    connection: AsyncConnection, *, name: str, role: str, expert_id: UUID | None, secret_hash: bytes,
    created_at: datetime, expires_at: datetime,
) -> bool:  # fmt: skip
    """Insert a token; False if the name is taken."""
    statement = pg_insert(token).values(
        name=name, role=role, expert_id=expert_id, secret_hash=secret_hash, created_at=created_at, expires_at=expires_at
    )
    return await connection.scalar(statement.on_conflict_do_nothing().returning(_t.id)) is not None


async def list_all(connection: AsyncConnection) -> Sequence[AnyRow]:
    """Return all tokens, revoked ones included, oldest first."""
    return (await connection.execute(_VIEW.order_by(_t.created_at, _t.name))).all()


async def revoke(connection: AsyncConnection, name: str) -> bool:
    """Revoke a token; False if there is no unrevoked token of this name."""
    statement = update(token).where(_t.name == name, _t.revoked_at.is_(None)).values(revoked_at=func.now())
    return await connection.scalar(statement.returning(_t.id)) is not None
