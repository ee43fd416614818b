"""Public holidays: whose, whether they are days without hours, and the ones that are worked on."""

from collections.abc import Callable
from datetime import date

from nicegui import ui

from expert_booking.domain.calendar_plan import HolidaySetting
from expert_booking.domain.hour_texts import hours_text
from expert_booking.web.availability_draft import AvailabilityDraft
from expert_booking.web.components.heading import heading
from expert_booking.web.components.holiday_list import HolidayList, HolidayRow


class HolidaySection:
    """Country, region, and a switch for each holiday of the next year."""

    def __init__(self, draft: AvailabilityDraft, on_change: Callable[[], None]) -> None:
        self._draft = draft
        self._on_change = on_change
        with ui.element("section").classes("panel").props('aria-labelledby="holidays"'):
            heading("Public holidays", "holidays")
            self._list = HolidayList(on_place=self._choose, on_closed=self._close, on_work=self._work)

    def show(self) -> None:
        """Show the draft."""
        hours = self._draft.plan.hours()
        rows = []
        for day, name in self._draft.holidays():
            windows = hours.on(day).windows
            rows.append(HolidayRow(day, name, hours_text(windows or self._draft.weekly_windows(day)), bool(windows)))
        self._list.show(self._draft.plan.holidays, rows)

    def _choose(self, country: str | None, region: str | None) -> None:
        closed = self._draft.plan.holidays.closed and country is not None
        self._change(HolidaySetting(country, region, closed))

    def _close(self, closed: bool) -> None:
        country, region, _ = self._draft.plan.holidays
        self._change(HolidaySetting(country, region, closed and country is not None))

    def _change(self, setting: HolidaySetting) -> None:
        self._draft.set_holidays(setting)
        self.show()
        self._on_change()

    def _work(self, day: date, works: bool) -> None:
        self._draft.work_on(day, works)
        self.show()
        self._on_change()
