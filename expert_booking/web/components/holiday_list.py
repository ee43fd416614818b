"""Public holidays: country and region, and a switch for each holiday.

One element, because NiceGUI needs 10 ms for a select with all countries, and as much for the switches.
"""

import json
from collections.abc import Callable, Sequence
from datetime import date
from functools import cache
from typing import Any, NamedTuple

from nicegui.element import Element
from nicegui.events import GenericEventArguments

from expert_booking.domain.calendar_plan import HolidaySetting, range_text
from expert_booking.domain.holidays import country_names, region_names


class HolidayRow(NamedTuple):
    """A holiday: the hours it would have (empty: none on this weekday), and whether it is worked on."""

    day: date
    name: str
    hours: str
    works: bool


class HolidayList(Element, component="holiday_list.js"):
    """Country, region, a switch for all holidays, and one for each."""

    def __init__(
        self,
        *,
        on_place: Callable[[str | None, str | None], None],
        on_closed: Callable[[bool], None],
        on_work: Callable[[date, bool], None],
    ) -> None:
        """`on_place` receives a known country and one of its regions, or None."""
        super().__init__()
        self._props.update(countries=_countries(), regions="", holidays="", country="", region="", closed=False)

        def place(event: GenericEventArguments) -> None:
            country, region = _fields(event, "country", "region")
            country = country if country in country_names() else None
            on_place(country, region if country and region in region_names(country) else None)

        def work(event: GenericEventArguments) -> None:
            day, works = _fields(event, "date", "works")
            try:
                on_work(date.fromisoformat(str(day)), works is True)
            except ValueError:
                return

        self.on("place", place)
        self.on("closed", lambda event: on_closed(event.args is True))
        self.on("work", work)

    def show(self, setting: HolidaySetting, holidays: Sequence[HolidayRow]) -> None:
        """Show this setting and these holidays."""
        rows = [
            {"date": row.day.isoformat(), "when": range_text(row.day, row.day), "name": row.name, "hours": row.hours,
             "works": row.works}
            for row in holidays
        ]  # fmt: skip
        regions = list(region_names(setting.country).items()) if setting.country else []
        self._props.update(
            country=setting.country or "",
            region=setting.region or "",
            closed=setting.closed,
            regions=json.dumps(regions),
            holidays=json.dumps(rows),
        )
        self.update()


@cache
def _countries() -> str:
    return json.dumps(list(country_names().items()))


def _fields(event: GenericEventArguments, *names: str) -> list[Any]:
    args = event.args if isinstance(event.args, dict) else {}
    return [args.get(name) for name in names]
