"""A machine with a wrong clock expires nothing too early, and its process reports itself as not ready."""

import shutil
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import psycopg
import pytest

from expert_booking.db import diagnostics
from expert_booking.db.clock import DatabaseClock
from expert_booking.db.engine import Database
from expert_booking.doctor import Finding, State, database_checks
from expert_booking.domain.site import Site
from expert_booking.domain.terms import Confirmation
from expert_booking.services import Services
from tests.conftest import AddExpert, Book, Clock
from tests.mail_server import MailServer
from tests.security.machine_clock import MachineClock
from tests.server import PATIENCE, ServerProcess
from tests.test_metrics import read

Connection = psycopg.Connection[tuple[Any, ...]]
Serve = Callable[..., ServerProcess]
THREE_DAYS = 3 * 86_400


@pytest.fixture
def clock() -> Clock:
    """The real time, because it is compared with the real clock of a server."""
    return Clock(datetime.now(UTC))


@pytest.fixture
def machine_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MachineClock:
    """The clock of every process that this test starts."""
    if shutil.which("cc") is None:
        pytest.skip("a C compiler is needed to build the library that shifts the clock")
    clock = MachineClock(tmp_path)
    for name, value in clock.environment.items():
        monkeypatch.setenv(name, value)
    return clock


@pytest.fixture
def start() -> datetime:
    """A time in four days that an expert in Berlin offers, in UTC."""
    return (datetime.now(UTC) + timedelta(days=4)).replace(hour=10, minute=0, second=0, microsecond=0)


async def test_process_three_days_ahead_expires_nothing_sends_nothing_and_is_not_ready(
    serve: Serve, machine_clock: MachineClock, add_expert: AddExpert, book: Book, services: Services,
    mail_server: MailServer, sql: Connection, start: datetime,
) -> None:  # fmt: skip
    unconfirmed = await add_expert(confirmation=Confirmation.BY_EXPERT, answer_minutes=24 * 60)
    certain = await add_expert(name="Omar Haddad", confirmation=Confirmation.INSTANT)
    await book(unconfirmed, start)
    # On the wrong clock its reminders would be due.
    await book(certain, start)
    sql.execute("UPDATE booking SET changed_at = now() - interval '30 days', created_at = now() - interval '30 days'")
    sql.execute("UPDATE message SET sent_at = now()")
    await services.access.request_access("ada@example.com", origin=b"a network")
    sql.execute("DELETE FROM message WHERE kind = 'access_link'")
    sql.execute(
        "INSERT INTO access_proof (customer_key, email, bearer, secret_hash, created_at, expires_at) VALUES"
        " ('ada@example.com', 'ada@example.com', 'browser', 'hash', now(), now() + interval '1 day')"
    )
    sql.execute("INSERT INTO kept_answer (caller, key, fingerprint, created_at) VALUES ('a', 'key', 'b', now())")

    machine_clock.shift(THREE_DAYS)
    server = serve(SMTP_URL=mail_server.url, MAIL_FROM="booking@example.com")
    wait_until(lambda: readiness_code(server) == "clock_wrong" and "deadlines and reminders wait" in server.log_text())
    assert abs(metric(server, "clock_offset_seconds") - THREE_DAYS) < 30
    expect_nothing_expired(sql)
    # What it writes for other processes is right: a hold expires in minutes, not in three days.
    hold_until = hold_time(server, certain, start + timedelta(hours=1))
    assert hold_until < datetime.now(UTC) + timedelta(minutes=10)

    machine_clock.shift(0)
    wait_until(lambda: readiness_code(server) is None and not is_worker_waiting(server, "deadlines", "outbox"))
    expect_nothing_expired(sql)
    assert not mail_server.emails

    # It works normally again: an overdue request expires.
    sql.execute("UPDATE booking SET answer_by = now() WHERE status = 'pending'")
    wait_until(lambda: statuses(sql) == ["confirmed", "expired", "held"])


async def test_clock_error_while_running_shows_in_readiness_metrics_and_doctor(
    serve: Serve, machine_clock: MachineClock, add_expert: AddExpert, book: Book, sql: Connection, start: datetime,
    database_url: str,
) -> None:  # fmt: skip
    await book(await add_expert(confirmation=Confirmation.BY_EXPERT, answer_minutes=24 * 60), start)
    server = serve()
    wait_until(lambda: readiness_code(server) is None)
    assert check_clock(database_url).state is State.OK

    machine_clock.shift(THREE_DAYS)
    assert readiness_code(server) == "clock_wrong"
    assert abs(metric(server, "clock_offset_seconds") - THREE_DAYS) < 30
    # The doctor's own clock is right, so it has to ask the server.
    finding = check_clock(database_url)
    assert finding.state is State.FAIL
    assert "One server's clock is 3 days ahead of the database's." in finding.says
    assert "NTP" in finding.advice

    machine_clock.shift(-THREE_DAYS)
    assert readiness_code(server) == "clock_wrong"
    assert abs(metric(server, "clock_offset_seconds") + THREE_DAYS) < 30
    assert statuses(sql) == ["pending"]


async def test_doctor_detects_its_own_wrong_clock(database_url: str, sql: Connection) -> None:
    shift_database(sql, "-3 days")
    finding = check_clock(database_url)
    assert finding.state is State.FAIL
    assert "The database's clock is 3 days behind this machine's." in finding.says


async def test_email_that_seems_too_old_is_kept_while_the_clocks_differ(
    database: Database, clock: Clock, add_expert: AddExpert, book: Book, start: datetime, mail_server: MailServer,
    sql: Connection,
) -> None:  # fmt: skip
    agree = False

    async def clock_agrees() -> bool:
        return agree

    services = Services(
        database, clock=clock, clock_agrees=clock_agrees, site=Site(secret="x" * 16), transport=mail_server.transport()
    )
    await book(await add_expert(), start)
    clock.advance(days=30)
    await services.outbox.drain()
    assert sql.execute("SELECT count(*) FROM message WHERE sent_at IS NULL").fetchone() == (2,)

    agree = True
    clock.advance(minutes=5)  # past the time limit of the earlier attempt
    await services.outbox.drain()
    assert sql.execute("SELECT count(*) FROM message").fetchone() == (0,)
    assert not mail_server.emails


async def test_time_comes_from_the_database_not_from_this_machine(database: Database, sql: Connection) -> None:
    clock = DatabaseClock(database)
    await clock.measure()
    assert await clock.agrees()
    assert abs(clock.offset()) < 1
    shift_database(sql, "3 days")
    await database.close()  # new connections see the new time
    await clock.measure()
    assert not await clock.agrees()
    assert abs(clock.offset() + THREE_DAYS) < 1
    assert abs(clock() - datetime.now(UTC) - timedelta(days=3)) < timedelta(seconds=1)


async def test_agreeing_measurement_does_not_change_the_time(database: Database) -> None:
    clock = DatabaseClock(database)
    times = []
    for _ in range(50):
        times.append(clock())
        await clock.measure()
    assert times == sorted(times)


# --- helpers ------------------------------------------------------------------------------------------------------


def wait_until(true: Callable[[], bool]) -> None:
    """Wait until the condition is true. Fails after PATIENCE seconds."""
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, "the condition was not met in time"
        time.sleep(0.1)


def readiness_code(server: ServerProcess) -> str | None:
    """Return the code with which the server reports that it is not ready; None if it is ready."""
    answer = httpx.get(f"{server.url}/readyz", timeout=10)
    return None if answer.status_code == 200 else str(answer.json()["code"])


def metric(server: ServerProcess, name: str, **labels: str) -> float:
    """Return one metric of the server."""
    return read(httpx.get(f"{server.url}/metrics", timeout=10).text)(name, **labels)


def is_worker_waiting(server: ServerProcess, *workers: str) -> bool:
    """Check whether one of these workers has not completed a round yet."""
    rounds = [metric(server, "worker_round_timestamp_seconds", worker=worker) for worker in workers]
    return any(at != at for at in rounds)  # NaN


def check_clock(database_url: str) -> Finding:
    """Return the doctor's finding about the clock."""
    with diagnostics.read_only(database_url) as connection:
        return database_checks.clock(connection, database_url)


def expect_nothing_expired(sql: Connection) -> None:
    """Expect the bookings, sign-in, link and stored response to exist, and no reminders."""
    assert [status for status in statuses(sql) if status != "held"] == ["confirmed", "pending"]
    for table in ("access_proof", "access_request", "kept_answer"):
        assert sql.execute(f"SELECT count(*) FROM {table}".encode()).fetchone() == (1,), table
    assert sql.execute("SELECT count(*) FROM message WHERE sent_at IS NULL OR kind = 'reminder'").fetchone() == (0,)


def statuses(sql: Connection) -> list[str]:
    """Return the statuses of all bookings."""
    return [row[0] for row in sql.execute("SELECT status FROM booking ORDER BY status")]


def shift_database(sql: Connection, interval: str) -> None:
    """Make new connections see a `clock_timestamp()` ahead by this interval."""
    name = sql.info.dbname
    sql.execute("CREATE SCHEMA shifted")
    sql.execute(
        "CREATE FUNCTION shifted.clock_timestamp() RETURNS timestamptz LANGUAGE sql"
        f" AS $$ SELECT pg_catalog.clock_timestamp() + interval '{interval}' $$".encode()
    )
    sql.execute(f'ALTER DATABASE "{name}" SET search_path = shifted, pg_catalog, public'.encode())


def hold_time(server: ServerProcess, expert: UUID, start: datetime) -> datetime:
    """Hold a time. Returns its expiry."""
    wanted = {"expertId": str(expert), "startsAt": start.isoformat()}
    hold = httpx.post(f"{server.url}/holds", json=wanted, timeout=30).json()
    return datetime.fromisoformat(hold["holdUntil"])
