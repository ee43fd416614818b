"""Keeps pages about one booking up to date, with the database and with the clock."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime

from nicegui import Client

from expert_booking.domain.errors import BookingNotFound
from expert_booking.schemas import BookingView, Caller, Role
from expert_booking.services import Services
from expert_booking.web.booking_access import BookingAccess
from expert_booking.web.live.throttle import Throttle

# Seconds. An action allowed until an instant is still allowed at that instant, so pages update just after it.
_JUST_AFTER = 0.05

OnChange = Callable[[BookingView | None], None]


class LiveBooking:
    """A booking, followed for one open page."""

    def __init__(
        self,
        services: Services,
        client: Client,
        found: tuple[BookingView, Caller],
        access: BookingAccess,
        on_change: OnChange,
    ) -> None:
        """`on_change` gets the booking when it or the allowed actions may have changed; None: no access, or deleted."""
        self._services = services
        self._client = client
        self._access = access
        self._booking: BookingView | None
        self._booking, self._caller = found
        self._on_change = on_change
        self._timer: asyncio.TimerHandle | None = None
        self.refresh = Throttle(self.read)
        # Changes of time and status are events of the expert; delivery of emails is an event of the booking.
        self._unsubscribe = [services.bus.subscribe(one, self.refresh) for one in (found[0].expert_id, found[0].id)]
        client.on_delete(self._end)
        client.on_connect(self.refresh)
        self._set_timer()

    @property
    def by_host(self) -> bool:
        """Whether the page is open for a host: the expert or an admin."""
        return self._caller.role is not Role.CUSTOMER

    async def read(self) -> None:
        """Read the booking, and update the page."""
        try:
            booking, self._caller = await self._access.find()
        except BookingNotFound:  # it was deleted, or the proof has expired
            self.take(None)
        else:
            self.take(booking)

    async def change(self, make: Callable[[Caller], Awaitable[BookingView]]) -> BookingView:
        """Change the booking by `make`, with the caller as of now. Raises BookingNotFound and what `make` raises."""
        _, self._caller = await self._access.find()
        changed = await make(self._caller)
        self.take(changed)
        return changed

    def take(self, booking: BookingView | None) -> None:
        """Show the booking as just read; None if it is no longer accessible."""
        # Of two overlapping readings the older one may come last, and the page may have been closed.
        older = booking and self._booking and booking.version < self._booking.version
        if not (older or self._client.is_deleted):
            self._booking = booking
            self._update()

    def _update(self) -> None:
        self._set_timer()
        self._on_change(self._booking)

    def _set_timer(self) -> None:
        self._cancel_timer()
        now = self._services.clock()
        at = _next_change(self._booking, now) if self._booking else None
        if at is not None:
            seconds = (at - now).total_seconds() + _JUST_AFTER
            self._timer = asyncio.get_running_loop().call_later(seconds, self._update)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _end(self) -> None:
        for unsubscribe in self._unsubscribe:
            unsubscribe()
        self._cancel_timer()


def _next_change(booking: BookingView, now: datetime) -> datetime | None:
    """The next instant at which the allowed actions change. After the session, its host can complete it."""
    changes = (booking.leeway().next_change(now), booking.ends_at)
    return min((change for change in changes if change is not None and change >= now), default=None)
