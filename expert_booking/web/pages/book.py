"""`/book/{slug}?at=…&session=…`: the form for one slot of one session type."""

import logging
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

from fastapi import Request
from markupsafe import Markup
from nicegui import Client, ui
from pydantic import TypeAdapter, ValidationError

from expert_booking.domain.calendar import MINUTE, Slot
from expert_booking.domain.errors import ExpertNotFound, NotFound, Refusal, SlotNotOffered, SlotTaken
from expert_booking.domain.obstacles import Reason
from expert_booking.schemas import (
    BookingRequest,
    BookingRequestWithPhone,
    BookingView,
    ExpertDetail,
    Instant,
    SessionTypeView,
    complaints,
)
from expert_booking.services import Services
from expert_booking.services.availability import Board
from expert_booking.web import refusals, theme, words
from expert_booking.web.live import Coalesced, LiveBoard, LiveBoards
from expert_booking.web.parts.booking_card import when
from expert_booking.web.parts.booking_form import BookingForm
from expert_booking.web.visitor import remembered_visitor, zone_of

log = logging.getLogger(__name__)

ALTERNATIVES: Final = 6
_AT: Final[TypeAdapter[datetime]] = TypeAdapter(Instant)
_SUMMARY: Final = Markup(
    """<div class="who"><img class="portrait" src="/portrait/{slug}.svg" width="56" height="56" alt="">
<div><b>{name}</b><span class="small soft">{session} · {minutes} min</span></div></div>{when}"""
)
_NOTICE: Final = Markup(
    """<div class="note warn" role="alert" data-refusal="{code}"{reason}><strong>{title}</strong>{text}{alternatives}
</div>"""
)
_REASON: Final = Markup(' data-reason="{}"')
_ALTERNATIVE: Final = Markup(
    '<a href="/book/{slug}?at={at}{session}" data-alternative="{at}">{time}<small>{day}</small></a>'
)
_KEPT: Final = Markup("Nothing you typed is lost. ")
_OTHER_SESSIONS: Final = Markup('<a href="/expert/{slug}">See what else {name} offers.</a>')
_YOURS: Final = Markup(
    """<div class="note" role="alert" data-refusal="yours"><strong>You have booked this time.</strong>
<a href="/booking/{id}">Here is your booking.</a></div>"""
)
_OUR_MISTAKE: Final = Markup(
    """<div class="note bad" role="alert"><strong>That did not work.</strong>It is our mistake, not yours. Please try
again in a moment; nothing you typed is lost, and it will not be booked twice.</div>"""
)


def mount(services: Services, boards: LiveBoards, *, phone_required: bool) -> None:
    """Serve the page."""

    @ui.page("/book/{slug}")
    async def book(slug: str, request: Request, client: Client) -> None:
        try:
            expert = await services.experts.profile(slug)
        except ExpertNotFound:
            refusals.expert_not_found()
            return
        at = instant_of(request.query_params.get("at"))
        if at is None:
            refusals.not_here(
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
            refusals.not_here(
                "This session is not offered",
                f"{expert.name} does not offer it at the moment. See what else there is.",
                code="session_type_not_found",
                url=f"/expert/{expert.slug}",
                way_out=f"To {expert.name}",
            )
            return
        live = boards.of(expert.id, session.id)
        view = BookingDesk(services, live, client, expert, session, at, request, phone_required=phone_required)
        await view.read()
        with theme.frame(f"Book {expert.name}", on_zone=view.change_zone):
            view.draw()


class BookingDesk:
    """One visitor filling in the form for one slot, followed while the page is open."""

    def __init__(
        self,
        services: Services,
        live: LiveBoard,
        client: Client,
        expert: ExpertDetail,
        session: SessionTypeView,
        at: datetime,
        request: Request,
        *,
        phone_required: bool,
    ) -> None:
        self._services = services
        self._live = live
        self._expert = expert
        self._session_type_id = session.id
        # Where there is only one, its address needs no name.
        self._session = f"&session={session.id}" if len(expert.session_types) > 1 else ""
        self._at = at
        self._zone = zone_of(request)
        self._visitor = remembered_visitor(request)
        self._request_model = BookingRequestWithPhone if phone_required else BookingRequest
        self._phone_required = phone_required
        self._refusal: Refusal | None = None
        self._mine: BookingView | None = None
        self._notice: ui.html | None = None
        self._sending = False
        look_again = Coalesced(self._look_again)
        client.on_delete(live.watch(lambda _: look_again()))

    async def read(self) -> None:
        """Look whether the slot is free."""
        await self._live.read()
        await self._take_in(self._board().refusal(self._at))

    def draw(self) -> None:
        """The form beside what it is about."""
        times = f"/expert/{self._expert.slug}{self._session.replace('&', '?')}"
        theme.html(Markup('<a class="crumb" href="{}">← Other times</a>').format(times))
        with ui.element("div").classes("two"):
            with ui.element("div").classes("form"):
                theme.html(Markup("Book your session"), tag="h1")
                self._notice = theme.html(self._notice_html())
                self._form = BookingForm(
                    draft=self._expert.slug,
                    submission=str(uuid4()),
                    phone_required=self._phone_required,
                    on_book=self.book,
                )
            with ui.element("aside").classes("panel").props('aria-label="Your session"'):
                self._summary = theme.html(self._summary_html()).classes("summary")

    async def book(self, typed: dict[str, Any]) -> None:
        """Make the booking, or say why not and what else is free."""
        try:
            request = self._request_model.model_validate({**_only_typed(typed), **self._about()})
        except ValidationError as error:
            self._form.complain(complaints(error))
            return
        self._sending = True
        try:
            booking = await self._services.bookings.book(
                request, visitor=self._visitor, submission=_number(typed.get("submission"))
            )
        except Refusal as refusal:
            await self._refused(refusal)
        except Exception:
            log.exception("a booking failed")
            if self._notice is not None:
                self._notice.set_content(_OUR_MISTAKE)
            self._form.rest()
        else:
            self._form.leave_for(f"/booking/{booking.id}")
            return
        finally:
            self._sending = False

    def change_zone(self, zone: ZoneInfo) -> None:
        """Name the times in another zone."""
        self._zone = zone
        self._paint()

    async def _refused(self, refusal: Refusal) -> None:
        self._form.rest()
        await self._live.read()
        await self._take_in(refusal)

    async def _look_again(self) -> None:
        # Our own booking is news, too; it leads to another page, not to a notice.
        if not self._sending:
            await self._take_in(self._board().refusal(self._at))

    async def _take_in(self, refusal: Refusal | None) -> None:
        # "Somebody else" may be this very visitor: in another tab, or before a reload.
        self._refusal, self._mine = refusal, None
        if isinstance(refusal, SlotTaken):
            self._mine = await self._services.bookings.at_for_visitor(
                self._expert.id, *self._would_keep(), self._visitor
            )
        self._paint()

    def _would_keep(self) -> tuple[datetime, datetime]:
        """The time that this session needs, buffers included."""
        length = self._board().calendar.length
        since = self._at - length.before_minutes * MINUTE
        return since, self._at + (length.minutes + length.after_minutes) * MINUTE

    def _paint(self) -> None:
        if self._notice is not None:  # the page may still be in the making
            self._notice.set_content(self._notice_html())
            self._summary.set_content(self._summary_html())

    def _about(self) -> dict[str, Any]:
        zone = self._zone.key if self._zone else None
        return {
            "expert_id": self._expert.id,
            "session_type_id": self._session_type_id,
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
        return _SUMMARY.format(
            slug=self._expert.slug,
            name=self._expert.name,
            session=board.session_title,
            minutes=board.minutes,
            when=when(self._at, ends_at, zone, board.zone),
        )

    def _notice_html(self) -> Markup:
        if self._refusal is None:
            return Markup("")
        if self._mine is not None:
            return _YOURS.format(id=self._mine.id)
        refusal = self._refusal
        reason = refusal.obstacle.reason if isinstance(refusal, SlotTaken | SlotNotOffered) else None
        free = [] if isinstance(refusal, NotFound) else self._board().nearest_open(self._at, ALTERNATIVES)
        return _NOTICE.format(
            code=refusal.code,
            reason=_REASON.format(reason) if reason else "",
            title=str(refusal),
            text=self._what_now(reason, any_free=bool(free)),
            alternatives=self._alternatives(free),
        )

    def _what_now(self, reason: Reason | None, *, any_free: bool) -> Markup:
        # These come up while somebody types; the others are there before the first letter.
        kept = _KEPT if reason in (Reason.BUSY, Reason.DAY_FULL, Reason.INACTIVE) else Markup("")
        if any_free:
            zone = words.zone_at(self._shown_zone(), self._at)
            return kept + Markup("The nearest free times, in {}:").format(zone)
        if reason in (Reason.INACTIVE, None):
            return kept + _OTHER_SESSIONS.format(slug=self._expert.slug, name=self._expert.name)
        return kept + "At the moment no other time is free."

    def _alternatives(self, free: Sequence[Slot]) -> Markup:
        zone = self._shown_zone()
        links = (
            _ALTERNATIVE.format(
                slug=self._expert.slug,
                at=words.iso(slot.starts_at),
                session=self._session,
                time=words.clock_time(slot.starts_at, zone),
                day=words.short_day(slot.starts_at, zone),
            )
            for slot in free
        )
        return Markup('<div class="alternatives">{}</div>').format(Markup("").join(links)) if free else Markup("")


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
