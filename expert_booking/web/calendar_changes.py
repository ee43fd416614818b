"""What a host changes in the calendar: the panels, the dialogs, and the actions behind them."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

from pydantic import ValidationError

from expert_booking.domain import formatting
from expert_booking.domain.errors import (
    BlockConflict,
    BookingNotFound,
    ChangedMeanwhile,
    FieldsWrong,
    Refusal,
    SlotNotOffered,
    SlotTaken,
)
from expert_booking.domain.lifecycle import Actor, Status, open_transitions
from expert_booking.domain.rule_overrides import RuleOverride
from expert_booking.domain.unavailability import Reason
from expert_booking.domain.wall_clock import instant_at, instants_at
from expert_booking.schemas import (
    BlockRequest,
    BookingHistory,
    BookingView,
    Caller,
    CustomerMatch,
    HostBookingRequest,
    ScheduleEntry,
    SessionTypeView,
    field_errors,
)
from expert_booking.services.host_times import Span
from expert_booking.web.components.block_panel import BlockPanel
from expert_booking.web.components.booking_panel import ACTORS, BookingPanel, change_text
from expert_booking.web.components.entry_dialogs import (
    FINE,
    NewBlock,
    NewBooking,
    NewEntryDialog,
    Reschedule,
    RescheduleDialog,
    Verdict,
)
from expert_booking.web.components.undo_bar import UndoBar
from expert_booking.web.components.week_calendar import WeekCalendar
from expert_booking.web.console import Console

_ALL_RULES: Final = tuple(RuleOverride)
# For a host, who sees the calendar.
_TAKEN: Final = {
    Reason.BUSY: "This time overlaps another booking, its buffer or a block.",
    Reason.HELD: "Someone is booking this time right now.",
}


class CalendarChanges:
    """The panels and dialogs of one open calendar. Services decide; a refusal is shown where the host is."""

    def __init__(
        self,
        page: Console,
        calendar: WeekCalendar,
        refresh: Callable[[], None],
        request_model: type[HostBookingRequest],
    ) -> None:
        """`refresh` reads the calendar again. `request_model` validates bookings by hand."""
        self._request_model = request_model
        self._page, self._services, self._calendar, self._refresh = page, page.services, calendar, refresh
        self._zone, self._expert_id = page.zone, page.expert.id
        # The booking whose new time is being asked for, as it was when the question was opened.
        self._moving: BookingView | None = None
        self._panel = BookingPanel(
            page.zone, lambda: page.viewer_zone, on_change=self._change_status, on_reschedule=self._ask_new_time,
            on_copy=self._copy_link, on_resend=self._resend, on_close=calendar.focus_item,
        )  # fmt: skip
        self._block_panel = BlockPanel(page.zone, on_remove=self._remove_block, on_close=calendar.focus_item)
        self._reschedule = RescheduleDialog(
            page.zone, check=self._check_new_time, on_submit=self._give_new_time, on_cancel=self._keep_time
        )
        self._new = NewEntryDialog(
            page.zone, check=self._check_time, search=self._search, on_book=self._book, on_block=self._block,
            on_cancel=calendar.settle,
        )  # fmt: skip
        self._undo = UndoBar()

    # --- the panels ---------------------------------------------------------------------------------------------

    async def open_booking(self, booking_id: UUID) -> None:
        """Show everything about a booking."""
        await self._page.run(lambda caller: self._show_booking(booking_id, caller))

    async def open_block(self, entry: ScheduleEntry) -> None:
        """Show a block."""
        self._block_panel.show(entry)

    async def refresh_panel(self, caller: Caller) -> None:
        """Show the booking in the open panel as it is now."""
        if self._panel.booking is not None:
            try:
                await self._show_booking(self._panel.booking.id, caller)
            except BookingNotFound:
                self._panel.close()

    async def _show_booking(self, booking_id: UUID, caller: Caller) -> None:
        booking, history = await self._read(booking_id, caller)
        transitions = open_transitions(
            booking.status, Actor.EXPERT, ends_at=booking.ends_at, now=self._services.clock(),
            unverified=booking.awaits_verification,
        )  # fmt: skip
        may_resend = bool(booking.email) and self._services.site.sends_email and not booking.awaits_verification
        self._panel.show(booking, history.changes, transitions, may_resend=may_resend)

    async def _read(self, booking_id: UUID, caller: Caller) -> tuple[BookingView, BookingHistory]:
        bookings = self._services.bookings
        return await bookings.get(booking_id, caller), await bookings.history(booking_id, caller)

    async def _change_status(self, to: Status, reason: str) -> None:
        booking = self._panel.booking
        if booking is None:
            return

        async def change(caller: Caller) -> None:
            await self._services.bookings.change_status(booking.id, to, caller, reason=reason, version=booking.version)
            await self._show_booking(booking.id, caller)

        await self._act(change, self._panel.fail, saved=_DONE[to])

    async def _copy_link(self) -> None:
        async def copy(caller: Caller) -> None:
            if self._panel.booking is not None:
                link = await self._services.booking_emails.manage_link(self._panel.booking.id, caller)
                self._calendar.copy(link)
                self._panel.say("Link copied. Anyone with it can manage the booking.")

        await self._act(copy, self._panel.fail)

    async def _resend(self) -> None:
        async def resend(caller: Caller) -> None:
            if self._panel.booking is not None:
                await self._services.booking_emails.send_again(self._panel.booking.id, caller)
                self._panel.say(f"We're sending the email to {self._panel.booking.email} again.")

        await self._act(resend, self._panel.fail)

    async def _remove_block(self, entry: ScheduleEntry, series: bool) -> None:
        async def remove(caller: Caller) -> None:
            await self._services.blocks.remove(self._expert_id, entry.id, caller, series=series)
            self._block_panel.close()
            self._refresh()

        await self._act(remove, self._block_panel.fail, saved="The time is free again")

    # --- another time -------------------------------------------------------------------------------------------

    async def free_spans(self, entry: ScheduleEntry, since: date, until: date) -> Sequence[Span]:
        """Where this booking fits by the rules on these local days, as spans (UTC)."""
        if entry.session_type_id is None:
            return ()
        session_type_id = entry.session_type_id

        async def read(caller: Caller) -> Sequence[Span]:
            key = await self._services.calendars.key(str(self._expert_id), caller)
            return await self._services.host_times.free_spans(key, session_type_id, since, until, own=entry.starts_at)

        return await self._page.run(read) or ()

    async def drop(self, entry: ScheduleEntry, wall: datetime) -> None:
        """Ask about the time at which a booking was dropped, or put it back and say why it cannot be there."""

        async def ask(caller: Caller) -> None:
            booking = await self._services.bookings.get(entry.id, caller)
            if booking.version != entry.version:
                raise ChangedMeanwhile
            self._moving = booking
            if len(instants_at(self._zone, wall)) != 2:  # otherwise the dialog asks which one is meant
                verdict = await self._check_new_time(instant_at(self._zone, wall, field="startsAt"))
                if verdict.refusal:
                    raise Refusal(
                        f"{booking.customer_name} stays at {self._short(booking.starts_at)}. {verdict.refusal}"
                    )
            await self._reschedule.open(booking, None, wall)

        if not await self._act(ask, self._page.refused, on_changed=entry.id):
            self._calendar.settle(back=True)

    async def _ask_new_time(self) -> None:
        if self._panel.booking is not None:
            self._moving = self._panel.booking
            self._panel.close()
            await self._reschedule.open(self._moving, self._moving.starts_at)

    def _keep_time(self) -> None:
        self._calendar.settle(back=True)

    async def _check_new_time(self, at: datetime) -> Verdict:
        booking = self._moving
        if booking is None or at == booking.starts_at:
            return FINE
        return await self._check_time(booking.session_type_id, at, own=booking.starts_at)

    async def _check_time(self, session_type_id: UUID, at: datetime, own: datetime | None = None) -> Verdict:
        async def look(caller: Caller) -> Verdict:
            key = await self._services.calendars.key(str(self._expert_id), caller)
            try:
                blockers = await self._services.host_times.rules_against(key, session_type_id, at, own=own)
            except SlotTaken as refusal:
                return Verdict(refusal=_TAKEN[refusal.blocker.reason])
            except SlotNotOffered as refusal:
                return Verdict(refusal=str(refusal))
            return Verdict(warning=" ".join(str(blocker) for blocker in blockers))

        return await self._page.run(look) or FINE

    async def _give_new_time(self, answer: Reschedule) -> None:
        booking = self._moving
        if booking is None:
            return

        async def move(caller: Caller) -> None:
            moved = await self._services.bookings.reschedule(
                booking.id, answer.starts_at, caller, reason=answer.reason, version=booking.version,
                override=_ALL_RULES if answer.insist else (), notify=answer.notify,
            )  # fmt: skip
            self._reschedule.close()
            self._calendar.settle()
            self._refresh()
            self._offer_undo(booking, moved, notify=answer.notify)

        if not await self._act(move, self._reschedule.fail, on_changed=booking.id) and self._moving is None:
            self._reschedule.close()
            self._calendar.settle(back=True)

    def _offer_undo(self, before: BookingView, after: BookingView, *, notify: bool) -> None:
        async def undo() -> None:
            async def back(caller: Caller) -> None:
                await self._services.bookings.reschedule(
                    before.id, before.starts_at, caller, reason="Undone", version=after.version,
                    override=_ALL_RULES, notify=notify,
                )  # fmt: skip
                self._refresh()

            await self._act(back, self._page.refused, saved="Undone", on_changed=before.id)

        self._undo.show(f"{after.customer_name}: rescheduled to {self._short(after.starts_at)}.", undo)

    # --- something new ------------------------------------------------------------------------------------------

    async def add(self, start: datetime, end: datetime | None) -> None:
        """Ask what to put at this wall-clock time: a booking or a block."""

        async def ask(caller: Caller) -> None:
            found = await self._services.calendars.session_types(str(self._expert_id), caller)
            types: list[SessionTypeView] = [one for one in found.session_types if one.active]
            await self._new.open(types, start, end)

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
                email=new.email, phone=new.phone, notes=new.notes, notify=new.notify,
                override=_ALL_RULES if new.insist else (),
            )  # fmt: skip
            await self._services.bookings.book_by_hand(request, caller)
            self._added()

        await self._act(book, self._new.fail, saved="Booked")

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
            self._added()

        await self._act(block, self._new.fail)

    def _added(self) -> None:
        self._new.close()
        self._calendar.settle()
        self._refresh()

    def _conflict_text(self, conflict: Any) -> str:
        name = conflict.customer_name or formatting.STATUS[conflict.status]
        return f"{self._short(conflict.starts_at)}: {name}"

    # ------------------------------------------------------------------------------------------------------------

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
                self._moving = None
                self._refresh()
                self._page.refused(await self._who_won(on_changed, caller) if on_changed else str(refusal))
            except ValidationError as error:
                self._new.wrong({one.field: one.message for one in field_errors(error)})
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

    async def _who_won(self, booking_id: UUID, caller: Caller) -> str:
        """Say who has changed the booking meanwhile, and how."""
        booking, history = await self._read(booking_id, caller)
        last = history.changes[-1]
        who, what = ACTORS[last.actor], change_text(last, self._zone)
        return f"Someone else was faster, so nothing was changed. {booking.customer_name}: {what} ({who.lower()})."

    def _short(self, instant: datetime) -> str:
        return f"{formatting.short_day(instant, self._zone)}, {formatting.clock_time(instant, self._zone)}"


_DONE: Final = {
    Status.CONFIRMED: "Confirmed", Status.DECLINED: "Declined", Status.CANCELLED: "Cancelled",
    Status.COMPLETED: "Completed", Status.NO_SHOW: "Marked as a no-show",
}  # fmt: skip
