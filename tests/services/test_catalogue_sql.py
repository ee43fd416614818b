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
    *words, page = executed
    assert len(words) == (name == "words_and_filters")  # the statement that looks the words up in the catalogue
    assert on_one_line(page) == on_one_line((FOLDER / f"{name}.sql").read_text())


def on_one_line(sql: str) -> str:
    """Return the statement without comments, line breaks and spaces inside parentheses."""
    words = " ".join(re.sub(r"--.*", "", sql).split())
    return words.replace("( ", "(").replace(" )", ")")
