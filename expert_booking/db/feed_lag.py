"""Measure the lag of notifications: from the commit, through the database and the feed, to this process."""

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
# This payload makes every process send a probe immediately.
ROLL_CALL: Final = "?"
# Seconds between two probes.
_INTERVAL: Final = 10.0
_SEND: Final = text(f"SELECT pg_notify('{LAG_PROBE_CHANNEL}', :name)")


class FeedLagProbe:
    """Sends itself a notification every few seconds and measures when it arrives.

    Both times come from this process's clock, so no clocks have to agree.
    """

    def __init__(self, database: Database, clock_offset: Callable[[], float] = lambda: 0.0) -> None:
        """Each probe carries `clock_offset()` (seconds), so that `doctor` can read it."""
        self._database = database
        self._clock_offset = clock_offset
        self._called = asyncio.Event()
        self._process = token_hex(8)
        self._numbers = count(1)
        self._under_way: dict[str, float] = {}
        self._lag = 0.0

    def lag(self) -> float:
        """Return the lag in seconds: of the last probe that arrived, or the age of one under way if that is more."""
        sent = min(self._under_way.values(), default=None)
        return self._lag if sent is None else max(self._lag, monotonic() - sent)

    def hear(self, name: str) -> None:
        """Handle a probe that arrived. Ignores those of other processes, except a roll call."""
        if name == ROLL_CALL:
            self._called.set()
        sent = self._under_way.pop(name, None)
        if sent is not None:
            self._lag = monotonic() - sent
            # Notifications arrive in order, so earlier probes that have not arrived are lost.
            self._under_way = {other: at for other, at in self._under_way.items() if at > sent}

    async def run(self) -> NoReturn:
        """Send probes until cancelled."""
        while True:
            try:
                await self.send()
            except Unavailable:
                pass  # nothing was sent; the next probe measures again
            except Exception:
                log.exception("could not measure the lag of notifications")
            with suppress(TimeoutError):
                await asyncio.wait_for(self._called.wait(), _INTERVAL)
            self._called.clear()

    async def send(self) -> None:
        """Send one probe. Raises Unavailable."""
        name = f"{self._process}:{next(self._numbers)}:{self._clock_offset():.3f}"
        async with self._database.statements() as connection:
            self._under_way[name] = monotonic()
            try:
                await connection.execute(_SEND, {"name": name})
            except BaseException:
                self._under_way.pop(name, None)
                raise


def clock_offset_of(name: str) -> tuple[str, float] | None:
    """Return the process that sent this probe and its clock offset in seconds; None if the probe has no offset."""
    process, _, rest = name.partition(":")
    try:
        return process, float(rest.partition(":")[2])
    except ValueError:
        return None
