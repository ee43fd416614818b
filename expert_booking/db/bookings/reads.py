"""Statements that read bookings."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import (
    bindparam,
    case,
    func,
    or_,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import Range
from sqlalchemy.ext.asyncio import AsyncConnection

from expert_booking.db.engine import AnyRow
from expert_booking.db.tables import AGREED_TERMS, LIVE_ROWS, assistant, booking, booking_change, expert, message

_b, _c, _m = booking.c, booking_change.c, message.c
# The state of the last email to the customer.
_EMAIL_STATE: Final = (
    select(
        case(
            (_m.sent_at.is_not(None), "sent"),
            (_m.failed_at.is_not(None), func.coalesce(_m.withheld, "failed")),
            else_="waiting",
        )
    )
    .where(_m.booking_id == _b.id, _m.audience == "customer")
    .order_by(_m.id.desc())
    .limit(1)
    .correlate(booking)
    .scalar_subquery()
)
# The columns of a BookingView, of the booking and of its expert. Reads use them, and so do inserts, which return them.
VIEW_COLUMNS: Final = (
    "id", "expert_id", "session_type_id", "starts_at", "ends_at", "status", "name", "email", "phone", "notes",
    "time_zone", "answer_by", "verify_by", "reschedules", "created_at", "updated_at", "version", "visitor",
    "customer_key", "key_version", "sequence", "title", *AGREED_TERMS, "wanted_emails", "location",
    "answers",
)  # fmt: skip
EXPERT_COLUMNS: Final = {
    "expert_slug": expert.c.slug, "expert_name": expert.c.name, "expert_time_zone": expert.c.time_zone,
}  # fmt: skip
# Holds have no customer and are not bookings.
IS_BOOKING: Final = _b.email.is_not(None)
VIEW: Final = (
    select(
        *(_b[name] for name in VIEW_COLUMNS),
        *(c.label(name) for name, c in EXPERT_COLUMNS.items()),
        _EMAIL_STATE.label("mail"),
    )
    .join_from(booking, expert, expert.c.id == _b.expert_id)
    .where(IS_BOOKING)
)
_COUNT = select(func.count()).select_from(booking).where(IS_BOOKING)
_HISTORY = (
    select(
        _c.at,
        _c.actor,
        _c.from_status,
        _c.to_status,
        _c.from_starts_at,
        _c.to_starts_at,
        _c.reason,
        _c.override,
        _c.token_id,
        assistant.c.email.label("assistant"),
    )
    .join_from(booking_change, assistant, assistant.c.id == _c.token_id, isouter=True)
    .where(_c.booking_id == bindparam("booking_id"))
    .order_by(_c.id)
)


async def count(connection: AsyncConnection) -> int:
    """Count the bookings in any status."""
    return await connection.scalar(_COUNT) or 0


async def by_id(connection: AsyncConnection, booking_id: UUID) -> AnyRow | None:
    """Return one booking with the columns of BookingView."""
    return (await connection.execute(VIEW.where(_b.id == booking_id))).one_or_none()


async def by_submission(connection: AsyncConnection, submission: UUID, visitor: bytes) -> AnyRow | None:
    """Return the booking that this browser made with this form."""
    wanted = VIEW.where(_b.submission == submission, _b.visitor == visitor)
    return (await connection.execute(wanted)).one_or_none()


async def by_time_and_visitor(
    connection: AsyncConnection, expert_id: UUID, since: datetime, until: datetime, visitor: bytes
) -> AnyRow | None:
    """Return this browser's first live booking that overlaps [since, until), buffers included. Ignores holds."""
    overlaps = _b.busy.op("&&")(Range(since, until))
    wanted = VIEW.where(
        _b.expert_id == expert_id, overlaps, _b.visitor == visitor, text(LIVE_ROWS), _b.status != "held"
    )
    return (await connection.execute(wanted.order_by(_b.starts_at).limit(1))).one_or_none()


async def of_visitor(connection: AsyncConnection, visitor: bytes) -> Sequence[AnyRow]:
    """Return the bookings made in one browser, for any address, latest start first. Ignores holds."""
    wanted = VIEW.where(_b.visitor == visitor)
    return (await connection.execute(wanted.order_by(_b.starts_at.desc(), _b.id).limit(200))).all()


async def of_customer(connection: AsyncConnection, customer_key: str, *, limit: int | None = 200) -> Sequence[AnyRow]:
    """Return the bookings of a customer, latest start first. `limit` None: all of them."""
    wanted = VIEW.where(_b.customer_key == customer_key)
    return (await connection.execute(wanted.order_by(_b.starts_at.desc(), _b.id).limit(limit))).all()


async def of_experts(connection: AsyncConnection, expert_ids: Sequence[UUID], since: datetime) -> Sequence[AnyRow]:
    """Return pending and confirmed bookings of these experts that end after `since`, earliest first.

    Without those whose customer has not confirmed the email address yet.
    """
    wanted = VIEW.where(
        _b.expert_id.in_(expert_ids),
        _b.ends_at > since,
        _b.status.in_(("pending", "confirmed")),
        _b.verify_by.is_(None),
    )
    return (await connection.execute(wanted.order_by(_b.starts_at, _b.id).limit(200))).all()


async def busy_page(
    connection: AsyncConnection, expert_id: UUID, now: datetime, limit: int, offset: int
) -> tuple[Sequence[AnyRow], int]:
    """Return one page of an expert's live bookings and holds with their public columns, and the total.

    Ignores expired holds.
    """
    wanted = select(_b.id, _b.starts_at, _b.ends_at, _b.status).where(
        _b.expert_id == expert_id, text(LIVE_ROWS), or_(_b.status != "held", _b.hold_until > now)
    )
    total = await connection.scalar(select(func.count()).select_from(wanted.subquery()))
    rows = await connection.execute(wanted.order_by(_b.starts_at.desc(), _b.id).limit(limit).offset(offset))
    return rows.all(), total or 0


async def history(connection: AsyncConnection, booking_id: UUID) -> Sequence[AnyRow]:
    """Return the history of a booking, oldest first."""
    return (await connection.execute(_HISTORY, {"booking_id": booking_id})).all()
