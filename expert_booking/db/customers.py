"""Statements that export and erase what is stored about customers."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID

from sqlalchemy import DateTime, Table, Uuid, bindparam, case, delete, func, null, select, text, union, update
from sqlalchemy.ext.asyncio import AsyncConnection

from expert_booking.db.engine import AnyRow
from expert_booking.db.tables import (
    access_proof,
    access_request,
    booking,
    booking_change,
    kept_answer,
    mailbox_mail,
    message,
    metadata,
    network_booking,
    network_change,
)

_b = booking.c

# What a booking contains once its customer's data was erased. Its interval, status, title and terms stay. Every column
# with personal data belongs here; what the view of a booking does not show is exported as an identifier.
ERASED: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "name": "", "email": "", "customer_key": "", "phone": None, "notes": "", "time_zone": None, "visitor": None,
        "location": None, "answers": [],
        "submission": None, "hold_origin": None, "change_reason": "", "erase_when_over": False,
    }
)  # fmt: skip
# The other tables whose rows belong to one address. Requests come first: deleting them waits for those that are being
# redeemed, whose new proofs are then visible to the next statement.
OF_AN_ADDRESS: Final[Sequence[Table]] = sorted(
    (table for table in metadata.sorted_tables if "customer_key" in table.c and table is not booking),
    key=lambda table: table is not access_request,
)
# The networks that made and changed bookings, as keyed hashes.
OF_BOOKINGS: Final[Sequence[Table]] = (network_booking, network_change)
# The reason, in the history, of a cancellation that is part of an erasure.
REASON: Final = "the customer's data was deleted"

_LOCK_OF_CUSTOMER: Final = (
    select(_b.id, _b.status, _b.starts_at, _b.ends_at, _b.email, _b.visitor)
    .where(_b.customer_key == bindparam("key"), _b.customer_key != "")
    .order_by(_b.id)
    .with_for_update()
)
# Skips bookings that another transaction is changing; the next round finds them again.
_LOCK_ENDED: Final = text(
    """
    SELECT id, email, customer_key, visitor FROM booking
     WHERE name <> '' AND id IN (
       (SELECT id FROM booking WHERE name <> '' AND ends_at < :before ORDER BY ends_at LIMIT :limit)
       UNION ALL
       (SELECT id FROM booking WHERE erase_when_over AND ends_at < :now ORDER BY ends_at LIMIT :limit))
     ORDER BY id FOR UPDATE SKIP LOCKED
    """
).bindparams(bindparam("before", type_=DateTime(timezone=True)), bindparam("now", type_=DateTime(timezone=True)))
# Without an address, people with the same name are one customer.
_MATCHING: Final = text(
    """
    WITH latest AS MATERIALIZED (
      SELECT DISTINCT ON (customer_key, CASE customer_key WHEN '' THEN name END)
             name, nullif(email, '') AS email, phone, time_zone, starts_at AS last_starts_at
        FROM booking
       WHERE expert_id = :expert_id AND name <> '' AND verify_by IS NULL
       ORDER BY customer_key, CASE customer_key WHEN '' THEN name END, starts_at DESC
    )
    SELECT * FROM latest
     WHERE strpos(search_folded(name), search_folded(:wanted)) > 0 OR strpos(lower(email), lower(:wanted)) > 0
     ORDER BY last_starts_at DESC, name LIMIT :limit
    """
).bindparams(bindparam("expert_id", type_=Uuid))
_ALLOW_ERASING: Final = text("SELECT set_config('expert_booking.erasing', 'on', true)")
_STOP_ERASING: Final = text("SELECT set_config('expert_booking.erasing', '', true)")


async def matching(connection: AsyncConnection, expert_id: UUID, wanted: str, limit: int) -> Sequence[AnyRow]:
    """Return the customers of this expert whose name or address contains this text, the latest start first."""
    values = {"expert_id": expert_id, "wanted": wanted, "limit": limit}
    return (await connection.execute(_MATCHING, values)).all()


async def lock_of_customer(connection: AsyncConnection, key: str) -> Sequence[AnyRow]:
    """Lock the bookings of a customer until the transaction ends, and return what decides how they are erased."""
    return (await connection.execute(_LOCK_OF_CUSTOMER, {"key": key})).all()


async def lock_ended(
    connection: AsyncConnection, before: datetime | None, now: datetime, limit: int
) -> Sequence[AnyRow]:
    """Lock some bookings with personal data that ended before `before`, or that are to be erased once they are over.

    `before` is None if data is kept without a limit. Returns at most twice `limit` rows.
    """
    values = {"before": before or datetime.min.replace(tzinfo=now.tzinfo), "now": now, "limit": limit}
    return (await connection.execute(_LOCK_ENDED, values)).all()


async def erase_bookings(
    connection: AsyncConnection, ids: Collection[UUID], cancelled: Collection[UUID], *, by: str, token: UUID | None,
    at: datetime,
) -> None:  # fmt: skip
    """Erase the customer from these bookings and cancel some of them: the expert gets the email about that.

    The caller has locked them. Links and tokens of the bookings stop working.
    """
    if not ids:
        return
    for table in (message, *OF_BOOKINGS):
        await connection.execute(delete(table).where(table.c.booking_id.in_(ids)))
    await connection.execute(_ALLOW_ERASING)
    changes = update(booking_change).where(booking_change.c.booking_id.in_(ids), booking_change.c.reason != "")
    await connection.execute(changes.values(reason=""))
    await connection.execute(_STOP_ERASING)
    is_cancelled = _b.id.in_(cancelled)
    values = {
        **ERASED,
        "status": case((is_cancelled, "cancelled"), else_=_b.status),
        "answer_by": case((is_cancelled, null()), else_=_b.answer_by),
        "change_reason": case((is_cancelled, REASON), else_=""),
        "key_version": _b.key_version + 1, "version": _b.version + 1, "updated_at": func.now(), "changed_at": at,
        "changed_by": by, "changed_with": token,
    }  # fmt: skip
    await connection.execute(update(booking).where(_b.id.in_(ids)).values(values))
    # The trigger on the history has queued an email to the customer, too.
    await connection.execute(delete(message).where(message.c.booking_id.in_(ids), message.c.audience == "customer"))


async def erase_when_over(connection: AsyncConnection, ids: Collection[UUID]) -> None:
    """Have the customer erased from these bookings once they are over."""
    if ids:
        await connection.execute(update(booking).where(_b.id.in_(ids)).values(erase_when_over=True))


async def delete_holds(connection: AsyncConnection, browsers: Collection[bytes]) -> None:
    """Delete the holds of these browsers, expired or not."""
    if browsers:
        await connection.execute(delete(booking).where(_b.visitor.in_(browsers), _b.email.is_(None)))


async def delete_addresses(connection: AsyncConnection, keys: Collection[str]) -> None:
    """Delete the rows of other tables that belong to these addresses."""
    for table in OF_AN_ADDRESS:
        await connection.execute(delete(table).where(table.c.customer_key.in_(keys)))


async def with_bookings(connection: AsyncConnection, keys: Collection[str]) -> Collection[str]:
    """Return those of these addresses that have a booking."""
    return (await connection.scalars(select(_b.customer_key).where(_b.customer_key.in_(keys)).distinct())).all()


async def delete_answers(connection: AsyncConnection, marks: Collection[bytes]) -> None:
    """Delete the stored responses that contain one of these addresses."""
    if marks:
        await connection.execute(delete(kept_answer).where(kept_answer.c.customer.in_(marks)))


async def spellings(connection: AsyncConnection, key: str) -> Sequence[str]:
    """Return the address as it was typed in bookings and requests."""
    tables: Sequence[Table] = [booking, access_request, access_proof]
    wanted = [select(table.c.email).where(table.c.customer_key == key) for table in tables]
    return (await connection.scalars(union(*wanted))).all()


# --- what is stored -----------------------------------------------------------------------------------------------


async def identifiers(connection: AsyncConnection, key: str, columns: Sequence[str]) -> Sequence[AnyRow]:
    """Return the id and these columns of each booking of a customer."""
    wanted = select(_b.id, *(_b[name] for name in columns)).where(_b.customer_key == key)
    return (await connection.execute(wanted)).all()


async def changes_of(connection: AsyncConnection, ids: Collection[UUID]) -> Sequence[AnyRow]:
    """Return the history of these bookings, oldest first."""
    return await _of_bookings(connection, booking_change, ids)


async def messages_of(connection: AsyncConnection, ids: Collection[UUID]) -> Sequence[AnyRow]:
    """Return the emails about these bookings, oldest first."""
    return await _of_bookings(connection, message, ids)


async def holds_of(connection: AsyncConnection, browsers: Collection[bytes]) -> Sequence[AnyRow]:
    """Return the holds of these browsers that have not been deleted."""
    wanted = select(_b.id, _b.expert_id, _b.session_type_id, _b.starts_at, _b.ends_at, _b.hold_until)
    rows = await connection.execute(wanted.where(_b.visitor.in_(browsers), _b.email.is_(None)).order_by(_b.held_at))
    return rows.all()


async def rows_of_address(connection: AsyncConnection, table: Table, key: str) -> Sequence[AnyRow]:
    """Return the rows of one of the tables OF_AN_ADDRESS."""
    return (await connection.execute(select(table).where(table.c.customer_key == key))).all()


async def rows_of_bookings(connection: AsyncConnection, table: Table, ids: Collection[UUID]) -> Sequence[AnyRow]:
    """Return the rows of one of the tables OF_BOOKINGS."""
    return (await connection.execute(select(table).where(table.c.booking_id.in_(ids)))).all()


async def answers_with(connection: AsyncConnection, marks: Collection[bytes]) -> Sequence[datetime]:
    """Return when the stored responses that contain one of these addresses were stored."""
    wanted = select(kept_answer.c.created_at).where(kept_answer.c.customer.in_(marks))
    return (await connection.scalars(wanted.order_by(kept_answer.c.created_at))).all()


async def mails(connection: AsyncConnection) -> Sequence[AnyRow]:
    """Return the emails of a site without a mail server."""
    return (await connection.execute(select(mailbox_mail).order_by(mailbox_mail.c.id))).all()


async def delete_mails(connection: AsyncConnection, ids: Collection[int]) -> None:
    """Delete some emails of a site without a mail server."""
    if ids:
        await connection.execute(delete(mailbox_mail).where(mailbox_mail.c.id.in_(ids)))


async def _of_bookings(connection: AsyncConnection, table: Table, ids: Collection[UUID]) -> Sequence[AnyRow]:
    wanted = select(table).where(table.c.booking_id.in_(ids)).order_by(table.c.id)
    return (await connection.execute(wanted)).all()
