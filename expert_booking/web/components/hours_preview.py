"""Two weeks of one session type's times, each of which can be asked about."""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any, Final

from nicegui.element import Element
from nicegui.events import GenericEventArguments

from expert_booking.domain import formatting

_DAYS_IN_WEEK: Final = 7
# A start (UTC), its local time, and its state: `open`, `held`, `booked` or `no`.
Time = tuple[datetime, str, str]


class HoursPreview(Element, component="hours_preview.js"):
    """Times by day, in rows of seven days."""

    def __init__(self, on_ask: Callable[[datetime], None]) -> None:
        """`on_ask` receives the start (UTC) of the time that was clicked."""
        super().__init__()
        self._props.update(weeks="[]", zone="", asked="")

        def ask(event: GenericEventArguments) -> None:
            try:
                at = datetime.strptime(str(event.args), "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
            except ValueError:
                return
            on_ask(at)

        self.on("ask", ask)

    def show(self, days: Mapping[date, Sequence[Time]], zone: str) -> None:
        """Show the times of these days. `zone` is the name of their zone."""
        shown = [_day(day, times) for day, times in days.items()]
        # As JSON, because NiceGUI would copy lists and watch each of them.
        weeks = json.dumps([shown[n : n + _DAYS_IN_WEEK] for n in range(0, len(shown), _DAYS_IN_WEEK)])
        if weeks != self._props["weeks"] or zone != self._props["zone"]:
            self._props.update(weeks=weeks, zone=zone)
            self.update()

    def point_out(self, at: datetime | None) -> None:
        """Mark the time that is being explained."""
        self._props["asked"] = formatting.iso(at) if at else ""
        self.update()


def _day(day: date, times: Sequence[Time]) -> dict[str, Any]:
    return {
        "date": day.isoformat(),
        "name": f"{day:%a}",
        "short": f"{day.day} {day:%b}",
        "long": f"{day:%A}, {day.day} {day:%B %Y}",
        "times": [[formatting.iso(at), text, state] for at, text, state in times],
    }
