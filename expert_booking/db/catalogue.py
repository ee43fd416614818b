"""Statements that search the catalogue: the words, one page with its total, and the counts for the filters.

No statement ranks or counts more than MOST experts. What matches fewer is gathered from the index of terms and sorted;
of what matches more, one in a hundred at least does among 100,000, so that a walk along the order's own index soon
has its page. Each statement carries both ways, and PostgreSQL takes the one that its own count asks for.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple

from sqlalchemy import Integer, Numeric, String, TextClause, bindparam, text
from sqlalchemy.ext.asyncio import AsyncConnection

from expert_booking.db.engine import AnyRow
from expert_booking.schemas import ExpertQuery, ExpertSort, Place

MOST: Final = 1_000
RATINGS: Final = ("4.5", "4", "3.5", "3")


class Span(NamedTuple):
    """Free starts in [since, until), UTC."""

    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is looked for: the query, the words of its search as the catalogue knows them, its days as instants."""

    query: ExpertQuery
    now: datetime
    words: Sequence["Word"] | None = None  # none: nothing is searched
    free_on: Span | None = None
    free_before: datetime | None = None


@dataclass(frozen=True, slots=True)
class Word:
    """A typed word, folded; words of the catalogue that it is inside of; words that are one slip away."""

    word: str
    inside: Sequence[str] = ()
    slips: Sequence[str] = ()

    @property
    def in_name(self) -> str:
        """Matches names that have a word with this beginning."""
        return f"{_lexeme(f'n {self.word}')}:*"

    @property
    def anywhere_in_name(self) -> str:
        """The same, or with it inside."""
        return _any(self.in_name, *(_lexeme(f"n {word}") for word in self.inside))

    @property
    def anywhere(self) -> str:
        """Matches whoever has such a word, or one it is inside of; of one or two letters only a word or a name."""
        said = _lexeme(self.word) + (":*" if len(self.word) > 2 else "")
        return _any(said, self.in_name, *(_lexeme(word) for word in self.inside))

    @property
    def anyhow(self) -> str:
        """The same, or with a slip."""
        return _any(self.anywhere, *(_lexeme(word) for word in self.slips))


@dataclass(frozen=True, slots=True)
class Found:
    """One page in its order, how many there are in all, and the places of its ends where there are more."""

    rows: Sequence[AnyRow]
    total: int
    total_is_capped: bool
    previous: Place | None
    next: Place | None


class _Section(NamedTuple):
    """A part of an order: `conditions` of its own, `walked` along an index by `keys`, or gathered when few."""

    keys: Sequence[str]
    conditions: Sequence[str] = ()
    walked: str = "expert e"
    may_hold_few: bool = False


_CARD: Final = (
    "e.slug, e.name, e.category, e.experience_years, e.rating, e.rating_count, e.headline, e.languages, e.time_zone"
)
_RATING: Final = ("e.rating_key", "e.rating_count", "e.id")
_KEYS: Final = {
    ExpertSort.RELEVANCE: _RATING,
    ExpertSort.RATING: _RATING,
    ExpertSort.EXPERIENCE: ("e.experience_years", *_RATING),
    ExpertSort.NAME: ("e.folded_name", "e.id"),
    # A row whose time is past says nothing until it is worked out anew: it counts as none, and none comes last.
    ExpertSort.SOONEST: (
        "coalesce((SELECT n.free_at FROM expert_next n WHERE n.expert_id = e.id AND n.minutes = :length"
        " AND n.free_at >= :now), timestamptz 'epoch')",
        "e.id",
    ),
}
_ASCENDING: Final = (ExpertSort.NAME, ExpertSort.SOONEST)
_SOONEST: Final = (
    _Section(
        ("n.free_at", "n.expert_id"),
        walked="(SELECT * FROM expert_next WHERE minutes = :length AND free_at >= :now) n"
        " JOIN expert e ON e.id = n.expert_id",
    ),
    _Section(("timestamptz 'epoch'", "e.id"), (f"{_KEYS[ExpertSort.SOONEST][0]} = 'epoch'",)),
)
_OFFERS: Final = (
    "EXISTS (SELECT FROM session_type s WHERE s.expert_id = e.id AND s.minutes = :minutes AND s.active{each})"
)
# No local day is as short as half a day, so who has such a row has a free start on the day. The rows of a day lie
# together in an index, which alone is read; looked up by the primary key, they would lie all over gigabytes.
_FREE_ON: Final = """e.id IN (SELECT f.expert_id FROM expert_free f WHERE f.half_day BETWEEN :first_half AND :last_half
   AND f.minutes = :length AND f.first_at < :until AND f.last_at >= :since OFFSET 0)"""
_FREE_ON_EACH: Final = """EXISTS (SELECT FROM generate_series(:first_half, :last_half) half
    JOIN expert_free f ON f.half_day = half AND f.minutes = :length AND f.expert_id = e.id
   WHERE f.first_at < :until AND f.last_at >= :since OFFSET 0)"""
_FREE_BEFORE: Final = """EXISTS (SELECT FROM expert_next b WHERE b.expert_id = e.id AND b.minutes = :length
  AND b.free_at >= :now AND b.free_at < :before_day{each})"""
_LENGTHS: Final = "SELECT DISTINCT minutes, expert_id FROM session_type WHERE active"
_LENGTHS_ON: Final = """SELECT minutes, expert_id FROM expert_free
  WHERE half_day = :first_half + {number} AND first_at < :until AND last_at >= :since"""
_LENGTHS_BEFORE: Final = "SELECT minutes, expert_id FROM expert_next WHERE free_at >= :now AND free_at < :before_day"
_RATING_STEP: Final = "CASE " + " ".join(f"WHEN e.rating_key >= {r} THEN {r}" for r in RATINGS) + " ELSE 0 END"
_HALF_DAY: Final = 43_200

# Words that hardly anybody has are perhaps slips.
_WORDS: Final = text("""
SELECT word,
  ARRAY(SELECT v.word FROM search_word v
         WHERE length(said.word) >= 3 AND v.word LIKE '%' || said.word || '%' AND NOT starts_with(v.word, said.word)
         ORDER BY length(v.word), v.word LIMIT 50) AS inside,
  CASE WHEN length(word) >= 4 AND 5 > (
    SELECT count(*) FROM (SELECT FROM expert e WHERE e.active AND e.terms @@ (word || ':*')::tsquery LIMIT 5) few
  ) THEN ARRAY(SELECT v.word FROM search_word v
                WHERE v.slips && search_slips(said.word) AND NOT starts_with(v.word, said.word)
                ORDER BY v.word LIMIT 200)
  ELSE '{}' END AS near
FROM unnest(search_words(:search)) AS said (word)
""")


async def words(connection: AsyncConnection, search: str) -> list[Word]:
    """The words of a search, folded, each with what else it may mean."""
    rows = await connection.execute(_WORDS, {"search": search})
    return [Word(row.word, row.inside, [near for near in row.near if one_slip(row.word, near)]) for row in rows]


def one_slip(typed: str, meant: str) -> bool:
    """Whether one letter is another, missing or too many, or two neighbours have changed places."""
    start = next((n for n, (a, b) in enumerate(zip(typed, meant, strict=False)) if a != b), min(len(typed), len(meant)))
    a, b = typed[start:], meant[start:]
    return a[1:] == b[1:] or a == b[1:] or a[1:] == b or (a[1::-1] == b[:2] and a[2:] == b[2:])


async def find(connection: AsyncConnection, wanted: Wanted) -> Found:
    """One page of active experts."""
    query = wanted.query
    parameters = _parameters(wanted) | _page_parameters(query)
    rows = (await connection.execute(_planned(_page(wanted), parameters), parameters)).all()
    total: int = rows[0].total
    return _found([row for row in rows if row.id is not None], total, query)


async def facets(connection: AsyncConnection, wanted: Wanted) -> AnyRow:
    """Counts by category, language, session length and rating, each under all filters but its own.

    Experts are read once, and counted by everything that the filters tell apart; the counts are sums of those.
    """
    fits = _fits(wanted)
    ratings = [
        f"json_build_array('{least}', coalesce(sum(n) FILTER (WHERE rating >= {least}), 0))" for least in RATINGS
    ]

    def others(own: str) -> str:
        return _all(["true", *(f"fits_{name}" for name in fits if name != own)])

    statement = f"""
WITH lengths AS ({_lengths(wanted)}),
base AS {"MATERIALIZED" if wanted.words is not None else "NOT MATERIALIZED"} (
  SELECT e.id, e.category, e.languages, {_RATING_STEP} AS rating{_flags(fits)} FROM expert e
   WHERE e.active {f"AND {_matches('search')}" if wanted.words is not None else ""}),
groups AS MATERIALIZED (
  SELECT category, languages, rating{_names_of(fits)}, count(*) AS n FROM base e
   WHERE {_all(["true", *_offering(_filters(wanted))])}
   GROUP BY category, languages, rating{_names_of(fits)})
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
    parameters = _parameters(wanted)
    return (await connection.execute(_planned(statement, parameters), parameters)).one()


# --- the page -----------------------------------------------------------------------------------------------------


def _page(wanted: Wanted) -> str:
    """The statement: all that is found and sorted, where it is not more than MOST, or else section by section.

    PostgreSQL works off the parts of a UNION ALL one after the other, and none that the LIMIT does not reach.
    """
    query = wanted.query
    sections = list(enumerate(_sections(wanted)))
    first = query.place[0] if query.place else (len(sections) if query.before else 0)
    ahead = [s for s in sections if (s[0] <= first if query.before else s[0] >= first)]
    parts = [part for number, section in sorted(ahead, reverse=bool(query.before))
             for part in _parts(number, section, wanted)]  # fmt: skip
    gathered = [_gathered(number, section, wanted) for number, section in ahead if section.may_hold_few]
    keys = _KEYS[query.order]
    order = f"section {'DESC' if query.before else 'ASC'}, {_order(query)}"
    return f"""
WITH found AS MATERIALIZED (
  SELECT id, {_section_found(query.order)} AS section, {_names(keys)} FROM (
    SELECT e.id, {_picked(keys)}, {_tier(wanted)} AS tier FROM expert e
     WHERE {_all(("e.active", *_conditions(wanted)))} LIMIT {MOST + 1}) f),
counted AS (SELECT count(*) AS n FROM found){"".join(gathered)},
page AS (
  (SELECT * FROM found WHERE (SELECT n FROM counted) <= {MOST}{_beyond(query)} ORDER BY {order} LIMIT :reach)
  {"".join(f" UNION ALL ({part})" for part in parts)}
  LIMIT :wanted OFFSET :offset)
SELECT counted.n AS total, page.*, {_CARD} FROM counted LEFT JOIN page ON true LEFT JOIN expert e ON e.id = page.id
 ORDER BY {order}
"""


def _sections(wanted: Wanted) -> Sequence[_Section]:
    order = wanted.query.order
    if order is ExpertSort.SOONEST:
        return _SOONEST
    tiers = range(len(_tier_terms(wanted)))
    if not tiers:
        return (_Section(_KEYS[order]),)
    return [_Section(_RATING, (*(f"NOT {_matches(f'tier{n}')}" for n in range(tier)), _matches(f"tier{tier}")),
                     may_hold_few=True) for tier in tiers]  # fmt: skip


def _gathered(number: int, section: _Section, wanted: Wanted) -> str:
    conditions = ("e.active", *_conditions(wanted), *section.conditions)
    return f""",
section{number} AS MATERIALIZED (
  SELECT e.id, {number} AS section, {_picked(section.keys)} FROM expert e WHERE {_all(conditions)} LIMIT {MOST + 1})"""


def _parts(number: int, section: _Section, wanted: Wanted) -> list[str]:
    query = wanted.query
    at_place = query.place is not None and query.place[0] == number
    rest = f"ORDER BY {_order(query)} LIMIT :reach"
    many = f"(SELECT n FROM counted) > {MOST}"
    parts = []
    if section.may_hold_few:
        beyond = f" AND ({_names(section.keys)}) {_beyond_place(query)}" if at_place else ""
        held = f"(SELECT count(*) FROM section{number})"
        parts.append(f"SELECT * FROM section{number} WHERE {many} AND {held} <= {MOST}{beyond} {rest}")
        many += f" AND {held} > {MOST}"
    beyond = f" AND ({', '.join(section.keys)}) {_beyond_place(query)}" if at_place else ""
    # What is inside a CASE the planner cannot judge, and so takes the index of the order, not another.
    # With OFFSET 0 it looks for each expert's free times, instead of gathering everybody's first.
    conditions = (*_conditions(wanted, each=" OFFSET 0"), *section.conditions)
    others = f" AND CASE WHEN {_all(conditions)} THEN true ELSE false END" if conditions else ""
    parts.append(
        f"SELECT e.id, {number} AS section, {_picked(section.keys)} FROM {section.walked}"
        f" WHERE {many} AND e.active{others}{beyond} {rest}"
    )
    return parts


def _section_found(order: ExpertSort) -> str:
    return "(k0 = 'epoch')::int" if order is ExpertSort.SOONEST else "tier"


def _tier(wanted: Wanted) -> str:
    """By how well the words match: all in the name, one in the name, none in the name, only with a slip."""
    terms = _tier_terms(wanted)
    cases = " ".join(f"WHEN {_matches(f'tier{n}')} THEN {n}" for n in range(len(terms) - 1))
    return f"CASE {cases} ELSE {len(terms) - 1} END" if cases else "0"


def _tier_terms(wanted: Wanted) -> Sequence[str]:
    words = wanted.words
    if wanted.query.order is not ExpertSort.RELEVANCE or words is None:
        return ()
    anywhere = [word.anywhere for word in words]
    tiers = [
        _both(*(word.in_name for word in words)),
        _both(*anywhere, _any(*(word.anywhere_in_name for word in words))),
        _both(*anywhere),
    ]
    return [*tiers, _both(*(word.anyhow for word in words))] if any(word.slips for word in words) else tiers


# --- its conditions -----------------------------------------------------------------------------------------------


def _conditions(wanted: Wanted, each: str = "") -> list[str]:
    """The terms (words, categories and language at once), and the other filters."""
    filters = _filters(wanted, each)
    terms = [_matches("terms")] if _terms(wanted) else []
    return [*terms, *([filters["rating"]] if "rating" in filters else ()), *_offering(filters)]


def _offering(filters: Mapping[str, str]) -> list[str]:
    """Who offers the length that is asked for. Who is free for so long does."""
    return [filters[name] for name in ("free", "minutes") if name in filters][:1]


def _filters(wanted: Wanted, each: str = "") -> dict[str, str]:
    """Every filter by the name of its counts; the days have none of their own. `each` ends what looks elsewhere."""
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


def _lengths(wanted: Wanted) -> str:
    """Each expert's lengths of session; where free time is asked for, those that are free for so long.

    Half-days are read one by one, as each then comes in the order in which they are merged.
    """
    on = " UNION ".join(_LENGTHS_ON.format(number=number) for number in range(len(_half_days(wanted.free_on))))
    found = [*([f"({on})"] if on else ()), *([_LENGTHS_BEFORE] if wanted.free_before else ())]
    return " INTERSECT ".join(found) or _LENGTHS


def _half_days(span: Span | None) -> range:
    """Those that a span touches, as the derived rows count them."""
    if span is None:
        return range(0)
    return range(int(span.since.timestamp()) // _HALF_DAY, int(span.until.timestamp()) // _HALF_DAY + 1)


def _fits(wanted: Wanted) -> dict[str, str]:
    """What a base row has to fit, by the name of its own counts."""
    return {name: condition for name, condition in _filters(wanted).items() if name not in ("minutes", "free")}


def _flags(fits: Mapping[str, str]) -> str:
    return "".join(f", {condition} AS fits_{name}" for name, condition in fits.items())


def _names_of(fits: Iterable[str]) -> str:
    return "".join(f", fits_{name}" for name in fits)


def _terms(wanted: Wanted) -> str:
    query = wanted.query
    parts = [_search(wanted), _any(*(_lexeme(f"c {category}") for category in query.category)),
             _lexeme(f"l {query.language}") if query.language else ""]  # fmt: skip
    return _both(*parts)


def _search(wanted: Wanted) -> str:
    return _both(*(word.anyhow for word in wanted.words)) if wanted.words else ""


def _planned(statement: str, parameters: dict[str, Any]) -> TextClause:
    """With words and numbers quoted into it: a common word needs another plan than a rare one, and each gets its own.

    Bound like the others, a statement used often would get one plan for all of them.
    """
    kinds: dict[type, Any] = {str: String(), int: Integer(), Decimal: Numeric()}
    chosen = {name: kinds[type(value)] for name, value in parameters.items()
              if type(value) in kinds and not name.startswith("place") and f":{name}" in statement}  # fmt: skip
    return text(statement).bindparams(
        *(bindparam(name, type_=kind, literal_execute=True) for name, kind in chosen.items())
    )


def _parameters(wanted: Wanted) -> dict[str, Any]:
    query, day, half_days = wanted.query, wanted.free_on, _half_days(wanted.free_on)
    others = _terms(replace(wanted, words=None))
    tiers = {f"tier{n}": _both(terms, others) for n, terms in enumerate(_tier_terms(wanted))}
    return {
        **tiers,
        "terms": _terms(wanted),
        "search": _search(wanted),
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


def _page_parameters(query: ExpertQuery) -> dict[str, Any]:
    offset = 0 if query.place else (query.page - 1) * query.limit
    wanted = query.limit + 1
    place = query.place or ()
    return {"wanted": wanted, "offset": offset, "reach": offset + wanted,
            **{f"place{n}": value for n, value in enumerate(place)}}  # fmt: skip


def _found(rows: list[AnyRow], total: int, query: ExpertQuery) -> Found:
    more, rows = len(rows) > query.limit, rows[: query.limit]
    if query.before:
        rows.reverse()
    earlier = more if query.before else bool(query.after or query.page > 1)
    later = bool(query.before) or more
    return Found(
        rows,
        min(total, MOST),
        total > MOST,
        _place(rows[0], query) if rows and earlier else None,
        _place(rows[-1], query) if rows and later else None,
    )


def _place(row: AnyRow, query: ExpertQuery) -> Place:
    return [row.section, *(getattr(row, f"k{n}") for n in range(len(_KEYS[query.order])))]


# --- SQL of small pieces ------------------------------------------------------------------------------------------


def _picked(keys: Sequence[str]) -> str:
    return ", ".join(f"{key} AS k{n}" for n, key in enumerate(keys))


def _names(keys: Sequence[str]) -> str:
    return ", ".join(f"k{n}" for n in range(len(keys)))


def _descending(query: ExpertQuery) -> bool:
    return (query.order not in _ASCENDING) != bool(query.before)


def _order(query: ExpertQuery) -> str:
    way = "DESC" if _descending(query) else "ASC"
    return ", ".join(f"k{n} {way}" for n in range(len(_KEYS[query.order])))


def _beyond_place(query: ExpertQuery) -> str:
    """The rest of a comparison of an expert's keys with those of the place; without the section."""
    keys = ", ".join(f":place{n + 1}" for n in range(len(_KEYS[query.order])))
    return f"{'<' if _descending(query) else '>'} ({keys})"


def _beyond(query: ExpertQuery) -> str:
    if query.place is None:
        return ""
    later = "<" if query.before else ">"
    keys = f"({_names(_KEYS[query.order])}) {_beyond_place(query)}"
    return f" AND (section {later} :place0 OR (section = :place0 AND {keys}))"


def _all(conditions: Sequence[str]) -> str:
    return " AND ".join(conditions)


def _matches(terms: str) -> str:
    return f"e.terms @@ CAST(:{terms} AS tsquery)"


def _lexeme(term: str) -> str:
    """A term as tsquery reads it, whatever signs it has."""
    escaped = term.replace("\\", "\\\\").replace("'", "''")
    return f"'{escaped}'"


def _any(*queries: str) -> str:
    return f"({' | '.join(queries)})" if queries else ""


def _both(*queries: str) -> str:
    return " & ".join(filter(None, queries))
