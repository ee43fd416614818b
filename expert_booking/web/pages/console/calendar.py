"""`/console/calendar`: a host's day, week or month, and what the host can do with it."""

from datetime import date, datetime, time, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from fastapi import Request
from markupsafe import Markup
from nicegui import ui

from expert_booking.domain import formatting
from expert_booking.domain.calendar import DAY, local_instant
from expert_booking.domain.wall_clock import wall_span, wall_time
from expert_booking.schemas import Caller, EntryKind, HostBookingRequest, ScheduleEntry, ScheduleView
from expert_booking.services import Services
from expert_booking.web import calendar_items, console, layout
from expert_booking.web.calendar_additions import CalendarAdditions
from expert_booking.web.calendar_changes import CalendarChanges
from expert_booking.web.components.week_calendar import VIEWS, Selected, WeekCalendar

# Only this page loads the vendored calendar.
_HEAD: Final = (
    f'<link rel="stylesheet" href="{layout.ASSETS_URL}/event-calendar.min.css">'
    f'<link rel="stylesheet" href="{layout.ASSETS_URL}/calendar.css">'
    f'<script src="{layout.ASSETS_URL}/event-calendar.min.js" defer></script>'
)
_WEEK: Final = timedelta(days=7)
_HOUR: Final = timedelta(hours=1)
# Where something new begins if only its day is known.
_MORNING: Final = time(9)
_LEGEND: Final = Markup('<ul class="calendar-legend" aria-label="Legend">{}</ul>').format(
    Markup("").join(
        Markup('<li><i class="is-{}"></i>{}</li>').format(kind, text)
        for kind, text in (
            ("confirmed", "Confirmed"), ("pending", "Pending"), ("completed", "Completed"), ("no_show", "No-show"),
            ("hold", "On hold"), ("block", "Blocked"), ("buffer", "Buffer"), ("open", "Open"), ("closed", "Day off"),
        )
    )
)  # fmt: skip


def mount(services: Services, request_model: type[HostBookingRequest]) -> None:
    """Serve the page. `request_model` validates bookings by hand."""

    @console.page(services, "calendar")
    async def calendar(page: console.Console, request: Request) -> None:
        view = CalendarPage(page, request, request_model)
        with page.frame("calendar", "Calendar", on_zone=view.change_viewer_zone):
            view.draw()
        await view.load()


class CalendarPage:
    """One open calendar. It is read again whenever something about its expert changes."""

    def __init__(self, page: console.Console, request: Request, request_model: type[HostBookingRequest]) -> None:
        self._page = page
        self._request_model = request_model
        self._services = page.services
        today = calendar_items.day_of(page.services.clock(), page.zone)
        self._day = _day(request.query_params.get("date", ""), today)
        wanted = request.query_params.get("view")
        self._view = wanted if wanted in VIEWS else None
        self._shown = _days_of(self._view, self._day)
        self._reads = 0
        self._last: ScheduleView | None = None
        self._entries: dict[str, ScheduleEntry] = {}
        self._refresh = page.subscribe(self._read)

    def draw(self) -> None:
        """Draw the zone's name, the calendar, its legend, and the closed panel and dialogs."""
        ui.add_head_html(_HEAD)
        self._zones = layout.html(self._zone_line(), tag="p").classes("calendar-zone")
        self._calendar = WeekCalendar(
            day=self._day,
            view=self._view,
            on_range=self._show_range,
            on_open=self._open,
            on_select=self._select,
            on_drag=self._drag,
            on_drop=self._drop,
        )
        layout.html(_LEGEND)
        self._changes = CalendarChanges(self._page, self._calendar, self._refresh)
        self._additions = CalendarAdditions(self._page, self._calendar, self._refresh, self._request_model)

    async def load(self) -> None:
        """Deliver the page with its first days."""
        caller = await self._page.caller()
        if caller is None:  # signed out this instant
            ui.navigate.reload()
        else:
            self._calendar.load(self._take(await self._week(caller), *self._shown))

    def change_viewer_zone(self, zone: ZoneInfo) -> None:
        """Name the zone of the viewer, whose browser has just told it."""
        self._page.viewer_zone = zone
        self._zones.show(self._zone_line())

    async def _read(self) -> None:
        caller = await self._page.caller()
        if caller is None:
            self._page.refused(console.SIGNED_OUT)
            return
        self._reads += 1
        number, shown = self._reads, self._shown
        read = await self._week(caller)
        if number == self._reads:  # otherwise a later reading has begun, perhaps of other days
            self._calendar.show(self._take(read, *shown))
            await self._changes.refresh_panel(caller)

    async def _week(self, caller: Caller) -> ScheduleView:
        begin, end = (local_instant(self._page.zone, day, 0) for day in self._shown)
        return await self._services.schedule.week(self._page.expert.id, begin, end, caller)

    def _take(self, read: ScheduleView, since: date, until: date) -> dict[str, Any]:
        """Remember these days, and return what the calendar shows of them."""
        if read.time_zone != self._page.zone.key:  # the expert has just chosen another one
            ui.navigate.reload()
        self._last = read
        self._entries = {str(entry.id): entry for entry in read.entries}
        return calendar_items.data_of(read, since, until, self._services.clock())

    async def _show_range(self, since: date, until: date) -> None:
        self._shown = since, until
        await self._read()

    async def _open(self, item: str) -> None:
        entry = self._entries.get(item)
        if entry is None or entry.kind is EntryKind.HOLD:
            return
        if entry.kind is EntryKind.BLOCK:
            await self._changes.open_block(entry)
        else:
            await self._changes.open_booking(entry.id)

    async def _select(self, selected: Selected) -> None:
        start = selected.start or self._next_start()
        end = selected.end
        if selected.whole_days:
            start, end = datetime.combine(start.date(), _MORNING), None
        await self._additions.add(start, end)

    async def _drag(self, item: str) -> None:
        entry = self._entries.get(item)
        if entry is None or entry.session_type_id is None:
            return
        spans = await self._changes.free_spans(entry, *self._shown)
        walls = (wall_span(begin, end, self._page.zone) for begin, end in spans)
        texts = [(calendar_items.wall_text(begin), calendar_items.wall_text(end)) for begin, end in walls]
        self._calendar.show_targets(item, texts)

    async def _drop(self, item: str, wall: datetime) -> None:
        entry = self._entries.get(item)
        if entry is None or not calendar_items.is_movable(entry):
            self._calendar.settle(back=True)
            return
        await self._changes.drop(entry, wall)

    def _next_start(self) -> datetime:
        """Where something new begins on the expert's clock: the first free hour of the days shown, or the next one."""
        next_hour = self._services.clock().replace(minute=0, second=0, microsecond=0) + _HOUR
        free = None if self._last is None else calendar_items.first_free(self._last, next_hour)
        return wall_time(free or next_hour, self._page.zone)

    def _zone_line(self) -> Markup:
        now, zone, own = self._services.clock(), self._page.zone, self._page.viewer_zone
        text = Markup("Times in <b>{}</b>").format(formatting.zone_at(zone, now))
        if own.key != zone.key:
            text += Markup("; you are in <b>{}</b>").format(formatting.zone_at(own, now))
        return text


def _day(text: str, otherwise: date) -> date:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return otherwise
    return day if 2000 <= day.year <= 2100 else otherwise


def _days_of(view: str | None, day: date) -> tuple[date, date]:
    """The days that a view shows, from the first to the day after the last one."""
    first = day.replace(day=1) if view == "month" else day
    monday = first - first.weekday() * DAY
    return monday, monday + (6 * _WEEK if view == "month" else _WEEK)
