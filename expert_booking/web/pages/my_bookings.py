"""`/my-bookings`: all bookings of a proven email address, or without one, those made in this browser."""

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
from expert_booking.domain.lifecycle import LIVE, RESCHEDULABLE, Status
from expert_booking.schemas import BookingView, Identity, OwnExpert
from expert_booking.services import Services
from expert_booking.services.feeds import FeedOwner
from expert_booking.web import error_pages, layout, page_route
from expert_booking.web.components.booking_card import booking_card, host_card
from expert_booking.web.components.feed_box import FEED_MESSAGES, FeedBox
from expert_booking.web.components.mail_state import mail_mark
from expert_booking.web.components.my_data import MyData
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
_THIS_BROWSER_ONLY: Final = Markup('<p class="soft small over">Bookings made in this browser.</p>')
_NO_SESSIONS: Final = Markup(
    '<section><h2>Sessions with you</h2><p class="soft over">No sessions booked with you at the moment.</p></section>'
)
_CONSOLE: Final = Markup('<p class="over"><a class="button quiet" href="/console">Open your console</a></p>')
# For an email address that many experts share.
_MAX_FEED_BOXES: Final = 10


def mount(services: Services) -> None:
    """Serve the page."""

    @page_route.page("/my-bookings")
    async def mine(request: Request, client: Client) -> None:
        # Remembers a new browser, so that a booking made in another tab appears here.
        view = MyBookingsPage(services, client, remembered_visitor(request), proof_of(request), zone_of(request))
        await view.load()
        on_return(view.refresh)
        with layout.frame("My bookings", here="/my-bookings", narrow=True, on_zone=view.change_zone):
            view.draw()


@dataclass(frozen=True, slots=True)
class _Bookings:
    """Who has signed in, what they booked, and what others booked with them."""

    identity: Identity | None = None
    booked: Sequence[BookingView] = ()
    hosted: Sequence[BookingView] = ()

    def subjects(self) -> set[UUID]:
        """Return the subjects to subscribe to: experts for times and statuses, bookings for their emails."""
        experts = {one.id for one in self.identity.experts} if self.identity else set()
        return experts | {b.expert_id for b in self.booked} | {b.id for b in self.booked}


class MyBookingsPage:
    """A customer's bookings, and a host's. The lists update while the page is open."""

    def __init__(
        self, services: Services, client: Client, visitor: bytes, proof: str | None, zone: ZoneInfo | None
    ) -> None:
        self._services = services
        self._client = client
        self._visitor = visitor
        self._proof = proof
        self._zone = zone or UTC_ZONE
        self._bookings = _Bookings()
        self._drawn_for: Identity | None = None
        self._my_data: MyData | None = None
        self._subscribed: set[UUID] = set()
        self._subscriptions: list[Callable[[], None]] = []
        self.refresh = Throttle(self._reload)
        client.on_delete(self._unsubscribe)
        client.on_connect(self.refresh)

    async def load(self) -> None:
        """Read who has signed in and the bookings."""
        await self._read()

    def draw(self) -> None:
        """Draw the sign-in box or the address, the lists of bookings, the calendar feeds, and the customer's data."""
        layout.html(Markup("My bookings"), tag="h1").classes("over")
        self._top = ui.element("div")
        self._hosted = layout.html(self._hosted_html())
        self._list = layout.html(self._list_html())
        self._feeds = ui.element("div")
        self._data = ui.element("div")
        self._draw_for(self._bookings.identity)

    def change_zone(self, zone: ZoneInfo) -> None:
        """Show the times in another zone."""
        self._zone = zone
        self._show()

    async def _reload(self) -> None:
        await self._read()
        if self._client.is_deleted:
            return
        if self._bookings.identity != self._drawn_for:
            self._draw_for(self._bookings.identity)
        self._show()

    def _show(self) -> None:
        self._hosted.show(self._hosted_html())
        self._list.show(self._list_html())
        self._show_upcoming()

    def _show_upcoming(self) -> None:
        if self._my_data is not None:
            self._my_data.show(sum(map(self._is_cancellable, self._bookings.booked)))

    def _draw_for(self, identity: Identity | None) -> None:
        self._drawn_for = identity
        self._top.clear()
        self._feeds.clear()
        self._data.clear()
        self._my_data = None
        with self._top:
            if identity is not None:
                layout.html(signed_in(identity.email))
            else:
                SignIn(next_path="", title="See all your bookings", mails=self._services.site.sends_email)
        if identity is not None:
            with self._feeds:
                self._draw_feeds(identity)
            with self._data:
                self._my_data = MyData(email=identity.email, is_host=identity.admin or bool(identity.experts))
            self._show_upcoming()

    def _draw_feeds(self, identity: Identity) -> None:
        layout.html(Markup("In your calendar"), tag="h2").classes("feeds")
        self._feed_box("My bookings", FeedOwner(customer_key=identity.customer_key))
        for expert in _own(identity)[:_MAX_FEED_BOXES]:
            self._feed_box(f"Sessions with {expert.name}", FeedOwner(expert_id=expert.id))

    def _feed_box(self, title: str, owner: FeedOwner) -> None:
        async def act(action: str) -> None:
            await self._change_feed(action, owner, box)

        box = FeedBox(title=title, on_action=act)

    async def _change_feed(self, action: str, owner: FeedOwner, box: FeedBox) -> None:
        try:
            if not await self._may_change(owner):
                self.refresh()
                return
            feeds = self._services.feeds
            url = ""
            if action == "close":
                await feeds.close(owner)
            else:
                url = await (feeds.renew(owner) if action == "renew" else feeds.open(owner))
        except Unavailable as refusal:
            box.done(str(refusal))
        except Exception:
            log.exception("could not change the address of a calendar feed")
            box.done(error_pages.INTERNAL_ERROR + error_pages.error_reference())
        else:
            box.show(url, FEED_MESSAGES[action])

    async def _may_change(self, owner: FeedOwner) -> bool:
        """Whether the visitor is still signed in and the feed is theirs."""
        identity = await self._identity()
        if identity is None:
            return False
        return owner.customer_key == identity.customer_key or owner.expert_id in {one.id for one in _own(identity)}

    async def _identity(self) -> Identity | None:
        return await self._services.access.identity_of_proof(self._proof) if self._proof else None

    async def _read(self) -> None:
        bookings = await self._query()
        if self._client.is_deleted:
            return
        if bookings.subjects() != self._subscribed:
            self._subscribe(bookings.subjects())
            # Read again after subscribing, so that no change in between is missed.
            bookings = await self._query()
        self._bookings = bookings

    async def _query(self) -> _Bookings:
        bookings, identity = self._services.bookings, await self._identity()
        if identity is None:
            return _Bookings(booked=await bookings.for_visitor(self._visitor))
        hosted = await bookings.for_experts([one.id for one in identity.experts]) if identity.experts else ()
        return _Bookings(identity, await bookings.for_customer(identity.customer_key), hosted)

    def _subscribe(self, subjects: set[UUID]) -> None:
        self._unsubscribe()
        self._subscribed = subjects
        self._subscriptions = [self._services.bus.subscribe(subject, self.refresh) for subject in subjects]

    def _unsubscribe(self) -> None:
        for unsubscribe in self._subscriptions:
            unsubscribe()
        self._subscriptions = []

    def _hosted_html(self) -> Markup:
        identity, hosted = self._bookings.identity, self._bookings.hosted
        if identity is None or not identity.experts:
            return Markup("")
        if not hosted:
            return _CONSOLE + _NO_SESSIONS
        now = self._services.clock()
        to_answer = [b for b in hosted if b.status is Status.PENDING and b.starts_at > now]
        ahead = [b for b in hosted if b not in to_answer]
        card = partial(host_card, zone=self._zone)
        return (
            _CONSOLE
            + _section("Requests to answer", [card(b) for b in to_answer])
            + _section("Sessions with you", [card(b) for b in ahead])
        )

    def _list_html(self) -> Markup:
        bookings = self._bookings
        if not bookings.booked:
            return Markup("") if bookings.hosted else self._none()
        upcoming = [b for b in reversed(bookings.booked) if self._is_upcoming(b)]
        past = [b for b in bookings.booked if b not in upcoming]
        scope = Markup("") if bookings.identity else _THIS_BROWSER_ONLY
        return (
            scope
            + _section("Upcoming", [self._card(b, past=False) for b in upcoming])
            + _section("Past and cancelled", [self._card(b, past=True) for b in past])
        )

    def _is_upcoming(self, booking: BookingView) -> bool:
        return booking.ends_at > self._services.clock() and booking.status in LIVE

    def _is_cancellable(self, booking: BookingView) -> bool:
        return booking.starts_at > self._services.clock() and booking.status in RESCHEDULABLE

    def _none(self) -> Markup:
        if self._bookings.identity is not None:
            return _NONE.format(title="No bookings yet", text="Bookings made with this address appear here.")
        return _NONE.format(title="No bookings yet", text="Bookings you make in this browser appear here.")

    def _card(self, booking: BookingView, *, past: bool) -> Markup:
        mail = Markup("") if past or not self._services.site.sends_email else mail_mark(booking)
        return booking_card(booking, self._zone, past=past, mail=mail)


def _own(identity: Identity) -> Sequence[OwnExpert]:
    """The experts whose own address this is. A feed's address works on its own, so assistants do not get it."""
    return [one for one in identity.experts if not one.is_assisted]


def _section(title: str, cards: Sequence[Markup]) -> Markup:
    if not cards:
        return Markup("")
    return _LIST.format(title=title, number=len(cards), cards=Markup("").join(cards))
