"""`/console`: what a host has to do today. It updates while the page is open."""

import asyncio
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from fastapi import Request
from markupsafe import Markup
from nicegui import ui
from nicegui.element import Element

from expert_booking.domain import formatting
from expert_booking.domain.errors import Refusal
from expert_booking.domain.lifecycle import Status
from expert_booking.schemas import (
    BookingView,
    Caller,
    NewSessionType,
    StatusRequest,
    TodayView,
    WeeklyPlan,
    WeeklyWindow,
)
from expert_booking.services import Services
from expert_booking.web import console, layout, today_html
from expert_booking.web.today_cards import CardList, EndedCard, RequestCard, focus
from expert_booking.web.today_steps import FirstSteps

_HEAD: Final = Markup(
    '<link rel="stylesheet" href="{assets}/console_today.css"><script src="{assets}/console_today.js" defer></script>'
)
_NOW: Final = Markup('<span data-now="{}" hidden></span>')
_CALM: Final = Markup(
    """<div class="panel today-calm"><svg width="44" height="44" viewBox="0 0 44 44" fill="none" stroke="currentColor"
 stroke-width="3" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true"><circle cx="22" cy="22" r="18"/>
<path d="m14 22.500 5.500 5.500L30.500 16.500"/></svg>
<h2>You're all caught up</h2><p>New requests appear here.</p></div>"""
)
_TITLE: Final = Markup("{} <small>{}</small>")
_HINT: Final = Markup('<p class="small soft today-hint">{}</p>')
_ALL: Final = Markup(' <a href="{}">{}</a>')
_ANSWERED: Final = "This request is no longer waiting: it was answered or cancelled elsewhere."
# Seconds. What changes at an instant has changed just after it.
_JUST_AFTER: Final = 0.05


def mount(services: Services) -> None:
    """Serve the page."""

    @console.page(services, "today")
    async def today(page: console.Console, request: Request) -> None:
        view = TodayPage(page)
        await view.load()
        ui.add_head_html(str(_HEAD.format(assets=layout.ASSETS_URL)))
        with page.frame("today", "Today"):
            await view.draw()


class TodayPage:
    """Requests, ended sessions, the agenda, what needs attention, and the first steps of a new expert."""

    def __init__(self, page: console.Console) -> None:
        self._page = page
        self._services = page.services
        self._expert_id = page.expert.id
        self._drawn = False
        self._view: TodayView
        self._timer: asyncio.TimerHandle | None = None
        self._refresh = page.subscribe(self._reload)
        page.client.on_delete(self._cancel_timer)

    async def load(self) -> None:
        """Read what there is to do."""
        self._view = await self._services.today.read(self._expert_id, self._page.identity.host_of(self._expert_id))

    async def draw(self) -> None:
        """Draw the page."""
        layout.html(_NOW.format(formatting.iso(self._services.clock())))
        with Element("div").classes("today"):
            self._steps = FirstSteps(
                self._page.url, self._view.slug, self._view.time_zone, on_hours=self._set_hours, on_type=self._add_type
            )
            self._figures = layout.html(Markup(""), tag="dl").classes("today-figures")
            with Element("div").classes("today-columns") as self._columns:
                with Element("div"):
                    self._draw_to_do()
                with Element("div"):
                    self._agenda = layout.html(Markup("")).classes("panel today-agenda")
        self._drawn = True
        await self._show()

    def _draw_to_do(self) -> None:
        self._calm = layout.html(_CALM)
        with Element("section") as self._requests:
            self._requests_title = layout.html(Markup(""), tag="h2").props('tabindex="-1"')
            self._requests_hint = layout.html(Markup(""))
            self._request_cards = CardList(lambda booking: RequestCard(self, booking))
        with Element("section") as self._ended:
            self._ended_title = layout.html(Markup(""), tag="h2").props('tabindex="-1"')
            self._ended_hint = layout.html(Markup(""))
            self._ended_cards = CardList(lambda booking: EndedCard(self, booking))
        self._attention = layout.html(Markup(""), tag="section")

    async def _reload(self) -> None:
        caller = await self._page.caller()
        if caller is None:
            self._page.refused(console.SIGNED_OUT)
            return
        self._view = await self._services.today.read(self._expert_id, caller)
        if self._drawn and not self._page.client.is_deleted:
            await self._show()

    async def _show(self) -> None:
        view, now = self._view, self._services.clock()
        zone = ZoneInfo(view.time_zone)
        self._set_timer()
        self._steps.show(view.set_up)
        for part in (self._figures, self._columns):
            part.set_visibility(not _is_new(view))
        self._figures.show(today_html.figures(view.week))
        self._agenda.show(
            Markup("<h2>Your sessions <small>{}</small></h2>").format(formatting.zone_at(zone, now))
            + today_html.agenda(view, now)
        )
        self._show_ended()
        attention = today_html.attention(view, self._page.url)
        self._attention.show(attention)
        self._calm.set_visibility(not (view.requests or view.unmarked or attention))
        self._requests.set_visibility(bool(view.requests))
        self._requests_title.show(_TITLE.format("Requests to answer", view.week.requests))
        has_more = len(view.requests) < view.week.requests
        every = _ALL.format(self._page.url("bookings", status="pending"), "All requests")
        self._requests_hint.show(
            _HINT.format(Markup("These are the most urgent ones.") + every) if has_more else Markup("")
        )
        if await self._request_cards.show(view.requests, zone, now, has_more=has_more):
            self._page.refused(_ANSWERED)
        await self._ended_cards.show(view.unmarked, zone, now)

    def _show_ended(self) -> None:
        view, after = self._view, self._services.site.complete_after
        self._ended.set_visibility(bool(view.unmarked))
        self._ended_title.show(_TITLE.format("How did it go?", f"{len(view.unmarked)}{'+' * view.has_more_unmarked}"))
        hint = Markup("")
        if after is not None:
            hours = f"{after.total_seconds() / 3600:g}"
            unit = "hour" if hours == "1" else "hours"
            hint += f"Without an answer, a session counts as completed {hours} {unit} after its end."
        if view.has_more_unmarked:
            hint += _ALL.format(self._page.url("bookings", status="confirmed"), "All confirmed bookings")
        self._ended_hint.show(_HINT.format(hint) if hint else Markup(""))

    # --- what the cards and steps call ----------------------------------------------------------------------------

    async def change(self, booking_id: UUID, request: StatusRequest, message: str) -> bool:
        """Change the status of a booking as the host. False if that was refused, which the page has then shown."""

        async def act(caller: Caller) -> BookingView:
            return await self._services.bookings.change_status(
                booking_id, request.status, caller, reason=request.reason
            )

        done = await self._page.run(act, saved=message) is not None
        if done:
            self._focus_rest(is_answer=request.status in (Status.CONFIRMED, Status.DECLINED))
        self._refresh()
        return done

    def _focus_rest(self, *, is_answer: bool) -> None:
        """Move the focus from the card that vanishes to the list that it was in, or to the page if it was the last."""
        rest = self._view.requests if is_answer else self._view.unmarked
        if self._page.client.is_deleted:
            return
        if len(rest) > 1:
            focus(self._requests_title if is_answer else self._ended_title)
        else:
            self._page.client.run_javascript("document.getElementById('main').focus()")

    async def around(self, booking: BookingView) -> Markup | None:
        """The day of this request as HTML. None if it could not be read, which the page has then shown."""
        zone = ZoneInfo(booking.expert_time_zone)
        day = booking.starts_at.astimezone(zone).date()
        try:
            found = await self._services.today.day(self._expert_id, day, await self._page.caller())
        except Refusal as refusal:
            self._page.refused(str(refusal))
            return None
        return today_html.day_around(day, found, booking, zone)

    async def _set_hours(self, windows: list[WeeklyWindow]) -> None:
        zone = self._view.time_zone
        without_hours = WeeklyPlan(time_zone=zone, windows=[]).version

        async def act(caller: Caller) -> WeeklyPlan:
            key = await self._services.calendars.key(str(self._expert_id), caller)
            plan = WeeklyPlan(time_zone=zone, windows=windows)
            # Hours that were set elsewhere in the meantime stay.
            return await self._services.calendars.put_plan(key, plan, [without_hours])

        await self._page.run(act, saved="Saved")
        self._refresh()

    async def _add_type(self, new: NewSessionType) -> None:
        async def act(caller: Caller) -> object:
            key = await self._services.calendars.key(str(self._expert_id), caller)
            return await self._services.calendars.add_session_type(key, new)

        await self._page.run(act, saved="Saved")
        self._refresh()

    # --- time -------------------------------------------------------------------------------------------------------

    def _set_timer(self) -> None:
        self._cancel_timer()
        seconds = (self._view.changes_at - self._services.clock()).total_seconds() + _JUST_AFTER
        self._timer = asyncio.get_running_loop().call_later(max(seconds, 1), self._refresh)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _is_new(view: TodayView) -> bool:
    """Whether there is nothing but the first steps to show."""
    sessions = [*view.requests, *view.unmarked, *view.sessions_today, *view.sessions_tomorrow]
    return not (view.set_up.is_bookable or sessions or view.week.sessions)
