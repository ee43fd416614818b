"""Statements that read and change all rules of a calendar, and read the bookings they concern."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import Date, and_, bindparam, delete, func, insert, or_, select
from sqlalchemy.dialects.postgresql import insert as pg_insert
from sqlalchemy.ext.asyncio import AsyncConnection

from expert_booking.db.engine import AnyRow
from expert_booking.db.tables import availability_rule, booking, day_off, expert, override
from expert_booking.domain.hours import DaysOff, Override

_e, _r, _o, _d, _b = expert.c, availability_rule.c, override.c, day_off.c, booking.c
_first_day = bindparam("first_day", type_=Date)
_RULES = (
    select(func.json_agg(func.json_build_array(_r.weekday, _r.opens_minute, _r.closes_minute, _r.valid_from,
                                               _r.valid_until)))
    .where(_r.expert_id == _e.id)
    .scalar_subquery()
)  # fmt: skip
_OVERRIDES = (
    select(func.json_agg(func.json_build_array(_o.day, _o.kind, _o.windows)))
    .where(_o.expert_id == _e.id, _o.day >= _first_day)
    .scalar_subquery()
)
_DAYS_OFF = (
    select(func.json_agg(func.json_build_array(_d.first_day, _d.last_day, _d.reason)))
    .where(_d.expert_id == _e.id, _d.last_day >= _first_day)
    .scalar_subquery()
)
# One statement, so that all rules are consistent.
_READ = select(
    _e.time_zone, _e.country, _e.region, _e.closed_on_holidays, _RULES.label("rules"), _OVERRIDES.label("overrides"),
    _DAYS_OFF.label("days_off"),
).where(_e.id == bindparam("expert"))  # fmt: skip
_UPCOMING = (
    select(_b.id, _b.starts_at, _b.ends_at, _b.status, _b.name, _b.title.label("session_title"))
    .where(
        _b.expert_id == bindparam("expert"),
        _b.starts_at >= bindparam("since"),
        _b.status.in_(("pending", "confirmed")),
    )
    .order_by(_b.starts_at)
)


async def read(connection: AsyncConnection, expert_id: UUID, first_day: date) -> AnyRow | None:
    """Return zone, holidays and rules; dates from `first_day` on. None if there is no such expert."""
    return (await connection.execute(_READ, {"expert": expert_id, "first_day": first_day})).one_or_none()


async def upcoming(connection: AsyncConnection, expert_id: UUID, since: datetime) -> Sequence[AnyRow]:
    """Return the pending and confirmed bookings that start at `since` (UTC) or later, in order."""
    return (await connection.execute(_UPCOMING, {"expert": expert_id, "since": since})).all()


async def change_overrides(
    connection: AsyncConnection, expert_id: UUID, put: Mapping[date, Override], remove: Sequence[date]
) -> None:
    """Insert or replace these overrides, and delete those of other dates."""
    if remove:
        await connection.execute(delete(override).where(_o.expert_id == expert_id, _o.day.in_(remove)))
    if put:
        rows = [
            {"expert_id": expert_id, "day": day, "kind": one.kind.value, "windows": [list(w) for w in one.windows]}
            for day, one in put.items()
        ]
        statement = pg_insert(override).values(rows)
        facts = {"kind": statement.excluded.kind, "windows": statement.excluded.windows}
        await connection.execute(statement.on_conflict_do_update(index_elements=["expert_id", "day"], set_=facts))


async def change_days_off(
    connection: AsyncConnection, expert_id: UUID, add: Sequence[DaysOff], remove: Sequence[DaysOff]
) -> None:
    """Insert these days off, and delete others, all that are equal to them."""
    if remove:
        same = (and_(_d.first_day == o.first_day, _d.last_day == o.last_day, _d.reason == o.reason) for o in remove)
        await connection.execute(delete(day_off).where(_d.expert_id == expert_id, or_(*same)))
    if add:
        rows = [
            {"expert_id": expert_id, "first_day": off.first_day, "last_day": off.last_day, "reason": off.reason}
            for off in add
        ]
        await connection.execute(insert(day_off), rows)
