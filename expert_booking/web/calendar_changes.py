"""What a host does with what is in the calendar: see it, change its status, give it another time."""

from collections.abc import Callable, Sequence
from datetime import date, datetime
from typing import Final
from uuid import UUID

from expert_booking.domain.errors import BookingNotFound, ChangedMeanwhile, Refusal
from expert_booking.domain.lifecycle import Actor, Status, open_transitions
from expert_booking.domain.rule_overrides import RuleOverride
from expert_booking.domain.wall_clock import instant_at, instants_at
from expert_booking.schemas import BookingView, Caller, ScheduleEntry
from expert_booking.services.host_times import Span
from expert_booking.web.calendar_actions import CalendarActions
from expert_booking.web.components.block_panel import BlockPanel
from expert_booking.web.components.booking_panel import BookingPanel
from expert_booking.web.components.entry_dialog import FINE, Verdict
from expert_booking.web.components.reschedule_dialog import Reschedule, RescheduleDialog
from expert_booking.web.components.undo_bar import UndoBar
from expert_booking.web.components.week_calendar import WeekCalendar
from expert_booking.web.console import Console

_ALL_RULES: Final = tuple(RuleOverride)


class CalendarChanges(CalendarActions):
    """The panels of one open calendar, and the dialog that gives a booking another time."""

    def __init__(self, page: Console, calendar: WeekCalendar, refresh: Callable[[], None]) -> None:
        """`refresh` reads the calendar again."""
        super().__init__(page, calendar, refresh)
        # The booking whose new time is being asked for, as it was when the question was opened.
        self._moving: BookingView | None = None
        self._panel = BookingPanel(
            page.zone, lambda: page.viewer_zone, on_change=self._change_status, on_reschedule=self._ask_new_time,
            on_copy=self._copy_link, on_resend=self._resend, on_close=calendar.focus_item,
        )  # fmt: skip
        self._block_panel = BlockPanel(page.zone, on_remove=self._remove_block, on_close=calendar.focus_item)
        self._reschedule = RescheduleDialog(
            page.zone, check=self._check_new_time, on_submit=self._give_new_time, on_cancel=self._keep_time,
            on_hidden=calendar.focus_item,
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

    def _overtaken(self) -> None:
        self._moving = None

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

    async def _give_new_time(self, answer: Reschedule) -> None:
        booking = self._moving
        if booking is None:
            return

        async def move(caller: Caller) -> None:
            moved = await self._services.bookings.reschedule(
                booking.id, answer.starts_at, caller, reason=answer.reason, version=booking.version,
                override=answer.override, notify=answer.notify,
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


_DONE: Final = {
    Status.CONFIRMED: "Confirmed", Status.DECLINED: "Declined", Status.CANCELLED: "Cancelled",
    Status.COMPLETED: "Completed", Status.NO_SHOW: "Marked as a no-show",
}  # fmt: skip
