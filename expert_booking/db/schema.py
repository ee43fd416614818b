"""The version of the database's schema: migrate to head, or compare with it."""

from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, pool, text
from sqlalchemy.exc import SQLAlchemyError

from expert_booking import __version__
from expert_booking.db.engine import SESSION_OPTIONS, Database

_PACKAGE = Path(__file__).resolve().parents[1]
# A start-up option that only PostgreSQL itself knows afterwards: a pooler rejects or ignores it.
_MARK: Final = "-c expert_booking.session=own"
_HAS_MARK: Final = text("SELECT current_setting('expert_booking.session', true) = 'own'")
_HAS_TIMEOUT: Final = text("SELECT current_setting('statement_timeout') <> '0'")


class DatabaseUnreachable(Exception):
    """The database cannot be reached."""


class PoolerFound(Exception):
    """The URL leads to a connection pooler, whose connections are not sessions of PostgreSQL."""


class SchemaTooNew(Exception):
    """A newer version of this program has migrated the database. The message is one sentence that says what to do."""

    def __init__(self, revision: str) -> None:
        super().__init__(
            f"The database's schema is at {revision}, which version {__version__} of Expert Booking does not know:"
            " start the newer version that has migrated it, or restore a backup from before the upgrade."
        )


def migrate(url: str) -> None:
    """Migrate the schema to head. Safe to run in several processes at once.

    Raises SchemaTooNew, DatabaseUnreachable and PoolerFound.
    """
    revision, _ = level(url)
    refuse_newer(revision)
    command.upgrade(config(url), "head")


def level(url: str) -> tuple[str | None, str]:
    """Return the schema's revision and the head of this program. Raises DatabaseUnreachable and PoolerFound."""
    arguments = {"connect_timeout": 5, "options": f"{SESSION_OPTIONS} {_MARK}"}
    engine = create_engine(url, poolclass=pool.NullPool, connect_args=arguments)
    try:
        with engine.connect() as connection:
            if not connection.scalar(_HAS_MARK):
                raise PoolerFound
            return MigrationContext.configure(connection).get_current_revision(), head()
    except SQLAlchemyError as error:
        if "unsupported startup parameter" in str(error):
            raise PoolerFound from error
        raise DatabaseUnreachable(_first_line(error)) from error
    finally:
        engine.dispose()


def has_timeout(pooler_url: str) -> bool:
    """Return whether statements through this pooler have a time limit. Raises DatabaseUnreachable."""
    arguments = {"connect_timeout": 5, "prepare_threshold": None}
    engine = create_engine(pooler_url, poolclass=pool.NullPool, connect_args=arguments)
    try:
        with engine.connect() as connection:
            return bool(connection.scalar(_HAS_TIMEOUT))
    except SQLAlchemyError as error:
        raise DatabaseUnreachable(_first_line(error)) from error
    finally:
        engine.dispose()


def refuse_newer(revision: str | None) -> None:
    """Raise SchemaTooNew if a newer version of this program has migrated the database to this revision."""
    if revision is not None and is_newer(revision):
        raise SchemaTooNew(revision)


def is_newer(revision: str | None) -> bool:
    """Return whether this program does not know the revision."""
    return revision is not None and revision not in _known()


def _first_line(error: SQLAlchemyError) -> str:
    return str(getattr(error, "orig", error)).strip().splitlines()[0].removesuffix(".")


async def at_head(database: Database) -> bool:
    """Return whether the schema is at this program's head, or at a later revision that this program does not know.

    During a rolling upgrade the old processes keep running on the new schema, which is compatible with them.
    """
    async with database.statements() as connection:
        revision = await connection.run_sync(lambda c: MigrationContext.configure(c).get_current_revision())
    return revision is not None and (revision == head() or is_newer(revision))


def head() -> str:
    """Return the newest revision in the migrations folder."""
    revision = ScriptDirectory(str(_migrations())).get_current_head()
    assert revision is not None
    return revision


def _known() -> set[str]:
    return {script.revision for script in ScriptDirectory(str(_migrations())).walk_revisions()}


def config(url: str) -> Config:
    """Return an Alembic configuration for this database, without an alembic.ini."""
    settings = Config()
    settings.set_main_option("script_location", str(_migrations()))
    settings.attributes["url"] = url
    return settings


def _migrations() -> Path:
    """The migrations folder: beside the package in a checkout, inside it in an installed wheel."""
    inside = _PACKAGE / "migrations"
    return inside if inside.is_dir() else _PACKAGE.parent / "migrations"
