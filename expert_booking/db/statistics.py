"""Statements that count the bookings of an expert."""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from expert_booking.db.engine import AnyRow
from expert_booking.domain.statistics import Period, Span

# Grouped in four ways: all, by week, by session type, and by weekday and hour. The boundaries of weeks and the offsets
# of the zone are parameters, because only zoneinfo decides when the clocks change.
_FIGURES: Final = text(
    """
    WITH counted AS MATERIALIZED (
      SELECT session_type_id, status, status IN ('pending', 'confirmed', 'completed', 'no_show') AS booked,
             CAST(date_part('epoch', ends_at - starts_at) / 60 AS int) AS minutes,
             greatest(date_part('epoch', starts_at - created_at) / 60, 0) AS lead,
             width_bucket(starts_at, CAST(:weeks AS timestamptz[])) AS week,
             CAST(date_part('isodow', local) AS int) AS weekday, CAST(date_part('hour', local) AS int) AS hour
        FROM booking, LATERAL (
          SELECT (starts_at AT TIME ZONE 'UTC') + (CAST(:offsets AS interval[]))[
                   width_bucket(starts_at, CAST(:offsets_since AS timestamptz[]))] AS local) clock
       WHERE expert_id = :expert AND starts_at >= :since AND starts_at < :until
         AND name IS NOT NULL AND status NOT IN ('held', 'blocked') AND verify_by IS NULL)
    SELECT grouping(week, session_type_id, weekday) AS kind, week, session_type_id, weekday, hour,
           count(*) FILTER (WHERE booked) AS bookings,
           count(*) FILTER (WHERE status = 'cancelled') AS cancelled,
           count(*) FILTER (WHERE status IN ('declined', 'expired')) AS declined,
           count(*) FILTER (WHERE status = 'no_show') AS no_shows,
           CAST(coalesce(sum(minutes) FILTER (WHERE booked), 0) AS int) AS booked_minutes,
           CAST(percentile_cont(0.5) WITHIN GROUP (ORDER BY lead) FILTER (WHERE booked) AS int) AS lead_minutes
      FROM counted
     GROUP BY GROUPING SETS ((), (week), (session_type_id), (weekday, hour))
    """
)
# The values of `kind`.
ALL, BY_WEEK, BY_SESSION_TYPE, BY_HOUR = 0b111, 0b011, 0b101, 0b110
_TITLES: Final = text("SELECT id, title FROM session_type WHERE expert_id = :expert ORDER BY position, created_at, id")
_BLOCKED: Final = text(
    """
    SELECT starts_at, ends_at FROM booking
     WHERE expert_id = :expert AND starts_at < :until AND ends_at > :since AND status = 'blocked'
     ORDER BY starts_at
    """
)


async def figures(connection: AsyncConnection, expert_id: UUID, period: Period) -> Sequence[AnyRow]:
    """Return the figures of all bookings that start in the period; `kind` tells how a row is grouped.

    `week` counts the weeks of the period from 1, `weekday` from 1 for Monday.
    """
    offsets = period.offsets()
    values: dict[str, Any] = {
        "weeks": period.week_starts(),
        "offsets_since": [at for at, _ in offsets],
        "offsets": [offset for _, offset in offsets],
    }
    return (await connection.execute(_FIGURES, {**_of(expert_id, period), **values})).all()


async def titles(connection: AsyncConnection, expert_id: UUID) -> dict[UUID, str]:
    """Return the titles of an expert's session types in their order."""
    return {row.id: row.title for row in await connection.execute(_TITLES, {"expert": expert_id})}


async def blocked(connection: AsyncConnection, expert_id: UUID, period: Period) -> list[Span]:
    """Return the time that the expert has blocked, in order."""
    return [(row.starts_at, row.ends_at) for row in await connection.execute(_BLOCKED, _of(expert_id, period))]


def _of(expert_id: UUID, period: Period) -> dict[str, Any]:
    return {"expert": expert_id, "since": period.since, "until": period.until}
