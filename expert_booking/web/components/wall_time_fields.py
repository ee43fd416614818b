"""Fields for a time on an expert's clock, at minute precision."""

from collections.abc import Awaitable, Callable
from datetime import date, datetime, time
from typing import Any, Final
from zoneinfo import ZoneInfo

from nicegui import ui

from expert_booking.domain import formatting
from expert_booking.domain.errors import FieldsWrong
from expert_booking.domain.wall_clock import instant_at, instants_at

_MISSING_DAY: Final = "Please enter a date."
_MISSING_TIME: Final = "Please enter a time."


class WallTimeFields:
    """A date and a time. If the clock shows that time twice, a third field asks which one is meant.

    Errors appear at the fields; what was typed stays.
    """

    def __init__(
        self,
        zone: ZoneInfo,
        *,
        date_label: str = "Date",
        time_label: str = "Time",
        on_change: Callable[[], Awaitable[None]],
    ) -> None:
        """`on_change` is called after each change by the host."""
        self._zone = zone
        self._on_change = on_change
        self._setting = False
        with ui.element("div").classes("two"):
            self._day = ui.input(date_label, on_change=self._changed).props("type=date outlined dense stack-label")
            self._time = ui.input(time_label, on_change=self._changed).props("type=time outlined dense stack-label")
        self._which = ui.select({}, label="The clock shows this time twice", on_change=self._changed)
        self._which.props("outlined dense")
        self._which.set_visibility(False)

    def set(self, wall: datetime | None) -> None:
        """Fill in a wall-clock time, or empty the fields."""
        self._setting = True
        self._day.set_value("" if wall is None else wall.date().isoformat())
        self._time.set_value("" if wall is None else f"{wall:%H:%M}")
        self._setting = False
        self._check()

    def set_instant(self, instant: datetime) -> None:
        """Fill in an instant (UTC)."""
        local = instant.astimezone(self._zone)
        self.set(local.replace(tzinfo=None, fold=0))
        self._setting = True
        self._which.set_value(local.fold)
        self._setting = False

    def wall(self) -> datetime | None:
        """The wall-clock time in the fields; None if they do not contain one."""
        day, clock = _read(date.fromisoformat, self._day.value), _read(time.fromisoformat, self._time.value)
        return None if day is None or clock is None else datetime.combine(day, clock)

    def instant(self) -> datetime:
        """The instant (UTC) in the fields. Raises FieldsWrong, and shows the error, if they do not contain one."""
        wall = self.wall()
        if wall is None:
            missing_day = _read(date.fromisoformat, self._day.value) is None
            self._day.error = _MISSING_DAY if missing_day else None
            self._time.error = None if missing_day else _MISSING_TIME
            raise FieldsWrong({"startsAt": _MISSING_DAY if missing_day else _MISSING_TIME})
        try:
            return instant_at(self._zone, wall, field="startsAt", second=self._which.value == 1)
        except FieldsWrong as refusal:
            self._time.error = str(refusal)
            raise

    async def _changed(self) -> None:
        if not self._setting:
            self._check()
            await self._on_change()

    def _check(self) -> None:
        """Remove old errors, and ask which time is meant if the clock shows it twice."""
        self._day.error = self._time.error = None
        wall = self.wall()
        found = () if wall is None else instants_at(self._zone, wall)
        twice = len(found) == 2
        if twice:
            texts = (formatting.clock_time(at, self._zone) for at in found)
            self._setting = True
            self._which.set_options(dict(enumerate(texts)), value=self._which.value or 0)
            self._setting = False
        self._which.set_visibility(twice)


def _read(parse: Callable[[str], Any], text: object) -> Any:
    try:
        return parse(str(text))
    except ValueError:
        return None
