"""What the database executes for three searches, written out and explained in the folder `catalogue_sql`."""

import re
from pathlib import Path
from typing import Final

import pytest

from expert_booking.schemas import ExpertQuery, ExpertSort
from expert_booking.services import Services
from tests.services.conftest import Counted

FOLDER: Final = Path(__file__).with_name("catalogue_sql")
SEARCHES: Final = {
    "all_experts": ExpertQuery(),
    "words_and_filters": ExpertQuery(search="tax", category=["Law"], min_rating=4.5),
    "next_free_first": ExpertQuery(sort=ExpertSort.SOONEST),
}


@pytest.mark.parametrize("name", SEARCHES)
async def test_search_executes_the_statement_in_its_file(services: Services, counted: Counted, name: str) -> None:
    with counted() as executed:
        await services.experts.find_without_times(SEARCHES[name])
    *others, page = executed
    assert len(others) == bool(SEARCHES[name].search)  # one that looks the words up
    assert words_of(page) == words_of((FOLDER / f"{name}.sql").read_text())


def words_of(sql: str) -> list[str]:
    """Return the words of a statement, without comments. Spaces inside parentheses do not count."""
    return re.sub(r"--.*", "", sql).replace("(", "( ").replace(")", " )").split()
