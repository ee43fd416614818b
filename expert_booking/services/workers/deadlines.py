"""Lets time pass: holds lapse, and requests that nobody answers expire."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Final

from expert_booking.db import deadlines as rows
from expert_booking.db import holds, idempotency
from expert_booking.db.engine import Database
from expert_booking.domain.errors import Unavailable
from expert_booking.services.worker_timer import WorkerTimer

log = logging.getLogger(__name__)

# Seconds in which further news come along.
_COALESCED: Final = 0.1
_LONGEST_PAUSE: Final = 20.0
_SHORTEST_PAUSE: Final = 0.05
_AFTER_A_FAILURE: Final = 1.0
_SWEEPING: Final = 600.0
_UNTIL_CLOCKS_AGREE: Final = 5.0


class Deadlines:
    """Writes down what is over as soon as it is, so that every open page hears of it.

    Every process does, for whatever any process has made; nothing is wrong where none does, only late: a lapsed hold
    is in nobody's way.
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
        """There may be a deadline that comes sooner."""
        self._timer.wake()

    def stop(self) -> None:
        """Let `run` end as soon as it is through with what it is at."""
        self._timer.stop()

    async def run(self) -> None:
        """Write down whatever is over, until stopped."""
        sweep_at = 0.0
        time = asyncio.get_running_loop().time
        while not self._timer.stopped:
            try:
                if await self._clock_agrees():
                    await self.work_off()
                    if time() >= sweep_at:
                        await self.sweep()
                        sweep_at = time() + _SWEEPING
                    pause = await self._pause()
                    self.round_at = self._clock()
                else:
                    pause = _UNTIL_CLOCKS_AGREE
            except Unavailable:
                pause = _AFTER_A_FAILURE
            except Exception:
                log.exception("what is over could not be written down, trying again in %.0f s", _AFTER_A_FAILURE)
                pause = _AFTER_A_FAILURE
            await self._timer.sleep(pause)

    async def work_off(self) -> None:
        """Return when everything that is over at this moment is written down, here or by whoever is just at it."""
        now = self._clock()
        async with self._database.statements() as connection:
            while await rows.expire(connection, now):
                pass

    async def sweep(self) -> None:
        """Delete what nobody needs any more, some at a time."""
        now = self._clock()
        async with self._database.statements() as connection:
            while await rows.sweep(connection, now):
                pass
            await idempotency.forget_old(connection, now)
            await holds.forget_old(connection, now)

    async def _pause(self) -> float:
        async with self._database.statements() as connection:
            at = await rows.next_due(connection)
        if at is None:
            return _LONGEST_PAUSE
        return min(max((at - self._clock()).total_seconds(), _SHORTEST_PAUSE), _LONGEST_PAUSE)
