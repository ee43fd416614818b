"""Statistics of an expert's bookings: counted by the database, with hours offered by the calendar."""

from collections.abc import Callable
from datetime import date, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from expert_booking.db import availability, statistics
from expert_booking.db.bookings import lists
from expert_booking.db.engine import AnyConnection, AnyRow, Database
from expert_booking.domain.calendar import DAY
from expert_booking.domain.errors import ExpertNotFound, FieldsWrong
from expert_booking.domain.statistics import Period, monday_of
from expert_booking.schemas import (
    MAX_STATISTICS_DAYS,
    OfferedFigures,
    SessionTypeFigures,
    Statistics,
    StatisticsQuery,
    WeekFigures,
)
from expert_booking.services.calendars import CalendarKey

_DEFAULT_WEEKS: Final = 12
_NOTHING: Final[dict[str, Any]] = {
    "bookings": 0, "cancelled": 0, "declined": 0, "no_shows": 0, "booked_minutes": 0, "lead_minutes": None,
}  # fmt: skip


class BookingStatistics:
    """Counts bookings. The number of queries does not depend on the data."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    async def read(self, key: CalendarKey, query: StatisticsQuery) -> Statistics:
        """The statistics of some days of the expert's zone. Raises ExpertNotFound, and FieldsWrong for too many days.

        Bookings whose customer has not confirmed the email address do not count. Offered hours are those of the
        current plan, also in the past.
        """
        async with self._database.statements() as connection:
            zone = await lists.zone_of(connection, key.expert_id)
            if zone is None:
                raise ExpertNotFound
            period = _period(query, ZoneInfo(zone), self._clock())
            rows = await statistics.figures(connection, key.expert_id, period)
            titles = await statistics.titles(connection, key.expert_id)
            offered = await _offered(connection, key, period)
        by_week = {row.week: row for row in rows if row.kind == statistics.BY_WEEK}
        by_type = {row.session_type_id: row for row in rows if row.kind == statistics.BY_SESSION_TYPE}
        [total] = (row for row in rows if row.kind == statistics.ALL)
        hours = [[0] * 24 for _ in range(7)]
        for row in rows:
            if row.kind == statistics.BY_HOUR:
                hours[row.weekday - 1][row.hour] = row.bookings
        return Statistics(
            expert_id=key.expert_id,
            time_zone=zone,
            since=period.first,
            until=period.last,
            total=OfferedFigures(**_figures(total), **_use(total.booked_minutes, sum(offered))),
            weeks=[
                _week(monday, by_week.get(number), minutes)
                for number, (monday, minutes) in enumerate(zip(period.weeks(), offered, strict=True), start=1)
            ],
            session_types=[
                SessionTypeFigures(session_type_id=id_, title=title, **_figures(by_type[id_]))
                for id_, title in titles.items()
                if id_ in by_type
            ],
            hours=hours,
        )


def _period(query: StatisticsQuery, zone: ZoneInfo, now: datetime) -> Period:
    today = now.astimezone(zone).date()
    last = query.until or max(query.since or today, monday_of(today) + 6 * DAY)
    first = query.since or monday_of(last) - 7 * (_DEFAULT_WEEKS - 1) * DAY
    if (last - first).days >= MAX_STATISTICS_DAYS:
        raise FieldsWrong({"from": f"Please request at most {MAX_STATISTICS_DAYS} days."})
    return Period(zone, first, last)


async def _offered(connection: AnyConnection, key: CalendarKey, period: Period) -> list[int]:
    """The offered minutes of each week. All session types of an expert share the same hours."""
    offers = await availability.offers(connection, [key.expert_id], period.since)
    if not offers:
        return [0] * len(period.weeks())
    openings = offers[0].calendar.openings(period.since, period.until)
    return period.minutes_by_week(openings, await statistics.blocked(connection, key.expert_id, period))


def _week(monday: date, row: AnyRow | None, offered: int) -> WeekFigures:
    figures = _figures(row) if row else _NOTHING
    return WeekFigures(week=monday, **figures, **_use(figures["booked_minutes"], offered))


def _figures(row: AnyRow) -> dict[str, Any]:
    return {name: getattr(row, name) for name in _NOTHING}


def _use(booked: int, offered: int) -> dict[str, Any]:
    return {"offered_minutes": offered, "utilisation": round(booked / offered, 4) if offered else None}
