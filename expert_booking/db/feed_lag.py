"""How long news takes: from before its commit, through the database and the feed, until this process has it."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from secrets import token_hex
from time import monotonic
from typing import Final, NoReturn

from sqlalchemy import text

from expert_booking.db.engine import Database
from expert_booking.domain.errors import Unavailable

log = logging.getLogger(__name__)

LAG_PROBE_CHANNEL: Final = "expert_booking_pulse"
# Sent in this channel, it makes every process send a beat at once.
ROLL_CALL: Final = "?"
# Seconds between two beats.
_PAUSE: Final = 10.0
_BEAT: Final = text(f"SELECT pg_notify('{LAG_PROBE_CHANNEL}', :name)")


class FeedLagProbe:
    """Sends itself a notification every few seconds, on the way that all news takes, and looks when it arrives.

    Both ends are read off this process's own clock, so no two clocks have to agree.
    """

    def __init__(self, database: Database, clock_offset: Callable[[], float] = lambda: 0.0) -> None:
        """`clock_offset`, in seconds, is told with each beat, so that `doctor` can hear it."""
        self._database = database
        self._clock_offset = clock_offset
        self._called = asyncio.Event()
        self._own = token_hex(8)
        self._numbers = count(1)
        self._under_way: dict[str, float] = {}
        self._lag = 0.0

    def lag(self) -> float:
        """In seconds: that of the last beat that has come back, or how long one has been under way if that is more."""
        sent = min(self._under_way.values(), default=None)
        return self._lag if sent is None else max(self._lag, monotonic() - sent)

    def hear(self, name: str) -> None:
        """A beat has arrived; those of other processes are theirs."""
        if name == ROLL_CALL:
            self._called.set()
        sent = self._under_way.pop(name, None)
        if sent is not None:
            self._lag = monotonic() - sent
            # What was sent before it and has not come back is lost: notifications arrive in order.
            self._under_way = {other: at for other, at in self._under_way.items() if at > sent}

    async def run(self) -> NoReturn:
        """Beat until cancelled."""
        while True:
            try:
                await self.beat()
            except Unavailable:
                pass  # nothing is lost on the way: the next one measures again
            except Exception:
                log.exception("how long news takes could not be measured")
            with suppress(TimeoutError):
                await asyncio.wait_for(self._called.wait(), _PAUSE)
            self._called.clear()

    async def beat(self) -> None:
        """Send one. Raises Unavailable."""
        name = f"{self._own}:{next(self._numbers)}:{self._clock_offset():.3f}"
        async with self._database.statements() as connection:
            self._under_way[name] = monotonic()
            try:
                await connection.execute(_BEAT, {"name": name})
            except BaseException:
                self._under_way.pop(name, None)
                raise


def clock_offset_of(name: str) -> tuple[str, float] | None:
    """The process that sent this beat and the offset of its clock in seconds; None if the beat does not say."""
    process, _, rest = name.partition(":")
    try:
        return process, float(rest.partition(":")[2])
    except ValueError:
        return None
