"""Statements about the outbox: claim, complete, retry and sweep messages, and plan reminders."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import BigInteger, DateTime, Uuid, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from expert_booking.db.engine import AnyRow
from expert_booking.db.tables import AGREED_TERMS, MAIL_CHANNEL
from expert_booking.domain.email_schedule import LIMIT_SPAN, REFUSED_FOR_SIGN_IN, Delivery

SENT_KEPT: Final = timedelta(days=90)
# Unsent messages about sessions that ended this long ago are dropped.
DROP_AFTER: Final = timedelta(days=1)
_BATCH: Final = 1000

_TERMS: Final = ", ".join(f"b.{name}" for name in AGREED_TERMS)
_IS_WAITING: Final = "sent_at IS NULL AND failed_at IS NULL"


def _instant(name: str) -> Any:
    return bindparam(name, type_=DateTime(timezone=True))


# Skips rows that another process has locked. Messages of one booking to one reader are sent in order: each waits for
# earlier ones, except for reminders. Also reads everything the email needs, and decides which emails are withheld.
#
# `counted` limits the emails about bookings to an address that nobody has signed in with. Each claimed message takes
# one of the `most` places of 24 hours, and keeps it for further attempts. The upsert locks the row of the address and
# works on its latest version, so concurrent claims of several processes never pass the limit.
_CLAIM = text(
    f"""
    WITH due AS (
      SELECT id FROM message AS one
       WHERE {_IS_WAITING} AND (due_at IS NULL OR due_at <= :now) AND (claimed_until IS NULL OR claimed_until <= :now)
         AND NOT EXISTS (SELECT FROM message AS earlier
                          WHERE earlier.booking_id = one.booking_id AND earlier.audience = one.audience
                            AND earlier.id < one.id AND earlier.kind <> 'reminder'
                            AND earlier.sent_at IS NULL AND earlier.failed_at IS NULL)
       ORDER BY id LIMIT :limit FOR UPDATE SKIP LOCKED
    ), claimed AS (
      UPDATE message SET claimed_until = :until, tries = tries + 1 WHERE id IN (SELECT id FROM due) RETURNING *
    ), content AS (
      SELECT m.id, m.kind, m.audience, m.booking_id, m.tries, m.minutes_before, m.status, m.starts_at, m.ends_at,
             m.sequence, installation.id AS installation,
             b.status AS now_is, b.starts_at AS now_starts_at, b.answer_by, b.verify_by, b.reschedules,
             b.name AS customer_name,
             b.email AS customer_email, b.phone AS customer_phone, b.time_zone AS customer_zone, b.notes,
             b.key_version, b.wanted_emails,
             c.from_starts_at, c.actor, coalesce(c.reason, '') AS reason, c.at,
             b.title AS session_title, b.location, b.answers, {_TERMS},
             e.slug AS expert_slug, e.name AS expert_name, e.email AS expert_email, e.time_zone AS expert_zone,
             e.wanted_emails AS expert_emails,
             r.id AS request_id, r.email, r.expires_at, r.spent_at, r.earlier, r.earlier_elsewhere,
             r.suppressed,
             x.name AS address_of, x.pending_email,
             coalesce((SELECT true FROM booking WHERE customer_key = r.customer_key LIMIT 1),
                      (SELECT true FROM expert WHERE email_key = r.customer_key AND active LIMIT 1),
                      (SELECT true FROM assistant JOIN expert ON expert.id = expert_id AND active
                        WHERE assistant.email_key = r.customer_key AND removed_at IS NULL LIMIT 1), false) AS known,
             recipient.customer_key, a.refused_reason, about_booking AND a.proven_at IS NULL AS limited,
             CASE WHEN about_booking AND (b.wanted_emails = 'none' OR a.silenced_at IS NOT NULL) THEN 'silenced'
                  WHEN a.refused_at > CASE WHEN r.id IS NULL THEN '-infinity' ELSE :retry_refused END THEN 'refused'
                  END AS withheld
        FROM claimed AS m
       CROSS JOIN installation
        LEFT JOIN booking AS b ON b.id = m.booking_id AND b.email IS NOT NULL
        LEFT JOIN booking_change AS c ON c.id = m.change_id
        LEFT JOIN expert AS e ON e.id = b.expert_id
        LEFT JOIN access_request AS r ON r.id = m.access_request_id
        LEFT JOIN expert AS x ON x.id = r.expert_id
       CROSS JOIN LATERAL (SELECT m.audience = 'customer' AND b.customer_key IS NOT NULL AS about_booking,
                                  CASE WHEN r.id IS NOT NULL THEN r.customer_key
                                       WHEN m.audience = 'customer' THEN b.customer_key
                                       ELSE nullif(e.email_key, '') END AS customer_key) AS recipient
        LEFT JOIN email_address AS a ON a.customer_key = recipient.customer_key
    ), counted AS (
      INSERT INTO email_address AS a (customer_key, emailed, emailed_at)
      SELECT customer_key, (array_agg(id ORDER BY id))[1 : CAST(:most AS int)],
             array_fill(CAST(:now AS timestamptz), ARRAY[least(count(*), :most)::int])
        FROM content WHERE limited AND withheld IS NULL AND :most > 0 GROUP BY customer_key ORDER BY customer_key
      ON CONFLICT (customer_key) DO UPDATE SET (emailed, emailed_at) = (
        SELECT array_agg(id ORDER BY at, id), array_agg(at ORDER BY at, id)
          FROM (SELECT id, min(at) AS at
                  FROM unnest(a.emailed || excluded.emailed, a.emailed_at || excluded.emailed_at) AS each (id, at)
                 WHERE at > :limit_from GROUP BY id ORDER BY min(at), id LIMIT :most) AS latest)
      RETURNING customer_key, emailed
    )
    SELECT content.*, coalesce(withheld, CASE WHEN id <> ALL (emailed) THEN 'over_limit' END) AS withheld_because
      FROM content LEFT JOIN counted ON limited AND withheld IS NULL AND counted.customer_key = content.customer_key
     ORDER BY id
    """  # noqa: S608 - only our own names
).bindparams(_instant("now"), _instant("until"), _instant("limit_from"), _instant("retry_refused"))
# Record success even if another process has reclaimed the message in the meantime.
_SENT = text(
    f"""
    WITH done AS (
      UPDATE message
         SET sent_at = :now, failed_at = NULL, withheld = NULL, claimed_until = NULL, due_at = NULL, error = ''
       WHERE id = :id AND sent_at IS NULL RETURNING booking_id
    )
    SELECT pg_notify('{MAIL_CHANNEL}', booking_id::text) FROM done WHERE booking_id IS NOT NULL
    """  # noqa: S608
).bindparams(_instant("now"))
_NOT_SENT = text(
    f"""
    WITH done AS (
      UPDATE message
         SET due_at = :due, failed_at = :failed_at, withheld = :withheld, claimed_until = NULL, error = :error
       WHERE id = :id AND tries = :tries AND {_IS_WAITING} RETURNING booking_id, failed_at
    )
    SELECT pg_notify('{MAIL_CHANNEL}', booking_id::text) FROM done
     WHERE failed_at IS NOT NULL AND booking_id IS NOT NULL
    """  # noqa: S608
).bindparams(_instant("due"), _instant("failed_at"))
_DROP = text(
    f"""
    WITH done AS (DELETE FROM message WHERE id = :id AND tries = :tries AND {_IS_WAITING} RETURNING booking_id)
    SELECT pg_notify('{MAIL_CHANNEL}', booking_id::text) FROM done WHERE booking_id IS NOT NULL
    """  # noqa: S608
)
# The time at which the next message becomes due. Messages that are due already need no waking.
_NEXT = text(f"SELECT min(greatest(due_at, claimed_until)) FROM message WHERE {_IS_WAITING}")  # noqa: S608
# Several processes may plan at once; the unique index keeps one reminder. No reminder if the booking was made,
# confirmed or rescheduled when the reminder was already due, or if its recipient does not want any.
_PLAN_REMINDERS = text(
    """
    INSERT INTO message (kind, audience, booking_id, status, starts_at, ends_at, sequence, minutes_before)
    SELECT 'reminder', audience, b.id, b.status, b.starts_at, b.ends_at, b.sequence, :minutes_before
      FROM booking AS b JOIN expert AS e ON e.id = b.expert_id
     CROSS JOIN unnest(ARRAY['customer', 'expert']) AS audience
     WHERE b.status = 'confirmed' AND b.starts_at > :after AND b.starts_at <= :until
       AND b.changed_at <= b.starts_at - make_interval(mins => :minutes_before) AND b.email IS NOT NULL
       AND CASE audience.audience WHEN 'expert' THEN 'reminders' = ANY (e.wanted_emails)
                                  ELSE b.wanted_emails = 'all' AND b.email <> '' END
       AND NOT EXISTS (SELECT FROM message AS one
                        WHERE one.kind = 'reminder' AND one.booking_id = b.id AND one.audience = audience.audience
                          AND one.starts_at = b.starts_at AND one.minutes_before = :minutes_before)
     ORDER BY b.starts_at, b.id, audience
    ON CONFLICT DO NOTHING
    """
).bindparams(_instant("after"), _instant("until"))
_WAITING = text(
    """
    SELECT id, kind, audience, booking_id, tries, created_at, due_at, failed_at, withheld, error
      FROM message WHERE sent_at IS NULL ORDER BY withheld IS NOT NULL, failed_at IS NOT NULL, id LIMIT 1000
    """
)
# Waiting messages only become due; a process that is sending one carries on. Withheld ones are tried again only by id.
_RESEND = text(
    f"""
    WITH again AS (
      UPDATE message
         SET tries = CASE WHEN failed_at IS NULL THEN tries ELSE 0 END, failed_at = NULL, withheld = NULL, due_at = NULL
       WHERE sent_at IS NULL AND (id = ANY(:ids) OR :every AND failed_at IS NOT NULL AND withheld IS NULL)
      RETURNING id, booking_id
    )
    SELECT id, pg_notify('{MAIL_CHANNEL}', ''), pg_notify('{MAIL_CHANNEL}', coalesce(booking_id::text, '')) FROM again
    """  # noqa: S608
).bindparams(bindparam("ids", type_=ARRAY(BigInteger)))
_LOCK_AGAIN = text("SELECT pg_advisory_xact_lock(hashtextextended('emails again of ' || :booking, 0))")
_COUNT_AGAIN = text(
    "SELECT count(*) FROM message WHERE booking_id = :booking_id AND again AND created_at > :since"
).bindparams(_instant("since"))
# The latest email repeats what it said. After a change without an email it would be wrong; then the kind of email
# follows from the status of the booking. There is none for the other statuses.
_SEND_AGAIN = text(
    f"""
    WITH latest AS (
      SELECT kind, change_id, status, starts_at FROM message
       WHERE booking_id = :booking_id AND audience = 'customer' AND kind NOT IN ('verification', 'reminder')
       ORDER BY id DESC LIMIT 1
    ), sent AS (
      INSERT INTO message (kind, audience, booking_id, change_id, status, starts_at, ends_at, sequence, again,
                           created_at)
      SELECT email.kind, 'customer', b.id, email.change_id, b.status, b.starts_at, b.ends_at, b.sequence, true, :now
        FROM booking AS b LEFT JOIN latest ON (latest.status, latest.starts_at) = (b.status, b.starts_at)
       CROSS JOIN LATERAL (
              SELECT coalesce(latest.kind, CASE WHEN b.status = 'pending' THEN 'received'
                                                WHEN b.status IN ('confirmed', 'declined', 'cancelled', 'expired')
                                                THEN b.status END),
                     latest.change_id) AS email (kind, change_id)
       WHERE b.id = :booking_id AND email.kind IS NOT NULL
      RETURNING booking_id
    )
    SELECT pg_notify('{MAIL_CHANNEL}', ''), pg_notify('{MAIL_CHANNEL}', booking_id::text) FROM sent
    """  # noqa: S608
).bindparams(_instant("now"), bindparam("booking_id", type_=Uuid))
_SWEEP = text(
    f"""
    DELETE FROM message WHERE id IN (
      SELECT id FROM message
       WHERE sent_at < :before OR {_IS_WAITING} AND ends_at < :over OR withheld IS NOT NULL AND failed_at < :before
       LIMIT :limit)
    """  # noqa: S608
).bindparams(_instant("before"), _instant("over"))


async def claim(connection: AsyncConnection, now: datetime, until: datetime, limit: int, most: int) -> Sequence[AnyRow]:
    """Claim some due messages, oldest first, until `until`, and return them with everything their emails need.

    Increments `tries`, which distinguishes this claim from later ones. `most` is the number of emails about bookings
    within 24 hours to an address that nobody has signed in with (0: no limit). `withheld_because` is a `Delivery` if
    the email must not be sent.
    """
    values = {
        "now": now, "until": until, "limit": limit, "most": most,
        "limit_from": now - LIMIT_SPAN, "retry_refused": now - REFUSED_FOR_SIGN_IN,
    }  # fmt: skip
    return (await connection.execute(_CLAIM, values)).all()


async def sent(connection: AsyncConnection, message_id: int, now: datetime) -> None:
    """Record that the mail server accepted a message, and notify pages that show the booking."""
    await connection.execute(_SENT, {"id": message_id, "now": now})


async def not_sent(
    connection: AsyncConnection, message_id: int, tries: int, *, due: datetime | None, failed_at: datetime | None,
    error: str, withheld: Delivery | None = None,
) -> None:  # fmt: skip
    """Record a failure: retry when `due`, or give up at `failed_at`. `withheld` says why it was not even tried."""
    values = {
        "id": message_id, "tries": tries, "due": due, "failed_at": failed_at, "error": error,
        "withheld": None if withheld is None else withheld.value,
    }  # fmt: skip
    await connection.execute(_NOT_SENT, values)


async def drop(connection: AsyncConnection, message_id: int, tries: int) -> None:
    """Delete a message that is no longer needed."""
    await connection.execute(_DROP, {"id": message_id, "tries": tries})


async def next_due(connection: AsyncConnection) -> datetime | None:
    """Return when the next retry is due or the next claim ends; None if nothing is waiting."""
    at: datetime | None = await connection.scalar(_NEXT)
    return at


async def plan(connection: AsyncConnection, minutes_before: int, after: datetime, until: datetime) -> int:
    """Queue reminders of confirmed sessions that start in (after, until], and return how many are new."""
    values = {"minutes_before": minutes_before, "after": after, "until": until}
    return (await connection.execute(_PLAN_REMINDERS, values)).rowcount


async def waiting(connection: AsyncConnection) -> Sequence[AnyRow]:
    """Return unsent messages: waiting ones, then given-up ones, then withheld ones, oldest first."""
    return (await connection.execute(_WAITING)).all()


async def resend(connection: AsyncConnection, ids: Sequence[int] | None) -> set[int]:
    """Make these messages due now, or all given-up ones if `ids` is None. Returns the ids found."""
    values = {"ids": list(ids or ()), "every": ids is None}
    return {row.id for row in (await connection.execute(_RESEND, values)).all()}


async def count_again(connection: AsyncConnection, booking_id: UUID, since: datetime) -> int:
    """Count how often an email about this booking was sent again since then. Others wait until the transaction ends."""
    await connection.execute(_LOCK_AGAIN, {"booking": str(booking_id)})
    return await connection.scalar(_COUNT_AGAIN, {"booking_id": booking_id, "since": since}) or 0


async def send_again(connection: AsyncConnection, booking_id: UUID, now: datetime) -> bool:
    """Queue the latest email to the customer of this booking once more; False if there is none.

    If the booking has changed since that email, this one says how it is now.
    """
    sent = (await connection.execute(_SEND_AGAIN, {"booking_id": booking_id, "now": now})).one_or_none()
    return sent is not None


async def sweep(connection: AsyncConnection, now: datetime) -> bool:
    """Delete some messages that were sent or withheld long ago or are no longer needed; False if there were none."""
    values = {"before": now - SENT_KEPT, "over": now - DROP_AFTER, "limit": _BATCH}
    return (await connection.execute(_SWEEP, values)).rowcount > 0
