"""The counts beside each filter."""

from collections.abc import Iterable, Mapping
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from expert_booking.db.catalogue.conditions import (
    LISTED,
    bind_values,
    filter_conditions,
    half_days_of,
    inline_values,
    join_and,
    length_condition,
    matches,
)
from expert_booking.db.catalogue.wanted import Wanted
from expert_booking.db.engine import AnyRow

RATINGS: Final = ("4.5", "4", "3.5", "3")
_LENGTHS: Final = "SELECT DISTINCT minutes, expert_id FROM session_type WHERE active"
_LENGTHS_ON: Final = """SELECT minutes, expert_id FROM expert_free
  WHERE half_day = :first_half + {number} AND first_at < :until AND last_at >= :since"""
_LENGTHS_BEFORE: Final = "SELECT minutes, expert_id FROM expert_next WHERE free_at >= :now AND free_at < :before_day"
_RATING_STEP: Final = "CASE " + " ".join(f"WHEN e.rating_key >= {r} THEN {r}" for r in RATINGS) + " ELSE 0 END"


async def facets(connection: AsyncConnection, wanted: Wanted) -> AnyRow:
    """Count experts by category, language, session length and rating, each under all filters except its own.

    Experts are read once and grouped by everything the filters distinguish. The counts are sums of these groups.
    """
    fits = _facet_filters(wanted)
    ratings = [
        f"json_build_array('{least}', coalesce(sum(n) FILTER (WHERE rating >= {least}), 0))" for least in RATINGS
    ]

    def others(own: str) -> str:
        return join_and(["true", *(f"fits_{name}" for name in fits if name != own)])

    statement = f"""
WITH lengths AS ({_lengths_query(wanted)}),
base AS {"MATERIALIZED" if wanted.words is not None else "NOT MATERIALIZED"} (
  SELECT e.id, e.category, e.languages, {_RATING_STEP} AS rating{_flags(fits)} FROM expert e
   WHERE {LISTED} {f"AND {matches('search')}" if wanted.words is not None else ""}),
groups AS MATERIALIZED (
  SELECT category, languages, rating{_flag_names(fits)}, count(*) AS n FROM base e
   WHERE {join_and(["true", *length_condition(filter_conditions(wanted))])}
   GROUP BY category, languages, rating{_flag_names(fits)})
SELECT (SELECT json_agg(c) FROM (
    SELECT json_build_array(category, sum(n)) FROM groups WHERE {others("category")}
     GROUP BY category ORDER BY category) x (c)) AS categories,
  (SELECT json_agg(c) FROM (
    SELECT json_build_array(language, sum(n)) FROM groups, unnest(languages) language WHERE {others("language")}
     GROUP BY language ORDER BY language) x (c)) AS languages,
  (SELECT json_agg(c) FROM (
    SELECT json_build_array(l.minutes::text, count(*)) FROM base JOIN lengths l ON l.expert_id = base.id
     WHERE l.minutes > 0 AND {others("")}
     GROUP BY l.minutes ORDER BY l.minutes) x (c)) AS minutes,
  (SELECT json_build_array({", ".join(ratings)}) FROM groups WHERE {others("rating")}) AS ratings
"""
    parameters = bind_values(wanted)
    return (await connection.execute(inline_values(statement, parameters), parameters)).one()


def _lengths_query(wanted: Wanted) -> str:
    """A query for the session lengths of each expert, or with a filter by day, those with a free time.

    Half-days are read one by one, because each then comes sorted for the merge.
    """
    on = " UNION ".join(_LENGTHS_ON.format(number=number) for number in range(len(half_days_of(wanted.free_on))))
    found = [*([f"({on})"] if on else ()), *([_LENGTHS_BEFORE] if wanted.free_before else ())]
    return " INTERSECT ".join(found) or _LENGTHS


def _facet_filters(wanted: Wanted) -> dict[str, str]:
    """The filters that become flags of a row, by the name of their counts."""
    return {name: condition for name, condition in filter_conditions(wanted).items() if name not in ("minutes", "free")}


def _flags(fits: Mapping[str, str]) -> str:
    return "".join(f", {condition} AS fits_{name}" for name, condition in fits.items())


def _flag_names(fits: Iterable[str]) -> str:
    return "".join(f", fits_{name}" for name in fits)
