"""Sleep between the steps of a background worker, and wake early when there is work."""

import asyncio
from contextlib import suppress


class WorkerTimer:
    """A sleep that `wake` ends early. Further wake-ups shortly after the first are coalesced with it."""

    def __init__(self, coalesce_seconds: float) -> None:
        """`coalesce_seconds` is how long the sleep goes on after the first wake-up."""
        self._coalesce_seconds = coalesce_seconds
        self._woken = asyncio.Event()
        self._stopped = asyncio.Event()

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._stopped.is_set()

    def stop(self) -> None:
        """End the current sleep and all later ones, so that the worker stops after its current step."""
        self._stopped.set()
        self._woken.set()

    def wake(self) -> None:
        """End the current sleep, or the next one, because there may be work."""
        self._woken.set()

    async def sleep(self, seconds: float, rest: float = 0) -> None:
        """Sleep for `seconds`, or until woken and then for the coalescing time or `rest`, whichever is longer."""
        try:
            if not self.stopped:
                await asyncio.wait_for(self._woken.wait(), seconds)
            await self.pause(max(self._coalesce_seconds, rest))
        except TimeoutError:
            return
        self._woken.clear()

    async def pause(self, seconds: float) -> None:
        """Sleep for `seconds`, ignoring wake-ups. Only `stop` ends it early."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopped.wait(), seconds)
