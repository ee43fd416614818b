"""Single dates of a calendar: other hours, extra hours, and days off."""

from collections.abc import Callable, Sequence
from datetime import date, timedelta
from typing import Final

from nicegui import ui

from expert_booking.domain.calendar_plan import range_text
from expert_booking.domain.hour_texts import hours_text, parse_hours
from expert_booking.domain.hours import OverrideKind
from expert_booking.web.availability_draft import AvailabilityDraft, Entry
from expert_booking.web.components.date_field import date_field, date_of
from expert_booking.web.components.heading import heading
from expert_booking.web.components.month_days import MAX_SELECTED, MonthDays

CLOSED: Final = "closed"
USUAL: Final = "usual"
_CHOICES: Final = {
    CLOSED: "Closed",
    OverrideKind.HOURS.value: "Other hours",
    OverrideKind.EXTRA.value: "Extra hours",
    USUAL: "Usual hours",
}
_WEEKDAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_DAY: Final = timedelta(days=1)
_MAX_LISTED: Final = 60


class DateSection:
    """Selects dates in a month calendar or by two fields, and says what differs on them."""

    def __init__(self, draft: AvailabilityDraft, on_change: Callable[[], None]) -> None:
        self._draft = draft
        self._on_change = on_change
        self._days: Sequence[date] = ()
        with ui.element("section").classes("panel").props('aria-labelledby="dates"'):
            heading("Dates and days off", "dates")
            ui.label("Select a date, or drag over several. Hold Ctrl to add more.").classes("soft small")
            self._months = MonthDays(draft.editor.today, self._select)
            with ui.element("div").classes("date-editor"):
                self._draw_editor()
            self._list = ui.element("ul").classes("date-list").props('aria-label="Dates with other hours"')

    def show(self) -> None:
        """Show the draft."""
        self._months.show(self._draft.special_days())
        self._list.clear()
        entries = self._draft.entries()
        with self._list:
            for entry in entries[:_MAX_LISTED]:
                self._draw_entry(entry)
            if len(entries) > _MAX_LISTED:
                with ui.element("li"):
                    ui.label(f"and {len(entries) - _MAX_LISTED} later ones, marked in the calendar").classes("soft")
        self._list.visible = bool(entries)

    def _draw_editor(self) -> None:
        with ui.element("div").classes("date-range"):
            self._first = date_field("From", self._select_range)
            self._last = date_field("Until", self._select_range)
            self._weekdays = ui.select(
                dict(enumerate(_WEEKDAYS)), label="Only on", multiple=True, on_change=lambda _: self._say()
            ).props("outlined dense stack-label clearable")
        self._choice = ui.radio(_CHOICES, value=CLOSED, on_change=lambda _: self._show_fields()).props(
            'inline aria-label="On these dates"'
        )
        self._hours = ui.input("Hours", placeholder="09:00–12:30, 14:00–18:00").props(
            "outlined dense stack-label maxlength=400"
        )
        self._hours.on("keydown.enter", lambda _: self._apply(), args=[])
        self._reason = ui.input("Reason (only you see it)").props("outlined dense stack-label maxlength=200")
        self._reason.on("keydown.enter", lambda _: self._apply(), args=[])
        self._button = ui.button("Apply", on_click=self._apply)
        self._show_fields()
        self._say()

    def _draw_entry(self, entry: Entry) -> None:
        name = range_text(entry.first, entry.last)
        with ui.element("li"):
            ui.label(name).classes("entry-dates")
            ui.label(entry.text).classes("soft")
            edit = ui.button(icon="edit", on_click=lambda: self._edit(entry)).props("flat round dense")
            edit.props["aria-label"] = f"Edit {name}"
            remove = ui.button(icon="delete", on_click=lambda: self._remove(entry)).props("flat round dense")
            remove.props["aria-label"] = f"Remove {name}"

    # --- selecting ----------------------------------------------------------------------------------------------

    def _select(self, days: Sequence[date]) -> None:
        self._days = days
        self._first.set_value(days[0].isoformat() if days else "")
        self._last.set_value(days[-1].isoformat() if days else "")
        self._last.error = None
        override = self._draft.plan.overrides.get(days[0]) if len(days) == 1 else None
        if override is not None and override.kind is not OverrideKind.NONE:
            self._choice.set_value(override.kind.value)
            self._hours.set_value(hours_text(override.windows))
        self._say()

    def _select_range(self) -> None:
        first, last = date_of(self._first), date_of(self._last)
        if first and not last:
            last = first
            self._last.set_value(first.isoformat())
        if not first or not last:
            return
        error = (
            "The last day must not be before the first." if last < first
            else "Please choose days from today on." if first < self._draft.editor.today
            else f"Please choose at most {MAX_SELECTED} days." if (last - first).days >= MAX_SELECTED
            else None
        )  # fmt: skip
        self._last.error = error
        if error is None:
            self._days = [first + n * _DAY for n in range((last - first).days + 1)]
            self._months.select(self._days)
            self._say()

    def _edit(self, entry: Entry) -> None:
        first = max(entry.first, self._draft.editor.today)
        days = [first + n * _DAY for n in range((entry.last - first).days + 1)]
        self._months.select(days)
        self._select(days)
        off = next(
            (o for o in self._draft.plan.days_off if (o.first_day, o.last_day) == (entry.first, entry.last)), None
        )
        override = self._draft.plan.overrides.get(first)
        if override is not None and override.windows:
            self._choice.set_value(override.kind.value)
            self._hours.set_value(hours_text(override.windows))
        else:
            self._choice.set_value(CLOSED)
            self._reason.set_value(off.reason if off else "")

    def _chosen_days(self) -> list[date]:
        wanted = self._weekdays.value or list(range(7))
        return [day for day in self._days if day.weekday() in wanted]

    def _say(self) -> None:
        number = len(self._chosen_days())
        self._button.set_text(f"Apply to {number} days" if number > 1 else "Apply to 1 day" if number else "Apply")
        self._button.set_enabled(number > 0)

    def _show_fields(self) -> None:
        self._hours.visible = self._choice.value in (OverrideKind.HOURS.value, OverrideKind.EXTRA.value)
        self._reason.visible = self._choice.value == CLOSED
        self._hours.error = None

    # --- changing -----------------------------------------------------------------------------------------------

    def _apply(self) -> None:
        days, choice = self._chosen_days(), self._choice.value
        if not days:
            return
        if choice == CLOSED:
            self._draft.close_dates(days, " ".join(self._reason.value.split())[:200])
        elif choice == USUAL:
            self._draft.clear_dates(days)
        else:
            try:
                windows = parse_hours(self._hours.value)
            except ValueError as error:
                self._hours.error = str(error)
                return
            if not windows:
                self._hours.error = "Please enter hours, or choose Closed."
                return
            self._draft.set_dates(days, OverrideKind(choice), windows)
        self._hours.error = None
        self._changed()

    def _remove(self, entry: Entry) -> None:
        self._draft.clear_dates([entry.first + n * _DAY for n in range((entry.last - entry.first).days + 1)])
        self._changed()

    def _changed(self) -> None:
        self.show()
        self._on_change()
