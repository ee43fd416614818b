"""Statements about the emails on the mailbox page of a site without a mail server."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import LargeBinary, bindparam, text
from sqlalchemy.ext.asyncio import AsyncConnection

from expert_booking.db.engine import AnyRow
from expert_booking.db.tables import MAIL_CHANNEL

_MAX_KEPT: Final = 300
_PUT = text(
    f"""
    WITH put AS (INSERT INTO mailbox_mail (recipient, raw) VALUES (:recipient, :raw) RETURNING id)
    SELECT pg_notify('{MAIL_CHANNEL}', '') FROM put
    """  # noqa: S608 - our own channel
).bindparams(bindparam("raw", type_=LargeBinary))
_LATEST = text("SELECT id, raw, created_at FROM mailbox_mail ORDER BY id DESC LIMIT :limit")
_ONE = text("SELECT id, raw, created_at FROM mailbox_mail WHERE id = :id")
_SWEEP = text(
    "DELETE FROM mailbox_mail WHERE id <= (SELECT id FROM mailbox_mail ORDER BY id DESC OFFSET :kept LIMIT 1)"
)


async def put(connection: AsyncConnection, recipient: str, raw: bytes) -> None:
    """Store an email and notify open mailbox pages."""
    await connection.execute(_PUT, {"recipient": recipient, "raw": raw})


async def latest(connection: AsyncConnection) -> Sequence[AnyRow]:
    """Return the stored emails, newest first."""
    return (await connection.execute(_LATEST, {"limit": _MAX_KEPT})).all()


async def by_id(connection: AsyncConnection, mail_id: int) -> AnyRow | None:
    """Return one email."""
    return (await connection.execute(_ONE, {"id": mail_id})).one_or_none()


async def sweep(connection: AsyncConnection) -> None:
    """Delete all but the newest emails."""
    await connection.execute(_SWEEP, {"kept": _MAX_KEPT})
