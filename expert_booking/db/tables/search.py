"""The words of the catalogue's search. Its functions are in `db/sql/search_*.sql`."""

from typing import Final

from sqlalchemy import Column, Computed, Index, Table, Text
from sqlalchemy.dialects.postgresql import ARRAY

from expert_booking.db.tables.base import metadata

# PostgreSQL declares unaccent() only stable, because its rules are a file. After a change of that file, or an upgrade
# of PostgreSQL that changes the rules, recompute the columns: UPDATE expert SET name = name.
SEARCH_EXTENSIONS: Final = ("pg_trgm", "unaccent")

# Every word that the catalogue has ever contained, to find parts of words and words with a typing error. Words are
# never deleted: an unused one matches no expert.
search_word = Table(
    "search_word",
    metadata,
    Column("word", Text, primary_key=True),
    Column("slips", ARRAY(Text), Computed("search_slips(word)", persisted=True)),
    Index("ix_search_word_word", "word", postgresql_using="gin", postgresql_ops={"word": "gin_trgm_ops"}),
    Index("ix_search_word_slips", "slips", postgresql_using="gin"),
)
