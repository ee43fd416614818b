"""What visitors will see with a draft of a calendar's rules, and why a time can or cannot be booked."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from markupsafe import Markup
from nicegui import ui

from expert_booking.domain import formatting
from expert_booking.domain.calendar import DAY, Calendar, local_instant
from expert_booking.domain.errors import SessionTypeNotFound
from expert_booking.domain.unavailability import Reason
from expert_booking.schemas import AffectedBooking, BlockerView, Explanation
from expert_booking.services.calendar_rules import PREVIEW
from expert_booking.web.availability_draft import AvailabilityDraft
from expert_booking.web.components.date_field import date_field, date_of, minutes_of, time_field
from expert_booking.web.components.heading import heading
from expert_booking.web.components.hours_preview import HoursPreview, Time
from expert_booking.web.components.raw_html import RawHtml, plain_json

# Minutes between times that are not offered.
_COARSE: Final = 30
_USUAL_DAY: Final = (9 * 60, 17 * 60)
_ANSWER: Final = Markup('<p class="note {kind}" data-explanation="{reason}"><strong>{time}</strong>{text}</p>')
_ADVICE: Final = {
    Reason.MIN_NOTICE: "Change the notice of the session type to allow it.",
    Reason.BEYOND_HORIZON: "Change the horizon of the session type to allow it.",
    Reason.INACTIVE: "This session type is switched off.",
}


class PreviewSection:
    """The next two weeks of one session type, and answers about single times."""

    def __init__(self, draft: AvailabilityDraft) -> None:
        self._draft = draft
        self._asked: list[datetime] = []
        self._showing = False
        with ui.element("section").classes("panel preview").props('aria-labelledby="preview"'):
            heading("Preview", "preview")
            self._zone = ui.label().classes("soft small")
            self._session = ui.select({}, label="Session", on_change=lambda _: self._choose()).props(
                "outlined dense stack-label"
            )
            self._times = HoursPreview(self._ask)
            self._empty = ui.label("Add a session type to see what visitors can book.").classes("soft")
            with ui.element("div").classes("explain-box"):
                with ui.element("form").classes("explain").props('aria-label="Why can a time be booked?"') as form:
                    self._day = date_field("Date")
                    self._at = time_field("Time")
                    ui.button("Explain").props("type=submit outline")
                form.on("submit.prevent", lambda _: self._ask_typed(), args=[])
                with ui.element("div").props("aria-live=polite"):
                    self._answer = RawHtml(plain_json(Markup(""))).classes("explanation")

    def show(self) -> None:
        """Show the draft, and answer the last question again."""
        names = {str(offer.session_type_id): offer.title for offer in self._draft.editor.offers}
        if self._session.options != names:
            chosen = self._session.value if self._session.value in names else next(iter(names), None)
            self._showing = True
            self._session.set_options(names, value=chosen)
            self._showing = False
        self._session.visible = len(names) > 1
        self._times.visible, self._empty.visible = bool(names), not names
        if self._session.value is not None:
            self._show(self._session.value)

    def _choose(self) -> None:
        if not self._showing:
            self.show()

    def _show(self, chosen: str) -> None:
        editor = self._draft.editor
        offer = editor.offer(UUID(chosen), self._draft.plan)
        calendar, zone = offer.calendar, offer.calendar.zone
        today = editor.read_at.astimezone(zone).date()
        until = today + PREVIEW - DAY
        found = [(slot.starts_at, slot.state.value) for slot in editor.slots(offer, today, until)]
        self._zone.set_text(
            f"The next two weeks as visitors see them. Times in {formatting.zone_at(zone, editor.read_at)}."
        )
        self._times.show(_days(calendar, today, until, found), formatting.zone_name(zone))
        self._explain()

    # --- questions ----------------------------------------------------------------------------------------------

    def _ask(self, at: datetime) -> None:
        local = at.astimezone(self._time_zone())
        self._day.set_value(local.date().isoformat())
        self._at.set_value(f"{local:%H:%M}")
        self._asked = [at]
        self._explain()

    def _ask_typed(self) -> None:
        day, minutes = date_of(self._day), minutes_of(self._at)
        self._day.error = "Please choose a date." if day is None else None
        self._at.error = "Please enter a time." if minutes is None else None
        if day is None or minutes is None:
            return
        zone = self._time_zone()
        # The clock may show this time twice, or not at all.
        self._asked = sorted({local_instant(zone, day, minutes), local_instant(zone, day, minutes, latest=True)})
        self._explain()

    def _time_zone(self) -> ZoneInfo:
        return ZoneInfo(self._draft.plan.time_zone)

    def _explain(self) -> None:
        self._times.point_out(self._asked[0] if self._asked else None)
        if not self._asked or not self._session.value:
            return
        try:
            offer = self._draft.editor.offer(UUID(self._session.value), self._draft.plan)
        except SessionTypeNotFound:
            return
        zone = self._time_zone()
        answers = [self._draft.editor.explain(offer, at) for at in self._asked]
        self._answer.show(Markup("").join(_answer(one, zone, self._draft.editor.bookings) for one in answers))


def _answer(answer: Explanation, zone: ZoneInfo, bookings: Sequence[AffectedBooking]) -> Markup:
    sentences = [_sentence(blocker, zone, bookings) for blocker in answer.blockers] or [answer.message]
    return _ANSWER.format(
        kind="good" if answer.offered else "warn",
        reason=answer.reason or "offered",
        time=f"{formatting.short_day(answer.at, zone)}, {formatting.clock_time(answer.at, zone)}",
        text=Markup("<br>").join(sentences),
    )


def _sentence(blocker: BlockerView, zone: ZoneInfo, bookings: Sequence[AffectedBooking]) -> str:
    figures = blocker.figures
    if blocker.reason is Reason.BUSY:
        since, until = (datetime.fromisoformat(figures[name]) for name in ("busyFrom", "busyUntil"))
        booking = next((b for b in bookings if since <= b.starts_at and b.ends_at <= until), None)
        span = formatting.time_span(since, until, zone)
        if booking is None:
            return f"You are busy {span}."
        return (
            f"Booked by {booking.name or formatting.DELETED_CUSTOMER}: {booking.session_title}. With buffers, {span}."
        )
    if blocker.reason is Reason.OUTSIDE_HOURS:
        hours = ", ".join(figures["hours"])
        return f"This is outside your hours. Hours on this day: {hours}." if hours else "You have no hours on this day."
    if blocker.reason is Reason.OFF_GRID:
        near = (formatting.clock_time(datetime.fromisoformat(figures[name]), zone) for name in ("before", "after"))
        return f"{blocker.message} The nearest starts are {' and '.join(near)}."
    note = f" ({blocker.note})" if blocker.note else ""
    return " ".join(filter(None, (blocker.message + note, _ADVICE.get(blocker.reason, ""))))


def _days(calendar: Calendar, first: date, last: date, found: Sequence[tuple[datetime, str]]) -> dict[date, list[Time]]:
    """The times of each day: those that visitors see, and between them some that are not offered."""
    zone = calendar.zone
    step = max(_COARSE, calendar.length.step_minutes)
    days: dict[date, dict[datetime, str]] = {first + n * DAY: {} for n in range((last - first).days + 1)}
    for day, times in days.items():
        for minutes in range(*_bounds(calendar, day), step):
            times[local_instant(zone, day, minutes)] = "no"
    for starts_at, state in found:
        days[starts_at.astimezone(zone).date()][starts_at] = state
    return {
        day: [(at, formatting.clock_time(at, zone), state) for at, state in sorted(times.items())]
        for day, times in days.items()
    }


def _bounds(calendar: Calendar, day: date) -> tuple[int, int]:
    """The first opening and the last closing on a day, in minutes since midnight."""
    windows = calendar.hours.on(day).windows
    if not windows:
        return _USUAL_DAY
    return windows[0].opens // 60 * 60, min(1440, max(window.closes for window in windows))
