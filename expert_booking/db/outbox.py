"""Statements about the outbox: who sends what, what has become of it, and who is to be reminded."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import BigInteger, DateTime, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from expert_booking.db.engine import AnyRow
from expert_booking.db.tables import MAIL_CHANNEL

_SENT_IS_KEPT: Final = timedelta(days=90)
# Nobody wants to read about a session that was over so long ago.
OVER_FOR_GOOD: Final = timedelta(days=1)
_SOME: Final = 1000

_WAITS: Final = "sent_at IS NULL AND failed_at IS NULL"


def _instant(name: str) -> Any:
    return bindparam(name, type_=DateTime(timezone=True))


# What somebody else is just taking is left to them. The messages of one booking to one reader leave one after another;
# reminders wait for what was to be told before, and nothing waits for them. All that a letter needs is read on the way.
_CLAIM = text(
    f"""
    WITH due AS (
      SELECT id FROM message AS one
       WHERE {_WAITS} AND (due_at IS NULL OR due_at <= :now) AND (claimed_until IS NULL OR claimed_until <= :now)
         AND NOT EXISTS (SELECT FROM message AS earlier
                          WHERE earlier.booking_id = one.booking_id AND earlier.audience = one.audience
                            AND earlier.id < one.id AND earlier.kind <> 'reminder'
                            AND earlier.sent_at IS NULL AND earlier.failed_at IS NULL)
       ORDER BY id LIMIT :most FOR UPDATE SKIP LOCKED
    ), claimed AS (
      UPDATE message SET claimed_until = :until, tries = tries + 1 WHERE id IN (SELECT id FROM due) RETURNING *
    )
    SELECT m.id, m.kind, m.audience, m.booking_id, m.tries, m.minutes_before, m.status, m.starts_at, m.ends_at,
           m.sequence, installation.id AS installation,
           b.status AS now_is, b.starts_at AS now_starts_at, b.answer_by, b.reschedules, b.name AS customer_name,
           b.email AS customer_email, b.phone AS customer_phone, b.time_zone AS customer_zone, b.notes,
           b.key_version,
           c.from_starts_at, c.actor, coalesce(c.reason, '') AS reason, c.at,
           b.title AS session_title, b.cancel_notice_minutes, b.reschedule_notice_minutes, b.max_reschedules,
           e.slug AS expert_slug, e.name AS expert_name, e.email AS expert_email, e.time_zone AS expert_zone,
           r.id AS request_id, r.email, r.customer_key, r.expires_at, r.spent_at, r.earlier, r.earlier_elsewhere,
           r.suppressed,
           x.name AS address_of, x.pending_email,
           coalesce((SELECT true FROM booking WHERE customer_key = r.customer_key LIMIT 1),
                    (SELECT true FROM expert WHERE email_key = r.customer_key AND active LIMIT 1), false) AS known
      FROM claimed AS m
     CROSS JOIN installation
      LEFT JOIN booking AS b ON b.id = m.booking_id AND b.email IS NOT NULL
      LEFT JOIN booking_change AS c ON c.id = m.change_id
      LEFT JOIN expert AS e ON e.id = b.expert_id
      LEFT JOIN access_request AS r ON r.id = m.access_request_id
      LEFT JOIN expert AS x ON x.id = r.expert_id
     ORDER BY m.id
    """  # noqa: S608 - names of ours
).bindparams(_instant("now"), _instant("until"))
# Whoever was told yes says so, even if somebody else has come to think the message theirs meanwhile.
_SENT = text(
    f"""
    WITH done AS (
      UPDATE message SET sent_at = :now, failed_at = NULL, claimed_until = NULL, due_at = NULL, error = ''
       WHERE id = :id AND sent_at IS NULL RETURNING booking_id
    )
    SELECT pg_notify('{MAIL_CHANNEL}', booking_id::text) FROM done WHERE booking_id IS NOT NULL
    """  # noqa: S608
).bindparams(_instant("now"))
_NOT_SENT = text(
    f"""
    WITH done AS (
      UPDATE message SET due_at = :due, failed_at = :failed_at, claimed_until = NULL, error = :error
       WHERE id = :id AND tries = :tries AND {_WAITS} RETURNING booking_id, failed_at
    )
    SELECT pg_notify('{MAIL_CHANNEL}', booking_id::text) FROM done
     WHERE failed_at IS NOT NULL AND booking_id IS NOT NULL
    """  # noqa: S608
).bindparams(_instant("due"), _instant("failed_at"))
_DROP = text(
    f"""
    WITH done AS (DELETE FROM message WHERE id = :id AND tries = :tries AND {_WAITS} RETURNING booking_id)
    SELECT pg_notify('{MAIL_CHANNEL}', booking_id::text) FROM done WHERE booking_id IS NOT NULL
    """  # noqa: S608
)
# What is merely due is found at once; this is about what becomes so.
_NEXT = text(f"SELECT min(greatest(due_at, claimed_until)) FROM message WHERE {_WAITS}")  # noqa: S608
# Many look, and of those who write at the same time one does. Whoever has booked, confirmed or moved when the reminder
# was already due needs none.
_PLAN = text(
    """
    INSERT INTO message (kind, audience, booking_id, status, starts_at, ends_at, sequence, minutes_before)
    SELECT 'reminder', audience, b.id, b.status, b.starts_at, b.ends_at, b.sequence, :minutes_before
      FROM booking AS b CROSS JOIN unnest(ARRAY['customer', 'expert']) AS audience
     WHERE b.status = 'confirmed' AND b.starts_at > :after AND b.starts_at <= :until
       AND b.changed_at <= b.starts_at - make_interval(mins => :minutes_before) AND b.email IS NOT NULL
       AND NOT EXISTS (SELECT FROM message AS one
                        WHERE one.kind = 'reminder' AND one.booking_id = b.id AND one.audience = audience.audience
                          AND one.starts_at = b.starts_at AND one.minutes_before = :minutes_before)
     ORDER BY b.starts_at, b.id, audience
    ON CONFLICT DO NOTHING
    """
).bindparams(_instant("after"), _instant("until"))
_WAITING = text(
    """
    SELECT id, kind, audience, booking_id, tries, created_at, due_at, failed_at, error
      FROM message WHERE sent_at IS NULL ORDER BY failed_at IS NOT NULL, id LIMIT 1000
    """
)
# Those that still wait are only hurried: whoever is just sending one goes on.
_RESEND = text(
    f"""
    WITH again AS (
      UPDATE message SET tries = CASE WHEN failed_at IS NULL THEN tries ELSE 0 END, failed_at = NULL, due_at = NULL
       WHERE sent_at IS NULL AND (id = ANY(:ids) OR :every AND failed_at IS NOT NULL) RETURNING id, booking_id
    )
    SELECT id, pg_notify('{MAIL_CHANNEL}', ''), pg_notify('{MAIL_CHANNEL}', coalesce(booking_id::text, '')) FROM again
    """  # noqa: S608
).bindparams(bindparam("ids", type_=ARRAY(BigInteger)))
_SWEEP = text(
    f"""
    DELETE FROM message WHERE id IN (
      SELECT id FROM message WHERE sent_at < :before OR {_WAITS} AND ends_at < :over LIMIT :most)
    """  # noqa: S608
).bindparams(_instant("before"), _instant("over"))


async def claim(connection: AsyncConnection, now: datetime, until: datetime, most: int) -> Sequence[AnyRow]:
    """Take some messages that are due, the oldest first, and all that their letters need; nobody else does until then.

    Each counts one more try, and `tries` tells this claim from later ones.
    """
    return (await connection.execute(_CLAIM, {"now": now, "until": until, "most": most})).all()


async def sent(connection: AsyncConnection, message_id: int, now: datetime) -> None:
    """The mail server has taken it; whoever follows the booking hears of it."""
    await connection.execute(_SENT, {"id": message_id, "now": now})


async def not_sent(
    connection: AsyncConnection, message_id: int, tries: int, *, due: datetime | None, failed_at: datetime | None,
    error: str,
) -> None:  # fmt: skip
    """It was not taken: try again when it is `due`, or give it up."""
    values = {"id": message_id, "tries": tries, "due": due, "failed_at": failed_at, "error": error}
    await connection.execute(_NOT_SENT, values)


async def drop(connection: AsyncConnection, message_id: int, tries: int) -> None:
    """Nobody needs it any more: as if it had never been there."""
    await connection.execute(_DROP, {"id": message_id, "tries": tries})


async def next_due(connection: AsyncConnection) -> datetime | None:
    """When something that waits is to be tried again, or whoever was at it has had the time to."""
    at: datetime | None = await connection.scalar(_NEXT)
    return at


async def plan(connection: AsyncConnection, minutes_before: int, after: datetime, until: datetime) -> int:
    """Put the reminders of confirmed sessions that begin in (after, until] into the outbox; how many are new."""
    values = {"minutes_before": minutes_before, "after": after, "until": until}
    return (await connection.execute(_PLAN, values)).rowcount


async def waiting(connection: AsyncConnection) -> Sequence[AnyRow]:
    """What has not been sent: what waits, then what was given up, the oldest first."""
    return (await connection.execute(_WAITING)).all()


async def resend(connection: AsyncConnection, ids: Sequence[int] | None) -> set[int]:
    """Try these at once, or all that were given up; which of them there are."""
    values = {"ids": list(ids or ()), "every": ids is None}
    return {row.id for row in (await connection.execute(_RESEND, values)).all()}


async def sweep(connection: AsyncConnection, now: datetime) -> bool:
    """Delete some that were sent long ago or that nobody needs any more; False when there are none left."""
    values = {"before": now - _SENT_IS_KEPT, "over": now - OVER_FOR_GOOD, "most": _SOME}
    return (await connection.execute(_SWEEP, values)).rowcount > 0
