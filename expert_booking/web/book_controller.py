"""Carry out what a visitor does on a booking page, and keep the page up to date while it is open."""

import asyncio
import logging
from contextlib import suppress
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from nicegui import Client, ui
from pydantic import ValidationError

from expert_booking.domain.errors import (
    BookingLimitReached,
    FieldsWrong,
    HoldNotFound,
    Refusal,
    TooManyBookings,
    TooManyHolds,
    Unavailable,
)
from expert_booking.domain.time_zones import country_of
from expert_booking.domain.unavailability import Reason
from expert_booking.schemas import (
    BookingRequest,
    Caller,
    ExpertDetail,
    FieldError,
    HoldRequest,
    Role,
    SessionTypeView,
    field_errors,
)
from expert_booking.services import Services
from expert_booking.services.availability import Board
from expert_booking.web.book_state import (
    BookState,
    Event,
    FormSlot,
    HoldRefused,
    HoldReleased,
    HoldRenewed,
    HoldState,
    HoldTaken,
    LimitExceeded,
    SlotRead,
    next_state,
    refusal_of,
)
from expert_booking.web.book_view import BookView
from expert_booking.web.components.booking_form import fields_of, phone_hint, submission_of
from expert_booking.web.components.refusal_note import reason_of
from expert_booking.web.live.slot_boards import LiveBoard
from expert_booking.web.live.throttle import Throttle
from expert_booking.web.open_holds import OpenHolds

log = logging.getLogger(__name__)


class Visitor(NamedTuple):
    """The visitor who fills in the form: hashes of their browser's key and network, their time zone and their proof."""

    browser: bytes
    origin: bytes
    zone: ZoneInfo | None
    proof: str | None


class BookController:
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
        request_model: type[BookingRequest],
    ) -> None:
        self._services = services
        self._open_holds = open_holds
        self._live = live
        self._client = client
        self._expert = expert
        self._session_type = session
        self._slot = FormSlot(expert.id, session.id, at)
        self._state = BookState(self._slot)
        self._view = BookView(expert, session)
        self._zone = visitor.zone
        self._visitor = visitor
        self._request_model = request_model
        self._hold_id: UUID | None = None  # the last hold of this form, active or not
        self._was_connected = self._sending = False
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
        self._view.draw(
            phone_required=self._request_model.model_fields["phone"].is_required(),
            phone_hint=self._phone_hint(),
            mails=self._services.site.sends_email,
            on_hold=self.hold,
            on_release=self.release,
            on_expired=self._hold_expired,
            on_typing=self.renew,
            on_book=self.book,
        )
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
            fields = {**fields_of(form), **await self._view.asked(), **self._slot_fields()}
            request = self._request_model.model_validate(fields)
            self._sending = True
            booking = await self._services.bookings.book(
                await self._with_hold(request),
                visitor=self._visitor.browser,
                submission=submission_of(form),
                origin=self._visitor.origin,
                caller=await self._caller(),
            )
        except ValidationError as error:
            self._view.show_errors(field_errors(error))
        except FieldsWrong as refusal:
            self._sending = False
            await self._show_wrong_fields(refusal)
        except Unavailable as refusal:
            self._sending = False
            self._view.show_unavailable(refusal)
        except (TooManyBookings, BookingLimitReached) as limit:
            self._sending = False
            self._view.form.done()
            self._change(LimitExceeded(limit))
            self._paint()
            self._view.form.show_notice()
        except Refusal as refusal:
            self._sending = False
            await self._show_refusal(refusal)
        except Exception:
            log.exception("could not make a booking")
            self._sending = False
            self._view.show_internal_error()
        else:
            # `_sending` stays true: the event about this booking must not show a notice while the browser leaves.
            self._view.leave_for(f"/booking/{booking.id}")

    def change_zone(self, zone: ZoneInfo) -> None:
        """Show the times in another zone."""
        self._zone = zone
        self._view.form.show_phone_hint(self._phone_hint())
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

    async def _caller(self) -> Caller | None:
        """What this browser has proven, if it has signed in: the expert's address, an admin's or a customer's."""
        identity = await self._services.access.identity_of_proof(self._visitor.proof) if self._visitor.proof else None
        if identity is None:
            return None
        return identity.host_of(self._expert.id) or Caller(role=Role.CUSTOMER, customer_key=identity.customer_key)

    async def _show_refusal(self, refusal: Refusal) -> None:
        self._view.form.done()
        await self._live.read()
        await self._update(refusal)

    async def _show_wrong_fields(self, refusal: FieldsWrong) -> None:
        # The expert may have changed the questions since the page was last painted.
        await self._live.read()
        self._paint()
        self._view.show_errors([FieldError(field=field, message=text) for field, text in refusal.errors.items()])

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
        board = self._board()
        self._view.show(self._state, board, self._shown_zone(), self._services.clock())
        self._view.ask(
            next((one for one in board.session_types if one.id == self._session_type.id), self._session_type)
        )

    def _phone_hint(self) -> str:
        zone = self._zone.key if self._zone else None
        return phone_hint(country_of(zone) or self._request_model.default_region)

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
