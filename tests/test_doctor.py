"""The doctor: reports a healthy site as healthy, and finds each problem when there really is one."""

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
import tzdata
from redis import Redis

from expert_booking import doctor
from expert_booking.db import diagnostics
from expert_booking.db.engine import Database, driver_url
from expert_booking.doctor import Finding, State, database_checks, settings_checks
from expert_booking.services import Services
from expert_booking.settings import Settings
from tests.backing_servers import RedisServer
from tests.conftest import MONDAY_MORNING, AddExpert, Book, Clock
from tests.mail_server import MailServer
from tests.server import command, environment

Connection = psycopg.Connection[tuple[Any, ...]]
Examine = Callable[..., dict[str, Finding]]

# A booking in 2036 is in the future whenever these tests run.
LATER = MONDAY_MORNING.replace(year=2036, day=24)
KEY = "kd83-Jfz_0aPq7Lw2xYtUv9RmNs4Bc6E"


@pytest.fixture
def examine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, database_url: str) -> Examine:
    """Return all findings by check, for this test's database with these settings: `examine(POOL_SIZE="9")`."""

    @contextmanager
    def given(settings: Settings) -> Iterator[str]:
        assert settings.database_url is not None
        yield settings.database_url

    def examine(**settings: str) -> dict[str, Finding]:
        wanted = {"DATABASE_URL": database_url, "SECRET_KEY": KEY, **settings}
        with monkeypatch.context() as outside:
            outside.chdir(tmp_path)
            for name, value in environment(**wanted).items():
                outside.setenv(name, value)
            return {finding.check: finding for finding in doctor.run_checks(given)}

    return examine


@pytest.fixture(autouse=True)
def _later(clock: Clock) -> None:
    clock.now = LATER.replace(day=23)


def failing(findings: dict[str, Finding]) -> set[str]:
    """Return the checks that failed."""
    return {check for check, finding in findings.items() if finding.state is State.FAIL}


@contextmanager
def idle_server(url: str) -> Iterator[None]:
    """Simulate an idle server with an open connection."""
    with psycopg.connect(driver_url(url), application_name="expert-booking"):
        yield


async def test_a_healthy_site_is_reported_as_healthy(
    examine: Examine, add_expert: AddExpert, book: Book, services: Services, mail_server: MailServer
) -> None:
    await book(await add_expert(), LATER)
    await services.next_available.drain()
    findings = await asyncio.to_thread(
        examine, SMTP_URL=mail_server.url, MAIL_FROM="Expert Booking <booking@example.com>",
        BASE_URL="https://booking.example.com",
    )  # fmt: skip
    assert len(findings) == 21
    # Emails wait because no server runs, and time zone data may be outdated.
    hints = {check for check, finding in findings.items() if finding.state is not State.OK}
    assert hints <= {"outbox", "time zones"}, findings
    assert f" {tzdata.IANA_VERSION}, from the package tzdata." in findings["time zones"].says
    assert not mail_server.emails
    assert "ada" not in str(findings).lower()


@pytest.mark.parametrize(
    ("version", "expires", "released"),
    [
        # From the packages 2023.4, 2025.2, 2025.3 and 2026.1.
        ("2023d", "1719532800 (2024-06-28 00:00:00 UTC)", datetime(2023, 12, 29, tzinfo=UTC)),
        ("2025b", "1766880000 (2025-12-28 00:00:00 UTC)", datetime(2025, 3, 23, tzinfo=UTC)),
        ("2025c", "1782604800 (2026-06-28 00:00:00 UTC)", datetime(2025, 12, 13, tzinfo=UTC)),
        ("2026a", "1798416000 (2026-12-28 00:00:00 UTC)", datetime(2026, 4, 3, tzinfo=UTC)),
    ],
)
def test_time_zone_rules_get_a_hint_once_they_are_certainly_more_than_a_year_old(
    tmp_path: Path, version: str, expires: str, released: datetime
) -> None:
    (tmp_path / "tzdata.zi").write_text(f"# version {version}\n# This zic input file is in the public domain.\n")
    (tmp_path / "leapseconds").write_text(f"# UTC timestamp when this leap second list expires.\n#expires {expires}\n")
    year = timedelta(days=365)
    new, old = (settings_checks.time_zones(released + age, tmp_path) for age in (0.99 * year, 1.5 * year))
    assert (new.state, new.says) == (State.OK, f"The time zone rules are {version}, from the package tzdata.")
    assert (old.state, old.advice) == (State.HINT, "pip install -U tzdata")
    assert version in old.says
    assert "more than a year old" in old.says


@pytest.mark.parametrize(
    ("check", "named", "statements"),
    [
        ("triggers", "booking_news_insert is switched off on booking",
         ["ALTER TABLE booking DISABLE TRIGGER booking_news_insert"]),
        ("triggers", "booking_change_mail is missing", ["DROP TRIGGER booking_change_mail ON booking_change"]),
        ("fences", "ex_booking_no_overlap is missing", ["ALTER TABLE booking DROP CONSTRAINT ex_booking_no_overlap"]),
        ("fences", "uq_booking_slot is missing", ["DROP INDEX uq_booking_slot"]),
        ("fences", "uq_booking_slot is different",
         ["DROP INDEX uq_booking_slot",
          "CREATE UNIQUE INDEX uq_booking_slot ON booking (expert_id, starts_at) WHERE status = 'confirmed'"]),
        ("fences", "uq_booking_slot is not valid",
         ["DROP INDEX uq_booking_slot",
          "CREATE INDEX uq_booking_slot ON booking (expert_id, starts_at) WHERE status = 'confirmed'"]),
        ("indexes", "ix_message_waiting is missing", ["DROP INDEX ix_message_waiting"]),
        ("indexes", "ix_expert_name is not valid",
         ["UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'ix_expert_name'::regclass"]),
        ("schema", "is at 0006", ["UPDATE alembic_version SET version_num = '0006'"]),
        ("extensions", "btree_gist is not installed", ["DROP EXTENSION btree_gist CASCADE"]),
    ],
)  # fmt: skip
def test_damaged_database_is_detected_and_repaired_by_the_advice(
    examine: Examine, sql: Connection, check: str, named: str, statements: list[str]
) -> None:
    for statement in statements:
        sql.execute(statement)
    findings = examine()
    assert failing(findings) >= {check}
    assert named in findings[check].says
    assert findings[check].advice
    if check != "extensions":  # which drops fences along with it
        assert failing(findings) == {check}
    if check != "schema":
        # Following the advice repairs the database.
        for finding in findings.values():
            if finding.state is State.FAIL:
                sql.execute(finding.advice.partition(doctor.IN_PSQL)[2])
        assert not failing(examine())


async def test_overlapping_bookings_are_counted(
    examine: Examine, sql: Connection, add_expert: AddExpert, book: Book
) -> None:
    sql.execute("ALTER TABLE booking DROP CONSTRAINT ex_booking_no_overlap")
    for name in ("Jana Müller", "Omar Haddad"):
        expert = await add_expert(name=name)
        for hour in (8, 9, 11):
            await book(expert, LATER.replace(hour=hour))
    assert examine()["bookings"].state is State.OK
    sql.execute(
        "UPDATE booking SET busy = tstzrange(starts_at, ends_at + interval '15 minutes') WHERE ctid ="
        " (SELECT ctid FROM booking WHERE extract(hour FROM starts_at AT TIME ZONE 'UTC') = 8 LIMIT 1)"
    )
    found = examine()["bookings"]
    assert (found.state, found.says) == (State.FAIL, "1 live booking overlaps another of the same expert.")


async def test_stalled_work_is_a_failure_only_if_a_server_is_running(
    examine: Examine, sql: Connection, database: Database, add_expert: AddExpert, book: Book, mail_server: MailServer
) -> None:
    await book(await add_expert(), LATER)
    sql.execute("UPDATE booking SET answer_by = now() - interval '3 hours'")
    sql.execute("UPDATE message SET created_at = now() - interval '2 days', tries = 9, due_at = now()")
    mails = {"SMTP_URL": mail_server.url, "MAIL_FROM": "booking@example.com"}
    await database.close()  # it is connected under the name of a server
    late = ("deadlines", "outbox", "next free times")
    findings = await asyncio.to_thread(examine, **mails)
    assert {findings[check].state for check in late} == {State.HINT}
    with idle_server(database.url):
        findings = await asyncio.to_thread(examine, **mails)
    assert failing(findings) == set(late)
    assert "3 hours overdue" in findings["deadlines"].says
    assert findings["outbox"].says == (
        "2 emails are waiting in the outbox, 2 of them after a failed attempt, the oldest for 2 days."
    )


def test_failed_email_is_reported_with_the_command_to_resend_it(examine: Examine, sql: Connection) -> None:
    sql.execute("INSERT INTO message (kind, booking_id, failed_at) VALUES ('rescheduled', gen_random_uuid(), now())")
    found = examine()["outbox"]
    assert (found.state, found.says) == (State.HINT, "0 emails are waiting in the outbox; 1 was given up.")
    assert "mail resend" in found.advice


def test_unreachable_services_are_reported_with_the_setting_to_check(examine: Examine) -> None:
    findings = examine(
        DATABASE_URL="postgresql://nobody:a-password@127.0.0.1:1/nothing",
        SMTP_URL="smtp://127.0.0.1:1", MAIL_FROM="booking@example.com",
    )  # fmt: skip
    assert failing(findings) == {"database", "mail server"}
    assert "EXPERT_BOOKING_DATABASE_URL" in findings["database"].advice
    assert "no connection" in findings["mail server"].says
    assert "a-password" not in str(findings)


def test_redis_is_checked_if_events_go_through_it(examine: Examine, redis: RedisServer) -> None:
    assert "redis" not in examine()
    found = examine(REDIS_URL=redis.url)["redis"]
    assert (found.state, found.says[:28]) == (State.OK, "Events through Redis arrive "), found
    with Redis.from_url(redis.url) as admin:
        may = {"categories": ["+@all"], "commands": ["-publish"], "channels": ["*"]}
        admin.acl_setuser("mute", enabled=True, passwords="+a-password", **may)
    muted = redis.url.replace("//", "//mute:a-password@")
    assert "NoPermission" in examine(REDIS_URL=muted)["redis"].says
    redis.kill()
    findings = examine(REDIS_URL=muted)
    assert failing(findings) == {"redis"}
    assert "EXPERT_BOOKING_REDIS_URL" in findings["redis"].advice
    assert "a-password" not in str(findings)


def test_mail_server_that_rejects_the_password_is_reported(examine: Examine) -> None:
    server = MailServer(authenticator=lambda *_: False, auth_require_tls=False).start()
    try:
        findings = examine(SMTP_URL=server.url.replace("//", "//ada:wrong@"), MAIL_FROM="booking@example.com")
    finally:
        server.stop()
    assert failing(findings) == {"mail server"}
    assert "sign-in refused" in findings["mail server"].says


def test_weak_open_or_invalid_settings_are_reported(examine: Examine) -> None:
    assert "openssl rand" in examine(SECRET_KEY="x" * 40)["settings"].says
    findings = examine(SECRET_KEY="sixteen letters!", BASE_URL="http://booking.example.com")
    assert findings["secret key"].state is findings["address"].state is State.HINT
    assert set(examine(POOL_SIZE="no")) == {"settings"}


def test_pool_larger_than_the_servers_connection_limit_is_reported(database_url: str) -> None:
    with diagnostics.read_only(database_url) as connection:
        most, in_use = diagnostics.connection_budget(connection)
        assert database_checks.connections(connection, most).state is State.FAIL
        assert database_checks.connections(connection, most - 1).state is (State.HINT if in_use else State.OK)
        assert database_checks.connections(connection, 1).state is State.OK


def test_readable_or_short_key_file_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "secret.key"
    path.write_text("5f0d8a572a0b4a379f5d6f1f4f1c8e22")
    path.chmod(0o640)
    assert settings_checks.secret_key(Settings(data_dir=tmp_path)).state is State.FAIL
    path.chmod(0o600)
    assert settings_checks.secret_key(Settings(data_dir=tmp_path)).state is State.OK
    path.write_text("kept")
    assert settings_checks.secret_key(Settings(data_dir=tmp_path)).state is State.FAIL


def test_doctor_connection_is_read_only(database_url: str) -> None:
    with (
        pytest.raises(diagnostics.DiagnosticsError, match="read-only"),
        diagnostics.read_only(database_url) as connection,
    ):
        connection.execute("DELETE FROM booking")


def test_the_command_ends_with_one_if_a_check_fails_and_makes_nothing(tmp_path: Path, database_url: str) -> None:
    done = command("doctor", "--json", folder=tmp_path, DATABASE_URL=database_url, SECRET_KEY=KEY)
    report = json.loads(done.stdout)
    assert (done.returncode, report["ok"]) == (0, True), done.stdout
    assert {"check": "settings", "state": "ok", "says": "All settings are valid.", "advice": ""} in report["findings"]
    assert command("doctor", "--jason", folder=tmp_path).returncode == 2
    data = tmp_path / "data"
    done = command("doctor", folder=tmp_path, DATA_DIR=str(data))
    assert done.returncode == 1
    assert "There is no database in" in done.stdout
    assert not data.exists()
