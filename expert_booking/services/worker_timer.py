"""What workers sleep by."""

import asyncio
from contextlib import suppress


class WorkerTimer:
    """Lets a worker sleep until somebody rings; what comes in the moment after the first ring is slept through too."""

    def __init__(self, coalesced: float) -> None:
        """`coalesced` is that moment, in seconds."""
        self._coalesced = coalesced
        self._woken = asyncio.Event()
        self._stopped = asyncio.Event()

    @property
    def stopped(self) -> bool:
        """Whether there is no more work to begin."""
        return self._stopped.is_set()

    def stop(self) -> None:
        """Nobody sleeps from now on: what is being done is finished, and nothing else begun."""
        self._stopped.set()
        self._woken.set()

    def wake(self) -> None:
        """There may be something to do."""
        self._woken.set()

    async def sleep(self, seconds: float, rest: float = 0) -> None:
        """Sleep so long, or until it rings, and then for a moment that is no shorter than `rest`."""
        try:
            if not self.stopped:
                await asyncio.wait_for(self._woken.wait(), seconds)
            await self.pause(max(self._coalesced, rest))
        except TimeoutError:
            return
        self._woken.clear()

    async def pause(self, seconds: float) -> None:
        """Sleep so long, whoever rings; only the end comes sooner."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopped.wait(), seconds)
