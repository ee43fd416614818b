"""The catalogue."""

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
    cursor,
)
from expert_booking.services.availability import next_open, session_type_view

log = logging.getLogger(__name__)

# A local day is over this many days after today at the latest within what the derived rows know.
_REACH: Final = timedelta(days=FREE_DAYS)
# Counts that took no longer than this many seconds are made for everybody who asks.
COUNTED_AT_ONCE = 0.02
_FACETS_FRESH: Final = timedelta(seconds=15)
_FACETS_SHOWN: Final = timedelta(minutes=5)
_FACETS_AT_MOST: Final = 256
_NOT_COUNTED: Final = {"sort": None, "page": 1, "limit": 1, "after": None, "before": None, "facets": True}


class Experts:
    """Finds experts, shows one, adds one."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock
        self._counted: dict[ExpertQuery, tuple[datetime, Facets]] = {}
        self._counting: asyncio.Future[None] | None = None  # one at a time, so that pages keep a core

    async def find(self, query: ExpertQuery) -> ExpertPage:
        """One page of the catalogue, with everybody's next free time. Raises FieldsWrong for a day out of reach.

        The times are read from the calendars and always true. Who is found and in which order rests, where free time
        is asked for, on derived rows that may be behind by a moment; who has none yet comes last.
        """
        async with self._database.statements() as connection:
            page, now = await self._page(connection, query)
            offers = await calendars.offers(connection, [expert.id for expert in page.experts], now)
            free = await next_open(connection, offers, now, query.minutes)
        experts = [expert.model_copy(update={"next_available": free.get(expert.id)}) for expert in page.experts]
        return page.model_copy(update={"experts": experts})

    async def names(self, query: ExpertQuery) -> ExpertPage:
        """The same without next free times, for pages that follow these experts before they read the times."""
        async with self._database.statements() as connection:
            return (await self._page(connection, query))[0]

    async def _page(self, connection: AnyConnection, query: ExpertQuery) -> tuple[ExpertPage, datetime]:
        now = self._clock()
        words = (await catalogue.words(connection, query.search) if query.search else None) or None
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
        """The counts, which may be old where the catalogue is large: there they take longer than ten pages.

        Those of some seconds ago are as good as new. Older ones are shown as well, and made anew for whoever asks next.
        """
        asked = wanted.query.model_copy(update=_NOT_COUNTED)
        counted_at, facets = self._counted.get(asked, (None, None))
        if counted_at is None or facets is None or not timedelta() <= wanted.now - counted_at < _FACETS_SHOWN:
            return await self._count(connection, asked, wanted)
        if wanted.now - counted_at >= _FACETS_FRESH and (self._counting is None or self._counting.done()):
            self._counting = asyncio.create_task(self._count_again(asked, wanted))
        return facets

    async def _count(self, connection: AnyConnection, asked: ExpertQuery, wanted: Wanted) -> Facets:
        began = perf_counter()
        facets = _counts(await catalogue.facets(connection, wanted))
        self._counted.pop(asked, None)
        if perf_counter() - began <= COUNTED_AT_ONCE:
            return facets
        while len(self._counted) >= _FACETS_AT_MOST:
            self._counted.pop(next(iter(self._counted)))
        self._counted[asked] = (wanted.now, facets)
        return facets

    async def _count_again(self, asked: ExpertQuery, wanted: Wanted) -> None:
        try:
            async with self._database.statements() as connection:
                await self._count(connection, asked, wanted)
        except Exception:
            log.exception("choices could not be counted anew")  # the next to ask tries again

    async def get(self, reference: str) -> ExpertDetail:
        """One active expert by id or slug, with the next free time. Raises ExpertNotFound."""
        async with self._database.statements() as connection:
            row = await _found(connection, reference)
            now = self._clock()
            offers = await calendars.offers(connection, [row.id], now)
            free = await next_open(connection, offers, now)
        return _detail(row, offers, free.get(row.id))

    async def profile(self, reference: str) -> ExpertDetail:
        """The same without the next free time, for pages that show the whole calendar anyway."""
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
        async with self._database.statements() as connection:
            row = await _found(connection, reference)
        key: str = row.portrait or row.slug
        return key

    async def any_there(self) -> bool:
        """Whether there is any expert at all, active or not."""
        async with self._database.statements() as connection:
            return await rows.any_there(connection)

    async def slugs(self) -> set[str]:
        """The slugs of all experts."""
        async with self._database.statements() as connection:
            return await rows.slugs(connection)

    async def add(self, request: ExpertRequest) -> UUID:
        """Add an expert with hours and a session type. Raises SlugTaken where a slug was asked for."""
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
        """Add many experts at once, all with a slug; those already there are left alone. Returns how many are new."""
        async with self._database.transaction() as connection:
            return await rows.add_many(connection, requests)

    async def remove_everything(self) -> None:
        """Delete every expert and every booking there is. For the seed's --reset only: nobody is asked again."""
        async with self._database.transaction() as connection:
            await rows.remove_everything(connection)


def _days(query: ExpertQuery, now: datetime) -> tuple[Span | None, datetime | None]:
    """The day to be free on, and the instant to be free before. Raises FieldsWrong for past ones and too far ones."""
    zone = ZoneInfo(query.time_zone or "UTC")
    today = now.astimezone(zone).date()
    on, before = query.free_on, query.free_before
    if on and not today <= on <= today + _REACH:
        raise FieldsWrong({"freeOn": f"Please choose a day from {today} to {today + _REACH}."})
    if before and before <= today:
        raise FieldsWrong({"freeBefore": f"Please choose a day after {today}."})
    day = Span(max(now, local_instant(zone, on, 0)), local_instant(zone, on + DAY, 0)) if on else None
    return day, local_instant(zone, before, 0) if before else None


def _counts(row: AnyRow) -> Facets:
    def facets(pairs: list[tuple[str, int]] | None) -> list[Facet]:
        return [Facet(value=value, experts=experts) for value, experts in pairs or ()]

    return Facets(categories=facets(row.categories), languages=facets(row.languages), minutes=facets(row.minutes),
                  ratings=facets(row.ratings))  # fmt: skip


async def _found(connection: AnyConnection, reference: str) -> AnyRow:
    return await expert_meant(connection, reference, rows.by_id, rows.by_slug)


async def expert_meant(
    connection: AnyConnection,
    reference: str,
    by_id: Callable[[AnyConnection, UUID], Awaitable[AnyRow | None]],
    by_slug: Callable[[AnyConnection, str], Awaitable[AnyRow | None]],
) -> AnyRow:
    """What one of these finds of the expert whose id or slug this is. Raises ExpertNotFound."""
    try:
        row = await by_id(connection, UUID(reference))
    except ValueError:
        row = await by_slug(connection, reference) if is_slug(reference) else None
    if row is None:
        raise ExpertNotFound
    return row


def _detail(row: AnyRow, offers: Sequence[Offer], free: datetime | None) -> ExpertDetail:
    types = [session_type_view(offer) for offer in offers if offer.calendar.active]
    return ExpertDetail(**_facts(row), bio=row.bio, session_types=types, next_available=free)


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
    }
