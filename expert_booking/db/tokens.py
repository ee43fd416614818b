"""Statements about the tokens that programs carry."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import bindparam, func, select, update
from sqlalchemy.dialects.postgresql import insert as pg_insert
from sqlalchemy.ext.asyncio import AsyncConnection

from expert_booking.db.engine import AnyRow
from expert_booking.db.tables import expert, token

_t = token.c
_VALID = select(_t.id.label("token_id"), _t.role, _t.expert_id).where(
    _t.secret_hash == bindparam("secret_hash"), _t.revoked_at.is_(None)
)
_VIEW = select(_t.id, _t.name, _t.role, expert.c.slug.label("expert_slug"), _t.created_at, _t.revoked_at).join_from(
    token, expert, expert.c.id == _t.expert_id, isouter=True
)


async def valid(connection: AsyncConnection, secret_hash: bytes) -> AnyRow | None:
    """Id, role and expert of an unrevoked token."""
    return (await connection.execute(_VALID, {"secret_hash": secret_hash})).one_or_none()


async def add(connection: AsyncConnection, *, name: str, role: str, expert_id: UUID | None, secret_hash: bytes) -> bool:
    """Insert a token; False when the name is taken."""
    statement = pg_insert(token).values(name=name, role=role, expert_id=expert_id, secret_hash=secret_hash)
    return await connection.scalar(statement.on_conflict_do_nothing().returning(_t.id)) is not None


async def every(connection: AsyncConnection) -> Sequence[AnyRow]:
    """All tokens, the revoked ones too, oldest first."""
    return (await connection.execute(_VIEW.order_by(_t.created_at, _t.name))).all()


async def revoke(connection: AsyncConnection, name: str) -> bool:
    """End a token for good; False when there is no such token that still counts."""
    statement = update(token).where(_t.name == name, _t.revoked_at.is_(None)).values(revoked_at=func.now())
    return await connection.scalar(statement.returning(_t.id)) is not None
