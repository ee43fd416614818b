"""Searching, filtering, sorting and paging the catalogue."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID

import psycopg
import pytest

from expert_booking.db.catalogue import one_slip, page
from expert_booking.domain.errors import FieldsWrong
from expert_booking.schemas import ExpertPage, ExpertQuery, ExpertSort, SessionTypeRequest
from expert_booking.services import Services, experts
from tests.conftest import AddExpert, Clock, expert_request
from tests.services.conftest import Counted

Connection = psycopg.Connection[tuple[Any, ...]]
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)  # when the test's clock begins, a Monday


@pytest.fixture(params=["gathered", "walked"])
def small_ranking_limit(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both query plans: for few matches, and for more than the ranking limit, which is set to two here."""
    if request.param == "walked":
        monkeypatch.setattr(page, "MAX_COUNTED", 2)
    return str(request.param)


async def names(services: Services, **query: Any) -> list[str]:
    """The names of the found experts, in order."""
    return [expert.name for expert in (await services.experts.find(ExpertQuery(**query))).experts]


def free(sql: Connection, expert_id: UUID, *starts: datetime, minutes: int = 60) -> None:
    """Insert derived rows with free starts, for this length and for any length."""
    for length in {0, minutes}:
        sql.execute(
            "INSERT INTO expert_next (expert_id, minutes, free_at, check_at) VALUES (%s, %s, %s, now())"
            " ON CONFLICT (expert_id, minutes) DO UPDATE SET free_at = least(expert_next.free_at, excluded.free_at)",
            [expert_id, length, min(starts, default=None)],
        )
        for start in starts:
            sql.execute(
                "INSERT INTO expert_free (expert_id, minutes, half_day, first_at, last_at) VALUES (%s, %s, %s, %s, %s)"
                " ON CONFLICT (expert_id, minutes, half_day) DO UPDATE SET"
                " first_at = least(expert_free.first_at, excluded.first_at),"
                " last_at = greatest(expert_free.last_at, excluded.last_at)",
                [expert_id, length, int(start.timestamp()) // 43_200, start, start],
            )


# --- search -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("muller", "Jana Müller"), ("MÜLLER", "Jana Müller"), ("mull", "Jana Müller"), ("üll", "Jana Müller"),
        ("mueller", "Jana Müller"), ("müller jana", "Jana Müller"), ("Mu\u0308ller", "Jana Müller"),
        ("strasse", "Karl Straße"), ("STRASSE", "Karl Straße"), ("straße", "Karl Straße"),
        ("lukasz", "Łukasz Wójcik"), ("wojcik lukasz", "Łukasz Wójcik"), ("ŁUKASZ", "Łukasz Wójcik"),
        ("obrien", "Declan O’Brien"), ("o'brien", "Declan O’Brien"), ("O’Brien", "Declan O’Brien"),
        ("brien", "Declan O’Brien"), ("thompson", "Marc Reid-Thompson"), ("reid-thompson", "Marc Reid-Thompson"),
        ("soren", "Søren Ågård"), ("agard", "Søren Ågård"), ("李", "李 小龍"), ("анна", "Анна Каренина"),
        ("ＪＡＮＡ", "Jana Müller"),
        # one letter replaced, missing, added, and two neighbours swapped
        ("nuller", "Jana Müller"), ("muler", "Jana Müller"), ("mulller", "Jana Müller"), ("mlüler", "Jana Müller"),
        ("strase", "Karl Straße"), ("wojick", "Łukasz Wójcik"), ("tompson", "Marc Reid-Thompson"),
        ("jana mulelr", "Jana Müller"),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("small_ranking_limit")
async def test_search_tolerates_accents_case_order_prefixes_and_one_typo(
    services: Services, add_expert: AddExpert, search: str, found: str
) -> None:
    for name in ("Jana Müller", "Karl Straße", "Łukasz Wójcik", "Declan O’Brien", "Marc Reid-Thompson", "Søren Ågård",
                 "李 小龍", "Анна Каренина"):  # fmt: skip
        await add_expert(name=name, category="Tax")
    assert await names(services, search=search) == [found]


@pytest.mark.parametrize("search", ["jna", "mler", "muuuller", "rellum", "jana wojcik", "mullxyz", "ja%", "m_ller"])
async def test_search_tolerates_no_more_than_one_typo(services: Services, add_expert: AddExpert, search: str) -> None:
    await add_expert(name="Jana Müller")
    await add_expert(name="Łukasz Wójcik")
    assert await names(services, search=search) == []


@pytest.mark.parametrize(
    ("typed", "meant", "slip"),
    [("abcd", "abxd", True), ("abcd", "abd", True), ("abd", "abcd", True), ("abcd", "abcde", True),
     ("abcd", "acbd", True), ("abcd", "abdc", True), ("abcd", "bacd", True), ("abcd", "abcd", True),
     ("abcd", "bcde", False), ("abcd", "adcb", False), ("abcd", "ab", False), ("abcd", "abcdef", False),
     ("abcd", "axyd", False), ("abcd", "cbad", False), ("abcd", "badc", False)],
)  # fmt: skip
def test_typo_is_one_letter_or_two_swapped_neighbours(typed: str, meant: str, slip: bool) -> None:
    assert one_slip(typed, meant) is slip


@pytest.mark.usefixtures("small_ranking_limit")
async def test_results_rank_names_then_text_then_typos_and_ties_by_rating(
    services: Services, add_expert: AddExpert
) -> None:
    await add_expert(name="Inside Hannea", rating=4.9)
    await add_expert(name="In Bio", rating=4.8, bio="Ask for annea!")
    await add_expert(name="In Category", rating=4.7, category="Annea")
    await add_expert(name="Annea Low", rating=1.0)
    await add_expert(name="Annea None")
    await add_expert(name="Anneabel High", rating=2.0, rating_count=1)
    await add_expert(name="Anneabel Higher", rating=2.0, rating_count=2)
    found = await names(services, search="annea")
    assert found == ["Anneabel Higher", "Anneabel High", "Annea Low", "Annea None", "Inside Hannea", "In Bio",
                     "In Category"]  # fmt: skip


async def test_typos_are_tolerated_only_if_exact_matches_are_few(services: Services, add_expert: AddExpert) -> None:
    for n in range(5):
        await add_expert(name=f"Marta {n}")
    await add_expert(name="Marla Other")
    assert "Marla Other" not in await names(services, search="marta")
    assert await names(services, search="marla") == ["Marla Other", *await names(services, search="marta")]


async def test_one_or_two_letters_match_words_and_name_prefixes(services: Services, add_expert: AddExpert) -> None:
    await add_expert(name="Jana Abel", bio="About HR.")
    await add_expert(name="Omar Bold", bio="Jobs.")
    assert await names(services, search="j") == ["Jana Abel"]
    assert await names(services, search="hr") == ["Jana Abel"]
    assert await names(services, search="bo o") == ["Omar Bold"]


async def test_search_reflects_every_change(services: Services, add_expert: AddExpert, sql: Connection) -> None:
    await add_expert(name="Jana Müller")
    sql.execute("UPDATE expert SET name = 'Ida Schröder', bio = 'Knows beekeeping.'")
    assert await names(services, search="muller") == []
    assert await names(services, search="schroderx bees") == []
    assert await names(services, search="schrodr beekeepin") == ["Ida Schröder"]
    sql.execute("UPDATE expert SET active = false")
    assert await names(services, search="schroder") == []


async def test_search_words_of_any_length_and_character_are_harmless(services: Services, add_expert: AddExpert) -> None:
    await add_expert(name="n" * 120, bio="x" * 5000)
    assert len(await names(services, search="n" * 100)) == 1
    for search in (
        "' | 'x",
        "a:*",
        "!x",
        "x & !y",
        "\\'",
        "'\\",
        "((",
        "\u0301",
        "a " * 50,
        "&" * 100,
        ":terms %s %(a)s",
    ):
        await names(services, search=search)


# --- filters ----------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("small_ranking_limit")
async def test_filters_are_combined(services: Services, add_expert: AddExpert) -> None:
    short = SessionTypeRequest(title="Short", minutes=30, step_minutes=30)
    for name, category, rating, languages, types in (
        ("Anna", "Tax", 4.9, ["de", "en"], [short]), ("Bela", "Tax", 4.1, ["hu"], [short]),
        ("Cleo", "Law", None, ["en"], [short]), ("Dora", "Law", 4.5, ["de"], []), ("Ezra", "Zen", 4.6, ["en"], [short]),
    ):  # fmt: skip
        hour = SessionTypeRequest(title="Hour", minutes=60, step_minutes=60)
        await add_expert(name=name, category=category, rating=rating, languages=languages, session_types=[hour, *types])
    assert await names(services, category=["Tax", "Law"]) == ["Anna", "Dora", "Bela", "Cleo"]
    assert await names(services, language="en") == ["Anna", "Ezra", "Cleo"]
    assert await names(services, min_rating=4.5) == ["Anna", "Ezra", "Dora"]
    assert await names(services, min_rating=0) == ["Anna", "Ezra", "Dora", "Bela"]
    assert await names(services, minutes=30) == ["Anna", "Ezra", "Bela", "Cleo"]
    assert await names(services, minutes=45) == []
    assert await names(services, category=["Tax", "Law"], language="de", minutes=60, min_rating=4.6) == ["Anna"]
    assert await names(services, search="tax", language="de") == ["Anna"]
    assert await names(services, search="d", category="Law", sort="name") == ["Dora"]


async def test_next_available_counts_only_sessions_of_the_requested_length(
    services: Services, add_expert: AddExpert, sql: Connection
) -> None:
    hour = SessionTypeRequest(title="Hour", minutes=60, step_minutes=60)
    short = SessionTypeRequest(title="Short", minutes=30, step_minutes=30, notice_minutes=0)
    await add_expert(session_types=[hour.model_copy(update={"notice_minutes": 24 * 60}), short])
    [any_length] = (await services.experts.find(ExpertQuery())).experts
    [long] = (await services.experts.find(ExpertQuery(minutes=60))).experts
    assert (any_length.next_available, long.next_available) == (NOW, NOW + DAY)


@pytest.mark.usefixtures("small_ranking_limit")
async def test_free_on_a_day_means_a_local_day_of_the_visitor(
    services: Services, add_expert: AddExpert, sql: Connection
) -> None:
    for name, *starts in (
        ("Late Tuesday", datetime(2026, 11, 24, 23, tzinfo=UTC)), ("Wednesday", datetime(2026, 11, 25, 12, tzinfo=UTC)),
        ("Around", datetime(2026, 11, 24, 9, 59, tzinfo=UTC), datetime(2026, 11, 25, 10, tzinfo=UTC)), ("Never",),
    ):  # fmt: skip
        free(sql, await add_expert(name=name), *starts)

    async def on(day: int, zone: str | None = None) -> set[str]:
        return set(await names(services, free_on=date(2026, 11, day), time_zone=zone))

    assert await on(24) == {"Late Tuesday", "Around"}
    assert await on(25) == {"Wednesday", "Around"}
    assert await on(25, "Europe/Berlin") == {"Late Tuesday", "Wednesday", "Around"}
    # 25 November in Kiritimati is from 10:00Z on the 24th until 10:00Z on the 25th: between Around's two free starts.
    assert await on(25, "Pacific/Kiritimati") == {"Late Tuesday"}
    assert await on(26) == set()


@pytest.mark.usefixtures("small_ranking_limit")
async def test_free_before_a_day_means_from_now_until_it_begins(
    services: Services, add_expert: AddExpert, sql: Connection
) -> None:
    for name, start in (("Tonight", NOW + 15 * HOUR), ("Tomorrow", NOW + DAY), ("Stale", NOW - HOUR)):
        free(sql, await add_expert(name=name), start)
    await add_expert(name="Unknown")
    assert await names(services, free_before=date(2026, 11, 24)) == ["Tonight"]
    assert await names(services, free_before=date(2026, 11, 24), time_zone="Europe/Berlin") == []
    assert await names(services, free_before=date(2026, 11, 25), sort="soonest") == ["Tonight", "Tomorrow"]
    assert await names(services, free_before=date(2026, 11, 25), minutes=30) == []


@pytest.mark.parametrize(
    ("query", "field"),
    [({"free_on": date(2026, 11, 22)}, "freeOn"), ({"free_on": date(2027, 1, 23)}, "freeOn"),
     ({"free_on": date(2026, 11, 23), "time_zone": "Pacific/Kiritimati"}, None),
     ({"free_on": date(2026, 11, 22), "time_zone": "Pacific/Pago_Pago"}, None),
     ({"free_on": date(2027, 1, 22)}, None), ({"free_before": date(2026, 11, 23)}, "freeBefore"),
     ({"free_before": date(2030, 1, 1)}, None)],
)  # fmt: skip
async def test_past_or_distant_day_is_refused_by_field(
    services: Services, query: dict[str, Any], field: str | None
) -> None:
    if field is None:
        await services.experts.find(ExpertQuery(**query))
        return
    with pytest.raises(FieldsWrong) as refused:
        await services.experts.find(ExpertQuery(**query))
    assert list(refused.value.errors) == [field]


# --- sorting and paging -----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("small_ranking_limit")
async def test_soonest_come_first_and_unknown_last(
    services: Services, add_expert: AddExpert, sql: Connection, clock: Clock
) -> None:
    for name, *starts in (("Later", NOW + DAY), ("Past", NOW - HOUR), ("Soon", NOW + HOUR), ("Never",),
                          ("Now", NOW)):  # fmt: skip
        free(sql, await add_expert(name=name), *starts)
    await add_expert(name="New")
    found = await names(services, sort="soonest")
    assert found[:3] == ["Now", "Soon", "Later"]
    assert sorted(found[3:]) == ["Never", "New", "Past"]
    clock.advance(hours=2)
    assert (await names(services, sort="soonest"))[0] == "Later"
    assert (await names(services, sort="soonest", minutes=60))[0] == "Later"
    assert await names(services, sort="soonest", minutes=30) == []


@pytest.mark.usefixtures("small_ranking_limit")
async def test_names_sort_without_accents_and_case(services: Services, add_expert: AddExpert) -> None:
    for name in ("Zoe", "éva", "Eva B", "Ödön", "omar", "Łukasz", "Luna"):
        await add_expert(name=name)
    assert await names(services, sort="name") == ["éva", "Eva B", "Łukasz", "Luna", "Ödön", "omar", "Zoe"]


async def add_many(services: Services, sql: Connection, count: int, tag: str = "") -> None:
    """Add this many experts with varied sort keys and many ties."""
    if not count:
        return
    already = len(await services.experts.slugs())
    requests = [
        expert_request(
            name=f"{'aAáÁ'[n % 4]}nna {tag}{n % 3}" if n % 3 else f"Somebody {tag}{n % 2}",
            slug=f"expert-{already + n}",
            rating=[None, 4.5, 4.5, 3][n % 4], rating_count=n % 2, experience=n % 3, bio="Talks of anna.",
        )
        for n in range(count)
    ]  # fmt: skip
    await services.experts.add_many(requests)
    for n, (expert_id,) in enumerate(
        sql.execute("SELECT id FROM expert ORDER BY created_at, slug OFFSET %s", [already]).fetchall()
    ):
        if n % 6:
            free(sql, expert_id, NOW + (n % 3 + 1) * HOUR)


@pytest.mark.usefixtures("small_ranking_limit")
@pytest.mark.parametrize("sort", list(ExpertSort))
async def test_cursors_neither_repeat_nor_skip_experts_while_experts_are_added(
    services: Services, sql: Connection, sort: ExpertSort
) -> None:
    await add_many(services, sql, 17)
    before = {expert_id for (expert_id,) in sql.execute("SELECT id FROM expert").fetchall()}
    page = await services.experts.find(ExpertQuery(search="anna", sort=sort, limit=4))
    pages = [page]
    while page.next:
        await add_many(services, sql, 4 if len(pages) < 4 else 0, tag="new ")
        page = await services.experts.find(ExpertQuery(search="anna", sort=sort, limit=4, after=page.next))
        pages.append(page)
    seen = [expert.id for page in pages for expert in page.experts]
    assert len(seen) == len(set(seen))
    assert before <= set(seen)


@pytest.mark.usefixtures("small_ranking_limit")
@pytest.mark.parametrize("sort", list(ExpertSort))
@pytest.mark.parametrize("search", ["", "anna"])
async def test_cursors_offsets_and_backward_pages_agree(
    services: Services, sql: Connection, sort: ExpertSort, search: str
) -> None:
    await add_many(services, sql, 17)

    async def page(**place: Any) -> ExpertPage:
        return await services.experts.find(ExpertQuery(search=search, sort=sort, limit=4, **place))

    pages = [await page()]
    while after := pages[-1].next:
        pages.append(await page(after=after))
    assert [len(page.experts) for page in pages] == [4, 4, 4, 4, 1]
    assert len({expert.id for page in pages for expert in page.experts}) == 17
    assert pages[0].previous is None
    for number, found in enumerate(pages, 1):
        assert (await page(page=number)).experts == found.experts
    for found, later in pairwise(pages):
        assert later.previous is not None
        back = await page(before=later.previous)
        assert back.experts == found.experts
        assert (back.previous is None) == (found is pages[0])
        assert back.next is not None
        assert (await page(after=back.next)).experts == later.experts


async def test_total_is_exact_up_to_a_thousand_and_then_a_lower_bound(
    services: Services, add_expert: AddExpert, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(4):
        await add_expert(name=f"Somebody {n}")
    found = await services.experts.find(ExpertQuery(limit=1))
    assert (found.total, found.total_is_capped) == (4, False)
    assert (await services.experts.find(ExpertQuery(page=100_000, limit=100))).total == 4
    monkeypatch.setattr(page, "MAX_COUNTED", 3)
    found = await services.experts.find(ExpertQuery(limit=1))
    assert (found.total, found.total_is_capped) == (3, True)
    monkeypatch.setattr(page, "MAX_COUNTED", 4)
    found = await services.experts.find(ExpertQuery(limit=1))
    assert (found.total, found.total_is_capped) == (4, False)


# --- counts -----------------------------------------------------------------------------------------------------


async def test_facets_are_counted_under_all_other_filters(
    services: Services, add_expert: AddExpert, sql: Connection, clock: Clock
) -> None:
    short = SessionTypeRequest(title="Short", minutes=30, step_minutes=30)
    hour = SessionTypeRequest(title="Hour", minutes=60, step_minutes=60)
    for name, category, rating, languages, types in (
        ("Anna", "Tax", 4.9, ["de", "en"], [hour, short, short]), ("Bela", "Tax", 4.1, ["hu"], [short]),
        ("Cleo", "Law", None, ["en"], [hour]), ("Dora", "Law", 4.5, ["de"], [hour]),
    ):  # fmt: skip
        expert_id = await add_expert(
            name=name, category=category, rating=rating, languages=languages, session_types=types, bio="Words."
        )
        free(sql, expert_id, NOW + HOUR, minutes=types[0].minutes)

    async def counts(**query: Any) -> dict[str, dict[str, int]]:
        found = (await services.experts.find(ExpertQuery(facets=True, **query))).facets
        assert found is not None
        return {name: {one.value: one.experts for one in facet} for name, facet in found}

    all_counts = {
        "categories": {"Law": 2, "Tax": 2}, "languages": {"de": 2, "en": 2, "hu": 1}, "minutes": {"30": 2, "60": 3},
        "ratings": {"4.5": 2, "4": 3, "3.5": 3, "3": 3},
    }  # fmt: skip
    assert await counts() == all_counts
    assert await counts(search="words") == all_counts
    assert await counts(category="Tax") == {
        "categories": {"Law": 2, "Tax": 2}, "languages": {"de": 1, "en": 1, "hu": 1}, "minutes": {"30": 2, "60": 1},
        "ratings": {"4.5": 1, "4": 2, "3.5": 2, "3": 2},
    }  # fmt: skip
    assert await counts(search="words", language="de", min_rating=4.6) == {
        "categories": {"Tax": 1}, "languages": {"de": 1, "en": 1}, "minutes": {"30": 1, "60": 1},
        "ratings": {"4.5": 2, "4": 2, "3.5": 2, "3": 2},
    }  # fmt: skip
    free_hour = await counts(minutes=60, free_on=date(2026, 11, 23), free_before=date(2026, 11, 24))
    assert (free_hour["categories"], free_hour["minutes"]) == ({"Law": 2, "Tax": 1}, {"30": 1, "60": 3})
    assert await counts(search="nobody") == {
        "categories": {}, "languages": {}, "minutes": {}, "ratings": {"4.5": 0, "4": 0, "3.5": 0, "3": 0},
    }  # fmt: skip
    sql.execute("UPDATE expert SET active = false WHERE name = 'Dora'")
    clock.advance(minutes=6)
    assert (await counts())["categories"] == {"Law": 1, "Tax": 2}


async def test_slow_counts_are_served_stale_while_being_refreshed(
    services: Services, add_expert: AddExpert, sql: Connection, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(experts, "CACHE_THRESHOLD", 0)

    async def languages(**query: Any) -> dict[str, int]:
        found = (await services.experts.find_without_times(ExpertQuery(facets=True, **query))).facets
        assert found is not None
        return {one.value: one.experts for one in found.languages}

    await add_expert(languages=["en"])
    assert await languages(sort="name") == {"en": 1}
    sql.execute("UPDATE expert SET languages = '{de}'")
    clock.advance(seconds=14)
    assert await languages() == {"en": 1}
    clock.advance(seconds=1)
    assert await languages(limit=3) == {"en": 1}  # counted again in the background
    async with asyncio.timeout(5):
        while await languages() != {"de": 1}:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_fast_counts_are_always_current(
    services: Services, add_expert: AddExpert, sql: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(experts, "CACHE_THRESHOLD", 60)
    await add_expert(languages=["en"])
    for language in ("de", "fr"):
        sql.execute("UPDATE expert SET languages = %s", [[language]])
        found = (await services.experts.find(ExpertQuery(facets=True))).facets
        assert found is not None
        assert [one.value for one in found.languages] == [language]


# --- cost -------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("small_ranking_limit")
@pytest.mark.parametrize("sort", list(ExpertSort))
async def test_number_of_statements_is_independent_of_the_number_of_experts(
    services: Services,
    sql: Connection,
    clock: Clock,
    sort: ExpertSort,
    counted: Counted,
) -> None:
    async def statements() -> int:
        with counted() as sent:
            await services.experts.find_without_times(ExpertQuery(search="anna talks", sort=sort, facets=True, limit=3))
        return len(sent)

    assert await statements() == 3  # words, page, counts
    await add_many(services, sql, 9)
    clock.advance(minutes=6)  # so that the counts are refreshed
    assert await statements() == 3
