"""Questions to a database about its health, for `expert-booking doctor`. Nothing in here can change anything."""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from math import isfinite
from secrets import token_hex
from typing import Any, Final, LiteralString, NamedTuple

import psycopg
from psycopg import sql
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import AddConstraint, CreateIndex

from expert_booking.db.engine import APPLICATION, driver_url
from expert_booking.db.feed_lag import LAG_PROBE_CHANNEL, ROLL_CALL, clock_offset_of
from expert_booking.db.queue_sizes import QUEUE_SIZES, QueueSizes, from_row
from expert_booking.db.tables import LIVE_ROWS, SEARCH_EXTENSIONS, metadata
from expert_booking.db.tables import TRIGGERS as TRIGGER_STATEMENTS

Connection = psycopg.Connection[tuple[Any, ...]]

EXTENSIONS: Final = ("btree_gist", *SEARCH_EXTENSIONS)
_LIVE: Final = (
    "(status = ANY (ARRAY['held'::text, 'pending'::text, 'confirmed'::text, 'completed'::text, 'no_show'::text]))"
)
# What makes double booking impossible, as PostgreSQL itself writes it, from USING on.
FENCES: Final = {
    "ex_booking_no_overlap": f"USING gist (expert_id WITH =, busy WITH &&) WHERE ({_LIVE})",
    "uq_booking_slot": f"USING btree (expert_id, starts_at) WHERE {_LIVE}",
    "uq_booking_cap_place": (
        f"USING btree (session_type_id, cap_day, cap_place) WHERE ((cap_place IS NOT NULL) AND {_LIVE})"
    ),
    "uq_booking_visitor_hold": "USING btree (visitor) WHERE ((status = 'held'::text) AND (visitor IS NOT NULL))",
}
# How what may be missing is made.
TRIGGERS: Final = {statement.split()[2]: statement for statement in TRIGGER_STATEMENTS}
INDEXES: Final = {str(index.name): index for table in metadata.tables.values() for index in table.indexes}

_FENCES: Final = """
    SELECT conname, substring(pg_get_constraintdef(c.oid) FROM 'USING.*'), convalidated AND indisvalid AND indisready
      FROM pg_constraint c JOIN pg_index ON indexrelid = conindid
     WHERE conrelid = to_regclass('booking') AND contype = 'x'
    UNION ALL
    SELECT relname, substring(pg_get_indexdef(indexrelid) FROM 'USING.*'), indisvalid AND indisready AND indisunique
      FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
     WHERE indrelid = to_regclass('booking') AND NOT indisexclusion
"""
_OUR_INDEXES: Final = """
    SELECT i.relname, indisvalid AND indisready FROM pg_index
      JOIN pg_class i ON i.oid = indexrelid JOIN pg_class t ON t.oid = indrelid
     WHERE t.relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = to_regclass('booking'))
"""
_OUR_TRIGGERS: Final = """
    SELECT tgname, tgenabled IN ('O', 'A'), tgrelid::regclass::text FROM pg_trigger JOIN pg_class t ON t.oid = tgrelid
     WHERE NOT tgisinternal
       AND t.relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = to_regclass('booking'))
"""
# One pass in order of time instead of a question for each booking: it does not need the fence that it is about.
_OVERLAPS: Final = f"""
    SELECT count(*) FROM (
      SELECT lower(busy) < max(upper(busy)) OVER (
               PARTITION BY expert_id ORDER BY lower(busy), id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
        FROM booking WHERE {LIVE_ROWS}) AS in_order (begins_too_early)
     WHERE begins_too_early
"""  # noqa: S608 - a text of ours


class DiagnosticsError(Exception):
    """The database does not answer, or not this question; the message is the first line of what it says."""


class Room(NamedTuple):
    """How many connections there may be for us, and how many there are."""

    most: int
    in_use: int


@contextmanager
def read_only(url: str) -> Iterator[Connection]:
    """A connection that may only read. Raises Unanswered."""
    options = "-c default_transaction_read_only=on -c statement_timeout=60000 -c lock_timeout=5000"
    try:
        with psycopg.connect(driver_url(url), autocommit=True, connect_timeout=5, options=options) as connection:
            yield connection
    except psycopg.Error as error:
        raise DiagnosticsError(str(error).strip().partition("\n")[0]) from error


def version(connection: Connection) -> tuple[int, str]:
    """The major version, and all of it as PostgreSQL says it."""
    return connection.info.server_version // 10_000, _one(connection, "SELECT split_part(version(), ' ', 2)")


def missing_extensions(connection: Connection) -> dict[str, bool]:
    """Those that are needed and not there; whether they are at hand to be created."""
    there = _all(connection, "SELECT extname FROM pg_extension")
    at_hand = _all(connection, "SELECT name FROM pg_available_extensions")
    return {name: (name,) in at_hand for name in EXTENSIONS if (name,) not in there}


def clock_difference(connection: Connection) -> tuple[float, float]:
    """By how many seconds the database's clock is ahead of ours, and how far that may be wrong."""
    looks = []
    for _ in range(3):
        before = time.time()
        theirs = float(_one(connection, "SELECT extract(epoch FROM clock_timestamp())"))
        after = time.time()
        looks.append(((after - before) / 2, theirs - (before + after) / 2))
    unsure, difference = min(looks)
    return difference, unsure


def server_clock_offsets(url: str, seconds: float = 2.0) -> list[float]:
    """By how many seconds each running server's clock is ahead of the database's.

    Every server is asked and has so many seconds to answer. Raises Unanswered.
    """
    offsets = {}
    with read_only(url) as connection:
        connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(LAG_PROBE_CHANNEL)))
        connection.execute("SELECT pg_notify(%s, %s)", [LAG_PROBE_CHANNEL, ROLL_CALL])
        for notification in connection.notifies(timeout=seconds):
            heard = clock_offset_of(notification.payload)
            if heard is not None and isfinite(heard[1]):
                offsets[heard[0]] = heard[1]
    return list(offsets.values())


def room(connection: Connection) -> Room:
    """The server's connections."""
    most = """
        SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
               - coalesce(current_setting('reserved_connections', true)::int, 0)"""
    used = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
    return Room(int(_one(connection, most)), int(_one(connection, used)))


def wrong_fences(connection: Connection) -> dict[str, str]:
    """Those that are not as they have to be: `missing`, `not valid` or `different`."""
    there = {name: (definition, valid) for name, definition, valid in _all(connection, _FENCES)}
    wrong = {}
    for name, wanted in FENCES.items():
        definition, valid = there.get(name, ("", False))
        if name not in there:
            wrong[name] = "missing"
        elif not valid:
            wrong[name] = "not valid"
        elif definition != wanted:
            wrong[name] = "different"
    return wrong


def wrong_indexes(connection: Connection) -> dict[str, str]:
    """Indexes that are `missing`, and whatever index of any of our tables is `not valid`; fences aside."""
    there = dict(_all(connection, _OUR_INDEXES))
    wrong = dict.fromkeys(INDEXES - there.keys(), "missing") | {
        name: "not valid" for name, valid in there.items() if not valid
    }
    return {name: wrong[name] for name in sorted(wrong.keys() - FENCES.keys())}


def wrong_triggers(connection: Connection) -> dict[str, str]:
    """Triggers that are `missing`, or `switched off` and on which table."""
    there = {name: (works, table) for name, works, table in _all(connection, _OUR_TRIGGERS)}
    wrong = {}
    for name in sorted(TRIGGERS):
        works, table = there.get(name, (False, ""))
        if not works:
            wrong[name] = f"switched off on {table}" if table else "missing"
    return wrong


def remedy(name: str, how: str) -> str:
    """The statements that mend a fence, an index or a trigger, of which one of the above has said `how` it is wrong."""
    if name in TRIGGERS:
        return TRIGGERS[name] if how == "missing" else f"ALTER TABLE {how.split()[-1]} ENABLE TRIGGER {name}"
    if name not in INDEXES and name not in FENCES:
        return f"DROP INDEX {name}"  # somebody's own, half made
    if how == "not valid" and name not in FENCES:
        return f"REINDEX INDEX {name}"
    return _made(name) if how == "missing" else f"{_removed(name)}; {_made(name)}"


def _made(name: str) -> str:
    if name in INDEXES:
        made: CreateIndex | AddConstraint = CreateIndex(INDEXES[name])
    else:
        fence = next(one for one in metadata.tables["booking"].constraints if one.name == name)
        made = AddConstraint(fence, isolate_from_table=False)
    return " ".join(str(made.compile(dialect=postgresql.dialect())).split())  # type: ignore[no-untyped-call]


def _removed(name: str) -> str:
    return f"DROP INDEX {name}" if name in INDEXES else f"ALTER TABLE booking DROP CONSTRAINT {name}"


def overlaps(connection: Connection) -> int:
    """How many live bookings begin while another of the same expert keeps the time."""
    return int(_one(connection, _OVERLAPS))


def unknown_zones(connection: Connection, known: Iterable[str]) -> int:
    """How many experts live in a zone that is not among these."""
    return int(_one(connection, "SELECT count(*) FROM expert WHERE time_zone <> ALL(%s)", list(known)))


def tokens_ending(connection: Connection, days: int) -> int:
    """How many tokens expire within so many days."""
    asked = """
        SELECT count(*) FROM token
         WHERE revoked_at IS NULL AND expires_at BETWEEN now() AND now() + make_interval(days => %s)"""
    return int(_one(connection, asked, days))


def backlog(connection: Connection) -> QueueSizes:
    """The work that waits for some process to do it."""
    return from_row(*_all(connection, QUEUE_SIZES)[0])


def first_note(connection: Connection) -> int | None:
    """The oldest note that somebody's next free time is to be worked out."""
    first: int | None = _one(connection, "SELECT min(id) FROM expert_changed")
    return first


def servers_connections(connection: Connection) -> int:
    """How many connections servers of ours have to this database: none, if none runs."""
    asked = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = %s"
    return int(_one(connection, asked, APPLICATION))


def news_takes(connection: Connection, url: str) -> float | None:
    """How many seconds a notification takes from one connection to another; None when it does not come within 5."""
    channel = f"expert_booking_checkup_{token_hex(8)}"
    connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
    with read_only(url) as other:
        began = time.monotonic()
        other.execute("SELECT pg_notify(%s, '')", [channel])
        for _ in connection.notifies(timeout=5, stop_after=1):
            return time.monotonic() - began
    return None


def _all(connection: Connection, question: LiteralString, *values: object) -> list[tuple[Any, ...]]:
    try:
        return connection.execute(question, values or None).fetchall()
    except psycopg.Error as error:
        raise DiagnosticsError(str(error).strip().partition("\n")[0]) from error


def _one(connection: Connection, question: LiteralString, *values: object) -> Any:
    return _all(connection, question, *values)[0][0]
