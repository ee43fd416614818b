"""Read-only checks of a database, for `expert-booking doctor`."""

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
    "(status = ANY (ARRAY['held'::text, 'pending'::text, 'confirmed'::text, 'completed'::text, 'no_show'::text, "
    "'blocked'::text]))"
)
# The constraints and indexes that make double booking impossible, as PostgreSQL prints them from USING on.
FENCES: Final = {
    "ex_booking_no_overlap": f"USING gist (expert_id WITH =, busy WITH &&) WHERE ({_LIVE})",
    "uq_booking_slot": f"USING btree (expert_id, starts_at) WHERE {_LIVE}",
    "uq_booking_cap_place": (
        f"USING btree (session_type_id, cap_day, cap_place) WHERE ((cap_place IS NOT NULL) AND {_LIVE})"
    ),
    "uq_booking_visitor_hold": "USING btree (visitor) WHERE ((status = 'held'::text) AND (visitor IS NOT NULL))",
}
# The statements that create missing triggers and indexes.
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
# One pass in order of time instead of a lookup per booking, so that it does not depend on the fence it checks.
_OVERLAPS: Final = f"""
    SELECT count(*) FROM (
      SELECT lower(busy) < max(upper(busy)) OVER (
               PARTITION BY expert_id ORDER BY lower(busy), id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
        FROM booking WHERE {LIVE_ROWS}) AS in_order (begins_too_early)
     WHERE begins_too_early
"""  # noqa: S608 - our own text


class DiagnosticsError(Exception):
    """A statement failed, or the database cannot be reached; the message is the first line of its error."""


class ConnectionBudget(NamedTuple):
    """How many connections the server allows to ordinary roles, and how many are in use."""

    allowed: int
    in_use: int


@contextmanager
def read_only(url: str, *, pooler: bool = False) -> Iterator[Connection]:
    """Yield a connection, read-only and with a time limit unless it leads to a pooler. Raises DiagnosticsError."""
    options = "-c default_transaction_read_only=on -c statement_timeout=60000 -c lock_timeout=5000"
    how: dict[str, Any] = {"prepare_threshold": None} if pooler else {"options": options}
    try:
        with psycopg.connect(driver_url(url), autocommit=True, connect_timeout=5, **how) as connection:
            yield connection
    except psycopg.Error as error:
        raise DiagnosticsError(str(error).strip().partition("\n")[0]) from error


def version(connection: Connection) -> tuple[int, str]:
    """Return the major version and the full version text."""
    return connection.info.server_version // 10_000, _one(connection, "SELECT split_part(version(), ' ', 2)")


def missing_extensions(connection: Connection) -> dict[str, bool]:
    """Return the required extensions that are missing, and whether the server can create them."""
    created = _all(connection, "SELECT extname FROM pg_extension")
    available = _all(connection, "SELECT name FROM pg_available_extensions")
    return {name: (name,) in available for name in EXTENSIONS if (name,) not in created}


def clock_difference(connection: Connection) -> tuple[float, float]:
    """Return how many seconds the database's clock is ahead of ours, and the possible error in seconds."""
    measurements = []
    for _ in range(3):
        before = time.time()
        server_time = float(_one(connection, "SELECT extract(epoch FROM clock_timestamp())"))
        after = time.time()
        measurements.append(((after - before) / 2, server_time - (before + after) / 2))
    error, difference = min(measurements)
    return difference, error


def server_clock_offsets(url: str, seconds: float = 2.0) -> list[float]:
    """Return how many seconds each running server's clock is ahead of the database's.

    Asks every server and waits `seconds` for the answers. Raises DiagnosticsError.
    """
    offsets = {}
    with read_only(url) as connection:
        connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(LAG_PROBE_CHANNEL)))
        connection.execute("SELECT pg_notify(%s, %s)", [LAG_PROBE_CHANNEL, ROLL_CALL])
        for notification in connection.notifies(timeout=seconds):
            answer = clock_offset_of(notification.payload)
            if answer is not None and isfinite(answer[1]):
                offsets[answer[0]] = answer[1]
    return list(offsets.values())


def connection_budget(connection: Connection) -> ConnectionBudget:
    """Return the server's connection limit and use."""
    allowed = """
        SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
               - coalesce(current_setting('reserved_connections', true)::int, 0)"""
    in_use = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
    return ConnectionBudget(int(_one(connection, allowed)), int(_one(connection, in_use)))


def wrong_fences(connection: Connection) -> dict[str, str]:
    """Return the fences that are `missing`, `not valid` or `different`."""
    existing = {name: (definition, valid) for name, definition, valid in _all(connection, _FENCES)}
    wrong = {}
    for name, wanted in FENCES.items():
        definition, valid = existing.get(name, ("", False))
        if name not in existing:
            wrong[name] = "missing"
        elif not valid:
            wrong[name] = "not valid"
        elif definition != wanted:
            wrong[name] = "different"
    return wrong


def wrong_indexes(connection: Connection) -> dict[str, str]:
    """Return our indexes that are `missing`, and any index on our tables that is `not valid`, except fences."""
    existing = dict(_all(connection, _OUR_INDEXES))
    wrong = dict.fromkeys(INDEXES - existing.keys(), "missing") | {
        name: "not valid" for name, valid in existing.items() if not valid
    }
    return {name: wrong[name] for name in sorted(wrong.keys() - FENCES.keys())}


def wrong_triggers(connection: Connection) -> dict[str, str]:
    """Return the triggers that are `missing`, or `switched off` and on which table."""
    existing = {name: (works, table) for name, works, table in _all(connection, _OUR_TRIGGERS)}
    wrong = {}
    for name in sorted(TRIGGERS):
        works, table = existing.get(name, (False, ""))
        if not works:
            wrong[name] = f"switched off on {table}" if table else "missing"
    return wrong


def remedy(name: str, how: str) -> str:
    """Return the statements that repair a fence, index or trigger. `how` is what a function above said is wrong."""
    if name in TRIGGERS:
        return TRIGGERS[name] if how == "missing" else f"ALTER TABLE {how.split()[-1]} ENABLE TRIGGER {name}"
    if name not in INDEXES and name not in FENCES:
        return f"DROP INDEX {name}"  # not one of ours, and half built
    if how == "not valid" and name not in FENCES:
        return f"REINDEX INDEX {name}"
    return _create_statement(name) if how == "missing" else f"{_drop_statement(name)}; {_create_statement(name)}"


def _create_statement(name: str) -> str:
    if name in INDEXES:
        statement: CreateIndex | AddConstraint = CreateIndex(INDEXES[name])
    else:
        fence = next(c for c in metadata.tables["booking"].constraints if c.name == name)
        statement = AddConstraint(fence, isolate_from_table=False)
    return " ".join(str(statement.compile(dialect=postgresql.dialect())).split())  # type: ignore[no-untyped-call]


def _drop_statement(name: str) -> str:
    return f"DROP INDEX {name}" if name in INDEXES else f"ALTER TABLE booking DROP CONSTRAINT {name}"


def overlaps(connection: Connection) -> int:
    """Count the live bookings that overlap an earlier one of the same expert."""
    return int(_one(connection, _OVERLAPS))


def unknown_zones(connection: Connection, known: Iterable[str]) -> int:
    """Count the experts whose time zone is not among `known`."""
    return int(_one(connection, "SELECT count(*) FROM expert WHERE time_zone <> ALL(%s)", list(known)))


def tokens_ending(connection: Connection, days: int) -> int:
    """Count the tokens that expire within `days` days."""
    query = """
        SELECT count(*) FROM token
         WHERE revoked_at IS NULL AND expires_at BETWEEN now() AND now() + make_interval(days => %s)"""
    return int(_one(connection, query, days))


def queue_sizes(connection: Connection) -> QueueSizes:
    """Return how much work is waiting for a server."""
    return from_row(*_all(connection, QUEUE_SIZES)[0])


def oldest_queued_expert(connection: Connection) -> int | None:
    """Return the id of the oldest expert queued for recomputation; None if the queue is empty."""
    first: int | None = _one(connection, "SELECT min(id) FROM expert_changed")
    return first


def count_server_connections(connection: Connection) -> int:
    """Count the connections that Expert Booking servers have to this database."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = %s"
    return int(_one(connection, query, APPLICATION))


def notification_delay(connection: Connection, url: str, *, pooler: bool = False) -> float | None:
    """Return how many seconds a notification from this URL takes to the connection; None if it takes longer than 5."""
    channel = f"expert_booking_checkup_{token_hex(8)}"
    connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
    with read_only(url, pooler=pooler) as other:
        began = time.monotonic()
        other.execute("SELECT pg_notify(%s, '')", [channel])
        for _ in connection.notifies(timeout=5, stop_after=1):
            return time.monotonic() - began
    return None


def _all(connection: Connection, query: LiteralString, *values: object) -> list[tuple[Any, ...]]:
    try:
        return connection.execute(query, values or None).fetchall()
    except psycopg.Error as error:
        raise DiagnosticsError(str(error).strip().partition("\n")[0]) from error


def _one(connection: Connection, query: LiteralString, *values: object) -> Any:
    return _all(connection, query, *values)[0][0]
