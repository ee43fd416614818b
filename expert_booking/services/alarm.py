"""What workers sleep by."""

import asyncio


class Alarm:
    """Lets a worker sleep until somebody rings; what comes in the moment after the first ring is slept through too."""

    def __init__(self, coalesced: float) -> None:
        """`coalesced` is that moment, in seconds."""
        self._coalesced = coalesced
        self._rung = asyncio.Event()

    def ring(self) -> None:
        """There may be something to do."""
        self._rung.set()

    async def sleep(self, seconds: float) -> None:
        """Sleep so long, or until it rings."""
        try:
            await asyncio.wait_for(self._rung.wait(), seconds)
            await asyncio.sleep(self._coalesced)
        except TimeoutError:
            return
        self._rung.clear()
