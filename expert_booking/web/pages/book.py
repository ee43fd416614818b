"""`/book/{slug}?at=…&session=…`: the booking form for one slot, which is on hold while the form is open."""

import asyncio
import logging
from contextlib import suppress
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

from fastapi import Request
from markupsafe import Markup
from nicegui import Client, ui
from pydantic import TypeAdapter, ValidationError

from expert_booking.domain import formatting
from expert_booking.domain.errors import ExpertNotFound, HoldNotFound, NotFound, Refusal, TooManyHolds, Unavailable
from expert_booking.domain.terms import Confirmation
from expert_booking.domain.unavailability import Reason
from expert_booking.schemas import (
    BookingRequest,
    BookingRequestWithPhone,
    ExpertDetail,
    HoldRequest,
    Instant,
    SessionTypeView,
    field_errors,
)
from expert_booking.services import Services
from expert_booking.services.availability import Board
from expert_booking.web import error_pages, layout, page_route
from expert_booking.web.book_state import (
    BookState,
    Event,
    FormSlot,
    HoldRefused,
    HoldReleased,
    HoldRenewed,
    HoldState,
    HoldTaken,
    SlotRead,
    hold_text,
    next_state,
    refusal_of,
)
from expert_booking.web.components.booking_form import BookingForm
from expert_booking.web.components.booking_summary import booking_summary
from expert_booking.web.components.hold_clock import HoldClock
from expert_booking.web.components.refusal_note import (
    already_yours,
    alternatives,
    input_kept,
    internal_error,
    reason_of,
    refusal_note,
    what_now,
)
from expert_booking.web.live.profile_cache import ProfileCache
from expert_booking.web.live.slot_boards import LiveBoard, LiveBoards
from expert_booking.web.live.throttle import Throttle
from expert_booking.web.open_holds import OpenHolds
from expert_booking.web.visitor import network_hash, remembered_visitor, visitor_of, zone_of

log = logging.getLogger(__name__)

_INSTANT: Final[TypeAdapter[datetime]] = TypeAdapter(Instant)
# What happened to the visitor's hold before someone else took the time.
_LOST_HOLD: Final = {
    HoldState.EXPIRED: "Your hold has expired. ",
    HoldState.REPLACED: "You are now holding a different time. ",
}


def mount(
    services: Services,
    profiles: ProfileCache,
    boards: LiveBoards,
    open_holds: OpenHolds,
    *,
    secret: str,
    phone_required: bool,
) -> None:
    """Serve the page."""

    @page_route.page("/book/{slug}")
    async def book(slug: str, request: Request, client: Client) -> None:
        try:
            expert = (await profiles.of(slug)).expert
        except ExpertNotFound:
            error_pages.expert_not_found()
            return
        at = instant_of(request.query_params.get("at"))
        if at is None:
            error_pages.show_error(
                "Which time?",
                f"That link doesn't contain a valid time. Choose one from {expert.name}'s calendar.",
                code="no_time",
                url=f"/expert/{expert.slug}",
                way_out="Choose a time",
            )
            return
        session = session_of(expert, request.query_params.get("session"))
        if session is None:
            # Do not show the form for a different session type instead.
            error_pages.show_error(
                "This session is not available",
                f"{expert.name} does not offer it at the moment. See what else is available.",
                code="session_type_not_found",
                url=f"/expert/{expert.slug}",
                way_out=f"See {expert.name}'s calendar",
            )
            return
        is_new_visitor = visitor_of(request) is None
        visitor = Visitor(remembered_visitor(request), network_hash(request, secret), zone_of(request))
        live = boards.of(expert.id, session.id)
        view = BookPage(services, open_holds, live, client, expert, session, at, visitor, phone_required=phone_required)
        await view.read(is_new_visitor=is_new_visitor)
        with layout.frame(f"Book {expert.name}", on_zone=view.change_zone):
            view.draw()


class Visitor(NamedTuple):
    """The visitor who fills in the form: the hash of their browser's key, of their network, and their time zone."""

    browser: bytes
    origin: bytes
    zone: ZoneInfo | None


class BookPage:
    """One visitor filling in the form for one slot, which is held for them while the page is open.

    Delivering the page does not hold the slot. That happens when a browser has loaded it and connects.
    """

    def __init__(
        self,
        services: Services,
        open_holds: OpenHolds,
        live: LiveBoard,
        client: Client,
        expert: ExpertDetail,
        session: SessionTypeView,
        at: datetime,
        visitor: Visitor,
        *,
        phone_required: bool,
    ) -> None:
        self._services = services
        self._open_holds = open_holds
        self._live = live
        self._client = client
        self._expert = expert
        self._session_type = session
        # With a single session type the URL does not name it.
        self._session_parameter = f"&session={session.id}" if len(expert.session_types) > 1 else ""
        self._slot = FormSlot(expert.id, session.id, at)
        self._state = BookState(self._slot)
        self._zone = visitor.zone
        self._visitor = visitor
        self._request_model = BookingRequestWithPhone if phone_required else BookingRequest
        self._phone_required = phone_required
        self._hold_id: UUID | None = None  # the last hold of this form, active or not
        self._was_connected = self._drawn = self._sending = False
        self._lock = asyncio.Lock()
        reload = Throttle(self._reload)
        client.on_delete(live.watch(lambda _: reload()))
        client.on_delete(self._close)
        client.on_connect(self._connected)

    async def read(self, *, is_new_visitor: bool = False) -> None:
        """Read whether the slot is free or held by this browser.

        A new visitor has no holds, and cannot have changed the board a moment ago, so a recent reading is enough.
        """
        await (self._live.ensure_current() if is_new_visitor else self._live.read())
        await self._update(is_new_visitor=is_new_visitor)

    def draw(self) -> None:
        """Draw the form beside the summary of the session."""
        times = f"/expert/{self._expert.slug}{self._session_parameter.replace('&', '?')}"
        layout.html(Markup('<a class="crumb" href="{}">← Other times</a>').format(times))
        with ui.element("div").classes("two"):
            with ui.element("div").classes("form"):
                layout.html(Markup("Book your session"), tag="h1")
                self._clock = HoldClock(on_hold=self.hold, on_release=self.release, on_expired=self._hold_expired)
                self._notice = layout.html(Markup(""))
                self._form = BookingForm(
                    draft=self._expert.slug,
                    submission=str(uuid4()),
                    phone_required=self._phone_required,
                    by_expert=self._session_type.confirmation is Confirmation.BY_EXPERT,
                    mails=self._services.site.sends_email,
                    on_book=self.book,
                    on_typing=self.renew,
                )
            with ui.element("aside").classes("panel").props('aria-label="Your session"'):
                self._summary = layout.html(Markup("")).classes("summary")
        self._drawn = True
        self._paint()

    async def hold(self) -> None:
        """Hold the slot for this visitor, in place of any other hold of theirs; or show why that is not possible."""
        async with self._lock:
            await self._take_hold()

    async def release(self) -> None:
        """Release the slot."""
        async with self._lock:
            if self._hold_id is None:
                return
            try:
                await self._open_holds.release(self._hold_id, self._visitor.browser)
            except Unavailable as refusal:
                with self._client:
                    ui.notify(str(refusal))
                return
            self._change(HoldReleased())
            await self.read()

    async def renew(self) -> None:
        """Extend the hold, because the visitor is typing."""
        if self._state.hold_state is not HoldState.HELD or self._hold_id is None:
            return
        try:
            hold = await self._services.holds.renew(self._hold_id)
        except HoldNotFound:
            await self._hold_expired()
        except Unavailable:
            return  # further typing tries again
        else:
            self._change(HoldRenewed(hold))
            self._paint()

    async def book(self, form: dict[str, Any]) -> None:
        """Make the booking, or show why not and the nearest free times. `form` is unvalidated."""
        try:
            request = self._request_model.model_validate({**_fields(form), **self._slot_fields()})
        except ValidationError as error:
            self._form.show_errors(field_errors(error))
            return
        self._sending = True
        try:
            booking = await self._services.bookings.book(
                await self._with_hold(request),
                visitor=self._visitor.browser,
                submission=_uuid(form.get("submission")),
            )
        except Unavailable as refusal:
            self._sending = False
            self._notice.show(refusal_note(refusal, "", input_kept(), Markup("")))
            self._form.done()
        except Refusal as refusal:
            self._sending = False
            await self._show_refusal(refusal)
        except Exception:
            log.exception("could not make a booking")
            self._sending = False
            self._notice.show(internal_error())
            self._form.done()
        else:
            # `_sending` stays true: the event about this booking must not show a notice while the browser leaves.
            self._form.leave_for(f"/booking/{booking.id}")

    def change_zone(self, zone: ZoneInfo) -> None:
        """Show the times in another zone."""
        self._zone = zone
        self._paint()

    async def _connected(self) -> None:
        async with self._lock:
            if self._was_connected:
                with suppress(Unavailable):  # an event reports the changes once the database is back
                    await self.read()
                return
            self._was_connected = True
            if self._state.refusal is None:
                await self._take_hold()

    async def _take_hold(self) -> None:
        request = HoldRequest(
            expert_id=self._expert.id, session_type_id=self._session_type.id, starts_at=self._slot.starts_at
        )
        try:
            hold = await self._open_holds.take(request, self._visitor.browser, self._visitor.origin)
        except (TooManyHolds, Unavailable) as refusal:
            self._change(HoldRefused(str(refusal)))
            self._paint()
        except Refusal as refusal:
            await self._live.read()
            await self._update(refusal)
        else:
            await self._show(HoldTaken(hold))

    async def _close(self) -> None:
        if self._hold_id is not None:
            hold_id, self._hold_id = self._hold_id, None
            with suppress(Unavailable):  # then the hold expires
                await self._open_holds.close(hold_id, self._visitor.browser)

    async def _hold_expired(self) -> None:
        async with self._lock:
            with suppress(Unavailable):  # the clock in the browser asks again
                await self.read()

    async def _with_hold(self, request: BookingRequest) -> BookingRequest:
        """Return the request with the id of this form's hold, even if the hold has expired."""
        async with self._lock:  # wait for a hold that is being taken, which would block its own visitor's booking
            if self._state.hold_state is not HoldState.HELD and self._state.own_hold is not None:
                # The visitor's hold of another slot must not block the booking either.
                await self._take_hold()
        return request.model_copy(update={"hold_id": self._hold_id})

    async def _show_refusal(self, refusal: Refusal) -> None:
        self._form.done()
        await self._live.read()
        await self._update(refusal)

    async def _reload(self) -> None:
        async with self._lock:
            if not self._sending:
                await self._update()

    async def _update(self, refusal: Refusal | None = None, *, is_new_visitor: bool = False) -> None:
        """Bring the page up to date. `refusal` is what the services have just raised, if they have."""
        own = None if is_new_visitor else await self._services.holds.for_visitor(self._visitor.browser)
        if self._state.hold_state is HoldState.HELD and own is None:
            await self._live.read()  # the board may still contain this visitor's hold, as if it were someone else's
        refusal = refusal or refusal_of(self._state, own, self._board())
        own_booking = None
        if reason_of(refusal) is Reason.BUSY:
            # The visitor may have booked the time themselves, in another tab or before a reload.
            own_booking = await self._services.bookings.overlapping_for_visitor(
                self._expert.id, *self._slot.busy_span(self._board().calendar.length), self._visitor.browser
            )
        await self._show(SlotRead(own, refusal, own_booking))

    async def _show(self, event: HoldTaken | SlotRead) -> None:
        """Show the state after the event, and register the hold of this form if it has a new one."""
        self._change(event)
        own = self._state.own_hold
        # Only once connected; and another tab may have taken the hold that both now show.
        if own is not None and self._slot.is_held_by(own) and self._was_connected and self._hold_id != own.id:
            self._open_holds.open(own.id, instead_of=self._hold_id)
            self._hold_id = own.id
        self._paint()
        if self._client.is_deleted:  # the page was closed during an await
            await self._close()

    def _change(self, event: Event) -> None:
        self._state = next_state(self._state, event, self._services.clock())

    def _paint(self) -> None:
        if not self._drawn:
            return
        state = self._state
        own, held = state.own_hold, state.hold_state is HoldState.HELD
        seconds = (own.hold_until - self._services.clock()).total_seconds() if own and held else 0
        text = hold_text(state, self._shown_zone())
        self._clock.show(None if state.refusal else state.hold_state, seconds=seconds, text=text)
        self._notice.show(self._notice_html())
        board, zone = self._board(), self._shown_zone()
        summary = booking_summary(self._expert, self._session_type, board, self._slot.starts_at, zone)
        self._summary.show(summary)

    def _slot_fields(self) -> dict[str, Any]:
        zone = self._zone.key if self._zone else None
        return {
            "expert_id": self._expert.id,
            "session_type_id": self._session_type.id,
            "starts_at": self._slot.starts_at,
            "time_zone": zone,
        }

    def _board(self) -> Board:
        assert self._live.board is not None
        return self._live.board

    def _shown_zone(self) -> ZoneInfo:
        return self._zone or self._board().zone

    def _notice_html(self) -> Markup:
        state, zone, expert, starts_at = self._state, self._shown_zone(), self._expert, self._slot.starts_at
        refusal = state.refusal
        if refusal is None:
            return Markup("")
        if state.own_booking is not None:
            return already_yours(state.own_booking.id)
        free = [] if isinstance(refusal, NotFound) else self._board().nearest_open(starts_at)
        in_zone = formatting.zone_at(zone, starts_at) if free else None
        return refusal_note(
            refusal,
            _LOST_HOLD.get(state.hold_state, ""),
            what_now(reason_of(refusal), in_zone, slug=expert.slug, name=expert.name),
            alternatives(free, zone, slug=expert.slug, session=self._session_parameter),
        )


def session_of(expert: ExpertDetail, wanted: str | None) -> SessionTypeView | None:
    """Return the wanted session type, or the first one if none is named; None if it is not offered."""
    return next(
        (one for one in expert.session_types if wanted in (None, "") or str(one.id) == str(wanted).lower()), None
    )


def instant_of(text: str | None) -> datetime | None:
    """Return the instant in a link; None if it is not valid or has no offset."""
    # In a URL written by hand the `+` of the offset is not escaped, and is decoded as a space.
    try:
        return _INSTANT.validate_python((text or "").replace(" ", "+"))
    except ValidationError:
        return None


def _fields(form: dict[str, Any]) -> dict[str, Any]:
    return {name: form.get(name, "") for name in ("name", "email", "phone", "notes")}


def _uuid(text: object) -> UUID | None:
    try:
        return UUID(str(text))
    except ValueError:
        return None
