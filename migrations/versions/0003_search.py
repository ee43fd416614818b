"""Search that forgives accents, case, word order and slips; the catalogue's orders as indexes.

Why: looking for letters inside four columns reads every expert, and knows nothing of accents. Now each expert has a
column of search terms that follows the others by itself, and every word ever seen is in a small table, in which words
with a slip are looked up. The columns are worked out in one rewrite of `expert`, which is locked meanwhile, and until
its indexes are built (29 s for 100,000 experts on two busy cores); other tables are not locked.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"


EXTENSIONS = ("pg_trgm", "unaccent")
FUNCTIONS = (
    """
CREATE FUNCTION search_folded(said text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN lower(unaccent('unaccent'::regdictionary, normalize(said, NFKC)))
""",
    """
CREATE FUNCTION search_words(said text) RETURNS text[] LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN ARRAY(
  SELECT DISTINCT "left"(word, 60) FROM regexp_split_to_table(
    regexp_replace(regexp_replace(search_folded(said), '(?<=[[:alnum:]])''(?=[[:alnum:]])', '', 'g'),
                   '([^[:alnum:][:space:]])', ' \\1 ', 'g'), '[[:space:]]+') AS word
  WHERE word <> '')
""",
    """
CREATE FUNCTION search_terms(name text, category text, headline text, bio text, languages text[]) RETURNS tsvector
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN array_to_tsvector(
  search_words(name || ' ' || category || ' ' || headline || ' ' || bio)
  || ARRAY(SELECT 'n ' || word FROM unnest(search_words(name)) AS word)
  || ('c ' || "left"(category, 200))
  || ARRAY(SELECT 'l ' || language FROM unnest(languages) AS language))
""",
    # A word, and it without any one of its letters: two words that share such a rest are a slip or two apart.
    """
CREATE FUNCTION search_slips(word text) RETURNS text[] LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN ARRAY(SELECT word UNION SELECT overlay(word PLACING '' FROM place FOR 1)
               FROM generate_series(1, length(word)) AS place)
""",
)
TRIGGER_FUNCTION = """
CREATE FUNCTION learn_search_words() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO search_word (word)
  SELECT DISTINCT word FROM changed, unnest(tsvector_to_array(terms)) AS term (word)
   WHERE length(word) >= 3 AND position(' ' IN word) = 0
     AND NOT EXISTS (SELECT FROM search_word known WHERE known.word = term.word)
   ORDER BY word
  ON CONFLICT DO NOTHING;
  RETURN NULL;
END $$
"""
TRIGGERS = tuple(
    f"CREATE TRIGGER expert_words_{event.lower()} AFTER {event} ON expert REFERENCING NEW TABLE AS changed "
    "FOR EACH STATEMENT EXECUTE FUNCTION learn_search_words()"
    for event in ("INSERT", "UPDATE")
)


def upgrade() -> None:
    for extension in EXTENSIONS:
        op.execute(f"CREATE EXTENSION IF NOT EXISTS {extension}")
    for function in FUNCTIONS:
        op.execute(function)
    # In one statement, so that the table is written anew only once.
    op.execute(
        """
        ALTER TABLE expert
          ADD COLUMN terms tsvector
            GENERATED ALWAYS AS (search_terms(name, category, headline, bio, languages)) STORED,
          ADD COLUMN folded_name text COLLATE "C" GENERATED ALWAYS AS ("left"(search_folded(name), 100)) STORED,
          ADD COLUMN rating_key numeric(3, 2) GENERATED ALWAYS AS (coalesce(rating, '-1')) STORED
        """
    )
    for index in ("ix_expert_rating", "ix_expert_category"):
        op.drop_index(index, table_name="expert")
    active: dict[str, Any] = {"postgresql_where": sa.text("active")}
    op.create_index("ix_expert_rating", "expert", ["rating_key", "rating_count", "id"], **active)
    op.create_index(
        "ix_expert_experience", "expert", ["experience_years", "rating_key", "rating_count", "id"], **active
    )
    op.create_index("ix_expert_name", "expert", ["folded_name", "id"], **active)
    op.create_index(
        "ix_expert_category", "expert", ["category", "id"], postgresql_include=["rating_key", "languages"], **active
    )
    op.create_index("ix_expert_terms", "expert", ["terms"], postgresql_using="gin", **active)
    op.create_index("ix_session_type_minutes", "session_type", ["minutes", "expert_id"], **active)
    _create_words()


def downgrade() -> None:
    for event in ("insert", "update"):
        op.execute(f"DROP TRIGGER expert_words_{event} ON expert")
    op.execute("DROP FUNCTION learn_search_words()")
    op.drop_table("search_word")
    op.drop_index("ix_session_type_minutes", table_name="session_type")
    for index in (
        "ix_expert_terms",
        "ix_expert_category",
        "ix_expert_name",
        "ix_expert_experience",
        "ix_expert_rating",
    ):
        op.drop_index(index, table_name="expert")
    op.drop_column("expert", "rating_key")
    op.drop_column("expert", "folded_name")
    op.drop_column("expert", "terms")
    active: dict[str, Any] = {"postgresql_where": sa.text("active")}
    op.create_index("ix_expert_rating", "expert", [sa.text("rating DESC NULLS LAST"), "id"], **active)
    op.create_index("ix_expert_category", "expert", ["category", "id"], **active)
    for function in (
        "search_slips(text)",
        "search_terms(text, text, text, text, text[])",
        "search_words(text)",
        "search_folded(text)",
    ):
        op.execute(f"DROP FUNCTION {function}")


def _create_words() -> None:
    op.create_table(
        "search_word",
        sa.Column("word", sa.Text(), nullable=False),
        sa.Column("slips", postgresql.ARRAY(sa.Text()), sa.Computed("search_slips(word)", persisted=True)),
        sa.PrimaryKeyConstraint("word", name=op.f("pk_search_word")),
    )
    op.execute(
        """
        INSERT INTO search_word (word)
        SELECT DISTINCT word FROM expert, unnest(tsvector_to_array(terms)) AS term (word)
         WHERE length(word) >= 3 AND position(' ' IN word) = 0
        """
    )
    op.create_index(
        "ix_search_word_word", "search_word", ["word"], postgresql_using="gin", postgresql_ops={"word": "gin_trgm_ops"}
    )
    op.create_index("ix_search_word_slips", "search_word", ["slips"], postgresql_using="gin")
    op.execute(TRIGGER_FUNCTION)
    for trigger in TRIGGERS:
        op.execute(trigger)
