"""The connection to PostgreSQL."""

import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

from psycopg.errors import DeadlockDetected
from sqlalchemy import Row, text
from sqlalchemy.exc import IntegrityError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from expert_booking.domain.errors import Unavailable

log = logging.getLogger(__name__)

AnyRow = Row[*tuple[Any, ...]]
AnyConnection = AsyncConnection
Done = TypeVar("Done")


class Database:
    """A pool of connections, and two ways to use one: in a transaction, or statement by statement.

    `together` makes one transaction of all of them.
    """

    def __init__(self, url: str, *, pool_size: int = 6, silent: bool = False) -> None:
        """`silent`: nobody is mailed about what is done here."""
        self.url = url
        self._engine = create_async_engine(
            url,
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=10,
            # A restarted database costs a ping for each use, and nobody an error.
            pool_pre_ping=True,
            hide_parameters=True,  # errors are logged, what people typed is not
            # A query that hangs must not take the whole site with it.
            # Answers come from few rows by an index, mostly in memory; helpers for one would take cores from others.
            connect_args={
                "options": "-c timezone=UTC -c statement_timeout=15000 -c lock_timeout=5000"
                " -c max_parallel_workers_per_gather=0 -c random_page_cost=1.1"
                + (" -c expert_booking.silent=on" if silent else "")
            },
        )
        # The second facade on the same pool: no BEGIN and COMMIT around statements that stand alone.
        self._autocommit = self._engine.execution_options(isolation_level="AUTOCOMMIT")
        self._shared: ContextVar[AsyncConnection | None] = ContextVar("shared", default=None)

    @asynccontextmanager
    async def together(self) -> AsyncIterator[AsyncConnection]:
        """One transaction that everything joins which is done inside, and nothing of it counts before the end.

        Each `transaction()` and `statements()` inside is a savepoint: what leaves it with an exception takes back its
        own effects alone. Start no other task inside that needs the database.
        """
        async with self.transaction() as connection:
            before = self._shared.set(connection)
            try:
                yield connection
            finally:
                self._shared.reset(before)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """A connection whose statements all count, or none. Raises Unavailable when the database does not answer."""
        with _unavailable_when_down():
            async with self._joined() or self._engine.begin() as connection:
                yield connection

    @asynccontextmanager
    async def statements(self) -> AsyncIterator[AsyncConnection]:
        """A connection whose statements each count at once: for reading, and for the single insert that asks."""
        with _unavailable_when_down():
            async with self._joined() or self._autocommit.connect() as connection:
                yield connection

    async def answers(self) -> bool:
        """Whether the database can be reached right now."""
        try:
            async with self.statements() as connection:
                await connection.execute(text("SELECT 1"))
        except Exception:
            return False
        return True

    async def close(self) -> None:
        """Close every connection."""
        await self._engine.dispose()

    def _joined(self) -> AbstractAsyncContextManager[AsyncConnection] | None:
        shared = self._shared.get()
        return None if shared is None else _savepoint(shared)


@asynccontextmanager
async def _savepoint(connection: AsyncConnection) -> AsyncIterator[AsyncConnection]:
    async with connection.begin_nested():
        yield connection


@contextmanager
def _unavailable_when_down() -> Iterator[None]:
    try:
        yield
    except (OperationalError, InterfaceError, PoolTimeout) as error:
        log.warning("the database is not available: %s", type(error.__cause__ or error).__name__)
        raise Unavailable from error


async def again_after_deadlock(work: Callable[[], Coroutine[Any, Any, Done]]) -> Done:
    """Do it, and once more where PostgreSQL has undone it because two waited for each other."""
    try:
        return await work()
    except Unavailable as refusal:
        if not isinstance(getattr(refusal.__cause__, "orig", None), DeadlockDetected):
            raise
    return await work()


def violated(error: IntegrityError) -> str | None:
    """The name of the constraint that a statement has violated."""
    name: str | None = getattr(getattr(error.orig, "diag", None), "constraint_name", None)
    return name


def driver_url(url: str) -> str:
    """The address as psycopg itself reads it, without SQLAlchemy's name of the driver."""
    return url.replace("postgresql+psycopg://", "postgresql://", 1)
