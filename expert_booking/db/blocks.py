"""Statements about blocks and the series in which they repeat."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ARRAY, DateTime, Text, Uuid, bindparam, delete, func, insert, select, text, update
from sqlalchemy.dialects.postgresql import Range
from sqlalchemy.ext.asyncio import AsyncConnection

from expert_booking.db.engine import AnyRow
from expert_booking.db.tables import LIVE_ROWS, block_series, booking, expert

Times = Sequence[tuple[datetime, datetime]]

_b, _s = booking.c, block_series.c
_INSTANTS: Final = ARRAY(DateTime(timezone=True))
_COLUMNS: Final = (_b.id, _b.starts_at, _b.ends_at, _b.notes.label("note"), _b.series_id, _b.version)
# As text, so that the planner knows that the partial indexes apply.
_IS_BLOCK: Final = text("status = 'blocked'")
_UPCOMING: Final = select(func.count()).where(
    _b.expert_id == bindparam("expert_id"), _IS_BLOCK, _b.ends_at > bindparam("now")
)
# Holds that have expired are released first, as for a booking. In order of time, so that two of these statements cannot
# deadlock.
_INSERT: Final = text(
    """
    WITH wanted AS (
      SELECT * FROM unnest(:starts, :ends) AS wanted (starts_at, ends_at)
    ), released AS (
      UPDATE booking SET status = 'expired', hold_origin = NULL, hold_keeper = NULL, updated_at = now(),
             version = version + 1, changed_by = 'system', changed_with = NULL, change_reason = ''
        FROM wanted
       WHERE expert_id = :expert_id AND status = 'held' AND hold_until <= CAST(:now AS timestamptz)
         AND busy && tstzrange(wanted.starts_at, wanted.ends_at)
      RETURNING 1
    )
    INSERT INTO booking (expert_id, starts_at, ends_at, busy, status, notes, series_id, title, cancel_notice_minutes,
                         reschedule_notice_minutes, changed_by, changed_with, changed_at)
    SELECT :expert_id, wanted.starts_at, wanted.ends_at, tstzrange(wanted.starts_at, wanted.ends_at), 'blocked', :note,
           :series_id, '', 0, 0, :by, :token, :now
      FROM wanted, (SELECT count(*) FROM released) AS released_count
     ORDER BY wanted.starts_at
    ON CONFLICT DO NOTHING
    RETURNING id, starts_at, ends_at, notes AS note, series_id, version
    """
).bindparams(
    bindparam("starts", type_=_INSTANTS), bindparam("ends", type_=_INSTANTS), bindparam("expert_id", type_=Uuid),
    bindparam("series_id", type_=Uuid), bindparam("token", type_=Uuid), bindparam("note", type_=Text),
    bindparam("by", type_=Text), bindparam("now", type_=DateTime(timezone=True)),
)  # fmt: skip
_CONFLICTS: Final = text(
    f"""
    SELECT wanted.starts_at AS wanted_starts_at, CASE WHEN status <> 'held' THEN id END AS booking_id,
           booking.starts_at, booking.ends_at, status,
           CASE WHEN verify_by IS NULL THEN nullif(name, '') END AS customer_name
      FROM unnest(:starts, :ends) AS wanted (starts_at, ends_at)
      JOIN booking ON expert_id = :expert_id AND busy && tstzrange(wanted.starts_at, wanted.ends_at) AND {LIVE_ROWS}
       AND (status <> 'held' OR hold_until > :now)
     ORDER BY wanted.starts_at, booking.starts_at
    """  # noqa: S608 - our own condition
).bindparams(
    bindparam("starts", type_=_INSTANTS), bindparam("ends", type_=_INSTANTS), bindparam("expert_id", type_=Uuid),
    bindparam("now", type_=DateTime(timezone=True)),
)  # fmt: skip
_DELETE_ENDED: Final = delete(booking).where(_IS_BLOCK, _b.ends_at < bindparam("before"))
_DELETE_EMPTY_SERIES: Final = text(
    """
    DELETE FROM block_series AS series
     WHERE repeat_until < CAST(:before AS timestamptz)::date - 1
       AND NOT EXISTS (SELECT FROM booking WHERE series_id = series.id)
    """
).bindparams(bindparam("before", type_=DateTime(timezone=True)))
_UNFINISHED: Final = (
    select(*_s, expert.c.time_zone)
    .join_from(block_series, expert, expert.c.id == _s.expert_id)
    .where(_s.made_until <= bindparam("before"), _s.repeat_until.is_(None) | (_s.made_until + 7 <= _s.repeat_until))
    .order_by(_s.made_until, _s.id)
    .limit(100)
    .with_for_update(of=block_series, skip_locked=True)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewBlocks:
    """Blocks to insert at these times (UTC), and who makes them. `now` is UTC."""

    expert_id: UUID
    times: Times
    note: str
    by: str
    now: datetime
    token: UUID | None = None
    series_id: UUID | None = None

    def values(self) -> dict[str, Any]:
        """The parameters of the statements."""
        return {
            "expert_id": self.expert_id, "starts": [start for start, _ in self.times],
            "ends": [end for _, end in self.times], "note": self.note, "by": self.by, "now": self.now,
            "token": self.token, "series_id": self.series_id,
        }  # fmt: skip


async def add(connection: AsyncConnection, new: NewBlocks) -> Sequence[AnyRow]:
    """Insert blocks at those times that are free, and return them, earliest first."""
    return sorted((await connection.execute(_INSERT, new.values())).all(), key=lambda row: row.starts_at)


async def conflicts(connection: AsyncConnection, new: NewBlocks, times: Times) -> Sequence[AnyRow]:
    """Return what overlaps these times."""
    values = {"starts": [start for start, _ in times], "ends": [end for _, end in times]}
    found = await connection.execute(_CONFLICTS, {**values, "expert_id": new.expert_id, "now": new.now})
    return found.all()


async def add_series(connection: AsyncConnection, **columns: Any) -> UUID:
    """Insert a series and return its id."""
    added: UUID = (await connection.execute(insert(block_series).values(**columns).returning(_s.id))).scalar_one()
    return added


async def count_upcoming(connection: AsyncConnection, expert_id: UUID, now: datetime) -> int:
    """Count the blocks of an expert that have not ended."""
    return await connection.scalar(_UPCOMING, {"expert_id": expert_id, "now": now}) or 0


async def of_expert(connection: AsyncConnection, expert_id: UUID, since: datetime, until: datetime) -> Sequence[AnyRow]:
    """Return the blocks that overlap [since, until), earliest first."""
    wanted = select(*_COLUMNS).where(
        _b.expert_id == expert_id, _b.busy.op("&&")(Range(since, until)), _IS_BLOCK, text(LIVE_ROWS)
    )
    return (await connection.execute(wanted.order_by(_b.starts_at))).all()


async def series_of(connection: AsyncConnection, expert_id: UUID, block_id: UUID) -> AnyRow | None:
    """Return the `series_id` of this expert's block; None if there is no such block."""
    wanted = select(_b.series_id).where(_b.id == block_id, _b.expert_id == expert_id, _IS_BLOCK)
    return (await connection.execute(wanted)).one_or_none()


async def remove(connection: AsyncConnection, block_id: UUID) -> None:
    """Delete one block."""
    await connection.execute(delete(booking).where(_b.id == block_id, _IS_BLOCK))


async def remove_series(connection: AsyncConnection, series_id: UUID) -> None:
    """Delete a series with all of its blocks."""
    # The worker must not make another block in between.
    await connection.execute(select(_s.id).where(_s.id == series_id).with_for_update())
    await connection.execute(delete(booking).where(_b.series_id == series_id))
    await connection.execute(delete(block_series).where(_s.id == series_id))


async def delete_ended(connection: AsyncConnection, before: datetime) -> None:
    """Delete the blocks that ended before this instant, and the series that have ended and have no blocks left."""
    await connection.execute(_DELETE_ENDED, {"before": before})
    await connection.execute(_DELETE_EMPTY_SERIES, {"before": before})


async def lock_unfinished(connection: AsyncConnection, before: date) -> Sequence[AnyRow]:
    """Lock some series whose latest block starts on this date or earlier, although there are to be later ones."""
    return (await connection.execute(_UNFINISHED, {"before": before})).all()


async def record_made(connection: AsyncConnection, series_id: UUID, made_until: date) -> None:
    """Record the local date of the latest block of a series."""
    await connection.execute(update(block_series).where(_s.id == series_id).values(made_until=made_until))
