"""Statements about the addresses that emails go to: proven, silenced or refused.

A transaction that changes bookings and addresses changes the bookings first, to avoid deadlocks.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import BigInteger, DateTime, Uuid, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from expert_booking.db.tables import MAIL_CHANNEL
from expert_booking.domain.email_schedule import LIMIT_SPAN, WantedEmails

# A proven or refused address without a booking and without an expert is forgotten after this.
_KEPT: Final = timedelta(days=30)
_BATCH: Final = 1000


def _instant(name: str) -> Any:
    return bindparam(name, type_=DateTime(timezone=True))


_WANT_AGAIN = text(
    """
    UPDATE booking SET wanted_emails = 'all'
     WHERE customer_key = :customer_key AND wanted_emails = 'none' AND status IN ('pending', 'confirmed')
    """
)
_PROVE = text(
    """
    INSERT INTO email_address (customer_key, proven_at) VALUES (:customer_key, :now)
    ON CONFLICT (customer_key) DO UPDATE
       SET proven_at = excluded.proven_at, silenced_at = NULL, refused_at = NULL, refused_reason = '',
           emailed = '{}', emailed_at = '{}'
    """
).bindparams(_instant("now"))
_SILENCE = text(
    """
    INSERT INTO email_address AS a (customer_key, silenced_at) VALUES (:customer_key, :now)
    ON CONFLICT (customer_key) DO UPDATE SET silenced_at = excluded.silenced_at
     WHERE a.proven_at IS NULL AND a.silenced_at IS NULL
    """
).bindparams(_instant("now"))
_REFUSE = text(
    """
    INSERT INTO email_address (customer_key, refused_at, refused_reason) VALUES (:customer_key, :now, :reason)
    ON CONFLICT (customer_key) DO UPDATE
       SET refused_at = excluded.refused_at, refused_reason = excluded.refused_reason
    """
).bindparams(_instant("now"))
_ACCEPT = text(
    """
    UPDATE email_address SET refused_at = NULL, refused_reason = ''
     WHERE refused_at IS NOT NULL AND customer_key IN (
       SELECT CASE WHEN r.id IS NOT NULL THEN r.customer_key WHEN m.audience = 'customer' THEN b.customer_key
                   ELSE e.email_key END
         FROM message AS m
         LEFT JOIN booking AS b ON b.id = m.booking_id
         LEFT JOIN expert AS e ON e.id = b.expert_id
         LEFT JOIN access_request AS r ON r.id = m.access_request_id
        WHERE m.id = ANY(:ids))
    """
).bindparams(bindparam("ids", type_=ARRAY(BigInteger)))
_WANT = text(
    f"""
    WITH changed AS (UPDATE booking SET wanted_emails = :wanted WHERE id = :booking_id AND email IS NOT NULL
                      AND (wanted_emails <> 'none' OR :wanted = 'none') RETURNING id)
    SELECT pg_notify('{MAIL_CHANNEL}', id::text) FROM changed
    """  # noqa: S608 - our own channel
).bindparams(bindparam("booking_id", type_=Uuid))
_IS_PROVEN = text("SELECT proven_at IS NOT NULL FROM email_address WHERE customer_key = :customer_key")
# Rows that only count old emails, and rows of addresses that no booking, expert or proof uses. A silenced address is
# kept until someone signs in with it, because it may be entered again.
_SWEEP = text(
    """
    DELETE FROM email_address WHERE customer_key IN (
      SELECT a.customer_key FROM email_address AS a
       WHERE a.silenced_at IS NULL AND NOT EXISTS (SELECT FROM unnest(a.emailed_at) AS at WHERE at > :limit_from)
         AND (a.proven_at IS NULL AND a.refused_at IS NULL
              OR greatest(a.proven_at, a.refused_at) < :before
                 AND NOT EXISTS (SELECT FROM booking AS b WHERE b.customer_key = a.customer_key)
                 AND NOT EXISTS (SELECT FROM expert AS e WHERE e.email_key = a.customer_key)
                 AND NOT EXISTS (SELECT FROM access_proof AS p WHERE p.customer_key = a.customer_key))
       LIMIT :limit)
    """
).bindparams(_instant("limit_from"), _instant("before"))


async def prove(connection: AsyncConnection, customer_key: str, now: datetime) -> None:
    """Record that someone has proven this address: it then gets all emails, however many."""
    await connection.execute(_WANT_AGAIN, {"customer_key": customer_key})
    await connection.execute(_PROVE, {"customer_key": customer_key, "now": now})


async def silence(connection: AsyncConnection, customer_key: str, now: datetime) -> None:
    """Send no more emails about bookings to this address until someone proves it. A proven one is not changed."""
    await connection.execute(_SILENCE, {"customer_key": customer_key, "now": now})


async def refuse(connection: AsyncConnection, customer_key: str, now: datetime, reason: str) -> None:
    """Record that a mail server refused this address permanently. `reason` has its status codes."""
    await connection.execute(_REFUSE, {"customer_key": customer_key, "now": now, "reason": reason})


async def accept(connection: AsyncConnection, message_ids: Sequence[int]) -> None:
    """Write again to the addresses of these messages, although a mail server has refused them."""
    await connection.execute(_ACCEPT, {"ids": list(message_ids)})


async def want(connection: AsyncConnection, booking_id: UUID, wanted: WantedEmails) -> None:
    """Store which emails about a booking its customer wants, and notify its pages. `none` stays as it is."""
    await connection.execute(_WANT, {"booking_id": booking_id, "wanted": wanted.value})


async def is_proven(connection: AsyncConnection, customer_key: str) -> bool:
    """Return whether someone has ever proven this address."""
    return bool(await connection.scalar(_IS_PROVEN, {"customer_key": customer_key}))


async def sweep(connection: AsyncConnection, now: datetime) -> bool:
    """Delete some rows that no longer matter; False if there were none."""
    values = {"limit_from": now - LIMIT_SPAN, "before": now - _KEPT, "limit": _BATCH}
    return (await connection.execute(_SWEEP, values)).rowcount > 0
