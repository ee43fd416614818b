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

    async def sleep(self, seconds: float, rest: float = 0) -> None:
        """Sleep so long, or until it rings, and then for a moment that is no shorter than `rest`."""
        try:
            await asyncio.wait_for(self._rung.wait(), seconds)
            await asyncio.sleep(max(self._coalesced, rest))
        except TimeoutError:
            return
        self._rung.clear()
