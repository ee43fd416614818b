"""Keeps the rows true that say when each expert is free next."""

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
from expert_booking.domain.errors import Unavailable
from expert_booking.domain.free_times import FreeTimes, free_times
from expert_booking.services.worker_timer import WorkerTimer

log = logging.getLogger(__name__)

_AT_ONCE: Final = 20  # experts in one transaction: some 30 ms of work
_COALESCED: Final = 0.05  # seconds in which further news come along, at least
# After work it rests so many times as long, but no longer than so many seconds, so that bookings keep the core: the
# more there are, the more of them are worked out at once.
_REST: Final = 19
_LONGEST_REST: Final = 4.0
_ANOTHER_TURN: Final = 0.03  # seconds until it may be our turn, for whoever waits for the work to be done
_SOMEBODY_ELSES_TURN: Final = 1.0
_LONGEST_PAUSE: Final = 20.0
_AFTER_A_FAILURE: Final = 2.0
_UNTIL_CLOCKS_AGREE: Final = 5.0


class NextAvailable:
    """Works out anew what a booking, a rule or the passing of time has made wrong.

    The database notes whose rows are to be worked out, in the transaction of the change; a note goes in the
    transaction that writes the rows. So nothing is forgotten, whoever dies in between.
    """

    def __init__(
        self, database: Database, clock: Callable[[], datetime], clock_agrees: Callable[[], Awaitable[bool]]
    ) -> None:
        self._database = database
        self._clock = clock
        self._clock_agrees = clock_agrees
        self._timer = WorkerTimer(_COALESCED)
        # When the last round was done without a failure.
        self.round_at: datetime | None = None

    def wake(self) -> None:
        """There may be something to do."""
        self._timer.wake()

    def stop(self) -> None:
        """Let `run` end as soon as it is through with what it is at."""
        self._timer.stop()

    async def run(self) -> None:
        """Work off whatever comes, until stopped. Of several processes one at a time does, all news through."""
        while not self._timer.stopped:
            rest = 0.0
            try:
                if not await self._clock_agrees():
                    await self._timer.pause(_UNTIL_CLOCKS_AGREE)
                    continue
                began = time.monotonic()
                ours = await self._work_off_in_our_turn()
                self.round_at = self._clock()
                if not ours:
                    # Whoever's turn it is hears of the same news.
                    await self._timer.pause(_SOMEBODY_ELSES_TURN)
                    continue
                rest = min(_REST * (time.monotonic() - began), _LONGEST_REST)
                pause = await self._pause()
            except Unavailable:
                pause = _AFTER_A_FAILURE
            except Exception:
                log.exception("next free times could not be worked out, trying again in %.0f s", _AFTER_A_FAILURE)
                pause = _AFTER_A_FAILURE
            await self._timer.sleep(max(pause, rest), rest)

    async def work_off(self) -> None:
        """Return when every row is true at this moment, whoever has worked it out."""
        while await self._pause() <= 0:
            if not await self._work_off_in_our_turn():
                await asyncio.sleep(_ANOTHER_TURN)

    async def work_off_with(self, work_out_all: Callable[[Sequence[UUID]], Awaitable[None]]) -> None:
        """The same for a hundred thousand experts: `work_out_all` shares them out, to other processes too.

        They call `work_out` for some at a time, while it is nobody else's turn. What comes in meanwhile is left.
        """
        async with self._database.statements() as connection, rows.all_queued(connection) as ids:
            await work_out_all(ids)

    async def work_out(self, ids: Sequence[UUID]) -> None:
        """Work out the rows of these experts, on behalf of somebody whose turn it is."""
        async with self._database.transaction() as connection:
            await self._work_out(connection, ids, self._clock())

    async def _work_off_in_our_turn(self) -> bool:
        """Work off all there is; False when that is somebody else's turn."""
        while not self._timer.stopped:
            async with self._database.transaction() as connection:
                # In turn, so that what was read earlier is never written later.
                if not await rows.try_lock(connection):
                    return False
                now = self._clock()
                ids = await rows.claim(connection, _AT_ONCE, now)
                if ids:
                    await self._work_out(connection, ids, now)
            if len(ids) < _AT_ONCE:
                return True
        return True

    async def _work_out(self, connection: AnyConnection, ids: Sequence[UUID], now: datetime) -> None:
        existing = await rows.existing(connection, ids)
        if existing:
            await rows.write(connection, await self._found(connection, existing, now))

    async def _found(
        self, connection: AnyConnection, ids: Sequence[UUID], now: datetime
    ) -> dict[UUID, dict[int, FreeTimes]]:
        try:
            return await found(connection, ids, now)
        except (ValueError, LookupError):
            if len(ids) == 1:
                # What cannot be read (a zone that does not exist, written by hand) must not keep the others waiting.
                log.exception("the calendar of expert %s cannot be read: no free time until it is changed", ids[0])
                return {ids[0]: free_times((), now)}
        halves = (ids[: len(ids) // 2], ids[len(ids) // 2 :])
        return {key: free for half in halves for key, free in (await self._found(connection, half, now)).items()}

    async def _pause(self) -> float:
        """How many seconds there is nothing to do, as far as the database knows."""
        now = self._clock()
        async with self._database.statements() as connection:
            at = await rows.next_check(connection, now)
        return _LONGEST_PAUSE if at is None else min((at - now).total_seconds(), _LONGEST_PAUSE)


async def found(connection: AnyConnection, ids: Sequence[UUID], now: datetime) -> dict[UUID, dict[int, FreeTimes]]:
    """When each of these experts is free, by the minutes of the session; 0 means any."""
    offers = await calendars.offers(connection, ids, now)
    until = max((offer.calendar.end(now) for offer in offers), default=now)
    busy = await calendars.busy(connection, ids, now, until, now)
    lapses = await rows.hold_expiries(connection, ids, now)
    free: dict[UUID, dict[int, FreeTimes]] = {}
    for expert_id in ids:
        theirs = [o.with_busy(busy.get(expert_id, ())).calendar for o in offers if o.expert_id == expert_id]
        free[expert_id] = free_times(theirs, now, lapses.get(expert_id))
        await asyncio.sleep(0)  # pages are answered in between
    return free
