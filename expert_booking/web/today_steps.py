"""The three steps to the first booking: profile, hours, first session type."""

from collections.abc import Awaitable, Callable
from typing import Final

from markupsafe import Markup
from nicegui import ui
from nicegui.element import Element
from pydantic import ValidationError

from expert_booking.schemas import NewSessionType, SetUp, WeeklyWindow, field_errors
from expert_booking.web import layout
from expert_booking.web.today_html import Url

_HEAD: Final = Markup(
    """<h2>Three steps to your first booking</h2>
<p class="soft">Visitors cannot book you yet. {done} of 3 steps are done.</p>
<progress value="{done}" max="3" aria-label="Steps done"></progress>"""
)
_STEP: Final = Markup('<h3>{number}. {title}{done}</h3><p class="small soft">{text}</p>')
_DONE: Final = Markup(' <span aria-hidden="true">✓</span><span class="sr-only"> (done)</span>')
_LINK: Final = Markup('<a class="small" href="{}">{}</a>')
_READY: Final = Markup(
    '<p class="note">You can be booked now. <a href="/expert/{}">See your page as visitors do</a>.</p>'
)
WORKDAYS: Final = range(1, 6)

SetHours = Callable[[list[WeeklyWindow]], Awaitable[None]]
AddType = Callable[[NewSessionType], Awaitable[None]]


class FirstSteps(Element):
    """A checklist, shown until visitors can book. Hours and the session type can be set here."""

    def __init__(self, url: Url, slug: str, zone: str, *, on_hours: SetHours, on_type: AddType) -> None:
        super().__init__("div")
        self._was_shown = False
        self._ready = _READY.format(slug)
        with self:
            self._panel = Element("section").classes("panel today-steps")
            self._note = layout.html(Markup("")).props("role=status")
        with self._panel:
            self._head = layout.html(Markup(""))
            with Element("ol"):
                self._profile = _Step(1, "Your profile", "Say who you are and how you help.")
                self._hours = _Step(2, "Your hours", f"When can people book you? Monday to Friday, in {zone}.")
                self._type = _Step(3, "Your first session type", "What do you offer, and how long does it take?")
        with self._profile.form:
            layout.html(_LINK.format(url("profile"), "Edit your profile"))
        self._draw_hours(on_hours, url("availability"))
        self._draw_type(on_type, url("sessions"))

    def show(self, steps: SetUp) -> None:
        """Show which steps are done, or that visitors can book now if this has just become so."""
        self._panel.set_visibility(not steps.is_bookable)
        is_news = steps.is_bookable and self._was_shown
        self._note.show(self._ready if is_news else Markup(""))
        self._was_shown = self._was_shown or not steps.is_bookable
        self.set_visibility(self._was_shown)
        self._head.show(_HEAD.format(done=steps.done))
        self._profile.set_done(steps.profile)
        self._hours.set_done(steps.hours)
        self._type.set_done(steps.session_type)

    def _draw_hours(self, on_hours: SetHours, url: str) -> None:
        async def save() -> None:
            opens.error = closes.error = None
            try:
                windows = [WeeklyWindow(weekday=day, opens=opens.value, closes=closes.value) for day in WORKDAYS]
            except ValidationError as error:
                _show_errors(error, {"opens": opens, "closes": closes})
                return
            if windows[0].window.closes > 1440:
                closes.error = "Please choose a time after the start."
                return
            await on_hours(windows)

        with self._hours.form:
            with Element("div").classes("today-fields"):
                opens = ui.input("From", value="09:00").props("type=time outlined dense")
                closes = ui.input("To", value="17:00").props("type=time outlined dense")
            ui.button("Use these hours", on_click=save).props("no-caps unelevated")
            layout.html(_LINK.format(url, "Set hours day by day"))

    def _draw_type(self, on_type: AddType, url: str) -> None:
        async def save() -> None:
            title.error = minutes.error = None
            try:
                # Sessions follow each other without gaps.
                new = NewSessionType.model_validate(
                    {"title": title.value, "minutes": minutes.value, "step_minutes": minutes.value}
                )
            except ValidationError as error:
                _show_errors(error, {"title": title, "minutes": minutes})
                return
            await on_type(new)

        with self._type.form:
            with Element("div").classes("today-fields"):
                title = ui.input("Title").props("outlined dense")
                minutes = ui.number("Minutes", value=60, min=5, max=480, step=5, precision=0).props("outlined dense")
            ui.button("Add session type", on_click=save).props("no-caps unelevated")
            layout.html(_LINK.format(url, "More options"))


class _Step(Element, default_classes="today-step"):
    """One step. Its form is hidden once it is done."""

    def __init__(self, number: int, title: str, text: str) -> None:
        super().__init__("li")
        self._facts = {"number": number, "title": title, "text": text}
        with self:
            self._head = layout.html(Markup(""))
            self.form = Element("div").classes("today-form")

    def set_done(self, done: bool) -> None:
        self._head.show(_STEP.format(done=_DONE if done else "", **self._facts))
        self.classes(add="done" if done else "", remove="" if done else "done")
        self.form.set_visibility(not done)


def _show_errors(error: ValidationError, fields: dict[str, ui.input | ui.number]) -> None:
    for wrong in field_errors(error):
        name = "minutes" if wrong.field == "stepMinutes" else wrong.field
        if name in fields:
            fields[name].error = wrong.message
