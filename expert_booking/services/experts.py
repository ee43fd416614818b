"""The catalogue of experts: search, profiles and adding experts."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from time import perf_counter
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from expert_booking.db import availability as calendars
from expert_booking.db import catalogue
from expert_booking.db import experts as rows
from expert_booking.db.availability import Offer
from expert_booking.db.catalogue import Span, Wanted
from expert_booking.db.engine import AnyConnection, AnyRow, Database
from expert_booking.domain.calendar import DAY, local_instant
from expert_booking.domain.errors import ExpertNotFound, FieldsWrong, SlugTaken
from expert_booking.domain.slugs import is_slug, slug_of
from expert_booking.schemas import (
    FREE_DAYS,
    ExpertDetail,
    ExpertPage,
    ExpertQuery,
    ExpertRequest,
    ExpertView,
    Facet,
    Facets,
    PhotoView,
    cursor,
    photo_view,
)
from expert_booking.services.availability import next_open, session_type_view

log = logging.getLogger(__name__)

# The derived rows of next free times cover searches by day up to this far ahead.
_MAX_DAYS_AHEAD: Final = timedelta(days=FREE_DAYS)
# Facets that took at most this many seconds to count are not cached.
CACHE_THRESHOLD = 0.02
_FACETS_FRESH: Final = timedelta(seconds=15)
_FACETS_MAX_AGE: Final = timedelta(minutes=5)
_MAX_CACHED_FACETS: Final = 256
# The parts of a query that do not affect its facets.
_IRRELEVANT_TO_FACETS: Final = {"sort": None, "page": 1, "limit": 1, "after": None, "before": None, "facets": True}


class Experts:
    """Finds, shows and adds experts."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock
        self._facets_cache: dict[ExpertQuery, tuple[datetime, Facets]] = {}
        self._refreshing: asyncio.Future[None] | None = None  # at most one, so that a core stays free for requests

    async def find(self, query: ExpertQuery) -> ExpertPage:
        """One page of the catalogue, with the next free time of each expert. Raises FieldsWrong for an invalid day.

        The times come from the calendars and are always current. Searching and sorting by free time uses derived rows
        that may lag slightly; experts without such rows come last.
        """
        async with self._database.statements() as connection:
            page, now = await self._page(connection, query)
            offers = await calendars.offers(connection, [expert.id for expert in page.experts], now)
            free = await next_open(connection, offers, now, query.minutes)
        experts = [expert.model_copy(update={"next_available": free.get(expert.id)}) for expert in page.experts]
        return page.model_copy(update={"experts": experts})

    async def find_without_times(self, query: ExpertQuery) -> ExpertPage:
        """Like `find` without next free times, for pages that subscribe to the experts before reading the times."""
        async with self._database.statements() as connection:
            return (await self._page(connection, query))[0]

    async def _page(self, connection: AnyConnection, query: ExpertQuery) -> tuple[ExpertPage, datetime]:
        now = self._clock()
        words = (await catalogue.read_words(connection, query.search) if query.search else None) or None
        wanted = Wanted(query, now, words, *_days(query, now))
        found = await catalogue.find(connection, wanted)
        page = ExpertPage(
            experts=[ExpertView(**_facts(row)) for row in found.rows],
            total=found.total,
            total_is_capped=found.total_is_capped,
            page=query.page,
            limit=query.limit,
            next=found.next and cursor(query.order, found.next),
            previous=found.previous and cursor(query.order, found.previous),
            facets=await self._facets(connection, wanted) if query.facets else None,
        )
        return page, now

    async def _facets(self, connection: AnyConnection, wanted: Wanted) -> Facets:
        """The facet counts. For a large catalogue they are cached, because counting takes longer than ten pages.

        Stale counts are returned as well and refreshed in the background for the next request.
        """
        key = wanted.query.model_copy(update=_IRRELEVANT_TO_FACETS)
        counted_at, facets = self._facets_cache.get(key, (None, None))
        if counted_at is None or facets is None or not timedelta() <= wanted.now - counted_at < _FACETS_MAX_AGE:
            return await self._count_facets(connection, key, wanted)
        if wanted.now - counted_at >= _FACETS_FRESH and (self._refreshing is None or self._refreshing.done()):
            self._refreshing = asyncio.create_task(self._refresh_facets(key, wanted))
        return facets

    async def _count_facets(self, connection: AnyConnection, key: ExpertQuery, wanted: Wanted) -> Facets:
        started = perf_counter()
        facets = _facets_of(await catalogue.facets(connection, wanted))
        self._facets_cache.pop(key, None)
        if perf_counter() - started <= CACHE_THRESHOLD:
            return facets
        while len(self._facets_cache) >= _MAX_CACHED_FACETS:
            self._facets_cache.pop(next(iter(self._facets_cache)))
        self._facets_cache[key] = (wanted.now, facets)
        return facets

    async def _refresh_facets(self, key: ExpertQuery, wanted: Wanted) -> None:
        try:
            async with self._database.statements() as connection:
                await self._count_facets(connection, key, wanted)
        except Exception:
            log.exception("could not refresh facet counts")  # the next request tries again

    async def get(self, reference: str) -> ExpertDetail:
        """One active expert by id or slug, with the next free time. Raises ExpertNotFound."""
        async with self._database.statements() as connection:
            row = await _found(connection, reference)
            now = self._clock()
            offers = await calendars.offers(connection, [row.id], now)
            free = await next_open(connection, offers, now)
        return _detail(row, offers, free.get(row.id))

    async def profile(self, reference: str) -> ExpertDetail:
        """Like `get`, but without the next free time, for pages that show the whole calendar."""
        async with self._database.statements() as connection:
            row = await _found(connection, reference)
            return _detail(row, await calendars.offers(connection, [row.id], self._clock()), None)

    async def id_of(self, reference: str) -> UUID:
        """The id of an active expert by id or slug. Raises ExpertNotFound."""
        async with self._database.statements() as connection:
            expert_id: UUID = (await _found(connection, reference)).id
        return expert_id

    async def portrait_key(self, reference: str) -> str:
        """The key from which an expert's portrait is drawn. Raises ExpertNotFound."""
        return (await self.portrait(reference))[0]

    async def portrait(self, reference: str) -> tuple[str, PhotoView | None]:
        """The key from which an expert's portrait is drawn, and the photo to show instead. Raises ExpertNotFound."""
        async with self._database.statements() as connection:
            row = await _found(connection, reference)
        return row.portrait or row.slug, photo_view(row.photo)

    async def categories(self) -> Sequence[str]:
        """The categories of all listed experts, by name, as suggestions."""
        facets = (await self.find_without_times(ExpertQuery(limit=1, facets=True))).facets
        return [category.value for category in facets.categories] if facets else ()

    async def any_exist(self) -> bool:
        """Whether there are any experts, active or not."""
        async with self._database.statements() as connection:
            return await rows.any_exist(connection)

    async def slugs(self) -> set[str]:
        """The slugs of all experts."""
        async with self._database.statements() as connection:
            return await rows.slugs(connection)

    async def add(self, request: ExpertRequest) -> UUID:
        """Add an expert with hours and a session type. Raises SlugTaken if the request has a slug that is in use."""
        async with self._database.transaction() as connection:
            base = request.slug or slug_of(request.name)
            expert_id = await rows.add(connection, request, base)
            number = 2
            while expert_id is None and request.slug is None:
                expert_id = await rows.add(connection, request, f"{base}-{number}")
                number += 1
        if expert_id is None:
            raise SlugTaken
        return expert_id

    async def add_many(self, requests: Sequence[ExpertRequest]) -> int:
        """Add many experts, all with a slug, skipping those that already exist. Returns how many were added."""
        async with self._database.transaction() as connection:
            return await rows.add_many(connection, requests)

    async def remove_everything(self) -> None:
        """Delete all experts and all bookings, without confirmation. Only for the seed's --reset."""
        async with self._database.transaction() as connection:
            await rows.remove_everything(connection)


def _days(query: ExpertQuery, now: datetime) -> tuple[Span | None, datetime | None]:
    """The query's `free_on` as a span and its `free_before` as an instant. Raises FieldsWrong if out of range."""
    zone = ZoneInfo(query.time_zone or "UTC")
    today = now.astimezone(zone).date()
    on, before = query.free_on, query.free_before
    if on and not today <= on <= today + _MAX_DAYS_AHEAD:
        raise FieldsWrong({"freeOn": f"Please choose a day from {today} to {today + _MAX_DAYS_AHEAD}."})
    if before and before <= today:
        raise FieldsWrong({"freeBefore": f"Please choose a day after {today}."})
    day = Span(max(now, local_instant(zone, on, 0)), local_instant(zone, on + DAY, 0)) if on else None
    return day, local_instant(zone, before, 0) if before else None


def _facets_of(row: AnyRow) -> Facets:
    def facets(pairs: list[tuple[str, int]] | None) -> list[Facet]:
        return [Facet(value=value, experts=experts) for value, experts in pairs or ()]

    return Facets(categories=facets(row.categories), languages=facets(row.languages), minutes=facets(row.minutes),
                  ratings=facets(row.ratings))  # fmt: skip


async def _found(connection: AnyConnection, reference: str) -> AnyRow:
    return await find_by_reference(connection, reference, rows.by_id, rows.by_slug)


async def find_by_reference(
    connection: AnyConnection,
    reference: str,
    by_id: Callable[[AnyConnection, UUID], Awaitable[AnyRow | None]],
    by_slug: Callable[[AnyConnection, str], Awaitable[AnyRow | None]],
) -> AnyRow:
    """The row of the expert with this id or slug, found with `by_id` or `by_slug`. Raises ExpertNotFound."""
    try:
        row = await by_id(connection, UUID(reference))
    except ValueError:
        row = await by_slug(connection, reference) if is_slug(reference) else None
    if row is None:
        raise ExpertNotFound
    return row


def _detail(row: AnyRow, offers: Sequence[Offer], free: datetime | None) -> ExpertDetail:
    types = [session_type_view(offer) for offer in offers if offer.calendar.active]
    return ExpertDetail(**_facts(row), bio=row.bio, listed=row.listed, session_types=types, next_available=free)


def _facts(row: AnyRow) -> dict[str, object]:
    return {
        "id": row.id,
        "slug": row.slug,
        "name": row.name,
        "category": row.category,
        "experience": row.experience_years,
        "rating": None if row.rating is None else float(row.rating),
        "rating_count": row.rating_count,
        "headline": row.headline,
        "languages": row.languages,
        "time_zone": row.time_zone,
        "photo": photo_view(row.photo),
    }
