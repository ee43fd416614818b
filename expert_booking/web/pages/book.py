"""`/book/{slug}?at=…&session=…`: the form for one slot of one session type, held while it is filled in."""

import asyncio
import logging
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

from fastapi import Request
from markupsafe import Markup
from nicegui import Client, ui
from pydantic import TypeAdapter, ValidationError

from expert_booking.domain import formatting
from expert_booking.domain.calendar import MINUTE
from expert_booking.domain.errors import ExpertNotFound, HoldNotFound, NotFound, Refusal, TooManyHolds, Unavailable
from expert_booking.domain.terms import Confirmation
from expert_booking.domain.unavailability import Reason
from expert_booking.schemas import (
    BookingRequest,
    BookingRequestWithPhone,
    BookingView,
    ExpertDetail,
    HoldRequest,
    HoldView,
    Instant,
    SessionTypeView,
    field_errors,
)
from expert_booking.services import Services
from expert_booking.services.availability import Board
from expert_booking.web import error_pages, layout, page_route
from expert_booking.web.components.booking_card import when
from expert_booking.web.components.booking_form import BookingForm
from expert_booking.web.components.hold_clock import HoldClock, HoldState
from expert_booking.web.components.refusal_note import (
    alternatives,
    kept,
    our_mistake,
    reason_of,
    refusal_note,
    what_now,
    yours,
)
from expert_booking.web.live.profile_cache import ProfileCache
from expert_booking.web.live.slot_boards import LiveBoard, LiveBoards
from expert_booking.web.live.throttle import Throttle
from expert_booking.web.open_holds import OpenHolds
from expert_booking.web.visitor import network_hash, remembered_visitor, visitor_of, zone_of

log = logging.getLogger(__name__)

_AT: Final[TypeAdapter[datetime]] = TypeAdapter(Instant)
_SUMMARY: Final = Markup(
    """<div class="who"><img class="portrait" src="/portrait/{slug}.svg" width="56" height="56" alt="">
<div><b>{name}</b><span class="small soft">{session} · {minutes} min</span></div></div>{when}{terms}"""
)
_TERMS: Final = Markup('<ul class="terms">{}</ul>')
# What happened before somebody else got the time.
_BEFORE: Final = {HoldState.OVER: "Your hold is over. ", HoldState.RESCHEDULED: "You are keeping another time now. "}


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
            error_pages.not_here(
                "Which time?",
                f"This address names no time that can be read. Choose one from {expert.name}'s calendar.",
                code="no_time",
                url=f"/expert/{expert.slug}",
                way_out="Choose a time",
            )
            return
        session = session_of(expert, request.query_params.get("session"))
        if session is None:
            # Never a form for another session than the one that was wanted.
            error_pages.not_here(
                "This session is not offered",
                f"{expert.name} does not offer it at the moment. See what else there is.",
                code="session_type_not_found",
                url=f"/expert/{expert.slug}",
                way_out=f"To {expert.name}",
            )
            return
        newcomer = visitor_of(request) is None
        visitor = Visitor(remembered_visitor(request), network_hash(request, secret), zone_of(request))
        live = boards.of(expert.id, session.id)
        view = BookPage(services, open_holds, live, client, expert, session, at, visitor, phone_required=phone_required)
        await view.read(newcomer=newcomer)
        with layout.frame(f"Book {expert.name}", on_zone=view.change_zone):
            view.draw()


class Visitor(NamedTuple):
    """Who fills in the form: which browser, in which network (both as the database knows them), in which zone."""

    browser: bytes
    origin: bytes
    zone: ZoneInfo | None


class BookPage:
    """One visitor filling in the form for one slot, which is held for them while the page is open.

    Reading the page holds nothing: that happens when the page has arrived in a browser and calls back.
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
        # Where there is only one, its address needs no name.
        self._session = f"&session={session.id}" if len(expert.session_types) > 1 else ""
        self._at = at
        self._zone = visitor.zone
        self._visitor = visitor
        self._request_model = BookingRequestWithPhone if phone_required else BookingRequest
        self._phone_required = phone_required
        self._refusal: Refusal | None = None
        self._mine: BookingView | None = None
        self._keeping = HoldState.ASKING
        self._own: HoldView | None = None  # what this browser holds, be it this slot or another
        self._held_since: datetime | None = None
        self._why_alone = ""
        self._hold_id: UUID | None = None  # the last hold of this form, over or not
        self._asked = self._drawn = self._sending = False
        self._one_at_a_time = asyncio.Lock()
        look_again = Throttle(self._look_again)
        client.on_delete(live.watch(lambda _: look_again()))
        client.on_delete(self._close)
        client.on_connect(self._connected)

    async def read(self, *, newcomer: bool = False) -> None:
        """Look whether the slot is free, or this browser's own.

        A newcomer has nothing yet, nor done anything just now that news may still be on their way of.
        """
        await (self._live.ensure_current() if newcomer else self._live.read())
        await self._look(newcomer=newcomer)

    def draw(self) -> None:
        """The form beside what it is about."""
        times = f"/expert/{self._expert.slug}{self._session.replace('&', '?')}"
        layout.html(Markup('<a class="crumb" href="{}">← Other times</a>').format(times))
        with ui.element("div").classes("two"):
            with ui.element("div").classes("form"):
                layout.html(Markup("Book your session"), tag="h1")
                self._clock = HoldClock(on_keep=self.keep, on_release=self.release, on_over=self._over)
                self._notice = layout.html(Markup(""))
                self._form = BookingForm(
                    draft=self._expert.slug,
                    submission=str(uuid4()),
                    phone_required=self._phone_required,
                    by_expert=self._session_type.confirmation is Confirmation.BY_EXPERT,
                    on_book=self.book,
                    on_typing=self.renew,
                )
            with ui.element("aside").classes("panel").props('aria-label="Your session"'):
                self._summary = layout.html(Markup("")).classes("summary")
        self._drawn = True
        self._paint()

    async def keep(self) -> None:
        """Hold the slot for this visitor, instead of what else they hold; or say why not."""
        async with self._one_at_a_time:
            await self._take()

    async def release(self) -> None:
        """Let the slot go."""
        async with self._one_at_a_time:
            if self._hold_id is None:
                return
            try:
                await self._open_holds.release(self._hold_id, self._visitor.browser)
            except Unavailable as refusal:
                with self._client:
                    ui.notify(str(refusal))
                return
            self._keeping = HoldState.RELEASED
            await self.read()

    async def renew(self) -> None:
        """Somebody types: the slot is kept for longer."""
        if self._keeping is not HoldState.HELD or self._hold_id is None:
            return
        try:
            self._own = await self._services.holds.renew(self._hold_id)
        except HoldNotFound:
            await self._over()
        except Unavailable:
            return  # what is typed next tries again
        else:
            self._paint()

    async def book(self, typed: dict[str, Any]) -> None:
        """Make the booking, or say why not and what else is free."""
        try:
            request = self._request_model.model_validate({**_only_typed(typed), **self._about()})
        except ValidationError as error:
            self._form.complain(field_errors(error))
            return
        self._sending = True
        try:
            booking = await self._services.bookings.book(
                await self._with_hold(request),
                visitor=self._visitor.browser,
                submission=_number(typed.get("submission")),
            )
        except Unavailable as refusal:
            self._sending = False
            self._notice.show(refusal_note(refusal, "", kept(), Markup("")))
            self._form.rest()
        except Refusal as refusal:
            self._sending = False
            await self._refused(refusal)
        except Exception:
            log.exception("a booking failed")
            self._sending = False
            self._notice.show(our_mistake())
            self._form.rest()
        else:
            # It stays so: our own booking is news, too, but leads to another page, not to a notice.
            self._form.leave_for(f"/booking/{booking.id}")

    def change_zone(self, zone: ZoneInfo) -> None:
        """Name the times in another zone."""
        self._zone = zone
        self._paint()

    async def _connected(self) -> None:
        async with self._one_at_a_time:
            if self._asked:
                with suppress(Unavailable):  # whatever changes meanwhile is news as soon as that is over
                    await self.read()
                return
            self._asked = True
            if self._refusal is None:
                await self._take()

    async def _take(self) -> None:
        wanted = HoldRequest(expert_id=self._expert.id, session_type_id=self._session_type.id, starts_at=self._at)
        try:
            hold = await self._open_holds.take(wanted, self._visitor.browser, self._visitor.origin)
        except (TooManyHolds, Unavailable) as refusal:
            self._keeping, self._why_alone = HoldState.ALONE, str(refusal)
            self._paint()
        except Refusal as refusal:
            await self._live.read()
            await self._look(refusal)
        else:
            self._refusal = self._mine = None
            await self._stands(hold)

    async def _close(self) -> None:
        if self._hold_id is not None:
            hold_id, self._hold_id = self._hold_id, None
            with suppress(Unavailable):  # then it lapses by itself
                await self._open_holds.close(hold_id, self._visitor.browser)

    async def _over(self) -> None:
        async with self._one_at_a_time:
            with suppress(Unavailable):  # the clock asks again
                await self.read()

    async def _with_hold(self, request: BookingRequest) -> BookingRequest:
        """The same request, with the hold that keeps its time, or once did."""
        async with self._one_at_a_time:  # a hold that is just being taken must not be in its own visitor's way
            if self._keeping is not HoldState.HELD and self._own is not None:
                # Nor must what this visitor holds instead.
                await self._take()
        return request.model_copy(update={"hold_id": self._hold_id})

    async def _refused(self, refusal: Refusal) -> None:
        self._form.rest()
        await self._live.read()
        await self._look(refusal)

    async def _look_again(self) -> None:
        async with self._one_at_a_time:
            if not self._sending:
                await self._look()

    async def _look(self, refusal: Refusal | None = None, *, newcomer: bool = False) -> None:
        """See how the time stands; `refusal` is what has just been said about it."""
        own = None if newcomer else await self._services.holds.of_visitor(self._visitor.browser)
        if self._keeping is HoldState.HELD and own is None:
            await self._live.read()  # the board may still show our own hold, and would have it be somebody else's
        refusal = refusal or self._why_not(own)
        mine = None
        if reason_of(refusal) is Reason.BUSY:
            # "Somebody else" may be this very visitor: in another tab, or before a reload.
            mine = await self._services.bookings.at_for_visitor(
                self._expert.id, *self._would_keep(), self._visitor.browser
            )
        was_refused, self._refusal, self._mine = self._refusal is not None, refusal, mine
        if was_refused and refusal is None:
            self._keeping = HoldState.FREE
        await self._stands(own)

    async def _stands(self, own: HoldView | None) -> None:
        """This browser holds this, be it this slot or another one."""
        self._own = own
        if own is not None and self._is_here(own):
            if self._keeping is not HoldState.HELD:
                self._held_since = self._services.clock()
            self._keeping = HoldState.HELD
            # Reading the page is not enough; and another tab may have taken it for both.
            if self._asked and self._hold_id != own.id:
                self._open_holds.open(own.id, instead_of=self._hold_id)
                self._hold_id = own.id
        elif self._keeping in (HoldState.HELD, HoldState.RESCHEDULED):
            self._keeping = HoldState.RESCHEDULED if own else HoldState.OVER
        self._paint()
        if self._client.is_deleted:  # it was closed in the meantime
            await self._close()

    def _is_here(self, own: HoldView) -> bool:
        here = self._expert.id, self._session_type.id, self._at
        return (own.expert_id, own.session_type_id, own.starts_at) == here

    def _why_not(self, own: HoldView | None) -> Refusal | None:
        board = self._board()
        if own is not None and own.expert_id == self._expert.id:
            board = replace(board, calendar=board.calendar.without(own.starts_at))
            if self._is_here(own) and self._held_since and self._at > board.read_at:
                # Who holds a time has come in time.
                board = replace(board, read_at=self._held_since)
        return board.refusal(self._at)

    def _would_keep(self) -> tuple[datetime, datetime]:
        """The time that this session needs, buffers included."""
        length = self._board().calendar.length
        since = self._at - length.before_minutes * MINUTE
        return since, self._at + (length.minutes + length.after_minutes) * MINUTE

    def _paint(self) -> None:
        if not self._drawn:
            return
        seconds = (self._own.hold_until - self._services.clock()).total_seconds() if self._own else 0
        held = self._keeping is HoldState.HELD
        self._clock.show(None if self._refusal else self._keeping, seconds=seconds if held else 0, text=self._text())
        self._notice.show(self._notice_html())
        self._summary.show(self._summary_html())

    def _text(self) -> str:
        if self._keeping is HoldState.ALONE:
            return self._why_alone
        if self._keeping is HoldState.RESCHEDULED and self._own is not None:
            zone, start = self._shown_zone(), self._own.starts_at
            day, time = formatting.short_day(start, zone), formatting.clock_time(start, zone)
            return f"It is {day}, {time}. This one is still free."
        return ""

    def _about(self) -> dict[str, Any]:
        zone = self._zone.key if self._zone else None
        return {
            "expert_id": self._expert.id,
            "session_type_id": self._session_type.id,
            "starts_at": self._at,
            "time_zone": zone,
        }

    def _board(self) -> Board:
        assert self._live.board is not None
        return self._live.board

    def _shown_zone(self) -> ZoneInfo:
        return self._zone or self._board().zone

    def _summary_html(self) -> Markup:
        board, zone = self._board(), self._shown_zone()
        ends_at = self._at + board.minutes * MINUTE
        terms = Markup(" ").join(map(Markup("<li>{}</li>").format, self._session_type.terms.sentences()))
        return _SUMMARY.format(
            slug=self._expert.slug,
            name=self._expert.name,
            session=board.session_title,
            minutes=board.minutes,
            when=when(self._at, ends_at, zone, board.zone),
            terms=_TERMS.format(terms),
        )

    def _notice_html(self) -> Markup:
        if self._refusal is None:
            return Markup("")
        if self._mine is not None:
            return yours(self._mine.id)
        refusal, zone, about = self._refusal, self._shown_zone(), self._expert
        free = [] if isinstance(refusal, NotFound) else self._board().nearest_open(self._at)
        in_zone = formatting.zone_at(zone, self._at) if free else None
        return refusal_note(
            refusal,
            _BEFORE.get(self._keeping, ""),
            what_now(reason_of(refusal), in_zone, slug=about.slug, name=about.name),
            alternatives(free, zone, slug=about.slug, session=self._session),
        )


def session_of(expert: ExpertDetail, wanted: str | None) -> SessionTypeView | None:
    """The wanted session type, or the first one where none is named; None where it is not offered."""
    return next(
        (one for one in expert.session_types if wanted in (None, "") or str(one.id) == str(wanted).lower()), None
    )


def instant_of(text: str | None) -> datetime | None:
    """The instant in a link; None when it cannot be read, or names no offset."""
    # A `+` in an address means a space to those who wrote it by hand.
    try:
        return _AT.validate_python((text or "").replace(" ", "+"))
    except ValidationError:
        return None


def _only_typed(typed: dict[str, Any]) -> dict[str, Any]:
    return {name: typed.get(name, "") for name in ("name", "email", "phone", "notes")}


def _number(text: object) -> UUID | None:
    try:
        return UUID(str(text))
    except ValueError:
        return None
