"""Statements about an expert's email address. A new address is pending until its emailed link is used."""

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from expert_booking.db import access
from expert_booking.db.tables import access_request, expert
from expert_booking.domain.addresses import customer_key
from expert_booking.domain.email_schedule import MessageKind

# How long the link in the email is valid. The request is kept no longer than this.
LINK_VALID_FOR: Final = timedelta(days=1)

_e, _r = expert.c, access_request.c


async def current(connection: AsyncConnection, expert_id: UUID) -> tuple[str, str]:
    """Return the current address and its normalised form for signing in."""
    row = (await connection.execute(select(_e.email, _e.email_key).where(_e.id == expert_id))).one()
    return row.email, row.email_key


async def put(connection: AsyncConnection, expert_id: UUID, email: str) -> None:
    """Change only the spelling of the current address, and discard a pending one."""
    statement = update(expert).where(_e.id == expert_id)
    await connection.execute(statement.values(email=email, pending_email=None))


async def count_since(connection: AsyncConnection, expert_id: UUID, since: datetime) -> tuple[int, datetime | None]:
    """Return how often a new address was entered since then, and when first."""
    # Notices to the old address are requests, too, but spent from the start.
    entered = select(func.count(), func.min(_r.created_at)).where(
        _r.expert_id == expert_id, _r.created_at > since, _r.spent_at.is_distinct_from(_r.created_at)
    )
    times, first = (await connection.execute(entered)).one()
    return times, first


async def put_pending(connection: AsyncConnection, expert_id: UUID, email: str, now: datetime) -> None:
    """Store a pending address. Queues an email with a link to it, and a notice to the old address."""
    old, old_key = await current(connection, expert_id)
    await connection.execute(update(expert).where(_e.id == expert_id).values(pending_email=email))
    facts = {"expert_id": expert_id, "created_at": now, "expires_at": now + LINK_VALID_FOR}
    new = await access.add_request(
        connection, email=email, customer_key=customer_key(email), next_path="/my-bookings", **facts
    )
    await access.queue_email(connection, new, MessageKind.NEW_ADDRESS)
    # Spent from the start, because the notice has no link.
    notice = await access.add_request(connection, email=old, customer_key=old_key, spent_at=now, **facts)
    await access.queue_email(connection, notice, MessageKind.ADDRESS_CHANGE)


async def confirm(connection: AsyncConnection, expert_id: UUID, key: str) -> None:
    """Make the pending address the current one, if its normalised form is still `key`."""
    wanted = select(_e.pending_email).where(_e.id == expert_id).with_for_update()
    email = await connection.scalar(wanted)
    if email is not None and customer_key(email) == key:
        statement = update(expert).where(_e.id == expert_id)
        await connection.execute(statement.values(email=email, email_key=key, pending_email=None))


async def with_pending(connection: AsyncConnection, key: str) -> UUID | None:
    """Return the expert with this pending address, or None. Scans all pending addresses; for the command line only."""
    waiting = await connection.execute(select(_e.id, _e.pending_email).where(_e.pending_email.is_not(None)))
    return next((row.id for row in waiting if customer_key(row.pending_email) == key), None)
