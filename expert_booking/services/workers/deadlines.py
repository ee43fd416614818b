"""Expire holds and unanswered requests, delete or erase what is no longer needed, and make blocks that repeat."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Final

from expert_booking.db import deadlines as rows
from expert_booking.db import holds, idempotency, limits
from expert_booking.db.engine import Database
from expert_booking.domain.limits import BookingLimits
from expert_booking.services.blocks import Blocks
from expert_booking.services.customers import Customers
from expert_booking.services.workers.worker import Worker

# Seconds.
_MAX_PAUSE: Final = 20.0
_MIN_PAUSE: Final = 0.05
_SWEEP_INTERVAL: Final = 600.0
_CLOCK_RETRY_DELAY: Final = 5.0


class Deadlines(Worker):
    """Marks holds and requests as expired as soon as their deadline passes, so that open pages update.

    Each process does this for all bookings. If none runs, nothing goes wrong except that open pages update late,
    because an expired hold does not block its time.
    """

    name = "deadlines"
    coalesce_seconds = 0.1

    def __init__(
        self,
        database: Database,
        clock: Callable[[], datetime],
        clock_agrees: Callable[[], Awaitable[bool]],
        booking_limits: BookingLimits,
        customers: Customers,
        blocks: Blocks,
    ) -> None:
        super().__init__(clock, clock_agrees)
        self._database = database
        self._booking_limits = booking_limits
        self._customers = customers
        self._blocks = blocks
        self._sweep_at = 0.0

    async def _step(self) -> float:
        if not await self._clock_agrees():
            return _CLOCK_RETRY_DELAY
        await self.drain()
        time = asyncio.get_running_loop().time
        if time() >= self._sweep_at:
            await self.sweep()
            self._sweep_at = time() + _SWEEP_INTERVAL
        pause = await self._pause()
        self.round_at = self._clock()
        return pause

    async def drain(self) -> None:
        """Return when everything that has expired by now is marked so, by this or another process."""
        now = self._clock()
        async with self._database.statements() as connection:
            while await rows.expire(connection, now):
                pass

    async def sweep(self) -> None:
        """Delete old rows that are no longer needed and erase customers after their retention period, in batches.

        Also make the next blocks of those that repeat."""
        now = self._clock()
        async with self._database.statements() as connection:
            while await rows.sweep(connection, now):
                pass
            await idempotency.forget_old(connection, now)
            await holds.forget_old(connection, now)
            await limits.forget_old(connection, now, live_count=self._booking_limits.count_live_bookings)
        await self._customers.erase_ended()
        await self._blocks.delete_ended()
        await self._blocks.extend()

    async def _pause(self) -> float:
        async with self._database.statements() as connection:
            at = await rows.next_due(connection)
        if at is None:
            return _MAX_PAUSE
        return min(max((at - self._clock()).total_seconds(), _MIN_PAUSE), _MAX_PAUSE)
