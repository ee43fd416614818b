"""The weekly hours of a calendar: usual hours and seasons."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any

from nicegui import ui

from expert_booking.domain.calendar_plan import range_text
from expert_booking.domain.hours import Window
from expert_booking.web.availability_draft import USUAL, AvailabilityDraft
from expert_booking.web.components.date_field import date_field, date_of
from expert_booking.web.components.heading import heading
from expert_booking.web.components.week_hours import WeekHours


class WeekSection:
    """Chooses usual hours or a season, and edits its hours and dates."""

    def __init__(self, draft: AvailabilityDraft, on_change: Callable[[], None]) -> None:
        self._draft = draft
        self._on_change = on_change
        self._season = USUAL
        with ui.element("section").classes("panel").props('aria-labelledby="weekly-hours"'):
            with ui.element("div").classes("section-head"):
                heading("Weekly hours", "weekly-hours")
                ui.button("Add a season", icon="add", on_click=self._ask_for_season).props("flat dense")
            self._choice = ui.toggle({}, on_change=self._choose).props('no-caps aria-label="Hours of"')
            with ui.element("div").classes("season-dates") as self._dates:
                self._first = date_field("From", self._change_dates)
                self._last = date_field("Until", self._change_dates)
                ui.button("Remove season", icon="delete", on_click=self._remove).props("flat dense")
            self._week = WeekHours(on_paint=self._paint, on_type=self._type, on_copy=self._copy)

    def show(self) -> None:
        """Show the draft."""
        seasons = self._draft.plan.weekly.seasons
        if self._season >= len(seasons):
            self._season = USUAL
        names = {USUAL: "Usual hours", **{n: _capital(range_text(s.first, s.last)) for n, s in enumerate(seasons)}}
        self._choice.set_options(names, value=self._season)
        self._choice.visible = bool(seasons)
        self._dates.visible = self._season != USUAL
        if self._season != USUAL:
            season = seasons[self._season]
            for field, day in ((self._first, season.first), (self._last, season.last)):
                field.set_value(day.isoformat() if day else "")
                field.error = None
        self._week.show(f"Hours: {names[self._season]}" if seasons else "Hours", self._draft.days(self._season))

    def _choose(self, event: Any) -> None:
        if event.value is not None and event.value != self._season:
            self._season = event.value
            self.show()

    def _paint(self, days: Mapping[int, Sequence[Window]]) -> None:
        self._draft.set_days(self._season, days)
        self._changed()

    def _type(self, day: int, text: str) -> None:
        self._draft.type_hours(self._season, day, text)
        self._changed()

    def _copy(self, day: int, to: Sequence[int]) -> None:
        windows = self._draft.week(self._season)[day]
        self._draft.set_days(self._season, dict.fromkeys(to, windows))
        self._changed()

    def _changed(self) -> None:
        self.show()
        self._on_change()

    # --- seasons ------------------------------------------------------------------------------------------------

    def _ask_for_season(self) -> None:
        with ui.dialog().props('aria-labelledby="new-season"') as dialog, ui.card():
            heading("Add a season", "new-season")
            ui.label("Its hours replace the usual ones. It begins with a copy of them.")
            first, last = date_field("From"), date_field("Until")

            def add() -> None:
                error = self._draft.add_season(date_of(first), date_of(last))
                last.error = error or None
                if not error:
                    self._season = self._index(date_of(first), date_of(last))
                    dialog.close()
                    self._changed()

            with ui.element("div").classes("actions"):
                ui.button("Add season", on_click=add)
                ui.button("Cancel", on_click=dialog.close).props("flat")
        dialog.open()

    def _change_dates(self) -> None:
        seasons = self._draft.plan.weekly.seasons
        if self._season == USUAL:
            return
        first, last = date_of(self._first), date_of(self._last)
        if (first, last) == (seasons[self._season].first, seasons[self._season].last):
            self._last.error = None
            return
        error = self._draft.change_season(self._season, first, last)
        self._last.error = error or None
        if not error:
            self._season = self._index(first, last)
            self._changed()

    def _remove(self) -> None:
        self._draft.remove_season(self._season)
        self._season = USUAL
        self._changed()

    def _index(self, first: date | None, last: date | None) -> int:
        seasons = self._draft.plan.weekly.seasons
        return next(n for n, season in enumerate(seasons) if (season.first, season.last) == (first, last))


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
