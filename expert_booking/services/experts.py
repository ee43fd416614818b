"""The catalogue."""

from collections.abc import Callable, Sequence
from datetime import datetime
from uuid import UUID

from expert_booking.db import availability as calendars
from expert_booking.db import experts as rows
from expert_booking.db.availability import Offer
from expert_booking.db.engine import AnyConnection, AnyRow, Database
from expert_booking.domain.errors import ExpertNotFound, SlugTaken
from expert_booking.domain.portraits import portrait
from expert_booking.domain.slugs import is_slug, slug_of
from expert_booking.schemas import ExpertDetail, ExpertPage, ExpertQuery, ExpertRequest, ExpertView
from expert_booking.services.availability import next_open, session_type_view


class Experts:
    """Finds experts, shows one, adds one."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    async def find(self, query: ExpertQuery) -> ExpertPage:
        """One page of the catalogue, with everybody's next free time."""
        async with self._database.statements() as connection:
            found, total = await rows.find(connection, query)
            now = self._clock()
            free = await next_open(connection, await calendars.offers(connection, [row.id for row in found], now), now)
        experts = [ExpertView(**_facts(row), next_available=free.get(row.id)) for row in found]
        return ExpertPage(experts=experts, total=total, page=query.page, limit=query.limit)

    async def names(self, query: ExpertQuery) -> ExpertPage:
        """The same without next free times, for pages that follow these experts before they read the times."""
        async with self._database.statements() as connection:
            found, total = await rows.find(connection, query)
        experts = [ExpertView(**_facts(row)) for row in found]
        return ExpertPage(experts=experts, total=total, page=query.page, limit=query.limit)

    async def categories(self) -> dict[str, int]:
        """Every category with active experts, and how many."""
        async with self._database.statements() as connection:
            return await rows.categories(connection)

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

    async def portrait(self, reference: str) -> str:
        """The picture of an expert as SVG. Raises ExpertNotFound."""
        async with self._database.statements() as connection:
            row = await _found(connection, reference)
        return portrait(row.portrait or row.slug)

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


async def _found(connection: AnyConnection, reference: str) -> AnyRow:
    try:
        row = await rows.by_id(connection, UUID(reference))
    except ValueError:
        row = await rows.by_slug(connection, reference) if is_slug(reference) else None
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
