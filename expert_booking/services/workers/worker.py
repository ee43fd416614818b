"""The loop that all background workers share."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import ClassVar

from expert_booking.domain.errors import Unavailable
from expert_booking.services.worker_timer import WorkerTimer


class Worker(ABC):
    """Repeats a step until stopped, and sleeps in between until there is work again.

    Every process runs all workers. A step that fails is logged and retried.
    """

    # In log lines.
    name: ClassVar[str]
    # Seconds that wake-ups shortly after the first are collected for.
    coalesce_seconds: ClassVar[float]
    # Seconds until a failed step is retried.
    retry_seconds: ClassVar[float] = 1.0

    def __init__(self, clock: Callable[[], datetime], clock_agrees: Callable[[], Awaitable[bool]]) -> None:
        self._clock = clock
        self._clock_agrees = clock_agrees
        self._timer = WorkerTimer(self.coalesce_seconds)
        # Seconds to rest after the current step even if woken.
        self._rest = 0.0
        # When the last step completed without a failure.
        self.round_at: datetime | None = None

    def wake(self) -> None:
        """Start the next step soon, because there may be work."""
        self._timer.wake()

    def stop(self) -> None:
        """Ask `run` to return after the current step."""
        self._timer.stop()

    async def run(self) -> None:
        """Repeat the step until stopped or cancelled."""
        try:
            while not self._timer.stopped:
                self._rest = 0.0
                pause = await self._try_step()
                if pause is not None:
                    await self._timer.sleep(max(pause, self._rest), self._rest)
        finally:
            await self._finish()

    async def _try_step(self) -> float | None:
        try:
            return await self._step()
        except Unavailable:
            return self.retry_seconds
        except Exception:
            log = logging.getLogger(type(self).__module__)
            log.exception("%s worker failed, retrying in %.0f s", self.name, self.retry_seconds)
            return self.retry_seconds

    @abstractmethod
    async def _step(self) -> float | None:
        """Do the work that is due. Returns the seconds to sleep; None to start the next step immediately."""

    async def _finish(self) -> None:  # noqa: B027 - most workers have nothing to finish
        """Finish what steps have started. Called once, when `run` ends."""
