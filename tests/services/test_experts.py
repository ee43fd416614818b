"""The catalogue."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from expert_booking.domain.errors import ExpertNotFound, SlugTaken
from expert_booking.schemas import ExpertQuery, ExpertSort
from expert_booking.services import Services
from tests.conftest import AddExpert, expert_request

Connection = psycopg.Connection[tuple[Any, ...]]


async def names(services: Services, **query: Any) -> list[str]:
    """The names of the found experts, in order."""
    return [expert.name for expert in (await services.experts.find(ExpertQuery(**query))).experts]


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("", {"Ann 100% Sure", "Bob_Builder", "Back\\slash", "Émile Zola"}),
        ("   ", {"Ann 100% Sure", "Bob_Builder", "Back\\slash", "Émile Zola"}),
        ("%", {"Ann 100% Sure"}),
        ("_", {"Bob_Builder"}),
        ("\\", {"Back\\slash"}),
        ("100%", {"Ann 100% Sure"}),
        ("b_b", {"Bob_Builder"}),
        ("bxb", set()),
        ("BOB", {"Bob_Builder"}),
        ("émile", {"Émile Zola"}),
        ("ÉMILE", {"Émile Zola"}),
        ("sure ann", {"Ann 100% Sure"}),
        ("ann zola", set()),
        ("zola novels", {"Émile Zola"}),
        ("law bob", {"Bob_Builder"}),
        ("careful", {"Back\\slash"}),
        ("'", set()),
    ],
)
async def test_search_requires_every_word_and_takes_it_literally(
    services: Services, add_expert: AddExpert, search: str, found: set[str]
) -> None:
    await add_expert(name="Ann 100% Sure", category="Tax")
    await add_expert(name="Bob_Builder", category="Law")
    await add_expert(name="Back\\slash", category="Tax", headline="Very careful")
    await add_expert(name="Émile Zola", category="Tax", bio="Writes novels.")
    assert set(await names(services, search=search)) == found


@pytest.mark.parametrize("sort", list(ExpertSort))
async def test_pages_neither_repeat_nor_skip_experts_in_any_order(
    services: Services, add_expert: AddExpert, sort: ExpertSort
) -> None:
    all_ids = {await add_expert(name="Same Name", rating=[4.5, None][n % 2], rating_count=3) for n in range(23)}
    seen = []
    for page in range(1, 7):
        found = await services.experts.find(ExpertQuery(sort=sort, page=page, limit=5))
        assert found.total == 23
        seen += [expert.id for expert in found.experts]
    assert len(seen) == 23
    assert set(seen) == all_ids


async def test_experts_are_sorted_by_rating_experience_or_name(services: Services, add_expert: AddExpert) -> None:
    for name, rating, count, years in (
        ("bela", 4.5, 10, 1), ("Anna", 4.5, 20, 5), ("Cleo", None, 0, 9), ("Dora", 5, 1, 5), ("Élise", 0, 1, 0),
    ):  # fmt: skip
        await add_expert(name=name, rating=rating, rating_count=count, experience=years)
    assert await names(services, sort="rating") == ["Dora", "Anna", "bela", "Élise", "Cleo"]
    assert await names(services, sort="experience") == ["Cleo", "Dora", "Anna", "bela", "Élise"]
    assert (await names(services, sort="name"))[:4] == ["Anna", "bela", "Cleo", "Dora"]


async def test_category_counts_include_active_experts_only(
    services: Services, add_expert: AddExpert, sql: Connection
) -> None:
    for name, category in (("A", "Tax"), ("B", "Law"), ("C", "Tax"), ("D", "Zen")):
        await add_expert(name=name, category=category)
    sql.execute("UPDATE expert SET active = false WHERE name IN ('C', 'D')")
    facets = (await services.experts.find(ExpertQuery(facets=True))).facets
    assert facets is not None
    assert [(facet.value, facet.experts) for facet in facets.categories] == [("Law", 1), ("Tax", 1)]
    assert await names(services, category="Tax") == ["A"]
    assert await names(services, category="tax") == []


async def test_experts_with_the_same_name_get_numbered_slugs(services: Services, add_expert: AddExpert) -> None:
    for _ in range(3):
        await add_expert(name="Jana Müller")
    assert await services.experts.slugs() == {"jana-muller", "jana-muller-2", "jana-muller-3"}


async def test_concurrent_experts_with_the_same_name_get_different_slugs(services: Services) -> None:
    await asyncio.gather(*(services.experts.add(expert_request(name="李")) for _ in range(6)))
    assert await services.experts.slugs() == {"expert", *(f"expert-{n}" for n in range(2, 7))}


async def test_longest_name_used_twice_still_gets_valid_slugs(services: Services, add_expert: AddExpert) -> None:
    for _ in range(2):
        await add_expert(name="n" * 120)
    for slug in await services.experts.slugs():
        assert (await services.experts.get(slug)).slug == slug


async def test_requested_slug_is_used_or_refused(services: Services, add_expert: AddExpert) -> None:
    await add_expert(slug="the-one")
    with pytest.raises(SlugTaken):
        await add_expert(slug="the-one")
    assert await services.experts.slugs() == {"the-one"}


async def test_expert_is_found_by_exact_id_and_slug(services: Services, add_expert: AddExpert, sql: Connection) -> None:
    jana = await add_expert()
    assert (await services.experts.get(str(jana))).id == (await services.experts.get("jana-muller")).id == jana
    assert await services.experts.id_of("jana-muller") == jana
    for reference in ("", "nobody", str(uuid4()), "\x00", "\ud800", "Jana Müller", "jana-muller\n"):
        for ask in (services.experts.get, services.experts.id_of, services.experts.portrait_key):
            with pytest.raises(ExpertNotFound):
                await ask(reference)
    sql.execute("UPDATE expert SET active = false")
    with pytest.raises(ExpertNotFound):
        await services.experts.get("jana-muller")


async def test_bulk_add_keeps_existing_experts(services: Services, add_expert: AddExpert) -> None:
    await add_expert(name="Old", slug="one")
    new = [expert_request(name=f"New {slug}", slug=slug) for slug in ("one", "two", "three")]
    assert await services.experts.add_many(new) == 2
    assert await services.experts.add_many(new) == 0
    assert (await services.experts.get("one")).name == "Old"
    two = await services.experts.get("two")
    assert (two.name, len(two.session_types), two.next_available is None) == ("New two", 1, False)


async def test_expert_has_a_portrait(services: Services, add_expert: AddExpert) -> None:
    await add_expert(portrait="f:jana")
    assert await services.experts.portrait_key("jana-muller") == "f:jana"


async def test_whether_any_expert_exists(services: Services, add_expert: AddExpert, sql: Connection) -> None:
    assert not await services.experts.any_exist()
    added = await add_expert()
    assert isinstance(added, UUID)
    sql.execute("UPDATE expert SET active = false")
    assert await services.experts.any_exist()
