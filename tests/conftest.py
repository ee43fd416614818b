"""One real PostgreSQL server for the whole run, and a fresh copy of a migrated database for every test that needs one.

The server is the embedded one, or the one at EXPERT_BOOKING_TEST_DATABASE_URL. That role must be able to create
databases and extensions; existing databases are not touched.
"""

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from hypothesis import settings
from sqlalchemy import make_url

from expert_booking.db import schema
from expert_booking.db.embedded import EmbeddedPostgres
from expert_booking.db.engine import Database, driver_url
from expert_booking.domain.limits import NO_LIMITS
from expert_booking.schemas import (
    BookingRequest,
    BookingView,
    Caller,
    ExpertRequest,
    Role,
    RuleRequest,
    SessionTypeRequest,
)
from expert_booking.services import Services
from tests.backing_servers import RedisServer
from tests.mail_server import MailServer
from tests.server import ServerProcess, database_folder

# Examples per property test: 100 by default, 10,000 with `--hypothesis-profile=long`.
settings.register_profile("short", max_examples=100, deadline=None)
settings.register_profile("long", max_examples=10_000, deadline=None)
settings.load_profile("short")

pytest_plugins = ["tests.plugin"]

TEST_SERVER = "EXPERT_BOOKING_TEST_DATABASE_URL"
MONDAY_MORNING = datetime(2026, 11, 23, 8, tzinfo=UTC)  # 09:00 in Berlin


@dataclass
class Clock:
    """A clock that the test sets."""

    now: datetime = MONDAY_MORNING

    def __call__(self) -> datetime:
        """The current time, in UTC."""
        return self.now

    def advance(self, **span: float) -> datetime:
        """Let time pass: `clock.advance(hours=1)`."""
        self.now += timedelta(**span)
        return self.now


AddExpert = Callable[..., Awaitable[UUID]]
Book = Callable[..., Awaitable[BookingView]]
_numbers = count(1)


# --- the server and its databases -------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    """The SQLAlchemy URL of some database on the server."""
    given = os.environ.get(TEST_SERVER)
    if given:
        yield _for_sqlalchemy(given)
        return
    with database_folder() as folder:
        server = EmbeddedPostgres.start(folder, say=lambda _: None, fsync=False)
        try:
            yield _for_sqlalchemy(server.url)
        finally:
            server.stop()


@pytest.fixture(scope="session")
def template(server_url: str) -> Iterator[str]:
    """The name of a migrated database to copy."""
    with fresh_database(server_url) as url:
        schema.migrate(url)
        name = make_url(url).database
        assert name is not None
        yield name


@pytest.fixture
def empty_database_url(server_url: str) -> Iterator[str]:
    """The URL of an empty database."""
    with fresh_database(server_url) as url:
        yield url


@pytest.fixture
def database_url(server_url: str, template: str) -> Iterator[str]:
    """The URL of a migrated database for this test only."""
    with fresh_database(server_url, template) as url:
        yield url


@contextmanager
def fresh_database(server_url: str, template: str = "template0") -> Iterator[str]:
    """A new database on this server, dropped at the end even if connections remain."""
    name = f"expert_booking_test_{os.getpid()}_{next(_numbers)}"
    admin = _admin_connection(server_url)
    # Copying files is faster for a database this small.
    admin.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
    try:
        yield make_url(server_url).set(database=name).render_as_string(hide_password=False)
    finally:
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


@cache
def _admin_connection(server_url: str) -> psycopg.Connection[tuple[Any, ...]]:
    return psycopg.connect(driver_url(server_url), autocommit=True)


def _for_sqlalchemy(url: str) -> str:
    return "postgresql+psycopg://" + url.split("://", 1)[1]


@pytest.fixture
def sql(database_url: str) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
    """A plain connection in autocommit mode, as psql has it, without the product's code."""
    with psycopg.connect(driver_url(database_url), autocommit=True) as connection:
        connection.execute("SET TIME ZONE 'UTC'")
        yield connection


# --- the product on top of it -----------------------------------------------------------------------------------


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """The product's connection pool on this test's database."""
    database = Database(database_url)
    yield database
    await database.close()


@pytest.fixture
def clock() -> Clock:
    """A clock at Monday, 2026-11-23, 08:00 UTC."""
    return Clock()


@pytest.fixture
def services(database: Database, clock: Clock) -> Services:
    """All use cases of the product, with the test's clock, and without limits on bookings and changes."""
    return Services(database, clock=clock, limits=NO_LIMITS)


@pytest.fixture
def add_expert(services: Services) -> AddExpert:
    """Add an expert and return the id. By default: Berlin, daily 09:00 to 17:00, one-hour sessions, no notice."""

    async def add(**overrides: Any) -> UUID:
        return await services.experts.add(expert_request(**overrides))

    return add


@pytest.fixture
def book(services: Services) -> Book:
    """Book, with defaults for all fields that do not matter to the test."""

    async def book(expert_id: UUID, starts_at: datetime, *, visitor: bytes | None = None,
                   submission: UUID | None = None, **overrides: Any) -> BookingView:  # fmt: skip
        request = booking_request(expert_id, starts_at, **overrides)
        return await services.bookings.book(request, visitor=visitor, submission=submission)

    return book


def customer_caller(visitor: bytes) -> Caller:
    """The customer who books in the browser with this visitor id."""
    return Caller(role=Role.CUSTOMER, visitor=visitor)


def expert_request(**overrides: Any) -> ExpertRequest:
    """A request to add an expert. Overrides may also be `hours=(540, 1020)`, in minutes since midnight, `weekdays`, and
    fields of the session type such as `minutes` or `after_minutes`."""
    length = {"title": "Consultation", "minutes": 60, "step_minutes": 60, "notice_minutes": 0}
    length |= {key: overrides.pop(key) for key in tuple(overrides) if key in SessionTypeRequest.model_fields}
    opens, closes = overrides.pop("hours", (9 * 60, 17 * 60))
    days = overrides.pop("weekdays", range(1, 8))
    facts: dict[str, Any] = {
        "name": "Jana Müller",
        "category": "Career coaching",
        "time_zone": "Europe/Berlin",
        "email": "jana@example.com",
        "session_types": [SessionTypeRequest(**length)],
        "rules": [RuleRequest(weekday=day, opens=opens, closes=closes) for day in days],
    }
    return ExpertRequest(**{**facts, **overrides})


def booking_request(expert_id: UUID, starts_at: datetime, **overrides: Any) -> BookingRequest:
    """A valid booking request."""
    defaults = {"name": "Ada Lovelace", "email": "ada@example.com", "phone": "+44 20 7946 0000"}
    return BookingRequest(expert_id=expert_id, starts_at=starts_at, **{**defaults, **overrides})


@pytest.fixture
def mail_server() -> Iterator[MailServer]:
    """A running SMTP server on this machine."""
    server = MailServer().start()
    yield server
    server.stop()


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis server for this test only."""
    server = RedisServer(tmp_path)
    yield server
    server.kill()


@pytest.fixture
def serve(database_url: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Callable[..., ServerProcess]]:
    """Start server processes on this test's database and wait until they answer. They are stopped after the test."""
    running: list[ServerProcess] = []

    def serve(**settings: str) -> ServerProcess:
        running.append(ServerProcess(tmp_path, database_url, **settings))
        return running[-1].wait_until_alive()

    yield serve
    for server in running:
        server.stop()
        request.node.add_report_section("teardown", f"log of the server on port {server.port}", server.log_text())
