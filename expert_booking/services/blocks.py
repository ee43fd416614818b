"""Blocks: time that a host keeps free. They are rows among the bookings, so that neither can overlap the other."""

from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from expert_booking.db import blocks as rows
from expert_booking.db import experts
from expert_booking.db.blocks import NewBlocks
from expert_booking.db.engine import AnyConnection, AnyRow, Database, retry_on_deadlock
from expert_booking.domain.blocks import MADE_AHEAD, WeeklyBlock
from expert_booking.domain.calendar import DAY, local_instant
from expert_booking.domain.errors import BlockConflict, BlockNotFound, ExpertNotFound, FieldsWrong
from expert_booking.domain.lifecycle import Actor
from expert_booking.schemas import BlockList, BlockQuery, BlockRequest, BlocksAdded, BlockView, Caller, ConflictView
from expert_booking.services.booking_changes import acting_as_host
from expert_booking.services.calendar_checks import check_limit
from expert_booking.services.permissions import check_runs

# Blocks per expert that have not ended, because every reading of the calendar loads them all.
MAX_BLOCKS: Final = 3000
_LISTED: Final = timedelta(days=30)
_WEEK: Final = timedelta(days=7)


class Blocks:
    """The use cases of blocks, for those who run the calendar. The database decides whether a time is free."""

    def __init__(self, database: Database, clock: Callable[[], datetime], retention: timedelta | None) -> None:
        """`retention`: for how long a block is kept after its end; None: without a limit."""
        self._database = database
        self._clock = clock
        self._retention = retention

    async def add(self, expert_id: UUID, request: BlockRequest, caller: Caller | None) -> BlocksAdded:
        """Block a time once or every week. Weekly blocks are made for a year; the deadlines worker makes later ones.

        Raises NotAuthenticated, Forbidden, ExpertNotFound, FieldsWrong, TooMany, and BlockConflict if a time is not
        free: nothing is blocked then, unless conflicts are to be skipped and other times are free.
        """
        by = acting_as_host(check_runs(caller, expert_id))

        async def attempt() -> BlocksAdded:
            async with self._database.transaction() as connection:
                now, zone = self._clock(), await _zone(connection, expert_id)
                times, series_id = [(request.starts_at, request.ends_at)], None
                if request.repeat_weekly:
                    weekly = _weekly(request, zone, now)
                    until = max((now + MADE_AHEAD).astimezone(zone).date(), weekly.starts_local.date())
                    times += _times(weekly, zone, weekly.starts_local.date(), until)
                    series_id = await _add_series(connection, expert_id, weekly, until, request.note)
                check_limit(await rows.count_upcoming(connection, expert_id, now) + len(times) - 1, MAX_BLOCKS)
                new = NewBlocks(
                    expert_id=expert_id, times=times, note=request.note, by=by.actor.value, token=by.token_id, now=now,
                    series_id=series_id,
                )  # fmt: skip
                return await _insert(connection, new, skip=request.skip_conflicts)

        return await retry_on_deadlock(attempt)

    async def list_all(self, expert_id: UUID, query: BlockQuery, caller: Caller | None) -> BlockList:
        """The blocks of a range of the expert's local dates. Raises NotAuthenticated, Forbidden or ExpertNotFound."""
        check_runs(caller, expert_id)
        async with self._database.statements() as connection:
            zone = await _zone(connection, expert_id)
            since = query.since or self._clock().astimezone(zone).date()
            until = query.until or since + _LISTED
            if until < since:
                return BlockList(blocks=[])
            found = await rows.of_expert(
                connection, expert_id, local_instant(zone, since, 0), local_instant(zone, until + DAY, 0)
            )
        return BlockList(blocks=[_view(row) for row in found])

    async def remove(self, expert_id: UUID, block_id: UUID, caller: Caller | None, *, series: bool = False) -> None:
        """Delete a block, or the whole series that it belongs to, past blocks included.

        Raises NotAuthenticated, Forbidden or BlockNotFound.
        """
        check_runs(caller, expert_id)
        async with self._database.transaction() as connection:
            found = await rows.series_of(connection, expert_id, block_id)
            if found is None:
                raise BlockNotFound
            if series and found.series_id is not None:
                await rows.remove_series(connection, found.series_id)
            else:
                await rows.remove(connection, block_id)

    async def delete_ended(self) -> None:
        """Delete the blocks that ended before the retention period."""
        if self._retention is not None:
            async with self._database.transaction() as connection:
                await rows.delete_ended(connection, self._clock() - self._retention)

    async def extend(self) -> None:
        """Make the next blocks of all series, up to a year ahead. Times that are not free are left out."""
        while await self._extend_some():
            pass

    async def _extend_some(self) -> bool:
        now = self._clock()
        async with self._database.transaction() as connection:
            found = await rows.lock_unfinished(connection, (now + MADE_AHEAD - _WEEK - DAY).date())
            for row in found:
                await self._extend(connection, row, now)
        return bool(found)

    async def _extend(self, connection: AnyConnection, row: AnyRow, now: datetime) -> None:
        zone = ZoneInfo(row.time_zone)
        weekly = WeeklyBlock(row.starts_local, row.ends_local, row.repeat_until)
        until = (now + MADE_AHEAD).astimezone(zone).date()
        new = NewBlocks(
            expert_id=row.expert_id, times=_times(weekly, zone, row.made_until, until), note=row.note,
            by=Actor.SYSTEM.value, now=now, series_id=row.id,
        )  # fmt: skip
        await rows.add(connection, new)
        await rows.record_made(connection, row.id, max(weekly.days(row.made_until, until), default=until))


async def _zone(connection: AnyConnection, expert_id: UUID) -> ZoneInfo:
    zone = await experts.time_zone_if_any(connection, expert_id)
    if zone is None:
        raise ExpertNotFound
    return ZoneInfo(zone)


def _weekly(request: BlockRequest, zone: ZoneInfo, now: datetime) -> WeeklyBlock:
    if request.starts_at < now - _WEEK:
        raise FieldsWrong({"startsAt": "Please start the series today or later."})
    starts, ends = (at.astimezone(zone).replace(tzinfo=None, fold=0) for at in (request.starts_at, request.ends_at))
    if request.repeat_until is not None and request.repeat_until < starts.date():
        raise FieldsWrong({"repeatUntil": "`repeatUntil` must not be before `startsAt`."})
    if ends <= starts:
        raise FieldsWrong(
            {"endsAt": "This block spans a change of the clocks. Please start the series on another date."}
        )
    return WeeklyBlock(starts, ends, request.repeat_until)


def _times(weekly: WeeklyBlock, zone: ZoneInfo, after: date, until: date) -> list[tuple[datetime, datetime]]:
    found = (weekly.on(day, zone) for day in weekly.days(after, until))
    return [times for times in found if times is not None]


async def _add_series(connection: AnyConnection, expert_id: UUID, weekly: WeeklyBlock, until: date, note: str) -> UUID:
    first = weekly.starts_local.date()
    return await rows.add_series(
        connection,
        expert_id=expert_id,
        starts_local=weekly.starts_local,
        ends_local=weekly.ends_local,
        repeat_until=weekly.repeat_until,
        made_until=max(weekly.days(first, until), default=first),
        note=note,
    )


async def _insert(connection: AnyConnection, new: NewBlocks, *, skip: bool) -> BlocksAdded:
    added = await rows.add(connection, new)
    made = {row.starts_at for row in added}
    left_out = [(start, end) for start, end in new.times if start not in made]
    conflicts: Sequence[ConflictView] = ()
    if left_out:
        found = await rows.conflicts(connection, new, left_out)
        conflicts = [ConflictView.model_validate(row._mapping) for row in found]
        if not (skip and added):
            raise BlockConflict(conflicts)
    return BlocksAdded(series_id=new.series_id, blocks=[_view(row) for row in added], conflicts=conflicts)


def _view(row: AnyRow) -> BlockView:
    return BlockView.model_validate(row._mapping)
