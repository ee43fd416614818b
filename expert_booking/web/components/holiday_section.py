"""Public holidays: whose, whether they are days without hours, and the ones that are worked on."""

from collections.abc import Callable
from datetime import date

from markupsafe import Markup
from nicegui import ui

from expert_booking.domain.calendar_plan import HolidaySetting, range_text
from expert_booking.domain.holidays import country_names, region_names
from expert_booking.domain.hour_texts import hours_text
from expert_booking.web import layout
from expert_booking.web.availability_draft import AvailabilityDraft


class HolidaySection:
    """Country, region, and a switch for each holiday of the next year."""

    def __init__(self, draft: AvailabilityDraft, on_change: Callable[[], None]) -> None:
        self._draft = draft
        self._on_change = on_change
        self._showing = False
        with ui.element("section").classes("panel").props('aria-labelledby="holidays"'):
            layout.html(Markup("Public holidays"), tag="h2").props('id="holidays"')
            with ui.element("div").classes("holiday-place"):
                self._country = ui.select(
                    country_names(),
                    label="Country",
                    with_input=True,
                    clearable=True,
                    on_change=lambda _: self._change(),
                ).props("outlined dense stack-label")
                self._region = ui.select({}, label="Region", clearable=True, on_change=lambda _: self._change()).props(
                    "outlined dense stack-label"
                )
            self._closed = ui.switch("Take public holidays off", on_change=lambda _: self._change())
            self._list = ui.element("ul").classes("date-list").props('aria-label="Public holidays of the next year"')

    def show(self) -> None:
        """Show the draft."""
        country, region, closed = self._draft.plan.holidays
        self._showing = True
        self._country.set_value(country)
        regions = region_names(country) if country else {}
        self._region.set_options(regions, value=region)
        self._region.visible = bool(regions)
        self._closed.set_value(closed)
        self._closed.set_enabled(country is not None)
        self._showing = False
        self._list.clear()
        with self._list:
            for day, name in self._draft.holidays():
                self._draw(day, name)

    def _draw(self, day: date, name: str) -> None:
        hours = self._draft.plan.hours().on(day).windows or self._draft.weekly_windows(day)
        with ui.element("li"):
            ui.label(range_text(day, day)).classes("entry-dates")
            ui.label(name).classes("soft")
            if not hours:
                ui.label(f"No hours on {day:%A}s").classes("soft small")
                return
            switch = ui.switch("I work on this one", value=self._draft.works_on(day))
            switch.on_value_change(lambda event: self._work(day, event.value))
            switch.props["aria-label"] = f"I work on {name}, {range_text(day, day)}, {hours_text(hours)}"

    def _change(self) -> None:
        if self._showing:
            return
        country = self._country.value
        region = self._region.value if country == self._draft.plan.holidays.country else None
        setting = HolidaySetting(country, region if country else None, bool(country) and self._closed.value)
        if setting != self._draft.plan.holidays:
            self._draft.set_holidays(setting)
            self._changed()

    def _work(self, day: date, works: bool) -> None:
        self._draft.work_on(day, works)
        self._on_change()

    def _changed(self) -> None:
        self.show()
        self._on_change()
