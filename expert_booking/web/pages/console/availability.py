"""`/console/availability`: weekly hours, seasons, dates and holidays, with a preview of what visitors see."""

from functools import partial
from typing import Final
from zoneinfo import ZoneInfo

from fastapi import Request
from markupsafe import Markup
from nicegui import ui
from pydantic import ValidationError

from expert_booking.domain import formatting
from expert_booking.domain.calendar_plan import CalendarPlan
from expert_booking.domain.errors import FieldsWrong, PlanChanged
from expert_booking.schemas import CalendarRules, Caller, field_errors
from expert_booking.services import Services
from expert_booking.services.calendar_rules import RulesEditor
from expert_booking.web import console, layout
from expert_booking.web.availability_draft import AvailabilityDraft
from expert_booking.web.components.date_section import DateSection
from expert_booking.web.components.holiday_section import HolidaySection
from expert_booking.web.components.preview_section import PreviewSection
from expert_booking.web.components.save_bar import SaveBar
from expert_booking.web.components.save_dialogs import ask_about_bookings, ask_which_to_keep, stays
from expert_booking.web.components.week_section import WeekSection

_STYLE: Final = Markup('<link rel="stylesheet" href="{}/availability.css">')
_ERRORS: Final = "Please correct the hours that are marked."
_CHANGED_ELSEWHERE: Final = "These hours have just been changed elsewhere. When you save, you can choose what to keep."


def mount(services: Services) -> None:
    """Serve the page."""

    @console.page(services, "availability")
    async def availability(page: console.Console, request: Request) -> None:
        view = AvailabilityPage(page)
        page.subscribe(view.refresh)
        await view.load()
        view.draw()


class AvailabilityPage:
    """The draft of a calendar's rules, and the sections that edit it. Visitors see nothing of it until it is saved."""

    def __init__(self, page: console.Console) -> None:
        self._page = page
        self._services = page.services
        self._draft: AvailabilityDraft
        self._drawn = False

    async def load(self) -> None:
        """Read the calendar."""
        self._draft = AvailabilityDraft(await self._read(self._page.identity.host_of(self._page.expert.id)))

    def draw(self) -> None:
        """Draw the page."""
        ui.add_head_html(str(_STYLE.format(layout.ASSETS_URL)))
        with self._page.frame("availability", "Availability"):
            self._zone = ui.label().classes("soft zone-note")
            self._note = ui.label("").classes("note warn").props("role=status")
            with ui.element("div").classes("availability"):
                with ui.element("div").classes("availability-rules"):
                    self._week = WeekSection(self._draft, partial(self._changed, "week"))
                    self._dates = DateSection(self._draft, partial(self._changed, "dates"))
                    self._holidays = HolidaySection(self._draft, partial(self._changed, "holidays"))
                self._preview = PreviewSection(self._draft)
            self._bar = SaveBar(on_save=self._save, on_discard=self._discard)
        self._show()
        self._drawn = True

    async def refresh(self) -> None:
        """Read bookings and session types again, and the rules unless something is unsaved."""
        if not self._drawn:
            return
        caller = await self._page.caller()
        if caller is None:
            return
        editor = await self._read(caller)
        changed = editor.rules.version != self._draft.editor.rules.version
        if self._draft.refresh(editor):
            if changed:
                self._show()
            else:
                self._preview.show()
        else:
            self._preview.show()
            self._show_bar()
            self._say(_CHANGED_ELSEWHERE if changed else "")

    async def _read(self, caller: Caller | None) -> RulesEditor:
        key = await self._services.calendars.key(str(self._page.expert.id), caller)
        return await self._services.calendar_rules.editor(key)

    def _show(self) -> None:
        zone = ZoneInfo(self._draft.plan.time_zone)
        self._zone.set_text(
            f"All times are in {formatting.zone_at(zone, self._draft.editor.read_at)}, the time zone of your calendar."
        )
        self._say("")
        self._week.show()
        self._dates.show()
        self._holidays.show()
        self._preview.show()
        self._show_bar()

    def _changed(self, section: str) -> None:
        """Show a change that was made in one of the sections. That section shows it itself."""
        self._page.refused("")
        if section != "dates":
            self._dates.show()
        if section != "holidays":
            self._holidays.show()
        self._preview.show()
        self._show_bar()

    def _show_bar(self) -> None:
        affected = self._draft.editor.affected(self._draft.plan)
        notes = [_ERRORS] if self._draft.has_errors else [f"{stays(len(affected))}."] if affected else []
        self._bar.show(self._draft.changes(), " ".join(notes))

    def _say(self, text: str) -> None:
        self._note.set_text(text)
        self._note.visible = bool(text)

    # --- saving -------------------------------------------------------------------------------------------------

    def _discard(self) -> None:
        self._draft.discard()
        self._page.refused("")
        self._show()

    async def _save(self) -> None:
        if self._draft.has_errors:
            self._page.refused(_ERRORS)
            return
        affected = self._draft.editor.affected(self._draft.plan)
        if affected:
            ask_about_bookings(affected, ZoneInfo(self._draft.plan.time_zone), self._put)
        else:
            await self._put()

    async def _put(self) -> None:
        self._bar.wait(True)
        done = await self._page.run(self._try_to_put)
        if not self._page.client.is_deleted:
            self._bar.wait(False)
            if done:
                self._show()
                self._page.saved()

    async def _try_to_put(self, caller: Caller) -> bool:
        """Save the draft; False if the rules have changed meanwhile and a choice is asked for."""
        try:
            wanted = CalendarRules.of_plan(self._draft.plan)
        except ValidationError as error:
            raise FieldsWrong({one.field: one.message for one in field_errors(error)}) from error
        key = await self._services.calendars.key(str(self._page.expert.id), caller)
        try:
            await self._services.calendar_rules.put(key, wanted, [self._draft.editor.rules.version])
        except PlanChanged:
            return await self._compare(await self._read(caller))
        self._draft.rebase_on(await self._read(caller))
        return True

    async def _compare(self, editor: RulesEditor) -> bool:
        base, mine = self._draft.editor.plan, self._draft.plan
        if editor.plan == mine:  # the same change was made elsewhere
            self._draft.rebase_on(editor)
            return True

        async def save(plan: CalendarPlan) -> None:
            self._draft.rebase(editor, plan)
            self._show()
            await self._save()

        ask_which_to_keep(base, editor.plan, mine, save)
        return False
