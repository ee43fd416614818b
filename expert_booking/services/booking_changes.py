"""Change a booking: who may, in which role, and how it gets another time."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, TypeVar
from uuid import UUID

from expert_booking.db import bookings as rows
from expert_booking.db.engine import AnyConnection, AnyRow
from expert_booking.domain.calendar import Calendar, Slot
from expert_booking.domain.errors import (
    BookingNotFound,
    ChangedMeanwhile,
    FieldsWrong,
    Forbidden,
    NotAuthenticated,
    SlotNotOffered,
    SlotTaken,
)
from expert_booking.domain.lifecycle import HOSTS, Actor
from expert_booking.domain.rule_overrides import RuleOverride, slot_for_host
from expert_booking.schemas import Caller, Role
from expert_booking.services.availability import find_offer, slot_columns, slot_refusal, with_busy

NewRowType = TypeVar("NewRowType", bound=rows.NewRow)
CHANGED_CONCURRENTLY: Final = "Someone else has just changed this booking."
# A host may make a day this much fuller than its cap.
_PLACES_BEYOND_CAP: Final = 100
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
    return row, acting_as_host(caller)


def acting_as_host(caller: Caller) -> ActingAs:
    """The role in which a host changes bookings. The caller has been checked."""
    return ActingAs(Actor.ADMIN if caller.role is Role.ADMIN else Actor.EXPERT, caller.token_id)


@dataclass(frozen=True, slots=True)
class HostOptions:
    """What only hosts may decide about a change: the rules to set aside, and whether emails are sent.

    None: not decided.
    """

    override: Collection[RuleOverride] | None = None
    notify: bool | None = None

    def check(self, by: ActingAs) -> None:
        """Raise Forbidden if something was decided, and not by a host."""
        if by.actor not in HOSTS and (self.override is not None or self.notify is not None):
            raise Forbidden("Only the expert or an admin can send `override` and `notify`.")


def check_version(row: AnyRow | None, version: int | None) -> None:
    """Raise ChangedMeanwhile if the booking no longer has the version that the caller has read."""
    if version is not None and (row is None or row.version != version):
        raise ChangedMeanwhile


def check_minute(starts_at: datetime) -> None:
    """Raise FieldsWrong unless this start is a whole minute, as the starts of hosts must be."""
    if starts_at.second or starts_at.microsecond:
        raise FieldsWrong({"startsAt": "Please use a whole minute."})


def beyond_cap(row: NewRowType, used: Collection[RuleOverride]) -> NewRowType:
    """Return the row with places beyond the daily cap, if a host sets the cap aside."""
    if RuleOverride.DAY_FULL not in used or row.daily_cap is None:
        return row
    return replace(row, daily_cap=row.daily_cap + _PLACES_BEYOND_CAP)


def owns(caller: Caller, row: AnyRow) -> bool:
    """Whether the caller is the customer of this booking."""
    return caller.owns(row.id, row.customer_key, row.visitor, row.key_version)


def change_of(row: AnyRow, by: ActingAs, reason: str, at: datetime) -> rows.Change:
    """Return the change that `by` makes to this booking at `at` (UTC)."""
    return rows.Change(row.id, row.status, row.version, by.actor.value, at, by.token_id, reason)


async def reschedule(
    connection: AnyConnection,
    row: AnyRow,
    to: datetime,
    clock: Callable[[], datetime],
    *,
    by: ActingAs,
    reason: str,
    options: HostOptions,
) -> bool:
    """Give the booking another time. See `Bookings.reschedule`. `to` is UTC. False if it was changed concurrently."""
    now = clock()
    offer = await find_offer(connection, row.expert_id, row.session_type_id, now)
    override = (options.override or ()) if by.actor in HOSTS else None
    if override:
        check_minute(to)
    await rows.lock_reschedules(connection, row.expert_id)
    for _ in range(_RESCHEDULE_ATTEMPTS):
        calendar = (await with_busy(connection, offer, to, now)).without(row.starts_at)
        try:
            slot, used = _slot(calendar, to, now, override)
        except (SlotTaken, SlotNotOffered):
            break
        new = beyond_cap(rows.NewRow(id=row.id, **slot_columns(offer, slot, now)), used)
        counted = by.actor is Actor.CUSTOMER
        if override is not None:
            await rows.set_aside(connection, used, notify=options.notify is not False)
        try:
            return await rows.reschedule(connection, change_of(row, by, reason, clock()), new, counted=counted)
        except SlotTaken:
            # A concurrent booking took the time or our place under the daily cap: re-read and decide again.
            continue
    raise await slot_refusal(connection, offer, to, now, own=row.starts_at, override=override)


def _slot(
    calendar: Calendar, to: datetime, now: datetime, override: Collection[RuleOverride] | None
) -> tuple[Slot, Collection[RuleOverride]]:
    """The slot at this instant, and the overrides that it needs. `override` is None unless a host asks."""
    if override is None:
        return calendar.offered(to, now), ()
    return slot_for_host(calendar, to, now, override)
