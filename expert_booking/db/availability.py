"""Statements that read calendars: two in all, for any number of experts, rules and bookings."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from functools import lru_cache
from json import loads
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import ARRAY, ColumnElement, Date, DateTime, Text, Uuid, any_, bindparam, cast, func, or_, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from expert_booking.db.documents import location_of, question_of
from expert_booking.db.engine import AnyRow, DriverStatement
from expert_booking.db.tables import LIVE_ROWS, availability_rule, booking, day_off, expert, override, session_type
from expert_booking.db.terms import TERMS, terms_of
from expert_booking.domain.calendar import Busy, Calendar, SessionLength
from expert_booking.domain.holidays import Holidays
from expert_booking.domain.hours import AvailabilityRule, DaysOff, Hours, Override, OverrideKind, Window
from expert_booking.domain.locations import Location
from expert_booking.domain.questions import Question
from expert_booking.domain.terms import Terms

# No session, buffers included, extends further than this from its start, and no local day began earlier than this.
_LONGEST_SESSION: Final = timedelta(days=2)
# Hours on earlier local dates than this no longer matter.
_DAYS_BACK: Final = timedelta(days=5)


@dataclass(frozen=True, slots=True)
class Offer:
    """One session type of one expert, with its calendar."""

    expert_id: UUID
    slug: str
    name: str
    expert_active: bool
    session_type_id: UUID
    title: str
    description: str
    calendar: Calendar
    terms: Terms
    locations: tuple[Location, ...] = ()
    questions: tuple[Question, ...] = ()

    def with_busy(self, busy: Sequence[Busy]) -> "Offer":
        """Return the offer with these busy times in its calendar."""
        return replace(self, calendar=self.calendar.with_busy(busy))


_e, _s, _r, _o, _d, _b = expert.c, session_type.c, availability_rule.c, override.c, day_off.c, booking.c
_ids = bindparam("ids", type_=ARRAY(Uuid))
_first_day = bindparam("first_day", type_=Date)


def _as_json(row: ColumnElement[Any]) -> ColumnElement[str]:
    """Aggregate the rows of a sub-select into one JSON text."""
    return cast(func.json_agg(row), Text)


_RULES = (
    select(_as_json(func.json_build_array(_r.weekday, _r.opens_minute, _r.closes_minute, _r.valid_from,
                                               _r.valid_until)))
    .where(_r.expert_id == _e.id, or_(_r.valid_until.is_(None), _r.valid_until >= _first_day))
    .scalar_subquery()
)  # fmt: skip
_OVERRIDES = (
    select(_as_json(func.json_build_array(_o.day, _o.kind, _o.windows)))
    .where(_o.expert_id == _e.id, _o.day >= _first_day)
    .scalar_subquery()
)
_DAYS_OFF = (
    select(_as_json(func.json_build_array(_d.first_day, _d.last_day, _d.reason)))
    .where(_d.expert_id == _e.id, _d.last_day >= _first_day)
    .scalar_subquery()
)
_SESSION_TYPES = (
    select(_e.id, _e.slug, _e.name, _e.time_zone, _e.country, _e.region, _e.closed_on_holidays,
           _e.active.label("expert_active"), (_e.active & _s.active).label("active"),
           _s.id.label("session_type_id"), _s.title, _s.description,
           _s.minutes, _s.step_minutes, _s.before_minutes, _s.after_minutes, _s.notice_minutes, _s.horizon_days,
           _s.daily_cap, *(_s[name] for name in TERMS), cast(_s.locations, Text),
           cast(_s.questions, Text), _RULES.label("rules"),
           _OVERRIDES.label("overrides"), _DAYS_OFF.label("days_off"))
    .join_from(expert, session_type, _s.expert_id == _e.id)
    .order_by(_e.id, _s.position, _s.created_at, _s.id)
)  # fmt: skip
_PLAN = DriverStatement(
    select(_e.time_zone, _e.country, _e.region, _e.closed_on_holidays, _RULES.label("rules"),
           _OVERRIDES.label("overrides"), _DAYS_OFF.label("days_off"))
    .where(_e.id == bindparam("expert_id", type_=Uuid))
)  # fmt: skip
_OFFERS = DriverStatement(_SESSION_TYPES.where(_e.id == any_(_ids)))
# For a list, PostgreSQL would plan the statement again each time, which takes longer than its execution: it assumes
# that a generic plan would find ten experts.
_OFFERS_OF_ONE = DriverStatement(_SESSION_TYPES.where(_e.id == bindparam("id", type_=Uuid)))
_OFFERS_BY_SLUG = DriverStatement(_SESSION_TYPES.where(_e.slug == bindparam("slug")))
_BUSY = DriverStatement(
    select(
        _b.expert_id,
        func.lower(_b.busy, type_=DateTime(timezone=True)).label("busy_from"),
        func.upper(_b.busy, type_=DateTime(timezone=True)).label("busy_until"),
        (_b.status == "held").label("held"),
        _b.session_type_id,
        _b.starts_at,
    ).where(
        _b.expert_id == any_(_ids),
        _b.starts_at >= bindparam("since", type_=DateTime(timezone=True)),
        _b.starts_at < bindparam("until", type_=DateTime(timezone=True)),
        text(LIVE_ROWS),
        or_(_b.status != "held", _b.hold_until > bindparam("now", type_=DateTime(timezone=True))),
    )
)


async def offers(connection: AsyncConnection, expert_ids: Sequence[UUID], now: datetime) -> list[Offer]:
    """Return the session types of these experts, inactive ones too, by expert and in display order.

    Without busy times, and without rules that ended some days before `now`.
    """
    ids, first_day = list(expert_ids), now.date() - _DAYS_BACK
    if len(ids) == 1:
        rows = await _OFFERS_OF_ONE.all(connection, {"id": ids[0], "first_day": first_day})
    else:
        rows = await _OFFERS.all(connection, {"ids": ids, "first_day": first_day})
    return [_offer(row) for row in rows]


async def offers_by_slug(connection: AsyncConnection, slug: str, now: datetime) -> list[Offer]:
    """Return the same for the expert with this slug."""
    values = {"slug": slug, "first_day": now.date() - _DAYS_BACK}
    return [_offer(row) for row in await _OFFERS_BY_SLUG.all(connection, values)]


async def plan(connection: AsyncConnection, expert_id: UUID, since: datetime) -> tuple[ZoneInfo, Hours] | None:
    """Return the time zone and the hours of an expert from some days before `since`; None if there is no such expert.

    Unlike `offers`, this needs no session types.
    """
    values = {"expert_id": expert_id, "first_day": since.date() - _DAYS_BACK}
    row = await _PLAN.one_or_none(connection, values)
    return None if row is None else (ZoneInfo(row.time_zone), _hours_of(row))


async def busy(
    connection: AsyncConnection, expert_ids: Sequence[UUID], since: datetime, until: datetime, now: datetime
) -> dict[UUID, list[Busy]]:
    """Return the busy times that slots starting in [since, until) can overlap. An expired hold is not busy."""
    span = {"since": since - _LONGEST_SESSION, "until": until + _LONGEST_SESSION, "now": now}
    taken: defaultdict[UUID, list[Busy]] = defaultdict(list)
    for expert_id, *rest in await _BUSY.all(connection, {"ids": list(expert_ids), **span}):
        taken[expert_id].append(Busy(*rest))
    return taken


def _offer(row: AnyRow) -> Offer:
    length = SessionLength(row.minutes, row.step_minutes, row.before_minutes, row.after_minutes,
                           row.notice_minutes, row.horizon_days, row.daily_cap)  # fmt: skip
    calendar = Calendar(ZoneInfo(row.time_zone), _hours_of(row), length, row.active, row.session_type_id)
    return Offer(row.id, row.slug, row.name, row.expert_active, row.session_type_id, row.title, row.description,
                 calendar, terms_of(row), _locations(row.locations), _questions(row.questions))  # fmt: skip


def _hours_of(row: AnyRow) -> Hours:
    holidays = (row.country, row.region) if row.closed_on_holidays else None
    return _hours(row.rules or "[]", row.overrides or "[]", row.days_off or "[]", holidays)


# The texts are read from the database each time, but parsed only when they have changed.
@lru_cache(maxsize=256)  # about 20 kB each, with the cached plans of their days
def _hours(rules_text: str, overrides_text: str, days_off_text: str, holidays_of: tuple[str, str] | None) -> Hours:
    rules = (
        AvailabilityRule(weekday, opens, closes, _day(first), _day(last))
        for weekday, opens, closes, first, last in sorted(loads(rules_text), key=lambda rule: rule[:3])
    )
    overrides = {
        date.fromisoformat(day): Override(OverrideKind(kind), tuple(Window(*window) for window in windows))
        for day, kind, windows in loads(overrides_text)
    }
    days_off = (
        DaysOff(date.fromisoformat(first), date.fromisoformat(last), reason)
        for first, last, reason in sorted(loads(days_off_text))
    )
    holidays = Holidays(*holidays_of) if holidays_of else None
    return Hours(tuple(rules), overrides, tuple(days_off), holidays)


@lru_cache(maxsize=256)
def _locations(text: str) -> tuple[Location, ...]:
    return tuple(location_of(document) for document in loads(text))


@lru_cache(maxsize=256)
def _questions(text: str) -> tuple[Question, ...]:
    return tuple(question_of(document) for document in loads(text))


def _day(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None
