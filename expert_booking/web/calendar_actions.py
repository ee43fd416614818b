"""The base of what a host does in the calendar: run an action, show a refusal where the host is, judge a time."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Final
from uuid import UUID

from expert_booking.domain import formatting
from expert_booking.domain.errors import ChangedMeanwhile, FieldsWrong, Refusal, SlotNotOffered, SlotTaken
from expert_booking.domain.unavailability import Reason
from expert_booking.schemas import BookingHistory, BookingView, Caller
from expert_booking.web.components.booking_panel import ACTORS, change_text
from expert_booking.web.components.entry_dialog import FINE, Verdict
from expert_booking.web.components.week_calendar import WeekCalendar
from expert_booking.web.console import Console

# For a host, who sees the calendar.
_TAKEN: Final = {
    Reason.BUSY: "This time overlaps another booking, its buffer or a block.",
    Reason.HELD: "Someone is booking this time right now.",
}


class CalendarActions:
    """Actions of one open calendar. Services decide whether they are carried out."""

    def __init__(self, page: Console, calendar: WeekCalendar, refresh: Callable[[], None]) -> None:
        """`refresh` reads the calendar again."""
        self._page, self._services, self._calendar, self._refresh = page, page.services, calendar, refresh
        self._zone, self._expert_id = page.zone, page.expert.id

    async def _act(
        self,
        action: Callable[[Caller], Awaitable[None]],
        fail: Callable[[str], None],
        *,
        saved: str = "",
        on_changed: UUID | None = None,
    ) -> bool:
        """Run an action, and show a refusal with `fail`. Whether it was carried out.

        `on_changed` is the booking whose winner is named if someone else has changed it meanwhile.
        """
        done = False

        async def attempt(caller: Caller) -> None:
            nonlocal done
            try:
                await action(caller)
            except ChangedMeanwhile as refusal:
                self._refresh()
                self._overtaken()
                self._page.refused(await self._who_won(on_changed, caller) if on_changed else str(refusal))
            except FieldsWrong as refusal:
                fail(" ".join(refusal.errors.values()))
            except Refusal as refusal:
                fail(str(refusal))
            else:
                done = True
                if saved:
                    self._page.saved(saved)

        await self._page.run(attempt)
        return done

    def _overtaken(self) -> None:
        """Someone else has changed the booking meanwhile."""

    async def _check_time(self, session_type_id: UUID, at: datetime, own: datetime | None = None) -> Verdict:
        async def look(caller: Caller) -> Verdict:
            key = await self._services.calendars.key(str(self._expert_id), caller)
            try:
                found = await self._services.host_times.rules_against(key, session_type_id, at, own=own)
            except SlotTaken as refusal:
                return Verdict(refusal=_TAKEN[refusal.blocker.reason])
            except SlotNotOffered as refusal:
                return Verdict(refusal=str(refusal))
            return Verdict(warning=" ".join(str(one.blocker) for one in found), rules=tuple(one.rule for one in found))

        return await self._page.run(look) or FINE

    async def _who_won(self, booking_id: UUID, caller: Caller) -> str:
        """Say who has changed the booking meanwhile, and how."""
        booking, history = await self._read(booking_id, caller)
        last = history.changes[-1]
        who, what = ACTORS[last.actor], change_text(last, self._zone)
        return f"Someone else was faster, so nothing was changed. {booking.customer_name}: {what} ({who.lower()})."

    async def _read(self, booking_id: UUID, caller: Caller) -> tuple[BookingView, BookingHistory]:
        bookings = self._services.bookings
        return await bookings.get(booking_id, caller), await bookings.history(booking_id, caller)

    def _short(self, instant: datetime) -> str:
        return f"{formatting.short_day(instant, self._zone)}, {formatting.clock_time(instant, self._zone)}"
