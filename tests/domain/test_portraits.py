"""Portraits: the same for the same key, different for different people, and never more than a drawing."""

import hashlib
import re
from xml.etree import ElementTree

import pytest

from expert_booking.domain.portraits import portrait

KEYS = [f"{look}person-{number}" for look in ("f:", "m:", "") for number in range(40)]


def test_a_portrait_stays_as_it_is() -> None:
    digests = {hashlib.sha256(portrait("f:jana-muller").encode()).hexdigest() for _ in range(3)}
    assert len(digests) == 1


@pytest.mark.parametrize("key", KEYS[::7])
def test_a_portrait_is_well_formed_and_small(key: str) -> None:
    picture = portrait(key)
    root = ElementTree.fromstring(picture)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert root.get("viewBox") == "0 0 160 160"
    assert len(picture) < 6_000


def test_people_look_different() -> None:
    assert len({portrait(key) for key in KEYS}) == len(KEYS)


def test_two_portraits_on_one_page_share_no_ids() -> None:
    first, second = (set(re.findall(r'id="([^"]+)"', portrait(key))) for key in ("f:ada", "f:bea"))
    assert first
    assert not first & second


@pytest.mark.parametrize("key", ['"><script>alert(1)</script>', "f:' onload='x", "m:\x00\ud800", "", "é" * 5_000])
def test_nothing_of_a_hostile_key_shows_in_the_drawing(key: str) -> None:
    picture = portrait(key)
    ElementTree.fromstring(picture)
    assert "script" not in picture
    assert "onload" not in picture
    assert set(re.findall(r"https?://[^\"' ]+", picture)) <= {"http://www.w3.org/2000/svg"}
