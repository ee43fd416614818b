"""Questions before a calendar's rules are saved: bookings outside of them, and changes made meanwhile."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final
from zoneinfo import ZoneInfo

from nicegui import ui

from expert_booking.domain import formatting
from expert_booking.domain.calendar_plan import CalendarPlan, Part, differences, merged, parts_of, value_text
from expert_booking.schemas import AffectedBooking
from expert_booking.web.components.heading import heading

_MINE: Final = "mine"
_THEIRS: Final = "theirs"


def stays(number: int) -> str:
    """`3 bookings stay as they are`."""
    return "1 booking stays as it is" if number == 1 else f"{number} bookings stay as they are"


def ask_about_bookings(
    bookings: Sequence[AffectedBooking], zone: ZoneInfo, on_save: Callable[[], Awaitable[Any]]
) -> None:
    """List the bookings that are outside of the new hours, and save once this is confirmed."""
    with ui.dialog().props('aria-labelledby="bookings-stay"') as dialog, ui.card():
        heading(stays(len(bookings)), "bookings-stay")
        ui.label("They are outside of the new hours. Nothing is cancelled; reschedule or cancel them yourself.")
        with ui.element("ul").classes("date-list scroll").props('tabindex="0"'):
            for booking in bookings:
                with ui.element("li").props(f'data-booking="{booking.id}" data-status="{booking.status}"'):
                    ui.label(_time(booking, zone)).classes("entry-dates")
                    ui.label(f"{booking.name or formatting.DELETED_CUSTOMER}, {booking.session_title}").classes("soft")

        async def save() -> None:
            dialog.close()
            await on_save()

        with ui.element("div").classes("actions"):
            ui.button("Save anyway", on_click=save)
            ui.button("Go back", on_click=dialog.close).props("flat")
    dialog.open()


def ask_which_to_keep(
    base: CalendarPlan, theirs: CalendarPlan, mine: CalendarPlan, on_choose: Callable[[CalendarPlan], Awaitable[Any]]
) -> None:
    """Show how the saved plan and the draft differ, and save what is chosen.

    `base` is the plan from which the draft began. What only one side has changed is preselected.
    """
    before = parts_of(base)
    choices: dict[Part, ui.radio] = {}
    with ui.dialog().props('aria-labelledby="changed-meanwhile"') as dialog, ui.card():
        heading("Someone has changed these hours", "changed-meanwhile")
        ui.label("They were saved while you were editing. Choose what to keep; nothing has been overwritten.")
        with ui.element("div").classes("differences scroll"):
            for part, saved, draft in differences(theirs, mine):
                options = {
                    _THEIRS: f"Saved meanwhile: {value_text(part, saved)}",
                    _MINE: f"Yours: {value_text(part, draft)}",
                }
                ui.label(str(part)).classes("entry-dates")
                choices[part] = ui.radio(options, value=_THEIRS if draft == before.get(part) else _MINE)
                choices[part].props["aria-label"] = str(part)

        async def save() -> None:
            dialog.close()
            await on_choose(merged(mine, theirs, [part for part, choice in choices.items() if choice.value == _THEIRS]))

        with ui.element("div").classes("actions"):
            ui.button("Save my choice", on_click=save)
            ui.button("Keep editing", on_click=dialog.close).props("flat")
    dialog.open()


def _time(booking: AffectedBooking, zone: ZoneInfo) -> str:
    day = formatting.short_day(booking.starts_at, zone)
    return f"{day}, {formatting.time_span(booking.starts_at, booking.ends_at, zone)}"
