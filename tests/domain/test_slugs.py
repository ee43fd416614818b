"""Names in URLs."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expert_booking.domain.slugs import slug_of


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Jana Müller", "jana-muller"),
        ("Dr. Łukasz Müller-Straße", "dr-lukasz-muller-strasse"),
        ("  Søren   Ærø  ", "soren-aero"),
        ("O'Brien, Seán", "o-brien-sean"),
        ("Nguyễn Thị Hoà", "nguyen-thi-hoa"),
        ("Đặng", "dang"),
        ("ﬁne ２", "fine-2"),
        ("--", "expert"),
        ("", "expert"),
        ("李小龍", "expert"),
        ("Анна", "expert"),
        ("🦉", "expert"),
        ("a" * 200, "a" * 80),
        ("a" * 79 + " b", "a" * 79),
    ],
)
def test_name_becomes_a_slug(name: str, slug: str) -> None:
    assert slug_of(name) == slug


@given(name=st.text(max_size=200))
def test_slug_of_any_name_satisfies_the_database_constraint(name: str) -> None:
    slug = slug_of(name)
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", slug)
    assert len(slug) <= 80
