"""The dialog that adds a booking by hand or blocks time."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from markupsafe import Markup
from nicegui import ui

from expert_booking.domain.errors import FieldsWrong
from expert_booking.domain.rule_overrides import RuleOverride
from expert_booking.schemas import CustomerMatch, SessionTypeView
from expert_booking.web.components.entry_dialog import FINE, EntryDialog, Verdict
from expert_booking.web.components.raw_html import RawHtml, plain_json
from expert_booking.web.components.wall_time_fields import WallTimeFields

_MAX_CONFLICTS: Final = 5
_LENGTHS: Final = {"name": 200, "email": 254, "phone": 40, "notes": 2000, "note": 500}


@dataclass(frozen=True, slots=True)
class NewBooking:
    """A booking by hand, as typed. Only the name is needed. `override` are the rules that the host sets aside."""

    session_type_id: UUID
    starts_at: datetime
    name: str
    email: str
    phone: str
    notes: str
    notify: bool
    override: tuple[RuleOverride, ...]


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


class NewEntryDialog(EntryDialog):
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
        self._start: datetime | None = None  # the wall-clock start that the end belongs to
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
        self._start = start
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
        self._begin = WallTimeFields(self._zone, time_label="Start", on_change=self._move)
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

    async def _move(self) -> None:
        """Move the end with the start, so that a block keeps its length."""
        start, end = self._begin.wall(), self._end.wall()
        if start is not None:
            if end is not None and self._start is not None:
                self._end.set(end + (start - self._start))
            self._start = start
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
        kind = UUID(self._type.value)
        if await self._look(lambda: self._check(kind, self._begin.instant()), self._begin.wall):
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
            notes=str(self._notes.value or ""), notify=bool(self._notify.value), override=self._verdict.rules,
        )  # fmt: skip
        await self._on_book(new)
        await self._after_failure(self._consider)

    async def _send_block(self) -> None:
        starts_at, ends_at = self._begin.instant(), self._end.instant()
        if ends_at <= starts_at:
            raise FieldsWrong({"endsAt": "The end must be after the start."})
        weekly = bool(self._weekly.value)
        until = date.fromisoformat(str(self._until.value)) if weekly and self._until.value else None
        note, skip = str(self._note.value or ""), bool(self._skip.value)
        await self._on_block(NewBlock(starts_at, ends_at, note, weekly, until, skip))
