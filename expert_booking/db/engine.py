"""The pool of connections to PostgreSQL."""

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
from sqlalchemy import ClauseElement, QueuePool, Row, event, make_url, text
from sqlalchemy.dialects.postgresql.psycopg import PGDialectAsync_psycopg
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    IntegrityError,
    InterfaceError,
    InvalidatePoolError,
    OperationalError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from expert_booking.domain.errors import Unavailable

log = logging.getLogger(__name__)

# The application_name of our connections. `expert-booking doctor` counts them to see whether a server is running.
APPLICATION: Final = "expert-booking"

AnyRow = Row[*tuple[Any, ...]]
AnyConnection = AsyncConnection
Result = TypeVar("Result")

# Settings of each connection. A hanging query must not block the whole site. Queries read few rows by an index, mostly
# from memory, and parallel workers for one query would take cores from the others.
SESSION_OPTIONS: Final = (
    "-c timezone=UTC -c statement_timeout=15000 -c lock_timeout=5000"
    " -c max_parallel_workers_per_gather=0 -c random_page_cost=1.1"
)

_DIALECT: Final = PGDialectAsync_psycopg()  # type: ignore[no-untyped-call]
# Seconds after which an idle connection is pinged before its next use, because a network may drop it silently.
_PING_AFTER_IDLE: Final = 30.0
# Seconds for which the disk counts as full after a statement failed because of it.
_DISK_COUNTS_AS_FULL: Final = 60.0


class Database:
    """A pool of connections, used in transactions or statement by statement (autocommit).

    Inside `shared_transaction`, both join one transaction.
    """

    def __init__(
        self,
        url: str,
        *,
        pool_size: int = 6,
        pooler: bool = False,
        silent: bool = False,
        on_checkout: Callable[[float], None] = lambda _: None,
    ) -> None:
        """`pooler`: the URL leads to one in transaction mode, whose connections keep nothing between transactions.

        `silent`: changes send no emails. `on_checkout` gets the seconds that each use waited for a connection.
        """
        self.url = url
        self.pool_size = pool_size
        # How many callers are waiting for a connection.
        self.waiting = 0
        self._on_checkout = on_checkout
        self._disk_full_until = 0.0
        self._engine = create_async_engine(
            url,
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=10,
            # Single statements need neither BEGIN and COMMIT nor a precautionary ROLLBACK.
            isolation_level="AUTOCOMMIT",
            skip_autocommit_rollback=True,
            hide_parameters=True,  # errors are logged, and must not contain what people typed
            connect_args={"application_name": APPLICATION, **_session_arguments(pooler=pooler, silent=silent)},
        )
        # The same pool with another isolation level.
        self._transactions = self._engine.execution_options(isolation_level="READ COMMITTED")
        if pooler:
            event.listen(self._engine.sync_engine, "connect", _use_utc)
        event.listen(self._engine.sync_engine, "checkin", _record_use)
        event.listen(self._engine.sync_engine, "checkout", _ping_if_doubtful)
        self._shared: ContextVar[AsyncConnection | None] = ContextVar("shared", default=None)

    @asynccontextmanager
    async def shared_transaction(self) -> AsyncIterator[AsyncConnection]:
        """Open a transaction that each `transaction()` and `statements()` inside joins as a savepoint.

        An exception that leaves a savepoint rolls back only that savepoint. Do not start tasks inside that use the
        database.
        """
        async with self.transaction() as connection:
            before = self._shared.set(connection)
            try:
                yield connection
            finally:
                self._shared.reset(before)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """Yield a connection in a transaction. Raises Unavailable if the database cannot be reached."""
        with self._unavailable_when_down():
            async with self._joined() or _Checkout(self, self._transactions.begin()) as connection:
                yield connection

    @asynccontextmanager
    async def statements(self) -> AsyncIterator[AsyncConnection]:
        """Yield a connection in autocommit mode, for reads and single statements. Raises Unavailable."""
        with self._unavailable_when_down():
            async with self._joined() or _Checkout(self, self._engine.connect()) as connection:
                yield connection

    @property
    def in_use(self) -> int:
        """How many connections are in use."""
        return cast(QueuePool, self._engine.pool).checkedout()

    async def answers(self) -> bool:
        """Return whether the database can be reached."""
        try:
            async with self.statements() as connection:
                await connection.execute(text("SELECT 1"))
        except Exception:
            return False
        return True

    def disk_was_full(self) -> bool:
        """Return whether a statement failed within the last minute because the database's disk was full."""
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
            log.warning("the database is unavailable: %s", type(error.__cause__ or error).__name__)
            if isinstance(getattr(error, "orig", None), DiskFull):
                self._disk_full_until = monotonic() + _DISK_COUNTS_AS_FULL
            raise Unavailable from error


class _Checkout:
    """Check a connection out of the pool, and report how long that took."""

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
    """A frequent statement, compiled once by SQLAlchemy and executed by psycopg directly.

    SQLAlchemy's execution takes four times the CPU. Rows are named tuples; errors are SQLAlchemy's.
    """

    def __init__(self, statement: ClauseElement) -> None:
        compiled = statement.compile(dialect=_DIALECT)
        self._text = str(compiled)
        # Constants of the statement. Parameters that the caller provides are None here.
        self._constants = {name: value for name, value in compiled.params.items() if value is not None}

    async def all(self, connection: AnyConnection, values: Mapping[str, object]) -> list[Any]:
        """Return every row. Values are passed to psycopg: a range is psycopg's, not SQLAlchemy's."""
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
        """Return the row, or None. For statements that return at most one row."""
        rows = await self.all(connection, values)
        return rows[0] if rows else None


def _session_arguments(*, pooler: bool, silent: bool) -> dict[str, Any]:
    if pooler:  # it rejects `options`, and the next transaction may use another session than a prepared statement
        assert not silent
        return {"prepare_threshold": None}
    return {"options": SESSION_OPTIONS + (" -c expert_booking.silent=on" if silent else "")}


def _use_utc(adapted: Any, _: object) -> None:
    """Set the time zone, which poolers restore for each of their clients, unlike the other session options."""
    cursor = adapted.cursor()
    cursor.execute("SET timezone TO 'UTC'")
    cursor.close()
    adapted.commit()


def _record_use(_: object, entry: ConnectionPoolEntry) -> None:
    entry.info["used_at"] = monotonic()


def _ping_if_doubtful(adapted: Any, entry: ConnectionPoolEntry, _: object) -> None:
    """Ping a connection before use only if it may be dead, so that a restarted database causes no errors.

    A server that ends a connection sends a message or closes it. Either makes the idle socket readable. Raises
    InvalidatePoolError for a dead connection; the pool then opens another.
    """
    used_at = entry.info.get("used_at")
    if used_at is None:
        return  # a new connection
    try:
        if monotonic() - used_at > _PING_AFTER_IDLE or _is_readable(adapted.driver_connection):
            _DIALECT.do_ping(adapted)  # type: ignore[no-untyped-call]
    except (DBAPIError, psycopg.Error) as error:
        raise InvalidatePoolError from error


def _is_readable(connection: psycopg.AsyncConnection[Any]) -> bool:
    waiting = select.poll()
    waiting.register(connection.pgconn.socket, select.POLLIN)
    return bool(waiting.poll(0))


@asynccontextmanager
async def _savepoint(connection: AsyncConnection) -> AsyncIterator[AsyncConnection]:
    async with connection.begin_nested():
        yield connection


async def retry_on_deadlock(work: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
    """Run `work`, and up to twice more if PostgreSQL aborted it because of a deadlock."""
    for _ in range(2):
        try:
            return await work()
        except Unavailable as refusal:
            if not isinstance(getattr(refusal.__cause__, "orig", None), DeadlockDetected):
                raise
    return await work()


def violated(error: IntegrityError) -> str | None:
    """Return the name of the violated constraint."""
    name: str | None = getattr(getattr(error.orig, "diag", None), "constraint_name", None)
    return name


def driver_url(url: str) -> str:
    """Return the URL as psycopg expects it: without SQLAlchemy's driver name, and with special characters encoded."""
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


def is_database_url(url: str) -> bool:
    """Return whether host and port can be read from this URL."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        return False
    # With an `@` in the password that is not encoded, the host would contain the rest of the password.
    return "@" not in (parsed.host or "") and (parsed.port is None or 0 < parsed.port < 65_536)
