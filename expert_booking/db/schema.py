"""The version of the database's schema: migrate to head, or compare with it."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, pool
from sqlalchemy.exc import SQLAlchemyError

from expert_booking.db.engine import Database

_PACKAGE = Path(__file__).resolve().parents[1]


class DatabaseUnreachable(Exception):
    """The database cannot be reached."""


def migrate(url: str) -> None:
    """Migrate the schema to head. Safe to run in several processes at once."""
    command.upgrade(config(url), "head")


def level(url: str) -> tuple[str | None, str]:
    """Return the schema's revision and the head of this program. Raises DatabaseUnreachable."""
    engine = create_engine(url, poolclass=pool.NullPool, connect_args={"connect_timeout": 5})
    try:
        with engine.connect() as connection:
            return MigrationContext.configure(connection).get_current_revision(), head()
    except SQLAlchemyError as error:
        raise DatabaseUnreachable(str(getattr(error, "orig", error)).strip().splitlines()[0]) from error
    finally:
        engine.dispose()


async def at_head(database: Database) -> bool:
    """Return whether the schema is at this program's head, or at a later revision that this program does not know.

    During a rolling upgrade the old processes keep running on the new schema, which is compatible with them.
    """
    async with database.statements() as connection:
        revision = await connection.run_sync(lambda c: MigrationContext.configure(c).get_current_revision())
    return revision is not None and (revision == head() or revision not in _known())


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
