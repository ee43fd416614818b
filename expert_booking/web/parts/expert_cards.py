"""The catalogue: finder, cards and pages of one listing, in one element."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from nicegui.element import Element
from nicegui.events import GenericEventArguments

from expert_booking.schemas import ExpertPage, ExpertQuery, ExpertSort
from expert_booking.web import live, words

SORTS = {ExpertSort.RATING: "Best rated", ExpertSort.EXPERIENCE: "Most experience", ExpertSort.NAME: "Name"}


class ExpertCards(Element, component="expert_cards.js"):
    """Cards of experts, with a finder above; every look is a URL."""

    def __init__(self, categories: dict[str, int], on_look: Callable[[dict[str, Any]], Awaitable[None]]) -> None:
        """`on_look` gets what the visitor looks for, unchecked: search, category, sort, page, number of the ask."""
        super().__init__()
        self._props["categories"] = [[name, number] for name, number in categories.items()]
        self._props["sorts"] = [[sort.value, title] for sort, title in SORTS.items()]

        async def look(event: GenericEventArguments) -> None:
            if isinstance(event.args, dict):
                await on_look(event.args)

        self.on("look", look)

    def begin(self, query: ExpertQuery, result: dict[str, Any] | None) -> None:
        """What the page is delivered with; no result yet means skeletons."""
        self._props["query"] = query_words(query)
        self._props["result"] = result

    def show(self, result: dict[str, Any]) -> None:
        """Show this instead, on the open page."""
        self._props["result"] = result
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
) -> dict[str, Any]:
    """A page of experts, and when they are free next, in words for people.

    `version` is that of the news before the times were read, `ask` the number of the ask it answers.
    """
    return {
        "ask": ask,
        "version": version,
        "query": query_words(query),
        "total": page.total,
        "page": page.page,
        "pages": max(1, -(-page.total // page.limit)),
        "zone": words.zone_at(zone, now),
        "experts": [
            {
                "id": str(expert.id),
                "slug": expert.slug,
                "name": expert.name,
                "category": expert.category,
                "headline": expert.headline,
                "experience": expert.experience,
                "rating": expert.rating,
                "ratingCount": expert.rating_count,
                "next": live.next_words(free.get(expert.id), zone, now),
            }
            for expert in page.experts
        ],
    }


def query_words(query: ExpertQuery) -> dict[str, Any]:
    """A query as the finder and the URL have it."""
    return {
        "search": query.search,
        "category": query.category[0] if query.category else "",
        "sort": query.order.value,
        "page": query.page,
    }
