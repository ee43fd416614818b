"""The words of a search: read them from the database, and match them as tsqueries."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection


@dataclass(frozen=True, slots=True)
class Word:
    """A typed word, folded; the catalogue's words that contain it; and those that are one typing error away."""

    word: str
    inside: Sequence[str] = ()
    slips: Sequence[str] = ()

    @property
    def in_name(self) -> str:
        """A tsquery for names with a word that starts with this one."""
        return f"{lexeme(f'n {self.word}')}:*"

    @property
    def anywhere_in_name(self) -> str:
        """The same, or with a word that contains it."""
        return any_of(self.in_name, *(lexeme(f"n {word}") for word in self.inside))

    @property
    def anywhere(self) -> str:
        """A tsquery for texts with a word that starts with or contains this one.

        One or two letters match only whole words and the start of names.
        """
        term = lexeme(self.word) + (":*" if len(self.word) > 2 else "")
        return any_of(term, self.in_name, *(lexeme(word) for word in self.inside))

    @property
    def anyhow(self) -> str:
        """The same, or with a typing error."""
        return any_of(self.anywhere, *(lexeme(word) for word in self.slips))


# A word of at least 4 letters that matches fewer than 5 experts may be a typing error.
_READ_WORDS: Final = text("""
SELECT word,
  ARRAY(SELECT v.word FROM search_word v
         WHERE length(typed.word) >= 3 AND v.word LIKE '%' || typed.word || '%' AND NOT starts_with(v.word, typed.word)
         ORDER BY length(v.word), v.word LIMIT 50) AS inside,
  CASE WHEN length(word) >= 4 AND 5 > (
    SELECT count(*) FROM (
      SELECT FROM expert e WHERE e.active AND e.listed AND e.terms @@ (word || ':*')::tsquery LIMIT 5) few
  ) THEN ARRAY(SELECT v.word FROM search_word v
                WHERE v.slips && search_slips(typed.word) AND NOT starts_with(v.word, typed.word)
                ORDER BY v.word LIMIT 200)
  ELSE '{}' END AS near
FROM unnest(search_words(:search)) AS typed (word)
""")


async def read_words(connection: AsyncConnection, search: str) -> list[Word]:
    """Return the words of a search, folded, with the words of the catalogue that each may mean."""
    rows = await connection.execute(_READ_WORDS, {"search": search})
    return [Word(row.word, row.inside, [near for near in row.near if one_slip(row.word, near)]) for row in rows]


def one_slip(typed: str, meant: str) -> bool:
    """Return whether two words differ by one letter replaced, missing or added, or by two neighbours swapped."""
    start = next((n for n, (a, b) in enumerate(zip(typed, meant, strict=False)) if a != b), min(len(typed), len(meant)))
    a, b = typed[start:], meant[start:]
    return a[1:] == b[1:] or a == b[1:] or a[1:] == b or (a[1::-1] == b[:2] and a[2:] == b[2:])


def lexeme(term: str) -> str:
    """Quote a term for a tsquery."""
    escaped = term.replace("\\", "\\\\").replace("'", "''")
    return f"'{escaped}'"


def any_of(*queries: str) -> str:
    """Join tsqueries with OR."""
    return f"({' | '.join(queries)})" if queries else ""


def all_of(*queries: str) -> str:
    """Join tsqueries with AND."""
    return " & ".join(filter(None, queries))
