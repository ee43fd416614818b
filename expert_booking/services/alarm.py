"""What workers sleep by."""

import asyncio
from contextlib import suppress


class Alarm:
    """Lets a worker sleep until somebody rings; what comes in the moment after the first ring is slept through too."""

    def __init__(self, coalesced: float) -> None:
        """`coalesced` is that moment, in seconds."""
        self._coalesced = coalesced
        self._rung = asyncio.Event()
        self._over = asyncio.Event()

    @property
    def over(self) -> bool:
        """Whether there is no more work to begin."""
        return self._over.is_set()

    def end(self) -> None:
        """Nobody sleeps from now on: what is being done is finished, and nothing else begun."""
        self._over.set()
        self._rung.set()

    def ring(self) -> None:
        """There may be something to do."""
        self._rung.set()

    async def sleep(self, seconds: float) -> None:
        """Sleep so long, or until it rings."""
        try:
            if not self.over:
                await asyncio.wait_for(self._rung.wait(), seconds)
            await self.pause(self._coalesced)
        except TimeoutError:
            return
        self._rung.clear()

    async def pause(self, seconds: float) -> None:
        """Sleep so long, whoever rings; only the end comes sooner."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._over.wait(), seconds)
