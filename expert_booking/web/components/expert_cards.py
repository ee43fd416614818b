"""The catalogue: finder, cards and pages of one listing, in one element."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from nicegui.element import Element
from nicegui.events import GenericEventArguments

from expert_booking.domain import formatting
from expert_booking.domain.calendar import DAY
from expert_booking.schemas import FREE_DAYS, ExpertPage, ExpertQuery, Facet
from expert_booking.web.live.next_free import next_free_text


class ExpertCards(Element, component="expert_cards.js"):
    """Cards of experts, with a finder above; every look is a URL."""

    def __init__(self, on_look: Callable[[dict[str, Any]], Awaitable[None]]) -> None:
        """`on_look` gets what the visitor looks for, unchecked, by the names of the URL, and the number of the ask."""
        super().__init__()

        async def look(event: GenericEventArguments) -> None:
            if isinstance(event.args, dict):
                await on_look(event.args)

        self.on("look", look)

    def begin(self, query: ExpertQuery, result: str | None) -> None:
        """What the page is delivered with, as JSON; no result yet means skeletons."""
        self._props["query"] = query_words(query)
        self._props["result"] = result

    def show(self, result: dict[str, Any]) -> None:
        """Show this instead, on the open page."""
        self.run_method("show", result)


def result_of(
    page: ExpertPage,
    free: Mapping[UUID, datetime],
    query: ExpertQuery,
    zone: ZoneInfo,
    now: datetime,
    *,
    version: int,
    ask: int,
    note: str = "",
) -> dict[str, Any]:
    """A page of experts, and when they are free next, in words for people.

    `version` is that of the news before the times were read, `ask` the number of the ask it answers,
    `note` what has to be said about it.
    """
    today = now.astimezone(zone).date()
    return {
        "ask": ask,
        "version": version,
        "query": query_words(query),
        "note": note,
        "today": today.isoformat(),
        "lastDay": (today + FREE_DAYS * DAY).isoformat(),
        "total": page.total,
        "more": page.total_is_capped,
        "next": page.next,
        "previous": page.previous,
        "facets": facet_words(page),
        "page": page.page,
        "pages": max(1, -(-page.total // page.limit)),
        "zone": formatting.zone_at(zone, now),
        "experts": [
            {
                "id": str(expert.id),
                "slug": expert.slug,
                "name": expert.name,
                "category": expert.category,
                "headline": expert.headline,
                "experience": expert.experience,
                "languages": list(expert.languages),
                "rating": expert.rating,
                "ratingCount": expert.rating_count,
                "next": next_free_text(free.get(expert.id), zone, now),
            }
            for expert in page.experts
        ],
    }


def facet_words(page: ExpertPage) -> dict[str, list[list[Any]]]:
    """Every filter's choices as [value, how many experts]; none of those that nobody has."""
    found = page.facets

    def choices(facets: Sequence[Facet]) -> list[list[Any]]:
        return [[facet.value, facet.experts] for facet in facets if facet.experts]

    if found is None:
        return {"categories": [], "languages": [], "minutes": [], "ratings": []}
    return {
        "categories": choices(found.categories),
        "languages": choices(found.languages),
        "minutes": choices(found.minutes),
        "ratings": choices(found.ratings),
    }


def query_words(query: ExpertQuery) -> dict[str, Any]:
    """A query as the finder and the URL have it."""
    asked = query.model_dump(
        mode="json", by_alias=True, exclude_defaults=True, exclude={"limit", "facets", "time_zone"}
    )
    if query.min_rating is not None:
        asked["minRating"] = f"{query.min_rating:g}"
    return asked
