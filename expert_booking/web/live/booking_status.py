"""Keeps the pages about one booking in step with the database, and with the clock."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime

from nicegui import Client

from expert_booking.domain.errors import BookingNotFound
from expert_booking.schemas import BookingView, Caller, Role
from expert_booking.services import Services
from expert_booking.web.booking_access import BookingAccess
from expert_booking.web.live.slot_boards import Throttle

# What may be done "until" an instant may still be done at it: pages look again just after.
_JUST_AFTER = 0.05

OnLook = Callable[[BookingView | None], None]


class LiveBooking:
    """A booking, followed while one page of somebody who may see it is open."""

    def __init__(
        self, services: Services, client: Client, found: tuple[BookingView, Caller], way: BookingAccess, on_look: OnLook
    ) -> None:
        """`on_look` gets the booking whenever it, or what may be done now, may be different; None: it is gone."""
        self._services = services
        self._client = client
        self._access = way
        self._booking: BookingView | None
        self._booking, self._caller = found
        self._on_look = on_look
        self._timer: asyncio.TimerHandle | None = None
        # Look again soon.
        self.refresh = Throttle(self.read)
        # Moves and statuses are news of the expert, the fate of its mail is news of the booking.
        self._unfollow = [services.bus.subscribe(one, self.refresh) for one in (found[0].expert_id, found[0].id)]
        client.on_delete(self._end)
        client.on_connect(self.refresh)
        self._set_alarm()

    @property
    def by_host(self) -> bool:
        """Whether it is seen by somebody who runs its calendar."""
        return self._caller.role is not Role.CUSTOMER

    async def read(self) -> None:
        """Look at the booking as it is now."""
        try:
            booking, self._caller = await self._access.find()
        except BookingNotFound:  # it was deleted, or what was proven counts no more
            self.take(None)
        else:
            self.take(booking)

    async def change(self, make: Callable[[Caller], Awaitable[BookingView]]) -> BookingView:
        """Have `make` change it, as whoever may at this very moment. Raises BookingNotFound, and what `make` does."""
        _, self._caller = await self._access.find()
        changed = await make(self._caller)
        self.take(changed)
        return changed

    def take(self, booking: BookingView | None) -> None:
        """Go on with the booking as somebody has just read it."""
        # Of two readings that overlap the older one may come last; and the page may be closed meanwhile.
        older = booking and self._booking and booking.version < self._booking.version
        if not (older or self._client.is_deleted):
            self._booking = booking
            self._look()

    def _look(self) -> None:
        self._set_alarm()
        self._on_look(self._booking)

    def _set_alarm(self) -> None:
        self._silence()
        now = self._services.clock()
        turn = _next_turn(self._booking, now) if self._booking else None
        if turn is not None:
            seconds = (turn - now).total_seconds() + _JUST_AFTER
            self._timer = asyncio.get_running_loop().call_later(seconds, self._look)

    def _silence(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _end(self) -> None:
        for unsubscribe in self._unfollow:
            unsubscribe()
        self._silence()


def _next_turn(booking: BookingView, now: datetime) -> datetime | None:
    # When the session has ended, its host can say what became of it.
    turns = (booking.leeway().next_change(now), booking.ends_at)
    return min((turn for turn in turns if turn is not None and turn >= now), default=None)
