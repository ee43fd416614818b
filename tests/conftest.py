"""One real PostgreSQL for the whole run, and a fresh copy of a migrated database for every test that asks for one.

The server is the embedded one, or the one that EXPERT_BOOKING_TEST_DATABASE_URL names (a role that may create
databases and extensions; nothing that is there already is touched).
"""

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
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
from tests.behind import RedisServer
from tests.mailing import MailServer
from tests.serving import ServerProcess

# How many examples each property is tried with: a hundred always, ten thousand when one has the time.
settings.register_profile("short", max_examples=100, deadline=None)
settings.register_profile("long", max_examples=10_000, deadline=None)
settings.load_profile("short")

TEST_SERVER = "EXPERT_BOOKING_TEST_DATABASE_URL"
MONDAY_MORNING = datetime(2026, 11, 23, 8, tzinfo=UTC)  # 09:00 in Berlin


@dataclass
class Clock:
    """The time as the test wants it."""

    now: datetime = MONDAY_MORNING

    def __call__(self) -> datetime:
        """What the services see."""
        return self.now

    def move(self, **span: float) -> datetime:
        """Let this much time pass: `clock.move(hours=1)`."""
        self.now += timedelta(**span)
        return self.now


AddExpert = Callable[..., Awaitable[UUID]]
Book = Callable[..., Awaitable[BookingView]]
_numbers = count(1)


# --- the server and its databases -------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    """A database server, as SQLAlchemy's address of some database on it."""
    given = os.environ.get(TEST_SERVER)
    if given:
        yield _for_sqlalchemy(given)
        return
    # Not pytest's own temporary folder: run as root, the server works under another uid and has to get there.
    folder = Path(tempfile.mkdtemp(prefix="expert-booking-tests-", dir=_memory()))
    folder.chmod(0o755)
    server = EmbeddedPostgres.start(folder, say=lambda _: None, fsync=False)
    try:
        yield _for_sqlalchemy(server.url)
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def template(server_url: str) -> Iterator[str]:
    """The name of a database that has been migrated once."""
    with fresh_database(server_url) as url:
        schema.migrate(url)
        name = make_url(url).database
        assert name is not None
        yield name


@pytest.fixture
def empty_database_url(server_url: str) -> Iterator[str]:
    """A database without anything in it."""
    with fresh_database(server_url) as url:
        yield url


@pytest.fixture
def database_url(server_url: str, template: str) -> Iterator[str]:
    """A migrated database of this test's own, gone afterwards."""
    with fresh_database(server_url, template) as url:
        yield url


@contextmanager
def fresh_database(server_url: str, template: str = "template0") -> Iterator[str]:
    """A new database on this server, dropped at the end even if somebody is still connected."""
    name = f"expert_booking_test_{os.getpid()}_{next(_numbers)}"
    with psycopg.connect(driver_url(server_url), autocommit=True) as admin:
        # Copying files is the cheaper way for a database this small.
        admin.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
    try:
        yield make_url(server_url).set(database=name).render_as_string(hide_password=False)
    finally:
        with psycopg.connect(driver_url(server_url), autocommit=True) as admin:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


def _memory() -> Path | None:
    """A folder in memory with room for many databases: there a new one takes 20 ms, on a busy disk 300."""
    memory = Path("/dev/shm")
    return memory if memory.is_dir() and shutil.disk_usage(memory).free > 2**31 else None


def _for_sqlalchemy(url: str) -> str:
    return "postgresql+psycopg://" + url.split("://", 1)[1]


@pytest.fixture
def sql(database_url: str) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
    """A connection as psql would have one: no code of ours in between, every statement counts at once."""
    with psycopg.connect(driver_url(database_url), autocommit=True) as connection:
        connection.execute("SET TIME ZONE 'UTC'")
        yield connection


# --- the product on top of it -----------------------------------------------------------------------------------


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """The product's pool on this test's database."""
    database = Database(database_url)
    yield database
    await database.close()


@pytest.fixture
def clock() -> Clock:
    """Monday, 2026-11-23, 08:00 UTC, until the test moves it."""
    return Clock()


@pytest.fixture
def services(database: Database, clock: Clock) -> Services:
    """Everything the product can do, at the test's own time."""
    return Services(database, clock=clock)


@pytest.fixture
def add_expert(services: Services) -> AddExpert:
    """Add an expert and get the id: Berlin, every day 09:00 to 17:00, sessions of an hour, no notice."""

    async def add(**overrides: Any) -> UUID:
        return await services.experts.add(expert_request(**overrides))

    return add


@pytest.fixture
def book(services: Services) -> Book:
    """Book, with everything filled in that the test does not care about."""

    async def book(expert_id: UUID, starts_at: datetime, *, visitor: bytes | None = None,
                   submission: UUID | None = None, **overrides: Any) -> BookingView:  # fmt: skip
        request = booking_request(expert_id, starts_at, **overrides)
        return await services.bookings.book(request, visitor=visitor, submission=submission)

    return book


def browser(visitor: bytes) -> Caller:
    """Whoever books in this browser, as its customer."""
    return Caller(role=Role.CUSTOMER, visitor=visitor)


def expert_request(**overrides: Any) -> ExpertRequest:
    """An expert; `hours=(540, 1020)` and what belongs to the session type (`minutes`, `after_minutes` …) as words."""
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
    """What a customer says to book."""
    said = {"name": "Ada Lovelace", "email": "ada@example.com", "phone": "+44 20 7946 0000"}
    return BookingRequest(expert_id=expert_id, starts_at=starts_at, **{**said, **overrides})


@pytest.fixture
def mail_server() -> Iterator[MailServer]:
    """A real mail server on this machine."""
    server = MailServer().start()
    yield server
    server.stop()


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis of this test's own."""
    server = RedisServer(tmp_path)
    yield server
    server.kill()


@pytest.fixture
def serve(database_url: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Callable[..., ServerProcess]]:
    """Start a server process on this test's database and wait until it answers; stopped afterwards."""
    running: list[ServerProcess] = []

    def serve(**settings: str) -> ServerProcess:
        running.append(ServerProcess(tmp_path, database_url, **settings))
        return running[-1].wait_until_alive()

    yield serve
    for server in running:
        server.stop()
        request.node.add_report_section("teardown", f"log of the server on port {server.port}", server.words())
