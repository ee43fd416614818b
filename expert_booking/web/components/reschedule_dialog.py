"""The dialog that gives a booking another time."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from markupsafe import Markup
from nicegui import ui

from expert_booking.domain import formatting
from expert_booking.domain.errors import FieldsWrong
from expert_booking.domain.rule_overrides import RuleOverride
from expert_booking.schemas import REASON_LENGTH, BookingView
from expert_booking.web.components.entry_dialog import EntryDialog, Verdict, labelled_switch
from expert_booking.web.components.raw_html import RawHtml, plain_json
from expert_booking.web.components.wall_time_fields import WallTimeFields


@dataclass(frozen=True, slots=True)
class Reschedule:
    """The answer to the question about a new time (UTC). `override` are the rules that the host sets aside."""

    starts_at: datetime
    reason: str
    notify: bool
    override: tuple[RuleOverride, ...]


class RescheduleDialog(EntryDialog):
    """Asks for a new time, a reason, and whether the customer is emailed."""

    def __init__(
        self,
        zone: ZoneInfo,
        *,
        check: Callable[[datetime], Awaitable[Verdict]],
        on_submit: Callable[[Reschedule], Awaitable[None]],
        on_cancel: Callable[[], Any],
        on_hidden: Callable[[str], Any],
    ) -> None:
        """`check` says what the calendar thinks of a time, for the booking that the dialog was opened with.

        `on_hidden` gets the booking's id when the dialog has disappeared, for the keyboard focus.
        """
        super().__init__("reschedule", on_cancel=on_cancel)
        self._dialog.props("no-refocus")
        self._on_hidden, self._booking_id = on_hidden, ""
        self._zone, self._check, self._on_submit = zone, check, on_submit
        with self._card:
            self._head = RawHtml(plain_json(Markup("")))
            self._time = WallTimeFields(zone, date_label="New date", time_label="New time", on_change=self._consider)
            self._reason = ui.input("Reason (optional)").props(f"outlined dense maxlength={REASON_LENGTH}")
            self._notify = labelled_switch("Email the customer about this", value=True)
            self._draw_end("Reschedule", self._send)

    async def open(self, booking: BookingView, starts_at: datetime | None, wall: datetime | None = None) -> None:
        """Ask about this booking. `starts_at` (UTC) or `wall` is the new time to begin with."""
        self._head.show(
            Markup('<h2 id="reschedule-title">Reschedule {}</h2><p class="soft">From {}</p>').format(
                booking.customer_name, formatting.moment(booking.starts_at, self._zone)
            )
        )
        self._booking_id = str(booking.id)
        self._reason.set_value("")
        self._notify.set_value(bool(booking.email))
        self._notify.set_visibility(bool(booking.email))
        self._open()
        if wall is not None:
            self._time.set(wall)
        else:
            self._time.set_instant(starts_at or booking.starts_at)
        await self._consider()

    def _hidden(self) -> None:
        super()._hidden()
        self._on_hidden(self._booking_id)

    async def _consider(self) -> None:
        if self._done or self._time.wall() is None:
            return
        if not await self._look(lambda: self._check(self._time.instant()), self._time.wall):
            return
        self._show(self._verdict, "Reschedule", "Reschedule anyway")

    async def _send(self) -> None:
        try:
            starts_at = self._time.instant()
        except FieldsWrong:
            return
        answer = Reschedule(starts_at, str(self._reason.value or ""), bool(self._notify.value), self._verdict.rules)
        await self._on_submit(answer)
        await self._after_failure(self._consider)
