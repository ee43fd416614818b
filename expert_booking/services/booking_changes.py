"""Change a booking: who may, in which role, and how it gets another time."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from expert_booking.db import bookings as rows
from expert_booking.db.engine import AnyConnection, AnyRow
from expert_booking.domain.errors import (
    BookingNotFound,
    Forbidden,
    NotAuthenticated,
    RescheduleNotAllowed,
    SlotNotOffered,
    SlotTaken,
)
from expert_booking.domain.lifecycle import Actor
from expert_booking.schemas import Caller, Role
from expert_booking.services.availability import find_offer, slot_columns, slot_refusal, with_busy

CHANGED_CONCURRENTLY: Final = "Someone else has just changed this booking."
# How often rescheduling is attempted while concurrent bookings take the places of a capped day.
_RESCHEDULE_ATTEMPTS: Final = 3


@dataclass(frozen=True, slots=True)
class ActingAs:
    """The role in which a caller changes a booking."""

    actor: Actor
    token_id: UUID | None = None


async def changeable(connection: AnyConnection, booking_id: UUID, caller: Caller | None) -> tuple[AnyRow, ActingAs]:
    """A booking that this caller may change, and the role in which they do.

    Raises NotAuthenticated, Forbidden or BookingNotFound.
    """
    if caller is None:
        raise NotAuthenticated
    row = await rows.by_id(connection, booking_id)
    if row is None:
        raise BookingNotFound if caller.role is not Role.READER else Forbidden
    if owns(caller, row):
        return row, ActingAs(Actor.CUSTOMER)
    if caller.role is Role.CUSTOMER:
        raise BookingNotFound
    if not caller.runs(row.expert_id):
        raise Forbidden
    return row, ActingAs(Actor.ADMIN if caller.role is Role.ADMIN else Actor.EXPERT, caller.token_id)


def owns(caller: Caller, row: AnyRow) -> bool:
    """Whether the caller is the customer of this booking."""
    return caller.owns(row.id, row.customer_key, row.visitor, row.key_version)


def has_signed_in(caller: Caller | None, row: AnyRow) -> bool:
    """Whether the caller may see sensitive answers: a host, a reader, or the customer who has proven the address.

    The link in an email and the browser that booked are not enough.
    """
    return caller is not None and (caller.reads_everything() or caller.vouches_for(row.customer_key, row.expert_id))


def change_of(row: AnyRow, by: ActingAs, reason: str, at: datetime) -> rows.Change:
    """Return the change that `by` makes to this booking at `at` (UTC)."""
    return rows.Change(row.id, row.status, row.version, by.actor.value, at, by.token_id, reason)


async def reschedule(
    connection: AnyConnection, row: AnyRow, to: datetime, clock: Callable[[], datetime], *, by: ActingAs, reason: str
) -> None:
    """Give the booking another time. See `Bookings.reschedule`. `to` is UTC."""
    now = clock()
    offer = await find_offer(connection, row.expert_id, row.session_type_id, now)
    await rows.lock_reschedules(connection, row.expert_id)
    for _ in range(_RESCHEDULE_ATTEMPTS):
        calendar = (await with_busy(connection, offer, to, now)).without(row.starts_at)
        try:
            slot = calendar.offered(to, now)
        except (SlotTaken, SlotNotOffered):
            break
        new = rows.NewRow(id=row.id, **slot_columns(offer, slot, now))
        counted = by.actor is Actor.CUSTOMER
        try:
            done = await rows.reschedule(connection, change_of(row, by, reason, clock()), new, counted=counted)
        except SlotTaken:
            # A concurrent booking took the time or our place under the daily cap: re-read and decide again.
            continue
        if not done:
            raise RescheduleNotAllowed(CHANGED_CONCURRENTLY)
        return
    raise await slot_refusal(connection, offer, to, now, own=row.starts_at)
