"""What a host adds to the calendar: bookings by hand and blocks."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime

from pydantic import ValidationError

from expert_booking.domain import formatting
from expert_booking.domain.errors import BlockConflict
from expert_booking.schemas import BlockRequest, Caller, ConflictView, CustomerMatch, HostBookingRequest, field_errors
from expert_booking.web.calendar_actions import CalendarActions
from expert_booking.web.components.new_entry_dialog import NewBlock, NewBooking, NewEntryDialog
from expert_booking.web.components.week_calendar import WeekCalendar
from expert_booking.web.console import Console


class CalendarAdditions(CalendarActions):
    """The dialog for something new."""

    def __init__(
        self,
        page: Console,
        calendar: WeekCalendar,
        refresh: Callable[[], None],
        request_model: type[HostBookingRequest],
    ) -> None:
        """`refresh` reads the calendar again. `request_model` validates bookings by hand."""
        super().__init__(page, calendar, refresh)
        self._request_model = request_model
        self._new = NewEntryDialog(
            page.zone, check=self._check_time, search=self._search, on_book=self._book, on_block=self._block,
            on_cancel=calendar.settle,
        )  # fmt: skip

    async def add(self, start: datetime, end: datetime | None) -> None:
        """Ask what to put at this wall-clock time: a booking or a block."""

        async def ask(caller: Caller) -> None:
            found = await self._services.calendars.session_types(str(self._expert_id), caller)
            await self._new.open([one for one in found.session_types if one.active], start, end)

        if not await self._act(ask, self._page.refused):
            self._calendar.settle()

    async def _search(self, words: str) -> Sequence[CustomerMatch]:
        return (
            await self._page.run(lambda caller: self._services.customers.search(self._expert_id, words, caller)) or ()
        )

    async def _book(self, new: NewBooking) -> None:
        async def book(caller: Caller) -> None:
            request = self._request_model(
                expert_id=self._expert_id, session_type_id=new.session_type_id, starts_at=new.starts_at, name=new.name,
                email=new.email, phone=new.phone, notes=new.notes, notify=new.notify, override=new.override,
            )  # fmt: skip
            await self._services.bookings.book_by_hand(request, caller)
            self._added("Booked")

        await self._try(book)

    async def _block(self, new: NewBlock) -> None:
        async def block(caller: Caller) -> None:
            request = BlockRequest(
                starts_at=new.starts_at, ends_at=new.ends_at, note=new.note, repeat_weekly=new.weekly,
                repeat_until=new.until, skip_conflicts=new.skip_conflicts,
            )  # fmt: skip
            try:
                await self._services.blocks.add(self._expert_id, request, caller)
            except BlockConflict as refusal:
                self._new.show_conflicts([self._conflict_text(one) for one in refusal.conflicts], weekly=new.weekly)
                return
            self._added("Blocked")

        await self._try(block)

    async def _try(self, action: Callable[[Caller], Awaitable[None]]) -> None:
        async def attempt(caller: Caller) -> None:
            try:
                await action(caller)
            except ValidationError as error:
                self._new.wrong({one.field: one.message for one in field_errors(error)})

        await self._act(attempt, self._new.fail)

    def _added(self, text: str) -> None:
        self._new.close()
        self._calendar.settle()
        self._refresh()
        self._page.saved(text)

    def _conflict_text(self, conflict: ConflictView) -> str:
        name = conflict.customer_name or formatting.STATUS[conflict.status]
        return f"{self._short(conflict.starts_at)}: {name}"
