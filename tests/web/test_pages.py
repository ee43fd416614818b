"""What pages make of addresses, cookies and what a browser sends: nothing of it can be trusted to be right."""

from datetime import UTC, datetime

import pytest
from fastapi import Request

from expert_booking.schemas import ExpertQuery, ExpertSort
from expert_booking.web.pages.book import instant_of
from expert_booking.web.pages.experts import PAGE_LENGTH, query_of
from expert_booking.web.visitor import zone_named, zone_of

NINE = datetime(2026, 11, 24, 8, tzinfo=UTC)
EVERYBODY = ExpertQuery(limit=PAGE_LENGTH)


def test_a_search_in_the_address_is_read() -> None:
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
def test_nonsense_counts_as_not_asked_for(wanted: dict[str, object]) -> None:
    assert query_of(wanted) == EVERYBODY


def test_nonsense_in_one_place_leaves_the_rest_as_it_is() -> None:
    assert query_of({"search": "law", "page": "x", "sort": "y"}) == ExpertQuery(search="law", limit=PAGE_LENGTH)


@pytest.mark.parametrize(
    "text",
    ["2026-11-24T08:00:00Z", "2026-11-24T09:00:00+01:00", "2026-11-24T09:00:00 01:00", "2026-11-24T13:45:00+05:45",
     "2026-11-24T08:00Z", "2026-11-24T08:00:00.000Z"],
)  # fmt: skip
def test_a_time_in_an_address_may_have_any_offset_and_may_have_lost_its_plus(text: str) -> None:
    assert instant_of(text) == NINE


@pytest.mark.parametrize(
    "text", [None, "", "now", "2026-11-24T08:00:00", "2026-11-24", "9999-12-31T23:59:59Z", "1-1-1", "\0", "x" * 5000]
)
def test_a_time_without_offset_or_sense_is_none(text: str | None) -> None:
    assert instant_of(text) is None


def request_with(cookies: str) -> Request:
    """A request with these cookies."""
    return Request({"type": "http", "headers": [(b"cookie", cookies.encode())]})


@pytest.mark.parametrize(
    ("cookies", "zone"),
    [("", None), ("browser_zone=Asia/Kathmandu", "Asia/Kathmandu"), ("browser_zone=Asia%2FKathmandu", "Asia/Kathmandu"),
     ("zone=Europe%2FBerlin; browser_zone=Asia/Kathmandu", "Europe/Berlin"),
     ("zone=nonsense; browser_zone=Asia/Kathmandu", "Asia/Kathmandu"), ("zone=../../etc/passwd", None)],
)  # fmt: skip
def test_the_chosen_zone_goes_before_the_browsers_and_nonsense_counts_as_none(cookies: str, zone: str | None) -> None:
    found = zone_of(request_with(cookies))
    assert (found and found.key) == zone


@pytest.mark.parametrize("name", [None, 5, "", "Mars/Phobos", "../UTC", ["UTC"], {"zone": "UTC"}])
def test_what_a_browser_calls_a_zone_has_to_be_one(name: object) -> None:
    assert zone_named(name) is None


def test_a_zone_that_a_browser_knows_by_an_old_name_is_the_one_that_experts_know_by_the_new_one() -> None:
    for old, new in (
        ("Asia/Calcutta", "Asia/Kolkata"),
        ("Europe/Kiev", "Europe/Kyiv"),
        ("Europe/Berlin", "Europe/Berlin"),
    ):
        assert zone_named(old) == zone_named(new)
