"""Statements about the address of an expert: a new one waits until the link that was mailed to it was used."""

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from expert_booking.db import access
from expert_booking.db.tables import access_request, expert
from expert_booking.domain.addresses import customer_key
from expert_booking.domain.email_schedule import MessageKind

# How long the link in the email counts; the request itself is kept no longer.
LINK_LASTS: Final = timedelta(days=1)

_e, _r = expert.c, access_request.c


async def current(connection: AsyncConnection, expert_id: UUID) -> tuple[str, str]:
    """The address that counts, and the form in which it signs in."""
    row = (await connection.execute(select(_e.email, _e.email_key).where(_e.id == expert_id))).one()
    return row.email, row.email_key


async def put(connection: AsyncConnection, expert_id: UUID, email: str) -> None:
    """Write the address that counts in another way, and give up a new one."""
    statement = update(expert).where(_e.id == expert_id)
    await connection.execute(statement.values(email=email, pending_email=None))


async def count_since(connection: AsyncConnection, expert_id: UUID, since: datetime) -> tuple[int, datetime | None]:
    """How often a new address was entered since then, and when first."""
    # Those that tell the old address were spent from the start.
    entered = select(func.count(), func.min(_r.created_at)).where(
        _r.expert_id == expert_id, _r.created_at > since, _r.spent_at.is_distinct_from(_r.created_at)
    )
    times, first = (await connection.execute(entered)).one()
    return times, first


async def put_pending(connection: AsyncConnection, expert_id: UUID, email: str, now: datetime) -> None:
    """Keep a new address until it is confirmed: it gets an email with a link, and the old one an email about it."""
    old, old_key = await current(connection, expert_id)
    await connection.execute(update(expert).where(_e.id == expert_id).values(pending_email=email))
    facts = {"expert_id": expert_id, "created_at": now, "expires_at": now + LINK_LASTS}
    new = await access.add_request(
        connection, email=email, customer_key=customer_key(email), next_path="/my-bookings", **facts
    )
    await access.put_mail(connection, new, MessageKind.NEW_ADDRESS)
    # Spent from the start: this email opens nothing.
    told = await access.add_request(connection, email=old, customer_key=old_key, spent_at=now, **facts)
    await access.put_mail(connection, told, MessageKind.ADDRESS_CHANGE)


async def confirm(connection: AsyncConnection, expert_id: UUID, key: str) -> None:
    """The new address of this expert counts from now on, if it still is the one that `key` signs in by."""
    wanted = select(_e.pending_email).where(_e.id == expert_id).with_for_update()
    email = await connection.scalar(wanted)
    if email is not None and customer_key(email) == key:
        statement = update(expert).where(_e.id == expert_id)
        await connection.execute(statement.values(email=email, email_key=key, pending_email=None))


async def awaiting(connection: AsyncConnection, key: str) -> UUID | None:
    """The expert whose new address this is to be, if there is one. Reads all experts: for the command line only."""
    waiting = await connection.execute(select(_e.id, _e.pending_email).where(_e.pending_email.is_not(None)))
    return next((row.id for row in waiting if customer_key(row.pending_email) == key), None)
