"""Cursors are read back exactly, and nothing else is taken for one."""

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from pydantic import ValidationError

from expert_booking.schemas import ExpertQuery, ExpertSort
from expert_booking.schemas.cursors import CURSOR_LENGTH, cursor, place_of

EXPERT = UUID(int=7)
PLACES = {
    ExpertSort.RELEVANCE: (1, Decimal("4.90"), 12, EXPERT),
    ExpertSort.RATING: (0, Decimal("-1"), 0, EXPERT),
    ExpertSort.EXPERIENCE: (0, 2**31 - 1, Decimal("5.00"), 3, EXPERT),
    ExpertSort.NAME: (0, 'jürgen "jay" 王' * 6, EXPERT),
    ExpertSort.SOONEST: (0, datetime(2026, 11, 24, 8, tzinfo=UTC), EXPERT),
}
AFTER = cursor(ExpertSort.RATING, PLACES[ExpertSort.RATING])


@pytest.mark.parametrize(("sort", "place"), PLACES.items())
def test_cursor_of_every_order_is_read_back(sort: ExpertSort, place: Sequence[Any]) -> None:
    text = cursor(sort, place)
    assert place_of(sort, text) == place
    assert len(text) <= CURSOR_LENGTH
    assert ExpertQuery(search="law", after=text, sort=sort).after == text


@pytest.mark.parametrize("field", ["after", "before"])
@pytest.mark.parametrize(
    "wrong",
    ["x", "=", "é", "AAAA", AFTER[:-3], AFTER + "A", "cmF0aW5nOltd", "cmF0aW5nOlswXQ", "\x00"],
)
def test_invalid_cursor_is_refused_by_field(field: str, wrong: str) -> None:
    with pytest.raises(ValidationError, match="cursor from an earlier response"):
        ExpertQuery(**{field: wrong})


@pytest.mark.parametrize("sort", [ExpertSort.NAME, ExpertSort.SOONEST, ExpertSort.EXPERIENCE])
def test_cursor_of_another_order_is_refused(sort: ExpertSort) -> None:
    with pytest.raises(ValidationError, match="cursor from an earlier response"):
        ExpertQuery(after=AFTER, sort=sort)


def test_only_one_cursor_may_be_given() -> None:
    with pytest.raises(ValidationError, match="either `after` or `before`"):
        ExpertQuery(after=AFTER, before=AFTER)
