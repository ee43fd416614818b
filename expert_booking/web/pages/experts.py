"""`/`: the list of experts."""

from collections.abc import Callable, Mapping
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from fastapi import Request
from nicegui import Client
from pydantic import ValidationError

from expert_booking.domain.errors import Invalid
from expert_booking.schemas import ExpertPage, ExpertQuery, field_errors
from expert_booking.services import Services
from expert_booking.web import layout, page_route
from expert_booking.web.components.expert_cards import ExpertCards, result_of
from expert_booking.web.components.raw_html import RawHtml, plain_json
from expert_booking.web.live import rooms
from expert_booking.web.live.listing_cache import CachedListing, ListingCache, ListingKey
from expert_booking.web.live.next_free import NextFree, NextFreeKey
from expert_booking.web.visitor import visitor_of, zone_of

PAGE_LENGTH: Final = 12
# The sequence number of a result that the server sends unasked: newer than any search the visitor may have sent.
NEWEST: Final = 1_000_000_000
_PARAMETERS: Final = ("search", "category", "language", "minutes", "minRating", "freeOn", "freeBefore", "sort", "page",
                "after", "before")  # fmt: skip
_HERO: Final = plain_json(
    """<h1>Find the right person to talk to</h1>
<p>See who is free, in your time zone, and book in under a minute. No account needed.</p>"""
)


def mount(services: Services, next_free: NextFree, listings: ListingCache) -> None:
    """Serve the page."""

    @page_route.page("/")
    async def listing(request: Request, client: Client) -> None:
        page = ListingPage(services, next_free, client, zone_of(request), query_of(_parameters(request)))
        with layout.frame("", here="/", on_zone=page.change_zone):
            RawHtml(_HERO).classes("hero")
            page.cards = ExpertCards(on_search=page.search)
        # A returning visitor may have just booked, and the event may not have reached the cache yet.
        await page.load(listings if visitor_of(request) is None else None)


class ListingPage:
    """One visitor's view of the list. It updates while the page is open."""

    cards: ExpertCards

    def __init__(
        self, services: Services, next_free: NextFree, client: Client, zone: ZoneInfo | None, query: ExpertQuery
    ) -> None:
        self._services = services
        self._next_free = next_free
        self._client = client
        self._zone = zone
        self._query = query
        self._rooms: list[str] = []
        self._unsubscribe: Callable[[], None] = lambda: None
        self._connections = 0
        self._delivered = 0
        client.on_connect(self._connected)
        client.on_delete(lambda: self._unsubscribe())

    async def load(self, listings: ListingCache | None) -> None:
        """Deliver the page with its first result, or with skeletons until the visitor's zone is known.

        The result may come from the cache, if one is given.
        """
        listing = await self._first_listing(self._zone, listings) if self._zone else None
        self._delivered = listing.version if listing else self._next_free.version
        self.cards.load(self._query, listing.result if listing else None)

    async def search(self, wanted: dict[str, Any]) -> None:
        """Show the result of another search. `wanted` holds unvalidated URL parameters and the number `ask`."""
        self._query = query_of(wanted)
        ask = wanted.get("ask")
        await self._show(ask if isinstance(ask, int) else 0)

    async def change_zone(self, zone: ZoneInfo) -> None:
        """Show everything in another zone."""
        if zone != self._zone:
            self._zone = zone
            await self._show(NEWEST)

    async def _connected(self) -> None:
        await rooms.enter(self._client, self._rooms)
        self._connections += 1
        if self._connections > 1 or self._next_free.version != self._delivered:
            await self._show(NEWEST)

    async def _show(self, ask: int) -> None:
        if self._zone is not None:  # otherwise the result is sent once the zone is known
            self.cards.show(await self._result(self._zone, ask))

    async def _first_listing(self, zone: ZoneInfo, listings: ListingCache | None) -> CachedListing:
        key = ListingKey(self._query, zone.key)
        listing = listings.get(key, self._next_free.version) if listings is not None else None
        if listing is not None:
            await self._subscribe(listing.ids, NextFreeKey(zone, self._query.minutes))
            return listing
        reading = listings.start_reading() if listings is not None else None
        result = await self._result(zone)
        ids = [UUID(expert["id"]) for expert in result["experts"]]
        listing = CachedListing(ids, result["version"], plain_json(result))
        if listings is not None and reading is not None and not result["note"]:
            listings.put(key, listing, reading)
        return listing

    async def _result(self, zone: ZoneInfo, ask: int = 0) -> dict[str, Any]:
        page, note = await self._search(zone)
        ids = [expert.id for expert in page.experts]
        # Subscribe before reading the times, so that no change in between is missed.
        key = NextFreeKey(zone, self._query.minutes)
        await self._subscribe(ids, key)
        version = self._next_free.version
        free = await self._services.availability.next_open(ids, key.minutes)
        now = self._services.clock()
        return result_of(page, free, self._query, zone, now, version=version, ask=ask, note=note)

    async def _search(self, zone: ZoneInfo) -> tuple[ExpertPage, str]:
        """Return the experts found, and a note if an outdated part of the query (such as a past day) was dropped."""
        query = self._query.model_copy(update={"time_zone": zone.key, "facets": True})
        try:
            return await self._services.experts.find_without_times(query), ""
        except Invalid as refusal:
            outdated = {"free_on": None, "free_before": None, "after": None, "before": None, "page": 1}
            self._query = self._query.model_copy(update=outdated)
            return await self._services.experts.find_without_times(query.model_copy(update=outdated)), str(refusal)

    async def _subscribe(self, ids: list[UUID], key: NextFreeKey) -> None:
        old_rooms, self._rooms = self._rooms, [self._next_free.room(expert_id, key) for expert_id in ids]
        unsubscribe, self._unsubscribe = self._unsubscribe, self._next_free.subscribe(ids, key)
        unsubscribe()
        await rooms.leave(self._client, old_rooms)
        await rooms.enter(self._client, self._rooms)


def query_of(wanted: Mapping[str, Any]) -> ExpertQuery:
    """Return the query of a URL or of the search form. Invalid parameters are ignored."""
    valid = {name: wanted[name] for name in _PARAMETERS if wanted.get(name) not in (None, "")}
    while True:
        try:
            return ExpertQuery(**valid, limit=PAGE_LENGTH)
        except ValidationError as error:
            wrong = {field_error.field.partition(".")[0] for field_error in field_errors(error)}
            valid = {name: valid[name] for name in valid.keys() - wrong} if wrong & valid.keys() else {}


def _parameters(request: Request) -> dict[str, Any]:
    return {**request.query_params, "category": request.query_params.getlist("category")}
