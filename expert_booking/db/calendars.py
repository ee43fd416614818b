"""Statements that change an expert's profile and calendar: session types, hours, days off and daily caps."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import ARRAY, Date, SmallInteger, Uuid, bindparam, delete, func, insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as pg_insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from expert_booking.db import experts
from expert_booking.db.engine import AnyRow, violated
from expert_booking.db.tables import LIVE_ROWS, availability_rule, booking, day_off, expert, override, session_type
from expert_booking.db.terms import price_columns
from expert_booking.domain.errors import SessionTypeInUse, SlugTaken, Unavailable
from expert_booking.domain.hours import AvailabilityRule, OverrideKind, Window
from expert_booking.domain.plan_checks import CapPlace, cap_places

_e, _s, _r, _o, _d, _b = expert.c, session_type.c, availability_rule.c, override.c, day_off.c, booking.c
# How often numbering the places is repeated if bookings made at the same time interfere.
_MAX_ATTEMPTS: Final = 20
# Bookings that began earlier than this are over in every time zone, so their numbers no longer matter.
_NUMBERED_SINCE: Final = timedelta(days=2)

_ID_AND_ACTIVE = select(_e.id, _e.active)
_LOCK = (
    update(expert)
    .where(_e.id == bindparam("expert"))
    .values(updated_at=func.now())
    .returning(_e.time_zone, _e.country, _e.region, _e.closed_on_holidays)
)
_RECORD = select(
    _e.id, _e.slug, _e.name, _e.category, _e.experience_years.label("experience"), _e.rating, _e.rating_count,
    _e.headline, _e.languages, _e.time_zone, _e.bio, _e.email, _e.pending_email, _e.active, _e.country, _e.region,
    _e.closed_on_holidays, _e.photo, _e.listed, _e.wanted_emails,
).where(_e.id == bindparam("expert"))  # fmt: skip
_TYPE_COLUMNS = tuple(column for column in session_type.c if column.name not in ("expert_id", "created_at"))
_TYPES = select(*_TYPE_COLUMNS).where(_s.expert_id == bindparam("expert")).order_by(_s.position, _s.created_at, _s.id)
_LAST_POSITION = select(func.max(_s.position)).where(_s.expert_id == bindparam("expert"))
_ORDER = text(
    """
    UPDATE session_type SET position = place FROM unnest(:ids) WITH ORDINALITY AS wanted (id, place)
     WHERE session_type.id = wanted.id AND expert_id = :expert
    """
).bindparams(bindparam("expert", type_=Uuid), bindparam("ids", type_=ARRAY(Uuid)))
# One statement, so that the zone and the hours are consistent.
_PLAN = (
    select(_e.time_zone, _r.weekday, _r.opens_minute, _r.closes_minute, _r.valid_from, _r.valid_until)
    .join_from(expert, availability_rule, _r.expert_id == _e.id, isouter=True)
    .where(_e.id == bindparam("expert"))
    .order_by(_r.weekday, _r.opens_minute, _r.valid_from.nulls_first())
)
_CLEAR_PLACES = text(f"""
    UPDATE booking SET cap_day = NULL, cap_place = NULL
     WHERE session_type_id IN (SELECT id FROM session_type WHERE expert_id = :expert)
       AND cap_day >= :first_day AND cap_place IS NOT NULL AND {LIVE_ROWS}
""")  # noqa: S608 - our own condition
_CAPPED_STARTS = (
    select(_b.id, _b.session_type_id, _b.starts_at)
    .join_from(booking, session_type, _s.id == _b.session_type_id)
    .where(_b.expert_id == bindparam("expert"), _b.starts_at >= bindparam("since"), text(LIVE_ROWS))
    .where(_s.daily_cap.is_not(None))
    .order_by(_b.starts_at, _b.id)
)
_SET_PLACES = text("""
    UPDATE booking SET cap_day = place.day, cap_place = place.number
      FROM unnest(:ids, :days, :numbers) AS place (id, day, number) WHERE booking.id = place.id
""").bindparams(
    bindparam("ids", type_=ARRAY(Uuid)),
    bindparam("days", type_=ARRAY(Date)),
    bindparam("numbers", type_=ARRAY(SmallInteger)),
)


# --- experts ----------------------------------------------------------------------------------------------------


async def by_id(connection: AsyncConnection, expert_id: UUID) -> AnyRow | None:
    """Return the id of an expert and whether the expert is active."""
    return (await connection.execute(_ID_AND_ACTIVE.where(_e.id == expert_id))).one_or_none()


async def by_slug(connection: AsyncConnection, slug: str) -> AnyRow | None:
    """Return the same by slug, also by one that the expert had before."""
    row = (await connection.execute(_ID_AND_ACTIVE.where(_e.slug == slug))).one_or_none()
    if row is None and (expert_id := await experts.with_former_slug(connection, slug)) is not None:
        row = await by_id(connection, expert_id)
    return row


async def lock(connection: AsyncConnection, expert_id: UUID) -> AnyRow | None:
    """Lock this calendar against other changes until the transaction ends, and return its zone and holidays.

    Bookings are not blocked.
    """
    return (await connection.execute(_LOCK, {"expert": expert_id})).one_or_none()


async def record(connection: AsyncConnection, expert_id: UUID) -> AnyRow | None:
    """Return the columns of ExpertRecord."""
    return (await connection.execute(_RECORD, {"expert": expert_id})).one_or_none()


async def change_expert(connection: AsyncConnection, expert_id: UUID, values: Mapping[str, Any]) -> None:
    """Change columns of an expert. For the address use `expert_addresses`. Raises SlugTaken."""
    with _translate("uq_expert_slug", SlugTaken):
        await connection.execute(update(expert).where(_e.id == expert_id).values(**values))


# --- session types ----------------------------------------------------------------------------------------------


async def session_types(connection: AsyncConnection, expert_id: UUID) -> Sequence[AnyRow]:
    """Return all session types of an expert in display order."""
    return (await connection.execute(_TYPES, {"expert": expert_id})).all()


async def add_session_type(connection: AsyncConnection, expert_id: UUID, values: Mapping[str, Any]) -> AnyRow:
    """Insert a session type and return it. Without a position it comes last."""
    last = await connection.scalar(_LAST_POSITION, {"expert": expert_id}) or 0
    position = values["position"] or min(last + 1, 1000)
    statement = insert(session_type).values({**price_columns(values), "position": position, "expert_id": expert_id})
    return (await connection.execute(statement.returning(*_TYPE_COLUMNS))).one()


async def change_session_type(
    connection: AsyncConnection, expert_id: UUID, session_type_id: UUID, values: Mapping[str, Any]
) -> AnyRow | None:
    """Change columns of a session type and return it; None if this expert has no such session type."""
    statement = update(session_type).where(_s.id == session_type_id, _s.expert_id == expert_id)
    statement = statement.values(**price_columns(values))
    return (await connection.execute(statement.returning(*_TYPE_COLUMNS))).one_or_none()


async def order_session_types(connection: AsyncConnection, expert_id: UUID, ids: Sequence[UUID]) -> None:
    """Give the session types of an expert the positions of their ids."""
    await connection.execute(_ORDER, {"expert": expert_id, "ids": list(ids)})


async def remove_session_type(connection: AsyncConnection, expert_id: UUID, session_type_id: UUID) -> bool:
    """Delete a session type; False if this expert has no such session type. Raises SessionTypeInUse."""
    with _translate("fk_booking_session_type_id", SessionTypeInUse):
        statement = delete(session_type).where(_s.id == session_type_id, _s.expert_id == expert_id)
        return (await connection.execute(statement)).rowcount == 1


# --- weekly hours -----------------------------------------------------------------------------------------------


async def plan(connection: AsyncConnection, expert_id: UUID) -> tuple[str, list[AvailabilityRule]] | None:
    """Return the zone and the weekly hours of an expert, by weekday and time; None if there is no such expert."""
    rows = (await connection.execute(_PLAN, {"expert": expert_id})).all()
    if not rows:
        return None
    return rows[0].time_zone, [AvailabilityRule(*row[1:]) for row in rows if row.weekday is not None]


async def replace_rules(connection: AsyncConnection, expert_id: UUID, rules: Sequence[AvailabilityRule]) -> None:
    """Replace all weekly hours of an expert."""
    await connection.execute(delete(availability_rule).where(_r.expert_id == expert_id))
    values = [
        {"expert_id": expert_id, "weekday": rule.weekday, "opens_minute": rule.opens, "closes_minute": rule.closes,
         "valid_from": rule.valid_from, "valid_until": rule.valid_until}
        for rule in rules
    ]  # fmt: skip
    if values:
        await connection.execute(insert(availability_rule), values)


# --- single dates -----------------------------------------------------------------------------------------------


async def overrides(connection: AsyncConnection, expert_id: UUID, first: date, last: date) -> Sequence[AnyRow]:
    """Return the overrides from `first` to `last`, both included."""
    wanted = select(_o.day, _o.kind, _o.windows).where(_o.expert_id == expert_id, _o.day.between(first, last))
    return (await connection.execute(wanted.order_by(_o.day))).all()


async def count_overrides(connection: AsyncConnection, expert_id: UUID, *, beside: date) -> int:
    """Count the overrides of other dates than `beside`."""
    wanted = select(func.count()).select_from(override).where(_o.expert_id == expert_id, _o.day != beside)
    return await connection.scalar(wanted) or 0


async def put_override(
    connection: AsyncConnection, expert_id: UUID, day: date, kind: OverrideKind, windows: Sequence[Window]
) -> None:
    """Insert or replace the override of a date."""
    facts = {"kind": kind.value, "windows": [list(window) for window in windows]}
    statement = pg_insert(override).values(expert_id=expert_id, day=day, **facts)
    await connection.execute(statement.on_conflict_do_update(index_elements=["expert_id", "day"], set_=facts))


async def remove_override(connection: AsyncConnection, expert_id: UUID, day: date) -> bool:
    """Delete the override of a date; False if there was none."""
    statement = delete(override).where(_o.expert_id == expert_id, _o.day == day)
    return (await connection.execute(statement)).rowcount == 1


async def days_off(connection: AsyncConnection, expert_id: UUID, since: date) -> Sequence[AnyRow]:
    """Return the days off that end on this date or later."""
    wanted = select(_d.id, _d.first_day, _d.last_day, _d.reason).where(_d.expert_id == expert_id, _d.last_day >= since)
    return (await connection.execute(wanted.order_by(_d.first_day, _d.last_day, _d.id))).all()


async def count_days_off(connection: AsyncConnection, expert_id: UUID) -> int:
    """Count all days off, past ones included."""
    return await connection.scalar(select(func.count()).select_from(day_off).where(_d.expert_id == expert_id)) or 0


async def add_days_off(connection: AsyncConnection, expert_id: UUID, values: Mapping[str, Any]) -> UUID:
    """Insert days off and return their id."""
    statement = insert(day_off).values(expert_id=expert_id, **values).returning(_d.id)
    added: UUID = (await connection.execute(statement)).scalar_one()
    return added


async def remove_days_off(connection: AsyncConnection, expert_id: UUID, days_off_id: UUID) -> bool:
    """Delete days off; False if this expert has none with this id."""
    statement = delete(day_off).where(_d.id == days_off_id, _d.expert_id == expert_id)
    return (await connection.execute(statement)).rowcount == 1


# --- daily caps -------------------------------------------------------------------------------------------------


async def number_places(connection: AsyncConnection, expert_id: UUID, zone: ZoneInfo, now: datetime) -> None:
    """Renumber the bookings of all capped days, after a cap or the zone has changed.

    Bookings of types without a cap lose their numbers. Raises Unavailable if new bookings interfere too often.
    """
    for _ in range(_MAX_ATTEMPTS):
        try:
            async with connection.begin_nested():
                await _number_places(connection, expert_id, zone, now - _NUMBERED_SINCE)
                return
        except IntegrityError as error:
            if violated(error) != "uq_booking_cap_place":
                raise
            # A new booking took one of these numbers. The next attempt sees that booking and counts it.
    raise Unavailable


async def _number_places(connection: AsyncConnection, expert_id: UUID, zone: ZoneInfo, since: datetime) -> None:
    # The first local day in any time zone, so that no number of an earlier booking conflicts with a new one.
    first_day = since.date() - timedelta(days=1)
    await connection.execute(_CLEAR_PLACES, {"expert": expert_id, "first_day": first_day})
    starts = (await connection.execute(_CAPPED_STARTS, {"expert": expert_id, "since": since})).all()
    numbered: list[CapPlace] = cap_places(((row.id, row.session_type_id, row.starts_at) for row in starts), zone)
    if numbered:
        ids, days, numbers = zip(*numbered, strict=True)
        await connection.execute(_SET_PLACES, {"ids": list(ids), "days": list(days), "numbers": list(numbers)})


@contextmanager
def _translate(constraint: str, refusal: type[Exception]) -> Iterator[None]:
    try:
        yield
    except IntegrityError as error:
        if violated(error) != constraint:
            raise
        raise refusal from error
