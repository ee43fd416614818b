"""The level of the database's schema: bring it to head, or say how far it is."""

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
    """The database does not answer."""


def migrate(url: str) -> None:
    """Bring the schema to head. Safe when several processes do it at once."""
    command.upgrade(config(url), "head")


def level(url: str) -> tuple[str | None, str]:
    """The schema's revision, and the head this program needs. Raises DatabaseUnreachable."""
    engine = create_engine(url, poolclass=pool.NullPool, connect_args={"connect_timeout": 5})
    try:
        with engine.connect() as connection:
            return MigrationContext.configure(connection).get_current_revision(), head()
    except SQLAlchemyError as error:
        raise DatabaseUnreachable(str(getattr(error, "orig", error)).strip().splitlines()[0]) from error
    finally:
        engine.dispose()


async def at_head(database: Database) -> bool:
    """Whether the schema is the one this program was written for, or a later one, which this program does not know.

    While processes are replaced one by one the old ones go on at the new schema, which takes nothing from them.
    """
    async with database.statements() as connection:
        revision = await connection.run_sync(lambda c: MigrationContext.configure(c).get_current_revision())
    return revision is not None and (revision == head() or revision not in _known())


def head() -> str:
    """The newest revision in the migrations folder."""
    revision = ScriptDirectory(str(_migrations())).get_current_head()
    assert revision is not None
    return revision


def _known() -> set[str]:
    return {script.revision for script in ScriptDirectory(str(_migrations())).walk_revisions()}


def config(url: str) -> Config:
    """Alembic's configuration for one database, without any file."""
    settings = Config()
    settings.set_main_option("script_location", str(_migrations()))
    settings.attributes["url"] = url
    return settings


def _migrations() -> Path:
    """The migrations: beside the package in a checkout, inside it when installed from a wheel."""
    inside = _PACKAGE / "migrations"
    return inside if inside.is_dir() else _PACKAGE.parent / "migrations"
