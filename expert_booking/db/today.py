"""Statements about what a host has to do today: requests, ended sessions, the agenda, and what needs attention."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Date, DateTime, Select, Uuid, bindparam, func, or_, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from expert_booking.db.bookings.reads import EXPERT_COLUMNS, VIEW_COLUMNS
from expert_booking.db.engine import AnyRow
from expert_booking.db.tables import booking, expert

# What a page shows of each list. It links to the rest.
MAX_LISTED: Final = 20
# Bookings that are compared with holidays and days off.
_MAX_UPCOMING: Final = 300

_b, _e = booking.c, expert.c
_PROFILE: Final = select(
    _e.slug, _e.time_zone, ((_e.headline != "") & (_e.bio != "")).label("profile")
).where(_e.id == bindparam("expert"))  # fmt: skip
_now = bindparam("now", type_=DateTime(timezone=True))
_since = bindparam("since", type_=DateTime(timezone=True))
_until = bindparam("until", type_=DateTime(timezone=True))
# The columns of a BookingView without the state of its email.
_SESSIONS: Final = (
    select(*(_b[name] for name in VIEW_COLUMNS), *(c.label(name) for name, c in EXPERT_COLUMNS.items()))
    .join_from(booking, expert, _e.id == _b.expert_id)
    .where(_b.expert_id == bindparam("expert"), _b.verify_by.is_(None))
)
_REQUESTS: Final = (
    _SESSIONS.where(_b.status == "pending", _b.starts_at > _now)
    .order_by(func.coalesce(_b.answer_by, _b.starts_at), _b.id)
    .limit(MAX_LISTED)
)
_UNMARKED: Final = (
    _SESSIONS.where(_b.status == "confirmed", _b.ends_at <= _now, _b.starts_at > _since)
    .order_by(_b.starts_at.desc(), _b.id)
    .limit(MAX_LISTED + 1)
)
# Bounded by the start as well, because the index is on it.
_OVERLAPPING: Final = _SESSIONS.where(
    _b.starts_at > _since, _b.starts_at < _until, _b.ends_at > bindparam("begins", type_=DateTime(timezone=True))
).order_by(_b.starts_at, _b.id)
_AGENDA: Final = _OVERLAPPING.where(
    or_(_b.status.in_(("completed", "no_show")), (_b.status == "confirmed") & (_b.ends_at > _now))
)
_DAY: Final = _OVERLAPPING.where(_b.status.in_(("pending", "confirmed", "completed", "no_show")))
_UPCOMING: Final = (
    _SESSIONS.where(_b.status.in_(("pending", "confirmed")), _b.starts_at > _now)
    .order_by(_b.starts_at, _b.id)
    .limit(_MAX_UPCOMING)
)
_FIGURES: Final = text(
    """
    SELECT count(*) FILTER (WHERE booked) AS sessions,
           coalesce(extract(epoch FROM sum(ends_at - starts_at) FILTER (WHERE booked)), 0) / 3600.0 AS hours,
           count(*) FILTER (WHERE status IN ('cancelled', 'no_show')) AS missed,
           (SELECT count(*) FROM booking WHERE expert_id = :expert AND status = 'pending' AND starts_at > :now
                                           AND verify_by IS NULL) AS requests,
           EXISTS (SELECT FROM session_type WHERE expert_id = :expert AND active) AS session_type,
           EXISTS (SELECT FROM availability_rule WHERE expert_id = :expert AND coalesce(valid_until >= :today, true))
           OR EXISTS (SELECT FROM override WHERE expert_id = :expert AND day >= :today AND kind <> 'none') AS hours_set
      FROM booking CROSS JOIN LATERAL (SELECT status IN ('confirmed', 'completed', 'no_show')) AS which (booked)
     WHERE expert_id = :expert AND starts_at >= :since AND starts_at < :until AND verify_by IS NULL
    """
).bindparams(bindparam("expert", type_=Uuid), bindparam("today", type_=Date), _now, _since, _until)
# Withheld emails count only if the mail server refuses the address: limits and people's own choices are no failure.
_UNSENT: Final = text(
    """
    SELECT DISTINCT ON (b.starts_at, b.id, m.audience)
           b.id AS booking_id, m.audience = 'expert' AS to_expert, coalesce(b.name, '') AS customer_name, b.starts_at
      FROM booking AS b JOIN message AS m ON m.booking_id = b.id
     WHERE b.expert_id = :expert AND b.starts_at > :now AND b.status IN ('pending', 'confirmed')
       AND m.failed_at IS NOT NULL AND (m.withheld IS NULL OR m.withheld = 'refused')
     ORDER BY b.starts_at, b.id, m.audience LIMIT :limit
    """
).bindparams(bindparam("expert", type_=Uuid), _now)


async def profile(connection: AsyncConnection, expert_id: UUID) -> AnyRow | None:
    """Return the expert's slug and zone, and whether the profile is complete; None if there is no such expert."""
    return (await connection.execute(_PROFILE, {"expert": expert_id})).one_or_none()


async def figures(
    connection: AsyncConnection, expert_id: UUID, now: datetime, since: datetime, until: datetime, today: date
) -> AnyRow:
    """Return the figures of the week [since, until) (UTC), and which steps of the set-up are done."""
    values = {"expert": expert_id, "now": now, "since": since, "until": until, "today": today}
    return (await connection.execute(_FIGURES, values)).one()


async def requests(connection: AsyncConnection, expert_id: UUID, now: datetime) -> Sequence[AnyRow]:
    """Return bookings that wait for an answer, the most urgent first, at most MAX_LISTED."""
    return await _sessions(connection, _REQUESTS, expert_id, now=now)


async def unmarked(connection: AsyncConnection, expert_id: UUID, now: datetime, since: datetime) -> Sequence[AnyRow]:
    """Return confirmed sessions that began after `since` and have ended, latest first, up to one over MAX_LISTED."""
    return await _sessions(connection, _UNMARKED, expert_id, now=now, since=since)


async def agenda(
    connection: AsyncConnection, expert_id: UUID, now: datetime, since: datetime, begins: datetime, until: datetime
) -> Sequence[AnyRow]:
    """Return sessions that overlap [begins, until) and are ahead or marked; all of them began after `since`."""
    return await _sessions(connection, _AGENDA, expert_id, now=now, since=since, begins=begins, until=until)


async def day(
    connection: AsyncConnection, expert_id: UUID, since: datetime, begins: datetime, until: datetime
) -> Sequence[AnyRow]:
    """Return requests and sessions that overlap [begins, until); all of them began after `since`."""
    return await _sessions(connection, _DAY, expert_id, since=since, begins=begins, until=until)


async def upcoming(connection: AsyncConnection, expert_id: UUID, now: datetime) -> Sequence[AnyRow]:
    """Return the next requests and sessions, by start."""
    return await _sessions(connection, _UPCOMING, expert_id, now=now)


async def unsent_emails(connection: AsyncConnection, expert_id: UUID, now: datetime) -> Sequence[AnyRow]:
    """Return emails about upcoming bookings that were given up, or whose address is refused, one for each reader."""
    return (await connection.execute(_UNSENT, {"expert": expert_id, "now": now, "limit": MAX_LISTED})).all()


async def _sessions(
    connection: AsyncConnection, wanted: Select[*tuple[Any, ...]], expert_id: UUID, **instants: datetime
) -> Sequence[AnyRow]:
    return (await connection.execute(wanted, {"expert": expert_id, **instants})).all()
