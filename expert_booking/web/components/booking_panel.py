"""Everything about one booking of a host's calendar, in a panel at the side, with its actions."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final
from zoneinfo import ZoneInfo

from markupsafe import Markup
from nicegui import ui

from expert_booking.domain import formatting, phone_numbers
from expert_booking.domain.lifecycle import RESCHEDULABLE, Actor, Status
from expert_booking.schemas import REASON_LENGTH, BookingView, ChangeView
from expert_booking.web.components.booking_card import answer_rows, badge, location_row, price_row
from expert_booking.web.components.mail_state import mail_state_for_host
from expert_booking.web.components.raw_html import RawHtml, plain_json

# The button of each transition, and the question that confirms it, which also asks for a reason.
_TRANSITIONS: Final = {
    Status.CONFIRMED: ("Confirm", ""),
    Status.COMPLETED: ("Completed", ""),
    Status.NO_SHOW: ("No-show", "Yes, they did not come"),
    Status.DECLINED: ("Decline", "Yes, decline request"),
    Status.CANCELLED: ("Cancel booking", "Yes, cancel booking"),
}
_ROW: Final = Markup("<dt>{}</dt><dd>{}</dd>")
_TIME: Final = Markup('{day}, <span class="nowrap">{time}</span><small>{zone}</small>')
_CHANGE: Final = Markup("<li>{what}<small>{who} · {when}{reason}{rules}</small></li>")
# Who makes changes, as the history names them.
ACTORS: Final = {
    Actor.CUSTOMER: "Customer", Actor.EXPERT: "Expert", Actor.ADMIN: "Admin", Actor.SYSTEM: "Automatically",
    Actor.DATABASE: "In the database",
}  # fmt: skip

Act = Callable[[], Awaitable[None]]


class BookingPanel:
    """A panel at the right edge, as wide as the window on phones. Escape closes it."""

    def __init__(
        self,
        zone: ZoneInfo,
        viewer_zone: Callable[[], ZoneInfo],
        *,
        on_change: Callable[[Status, str], Awaitable[None]],
        on_reschedule: Act,
        on_copy: Act,
        on_resend: Act,
        on_close: Callable[[str], Any],
    ) -> None:
        """Times are shown in `zone`, and in the viewer's and the customer's if they differ.

        `on_change` gets a status and a reason, `on_close` the id of the booking that was shown.
        """
        self._zone, self._viewer_zone = zone, viewer_zone
        self._on_change, self._on_reschedule = on_change, on_reschedule
        self._on_copy, self._on_resend = on_copy, on_resend
        self.booking: BookingView | None = None
        self._shown: object = None
        self._asking = False
        with ui.dialog().props('position=right full-height no-refocus aria-label="Booking"') as self._dialog:
            self._card = ui.card().classes("calendar-panel")
        self._dialog.on("hide", lambda _: self._hidden(on_close))

    def show(
        self, booking: BookingView, changes: Sequence[ChangeView], transitions: Sequence[Status], *, may_resend: bool
    ) -> None:
        """Open the panel with this booking, or update it. While a question is open, only what it depends on matters."""
        before, self.booking = self.booking, booking
        shown = booking, tuple(changes), tuple(transitions), may_resend
        if shown != self._shown and not (self._asking and before and before.version == booking.version):
            self._shown, self._asking = shown, False
            self._card.clear()
            with self._card:
                self._draw(booking, changes, transitions, may_resend=may_resend)
        self._dialog.open()

    def fail(self, text: str) -> None:
        """Show why an action was refused."""
        self._alert.set_text(text)

    def say(self, text: str) -> None:
        """Confirm an action."""
        self._said.set_text(text)

    def close(self) -> None:
        """Close the panel, for another dialog or because the booking is gone."""
        self.booking = None
        self._dialog.close()

    def _hidden(self, on_close: Callable[[str], Any]) -> None:
        if self.booking is not None:
            on_close(str(self.booking.id))
        self.booking = self._shown = None
        self._asking = False

    def _draw(
        self, booking: BookingView, changes: Sequence[ChangeView], transitions: Sequence[Status], *, may_resend: bool
    ) -> None:
        with ui.element("div").classes("head"):
            _html(Markup("<h2>{}</h2>{}").format(booking.customer_name, badge(booking)))
            ui.button(icon="close", on_click=self._dialog.close).props('flat round dense aria-label="Close"')
        self._alert = ui.label("").classes("note bad").props("role=alert")
        self._alert.bind_visibility_from(self._alert, "text")
        self._said = ui.label("").classes("small soft").props("role=status")
        _html(self._details(booking))
        _html(mail_state_for_host(booking))
        self._buttons = ui.element("div").classes("actions")
        with self._buttons:
            self._draw_actions(booking, transitions)
        self._question = ui.element("div").classes("form")
        self._question.set_visibility(False)
        with ui.element("div").classes("actions"):
            if booking.email:
                _button("Copy link for the customer", self._on_copy)
            if may_resend:
                _button("Resend the email", self._on_resend)
            _html(Markup('<a class="button quiet" href="/booking/{}">Open booking page</a>').format(booking.id))
        _html(Markup('<h3>History</h3><ol class="calendar-history">{}</ol>').format(self._history(changes)))

    def _draw_actions(self, booking: BookingView, transitions: Sequence[Status]) -> None:
        for to in transitions:
            # Declining and cancelling a request have the same effect.
            if to not in _TRANSITIONS or (to is Status.CANCELLED and Status.DECLINED in transitions):
                continue
            label, yes = _TRANSITIONS[to]
            button = _button(label, partial(self._act, to), main=to in (Status.CONFIRMED, Status.COMPLETED))
            button.props(f"data-transition={to.value}")
            if yes:
                button.props("color=negative")
        if booking.status in RESCHEDULABLE and not booking.awaits_verification:
            _button("Reschedule", self._on_reschedule)

    async def _act(self, to: Status) -> None:
        label, yes = _TRANSITIONS[to]
        if not yes:
            await self._on_change(to, "")
            return
        self._asking = True
        self._buttons.set_visibility(False)
        self._question.clear()
        self._question.set_visibility(True)
        with self._question:
            reason = ui.textarea(f"{label}: reason (optional)").props(f"outlined autogrow maxlength={REASON_LENGTH}")
            reason.props("autofocus" if to is Status.NO_SHOW else 'autofocus hint="The customer will see this."')
            with ui.element("div").classes("actions"):
                ui.button(yes, on_click=lambda: self._on_change(to, str(reason.value or ""))).props(
                    "unelevated color=negative"
                )
                _button("Go back", self._go_back)

    async def _go_back(self) -> None:
        self._asking = False
        self._question.set_visibility(False)
        self._buttons.set_visibility(True)

    def _details(self, booking: BookingView) -> Markup:
        rows = [("Time", self._time(booking, self._zone))]
        zones = {self._zone.key}
        customer_zone = ZoneInfo(booking.time_zone) if booking.time_zone else None
        for name, zone in (("Your time", self._viewer_zone()), ("Customer's time", customer_zone)):
            if zone is not None and zone.key not in zones:
                zones.add(zone.key)
                rows.append((name, self._time(booking, zone)))
        rows.append(("Session", Markup.escape(booking.session_title)))
        if booking.answer_by is not None and booking.status is Status.PENDING:
            rows.append(("Answer by", Markup.escape(formatting.moment(booking.answer_by, self._zone))))
        agreed = location_row(booking, by_host=True) + price_row(booking)
        return Markup('<dl class="details">{}{}{}{}</dl>').format(
            _rows(rows), agreed, _contact(booking), answer_rows(booking)
        )

    def _time(self, booking: BookingView, zone: ZoneInfo) -> Markup:
        return _TIME.format(
            day=formatting.long_day(booking.starts_at, zone),
            time=formatting.time_span(booking.starts_at, booking.ends_at, zone),
            zone=formatting.zone_at(zone, booking.starts_at),
        )

    def _history(self, changes: Sequence[ChangeView]) -> Markup:
        return Markup("").join(
            _CHANGE.format(
                what=change_text(change, self._zone),
                who=ACTORS[change.actor],
                when=_moment(change.at, self._zone),
                reason=Markup(" · “{}”").format(change.reason) if change.reason else "",
                rules=" · against the rules of the calendar" if change.override else "",
            )
            for change in reversed(changes)
        )


def change_text(change: ChangeView, zone: ZoneInfo) -> str:
    """What a change did: `Rescheduled to Tue 1 Dec, 10:00`, `Confirmed`."""
    if change.from_status is None:
        return "Booked"
    if change.to_starts_at is not None and change.from_starts_at not in (None, change.to_starts_at):
        return f"Rescheduled to {_moment(change.to_starts_at, zone)}"
    if change.to_status is None:
        return "Deleted"
    return "Address confirmed" if change.to_status is change.from_status else formatting.STATUS[change.to_status]


def _contact(booking: BookingView) -> Markup:
    rows = []
    if booking.email:
        rows.append(("Email", Markup('<a href="mailto:{0}">{0}</a>').format(booking.email)))
    if booking.phone:
        number = phone_numbers.international(booking.phone)
        rows.append(("Phone", Markup('<a href="tel:{}">{}</a>').format(booking.phone, number)))
    if booking.notes:
        rows.append(("Notes", Markup.escape(booking.notes)))
    return _rows(rows)


def _rows(rows: Sequence[tuple[str, Markup]]) -> Markup:
    return Markup("").join(_ROW.format(*row) for row in rows)


def _moment(instant: datetime, zone: ZoneInfo) -> str:
    return f"{formatting.short_day(instant, zone)}, {formatting.clock_time(instant, zone)}"


def _button(label: str, act: Act, *, main: bool = False) -> ui.button:
    return ui.button(label, on_click=act).props("unelevated" if main else "outline")


def _html(content: Markup) -> RawHtml:
    return RawHtml(plain_json(content))
