"""Runs a piece of work on demand, but not too often."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Final

from nicegui import background_tasks

log = logging.getLogger(__name__)

# Seconds between the beginnings of two runs. Changes that come closer together are handled in one run.
MIN_INTERVAL: Final = 0.03


class Throttle:
    """Runs work when called: immediately, or once more after the current run or the minimum interval.

    At most one run is active and one is waiting, and no call is lost.
    """

    def __init__(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._work = work
        self._requested = False
        self._running = False
        self._began_at = -MIN_INTERVAL

    def __call__(self) -> None:
        """Request a run."""
        self._requested = True
        if not self._running:
            self._running = True
            background_tasks.create(self._run(), name="throttle")

    async def _run(self) -> None:
        clock = asyncio.get_running_loop().time
        try:
            while self._requested:
                await asyncio.sleep(self._began_at + MIN_INTERVAL - clock())
                self._requested, self._began_at = False, clock()
                try:
                    await self._work()
                except Exception:
                    # The next event or the next periodic refresh tries again. Until then pages show old data.
                    log.exception("could not update live pages")
        finally:
            self._running = False
