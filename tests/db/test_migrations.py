"""The migrations and the tables define the same schema, in every detail that PostgreSQL knows."""

import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from alembic import command
from psycopg.errors import LockNotAvailable
from sqlalchemy import create_engine, pool
from sqlalchemy.exc import OperationalError

from expert_booking.db import schema
from expert_booking.db.engine import driver_url
from expert_booking.db.tables import metadata
from tests.server import ROOT, environment

# Each row defines one object. Not-null constraints belong to columns: only PostgreSQL 18 names them.
FINGERPRINT = """
SELECT 'column', c.relname || '.' || a.attname, concat_ws(' ', format_type(a.atttypid, a.atttypmod),
       CASE WHEN a.attnotnull THEN 'NOT NULL' END, pg_get_expr(d.adbin, d.adrelid), a.attidentity::text,
       a.attgenerated::text)
  FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
  LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
 WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace AND a.attnum > 0 AND NOT a.attisdropped
UNION ALL
SELECT 'constraint', conrelid::regclass || '.' || conname, pg_get_constraintdef(oid) FROM pg_constraint
 WHERE connamespace = 'public'::regnamespace AND contype <> 'n'
UNION ALL
SELECT 'index', tablename || '.' || indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'
UNION ALL
SELECT 'trigger', tgrelid::regclass || '.' || tgname, pg_get_triggerdef(oid) || ' ' || tgenabled::text FROM pg_trigger
 WHERE NOT tgisinternal
UNION ALL
SELECT 'function', p.proname, pg_get_functiondef(p.oid) FROM pg_proc p WHERE p.pronamespace = 'public'::regnamespace
   AND NOT EXISTS (SELECT 1 FROM pg_depend WHERE objid = p.oid AND deptype = 'e')
UNION ALL
SELECT 'extension', extname, '' FROM pg_extension
"""

Fingerprint = dict[tuple[str, str], str]


def fingerprint(url: str) -> Fingerprint:
    """The definition of every object of the schema by kind and name, without Alembic's table."""
    with psycopg.connect(driver_url(url)) as connection:
        rows = connection.execute(FINGERPRINT).fetchall()
    return {(kind, name): text for kind, name, text in rows if not name.startswith("alembic_version")}


def run(url: str, *statements: str) -> None:
    """Execute these statements."""
    with psycopg.connect(driver_url(url), autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)


def alembic(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run `alembic …` in the repository's root."""
    program = [sys.executable, "-m", "alembic", *arguments]
    return subprocess.run(
        program, cwd=ROOT, env=environment(**settings), capture_output=True, text=True, timeout=60, check=False
    )


def test_upgrade_downgrade_upgrade_restores_the_same_schema(empty_database_url: str) -> None:
    url = empty_database_url
    empty = fingerprint(url)
    schema.migrate(url)
    first = fingerprint(url)
    assert ("constraint", "booking.ex_booking_no_overlap") in first
    command.downgrade(schema.config(url), "base")
    extensions = {("extension", name): "" for name in ("btree_gist", "pg_trgm", "unaccent")}
    assert fingerprint(url) == empty | extensions
    assert schema.level(url)[0] is None
    schema.migrate(url)
    assert fingerprint(url) == first
    assert schema.level(url) == (schema.head(), schema.head())


def test_downgrade_below_blocks_deletes_them_and_keeps_bookings(database_url: str) -> None:
    run(
        database_url,
        "INSERT INTO expert (slug, name, category, time_zone, email, email_key)"
        " VALUES ('jana', 'Jana', 'Law', 'UTC', 'j@example.com', 'j@example.com')",
        "INSERT INTO session_type (expert_id, title, minutes, step_minutes) SELECT id, 'Call', 60, 60 FROM expert",
        "INSERT INTO booking (expert_id, session_type_id, starts_at, ends_at, busy, status, name, email, customer_key)"
        " SELECT expert_id, id, '2026-11-24 08:00Z', '2026-11-24 09:00Z', tstzrange('2026-11-24 08:00Z',"
        " '2026-11-24 09:00Z'), 'confirmed', 'Ada', '', '' FROM session_type",
        "INSERT INTO block_series (expert_id, starts_local, ends_local, made_until)"
        " SELECT id, '2026-11-24 10:00', '2026-11-24 11:00', '2026-11-24' FROM expert",
        "INSERT INTO booking (expert_id, starts_at, ends_at, busy, status, title, cancel_notice_minutes,"
        " reschedule_notice_minutes, series_id) SELECT expert_id, '2026-11-24 10:00Z', '2026-11-24 11:00Z',"
        " tstzrange('2026-11-24 10:00Z', '2026-11-24 11:00Z'), 'blocked', '', 0, 0, id FROM block_series",
    )
    before = fingerprint(database_url)
    command.downgrade(schema.config(database_url), "0015")
    with psycopg.connect(driver_url(database_url)) as connection:
        assert connection.execute("SELECT status, name FROM booking").fetchall() == [("confirmed", "Ada")]
    command.upgrade(schema.config(database_url), "head")
    assert fingerprint(database_url) == before


def test_migrating_at_head_changes_nothing(database_url: str) -> None:
    before = fingerprint(database_url)
    schema.migrate(database_url)
    assert fingerprint(database_url) == before


def test_alembic_finds_no_difference_between_migrations_and_tables(database_url: str) -> None:
    command.check(schema.config(database_url))  # raises if there is a difference


def test_alembic_check_detects_a_difference(database_url: str) -> None:
    run(database_url, "ALTER TABLE expert DROP COLUMN portrait")
    with pytest.raises(Exception, match="portrait"):
        command.check(schema.config(database_url))


def test_migrated_schema_equals_the_one_created_from_the_tables(database_url: str, empty_database_url: str) -> None:
    engine = create_engine(empty_database_url, poolclass=pool.NullPool)
    metadata.create_all(engine)
    engine.dispose()
    assert fingerprint(database_url) == fingerprint(empty_database_url)


@pytest.mark.parametrize(
    ("kind", "name", "statements"),
    [
        ("constraint", "booking.ex_booking_no_overlap", ["ALTER TABLE booking DROP CONSTRAINT ex_booking_no_overlap"]),
        (
            "index",
            "booking.uq_booking_slot",
            ["DROP INDEX uq_booking_slot", "CREATE UNIQUE INDEX uq_booking_slot ON booking (expert_id, starts_at)"],
        ),
        (
            "index",
            "booking.uq_booking_slot",
            ["DROP INDEX uq_booking_slot",
             "CREATE UNIQUE INDEX uq_booking_slot ON booking (expert_id, starts_at) WHERE status = 'confirmed'"],
        ),
        ("constraint", "booking.ck_booking_status", ["ALTER TABLE booking DROP CONSTRAINT ck_booking_status"]),
        ("trigger", "booking.booking_news_insert", ["DROP TRIGGER booking_news_insert ON booking"]),
        ("trigger", "expert.expert_news_update", ["ALTER TABLE expert DISABLE TRIGGER expert_news_update"]),
        (
            "function",
            "tell_experts_changed",
            ["CREATE OR REPLACE FUNCTION tell_experts_changed() RETURNS trigger LANGUAGE plpgsql AS"
             " $$ BEGIN RETURN NULL; END $$"],
        ),
        ("column", "booking.version", ["ALTER TABLE booking ALTER version DROP DEFAULT"]),
        ("column", "booking.notes", ["ALTER TABLE booking ALTER notes DROP NOT NULL"]),
    ],
)  # fmt: skip
def test_schema_fingerprint_detects_what_alembic_misses(
    database_url: str, kind: str, name: str, statements: list[str]
) -> None:
    before = fingerprint(database_url)
    run(database_url, *statements)
    after = fingerprint(database_url)
    assert (kind, name) in {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}


def test_constraint_and_index_names_follow_the_convention(database_url: str) -> None:
    kinds = {"p": "pk", "f": "fk", "u": "uq", "c": "ck", "x": "ex"}
    with psycopg.connect(driver_url(database_url)) as connection:
        constraints = connection.execute(
            "SELECT contype::text, conrelid::regclass::text, conname FROM pg_constraint"
            " WHERE connamespace = 'public'::regnamespace AND contype = ANY(%s) AND conrelid <> 0"
            " AND conrelid <> 'alembic_version'::regclass",
            [list(kinds)],
        ).fetchall()
        indexes = connection.execute(
            "SELECT tablename, indexname FROM pg_indexes WHERE schemaname = 'public' AND tablename <> 'alembic_version'"
        ).fetchall()
    assert len(constraints) > 20
    assert [row for row in constraints if not row[2].startswith(f"{kinds[row[0]]}_{row[1]}")] == []
    names = ("pk", "uq", "ix", "ex")
    assert [row for row in indexes if not row[1].startswith(tuple(f"{name}_{row[0]}" for name in names))] == []


def test_six_processes_migrate_a_fresh_database_concurrently(
    empty_database_url: str, database_url: str, tmp_path: Path
) -> None:
    settings = environment(DATABASE_URL=empty_database_url)
    program = [sys.executable, "-m", "expert_booking", "migrate"]
    running = [
        subprocess.Popen(
            program, cwd=tmp_path, env=settings, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        for _ in range(6)
    ]
    outputs = [process.communicate(timeout=120)[0] for process in running]
    assert [process.returncode for process in running] == [0] * 6, outputs
    assert all(f"The schema is at {schema.head()}." in output for output in outputs)
    assert fingerprint(empty_database_url) == fingerprint(database_url)


def test_alembic_reads_the_database_url_from_the_environment(empty_database_url: str, database_url: str) -> None:
    done = alembic("upgrade", "head", DATABASE_URL=driver_url(empty_database_url))
    assert done.returncode == 0, done.stderr
    assert fingerprint(empty_database_url) == fingerprint(database_url)


def test_alembic_without_a_url_names_the_missing_variable() -> None:
    done = alembic("upgrade", "head")
    assert done.returncode != 0
    assert "EXPERT_BOOKING_DATABASE_URL" in done.stderr
    assert "Traceback" not in done.stderr


def test_offline_sql_builds_the_same_schema(empty_database_url: str, database_url: str) -> None:
    done = alembic("upgrade", "head", "--sql")
    assert done.returncode == 0, done.stderr
    assert "SET lock_timeout = '3s'" in done.stdout
    run(empty_database_url, done.stdout)
    assert fingerprint(empty_database_url) == fingerprint(database_url)
    assert schema.level(empty_database_url)[0] == schema.head()


def test_migration_that_gets_no_lock_fails_and_changes_nothing(database_url: str) -> None:
    before = fingerprint(database_url)
    with psycopg.connect(driver_url(database_url)) as visitor:
        for table in metadata.sorted_tables:
            visitor.execute(f"SELECT count(*) FROM {table}")  # the transaction stays open
        with pytest.raises(OperationalError) as refused:
            command.downgrade(schema.config(database_url), "-1")
    assert isinstance(refused.value.orig, LockNotAvailable)
    assert fingerprint(database_url) == before
    assert schema.level(database_url)[0] == schema.head()


def test_unreachable_database_is_reported_in_one_line() -> None:
    with pytest.raises(schema.DatabaseUnreachable) as unreachable:
        schema.level("postgresql+psycopg://nobody:secret@127.0.0.1:1/nothing")
    assert "\n" not in str(unreachable.value)
    assert "secret" not in str(unreachable.value)


def test_migration_0008_gives_old_bookings_their_terms_and_drops_history_of_holds(
    empty_database_url: str,
) -> None:
    url = empty_database_url
    command.upgrade(schema.config(url), "0007")
    with psycopg.connect(driver_url(url), autocommit=True) as sql:
        sql.execute("INSERT INTO expert (slug, name, category, time_zone, email) SELECT 'e-' || n, 'E', 'C', 'UTC', 'e'"
                    " FROM generate_series(1, 3) AS n")  # fmt: skip
        sql.execute("INSERT INTO session_type (expert_id, title, minutes, step_minutes, cancel_notice_minutes,"
                    " move_notice_minutes, most_moves) SELECT id, 'Talk of ' || slug, 60, 60, 60, 30,"
                    " nullif(right(slug, 1), '1')::smallint FROM expert")  # fmt: skip
        # For each expert: a request, a hold that is booked, a hold that is released and deleted, and a live hold.
        sql.execute(
            "INSERT INTO booking (expert_id, session_type_id, starts_at, ends_at, busy, status, hold_until, notes,"
            " name, email, customer_key) SELECT expert_id, id, at, at + interval '1 hour',"
            " tstzrange(at, at + interval '1 hour'),"
            " CASE n WHEN 1 THEN 'pending' ELSE 'held' END, '2100-01-01', n, 'A', CASE n WHEN 1 THEN 'a' END, 'a'"
            " FROM session_type, generate_series(1, 4) AS n,"
            " LATERAL (SELECT timestamptz '2026-12-01' + n * interval '1 hour') AS t (at)"
        )
        sql.execute("UPDATE booking SET status = 'confirmed', email = 'a' WHERE notes = '2'")
        sql.execute("UPDATE booking SET status = 'expired' WHERE notes = '3'")
        sql.execute("DELETE FROM booking WHERE notes = '3'")
        before = sql.execute("SELECT id::text FROM booking_change ORDER BY id").fetchall()
        assert len(before) == 3 * (1 + 2 + 2 + 1)
    command.upgrade(schema.config(url), "0008")
    with psycopg.connect(driver_url(url), autocommit=True) as sql:
        promised = sql.execute(
            "SELECT DISTINCT slug, b.title, b.cancel_notice_minutes, b.reschedule_notice_minutes, b.max_reschedules"
            " FROM booking b JOIN expert e ON e.id = expert_id ORDER BY slug"
        ).fetchall()
        assert promised == [
            ("e-1", "Talk of e-1", 60, 30, None), ("e-2", "Talk of e-2", 60, 30, 2), ("e-3", "Talk of e-3", 60, 30, 3),
        ]  # fmt: skip
        history = sql.execute(
            "SELECT notes, from_status, to_status, count(*) FROM booking_change c JOIN booking b ON b.id = booking_id"
            " GROUP BY 1, 2, 3 ORDER BY 1, 2 NULLS FIRST"
        ).fetchall()
        assert history == [("1", None, "pending", 3), ("2", None, "held", 3), ("2", "held", "confirmed", 3)]
        assert sql.execute("SELECT count(*) FROM booking_change").fetchone() == (9,)
        with pytest.raises(psycopg.errors.RaiseException):
            sql.execute("DELETE FROM booking_change")
    # A migration that was interrupted halfway can be repeated.
    run(url, "UPDATE alembic_version SET version_num = '0007'", "ALTER TABLE booking DROP CONSTRAINT ck_booking_terms",
        "ALTER TABLE booking ALTER title DROP NOT NULL", "DROP TABLE network_hold",
        "UPDATE booking SET title = NULL WHERE notes = '1'")  # fmt: skip
    command.upgrade(schema.config(url), "0008")
    with psycopg.connect(driver_url(url)) as sql:
        assert sql.execute("SELECT count(*) FROM booking WHERE title LIKE 'Talk of e-_'").fetchone() == (9,)


def test_migration_0011_renames_values_with_data_up_down_and_up_again(empty_database_url: str) -> None:
    url = empty_database_url
    command.upgrade(schema.config(url), "0010")
    with psycopg.connect(driver_url(url), autocommit=True) as sql:
        sql.execute("INSERT INTO expert (slug, name, category, time_zone, email) VALUES ('e', 'E', 'C', 'UTC', 'e')")
        sql.execute("INSERT INTO session_type (expert_id, title, minutes, step_minutes, move_notice_minutes,"
                    " most_moves) SELECT id, 'Talk', 60, 60, 30, 2 FROM expert")  # fmt: skip
        sql.execute("INSERT INTO booking (expert_id, session_type_id, starts_at, ends_at, busy, status, name, email,"
                    " customer_key, moves, changed_by) SELECT expert_id, id, at, at + interval '1 hour',"
                    " tstzrange(at, at + interval '1 hour'), 'pending', 'A', 'a', 'a', 1, 'customer' FROM session_type,"
                    " LATERAL (SELECT timestamptz '2026-12-01') AS t (at)")  # fmt: skip
        sql.execute("UPDATE booking SET starts_at = starts_at + interval '1 hour', ends_at = ends_at + interval"
                    " '1 hour', busy = tstzrange(lower(busy) + interval '1 hour', upper(busy) + interval '1 hour'),"
                    " version = version + 1, changed_by = 'customer'")  # fmt: skip
        sql.execute("UPDATE booking SET status = 'expired', version = version + 1, changed_by = 'house'")
    old, new = ("house", "moved"), ("system", "rescheduled")
    for revision, names, (counted, notice, most) in (
        ("0010", old, ("moves", "move_notice_minutes", "most_moves")),
        ("0011", new, ("reschedules", "reschedule_notice_minutes", "max_reschedules")),
        ("0010", old, ("moves", "move_notice_minutes", "most_moves")),
        ("0011", new, ("reschedules", "reschedule_notice_minutes", "max_reschedules")),
    ):
        (command.downgrade if revision == "0010" else command.upgrade)(schema.config(url), revision)
        with psycopg.connect(driver_url(url)) as sql:
            actors = sql.execute("SELECT actor FROM booking_change ORDER BY id").fetchall()
            assert actors[-1] == (names[0],)
            assert sql.execute("SELECT DISTINCT changed_by FROM booking").fetchall() == [(names[0],)]
            assert sql.execute("SELECT count(*) FROM message WHERE kind = %s", [names[1]]).fetchone() == (2,)
            terms = sql.execute(f"SELECT {counted}, s.{notice}, s.{most} FROM booking JOIN session_type s ON true")
            assert terms.fetchall() == [(1, 30, 2)]
            with pytest.raises(psycopg.errors.RaiseException):
                sql.execute("DELETE FROM booking_change")


def test_undoing_migration_0014_ends_bookings_that_wait_for_confirmation(empty_database_url: str) -> None:
    url = empty_database_url
    command.upgrade(schema.config(url), "0014")
    statuses = "SELECT status FROM booking ORDER BY starts_at"
    kinds = "SELECT kind, audience FROM message ORDER BY id"
    with psycopg.connect(driver_url(url), autocommit=True) as sql:
        sql.execute("INSERT INTO expert (slug, name, category, time_zone, email) VALUES ('e', 'E', 'C', 'UTC', 'e')")
        sql.execute("INSERT INTO session_type (expert_id, title, minutes, step_minutes) SELECT id, 'T', 60, 60"
                    " FROM expert")  # fmt: skip
        for day, verify_by in (("2026-12-01", None), ("2026-12-02", "2026-12-01")):
            sql.execute(
                "INSERT INTO booking (expert_id, session_type_id, starts_at, ends_at, busy, name, email, customer_key,"
                " changed_by, verify_by) SELECT expert_id, id, at, at + interval '1 hour',"
                " tstzrange(at, at + interval '1 hour'), 'A', 'a', 'a', 'customer', %(verify_by)s FROM session_type,"
                " LATERAL (SELECT CAST(%(day)s AS timestamptz)) AS t (at)",
                {"day": day, "verify_by": verify_by},
            )
        received = [("received", "customer"), ("received", "expert")]
        assert sql.execute(kinds).fetchall() == [*received, ("verification", "customer")]
    command.downgrade(schema.config(url), "-1")
    with psycopg.connect(driver_url(url), autocommit=True) as sql:
        assert sql.execute(statuses).fetchall() == [("pending",), ("expired",)]
        assert sql.execute(kinds).fetchall() == received
    command.upgrade(schema.config(url), "0014")
    with psycopg.connect(driver_url(url), autocommit=True) as sql:
        assert sql.execute("SELECT count(*) FROM booking WHERE verify_by IS NULL").fetchone() == (2,)
