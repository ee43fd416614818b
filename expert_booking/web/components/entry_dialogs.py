"""The dialogs of a host's calendar: give a booking another time, add a booking by hand, block time."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from markupsafe import Markup
from nicegui import ui

from expert_booking.domain import formatting
from expert_booking.domain.errors import FieldsWrong
from expert_booking.schemas import REASON_LENGTH, BookingView, CustomerMatch, SessionTypeView
from expert_booking.web.components.raw_html import RawHtml, plain_json
from expert_booking.web.components.wall_time_fields import WallTimeFields

_MAX_CONFLICTS: Final = 5
_LENGTHS: Final = {"name": 200, "email": 254, "phone": 40, "notes": 2000, "note": 500}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the calendar says about a time: fine (both empty), possible if the host insists, or impossible."""

    warning: str = ""
    refusal: str = ""


FINE: Final = Verdict()
# Receives the time that is being considered (UTC).
Check = Callable[[datetime], Awaitable[Verdict]]


@dataclass(frozen=True, slots=True)
class Reschedule:
    """The answer to the question about a new time (UTC). `insist`: also against the rules that a host may set aside."""

    starts_at: datetime
    reason: str
    notify: bool
    insist: bool


@dataclass(frozen=True, slots=True)
class NewBooking:
    """A booking by hand, as typed. Only the name is needed."""

    session_type_id: UUID
    starts_at: datetime
    name: str
    email: str
    phone: str
    notes: str
    notify: bool
    insist: bool


@dataclass(frozen=True, slots=True)
class NewBlock:
    """Time to block (UTC). `until` is the last local date of a weekly block.

    `skip_conflicts`: leave out the weeks in which the time is not free.
    """

    starts_at: datetime
    ends_at: datetime
    note: str
    weekly: bool
    until: date | None
    skip_conflicts: bool


class _Dialog:
    """A dialog with a heading, fields, a verdict about the time, and two buttons."""

    def __init__(self, name: str, *, on_cancel: Callable[[], Any]) -> None:
        self._on_cancel = on_cancel
        self._done = True
        with ui.dialog().props(f'no-backdrop-dismiss aria-labelledby="{name}-title"') as self._dialog:
            self._card = ui.card().classes("calendar-dialog")
        self._dialog.on("hide", lambda _: self.cancel())

    def cancel(self) -> None:
        """Close the dialog without an answer."""
        if not self._done:
            self._done = True
            self._dialog.close()
            self._on_cancel()

    def close(self) -> None:
        """Close the dialog after its answer was carried out."""
        self._done = True
        self._dialog.close()

    def fail(self, text: str) -> None:
        """Show why the answer could not be carried out. What was typed stays."""
        self._error.set_text(text)

    def _open(self) -> None:
        self._done = False
        self.fail("")
        self._dialog.open()

    def _draw_end(self, label: str, submit: Callable[[], Awaitable[None]]) -> None:
        self._warning = ui.label("").classes("note warn").props("role=status")
        self._warning.bind_visibility_from(self._warning, "text")
        self._error = ui.label("").classes("note bad").props("role=alert")
        self._error.bind_visibility_from(self._error, "text")
        with ui.element("div").classes("actions"):
            ui.button("Go back", on_click=self.cancel).props("outline")
            self._submit = ui.button(label, on_click=submit).props("unelevated")

    def _show(self, verdict: Verdict, label: str, insist: str) -> None:
        self._warning.set_text(verdict.warning)
        self._error.set_text(verdict.refusal)
        self._submit.set_text(insist if verdict.warning else label)


class RescheduleDialog(_Dialog):
    """Asks for a new time, a reason, and whether the customer is emailed."""

    def __init__(
        self,
        zone: ZoneInfo,
        *,
        check: Check,
        on_submit: Callable[[Reschedule], Awaitable[None]],
        on_cancel: Callable[[], Any],
    ) -> None:
        """`check` says what the calendar thinks of a time, for the booking that the dialog was opened with."""
        super().__init__("reschedule", on_cancel=on_cancel)
        self._zone, self._check, self._on_submit = zone, check, on_submit
        self._verdict = FINE
        with self._card:
            self._head = RawHtml(plain_json(Markup("")))
            self._time = WallTimeFields(zone, date_label="New date", time_label="New time", on_change=self._consider)
            self._reason = ui.input("Reason (optional)").props(f"outlined dense maxlength={REASON_LENGTH}")
            self._notify = ui.switch("Email the customer about the new time", value=True)
            self._draw_end("Reschedule", self._send)

    async def open(self, booking: BookingView, starts_at: datetime | None, wall: datetime | None = None) -> None:
        """Ask about this booking. `starts_at` (UTC) or `wall` is the new time to begin with."""
        self._head.show(
            Markup('<h2 id="reschedule-title">Reschedule {}</h2><p class="soft">From {}</p>').format(
                booking.customer_name, formatting.moment(booking.starts_at, self._zone)
            )
        )
        self._reason.set_value("")
        self._notify.set_value(bool(booking.email))
        self._notify.set_visibility(bool(booking.email))
        self._open()
        if wall is not None:
            self._time.set(wall)
        else:
            self._time.set_instant(starts_at or booking.starts_at)
        await self._consider()

    async def _consider(self) -> None:
        if self._done or self._time.wall() is None:
            return
        wall = self._time.wall()
        try:
            verdict = await self._check(self._time.instant())
        except FieldsWrong:
            verdict = FINE
        if wall != self._time.wall():
            return  # changed meanwhile, and considered again
        self._verdict = verdict
        self._show(self._verdict, "Reschedule", "Reschedule anyway")

    async def _send(self) -> None:
        try:
            starts_at = self._time.instant()
        except FieldsWrong:
            return
        insist = bool(self._verdict.warning)
        answer = Reschedule(starts_at, str(self._reason.value or ""), bool(self._notify.value), insist)
        await self._on_submit(answer)


class NewEntryDialog(_Dialog):
    """Asks for a booking by hand, or for time to block."""

    def __init__(
        self,
        zone: ZoneInfo,
        *,
        check: Callable[[UUID, datetime], Awaitable[Verdict]],
        search: Callable[[str], Awaitable[Sequence[CustomerMatch]]],
        on_book: Callable[[NewBooking], Awaitable[None]],
        on_block: Callable[[NewBlock], Awaitable[None]],
        on_cancel: Callable[[], Any],
    ) -> None:
        """`check` says what the calendar thinks of a time for a session type, `search` finds customers."""
        super().__init__("entry", on_cancel=on_cancel)
        self._zone, self._check, self._search = zone, check, search
        self._on_book, self._on_block = on_book, on_block
        self._types: dict[UUID, SessionTypeView] = {}
        self._verdict = FINE
        with self._card:
            self._draw()

    async def open(self, types: Sequence[SessionTypeView], start: datetime, end: datetime | None) -> None:
        """Ask about this wall-clock time. Without session types, time can only be blocked."""
        self._types = {one.id: one for one in types}
        options = {str(one.id): f"{one.title}, {one.minutes} minutes" for one in types}
        self._type.set_options(options, value=next(iter(options), None))
        self._type.set_visibility(len(options) > 1)
        self._kind.set_visibility(bool(options))
        self._kind.set_value("booking" if options else "block")
        for field in (self._name, self._email, self._phone, self._notes, self._note, self._until):
            field.set_value("")
            field.error = None
        self._weekly.set_value(False)
        self._skip.set_value(False)
        self._conflicts.set_visibility(False)
        self._skip.set_visibility(False)
        self._found.clear()
        self._open()
        self._begin.set(start)
        self._end.set(end or start + timedelta(minutes=60))
        await self._consider()

    def wrong(self, errors: dict[str, str]) -> None:
        """Show these errors at the fields, by field name; others below."""
        fields = {"name": self._name, "email": self._email, "phone": self._phone, "notes": self._notes}
        for field, text in errors.items():
            if field in fields:
                fields[field].error = text
            else:
                self.fail(text)

    def show_conflicts(self, texts: Sequence[str], *, weekly: bool) -> None:
        """Show what is in the way of a block. The weeks of a weekly block can be left out."""
        self._conflicts.clear()
        with self._conflicts:
            ui.label("Some of these times are taken:" if weekly else "This time is taken:")
            for text in texts[:_MAX_CONFLICTS]:
                ui.label(text)
            if len(texts) > _MAX_CONFLICTS:
                ui.label(f"and {len(texts) - _MAX_CONFLICTS} more")
        self._conflicts.set_visibility(True)
        self._skip.set_visibility(weekly)

    def _draw(self) -> None:
        RawHtml(plain_json(Markup('<h2 id="entry-title">New</h2>')))
        self._kind = ui.toggle({"booking": "Booking", "block": "Block time"}, value="booking", on_change=self._switch)
        self._kind.props("no-caps unelevated spread toggle-color=primary aria-label=Kind")
        self._type = ui.select({}, label="Session", on_change=self._consider).props("outlined dense")
        self._begin = WallTimeFields(self._zone, time_label="Start", on_change=self._consider)
        with ui.element("div") as self._booking:
            self._draw_booking()
        with ui.element("div") as self._block:
            self._draw_block()
        for part in (self._booking, self._block):
            part.classes("form")
        self._block.set_visibility(False)
        self._draw_end("Book", self._send)

    def _draw_booking(self) -> None:
        self._name = ui.input("Name", on_change=self._typed).props(f"outlined dense maxlength={_LENGTHS['name']}")
        self._name.props('debounce=250 autocomplete=off hint="Or find a customer by name or address"')
        self._found = ui.element("div").classes("calendar-found").props('aria-label="Customers found" role=group')
        with ui.element("div").classes("two"):
            self._email = ui.input("Email (optional)").props(f"outlined dense maxlength={_LENGTHS['email']}")
            self._phone = ui.input("Phone (optional)").props(f"outlined dense maxlength={_LENGTHS['phone']}")
        self._notes = ui.textarea("Notes").props(f"outlined dense autogrow maxlength={_LENGTHS['notes']}")
        self._notify = ui.switch("Email the customer a confirmation", value=True)

    def _draw_block(self) -> None:
        self._end = WallTimeFields(self._zone, date_label="End date", time_label="End", on_change=self._consider)
        self._note = ui.input("Private note (optional)", placeholder="Busy").props(
            f"outlined dense stack-label maxlength={_LENGTHS['note']}"
        )
        self._weekly = ui.switch("Repeat every week")
        self._until = ui.input("Last day (optional)").props("type=date outlined dense stack-label")
        self._until.bind_visibility_from(self._weekly, "value")
        self._conflicts = ui.element("div").classes("note warn").props("role=alert")
        self._skip = ui.switch("Leave these weeks out")
        for part in (self._conflicts, self._skip):
            part.set_visibility(False)

    async def _switch(self) -> None:
        block = self._kind.value == "block"
        self._block.set_visibility(block)
        self._booking.set_visibility(not block)
        self._type.set_visibility(not block and len(self._types) > 1)
        await self._consider()

    async def _typed(self) -> None:
        self._name.error = None
        words = str(self._name.value or "")
        if self._done or len(words.strip()) < 2:
            self._found.clear()
            return
        found = await self._search(words)
        if words != str(self._name.value or ""):
            return
        self._found.clear()
        with self._found:
            for customer in found:
                if (customer.name, customer.email) != (words, self._email.value):
                    text = f"{customer.name} · {customer.email}"
                    ui.button(text, on_click=lambda customer=customer: self._choose(customer)).props(
                        "outline align=left"
                    )

    def _choose(self, customer: CustomerMatch) -> None:
        self._email.set_value(customer.email)
        self._phone.set_value(customer.phone or "")
        self._name.set_value(customer.name)
        self._found.clear()

    async def _consider(self) -> None:
        if self._done or self._begin.wall() is None:
            return
        if self._kind.value == "block":
            self._conflicts.set_visibility(False)
            self._skip.set_value(False)
            self._show(FINE, "Block", "Block")
            return
        wall = self._begin.wall()
        try:
            verdict = await self._check(UUID(self._type.value), self._begin.instant())
        except FieldsWrong:
            verdict = FINE
        if wall != self._begin.wall():
            return
        self._verdict = verdict
        self._show(self._verdict, "Book", "Book anyway")

    async def _send(self) -> None:
        self.fail("")
        try:
            if self._kind.value == "block":
                await self._send_block()
            else:
                await self._send_booking()
        except FieldsWrong as refusal:
            self.wrong(dict(refusal.errors))

    async def _send_booking(self) -> None:
        if not str(self._name.value or "").strip():
            raise FieldsWrong({"name": "Please enter a name."})
        new = NewBooking(
            session_type_id=UUID(self._type.value), starts_at=self._begin.instant(), name=str(self._name.value),
            email=str(self._email.value or ""), phone=str(self._phone.value or ""),
            notes=str(self._notes.value or ""), notify=bool(self._notify.value), insist=bool(self._verdict.warning),
        )  # fmt: skip
        await self._on_book(new)

    async def _send_block(self) -> None:
        starts_at, ends_at = self._begin.instant(), self._end.instant()
        if ends_at <= starts_at:
            raise FieldsWrong({"endsAt": "The end must be after the start."})
        weekly = bool(self._weekly.value)
        until = date.fromisoformat(str(self._until.value)) if weekly and self._until.value else None
        note, skip = str(self._note.value or ""), bool(self._skip.value)
        await self._on_block(NewBlock(starts_at, ends_at, note, weekly, until, skip))
