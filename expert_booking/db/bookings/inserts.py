"""Statements that insert bookings and holds, or turn a hold into a booking.

The insert itself decides whether a slot is free: no row back means that the time is taken. A booking that is subject to
limits is checked against them in the same statement, by the SQL function `check_booking_limits`.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    BindParameter,
    Column,
    Text,
    TextClause,
    Uuid,
    bindparam,
    text,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from expert_booking.db.bookings.reads import EXPERT_COLUMNS, VIEW_COLUMNS
from expert_booking.db.bookings.rows import LimitCheck, NewBooking, NewHold
from expert_booking.db.engine import AnyRow, DriverStatement, violated
from expert_booking.db.tables import AGREED_TERMS, LIVE_ROWS, booking
from expert_booking.domain.errors import BookingLimitReached, SessionTypeNotFound, SlotTaken, TooManyBookings
from expert_booking.domain.lifecycle import HOSTS

_b = booking.c

_SLOT_COLUMNS: Final = (
    _b.id, _b.expert_id, _b.session_type_id, _b.starts_at, _b.ends_at, _b.busy, _b.cap_day, _b.status, _b.visitor,
    _b.changed_by, _b.changed_at, _b.title, *(_b[name] for name in AGREED_TERMS),
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
    _b.location,
    _b.answers,
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


def _insert(columns: Sequence[Column[Any]], source: str, returning: str) -> str:
    names = ", ".join(column.name for column in columns)
    binds = ", ".join(f"CAST(:{column.name} AS {column.type.compile(_DIALECT)})" for column in columns)
    return f"""INSERT INTO booking ({names}, cap_place) SELECT {binds}, place FROM {source}
        ON CONFLICT DO NOTHING RETURNING {returning}"""  # noqa: S608 - only our own column names


# Releases expired holds that block the slot, and the customer's own, before the insert in the same statement: reading
# `released` makes it run first.
_RELEASE: Final = """
      UPDATE booking SET status = 'expired', hold_origin = NULL, hold_keeper = NULL, updated_at = now(),
             version = version + 1, changed_by = 'system', changed_with = NULL, change_reason = ''
      {where} expert_id = :expert_id AND status = 'held'
        AND (hold_until <= CAST(:now AS timestamptz) OR id = :own_hold)
        AND (busy && :busy OR session_type_id = :session_type_id AND cap_day = :cap_day) RETURNING 1"""
RELEASE_HOLDS: Final = f"""
    WITH released AS ({_RELEASE.format(where="WHERE")}
    )"""
_AFTER_RELEASE: Final = f"(SELECT count(*) FROM released) AS released_count, {_EACH_PLACE}"  # noqa: S608


# The statement around a write that is subject to limits. Its result is one row: the limit that is exceeded, if any, and
# the columns of the booking, NULL if none was made.
# Every part that locks rows reads `limits` first. So all transactions lock the network and the customer, in
# `check_booking_limits`, before they lock or insert rows, and cannot deadlock.
_LIMITED: Final = """
    WITH limits AS MATERIALIZED (
      SELECT check_booking_limits(
             CAST(:origin AS bytea), CAST(:visitor AS bytea), CAST(:customer_key AS text), CAST(:proven AS boolean),
             CAST(:expert_id AS uuid), CAST(:now AS timestamptz), CAST(:since AS timestamptz),
             CAST(:per_network AS int), CAST(:live_per_expert AS int), CAST(:live_per_customer AS int)) AS exceeded
             {unless_taken}
    ) {released}, made AS (
      {write}
    ), recorded AS (
      INSERT INTO network_booking (booking_id, origin, booked_at)
      SELECT id, CAST(:origin AS bytea), CAST(:now AS timestamptz) FROM made WHERE CAST(:origin AS bytea) IS NOT NULL
    )
    SELECT limits.*, made.* FROM limits LEFT JOIN made ON true"""
_WITHIN_LIMITS: Final = "limits.exceeded IS NULL"
# In a crowd, nearly everyone finds the time taken. Then nothing is locked or counted, and the result is no row.
_UNLESS_TAKEN: Final = f"""
       WHERE NOT EXISTS (SELECT FROM booking WHERE expert_id = :expert_id AND starts_at = :starts_at AND {LIVE_ROWS})"""
_RELEASED_WITHIN_LIMITS: Final = f", released AS ({_RELEASE.format(where=f'FROM limits WHERE {_WITHIN_LIMITS} AND')})"


def _limited(write: str, *, unless_taken: str = "", released: str = "") -> str:
    return _LIMITED.format(write=write, unless_taken=unless_taken, released=released)


class _Statements(NamedTuple):
    """Two ways to insert: plainly, and after releasing the holds that block the slot."""

    plain: DriverStatement
    over_expired_holds: DriverStatement


def _statements(columns: Sequence[Column[Any]], returning: str) -> _Statements:
    plain, over_holds = (_insert(columns, source, returning) for source in (_EACH_PLACE, _AFTER_RELEASE))
    return _Statements(_typed(plain, columns), _typed(f"{RELEASE_HOLDS} {over_holds}", columns))


def _limited_statements(columns: Sequence[Column[Any]], returning: str) -> _Statements:
    plain, over_holds = (
        _insert(columns, f"{source}, limits WHERE {_WITHIN_LIMITS}", returning)
        for source in (_EACH_PLACE, _AFTER_RELEASE)
    )
    return _Statements(
        _typed(_limited(plain, unless_taken=_UNLESS_TAKEN), columns),
        _typed(_limited(over_holds, released=_RELEASED_WITHIN_LIMITS), columns),
    )


def _typed(statement: str, columns: Sequence[Column[Any]]) -> DriverStatement:
    own_hold = [bindparam("own_hold", type_=Uuid)] if ":own_hold" in statement else []
    return DriverStatement(text(statement).bindparams(*map(_bind, columns), *own_hold))


def _bind(column: Column[Any]) -> BindParameter[Any]:
    # Documents are passed as texts, which the statements cast.
    return bindparam(column.name, type_=Text if isinstance(column.type, JSONB) else column.type)


_BOOKING_COLUMNS: Final = (*_SLOT_COLUMNS, *_CUSTOMER_COLUMNS)
_BOOK: Final = _statements(_BOOKING_COLUMNS, _RETURNING_VIEW)
# A host's booking also records the token.
_BOOK_BY_HOST: Final = _statements((*_BOOKING_COLUMNS, _b.changed_with), _RETURNING_VIEW)
_BOOK_LIMITED: Final = _limited_statements(_BOOKING_COLUMNS, _RETURNING_VIEW)
_HOLD: Final = _statements((*_SLOT_COLUMNS, *_HOLD_COLUMNS), _RETURNING_HOLD)
_booked_columns: Final = (_b.status, _b.changed_by, _b.changed_at, *_CUSTOMER_COLUMNS)
_SET_BOOKED: Final = ", ".join(f"{c.name} = CAST(:{c.name} AS {c.type.compile(_DIALECT)})" for c in _booked_columns)


def _book_held_statement(*, limited: bool) -> TextClause:
    write = f"""
    UPDATE booking SET {_SET_BOOKED},
           visitor = coalesce(visitor, :visitor), held_at = NULL, hold_until = NULL, hold_origin = NULL,
           hold_keeper = NULL, changed_with = NULL,
           change_reason = '', created_at = now(), updated_at = now(), version = version + 1
           {"FROM limits" if limited else ""}
     WHERE id = :own_hold AND status = 'held' AND hold_until > CAST(:now AS timestamptz) AND expert_id = :expert_id
       AND session_type_id = :session_type_id AND starts_at = :starts_at AND busy = :busy
       {f"AND {_WITHIN_LIMITS}" if limited else ""}
    RETURNING {_RETURNING_VIEW}
    """  # noqa: S608 - only our own column names
    columns = (*_booked_columns, _b.visitor, _b.expert_id, _b.session_type_id, _b.starts_at, _b.busy)
    statement = _limited(write) if limited else write
    return text(statement).bindparams(*map(_bind, columns), bindparam("own_hold", type_=Uuid))


_BOOK_HELD: Final = _book_held_statement(limited=False)
_BOOK_HELD_LIMITED: Final = _book_held_statement(limited=True)


async def insert_or_fail(connection: AsyncConnection, new: NewBooking | NewHold) -> AnyRow | None:
    """Insert a booking or hold, and return its row with the columns of BookingView or HoldView.

    None if the time is taken, the day is full, or this form was already submitted. Raises SessionTypeNotFound if the
    session type was deleted in the meantime, and TooManyBookings or BookingLimitReached.
    """
    return await insert(connection, new) or await insert_over_expired_holds(connection, new)


async def insert(connection: AsyncConnection, new: NewBooking | NewHold) -> AnyRow | None:
    """Do the same, but also return None if an expired hold blocks the slot."""
    return await _insert_row(connection, _statements_for(new).plain, new, {})


async def insert_over_expired_holds(connection: AsyncConnection, new: NewBooking | NewHold) -> AnyRow | None:
    """Do the same, after releasing expired holds that block the slot."""
    statement = _statements_for(new).over_expired_holds
    return await _insert_row(connection, statement, new, {"now": new.now, "own_hold": new.own_hold})


def _statements_for(new: NewBooking | NewHold) -> _Statements:
    if isinstance(new, NewHold):
        return _HOLD
    if new.by in HOSTS:
        return _BOOK_BY_HOST
    return _BOOK if new.limits is None else _BOOK_LIMITED


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
    return row if isinstance(new, NewHold) else _made(row, new)


async def book_held(connection: AsyncConnection, new: NewBooking) -> AnyRow | None:
    """Turn the hold on this slot into a booking, with the title and terms of the hold.

    None if the hold has expired or is for another slot. Raises SlotTaken if this form was already submitted, and
    TooManyBookings or BookingLimitReached.
    """
    statement = _BOOK_HELD if new.limits is None else _BOOK_HELD_LIMITED
    values = {**new.values(), "own_hold": new.own_hold, "now": new.now}
    try:
        return _made((await connection.execute(statement, values)).one_or_none(), new)
    except IntegrityError as error:
        if violated(error) != "uq_booking_submission":
            raise
        raise SlotTaken from error


def _made(row: AnyRow | None, new: NewBooking) -> AnyRow | None:
    """Return the booking's row, or None if none was made. Raises TooManyBookings or BookingLimitReached."""
    if row is None or new.limits is None:
        return row
    if row.exceeded is not None:
        raise _refusal(row.exceeded, new.now, new.limits)
    return row if row.id is not None else None


def _refusal(exceeded: Mapping[str, Any], now: datetime, limits: LimitCheck) -> TooManyBookings | BookingLimitReached:
    """The refusal for the result of `check_booking_limits`."""
    if exceeded["limit"] == "network":
        return TooManyBookings(datetime.fromtimestamp(exceeded["oldest"], UTC), now)
    with_expert = exceeded["limit"] == "expert"
    limit = limits.live_per_expert if with_expert else limits.live_per_customer
    return BookingLimitReached(with_expert=with_expert, limit=limit, current=exceeded["counted"])
