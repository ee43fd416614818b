"""Statements that change the status or the time of a booking."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    Date,
    Uuid,
    bindparam,
    func,
    text,
    update,
)
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from expert_booking.db.bookings.inserts import RELEASE_HOLDS
from expert_booking.db.bookings.rows import NewRow
from expert_booking.db.engine import violated
from expert_booking.db.tables import LIVE_ROWS, booking
from expert_booking.domain.errors import SlotTaken

_b = booking.c

# The constraints that an UPDATE to a taken time violates; the last one means a full day.
_TAKEN_CONSTRAINTS: Final = frozenset(
    {"ex_booking_no_overlap", "uq_booking_slot", "uq_booking_cap_place", "ck_booking_cap_place"}
)
_CHANGE_STATUS = (
    update(booking)
    .where(
        _b.id == bindparam("booking_id"), _b.status == bindparam("old_status"), _b.version == bindparam("old_version")
    )
    .values(
        status=bindparam("to"), answer_by=None, updated_at=func.now(), version=_b.version + 1,
        changed_by=bindparam("by"), changed_with=bindparam("token"), change_reason=bindparam("reason"),
        changed_at=bindparam("at"),
    )
    .returning(_b.id)
)  # fmt: skip
# One reschedule per expert at a time. An UPDATE waits for a conflicting one, so several into the same time could
# deadlock.
_LOCK_RESCHEDULES = text("SELECT pg_advisory_xact_lock(hashtextextended('reschedule ' || :expert, 0))")
_SET_ASIDE = text(
    """
    SELECT set_config('expert_booking.override', :override, true),
           set_config('expert_booking.silent', CASE WHEN CAST(:notify AS boolean)
                      THEN coalesce(current_setting('expert_booking.silent', true), '') ELSE 'on' END, true)
    """
)
_RELEASE_HOLDS = text(f"{RELEASE_HOLDS} SELECT count(*) FROM released").bindparams(  # noqa: S608
    bindparam("expert_id", type_=Uuid), bindparam("session_type_id", type_=Uuid), bindparam("own_hold", type_=Uuid),
    bindparam("busy", type_=_b.busy.type), bindparam("cap_day", type_=Date),
)  # fmt: skip
# On the same day it keeps its place; on another day it takes the lowest free one.
_RESCHEDULE = text(
    f"""
    UPDATE booking AS rescheduled
       SET starts_at = :starts_at, ends_at = :ends_at, busy = :busy, cap_day = :cap_day,
           cap_place = CASE WHEN CAST(:daily_cap AS int) IS NULL THEN NULL
                            WHEN cap_day = :cap_day THEN cap_place
                            ELSE (SELECT min(place) FROM generate_series(1, :daily_cap) AS place
                                   WHERE NOT EXISTS (SELECT FROM booking AS other
                                                      WHERE other.session_type_id = rescheduled.session_type_id
                                                        AND other.cap_day = :cap_day AND other.cap_place = place
                                                        AND other.{LIVE_ROWS})) END,
           answer_by = CASE WHEN answer_by > :starts_at THEN :starts_at ELSE answer_by END,
           reschedules = reschedules + :counted, updated_at = now(), version = version + 1,
           changed_by = :by, changed_with = :token, change_reason = :reason, changed_at = :at
     WHERE id = :booking_id AND status = :old_status AND version = :old_version
    RETURNING id
    """  # noqa: S608 - only our own text
).bindparams(
    *(bindparam(c.name, type_=c.type) for c in (_b.starts_at, _b.ends_at, _b.busy, _b.cap_day)),
    bindparam("booking_id", type_=Uuid), bindparam("token", type_=Uuid), bindparam("at", type_=_b.changed_at.type),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Change:
    """A change of a booking: by whom, with which token and why, and the status and version it was read with."""

    booking_id: UUID
    old_status: str
    old_version: int
    by: str
    at: datetime
    token: UUID | None = None
    reason: str = ""

    def values(self) -> dict[str, Any]:
        """The parameters of the statements."""
        return {
            "booking_id": self.booking_id, "old_status": self.old_status, "old_version": self.old_version,
            "by": self.by, "token": self.token, "reason": self.reason, "at": self.at,
        }  # fmt: skip


async def set_aside(connection: AsyncConnection, override: Collection[str], *, notify: bool) -> None:
    """Say how the history and the outbox treat the changes of the rest of this transaction.

    `override` are the rules that a host sets aside. Without `notify`, no emails about the changes are sent.
    """
    await connection.execute(_SET_ASIDE, {"override": ",".join(override), "notify": notify})


async def change_status(connection: AsyncConnection, change: Change, to: str) -> bool:
    """Change the status of a booking; False if it has changed since it was read."""
    return (await connection.execute(_CHANGE_STATUS, {**change.values(), "to": to})).one_or_none() is not None


async def lock_reschedules(connection: AsyncConnection, expert_id: UUID) -> None:
    """Lock rescheduling of this expert's bookings until the transaction ends. Waits for other transactions."""
    await connection.execute(_LOCK_RESCHEDULES, {"expert": str(expert_id)})


async def reschedule(connection: AsyncConnection, change: Change, new: NewRow, *, counted: bool) -> bool:
    """Move a booking to another slot; False if it has changed since it was read.

    Raises SlotTaken if the slot or the last place of the day is taken; the booking then keeps its old time.
    """
    where = new.where()
    places = {"daily_cap": new.daily_cap, "counted": int(counted)}
    await connection.execute(_RELEASE_HOLDS, {**where, "own_hold": None, "now": new.now})
    try:
        async with connection.begin_nested():
            return (
                await connection.execute(_RESCHEDULE, {**change.values(), **where, **places})
            ).one_or_none() is not None
    except IntegrityError as error:
        if violated(error) not in _TAKEN_CONSTRAINTS:
            raise
        raise SlotTaken from error
