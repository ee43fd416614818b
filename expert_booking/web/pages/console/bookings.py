"""`/console/bookings`: search, filter, page, export and change the bookings of a calendar. The URL says which."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final
from urllib.parse import urlencode
from uuid import UUID

from fastapi import Request
from nicegui import ui
from pydantic import ValidationError

from expert_booking.domain.errors import BookingNotFound
from expert_booking.domain.formatting import STATUS
from expert_booking.schemas import (
    REASON_LENGTH,
    ActionResults,
    BookingAction,
    BookingPage,
    BookingQuery,
    BookingSort,
    BookingView,
    Caller,
    field_errors,
)
from expert_booking.services import Services
from expert_booking.web import console, layout
from expert_booking.web.components import booking_rows
from expert_booking.web.components.bookings_table import BookingsTable

_PARAMETERS: Final = ("search", "sessionTypeId", "status", "from", "to", "sort", "after", "before")
# Another filter or order begins with the first page.
_FIRST_PAGE: Final = {"after": None, "before": None}
_PAGE_LENGTH: Final = 25
_NEWEST: Final = BookingSort.LAST_CREATED
_STATUSES: Final = {status.value: STATUS[status] for status in booking_rows.STATUSES}
# How many new bookings are counted.
_MAX_NEW: Final = 100


def mount(services: Services) -> None:
    """Serve the page."""

    @console.page(services, "bookings")
    async def bookings(page: console.Console, request: Request) -> None:
        shown = BookingsPage(page, {**request.query_params, "status": request.query_params.getlist("status")})
        await shown.draw()


class BookingsPage:
    """The list of one calendar. It updates while the page is open."""

    def __init__(self, page: console.Console, wanted: Mapping[str, Any]) -> None:
        self._page = page
        self._services = page.services
        self._loaded_at = page.services.clock()
        self._days: dict[str, ui.input] = {}
        self._set(wanted)
        self._typed = False
        self._is_open = False

    async def draw(self) -> None:
        """Draw the filters and the table."""
        self._refresh = self._page.subscribe(self._reload)
        caller = await self._page.caller()
        key = await self._services.calendars.key(str(self._page.expert.id), caller)
        types = (await self._services.calendars.expert(key)).session_types
        with self._page.frame("bookings", "Bookings"):
            self._draw_filters({str(one.id): one.title for one in types})
            self._refused = ui.element("div").classes("bookings-refused")
            self._table = BookingsTable(on_go=self._go, on_act=self._ask)
            self._dialog = ui.dialog()
            await self._show(caller)

    def _draw_filters(self, session_types: dict[str, str]) -> None:
        now = self._parameters

        def filtered(name: str, *, typed: bool = False) -> Any:
            async def change(event: Any) -> None:
                value = event.value.strip() if isinstance(event.value, str) else event.value
                await self._change({name: value or None, **_FIRST_PAGE}, typed=typed)

            return change

        with ui.element("div").classes("bookings-filters").props('role=search aria-label="Filter bookings"'):
            ui.input(
                "Name, email, phone or booking id",
                value=now.get("search", ""),
                on_change=filtered("search", typed=True),
            ).props("outlined dense clearable debounce=250 maxlength=100").classes("wide")
            ui.select(
                session_types, label="Session type", value=_one_of(now.get("sessionTypeId"), session_types),
                clearable=True, on_change=filtered("sessionTypeId"),
            ).props("outlined dense")  # fmt: skip
            ui.select(
                _STATUSES, label="Status", value=list(now.get("status", ())), multiple=True,
                on_change=filtered("status"),
            ).props("outlined dense use-chips")  # fmt: skip
            for name, label in (("from", "From"), ("to", "To")):
                self._days[name] = ui.input(label, value=str(now.get(name, "")), on_change=filtered(name)).props(
                    "outlined dense stack-label type=date debounce=250 min=1970-01-01 max=2200-12-31"
                )

    # --- reading ------------------------------------------------------------------------------------------------

    async def _go(self, wanted: dict[str, Any]) -> None:
        await self._change({**_FIRST_PAGE, **wanted})

    async def _change(self, changes: Mapping[str, Any], *, typed: bool = False) -> None:
        days = {name: day.value for name, day in self._days.items()}  # also those that are not valid at the moment
        errors = self._set({**self._parameters, **days, **changes})
        for name, day in self._days.items():
            day.error = errors.get(name)
        self._typed = typed
        await self._reload()

    async def _reload(self) -> None:
        await self._page.run(self._show)

    async def _show(self, caller: Caller | None) -> None:
        query = self._query
        found = await self._services.booking_lists.page(query, caller)
        if not found.bookings and (query.after or query.before):
            # What the cursor referred to is gone: begin again.
            self._set({**self._parameters, **_FIRST_PAGE})
            query = self._query
            found = await self._services.booking_lists.page(query, caller)
        if query is self._query:  # another filter may have been chosen meanwhile
            self._table.show(self._result(found, await self._count_new(caller, found) if self._is_open else 0))
            self._is_open = True

    async def _count_new(self, caller: Caller | None, found: BookingPage) -> int:
        """The number of bookings that match and were made since the page was opened, but are not on this page."""
        newest = self._query.model_copy(update={"sort": _NEWEST, "limit": _MAX_NEW, **_FIRST_PAGE})
        if self._query.sort == _NEWEST and not (self._query.after or self._query.before):
            return 0  # they are on this page
        made = (await self._services.booking_lists.page(newest, caller)).bookings
        shown = {booking.id for booking in found.bookings}
        return sum(self._is_new(booking) and booking.id not in shown for booking in made)

    def _is_new(self, booking: BookingView) -> bool:
        return booking.created_at > self._loaded_at

    def _result(self, found: BookingPage, new: int) -> dict[str, Any]:
        now, zone = self._services.clock(), self._page.zone
        is_filtered = any(name in self._parameters for name in ("search", "sessionTypeId", "status", "from", "to"))
        pages = {
            name: {"url": self._url({**_FIRST_PAGE, way: cursor}), "go": {way: cursor}} if cursor else None
            for name, way, cursor in (("next", "after", found.next), ("previous", "before", found.previous))
        }
        newer = {"sort": _NEWEST.value}
        return {
            "url": self._url({}),
            "typed": self._typed,
            "zone": zone.key,
            "summary": booking_rows.summary(found, zone),
            "rows": [booking_rows.row(booking, zone, now, is_new=self._is_new(booking)) for booking in found.bookings],
            "columns": booking_rows.columns(self._query.sort, lambda sort: self._url({**_FIRST_PAGE, "sort": sort})),
            "actions": booking_rows.ACTIONS,
            "newer": {"text": f"{new} new", "url": self._url({**_FIRST_PAGE, **newer}), "go": newer} if new else None,
            "empty": None
            if found.bookings
            else booking_rows.empty(
                clear_url=self._page.url("bookings") if is_filtered else "",
                public_url=f"/expert/{self._page.expert.slug}",
            ),
            "exportUrl": self._url(_FIRST_PAGE, file=".csv") if found.bookings else "",
            **pages,
        }

    def _url(self, changes: Mapping[str, Any], *, file: str = "") -> str:
        wanted = {**self._parameters, **changes}
        query = urlencode({name: wanted[name] for name in _PARAMETERS if wanted.get(name)}, doseq=True)
        path, _, chosen = self._page.url("bookings").partition("?")
        return "?".join(filter(None, (path + file, "&".join(filter(None, (chosen, query))))))

    def _set(self, wanted: Mapping[str, Any]) -> dict[str, str]:
        """Take the valid ones of these URL parameters, and return what is wrong with the others."""
        wanted = {name: wanted[name] for name in _PARAMETERS if wanted.get(name)}
        errors: dict[str, str] = {}
        while True:
            try:
                self._query = BookingQuery.model_validate(
                    {"sort": _NEWEST.value, **wanted, "limit": _PAGE_LENGTH, "expertId": self._page.expert.id}
                )
            except ValidationError as error:
                errors |= {one.field.partition(".")[0]: console.plain(one.message) for one in field_errors(error)}
                valid = {name: value for name, value in wanted.items() if name not in errors}
                wanted = valid if len(valid) < len(wanted) else {}
            else:
                self._parameters = wanted
                return errors

    # --- changing -----------------------------------------------------------------------------------------------

    async def _ask(self, asked: dict[str, Any]) -> None:
        """Ask for a reason, and then carry out an action."""
        try:
            action = BookingAction.model_validate({name: asked.get(name) for name in ("action", "ids")})
        except ValidationError:
            return
        texts = booking_rows.QUESTIONS[action.action]
        self._dialog.clear()
        self._dialog.props(f'aria-label="{texts.title}"')
        with self._dialog, ui.card():
            ui.label(texts.question(len(action.ids))).classes("dialog-title").props("role=heading aria-level=2")
            if texts.hint:
                ui.label(texts.hint).classes("soft")
            reason = ui.textarea("Reason (optional)").props(f"outlined autogrow maxlength={REASON_LENGTH}")
            with ui.element("div").classes("actions"):

                async def confirm() -> None:
                    await self._act(action.model_copy(update={"reason": (reason.value or "").strip()}))

                ui.button(texts.title, on_click=confirm).props("unelevated")
                ui.button("Go back", on_click=self._dialog.close).props("flat")
        self._dialog.open()

    async def _act(self, action: BookingAction) -> None:
        self._dialog.close()

        async def act(caller: Caller) -> ActionResults:
            checked = BookingAction.model_validate(action.model_dump())
            return await self._services.booking_lists.act(checked, caller)

        done = await self._page.run(act)
        if done is None:
            return
        names = await self._names(done)
        self._refused.clear()
        if done.done:
            self._page.saved(booking_rows.done_text(action.action, done.done))
            self._table.clear_selection()
        if done.refused:
            with self._refused:
                layout.html(booking_rows.refusals(done, names))
        self._refresh()

    async def _names(self, done: ActionResults) -> dict[UUID, str]:
        """The customers and times of refused bookings."""
        caller, names = await self._page.caller(), {}
        for result in done.results:
            if result.error is not None:
                with suppress(BookingNotFound):
                    booking = await self._services.bookings.get(result.id, caller)
                    names[result.id] = booking_rows.name_of(booking, self._page.zone, self._services.clock())
        return names


def _one_of(value: Any, options: Mapping[str, str]) -> str | None:
    return value if value in options else None
