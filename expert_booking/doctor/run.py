"""Runs all checks in order. What a failed check makes meaningless is not checked."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from importlib import resources

from expert_booking.db import diagnostics
from expert_booking.db.diagnostics import Connection, DiagnosticsError
from expert_booking.db.embedded import EmbeddedPostgres, EmbeddedRefusal
from expert_booking.doctor import database_checks, server_checks, settings_checks
from expert_booking.doctor.finding import Finding, State
from expert_booking.settings import Settings, SettingsError, read_settings

OpenDatabase = Callable[[Settings], AbstractContextManager[str]]


def run_checks(open_database: OpenDatabase) -> Iterator[Finding]:
    """Yield the findings one by one. `open_database` makes the database available in its block and yields its URL."""
    try:
        settings = read_settings()
        settings.check()
    except SettingsError as wrong:
        yield Finding("settings", State.FAIL, str(wrong), "Correct the settings; nothing else was checked.")
        return
    yield Finding("settings", State.OK, "All settings are valid.")
    yield settings_checks.secret_key(settings)
    yield settings_checks.address(settings)
    yield settings_checks.time_zones(datetime.now(UTC), resources.files("tzdata") / "zoneinfo")
    yield server_checks.mail_server(settings)
    yield server_checks.files(settings)
    if settings.redis_url is not None:
        yield server_checks.redis(settings.redis_url)
    if settings.embedded:
        cluster = EmbeddedPostgres.find(settings.data_dir)
        if cluster is None:
            advice = "Start `expert-booking` once to create it, or set EXPERT_BOOKING_DATABASE_URL."
            yield Finding("database", State.FAIL, f"There is no database in {settings.data_dir} yet.", advice)
            return
        yield server_checks.space(cluster)
    yield from _check_database(settings, open_database)


def _check_database(settings: Settings, open_database: OpenDatabase) -> Iterator[Finding]:
    try:
        with open_database(settings) as url, diagnostics.read_only(url) as connection:
            yield database_checks.database(connection)
            yield database_checks.clock(connection, url)
            # A pooler's connections to the database are shared by all processes.
            pool_size = settings.pool_size if settings.listen_database_url is None else 0
            yield database_checks.connections(connection, pool_size)
            yield database_checks.notifications(connection, url)
            if settings.listen_database_url is not None:
                yield database_checks.pooler(connection, settings.database_url or "")
            schema = database_checks.schema_level(url)
            yield schema
            if schema.state is State.OK:
                for check in database_checks.OF_THE_SCHEMA:
                    yield _run_check(check, connection)
                yield from database_checks.workers(connection, settings)
    except DiagnosticsError as error:
        advice = "Is it running, and is EXPERT_BOOKING_DATABASE_URL correct?"
        if "startup parameter" in str(error):
            advice = database_checks.NEEDS_SESSION
        yield Finding("database", State.FAIL, f"The database does not answer: {error}.", advice)
    except EmbeddedRefusal as refusal:
        yield Finding("database", State.FAIL, str(refusal))


def _run_check(check: Callable[[Connection], Finding], connection: Connection) -> Finding:
    try:
        return check(connection)
    except DiagnosticsError as error:
        return Finding(
            check.__name__, State.FAIL, f"The check could not run: {error}.", "Ask the database's administrator."
        )
