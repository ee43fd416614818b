"""What pages make of addresses, cookies and what a browser sends: nothing of it can be trusted to be right."""

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


def test_a_cursor_of_another_order_or_of_nobody_counts_as_not_asked_for() -> None:
    for place in ("rubbish", "c29vbmVzdDpbMF0", "%", "a" * 999):
        assert query_of({"after": place, "search": "law"}) == ExpertQuery(search="law", limit=PAGE_LENGTH)
        assert query_of({"after": place, "before": place, "sort": "zzz"}) == EVERYBODY


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


FIRST, SECOND = UUID(int=11), UUID(int=12)
OFFERED = [SessionTypeView(id=FIRST, title="Talk", minutes=30), SessionTypeView(id=SECOND, title="Dive", minutes=90)]
NOT_OFFERED = ["nonsense", str(UUID(int=13)), "\0", 5 * str(SECOND)]


@pytest.mark.parametrize("wanted", [*NOT_OFFERED, None, "", 5, ["a"], {"a": 1}, SECOND.int])
def test_a_session_that_is_not_offered_gives_way_to_the_first_one(wanted: object) -> None:
    assert chosen(OFFERED, wanted) == FIRST
    assert chosen([], wanted) is None


def test_a_session_that_is_offered_is_chosen_however_its_id_is_written() -> None:
    assert chosen(OFFERED, str(SECOND)) == chosen(OFFERED, str(SECOND).upper()) == SECOND


def test_a_form_is_for_the_session_in_its_address_or_for_the_first_and_never_for_another_one() -> None:
    expert = ExpertDetail(
        id=UUID(int=1), slug="jana", name="Jana", category="Law", experience=1, rating=None, rating_count=0,
        headline="", time_zone="Europe/Berlin", bio="", session_types=OFFERED,
    )  # fmt: skip
    assert [session_of(expert, wanted) for wanted in (None, "", str(FIRST))] == 3 * [OFFERED[0]]
    assert session_of(expert, str(SECOND).upper()) == OFFERED[1]
    assert [session_of(expert, wanted) for wanted in NOT_OFFERED] == len(NOT_OFFERED) * [None]
    assert session_of(expert.model_copy(update={"session_types": []}), None) is None


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
