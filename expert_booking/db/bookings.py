"""Statements about bookings. The insert is the question: no row back means that the time is taken."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Select, TextClause, bindparam, func, or_, select, text, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import Range
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from expert_booking.db.engine import AnyRow, violated
from expert_booking.db.tables import LIVE_ROWS, booking, expert, session_type
from expert_booking.domain.calendar import Slot
from expert_booking.domain.errors import SessionTypeNotFound
from expert_booking.domain.lifecycle import Status
from expert_booking.schemas import BookingRequest

_b = booking.c
_VALUES: Final = (_b.id, _b.expert_id, _b.session_type_id, _b.starts_at, _b.ends_at, _b.busy, _b.status, _b.name,
                  _b.email, _b.customer_key, _b.phone, _b.notes, _b.time_zone, _b.visitor, _b.submission,
                  _b.cap_day)  # fmt: skip
# No conflict target: all fences (and the submission) count, and nobody waits for or deadlocks with anybody. Where the
# day has a cap, the row is offered every place in turn: it takes the first that is free, and from then on it is itself
# in the way of its next tries. Without a cap there is one try, with no place.
_DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]
_names = ", ".join(column.name for column in _VALUES)
_binds = ", ".join(f"CAST(:{column.name} AS {column.type.compile(_DIALECT)})" for column in _VALUES)
_TRIES: Final = "unnest(CAST(:places AS SMALLINT[])) AS place"


def _insert(prefix: str, source: str) -> TextClause:
    statement = f"""{prefix} INSERT INTO booking ({_names}, cap_place) SELECT {_binds}, place FROM {source}
        ON CONFLICT DO NOTHING RETURNING created_at, updated_at, version"""  # noqa: S608 - our own column names only
    return text(statement).bindparams(*(bindparam(column.name, type_=column.type) for column in _VALUES))


_INSERT = _insert("", _TRIES)
# Lapsed holds that stand in the way are let go, then the same question is asked again, in one statement: reading `gone`
# makes it run first.
_LET_GO: Final = """
    WITH gone AS (
      UPDATE booking SET status = 'expired', updated_at = now(), version = version + 1
      WHERE expert_id = :expert_id AND status = 'held' AND hold_until <= now()
        AND (busy && :busy OR session_type_id = :session_type_id AND cap_day = :cap_day) RETURNING 1
    )"""
_INSERT_OVER_LAPSED_HOLDS = _insert(_LET_GO, f"(SELECT count(*) FROM gone) AS let_go, {_TRIES}")  # noqa: S608

_VIEW: Final = (
    select(
        _b.id, _b.expert_id, _b.session_type_id, _b.starts_at, _b.ends_at, _b.status, _b.name, _b.email, _b.phone,
        _b.notes, _b.time_zone, _b.created_at, _b.updated_at, _b.version,
        expert.c.slug.label("expert_slug"), expert.c.name.label("expert_name"),
        expert.c.time_zone.label("expert_time_zone"),
        session_type.c.title.label("session_title"),
    )
    .join_from(booking, expert, expert.c.id == _b.expert_id)
    .join(session_type, session_type.c.id == _b.session_type_id)
    # An expired hold never had a customer: it is nobody's booking.
    .where(_b.email.is_not(None))
)  # fmt: skip
_COUNT = select(func.count()).select_from(booking).where(_b.email.is_not(None))
_CHANGE = (
    update(booking)
    .where(_b.id == bindparam("booking_id"), _b.status == bindparam("now_is"), _b.version == bindparam("read"))
    .values(status=bindparam("to"), hold_until=None, updated_at=func.now(), version=_b.version + 1)
    .returning(_b.id)
)


@dataclass(frozen=True, slots=True)
class NewBooking:
    """A row to be: what the customer asked for, on the slot that the calendar found for it."""

    id: UUID
    expert_id: UUID
    session_type_id: UUID
    slot: Slot
    request: BookingRequest
    customer_key: str
    visitor: bytes | None = None
    submission: UUID | None = None
    # Where its type has a daily cap: the expert's local day it counts on, and how many places there are.
    cap_day: date | None = None
    daily_cap: int | None = None

    def values(self) -> dict[str, Any]:
        """The row's columns."""
        slot, request = self.slot, self.request
        return {
            "id": self.id, "expert_id": self.expert_id, "session_type_id": self.session_type_id,
            "starts_at": slot.starts_at, "ends_at": slot.ends_at, "busy": Range(slot.busy_from, slot.busy_until),
            "status": Status.PENDING.value, "name": request.name, "email": request.email,
            "customer_key": self.customer_key, "phone": request.phone, "notes": request.notes,
            "time_zone": request.time_zone, "visitor": self.visitor, "submission": self.submission,
            "cap_day": self.cap_day,
        }  # fmt: skip


async def insert_or_fail(connection: AsyncConnection, new: NewBooking) -> AnyRow | None:
    """Book. No row back: the time is taken, the day is full, or this very submission has been made before.

    Raises SessionTypeNotFound where the session type has been deleted meanwhile.
    """
    values = {**new.values(), "places": list(range(1, new.daily_cap + 1)) if new.daily_cap else [None]}
    try:
        row = (await connection.execute(_INSERT, values)).one_or_none()
        if row is None:
            row = (await connection.execute(_INSERT_OVER_LAPSED_HOLDS, values)).one_or_none()
    except IntegrityError as error:
        if violated(error) != "fk_booking_session_type_id":
            raise
        raise SessionTypeNotFound from error
    return row


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


async def by_id_and_visitor(connection: AsyncConnection, booking_id: UUID, visitor: bytes) -> AnyRow | None:
    """One booking, if it was made in this browser."""
    return (await connection.execute(_VIEW.where(_b.id == booking_id, _b.visitor == visitor))).one_or_none()


async def by_time_and_visitor(
    connection: AsyncConnection, expert_id: UUID, since: datetime, until: datetime, visitor: bytes
) -> AnyRow | None:
    """The first live booking that keeps any of [since, until), buffers included, and was made in this browser."""
    overlaps = _b.busy.op("&&")(Range(since, until))
    wanted = _VIEW.where(_b.expert_id == expert_id, overlaps, _b.visitor == visitor, text(LIVE_ROWS))
    return (await connection.execute(wanted.order_by(_b.starts_at).limit(1))).one_or_none()


async def of_visitor(connection: AsyncConnection, customer_key: str, visitor: bytes) -> Sequence[AnyRow]:
    """A customer's bookings made in one browser, the latest start first."""
    wanted = _VIEW.where(_b.customer_key == customer_key, _b.visitor == visitor)
    return (await connection.execute(wanted.order_by(_b.starts_at.desc(), _b.id).limit(200))).all()


async def addresses_of_visitor(connection: AsyncConnection, visitor: bytes) -> Sequence[str]:
    """The addresses that were booked with in one browser, the latest first."""
    last = func.max(_b.created_at)
    statement = select(func.max(_b.email)).where(_b.visitor == visitor, _b.email.is_not(None))
    return (await connection.scalars(statement.group_by(_b.customer_key).order_by(last.desc()).limit(5))).all()


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
    connection: AsyncConnection, expert_id: UUID, limit: int, offset: int
) -> tuple[Sequence[AnyRow], int]:
    """What anybody may know of an expert's live bookings. A lapsed hold is none."""
    wanted = select(_b.id, _b.starts_at, _b.ends_at, _b.status).where(
        _b.expert_id == expert_id, text(LIVE_ROWS), or_(_b.status != "held", _b.hold_until > func.now())
    )
    return await _page(connection, wanted, limit, offset)


async def change_status(connection: AsyncConnection, booking_id: UUID, *, now_is: str, read: int, to: str) -> bool:
    """Move a booking that still is as it was read; False when somebody else was faster."""
    values = {"booking_id": booking_id, "now_is": now_is, "read": read, "to": to}
    return (await connection.execute(_CHANGE, values)).one_or_none() is not None


async def _page(
    connection: AsyncConnection, wanted: Select[*tuple[Any, ...]], limit: int, offset: int
) -> tuple[Sequence[AnyRow], int]:
    total = await connection.scalar(select(func.count()).select_from(wanted.subquery()))
    rows = await connection.execute(wanted.order_by(_b.starts_at.desc(), _b.id).limit(limit).offset(offset))
    return rows.all(), total or 0
