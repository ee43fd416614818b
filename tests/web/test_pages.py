"""Parsing of URLs, cookies and messages from browsers, none of which can be trusted."""

from datetime import UTC, datetime
from uuid import UUID

import pytest
from fastapi import Request

from expert_booking.schemas import ExpertDetail, ExpertQuery, ExpertSort, SessionTypeView
from expert_booking.web.live.board_view import chosen
from expert_booking.web.pages.book import instant_of, session_of
from expert_booking.web.pages.experts import PAGE_LENGTH, query_of
from expert_booking.web.visitor import zone_named, zone_of

NINE = datetime(2026, 11, 24, 8, tzinfo=UTC)
ALL_EXPERTS = ExpertQuery(limit=PAGE_LENGTH)


def test_search_in_the_query_string_is_parsed() -> None:
    wanted = {"search": " jana  müller ", "category": "Law", "sort": "name", "page": "3", "utm": "x", "limit": "99"}
    assert query_of(wanted) == ExpertQuery(
        search="jana müller", category="Law", sort=ExpertSort.NAME, page=3, limit=PAGE_LENGTH
    )


@pytest.mark.parametrize(
    "wanted",
    [{"page": "0"}, {"page": "-5"}, {"page": "abc"}, {"page": None}, {"page": float("nan")}, {"page": 10**30},
     {"sort": "cheapest"}, {"sort": 1}, {"search": "x" * 101}, {"search": None}, {"search": ["a"]}, {"search": "\0"},
     {"category": {"a": 1}}, {"limit": 5}, {}],
)  # fmt: skip
def test_invalid_query_values_are_ignored(wanted: dict[str, object]) -> None:
    assert query_of(wanted) == ALL_EXPERTS


def test_cursor_that_is_invalid_or_of_another_order_is_ignored() -> None:
    for place in ("rubbish", "c29vbmVzdDpbMF0", "%", "a" * 999):
        assert query_of({"after": place, "search": "law"}) == ExpertQuery(search="law", limit=PAGE_LENGTH)
        assert query_of({"after": place, "before": place, "sort": "zzz"}) == ALL_EXPERTS


def test_one_invalid_value_leaves_the_others_in_place() -> None:
    assert query_of({"search": "law", "page": "x", "sort": "y"}) == ExpertQuery(search="law", limit=PAGE_LENGTH)


@pytest.mark.parametrize(
    "text",
    ["2026-11-24T08:00:00Z", "2026-11-24T09:00:00+01:00", "2026-11-24T09:00:00 01:00", "2026-11-24T13:45:00+05:45",
     "2026-11-24T08:00Z", "2026-11-24T08:00:00.000Z"],
)  # fmt: skip
def test_time_in_a_url_may_have_any_offset_and_may_have_lost_its_plus_sign(text: str) -> None:
    assert instant_of(text) == NINE


@pytest.mark.parametrize(
    "text", [None, "", "now", "2026-11-24T08:00:00", "2026-11-24", "9999-12-31T23:59:59Z", "1-1-1", "\0", "x" * 5000]
)
def test_time_without_an_offset_or_malformed_is_none(text: str | None) -> None:
    assert instant_of(text) is None


FIRST, SECOND = UUID(int=11), UUID(int=12)
OFFERED = [SessionTypeView(id=FIRST, title="Talk", minutes=30), SessionTypeView(id=SECOND, title="Dive", minutes=90)]
NOT_OFFERED = ["nonsense", str(UUID(int=13)), "\0", 5 * str(SECOND)]


@pytest.mark.parametrize("wanted", [*NOT_OFFERED, None, "", 5, ["a"], {"a": 1}, SECOND.int])
def test_unknown_session_type_is_replaced_by_the_first(wanted: object) -> None:
    assert chosen(OFFERED, wanted) == FIRST
    assert chosen([], wanted) is None


def test_offered_session_type_is_chosen_in_any_spelling_of_its_id() -> None:
    assert chosen(OFFERED, str(SECOND)) == chosen(OFFERED, str(SECOND).upper()) == SECOND


def test_form_uses_the_session_type_of_its_url_or_the_first_but_never_another() -> None:
    expert = ExpertDetail(
        id=UUID(int=1), slug="jana", name="Jana", category="Law", experience=1, rating=None, rating_count=0,
        headline="", time_zone="Europe/Berlin", bio="", session_types=OFFERED,
    )  # fmt: skip
    assert [session_of(expert, wanted) for wanted in (None, "", str(FIRST))] == 3 * [OFFERED[0]]
    assert session_of(expert, str(SECOND).upper()) == OFFERED[1]
    assert [session_of(expert, wanted) for wanted in NOT_OFFERED] == len(NOT_OFFERED) * [None]
    assert session_of(expert.model_copy(update={"session_types": []}), None) is None


def request_with(cookies: str) -> Request:
    """Build a request with these cookies."""
    return Request({"type": "http", "headers": [(b"cookie", cookies.encode())]})


@pytest.mark.parametrize(
    ("cookies", "zone"),
    [("", None), ("browser_zone=Asia/Kathmandu", "Asia/Kathmandu"), ("browser_zone=Asia%2FKathmandu", "Asia/Kathmandu"),
     ("zone=Europe%2FBerlin; browser_zone=Asia/Kathmandu", "Europe/Berlin"),
     ("zone=nonsense; browser_zone=Asia/Kathmandu", "Asia/Kathmandu"), ("zone=../../etc/passwd", None)],
)  # fmt: skip
def test_chosen_zone_precedes_the_browsers_and_invalid_zones_are_ignored(cookies: str, zone: str | None) -> None:
    found = zone_of(request_with(cookies))
    assert (found and found.key) == zone


@pytest.mark.parametrize("name", [None, 5, "", "Mars/Phobos", "../UTC", ["UTC"], {"zone": "UTC"}])
def test_unknown_zone_names_are_rejected(name: object) -> None:
    assert zone_named(name) is None


def test_old_and_new_names_of_a_zone_are_the_same() -> None:
    for old, new in (
        ("Asia/Calcutta", "Asia/Kolkata"),
        ("Europe/Kiev", "Europe/Kyiv"),
        ("Europe/Berlin", "Europe/Berlin"),
    ):
        assert zone_named(old) == zone_named(new)
