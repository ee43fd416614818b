"""`/my-bookings`: all bookings of a proven address; without one, those made in this browser. Live, as all pages."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from fastapi import Request
from markupsafe import Markup
from nicegui import Client, ui

from expert_booking.domain.errors import Unavailable
from expert_booking.domain.formatting import UTC_ZONE
from expert_booking.domain.lifecycle import LIVE, Status
from expert_booking.schemas import BookingView, Identity
from expert_booking.services import Services
from expert_booking.services.feeds import FeedOwner
from expert_booking.web import error_pages, layout, page_route
from expert_booking.web.components.booking_card import booking_card, host_card
from expert_booking.web.components.feed_box import FeedBox
from expert_booking.web.components.mail_state import mail_mark
from expert_booking.web.components.sign_in import SignIn
from expert_booking.web.components.signed_in import signed_in
from expert_booking.web.live.throttle import Throttle
from expert_booking.web.on_return import on_return
from expert_booking.web.visitor import proof_of, remembered_visitor, zone_of

log = logging.getLogger(__name__)

_LIST: Final = Markup(
    '<section><h2>{title} <span class="soft">({number})</span></h2><ul class="list">{cards}</ul></section>'
)
_NONE: Final = Markup(
    """<div class="empty panel"><svg width="64" height="64" viewBox="0 0 64 64" fill="none" stroke="currentColor"
 stroke-width="3" stroke-linecap="round" aria-hidden="true"><rect x="10" y="14" width="44" height="40" rx="9"/>
<path d="M22 8v11M42 8v11M10 27h44"/></svg>
<h2>{title}</h2><p>{text}</p><a class="button" href="/">Find an expert</a></div>"""
)
_HERE_ONLY: Final = Markup('<p class="soft small over">These were made in this browser.</p>')
_NOTHING_TO_EXPECT: Final = Markup(
    '<section><h2>Sessions with you</h2><p class="soft over">Nothing is booked with you at the moment.</p></section>'
)
_OUR_MISTAKE: Final = "That did not work. It is our mistake, not yours. Please try again in a moment."
_SAID: Final = {
    "open": "Give it to your calendar, or open it there.",
    "renew": "This is the new address. The old one has ended.",
    "close": "It has ended.",
}
# Of an address that many experts share.
_MOST_BOXES: Final = 10


def mount(services: Services) -> None:
    """Serve the page."""

    @page_route.page("/my-bookings")
    async def mine(request: Request, client: Client) -> None:
        # A browser that was never here is known from now on: what it books in another tab is then found here.
        view = MyBookings(services, client, remembered_visitor(request), proof_of(request), zone_of(request))
        await view.begin()
        on_return(view.refresh)
        with layout.frame("My bookings", here="/my-bookings", narrow=True, on_zone=view.change_zone):
            view.draw()


@dataclass(frozen=True, slots=True)
class _Found:
    """What one look has found: who has signed in, what they booked, what others booked with them."""

    who: Identity | None = None
    booked: Sequence[BookingView] = ()
    hosted: Sequence[BookingView] = ()

    def subjects(self) -> set[UUID]:
        """What news to follow: the experts for times and statuses, the customer's bookings for their mail."""
        experts = {one.id for one in self.who.experts} if self.who else set()
        return experts | {b.expert_id for b in self.booked} | {b.id for b in self.booked}


class MyBookings:
    """A customer's bookings, and a host's; followed while the page is open."""

    def __init__(
        self, services: Services, client: Client, visitor: bytes, proof: str | None, zone: ZoneInfo | None
    ) -> None:
        self._services = services
        self._client = client
        self._visitor = visitor
        self._proof = proof
        self._zone = zone or UTC_ZONE
        self._found = _Found()
        self._drawn_for: Identity | None = None
        self._following: set[UUID] = set()
        self._unfollow: list[Callable[[], None]] = []
        # Look again soon.
        self.refresh = Throttle(self._read_and_show)
        client.on_delete(self._end)
        client.on_connect(self.refresh)

    async def begin(self) -> None:
        """See whose bookings these are, and which."""
        await self._read()

    def draw(self) -> None:
        """Whose they are or how to sign in, what to answer, what was booked, and the calendars."""
        layout.html(Markup("My bookings"), tag="h1").classes("over")
        self._top = ui.element("div")
        self._hosted = layout.html(self._hosted_html())
        self._list = layout.html(self._list_html())
        self._feeds = ui.element("div")
        self._draw_for(self._found.who)

    def change_zone(self, zone: ZoneInfo) -> None:
        """Name the times in another zone."""
        self._zone = zone
        self._show()

    async def _read_and_show(self) -> None:
        await self._read()
        if self._client.is_deleted:
            return
        if self._found.who != self._drawn_for:
            self._draw_for(self._found.who)
        self._show()

    def _show(self) -> None:
        self._hosted.show(self._hosted_html())
        self._list.show(self._list_html())

    def _draw_for(self, who: Identity | None) -> None:
        self._drawn_for = who
        self._top.clear()
        self._feeds.clear()
        with self._top:
            if who is not None:
                layout.html(signed_in(who.email))
            else:
                SignIn(next_path="", title="See all your bookings", mails=self._services.site.mails)
        if who is not None:
            with self._feeds:
                self._draw_feeds(who)

    def _draw_feeds(self, who: Identity) -> None:
        layout.html(Markup("In your calendar"), tag="h2").classes("feeds")
        self._feed_box("My bookings", FeedOwner(customer_key=who.customer_key))
        for expert in who.experts[:_MOST_BOXES]:
            self._feed_box(f"Sessions with {expert.name}", FeedOwner(expert_id=expert.id))

    def _feed_box(self, title: str, owner: FeedOwner) -> None:
        async def wish(what: str) -> None:
            await self._feed(what, owner, box)

        box = FeedBox(title=title, on_wish=wish)

    async def _feed(self, what: str, owner: FeedOwner, box: FeedBox) -> None:
        try:
            if not await self._may(owner):
                self.refresh()
                return
            feeds = self._services.feeds
            url = ""
            if what == "close":
                await feeds.close(owner)
            else:
                url = await (feeds.renew(owner) if what == "renew" else feeds.open(owner))
        except Unavailable as refusal:
            box.rest(str(refusal))
        except Exception:
            log.exception("a calendar's address could not be changed")
            box.rest(_OUR_MISTAKE + error_pages.found_by())
        else:
            box.show(url, _SAID[what])

    async def _may(self, owner: FeedOwner) -> bool:
        """Whether who has signed in still has, and this calendar is theirs."""
        who = await self._who()
        if who is None:
            return False
        return owner.customer_key == who.customer_key or owner.expert_id in {one.id for one in who.experts}

    async def _who(self) -> Identity | None:
        return await self._services.access.who(self._proof) if self._proof else None

    async def _read(self) -> None:
        found = await self._look()
        if self._client.is_deleted:
            return
        if found.subjects() != self._following:
            self._follow(found.subjects())
            # Follow first, read afterwards: what happened in between is then seen.
            found = await self._look()
        self._found = found

    async def _look(self) -> _Found:
        bookings, who = self._services.bookings, await self._who()
        if who is None:
            return _Found(booked=await bookings.of_visitor(self._visitor))
        hosted = await bookings.of_experts([one.id for one in who.experts]) if who.experts else ()
        return _Found(who, await bookings.of_customer(who.customer_key), hosted)

    def _follow(self, subjects: set[UUID]) -> None:
        self._end()
        self._following = subjects
        self._unfollow = [self._services.bus.subscribe(subject, self.refresh) for subject in subjects]

    def _end(self) -> None:
        for unsubscribe in self._unfollow:
            unsubscribe()
        self._unfollow = []

    def _hosted_html(self) -> Markup:
        who, hosted = self._found.who, self._found.hosted
        if who is None or not who.experts:
            return Markup("")
        if not hosted:
            return _NOTHING_TO_EXPECT
        now = self._services.clock()
        to_answer = [b for b in hosted if b.status is Status.PENDING and b.starts_at > now]
        ahead = [b for b in hosted if b not in to_answer]
        card = partial(host_card, zone=self._zone)
        return _section("Requests to answer", [card(b) for b in to_answer]) + _section(
            "Sessions with you", [card(b) for b in ahead]
        )

    def _list_html(self) -> Markup:
        found = self._found
        if not found.booked:
            return Markup("") if found.hosted else self._none()
        now = self._services.clock()
        upcoming = [b for b in reversed(found.booked) if b.ends_at > now and b.status in LIVE]
        past = [b for b in found.booked if b not in upcoming]
        where = Markup("") if found.who else _HERE_ONLY
        return (
            where
            + _section("Upcoming", [self._card(b, past=False) for b in upcoming])
            + _section("Past and cancelled", [self._card(b, past=True) for b in past])
        )

    def _none(self) -> Markup:
        if self._found.who is not None:
            return _NONE.format(title="No bookings yet", text="What you book with this address, you find here.")
        return _NONE.format(
            title="Nothing booked here yet", text="When you book a time in this browser, you find it here again."
        )

    def _card(self, booking: BookingView, *, past: bool) -> Markup:
        mail = Markup("") if past or not self._services.site.mails else mail_mark(booking)
        return booking_card(booking, self._zone, past=past, mail=mail)


def _section(title: str, cards: Sequence[Markup]) -> Markup:
    if not cards:
        return Markup("")
    return _LIST.format(title=title, number=len(cards), cards=Markup("").join(cards))
