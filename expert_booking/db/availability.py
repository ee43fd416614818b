"""Statements that read calendars: always two, whatever the number of experts, rules and bookings."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import ARRAY, DateTime, Uuid, any_, bindparam, func, or_, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from expert_booking.db.engine import AnyRow
from expert_booking.db.tables import LIVE_ROWS, availability_rule, booking, expert, session_type
from expert_booking.domain.calendar import AvailabilityRule, Busy, Calendar, SessionLength

# No session, with its buffers, reaches further than this from its start.
_REACH: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Offer:
    """One session type of one expert, with the calendar that decides about it."""

    expert_id: UUID
    slug: str
    name: str
    session_type_id: UUID
    title: str
    calendar: Calendar

    def with_busy(self, busy: Sequence[Busy]) -> "Offer":
        """The same offer, knowing which time is taken."""
        return replace(self, calendar=replace(self.calendar, busy=tuple(busy)))


_e, _s, _r, _b = expert.c, session_type.c, availability_rule.c, booking.c
_ids = bindparam("ids", type_=ARRAY(Uuid))

_RULES = (
    select(func.json_agg(func.json_build_array(_r.weekday, _r.opens_minute, _r.closes_minute)))
    .where(_r.expert_id == _e.id)
    .scalar_subquery()
)
_OFFERS = (
    select(_e.id, _e.slug, _e.name, _e.time_zone, _e.active, _s.id.label("session_type_id"), _s.title,
           _s.minutes, _s.step_minutes, _s.before_minutes, _s.after_minutes, _s.notice_minutes, _s.horizon_days,
           _RULES.label("rules"))
    .join_from(expert, session_type, _s.expert_id == _e.id)
    .where(_e.id == any_(_ids), _s.active)
    .order_by(_e.id, _s.created_at, _s.id)
)  # fmt: skip
_BUSY = select(
    _b.expert_id,
    func.lower(_b.busy, type_=DateTime(timezone=True)).label("starts_at"),
    func.upper(_b.busy, type_=DateTime(timezone=True)).label("ends_at"),
    (_b.status == "held").label("held"),
).where(
    _b.expert_id == any_(_ids),
    _b.starts_at >= bindparam("since", type_=DateTime(timezone=True)),
    _b.starts_at < bindparam("until", type_=DateTime(timezone=True)),
    text(LIVE_ROWS),
    or_(_b.status != "held", _b.hold_until > bindparam("now", type_=DateTime(timezone=True))),
)


async def offers(connection: AsyncConnection, expert_ids: Sequence[UUID]) -> list[Offer]:
    """What these experts offer, by expert, the oldest session type first; nothing is known of busy time yet."""
    rows = await connection.execute(_OFFERS, {"ids": list(expert_ids)})
    return [_offer(row) for row in rows]


async def busy(
    connection: AsyncConnection, expert_ids: Sequence[UUID], since: datetime, until: datetime, now: datetime
) -> dict[UUID, list[Busy]]:
    """The busy time that slots starting in [since, until) can run into. A lapsed hold is free time."""
    span = {"since": since - _REACH, "until": until + _REACH, "now": now}
    taken: defaultdict[UUID, list[Busy]] = defaultdict(list)
    for row in await connection.execute(_BUSY, {"ids": list(expert_ids), **span}):
        taken[row.expert_id].append(Busy(row.starts_at, row.ends_at, row.held))
    return taken


def _offer(row: AnyRow) -> Offer:
    rules = tuple(AvailabilityRule(*rule) for rule in sorted(row.rules or ()))
    length = SessionLength(row.minutes, row.step_minutes, row.before_minutes, row.after_minutes,
                           row.notice_minutes, row.horizon_days)  # fmt: skip
    calendar = Calendar(ZoneInfo(row.time_zone), rules, length, row.active)
    return Offer(row.id, row.slug, row.name, row.session_type_id, row.title, calendar)
