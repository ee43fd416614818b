"""Statements that insert bookings and holds, or turn a hold into a booking.

The insert itself decides whether a slot is free: no row back means that the time is taken.
"""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import (
    Column,
    TextClause,
    Uuid,
    bindparam,
    text,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from expert_booking.db.bookings.reads import EXPERT_COLUMNS, VIEW_COLUMNS
from expert_booking.db.bookings.rows import NewBooking, NewHold
from expert_booking.db.engine import AnyRow, DriverStatement, violated
from expert_booking.db.tables import booking
from expert_booking.domain.errors import SessionTypeNotFound, SlotTaken

_b = booking.c

_SLOT_COLUMNS: Final = (
    _b.id, _b.expert_id, _b.session_type_id, _b.starts_at, _b.ends_at, _b.busy, _b.cap_day, _b.status, _b.visitor,
    _b.changed_by, _b.changed_at, _b.title, _b.cancel_notice_minutes, _b.reschedule_notice_minutes, _b.max_reschedules,
)  # fmt: skip
_CUSTOMER_COLUMNS: Final = (
    _b.name,
    _b.email,
    _b.customer_key,
    _b.phone,
    _b.notes,
    _b.time_zone,
    _b.submission,
    _b.answer_by,
    _b.verify_by,
    _b.answer_minutes,
)
_HOLD_COLUMNS: Final = (_b.held_at, _b.hold_until, _b.hold_origin, _b.hold_keeper)
_DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]
# ON CONFLICT has no conflict target, so every fence (and the submission) counts, and no insert waits for another or
# deadlocks. On a day with a cap, the statement tries every place: the row takes the first free one and then conflicts
# with its own further attempts. Without a cap there is one attempt, without a place.
_EACH_PLACE: Final = "unnest(CAST(:places AS SMALLINT[])) AS place"
# The email that a trigger queues with the booking is still waiting. The expert's columns come from the offer, without a
# join.
_RETURNING_VIEW: Final = ", ".join(
    (*VIEW_COLUMNS, *(f"CAST(:{name} AS text) AS {name}" for name in EXPERT_COLUMNS), "'waiting' AS mail")
)
_RETURNING_HOLD: Final = "id, expert_id, session_type_id, starts_at, ends_at, hold_until"


def _insert_statement(prefix: str, columns: Sequence[Column[Any]], source: str, returning: str) -> TextClause:
    names = ", ".join(column.name for column in columns)
    binds = ", ".join(f"CAST(:{column.name} AS {column.type.compile(_DIALECT)})" for column in columns)
    statement = f"""{prefix} INSERT INTO booking ({names}, cap_place) SELECT {binds}, place FROM {source}
        ON CONFLICT DO NOTHING RETURNING {returning}"""  # noqa: S608 - only our own column names
    return text(statement).bindparams(*(bindparam(column.name, type_=column.type) for column in columns))


# Releases expired holds that block the slot, and the customer's own, before the insert in the same statement: reading
# `released` makes it run first.
RELEASE_HOLDS: Final = """
    WITH released AS (
      UPDATE booking SET status = 'expired', hold_origin = NULL, hold_keeper = NULL, updated_at = now(),
             version = version + 1, changed_by = 'system', changed_with = NULL, change_reason = ''
      WHERE expert_id = :expert_id AND status = 'held' AND (hold_until <= CAST(:now AS timestamptz) OR id = :own_hold)
        AND (busy && :busy OR session_type_id = :session_type_id AND cap_day = :cap_day) RETURNING 1
    )"""
_AFTER_RELEASE: Final = f"(SELECT count(*) FROM released) AS released_count, {_EACH_PLACE}"  # noqa: S608


def _insert_pair(columns: Sequence[Column[Any]], returning: str) -> tuple[DriverStatement, DriverStatement]:
    """The plain statement, and the one that releases holds first."""
    plain = _insert_statement("", columns, _EACH_PLACE, returning)
    over_holds = _insert_statement(RELEASE_HOLDS, columns, _AFTER_RELEASE, returning)
    return DriverStatement(plain), DriverStatement(over_holds.bindparams(bindparam("own_hold", type_=Uuid)))


_BOOK: Final = _insert_pair((*_SLOT_COLUMNS, *_CUSTOMER_COLUMNS), _RETURNING_VIEW)
_HOLD: Final = _insert_pair((*_SLOT_COLUMNS, *_HOLD_COLUMNS), _RETURNING_HOLD)
_booked_columns: Final = (_b.status, _b.changed_by, _b.changed_at, *_CUSTOMER_COLUMNS)
_SET_BOOKED: Final = ", ".join(f"{c.name} = CAST(:{c.name} AS {c.type.compile(_DIALECT)})" for c in _booked_columns)
_BOOK_HELD = text(
    f"""
    UPDATE booking SET {_SET_BOOKED},
           visitor = coalesce(visitor, :visitor), held_at = NULL, hold_until = NULL, hold_origin = NULL,
           hold_keeper = NULL, changed_with = NULL,
           change_reason = '', created_at = now(), updated_at = now(), version = version + 1
     WHERE id = :own_hold AND status = 'held' AND hold_until > CAST(:now AS timestamptz) AND expert_id = :expert_id
       AND session_type_id = :session_type_id AND starts_at = :starts_at AND busy = :busy
    RETURNING {_RETURNING_VIEW}
    """  # noqa: S608 - only our own column names
).bindparams(*(bindparam(c.name, type_=c.type)
               for c in (*_booked_columns, _b.visitor, _b.expert_id, _b.session_type_id, _b.starts_at, _b.busy)),
             bindparam("own_hold", type_=Uuid))  # fmt: skip


async def insert_or_fail(connection: AsyncConnection, new: NewBooking | NewHold) -> AnyRow | None:
    """Insert a booking or hold, and return its row with the columns of BookingView or HoldView.

    None if the time is taken, the day is full, or this form was already submitted.
    Raises SessionTypeNotFound if the session type was deleted in the meantime.
    """
    return await insert(connection, new) or await insert_over_expired_holds(connection, new)


async def insert(connection: AsyncConnection, new: NewBooking | NewHold) -> AnyRow | None:
    """Do the same, but also return None if an expired hold blocks the slot."""
    plain, _ = _BOOK if isinstance(new, NewBooking) else _HOLD
    return await _insert_row(connection, plain, new, {})


async def insert_over_expired_holds(connection: AsyncConnection, new: NewBooking | NewHold) -> AnyRow | None:
    """Do the same, after releasing expired holds that block the slot."""
    _, over_expired_holds = _BOOK if isinstance(new, NewBooking) else _HOLD
    return await _insert_row(connection, over_expired_holds, new, {"now": new.now, "own_hold": new.own_hold})


async def _insert_row(
    connection: AsyncConnection, statement: DriverStatement, new: NewBooking | NewHold, more: dict[str, object]
) -> AnyRow | None:
    places = list(range(1, new.daily_cap + 1)) if new.daily_cap else [None]
    try:
        row: AnyRow | None = await statement.one_or_none(connection, {**new.values(), "places": places, **more})
    except IntegrityError as error:
        if violated(error) != "fk_booking_session_type_id":
            raise
        raise SessionTypeNotFound from error
    return row


async def book_held(connection: AsyncConnection, new: NewBooking) -> AnyRow | None:
    """Turn the hold on this slot into a booking, with the title and terms of the hold.

    None if the hold has expired or is for another slot. Raises SlotTaken if this form was already submitted.
    """
    values = {**new.values(), "own_hold": new.own_hold, "now": new.now}
    try:
        return (await connection.execute(_BOOK_HELD, values)).one_or_none()
    except IntegrityError as error:
        if violated(error) != "uq_booking_submission":
            raise
        raise SlotTaken from error
