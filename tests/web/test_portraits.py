"""Drawn portraits: equal for equal keys and safe in any page."""

import re
from hashlib import sha256
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expert_booking.web.portraits import draw_portrait
from expert_booking.web.portraits.hair import BEARDS, CUTS

SVG = "http://www.w3.org/2000/svg"
HOSTILE = (
    '"><script>alert(1)</script>',
    "f:' onload='alert(1)",
    "m:]]>&<!--",
    "f:https://example.com/x.png",
    "m:\x00\ud800",
    "",
    "f:",
    "é" * 5_000,
)
MANY = [f"{look}person {number}" for look in ("f:", "m:", "") for number in range(100)]


def test_portrait_of_a_key_never_changes_between_releases() -> None:
    # Another digest means that all existing experts get a new portrait: change it only on purpose.
    digest = sha256(draw_portrait("f:jana-muller").encode()).hexdigest()
    assert digest == "6739da3cac70e195aeadd49f837e8081b55675e8edb7bdca8dde750b81c8bdf8"


@given(st.text(st.characters(exclude_categories=[])))
def test_any_key_gives_a_small_square_well_formed_svg(key: str) -> None:
    picture = draw_portrait(key)
    root = ElementTree.fromstring(picture)
    assert (root.tag, root.get("viewBox")) == (f"{{{SVG}}}svg", "0 0 160 160")
    assert len(picture) < 4_000


def test_three_hundred_keys_give_three_hundred_portraits() -> None:
    # Without the gradient's id, which differs in any case.
    assert len({re.sub(r"p[0-9a-f]{12}", "", draw_portrait(key)) for key in MANY}) > 295


def test_portraits_on_one_page_share_no_element_id() -> None:
    marks = [re.findall(r' id="([^"]+)"', draw_portrait(key)) for key in MANY]
    assert all(len(mark) == 1 for mark in marks)
    assert len({mark[0] for mark in marks}) == len(MANY)


@pytest.mark.parametrize("key", HOSTILE)
def test_key_does_not_appear_in_the_portrait(key: str) -> None:
    picture = draw_portrait(key)
    assert "script" not in picture
    assert "alert" not in picture
    assert "onload" not in picture
    assert "<!--" not in picture
    assert picture.count("http") == picture.count(f'xmlns="{SVG}"') == 1


def test_portrait_refers_only_to_its_own_gradient() -> None:
    for key in MANY:
        picture = draw_portrait(key)
        mark = re.findall(r' id="([^"]+)"', picture)[0]
        assert re.findall(r"url\(([^)]*)\)", picture) == [f"#{mark}"]
        assert "href" not in picture


def test_only_portraits_with_a_male_hint_have_a_beard() -> None:
    assert {key[:2] for key in MANY if _has_beard(draw_portrait(key))} == {"m:"}


def test_turbans_and_hijabs_match_the_hint() -> None:
    fronts = {look: {cut.front for cut in CUTS if cut.woven and look in cut.looks} for look in "fm"}
    assert _worn(fronts["f"]) == {"f:"}
    assert _worn(fronts["m"]) == {"m:"}


def _has_beard(picture: str) -> bool:
    return any(beard.path and beard.path in picture for beard in BEARDS)


def _worn(fronts: set[str]) -> set[str]:
    return {key[:2] for key in MANY if any(front in draw_portrait(key) for front in fronts)}
