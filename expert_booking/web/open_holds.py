"""Which holds the open pages of this process show, and whose browsers they are in.

The last page that is closed lets its hold go, unless another process's pages have taken it over. A process that stops
lets nothing go: its pages come back to the next one, and whatever nobody comes back to lapses.
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
    """Takes and lets go holds for open forms."""

    def __init__(self, services: Services) -> None:
        self._holds = services.holds
        self._keeper = uuid4()
        self._open: Counter[UUID] = Counter()
        self._subscribers: dict[bytes, list[Subscriber]] = {}
        self._turns: WeakValueDictionary[bytes, asyncio.Lock] = WeakValueDictionary()

    async def take(self, request: HoldRequest, visitor: bytes, origin: bytes) -> HoldView:
        """Hold a slot for this browser, for a form that then opens it. Raises what `Holds.take` raises."""
        async with self._turn(visitor):
            hold = await self._holds.take(request, visitor=visitor, origin=origin, keeper=self._keeper)
        self._tell(visitor, hold)
        return hold

    def open(self, hold_id: UUID, *, instead_of: UUID | None) -> None:
        """One form more shows this hold, until `close`; what it showed before is over."""
        self._open[hold_id] += 1
        if instead_of is not None:
            self._leave(instead_of)

    async def close(self, hold_id: UUID, visitor: bytes) -> None:
        """One form less shows this hold; with the last one it goes."""
        async with self._turn(visitor):
            if self._leave(hold_id):
                return
            await self._holds.release(hold_id, keeper=self._keeper)
        if visitor in self._subscribers:
            self._tell(visitor, await self._holds.of_visitor(visitor))

    async def release(self, hold_id: UUID, visitor: bytes) -> None:
        """Let a hold go for everybody who shows it: its customer says so."""
        with suppress(HoldNotFound):
            await self._holds.release(hold_id)
        self._tell(visitor, None)

    def subscribe(self, visitor: bytes, subscriber: Subscriber) -> Callable[[], None]:
        """Call `subscriber` when this browser's hold changes here, until the returned function is called."""
        subscribers = self._subscribers.setdefault(visitor, [])
        subscribers.append(subscriber)

        def unsubscribe() -> None:
            if subscriber in subscribers:
                subscribers.remove(subscriber)
            if not subscribers and self._subscribers.get(visitor) is subscribers:
                del self._subscribers[visitor]

        return unsubscribe

    def _leave(self, hold_id: UUID) -> int:
        """How many still show it."""
        self._open[hold_id] -= 1
        return self._open[hold_id] or self._open.pop(hold_id)

    def _tell(self, visitor: bytes, hold: HoldView | None) -> None:
        for subscriber in list(self._subscribers.get(visitor, ())):
            subscriber(hold)

    @asynccontextmanager
    async def _turn(self, visitor: bytes) -> AsyncIterator[None]:
        # A page that comes back while another one is being closed: one of them after the other.
        turn = self._turns.setdefault(visitor, asyncio.Lock())
        async with turn:
            yield
