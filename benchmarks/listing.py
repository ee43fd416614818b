"""How long `GET /experts` takes in a large catalogue: words, filters, the soonest first, deep pages.

One visitor, one connection; every round asks each kind of question once, with other words, filters and days. The floor
is a bare server that answers with the twenty best rated experts. Counts are asked for with `facets=true`: of a question
that was asked before they are kept, of a new one they are made.
"""

import argparse
import asyncio
import json
import os
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random
from statistics import median
from time import perf_counter
from typing import Any, Final
from urllib.parse import urlencode

import _bench
import psycopg
from _bench import Http
from sqlalchemy import Engine, event

from expert_booking.db.engine import Database
from expert_booking.schemas import ExpertQuery
from expert_booking.seed.people import BIO_SENTENCES, CATEGORIES, FAMILY_NAMES, GIVEN_NAMES_F
from expert_booking.services import Services

FLOOR: Final = "floor: 20 rows"
TARGET: Final = 60  # ms at the median
Question = dict[str, Any]
STATEMENTS: Final = {"search_words(": "its words", "found AS": "its page", "base AS": "its counts"}
SCAN: Final = re.compile(r"((?:Index |Index Only |Seq |Bitmap Index |Bitmap Heap )Scan\b.*?)  \(cost.*actual time")
SIZE: Final = "SELECT (SELECT count(*) FROM expert), (SELECT count(*) FROM booking)"
MAY_FIND_NOBODY: Final = {"search", "category", "freeBefore"}
STALE: Final = """
SELECT (SELECT count(*) FROM expert_changed)
     + (SELECT count(*) FROM expert_next WHERE minutes = 0 AND check_at <= now())
"""

# So that sorts and filters have something to do where nobody has worked out the derived rows yet.
FILL: Final = """
INSERT INTO expert_next (expert_id, minutes, free_at, check_at)
SELECT DISTINCT ON (e.id, m) e.id, m,
       CASE WHEN random() < 0.98
            THEN date_trunc('hour', now()) + make_interval(hours => 1 + (random() ^ 3 * 400)::int) END,
       now() + interval '1 hour'
  FROM expert e JOIN session_type s ON s.expert_id = e.id AND s.active, unnest(ARRAY[0, s.minutes]) m
ON CONFLICT DO NOTHING;
INSERT INTO expert_free (expert_id, minutes, half_day, first_at, last_at)
SELECT expert_id, minutes, half, to_timestamp(half * 43200 + 28800), to_timestamp(half * 43200 + 39600)
  FROM expert_next, generate_series(floor(extract(epoch FROM now()) / 43200)::int,
                                    floor(extract(epoch FROM now()) / 43200)::int + 123) half
 WHERE half % 14 <> 3 AND random() < 0.4
ON CONFLICT DO NOTHING
"""
SPEAK: Final = """
UPDATE expert SET languages = (ARRAY['{en}', '{de}', '{de,en}', '{pl,en}', '{fr}', '{en}', '{en}', '{en}'])
                              [1 + abs(hashtext(slug)) % 8]::text[]
 WHERE NOT EXISTS (SELECT FROM expert WHERE languages <> '{}')
"""


def common(chance: Random) -> str:
    """A word that many have."""
    return chance.choice([word for word in chance.choice(BIO_SENTENCES).lower().split() if word.isalpha()])


def rare(chance: Random) -> str:
    """Somebody's name."""
    return f"{chance.choice(FAMILY_NAMES)} {chance.choice(GIVEN_NAMES_F)}".lower()


def slip(chance: Random) -> str:
    """A family name without one of its letters."""
    name = chance.choice([name for name in FAMILY_NAMES if len(name) > 5]).lower()
    place = chance.randrange(1, len(name))
    return name[:place] + name[place + 1 :]


def some_day(chance: Random) -> date:
    """Some day of the coming weeks."""
    return datetime.now(UTC).date() + timedelta(days=chance.randint(1, 50))


KINDS: Final[dict[str, Callable[[Random], Question]]] = {
    "everybody, by rating": lambda c: {"page": c.randint(1, 5)},
    "everybody, by name": lambda c: {"sort": "name", "page": c.randint(1, 5)},
    "everybody, soonest": lambda c: {"sort": "soonest", "page": c.randint(1, 5)},
    "a common word": lambda c: {"search": common(c)},
    "the beginning of a word": lambda c: {"search": common(c)[: c.randint(1, 4)]},
    "a name": lambda c: {"search": rare(c)},
    "a name with a slip": lambda c: {"search": slip(c)},
    "what nobody has": lambda c: {"search": f"qx{c.randint(1000, 9999)}"},
    "category, language, rating": lambda c: {
        "category": c.sample(CATEGORIES, 2), "language": c.choice(["de", "fr", "en"]),
        "minRating": c.choice([3, 4, 4.5]),
    },
    "free on a day": lambda c: {"freeOn": some_day(c), "timeZone": "Europe/Berlin"},
    "word, filters, soonest": lambda c: {
        "search": common(c), "category": c.sample(CATEGORIES, 3), "language": c.choice(["de", "en"]), "minRating": 4,
        "sort": "soonest",
    },
    "word, length, day, soonest": lambda c: {
        "search": common(c), "minutes": 60, "freeOn": some_day(c), "timeZone": "America/New_York", "sort": "soonest",
    },
    "free before a day, soonest": lambda c: {"freeBefore": some_day(c), "sort": "soonest", "minRating": 4},
    "five filters, soonest": lambda c: {
        "search": common(c), "category": c.sample(CATEGORIES, 2), "minRating": c.choice([3, 4, 4.5]), "minutes": 60,
        "freeOn": some_day(c), "timeZone": "Europe/Berlin", "sort": "soonest",
    },
    "new counts: a word": lambda c: {"search": f"{common(c)} {common(c)[:3]}", "facets": True},
    "new counts: category, rating": lambda c: {
        "category": c.sample(CATEGORIES, 2), "minRating": c.choice([3, 3.5, 4, 4.5]), "facets": True,
    },
    "new counts: a day": lambda c: {
        "freeOn": some_day(c), "timeZone": c.choice(["Europe/Berlin", "America/New_York", "Asia/Tokyo"]), "minutes": 60,
        "facets": True,
    },
}  # fmt: skip
DEEP: Final = {"deep cursor, by rating": "rating", "deep cursor, soonest": "soonest"}
COUNTED: Final = "kept counts: everybody"


async def timed(connection: Http, path: str) -> tuple[float, Any]:
    """How long one answer takes, in ms, and what it is."""
    began = perf_counter()
    status, body = await connection.get(path)
    took = 1000 * (perf_counter() - began)
    assert status == 200, body
    return took, json.loads(body)


def path_of(question: Question) -> str:
    """Where to ask."""
    return f"/experts?{urlencode(question, doseq=True)}"


async def deep(connection: Http, sort: str, pages: int) -> list[str]:
    """The cursors of so many pages, as far as there are any."""
    cursors: list[str] = []
    question: Question = {"sort": sort, "limit": 100}
    for _ in range(pages):
        _, page = await timed(connection, path_of(question))
        if page["next"] is None:
            break
        cursors.append(page["next"])
        question["after"] = page["next"]
    return cursors


def load(url: str, experts: int, bookings: int) -> None:
    """Make the catalogue with the product's own seed."""
    settings = {"EXPERT_BOOKING_DATABASE_URL": url, "EXPERT_BOOKING_SECRET_KEY": "a secret for the benchmarks only"}
    program = [sys.executable, "-m", "expert_booking", "seed", "--experts", str(experts), "--bookings", str(bookings)]
    path = os.pathsep.join(filter(None, (str(_bench.ROOT), os.environ.get("PYTHONPATH"))))
    subprocess.run(program, check=True, env={**os.environ, **settings, "PYTHONPATH": path}, cwd="/")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")  # no news of what is only made up
        connection.execute(SPEAK)
        row = connection.execute("SELECT count(*) FROM expert_next").fetchone()
        if row == (0,):
            connection.execute(FILL)
            connection.execute("TRUNCATE expert_changed")
        connection.execute("VACUUM ANALYZE")


async def explain(url: str) -> None:
    """Print the plan of every statement of one question of each kind, and which scans they rest on."""
    database = Database(_bench.for_sqlalchemy(url))  # with the product's own settings for the planner
    services = Services(database)
    sent: list[tuple[str, Any]] = []

    def note(_c: object, _cursor: object, statement: str, parameters: Any, *_: object) -> None:
        sent.append((statement, parameters))

    scans: dict[str, list[str]] = {}
    for kind, question in {**KINDS, COUNTED: lambda _: {"facets": True}}.items():
        event.listen(Engine, "before_cursor_execute", note)
        await services.experts.find_without_times(ExpertQuery.model_validate(question(Random(7))))
        event.remove(Engine, "before_cursor_execute", note)
        for statement, parameters in sent:
            name = f"{kind}: {next(name for sign, name in STATEMENTS.items() if sign in statement)}"
            async with database.statements() as connection:
                plan = await connection.exec_driver_sql(f"EXPLAIN (ANALYZE, BUFFERS) {statement}", parameters)
            lines = [str(line) for (line,) in plan]
            print(f"\n=== {name}\n{statement}\n--- its plan", *lines, sep="\n")
            scans[name] = sorted({found[1] for found in map(SCAN.search, lines) if found})
        sent.clear()
    await database.close()
    print("\n=== what is read, and how (what was planned and never needed is left out)\n")
    for name, found in scans.items():
        print(f"{name}\n    " + "\n    ".join(found))
    print()


async def caught_up(url: str, site: _bench.Running) -> None:
    """Return when the product has worked out whatever the passing of time has made wrong, and say how long it took."""
    began, cpu = perf_counter(), site.cpu()
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        first = behind = await stale(connection)
        while behind:
            await asyncio.sleep(0.2)
            behind = await stale(connection)
    took = f"{perf_counter() - began:.1f} s, {site.cpu() - cpu:.1f} s of CPU"
    print(f"caught up with {first:,} experts' derived rows: {took}", flush=True)


async def stale(connection: psycopg.AsyncConnection[Any]) -> int:
    """How many experts have rows that are to be worked out."""
    row = await (await connection.execute(STALE)).fetchone()
    return int(row[0]) if row else 0


@contextmanager
def catalogue_of(options: argparse.Namespace) -> Iterator[str]:
    """The address of the catalogue to measure: the one there is, or one that the seed makes."""
    if options.data:
        with _bench.database_in(options.data) as server:
            yield server.url
        return
    with _bench.database() as server:
        load(server.url, options.experts, options.bookings)
        yield server.url


async def measure(
    site: _bench.Running, floor: _bench.Running, options: argparse.Namespace
) -> tuple[dict[str, list[float]], list[float]]:
    """The times by kind, and the memory of the product after each round."""
    times: dict[str, list[float]] = defaultdict(list)
    held: list[float] = []
    visitor, neighbour = await Http.open(site.port), await Http.open(floor.port)
    cursors = {kind: await deep(visitor, sort, options.rounds * 2) for kind, sort in DEEP.items()}
    for number in range(-options.warm_up, options.rounds):
        questions = [(kind, question(Random(f"{kind} {number}"))) for kind, question in KINDS.items()]
        questions += [(kind, {"sort": sort, "after": Random(number).choice(cursors[kind])})
                      for kind, sort in DEEP.items()]  # fmt: skip
        questions.append((COUNTED, {"facets": True}))
        for kind, question in _bench.swapped(questions, number):
            bare, _ = await timed(neighbour, "/rows")
            took, page = await timed(visitor, path_of(question))
            assert page["experts"] or question.keys() & MAY_FIND_NOBODY, question
            if number >= 0:
                times[kind].append(took)
                times[FLOOR].append(bare)
        held.append(site.memory())
    return times, held[options.warm_up :]


async def main(options: argparse.Namespace) -> None:
    """Measure and print."""
    with catalogue_of(options) as url:
        with psycopg.connect(url, autocommit=True) as connection:
            print("{:,} experts, {:,} bookings".format(*connection.execute(SIZE).fetchone() or ()), flush=True)
        with _bench.product(url) as site, _bench.floor("rows", DATABASE_URL=url) as floor:
            if options.data:
                await caught_up(url, site)
            if options.explain:
                await explain(url)
            times, held = await measure(site, floor, options)
    kinds = [*KINDS, *DEEP, COUNTED]
    every = [took for kind in kinds for took in times[kind]]
    rows = [line(FLOOR, times[FLOOR], times[FLOOR]), *(line(kind, times[kind], times[FLOOR]) for kind in kinds)]
    _bench.report(
        "listing", ("listing", "p50 ms", "p95 ms", "of the floor"), [*rows, line("all of these", every, times[FLOOR])]
    )
    print(f"memory of the server: {held[0]:.1f} MB after the warm-up, {held[-1]:.1f} MB at the end")
    slow = [kind for kind in kinds if median(times[kind]) > TARGET]
    print(f"over {TARGET} ms at the median: {', '.join(slow) or 'nothing'}")


def line(name: str, times: Sequence[float], floors: Sequence[float]) -> tuple[object, ...]:
    """One line of the table."""
    return name, f"{median(times):.1f}", f"{_bench.percentile(times, 95):.1f}", f"{median(times) / median(floors):.2f}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--experts", type=int, default=10_000, help="in the catalogue (%(default)s)")
    parser.add_argument("--bookings", type=int, default=0, help="of all of them (%(default)s)")
    parser.add_argument("--data", type=Path, help="measure the catalogue in this data folder, and leave it as it is")
    parser.add_argument("--rounds", type=int, default=30, help="of every kind of question in turn (%(default)s)")
    parser.add_argument("--warm-up", type=int, default=5, help="rounds that do not count (%(default)s)")
    parser.add_argument("--explain", action="store_true", help="print the plan of every statement as well")
    parser.add_argument("--quick", action="store_true", help="a smoke run of some seconds")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.experts, arguments.bookings, arguments.rounds, arguments.warm_up = 300, 0, 3, 1
    _bench.run(main(arguments))
