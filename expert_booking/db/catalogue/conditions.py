"""The conditions and parameters that the page and the counts share."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import Integer, Numeric, String, TextClause, bindparam, text

from expert_booking.db.catalogue.wanted import Span, Wanted
from expert_booking.db.catalogue.words import all_of, any_of, lexeme
from expert_booking.schemas import ExpertSort

# The indexes of the catalogue contain these experts only.
LISTED: Final = "e.active AND e.listed"
_OFFERS: Final = (
    "EXISTS (SELECT FROM session_type s WHERE s.expert_id = e.id AND s.minutes = :minutes AND s.active{each})"
)
# Local days are longer than half a day, so an expert with such a row has a free start on that day. The rows of one day
# are adjacent in an index, so this is an index-only scan. By primary key they are scattered over gigabytes.
_FREE_ON: Final = """e.id IN (SELECT f.expert_id FROM expert_free f WHERE f.half_day BETWEEN :first_half AND :last_half
   AND f.minutes = :length AND f.first_at < :until AND f.last_at >= :since OFFSET 0)"""
_FREE_ON_EACH: Final = """EXISTS (SELECT FROM generate_series(:first_half, :last_half) half
    JOIN expert_free f ON f.half_day = half AND f.minutes = :length AND f.expert_id = e.id
   WHERE f.first_at < :until AND f.last_at >= :since OFFSET 0)"""
_FREE_BEFORE: Final = """EXISTS (SELECT FROM expert_next b WHERE b.expert_id = e.id AND b.minutes = :length
  AND b.free_at >= :now AND b.free_at < :before_day{each})"""
_HALF_DAY: Final = 43_200


def all_conditions(wanted: Wanted, each: str = "") -> list[str]:
    """The condition on terms (words, categories and language in one tsquery), and those of the other filters."""
    filters = filter_conditions(wanted, each)
    terms = [matches("terms")] if terms_query(wanted) else []
    return [*terms, *([filters["rating"]] if "rating" in filters else ()), *length_condition(filters)]


def length_condition(filters: Mapping[str, str]) -> list[str]:
    """The condition on the session length. A free time of that length implies it."""
    return [filters[name] for name in ("free", "minutes") if name in filters][:1]


def filter_conditions(wanted: Wanted, each: str = "") -> dict[str, str]:
    """The condition of each filter, by the name of its counts. "free" (the days) has no counts.

    `each` is appended to the sub-queries.
    """
    query = wanted.query
    free_on = _FREE_ON_EACH if each else _FREE_ON
    free = [*([free_on] if wanted.free_on else ()), *([_FREE_BEFORE] if wanted.free_before else ())]
    filters = {
        "category": "e.category = ANY(:categories)" if query.category else "",
        "language": ":language = ANY(e.languages)" if query.language else "",
        "rating": "e.rating_key >= :min_rating" if query.min_rating is not None else "",
        "minutes": _OFFERS if query.minutes else "",
        "free": " AND ".join(free),
    }
    return {name: condition.replace("{each}", each) for name, condition in filters.items() if condition}


def half_days_of(span: Span | None) -> range:
    """The half-days (numbers since 1970, as in expert_free) that a span touches."""
    if span is None:
        return range(0)
    return range(int(span.since.timestamp()) // _HALF_DAY, int(span.until.timestamp()) // _HALF_DAY + 1)


def tier_queries(wanted: Wanted) -> Sequence[str]:
    """The tsqueries that rank a search by relevance, best first; empty for other orders."""
    words = wanted.words
    if wanted.query.order is not ExpertSort.RELEVANCE or words is None:
        return ()
    anywhere = [word.anywhere for word in words]
    tiers = [
        all_of(*(word.in_name for word in words)),
        all_of(*anywhere, any_of(*(word.anywhere_in_name for word in words))),
        all_of(*anywhere),
    ]
    return [*tiers, all_of(*(word.anyhow for word in words))] if any(word.slips for word in words) else tiers


def terms_query(wanted: Wanted) -> str:
    """The tsquery of words, categories and language together."""
    query = wanted.query
    parts = [_search_query(wanted), any_of(*(lexeme(f"c {category}") for category in query.category)),
             lexeme(f"l {query.language}") if query.language else ""]  # fmt: skip
    return all_of(*parts)


def _search_query(wanted: Wanted) -> str:
    return all_of(*(word.anyhow for word in wanted.words)) if wanted.words else ""


def inline_values(statement: str, parameters: dict[str, Any]) -> TextClause:
    """Return the statement with words and numbers inlined as literals instead of bound.

    A common word needs another plan than a rare one. With bound values PostgreSQL would use one generic plan for all.
    """
    kinds: dict[type, Any] = {str: String(), int: Integer(), Decimal: Numeric()}
    chosen = {name: kinds[type(value)] for name, value in parameters.items()
              if type(value) in kinds and not name.startswith("place") and f":{name}" in statement}  # fmt: skip
    return text(statement).bindparams(
        *(bindparam(name, type_=kind, literal_execute=True) for name, kind in chosen.items())
    )


def bind_values(wanted: Wanted) -> dict[str, Any]:
    """The values for every condition, used or not."""
    query, day, half_days = wanted.query, wanted.free_on, half_days_of(wanted.free_on)
    others = terms_query(replace(wanted, words=None))
    tiers = {f"tier{n}": all_of(terms, others) for n, terms in enumerate(tier_queries(wanted))}
    return {
        **tiers,
        "terms": terms_query(wanted),
        "search": _search_query(wanted),
        "categories": list(query.category),
        "language": query.language,
        "min_rating": None if query.min_rating is None else Decimal(str(query.min_rating)),
        "minutes": query.minutes,
        "length": query.minutes or 0,
        "now": wanted.now,
        "before_day": wanted.free_before,
        "since": day and day.since,
        "until": day and day.until,
        "first_half": half_days[0] if half_days else None,
        "last_half": half_days[-1] if half_days else None,
    }


def join_and(conditions: Sequence[str]) -> str:
    """Join SQL conditions with AND."""
    return " AND ".join(conditions)


def matches(terms: str) -> str:
    """The condition that an expert matches the tsquery in the parameter `terms`."""
    return f"e.terms @@ CAST(:{terms} AS tsquery)"
