"""The database's clock, as this process keeps it."""

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

# Seconds. If the clocks are further apart, one of them is wrong, and nothing is done that cannot be undone.
MOST_APART: Final = 60.0
# Seconds for which a measurement counts as new, and between two measurements.
_FRESH: Final = 5.0
_PAUSE: Final = 10.0
_CLOCK: Final = text("SELECT extract(epoch FROM clock_timestamp())::float8")
# On Linux, only this clock counts the time during which a laptop sleeps.
_ELAPSED: Final[int] = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class DatabaseClock:
    """The current time by the database's clock, so that all processes agree on it.

    Between two measurements a clock counts on that cannot be set, so setting this machine's clock changes nothing
    here. Before the first measurement, this machine's clock is used.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        # The database's time, in seconds since 1970, when `_elapsed()` was 0.
        self._start = time.time() - _elapsed()
        self._measured_at = -inf
        self._agreed = True

    def __call__(self) -> datetime:
        """The time in UTC."""
        return datetime.fromtimestamp(self._start + _elapsed(), UTC)

    def offset(self) -> float:
        """By how many seconds this machine's clock is ahead of the database's; NaN before the first measurement."""
        return nan if self._measured_at == -inf else time.time() - self._start - _elapsed()

    async def measure(self) -> None:
        """Ask the database for its time. Raises Unavailable."""
        async with self._database.statements() as connection:
            before = _elapsed()
            now = float((await connection.execute(_CLOCK)).scalar_one())
            after = _elapsed()
        # The database read its clock at some moment in between. An estimate that agrees with that is kept, so that the
        # time does not jump back and forth by milliseconds.
        self._start = min(max(self._start, now - after), now - before)
        self._measured_at = after

    async def agrees(self) -> bool:
        """Whether this machine's clock and the database's are at most a minute apart. Raises Unavailable."""
        if _elapsed() - self._measured_at > _FRESH or self._is_wrong():
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
                pass  # the last measurement still counts
            except Exception:
                log.exception("the database's clock could not be read")
            await asyncio.sleep(_PAUSE)

    def _is_wrong(self) -> bool:
        return abs(self.offset()) > MOST_APART


def _apart(offset: float) -> tuple[float, str]:
    return abs(offset), "ahead of the database's" if offset > 0 else "behind the database's"


def _elapsed() -> float:
    return time.clock_gettime(_ELAPSED)
