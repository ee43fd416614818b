"""The database's clock, measured and kept by this process."""

import asyncio
import logging
import time
from datetime import UTC, datetime
from math import inf, nan
from typing import Final, NoReturn

from sqlalchemy import text

from expert_booking.db.engine import Database
from expert_booking.domain.errors import Unavailable

log = logging.getLogger(__name__)

# Seconds. If the clocks differ by more, one of them is wrong, and work that cannot be undone is paused.
MAX_OFFSET: Final = 60.0
# Seconds for which a measurement is fresh, and between two measurements.
_FRESH_FOR: Final = 5.0
_INTERVAL: Final = 10.0
_READ_CLOCK: Final = text("SELECT extract(epoch FROM clock_timestamp())::float8")
# On Linux, only this monotonic clock includes the time a laptop sleeps.
_ELAPSED: Final[int] = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class DatabaseClock:
    """The current time by the database's clock, so that all processes agree on it.

    Between two measurements it follows a monotonic clock, so setting this machine's clock does not affect it. Before
    the first measurement, it uses this machine's clock.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        # The database's time, in seconds since 1970, when `_elapsed()` was 0.
        self._start = time.time() - _elapsed()
        self._measured_at = -inf
        self._agreed = True

    def __call__(self) -> datetime:
        """Return the time in UTC."""
        return datetime.fromtimestamp(self._start + _elapsed(), UTC)

    def offset(self) -> float:
        """Return how many seconds this machine's clock is ahead of the database's; NaN before the first measurement."""
        return nan if self._measured_at == -inf else time.time() - self._start - _elapsed()

    async def measure(self) -> None:
        """Read the database's clock. Raises Unavailable."""
        async with self._database.statements() as connection:
            before = _elapsed()
            now = float((await connection.execute(_READ_CLOCK)).scalar_one())
            after = _elapsed()
        # The database read its clock at some moment in between. Keep an estimate that agrees with that, so that the
        # time does not jump by milliseconds.
        self._start = min(max(self._start, now - after), now - before)
        self._measured_at = after

    async def agrees(self) -> bool:
        """Return whether the clocks of this machine and the database differ by at most a minute. Raises Unavailable."""
        if _elapsed() - self._measured_at > _FRESH_FOR or self._is_wrong():
            await self.measure()
        agrees = not self._is_wrong()
        if agrees != self._agreed:
            self._agreed = agrees
            if agrees:
                log.warning("the clocks of this machine and the database agree again")
            else:
                log.error("this machine's clock is %.0f s %s: deadlines and reminders wait", *_apart(self.offset()))
        return agrees

    async def run(self) -> NoReturn:
        """Measure every few seconds, until cancelled."""
        while True:
            try:
                await self.measure()
            except Unavailable:
                pass  # keep the last measurement
            except Exception:
                log.exception("could not read the database's clock")
            await asyncio.sleep(_INTERVAL)

    def _is_wrong(self) -> bool:
        return abs(self.offset()) > MAX_OFFSET


def _apart(offset: float) -> tuple[float, str]:
    return abs(offset), "ahead of the database's" if offset > 0 else "behind the database's"


def _elapsed() -> float:
    return time.clock_gettime(_ELAPSED)
