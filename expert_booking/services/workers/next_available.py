"""Maintain the derived rows that say when each expert is next free."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from expert_booking.db import availability as calendars
from expert_booking.db import next_available as rows
from expert_booking.db.engine import AnyConnection, Database
from expert_booking.domain.free_times import FreeTimes, free_times
from expert_booking.services.workers.worker import Worker

log = logging.getLogger(__name__)

_BATCH_SIZE: Final = 20  # experts in one transaction: about 30 ms of work
# After each step, rest this many times as long as it took, up to a maximum in seconds. This leaves the core to requests
# and, under many changes, handles more of them in one step.
_REST_FACTOR: Final = 19
_MAX_REST: Final = 4.0
# Seconds.
_LOCK_RETRY_DELAY: Final = 0.03  # while `drain` waits for another process
_LOCKED_DELAY: Final = 1.0  # after another process had the lock
_MAX_PAUSE: Final = 20.0
_CLOCK_RETRY_DELAY: Final = 5.0


class NextAvailable(Worker):
    """Recomputes rows that a booking, a rule or the passing of time has made wrong.

    In the transaction of a change, the database queues the experts whose rows it affects. They leave the queue in the
    transaction that writes the new rows, so a crash in between loses nothing. One process at a time does the work.
    """

    name = "next-available"
    coalesce_seconds = 0.05
    retry_seconds = 2.0

    def __init__(
        self, database: Database, clock: Callable[[], datetime], clock_agrees: Callable[[], Awaitable[bool]]
    ) -> None:
        super().__init__(clock, clock_agrees)
        self._database = database

    async def _step(self) -> float | None:
        if not await self._clock_agrees():
            await self._timer.pause(_CLOCK_RETRY_DELAY)
            return None
        started = time.monotonic()
        has_lock = await self._drain_if_unlocked()
        self.round_at = self._clock()
        if not has_lock:
            # The process that has the lock receives the same events.
            await self._timer.pause(_LOCKED_DELAY)
            return None
        self._rest = min(_REST_FACTOR * (time.monotonic() - started), _MAX_REST)
        return await self._pause()

    async def drain(self) -> None:
        """Return when all rows are correct as of now, whichever process has computed them."""
        while await self._pause() <= 0:
            if not await self._drain_if_unlocked():
                await asyncio.sleep(_LOCK_RETRY_DELAY)

    async def drain_with(self, recompute_all: Callable[[Sequence[UUID]], Awaitable[None]]) -> None:
        """Like `drain` for very many experts: `recompute_all` distributes them, possibly to other processes.

        They call `recompute` for some experts at a time while this process holds the lock. Experts that are queued in
        the meantime stay queued.
        """
        async with self._database.statements() as connection, rows.all_queued(connection) as ids:
            await recompute_all(ids)

    async def recompute(self, ids: Sequence[UUID]) -> None:
        """Recompute the rows of these experts. The caller, possibly in another process, must hold the lock."""
        async with self._database.transaction() as connection:
            await self._recompute(connection, ids, self._clock())

    async def _drain_if_unlocked(self) -> bool:
        """Recompute all queued experts; False if another process has the lock."""
        while not self._timer.stopped:
            async with self._database.transaction() as connection:
                # One process at a time, so that an older reading never overwrites a newer one.
                if not await rows.try_lock(connection):
                    return False
                now = self._clock()
                ids = await rows.claim(connection, _BATCH_SIZE, now)
                if ids:
                    await self._recompute(connection, ids, now)
            if len(ids) < _BATCH_SIZE:
                return True
        return True

    async def _recompute(self, connection: AnyConnection, ids: Sequence[UUID], now: datetime) -> None:
        existing = await rows.existing(connection, ids)
        if existing:
            await rows.write(connection, await self._compute(connection, existing, now))

    async def _compute(
        self, connection: AnyConnection, ids: Sequence[UUID], now: datetime
    ) -> dict[UUID, dict[int, FreeTimes]]:
        try:
            return await compute_free_times(connection, ids, now)
        except (ValueError, LookupError):
            if len(ids) == 1:
                # One invalid calendar (such as an unknown time zone written by hand) must not block the others.
                log.exception("the calendar of expert %s is invalid: no free times until it is changed", ids[0])
                return {ids[0]: free_times((), now)}
        halves = (ids[: len(ids) // 2], ids[len(ids) // 2 :])
        return {key: free for half in halves for key, free in (await self._compute(connection, half, now)).items()}

    async def _pause(self) -> float:
        """The seconds until the next row has to be checked; 0 or less if one is due."""
        now = self._clock()
        async with self._database.statements() as connection:
            at = await rows.next_check(connection, now)
        return _MAX_PAUSE if at is None else min((at - now).total_seconds(), _MAX_PAUSE)


async def compute_free_times(
    connection: AnyConnection, ids: Sequence[UUID], now: datetime
) -> dict[UUID, dict[int, FreeTimes]]:
    """When each of these experts is free, by session length in minutes; 0 means any length."""
    offers = await calendars.offers(connection, ids, now)
    until = max((offer.calendar.end(now) for offer in offers), default=now)
    busy = await calendars.busy(connection, ids, now, until, now)
    expiries = await rows.hold_expiries(connection, ids, now)
    free: dict[UUID, dict[int, FreeTimes]] = {}
    for expert_id in ids:
        theirs = [o.with_busy(busy.get(expert_id, ())).calendar for o in offers if o.expert_id == expert_id]
        free[expert_id] = free_times(theirs, now, expiries.get(expert_id))
        await asyncio.sleep(0)  # let requests run in between
    return free
