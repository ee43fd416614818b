"""Statements about the confirmation of a customer's email address."""

from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import DateTime, Text, and_, bindparam, func, insert, literal, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from expert_booking.db.engine import AnyRow
from expert_booking.db.tables import MAIL_CHANNEL, booking, message
from expert_booking.domain.email_schedule import MessageKind
from expert_booking.domain.lifecycle import Actor, Status
from expert_booking.domain.terms import InitialState

# How often the email of one booking is sent, so that no one can flood an address with it.
MAX_EMAILS: Final = 4

_b, _m = booking.c, message.c
# A session that was completed automatically says nothing about whether its customer came.
_HOST_COMPLETED: Final = and_(_b.status == "completed", _b.changed_by != Actor.SYSTEM.value)
_IS_KNOWN: Final = select(
    select(literal(1))
    .select_from(booking)
    .where(_b.customer_key == bindparam("customer_key"), or_(_HOST_COMPLETED, _b.verified_at.is_not(None)))
    .exists()
)
_LOCK: Final = text("SELECT pg_advisory_xact_lock(hashtextextended('confirmation of ' || :booking, 0))")
_READ: Final = select(
    _b.id, _b.customer_key, _b.status, _b.starts_at, _b.ends_at, _b.sequence, _b.verify_by, _b.answer_minutes,
    _b.wrong_codes,
).where(_b.id == bindparam("booking_id"))  # fmt: skip
# The lock keeps out other confirmations, but neither a cancellation nor the deadline.
_STILL_WAITING: Final = and_(
    _b.id == bindparam("booking_id"), _b.status == Status.PENDING.value, _b.verify_by.is_not(None)
)
_CHANGED: Final = {"updated_at": func.now(), "version": _b.version + 1, "changed_with": None}
_VERIFY: Final = (
    update(booking)
    .where(_STILL_WAITING)
    .values(
        status=bindparam("to"), answer_by=bindparam("until", type_=DateTime(timezone=True)), verify_by=None,
        verified_at=bindparam("at"), changed_by=Actor.CUSTOMER.value, changed_at=bindparam("at"),
        change_reason="email address confirmed", **_CHANGED,
    )
)  # fmt: skip
_COUNT_WRONG_CODE: Final = (
    update(booking).where(_b.id == bindparam("booking_id")).values(wrong_codes=_b.wrong_codes + 1)
)
_GIVE_UP: Final = (
    update(booking)
    .where(_STILL_WAITING)
    .values(
        status="expired", wrong_codes=_b.wrong_codes + 1, changed_by=Actor.SYSTEM.value, changed_at=bindparam("at"),
        change_reason="too many wrong codes", **_CHANGED,
    )
)  # fmt: skip
_COUNT_EMAILS: Final = select(func.count()).where(
    _m.booking_id == bindparam("booking_id"), _m.kind == MessageKind.VERIFICATION.value
)
_TELL_OUTBOX: Final = select(
    func.pg_notify(MAIL_CHANNEL, ""), func.pg_notify(MAIL_CHANNEL, bindparam("booking_id", type_=Text))
)


async def is_known(connection: AsyncConnection, customer_key: str) -> bool:
    """Return whether a session was attended with this address, or a booking of it was confirmed by email."""
    return bool(await connection.scalar(_IS_KNOWN, {"customer_key": customer_key}))


async def lock(connection: AsyncConnection, booking_id: UUID) -> AnyRow:
    """Return what is known of an existing booking. Other confirmations of it wait until the transaction ends."""
    await connection.execute(_LOCK, {"booking": str(booking_id)})
    return (await connection.execute(_READ, {"booking_id": booking_id})).one()


async def verify(connection: AsyncConnection, booking_id: UUID, state: InitialState, at: datetime) -> bool:
    """Record that the customer has confirmed the address, and give the booking this state.

    Returns False if it no longer waits for that. Call `lock` first.
    """
    values = {"booking_id": booking_id, "to": state.status.value, "until": state.answer_by, "at": at}
    return (await connection.execute(_VERIFY, values)).rowcount == 1


async def count_wrong_code(connection: AsyncConnection, booking_id: UUID) -> None:
    """Count a wrong code. Call `lock` first."""
    await connection.execute(_COUNT_WRONG_CODE, {"booking_id": booking_id})


async def give_up(connection: AsyncConnection, booking_id: UUID, at: datetime) -> None:
    """Count the last wrong code and let the booking expire. Call `lock` first."""
    await connection.execute(_GIVE_UP, {"booking_id": booking_id, "at": at})


async def queue_email(connection: AsyncConnection, row: AnyRow) -> bool:
    """Queue the email once more; False if it was sent MAX_EMAILS times. `row` is from `lock`."""
    if (await connection.scalar(_COUNT_EMAILS, {"booking_id": row.id}) or 0) >= MAX_EMAILS:
        return False
    values = {
        "kind": MessageKind.VERIFICATION.value, "booking_id": row.id, "status": row.status,
        "starts_at": row.starts_at, "ends_at": row.ends_at, "sequence": row.sequence,
    }  # fmt: skip
    await connection.execute(insert(message).values(values))
    await connection.execute(_TELL_OUTBOX, {"booking_id": str(row.id)})
    return True
