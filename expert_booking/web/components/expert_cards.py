"""The list of experts: search form, cards and pagination in one element."""

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


class ExpertCards(Element, component="expert_cards.js"):
    """Cards of experts below a search form. Every search has its own URL."""

    def __init__(self, on_search: Callable[[dict[str, Any]], Awaitable[None]]) -> None:
        """`on_search` receives the URL parameters of the search, unvalidated, and its sequence number as `ask`."""
        super().__init__()

        async def search(event: GenericEventArguments) -> None:
            if isinstance(event.args, dict):
                await on_search(event.args)

        self.on("search", search)

    def load(self, query: ExpertQuery, result: str | None) -> None:
        """Set what the page is delivered with. `result` is JSON; skeletons are shown if it is None."""
        self._props["query"] = query_parameters(query)
        self._props["result"] = result

    def show(self, result: dict[str, Any]) -> None:
        """Replace the result on the open page."""
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
    """Return a page of experts and their next free times (UTC in `free`), formatted for display in `zone`.

    `version` is the version of the next free times before they were read, `ask` the sequence number of the search,
    `note` a message to show above the result.
    """
    today = now.astimezone(zone).date()
    return {
        "ask": ask,
        "version": version,
        "query": query_parameters(query),
        "note": note,
        "today": today.isoformat(),
        "lastDay": (today + FREE_DAYS * DAY).isoformat(),
        "total": page.total,
        "more": page.total_is_capped,
        "next": page.next,
        "previous": page.previous,
        "facets": facet_choices(page),
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
                **({"photo": expert.photo.small} if expert.photo else {}),
            }
            for expert in page.experts
        ],
    }


def next_free_text(next_open: datetime | None, zone: ZoneInfo, now: datetime) -> str:
    """Return the next free time (UTC in `next_open`) as cards show it; empty if there is none."""
    return formatting.near_time(next_open, zone, now) if next_open else ""


def facet_choices(page: ExpertPage) -> dict[str, list[list[Any]]]:
    """Return every filter's choices as [value, number of experts], without those that no expert has."""
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


def query_parameters(query: ExpertQuery) -> dict[str, Any]:
    """Return the query as URL parameters."""
    parameters = query.model_dump(
        mode="json", by_alias=True, exclude_defaults=True, exclude={"limit", "facets", "time_zone"}
    )
    if query.min_rating is not None:
        parameters["minRating"] = f"{query.min_rating:g}"
    return parameters
