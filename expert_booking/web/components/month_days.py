"""A calendar of months, in which days and ranges of days are selected."""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from typing import Final

from nicegui.element import Element
from nicegui.events import GenericEventArguments

from expert_booking.web.availability_draft import SpecialDay

# How many days can be selected at once.
MAX_SELECTED: Final = 3 * 366
YEARS: Final = timedelta(days=3 * 366)


class MonthDays(Element, component="month_days.js"):
    """An ARIA date grid of two months. Days before `today` cannot be selected."""

    def __init__(self, today: date, on_select: Callable[[Sequence[date]], None]) -> None:
        """`on_select` receives the selected days, in order; none if nothing is selected."""
        super().__init__()
        self._today, self._last = today, today + YEARS
        self._props.update(today=today.isoformat(), last=self._last.isoformat(), special="{}")

        def choose(event: GenericEventArguments) -> None:
            days = self._days(event.args)
            if days is not None:
                on_select(days)

        self.on("choose", choose)

    def show(self, special: Mapping[date, SpecialDay]) -> None:
        """Mark these days."""
        self._props["special"] = json.dumps({day.isoformat(): one._asdict() for day, one in special.items()})
        self.update()

    def select(self, days: Sequence[date]) -> None:
        """Select these days instead."""
        self.run_method("select", [day.isoformat() for day in days])

    def _days(self, texts: object) -> list[date] | None:
        if not isinstance(texts, list) or len(texts) > MAX_SELECTED:
            return None
        try:
            days = sorted({date.fromisoformat(str(text)) for text in texts})
        except ValueError:
            return None
        return days if all(self._today <= day <= self._last for day in days) else None
