"""One page of experts with its total.

No statement ranks or counts more than MAX_COUNTED experts. If fewer match, they are gathered with the index of terms
and sorted. If more match, at least one in a hundred of 100,000 experts does, so walking along the index of the sort
order soon fills the page. Each statement contains both ways; PostgreSQL runs the one that its own count calls for.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from sqlalchemy.ext.asyncio import AsyncConnection

from expert_booking.db.catalogue.conditions import (
    LISTED,
    all_conditions,
    bind_values,
    inline_values,
    join_and,
    matches,
    tier_queries,
)
from expert_booking.db.catalogue.wanted import Wanted
from expert_booking.db.engine import AnyRow
from expert_booking.schemas import ExpertQuery, ExpertSort, Place

MAX_COUNTED: Final = 1_000
_CARD: Final = (
    "e.slug, e.name, e.category, e.experience_years, e.rating, e.rating_count, e.headline, e.languages, e.time_zone,"
    " e.photo"
)
_RATING_KEYS: Final = ("e.rating_key", "e.rating_count", "e.id")
_SORT_KEYS: Final = {
    ExpertSort.RELEVANCE: _RATING_KEYS,
    ExpertSort.RATING: _RATING_KEYS,
    ExpertSort.EXPERIENCE: ("e.experience_years", *_RATING_KEYS),
    ExpertSort.NAME: ("e.folded_name", "e.id"),
    # A row whose time has passed is outdated and counts as none until it is recomputed. None sorts last.
    ExpertSort.SOONEST: (
        "coalesce((SELECT n.free_at FROM expert_next n WHERE n.expert_id = e.id AND n.minutes = :length"
        " AND n.free_at >= :now), timestamptz 'epoch')",
        "e.id",
    ),
}
_ASCENDING: Final = (ExpertSort.NAME, ExpertSort.SOONEST)


@dataclass(frozen=True, slots=True)
class Found:
    """One page, the total, and the cursors of the previous and next page if there are any."""

    rows: Sequence[AnyRow]
    total: int
    total_is_capped: bool
    previous: Place | None
    next: Place | None


class _Section(NamedTuple):
    """A part of a sort order with its own `conditions`: `walked` along an index by `keys`, or gathered if few match."""

    keys: Sequence[str]
    conditions: Sequence[str] = ()
    walked: str = "expert e"
    may_hold_few: bool = False


_SOONEST_SECTIONS: Final = (
    _Section(
        ("n.free_at", "n.expert_id"),
        walked="(SELECT * FROM expert_next WHERE minutes = :length AND free_at >= :now) n"
        " JOIN expert e ON e.id = n.expert_id",
    ),
    _Section(("timestamptz 'epoch'", "e.id"), (f"{_SORT_KEYS[ExpertSort.SOONEST][0]} = 'epoch'",)),
)


async def find(connection: AsyncConnection, wanted: Wanted) -> Found:
    """Return one page of active experts that are listed."""
    query = wanted.query
    parameters = bind_values(wanted) | _page_parameters(query)
    rows = (await connection.execute(inline_values(_page_statement(wanted), parameters), parameters)).all()
    total: int = rows[0].total
    return _as_found([row for row in rows if row.id is not None], total, query)


def _page_statement(wanted: Wanted) -> str:
    """The statement: sort all matches if there are at most MAX_COUNTED, else read section by section.

    PostgreSQL runs the parts of a UNION ALL in order, and skips those that the LIMIT does not reach.
    """
    query = wanted.query
    sections = list(enumerate(_sections(wanted)))
    first = query.place[0] if query.place else (len(sections) if query.before else 0)
    ahead = [s for s in sections if (s[0] <= first if query.before else s[0] >= first)]
    parts = [part for number, section in sorted(ahead, reverse=bool(query.before))
             for part in _section_queries(number, section, wanted)]  # fmt: skip
    gathered = [_materialised(number, section, wanted) for number, section in ahead if section.may_hold_few]
    keys = _SORT_KEYS[query.order]
    order = f"section {'DESC' if query.before else 'ASC'}, {_order(query)}"
    return f"""
WITH found AS MATERIALIZED (
  SELECT id, {_section_number(query.order)} AS section, {_key_names(keys)} FROM (
    SELECT e.id, {_key_columns(keys)}, {_tier(wanted)} AS tier FROM expert e
     WHERE {join_and((LISTED, *all_conditions(wanted)))} LIMIT {MAX_COUNTED + 1}) f),
counted AS (SELECT count(*) AS n FROM found){"".join(gathered)},
page AS (
  (SELECT * FROM found WHERE (SELECT n FROM counted) <= {MAX_COUNTED}{_beyond(query)} ORDER BY {order} LIMIT :reach)
  {"".join(f" UNION ALL ({part})" for part in parts)}
  LIMIT :wanted OFFSET :offset)
SELECT counted.n AS total, page.*, {_CARD} FROM counted LEFT JOIN page ON true LEFT JOIN expert e ON e.id = page.id
 ORDER BY {order}
"""


def _sections(wanted: Wanted) -> Sequence[_Section]:
    order = wanted.query.order
    if order is ExpertSort.SOONEST:
        return _SOONEST_SECTIONS
    tiers = range(len(tier_queries(wanted)))
    if not tiers:
        return (_Section(_SORT_KEYS[order]),)
    return [_Section(_RATING_KEYS, (*(f"NOT {matches(f'tier{n}')}" for n in range(tier)), matches(f"tier{tier}")),
                     may_hold_few=True) for tier in tiers]  # fmt: skip


def _materialised(number: int, section: _Section, wanted: Wanted) -> str:
    conditions = join_and((LISTED, *all_conditions(wanted), *section.conditions))
    keys = _key_columns(section.keys)
    return f""",
section{number} AS MATERIALIZED (
  SELECT e.id, {number} AS section, {keys} FROM expert e WHERE {conditions} LIMIT {MAX_COUNTED + 1})"""


def _section_queries(number: int, section: _Section, wanted: Wanted) -> list[str]:
    query = wanted.query
    at_place = query.place is not None and query.place[0] == number
    rest = f"ORDER BY {_order(query)} LIMIT :reach"
    many = f"(SELECT n FROM counted) > {MAX_COUNTED}"
    parts = []
    if section.may_hold_few:
        beyond = f" AND ({_key_names(section.keys)}) {_compare_place(query)}" if at_place else ""
        held = f"(SELECT count(*) FROM section{number})"
        parts.append(f"SELECT * FROM section{number} WHERE {many} AND {held} <= {MAX_COUNTED}{beyond} {rest}")
        many += f" AND {held} > {MAX_COUNTED}"
    beyond = f" AND ({', '.join(section.keys)}) {_compare_place(query)}" if at_place else ""
    # The planner cannot estimate conditions inside a CASE, so it uses the index of the sort order. OFFSET 0 makes it
    # look up the free times of each expert, instead of gathering those of all experts first.
    conditions = (*all_conditions(wanted, each=" OFFSET 0"), *section.conditions)
    others = f" AND CASE WHEN {join_and(conditions)} THEN true ELSE false END" if conditions else ""
    parts.append(
        f"SELECT e.id, {number} AS section, {_key_columns(section.keys)} FROM {section.walked}"
        f" WHERE {many} AND {LISTED}{others}{beyond} {rest}"
    )
    return parts


def _section_number(order: ExpertSort) -> str:
    return "(k0 = 'epoch')::int" if order is ExpertSort.SOONEST else "tier"


def _tier(wanted: Wanted) -> str:
    """The rank of a match: all words in the name, one in the name, none in the name, only with a typing error."""
    terms = tier_queries(wanted)
    cases = " ".join(f"WHEN {matches(f'tier{n}')} THEN {n}" for n in range(len(terms) - 1))
    return f"CASE {cases} ELSE {len(terms) - 1} END" if cases else "0"


def _page_parameters(query: ExpertQuery) -> dict[str, Any]:
    offset = 0 if query.place else (query.page - 1) * query.limit
    wanted = query.limit + 1
    place = query.place or ()
    return {"wanted": wanted, "offset": offset, "reach": offset + wanted,
            **{f"place{n}": value for n, value in enumerate(place)}}  # fmt: skip


def _as_found(rows: list[AnyRow], total: int, query: ExpertQuery) -> Found:
    more, rows = len(rows) > query.limit, rows[: query.limit]
    if query.before:
        rows.reverse()
    earlier = more if query.before else bool(query.after or query.page > 1)
    later = bool(query.before) or more
    return Found(
        rows,
        min(total, MAX_COUNTED),
        total > MAX_COUNTED,
        _place_of(rows[0], query) if rows and earlier else None,
        _place_of(rows[-1], query) if rows and later else None,
    )


def _place_of(row: AnyRow, query: ExpertQuery) -> Place:
    return [row.section, *(getattr(row, f"k{n}") for n in range(len(_SORT_KEYS[query.order])))]


def _key_columns(keys: Sequence[str]) -> str:
    return ", ".join(f"{key} AS k{n}" for n, key in enumerate(keys))


def _key_names(keys: Sequence[str]) -> str:
    return ", ".join(f"k{n}" for n in range(len(keys)))


def _descending(query: ExpertQuery) -> bool:
    return (query.order not in _ASCENDING) != bool(query.before)


def _order(query: ExpertQuery) -> str:
    way = "DESC" if _descending(query) else "ASC"
    return ", ".join(f"k{n} {way}" for n in range(len(_SORT_KEYS[query.order])))


def _compare_place(query: ExpertQuery) -> str:
    """The right side of a comparison of an expert's sort keys with the cursor, without the section."""
    keys = ", ".join(f":place{n + 1}" for n in range(len(_SORT_KEYS[query.order])))
    return f"{'<' if _descending(query) else '>'} ({keys})"


def _beyond(query: ExpertQuery) -> str:
    if query.place is None:
        return ""
    later = "<" if query.before else ">"
    keys = f"({_key_names(_SORT_KEYS[query.order])}) {_compare_place(query)}"
    return f" AND (section {later} :place0 OR (section = :place0 AND {keys}))"
