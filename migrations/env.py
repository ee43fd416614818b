"""Alembic's environment, for `expert-booking migrate` and for plain `alembic upgrade head`."""

import time

from alembic import context
from sqlalchemy import Connection, create_engine, pool, text

from expert_booking.db.tables import metadata

# The advisory lock of migrations; any number that is not used otherwise in this database.
LOCK = 7_304_126_155
LOCK_TIMEOUT = "3s"


def database_url() -> str:
    """Return the URL passed by the command, or the one in the environment."""
    given: str | None = context.config.attributes.get("url")
    if given is not None:
        return given
    from expert_booking.settings import read_settings

    url = read_settings().database_url
    if url is None:
        raise SystemExit(
            "Set EXPERT_BOOKING_DATABASE_URL to the database to migrate; "
            "the embedded one is migrated by `expert-booking migrate`."
        )
    return url


def run_online(connection: Connection) -> None:
    # A migration that does not get a lock in time fails, instead of blocking every request queued behind it.
    connection.execute(text(f"SET lock_timeout = '{LOCK_TIMEOUT}'"))
    connection.commit()
    context.configure(
        connection=connection,
        target_metadata=metadata,
        compare_type=True,
        compare_server_default=True,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()


def wait_for_lock(guard: Connection) -> None:
    """Wait for the migration lock by polling.

    The snapshot of a statement that waits in PostgreSQL would delay CREATE INDEX CONCURRENTLY of another migration.
    """
    while not guard.scalar(text("SELECT pg_try_advisory_lock(:lock)"), {"lock": LOCK}):
        time.sleep(0.1)


def main() -> None:
    if context.is_offline_mode():
        context.configure(dialect_name="postgresql", target_metadata=metadata, literal_binds=True)
        with context.begin_transaction():
            context.execute(f"SET lock_timeout = '{LOCK_TIMEOUT}'")
            context.run_migrations()
        return
    engine = create_engine(database_url(), poolclass=pool.NullPool)
    # The lock has its own connection, so that no migration's commit or rollback releases it.
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as guard:
        wait_for_lock(guard)
        with engine.connect() as connection:
            run_online(connection)
        guard.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": LOCK})
    engine.dispose()


main()
