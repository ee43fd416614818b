"""Statements about bookings and holds. The insert is the question: no row back means that the time is taken."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

from psycopg.types.range import TimestamptzRange
from sqlalchemy import (
    Column,
    Date,
    Select,
    TextClause,
    Uuid,
    bindparam,
    case,
    func,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import Range
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from expert_booking.db.availability import Offer
from expert_booking.db.engine import AnyRow, DriverStatement, violated
from expert_booking.db.tables import LIVE_ROWS, booking, booking_change, expert, message
from expert_booking.domain.calendar import Slot
from expert_booking.domain.errors import SessionTypeNotFound, SlotTaken
from expert_booking.domain.lifecycle import Actor, Status
from expert_booking.domain.terms import Terms
from expert_booking.schemas import BookingRequest

_b, _c, _m = booking.c, booking_change.c, message.c
_SLOT: Final = (_b.id, _b.expert_id, _b.session_type_id, _b.starts_at, _b.ends_at, _b.busy, _b.cap_day, _b.status,
                _b.visitor, _b.changed_by, _b.changed_at, _b.title, _b.cancel_notice_minutes,
                _b.reschedule_notice_minutes, _b.max_reschedules)  # fmt: skip
_BOOKED: Final = (_b.name, _b.email, _b.customer_key, _b.phone, _b.notes, _b.time_zone, _b.submission, _b.answer_by)
_HELD: Final = (_b.held_at, _b.hold_until, _b.hold_origin, _b.hold_keeper)
# No conflict target: all fences (and the submission) count, and nobody waits for or deadlocks with anybody. Where the
# day has a cap, the row is offered every place in turn: it takes the first that is free, and from then on it is itself
# in the way of its next tries. Without a cap there is one try, with no place.
_DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]
_TRIES: Final = "unnest(CAST(:places AS SMALLINT[])) AS place"

# What has become of the last mail to the customer.
_MAIL: Final = (
    select(case((_m.sent_at.is_not(None), "sent"), (_m.failed_at.is_not(None), "failed"), else_="waiting"))
    .where(_m.booking_id == _b.id, _m.audience == "customer")
    .order_by(_m.id.desc())
    .limit(1)
    .correlate(booking)
    .scalar_subquery()
)
# What a BookingView is made of: the booking's own columns, and what it says of its expert. One list, for bookings that
# are read and for those just written, whose columns the statement that writes them returns.
_OWN: Final = (
    "id", "expert_id", "session_type_id", "starts_at", "ends_at", "status", "name", "email", "phone", "notes",
    "time_zone", "answer_by", "reschedules", "created_at", "updated_at", "version", "visitor", "customer_key",
    "key_version", "sequence", "title", "cancel_notice_minutes", "reschedule_notice_minutes", "max_reschedules",
)  # fmt: skip
_OF_EXPERT: Final = {
    "expert_slug": expert.c.slug, "expert_name": expert.c.name, "expert_time_zone": expert.c.time_zone,
}  # fmt: skip
_VIEW: Final = (
    select(*(_b[name] for name in _OWN), *(c.label(name) for name, c in _OF_EXPERT.items()), _MAIL.label("mail"))
    .join_from(booking, expert, expert.c.id == _b.expert_id)
    # An expired hold never had a customer: it is nobody's booking.
    .where(_b.email.is_not(None))
)
# The mail that the database writes with the booking has not been sent. The expert is as the offer says, without a join.
_BOOKING_WRITTEN: Final = ", ".join(
    (*_OWN, *(f"CAST(:{name} AS text) AS {name}" for name in _OF_EXPERT), "'waiting' AS mail")
)
_HOLD_WRITTEN: Final = "id, expert_id, session_type_id, starts_at, ends_at, hold_until"


def _insert(prefix: str, columns: Sequence[Column[Any]], source: str, returning: str) -> TextClause:
    names = ", ".join(column.name for column in columns)
    binds = ", ".join(f"CAST(:{column.name} AS {column.type.compile(_DIALECT)})" for column in columns)
    statement = f"""{prefix} INSERT INTO booking ({names}, cap_place) SELECT {binds}, place FROM {source}
        ON CONFLICT DO NOTHING RETURNING {returning}"""  # noqa: S608 - our own column names only
    return text(statement).bindparams(*(bindparam(column.name, type_=column.type) for column in columns))


# Lapsed holds that stand in the way are let go (and the customer's own), then the same question is asked again, in one
# statement: reading `gone` makes it run first.
_LET_GO: Final = """
    WITH gone AS (
      UPDATE booking SET status = 'expired', hold_origin = NULL, hold_keeper = NULL, updated_at = now(),
             version = version + 1, changed_by = 'system', changed_with = NULL, change_reason = ''
      WHERE expert_id = :expert_id AND status = 'held' AND (hold_until <= CAST(:now AS timestamptz) OR id = :own_hold)
        AND (busy && :busy OR session_type_id = :session_type_id AND cap_day = :cap_day) RETURNING 1
    )"""
_OVER_LAPSED_HOLDS: Final = f"(SELECT count(*) FROM gone) AS let_go, {_TRIES}"  # noqa: S608


def _inserts(columns: Sequence[Column[Any]], returning: str) -> tuple[DriverStatement, DriverStatement]:
    over = _insert(_LET_GO, columns, _OVER_LAPSED_HOLDS, returning)
    return DriverStatement(_insert("", columns, _TRIES, returning)), DriverStatement(
        over.bindparams(bindparam("own_hold", type_=Uuid))
    )


_BOOK: Final = _inserts((*_SLOT, *_BOOKED), _BOOKING_WRITTEN)
_HOLD: Final = _inserts((*_SLOT, *_HELD), _HOLD_WRITTEN)
# What an UPDATE may run into; the last one is a day without any place left.
_TAKEN: Final = frozenset({"ex_booking_no_overlap", "uq_booking_slot", "uq_booking_cap_place", "ck_booking_cap_place"})
_COUNT = select(func.count()).select_from(booking).where(_b.email.is_not(None))
_CHANGE = (
    update(booking)
    .where(_b.id == bindparam("booking_id"), _b.status == bindparam("now_is"), _b.version == bindparam("read"))
    .values(
        status=bindparam("to"), answer_by=None, updated_at=func.now(), version=_b.version + 1,
        changed_by=bindparam("by"), changed_with=bindparam("token"), change_reason=bindparam("reason"),
        changed_at=bindparam("at"),
    )
    .returning(_b.id)
)  # fmt: skip
_becomes: Final = (_b.status, _b.changed_by, _b.changed_at, *_BOOKED)
_BOOK_HELD = text(
    f"""
    UPDATE booking SET {", ".join(f"{c.name} = CAST(:{c.name} AS {c.type.compile(_DIALECT)})" for c in _becomes)},
           visitor = coalesce(visitor, :visitor), held_at = NULL, hold_until = NULL, hold_origin = NULL,
           hold_keeper = NULL, changed_with = NULL,
           change_reason = '', created_at = now(), updated_at = now(), version = version + 1
     WHERE id = :own_hold AND status = 'held' AND hold_until > CAST(:now AS timestamptz) AND expert_id = :expert_id
       AND session_type_id = :session_type_id AND starts_at = :starts_at AND busy = :busy
    RETURNING {_BOOKING_WRITTEN}
    """  # noqa: S608 - our own column names only
).bindparams(*(bindparam(c.name, type_=c.type)
               for c in (*_becomes, _b.visitor, _b.expert_id, _b.session_type_id, _b.starts_at, _b.busy)),
             bindparam("own_hold", type_=Uuid))  # fmt: skip
# In a row and not in a circle: an UPDATE raises where its new time is taken, and several at once into one time would
# wait for each other.
_LOCK_RESCHEDULES = text("SELECT pg_advisory_xact_lock(hashtextextended('reschedule ' || :expert, 0))")
_CLEAR_THE_WAY = text(f"{_LET_GO} SELECT count(*) FROM gone").bindparams(  # noqa: S608
    bindparam("expert_id", type_=Uuid), bindparam("session_type_id", type_=Uuid), bindparam("own_hold", type_=Uuid),
    bindparam("busy", type_=_b.busy.type), bindparam("cap_day", type_=Date),
)  # fmt: skip
# On a day of its own its place stays; on another it takes the lowest that is free.
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
     WHERE id = :booking_id AND status = :now_is AND version = :read
    RETURNING id
    """  # noqa: S608 - our own words only
).bindparams(
    *(bindparam(c.name, type_=c.type) for c in (_b.starts_at, _b.ends_at, _b.busy, _b.cap_day)),
    bindparam("booking_id", type_=Uuid), bindparam("token", type_=Uuid), bindparam("at", type_=_b.changed_at.type),
)  # fmt: skip
_HISTORY = (
    select(_c.at, _c.actor, _c.from_status, _c.to_status, _c.from_starts_at, _c.to_starts_at, _c.reason)
    .where(_c.booking_id == bindparam("booking_id"))
    .order_by(_c.id)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRow:
    """A row to be on a slot that the calendar has found."""

    id: UUID
    expert_id: UUID
    session_type_id: UUID
    slot: Slot
    now: datetime
    visitor: bytes | None = None
    # Where its type has a daily cap: the expert's local day it counts on, and how many places there are.
    cap_day: date | None = None
    daily_cap: int | None = None
    # The customer's own hold, which is not to be in the way.
    own_hold: UUID | None = None

    def where(self) -> dict[str, Any]:
        """The columns that say where in the calendar it is."""
        slot = self.slot
        return {
            "id": self.id, "expert_id": self.expert_id, "session_type_id": self.session_type_id,
            "starts_at": slot.starts_at, "ends_at": slot.ends_at,
            "busy": TimestamptzRange(slot.busy_from, slot.busy_until), "cap_day": self.cap_day,
            "visitor": self.visitor, "changed_by": Actor.CUSTOMER.value, "changed_at": self.now,
        }  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class NewClaim(NewRow):
    """A row to be inserted, with the title and the terms that it keeps whatever becomes of its session type."""

    offer: Offer

    def promised(self) -> dict[str, Any]:
        """The columns that say what the customer was promised."""
        terms = self.offer.terms
        return {
            "title": self.offer.title, "cancel_notice_minutes": terms.cancel_notice_minutes,
            "reschedule_notice_minutes": terms.reschedule_notice_minutes, "max_reschedules": terms.max_reschedules,
        }  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class NewBooking(NewClaim):
    """What the customer asked for, with the status it begins with."""

    request: BookingRequest
    customer_key: str
    status: Status
    submission: UUID | None = None
    answer_by: datetime | None = None

    def values(self) -> dict[str, Any]:
        """The row's columns, and what its view says of the expert."""
        request, offer = self.request, self.offer
        return {
            **self.where(), **self.promised(), "status": self.status.value, "name": request.name,
            "email": request.email, "customer_key": self.customer_key, "phone": request.phone, "notes": request.notes,
            "time_zone": request.time_zone, "submission": self.submission, "answer_by": self.answer_by,
            "expert_slug": offer.slug, "expert_name": offer.name, "expert_time_zone": offer.calendar.zone.key,
        }  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class NewHold(NewClaim):
    """A slot to be kept until `hold_until`, from a network address (a hash), for the pages of a process."""

    hold_until: datetime
    origin: bytes | None = None
    keeper: UUID | None = None

    def values(self) -> dict[str, Any]:
        """The row's columns."""
        return {
            **self.where(), **self.promised(), "status": Status.HELD.value, "held_at": self.now,
            "hold_until": self.hold_until, "hold_origin": self.origin, "hold_keeper": self.keeper,
        }  # fmt: skip


def agreed_terms(row: AnyRow) -> Terms:
    """The terms that a booking was made with, as they stand in its own columns."""
    return Terms(
        cancel_notice_minutes=row.cancel_notice_minutes,
        reschedule_notice_minutes=row.reschedule_notice_minutes,
        max_reschedules=row.max_reschedules,
    )


async def insert_or_fail(connection: AsyncConnection, new: NewBooking | NewHold) -> AnyRow | None:
    """Book or hold; the row is as `by_id` reads it, of a hold the columns of HoldView.

    No row back: the time is taken, the day is full, or this very submission has been made before.

    Raises SessionTypeNotFound where the session type has been deleted meanwhile.
    """
    return await insert(connection, new) or await insert_over_expired_holds(connection, new)


async def insert(connection: AsyncConnection, new: NewBooking | NewHold) -> AnyRow | None:
    """The same, where no row back may also mean that a lapsed hold is in the way."""
    plain, _ = _BOOK if isinstance(new, NewBooking) else _HOLD
    return await _insert_row(connection, plain, new, {})


async def insert_over_expired_holds(connection: AsyncConnection, new: NewBooking | NewHold) -> AnyRow | None:
    """The same, and lapsed holds that are in the way are let go."""
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
    """Make a booking of the hold that keeps this very slot; its title and terms are those of the hold.

    No row back: the hold is over, or keeps another time.
    Raises SlotTaken where this very submission has been made before.
    """
    values = {**new.values(), "own_hold": new.own_hold, "now": new.now}
    try:
        return (await connection.execute(_BOOK_HELD, values)).one_or_none()
    except IntegrityError as error:
        if violated(error) != "uq_booking_submission":
            raise
        raise SlotTaken from error


async def count(connection: AsyncConnection) -> int:
    """How many bookings there are, in whatever status."""
    return await connection.scalar(_COUNT) or 0


async def by_id(connection: AsyncConnection, booking_id: UUID) -> AnyRow | None:
    """One booking, as BookingView wants it."""
    return (await connection.execute(_VIEW.where(_b.id == booking_id))).one_or_none()


async def by_submission(connection: AsyncConnection, submission: UUID, visitor: bytes) -> AnyRow | None:
    """The booking that this browser has made with this form."""
    wanted = _VIEW.where(_b.submission == submission, _b.visitor == visitor)
    return (await connection.execute(wanted)).one_or_none()


async def by_time_and_visitor(
    connection: AsyncConnection, expert_id: UUID, since: datetime, until: datetime, visitor: bytes
) -> AnyRow | None:
    """The first live booking that keeps any of [since, until), buffers included, and was made in this browser.

    A hold is none.
    """
    overlaps = _b.busy.op("&&")(Range(since, until))
    wanted = _VIEW.where(
        _b.expert_id == expert_id, overlaps, _b.visitor == visitor, text(LIVE_ROWS), _b.status != "held"
    )
    return (await connection.execute(wanted.order_by(_b.starts_at).limit(1))).one_or_none()


async def of_visitor(connection: AsyncConnection, visitor: bytes) -> Sequence[AnyRow]:
    """The bookings made in one browser, for whatever address, the latest start first. A hold is none."""
    wanted = _VIEW.where(_b.visitor == visitor)
    return (await connection.execute(wanted.order_by(_b.starts_at.desc(), _b.id).limit(200))).all()


async def of_customer(connection: AsyncConnection, customer_key: str) -> Sequence[AnyRow]:
    """A customer's bookings, wherever they were made, the latest start first."""
    wanted = _VIEW.where(_b.customer_key == customer_key)
    return (await connection.execute(wanted.order_by(_b.starts_at.desc(), _b.id).limit(200))).all()


async def of_experts(connection: AsyncConnection, expert_ids: Sequence[UUID], since: datetime) -> Sequence[AnyRow]:
    """What these experts still have to do with: bookings that end after `since`, the earliest first."""
    wanted = _VIEW.where(_b.expert_id.in_(expert_ids), _b.ends_at > since, _b.status.in_(("pending", "confirmed")))
    return (await connection.execute(wanted.order_by(_b.starts_at, _b.id).limit(200))).all()


async def page(
    connection: AsyncConnection,
    *,
    customer_key: str | None,
    expert_id: UUID | None,
    limit: int,
    offset: int,
) -> tuple[Sequence[AnyRow], int]:
    """One page of bookings, the latest start first, and how many there are in all."""
    wanted = _VIEW
    if customer_key is not None:
        wanted = wanted.where(_b.customer_key == customer_key)
    if expert_id is not None:
        wanted = wanted.where(_b.expert_id == expert_id)
    return await _page(connection, wanted, limit, offset)


async def busy_page(
    connection: AsyncConnection, expert_id: UUID, now: datetime, limit: int, offset: int
) -> tuple[Sequence[AnyRow], int]:
    """What anybody may know of an expert's live bookings. A lapsed hold is none."""
    wanted = select(_b.id, _b.starts_at, _b.ends_at, _b.status).where(
        _b.expert_id == expert_id, text(LIVE_ROWS), or_(_b.status != "held", _b.hold_until > now)
    )
    return await _page(connection, wanted, limit, offset)


@dataclass(frozen=True, slots=True)
class Change:
    """Who changes a booking, with which token and why; and how it was when they read it."""

    booking_id: UUID
    now_is: str
    read: int
    by: str
    at: datetime
    token: UUID | None = None
    reason: str = ""

    def values(self) -> dict[str, Any]:
        """What the statements want to know of it."""
        return {
            "booking_id": self.booking_id, "now_is": self.now_is, "read": self.read, "by": self.by,
            "token": self.token, "reason": self.reason, "at": self.at,
        }  # fmt: skip


async def change_status(connection: AsyncConnection, change: Change, to: str) -> bool:
    """Move a booking that still is as it was read; False when somebody else was faster."""
    return (await connection.execute(_CHANGE, {**change.values(), "to": to})).one_or_none() is not None


async def lock_reschedules(connection: AsyncConnection, expert_id: UUID) -> None:
    """Wait until nobody else moves a booking of this expert; it is our turn until the transaction ends."""
    await connection.execute(_LOCK_RESCHEDULES, {"expert": str(expert_id)})


async def reschedule(connection: AsyncConnection, change: Change, new: NewRow, *, counted: bool) -> bool:
    """Move a booking that still is as it was read to another slot; False when somebody else was faster.

    Raises SlotTaken where the slot or the last place of the day is taken; the old time is then kept as before.
    """
    where = new.where()
    places = {"daily_cap": new.daily_cap, "counted": int(counted)}
    await connection.execute(_CLEAR_THE_WAY, {**where, "own_hold": None, "now": new.now})
    try:
        async with connection.begin_nested():
            return (
                await connection.execute(_RESCHEDULE, {**change.values(), **where, **places})
            ).one_or_none() is not None
    except IntegrityError as error:
        if violated(error) not in _TAKEN:
            raise
        raise SlotTaken from error


async def history(connection: AsyncConnection, booking_id: UUID) -> Sequence[AnyRow]:
    """All that has happened to a booking, the first first."""
    return (await connection.execute(_HISTORY, {"booking_id": booking_id})).all()


async def _page(
    connection: AsyncConnection, wanted: Select[*tuple[Any, ...]], limit: int, offset: int
) -> tuple[Sequence[AnyRow], int]:
    total = await connection.scalar(select(func.count()).select_from(wanted.subquery()))
    rows = await connection.execute(wanted.order_by(_b.starts_at.desc(), _b.id).limit(limit).offset(offset))
    return rows.all(), total or 0
