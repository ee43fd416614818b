"""The holds that open pages of this process show.

Closing the last page of a hold releases it, unless a page of another process has taken it over. A process that stops
releases nothing: its pages reconnect to another process, and holds that are not taken over expire.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from uuid import UUID, uuid4
from weakref import WeakValueDictionary

from expert_booking.domain.errors import HoldNotFound
from expert_booking.schemas import HoldRequest, HoldView
from expert_booking.services import Services

Subscriber = Callable[[HoldView | None], None]


class OpenHolds:
    """Takes and releases holds for open forms, and tells the other pages of the same browser."""

    def __init__(self, services: Services) -> None:
        self._holds = services.holds
        self._keeper = uuid4()
        self._open: Counter[UUID] = Counter()
        self._subscribers: dict[bytes, list[Subscriber]] = {}
        self._locks: WeakValueDictionary[bytes, asyncio.Lock] = WeakValueDictionary()

    async def take(self, request: HoldRequest, visitor: bytes, origin: bytes) -> HoldView:
        """Hold a slot for this browser; the form then calls `open`. Raises what `Holds.take` raises."""
        async with self._lock(visitor):
            hold = await self._holds.take(request, visitor=visitor, origin=origin, keeper=self._keeper)
        self._notify(visitor, hold)
        return hold

    def open(self, hold_id: UUID, *, instead_of: UUID | None) -> None:
        """Count one more form that shows this hold until `close`, instead of the one it showed before."""
        self._open[hold_id] += 1
        if instead_of is not None:
            self._leave(instead_of)

    async def close(self, hold_id: UUID, visitor: bytes) -> None:
        """Count one form less that shows this hold, and release the hold with the last one."""
        async with self._lock(visitor):
            if self._leave(hold_id):
                return
            await self._holds.release(hold_id, keeper=self._keeper)
        if visitor in self._subscribers:
            self._notify(visitor, await self._holds.for_visitor(visitor))

    async def release(self, hold_id: UUID, visitor: bytes) -> None:
        """Release a hold, however many forms show it, because its customer asked for it."""
        with suppress(HoldNotFound):
            await self._holds.release(hold_id)
        self._notify(visitor, None)

    def subscribe(self, visitor: bytes, subscriber: Subscriber) -> Callable[[], None]:
        """Call `subscriber` when this browser's hold changes in this process, until the returned function is called."""
        subscribers = self._subscribers.setdefault(visitor, [])
        subscribers.append(subscriber)

        def unsubscribe() -> None:
            if subscriber in subscribers:
                subscribers.remove(subscriber)
            if not subscribers and self._subscribers.get(visitor) is subscribers:
                del self._subscribers[visitor]

        return unsubscribe

    def _leave(self, hold_id: UUID) -> int:
        """Count one form less, and return how many still show the hold."""
        self._open[hold_id] -= 1
        return self._open[hold_id] or self._open.pop(hold_id)

    def _notify(self, visitor: bytes, hold: HoldView | None) -> None:
        for subscriber in list(self._subscribers.get(visitor, ())):
            subscriber(hold)

    @asynccontextmanager
    async def _lock(self, visitor: bytes) -> AsyncIterator[None]:
        # A page may reconnect while another one of the same browser is being closed.
        lock = self._locks.setdefault(visitor, asyncio.Lock())
        async with lock:
            yield
