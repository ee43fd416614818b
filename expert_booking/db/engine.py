"""The connection to PostgreSQL."""

import logging
import select
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from contextvars import ContextVar
from time import monotonic, perf_counter
from typing import Any, Final, TypeVar, cast

import psycopg
from psycopg.errors import DeadlockDetected, DiskFull
from psycopg.rows import namedtuple_row
from sqlalchemy import ClauseElement, QueuePool, Row, event, text
from sqlalchemy.dialects.postgresql.psycopg import PGDialectAsync_psycopg
from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError, InvalidatePoolError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from expert_booking.domain.errors import Unavailable

log = logging.getLogger(__name__)

# The name of our connections, by which `expert-booking doctor` knows whether a server runs.
APPLICATION: Final = "expert-booking"

AnyRow = Row[*tuple[Any, ...]]
AnyConnection = AsyncConnection
Done = TypeVar("Done")

_DIALECT: Final = PGDialectAsync_psycopg()  # type: ignore[no-untyped-call]
# Seconds after which a connection that nobody has used is tried, however still it is: a network may forget it silently.
_TRUSTED: Final = 30.0
# Seconds after a statement failed because the disk was full in which the disk counts as full.
_DISK_COUNTS_AS_FULL: Final = 60.0


class Database:
    """A pool of connections, and two ways to use one: in a transaction, or statement by statement.

    `shared_transaction` makes one transaction of all of them.
    """

    def __init__(
        self,
        url: str,
        *,
        pool_size: int = 6,
        silent: bool = False,
        on_checkout: Callable[[float], None] = lambda _: None,
    ) -> None:
        """`silent`: nobody is mailed about what is done here. `on_checkout` is told how long each use has waited."""
        self.url = url
        self.pool_size = pool_size
        # How many wait for a connection at this moment.
        self.waiting = 0
        self._on_checkout = on_checkout
        self._disk_full_until = 0.0
        self._engine = create_async_engine(
            url,
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=10,
            # Statements that stand alone need no BEGIN and COMMIT, and no rollback in case.
            isolation_level="AUTOCOMMIT",
            skip_autocommit_rollback=True,
            hide_parameters=True,  # errors are logged, what people typed is not
            # A query that hangs must not take the whole site with it.
            # Answers come from few rows by an index, mostly in memory; helpers for one would take cores from others.
            connect_args={
                "options": "-c timezone=UTC -c statement_timeout=15000 -c lock_timeout=5000"
                " -c max_parallel_workers_per_gather=0 -c random_page_cost=1.1"
                + (" -c expert_booking.silent=on" if silent else ""),
                "application_name": APPLICATION,
            },
        )
        # The second facade on the same pool.
        self._transactions = self._engine.execution_options(isolation_level="READ COMMITTED")
        event.listen(self._engine.sync_engine, "checkin", _note_use)
        event.listen(self._engine.sync_engine, "checkout", _try_where_in_doubt)
        self._shared: ContextVar[AsyncConnection | None] = ContextVar("shared", default=None)

    @asynccontextmanager
    async def shared_transaction(self) -> AsyncIterator[AsyncConnection]:
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
        with self._unavailable_when_down():
            async with self._joined() or _Checkout(self, self._transactions.begin()) as connection:
                yield connection

    @asynccontextmanager
    async def statements(self) -> AsyncIterator[AsyncConnection]:
        """A connection whose statements each count at once: for reading, and for the single insert that asks."""
        with self._unavailable_when_down():
            async with self._joined() or _Checkout(self, self._engine.connect()) as connection:
                yield connection

    @property
    def in_use(self) -> int:
        """How many connections are in use at this moment."""
        return cast(QueuePool, self._engine.pool).checkedout()

    async def answers(self) -> bool:
        """Whether the database can be reached right now."""
        try:
            async with self.statements() as connection:
                await connection.execute(text("SELECT 1"))
        except Exception:
            return False
        return True

    def disk_was_full(self) -> bool:
        """Whether a statement failed in the last minute because the database's disk was full."""
        return monotonic() < self._disk_full_until

    async def close(self) -> None:
        """Close every connection."""
        await self._engine.dispose()

    def _joined(self) -> AbstractAsyncContextManager[AsyncConnection] | None:
        shared = self._shared.get()
        return None if shared is None else _savepoint(shared)

    @contextmanager
    def _unavailable_when_down(self) -> Iterator[None]:
        try:
            yield
        except (OperationalError, InterfaceError, PoolTimeout) as error:
            log.warning("the database is not available: %s", type(error.__cause__ or error).__name__)
            if isinstance(getattr(error, "orig", None), DiskFull):
                self._disk_full_until = monotonic() + _DISK_COUNTS_AS_FULL
            raise Unavailable from error


class _Checkout:
    """A connection of the pool while this lasts; how long it is waited for is told."""

    def __init__(self, database: Database, taken: AbstractAsyncContextManager[AsyncConnection]) -> None:
        self._database = database
        self._taken = taken

    async def __aenter__(self) -> AsyncConnection:
        began = perf_counter()
        self._database.waiting += 1
        try:
            return await self._taken.__aenter__()
        finally:
            self._database.waiting -= 1
            self._database._on_checkout(perf_counter() - began)

    async def __aexit__(self, *caught: Any) -> bool | None:
        return await self._taken.__aexit__(*caught)


class DriverStatement:
    """A statement that is asked so often that it goes to the driver itself.

    SQLAlchemy compiles it once, and hands out the connection; its way of carrying a statement out takes four times the
    CPU of the driver's. The rows are named tuples. Errors are SQLAlchemy's.
    """

    def __init__(self, statement: ClauseElement) -> None:
        compiled = statement.compile(dialect=_DIALECT)
        self._text = str(compiled)
        # What the statement itself says; whatever the values have to say is none yet.
        self._constants = {name: value for name, value in compiled.params.items() if value is not None}

    async def all(self, connection: AnyConnection, values: Mapping[str, object]) -> list[Any]:
        """Every row. The values are the driver's: a range is psycopg's, not SQLAlchemy's."""
        sync = connection.sync_connection
        assert sync is not None
        driver: psycopg.AsyncConnection[Any] = sync.connection.driver_connection  # type: ignore[assignment]
        try:
            async with driver.cursor(row_factory=namedtuple_row) as cursor:
                await cursor.execute(self._text, {**self._constants, **values})
                return await cursor.fetchall()
        except psycopg.Error as error:
            raise DBAPIError.instance(
                self._text, None, error, psycopg.Error, hide_parameters=True, dialect=_DIALECT
            ) from error

    async def one_or_none(self, connection: AnyConnection, values: Mapping[str, object]) -> Any | None:
        """The row, where there is one; no statement for this has more."""
        rows = await self.all(connection, values)
        return rows[0] if rows else None


def _note_use(_: object, entry: ConnectionPoolEntry) -> None:
    entry.info["used_at"] = monotonic()


def _try_where_in_doubt(adapted: Any, entry: ConnectionPoolEntry, _: object) -> None:
    """A restarted database costs nobody an error, nor a ping for each use.

    A server that ends a connection says so, or at least closes it: either is something to read on a connection that has
    nothing to be read. Raises InvalidatePoolError for one that is dead, and the pool makes another.
    """
    used_at = entry.info.get("used_at")
    if used_at is None:
        return  # it has just been made
    try:
        if monotonic() - used_at > _TRUSTED or _has_something_to_read(adapted.driver_connection):
            _DIALECT.do_ping(adapted)  # type: ignore[no-untyped-call]
    except (DBAPIError, psycopg.Error) as error:
        raise InvalidatePoolError from error


def _has_something_to_read(connection: psycopg.AsyncConnection[Any]) -> bool:
    waiting = select.poll()
    waiting.register(connection.pgconn.socket, select.POLLIN)
    return bool(waiting.poll(0))


@asynccontextmanager
async def _savepoint(connection: AsyncConnection) -> AsyncIterator[AsyncConnection]:
    async with connection.begin_nested():
        yield connection


async def again_after_deadlock(work: Callable[[], Coroutine[Any, Any, Done]]) -> Done:
    """Do it, and twice more where PostgreSQL has undone it because two waited for each other."""
    for _ in range(2):
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
