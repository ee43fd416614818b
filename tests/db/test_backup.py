"""A restored dump equals the original database and works."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import psycopg
import pytest
from psycopg.errors import ExclusionViolation, RaiseException

from expert_booking.bus import Bus
from expert_booking.db import backup, diagnostics
from expert_booking.db.engine import Database, driver_url
from expert_booking.db.tables import metadata
from expert_booking.domain.lifecycle import Status
from expert_booking.domain.site import Site
from expert_booking.schemas import Caller, HoldRequest, Role, TokenRequest
from expert_booking.services import Services
from expert_booking.services.feeds import FeedOwner
from tests.conftest import MONDAY_MORNING, AddExpert, Clock, booking_request
from tests.db.test_migrations import fingerprint
from tests.mail_server import MailServer
from tests.server import SECRET_KEY, ServerProcess

ADMIN = Caller(role=Role.ADMIN)
SITE = Site(secret=SECRET_KEY, sends_email=True)
Rows = dict[str, tuple[int, str]]


@pytest.fixture
def dump(tmp_path: Path) -> Path:
    """The path of the dump."""
    return tmp_path / "booking.dump"


def contents(url: str) -> Rows:
    """The row count and checksum of each table, and the last value of each sequence."""
    with psycopg.connect(driver_url(url), autocommit=True) as connection:
        connection.execute("SET TIME ZONE 'UTC'")
        found = {}
        for table in (*metadata.tables, "alembic_version"):
            query = f"SELECT count(*), md5(string_agg(t::text, E'\\n' ORDER BY t::text)) FROM {table} AS t"
            found[table] = connection.execute(query).fetchone()  # type: ignore[arg-type]
        counted = connection.execute("SELECT sequencename, coalesce(last_value, 0) FROM pg_sequences").fetchall()
    return found | {name: (value, "") for name, value in counted}  # type: ignore[return-value]


def schema_of(url: str) -> dict[tuple[str, str], str]:
    """The schema without brackets: PostgreSQL writes fewer of them after a restore."""
    return {name: text.translate({ord("("): None, ord(")"): None}) for name, text in fingerprint(url).items()}


async def fill_database(services: Services, add_expert: AddExpert, clock: Clock) -> UUID:
    """Add experts, bookings in many statuses, holds, emails (some of them sent), tokens and feeds."""
    expert = await add_expert()
    await add_expert(name="Ömer Ağaoğlu", email="omer@example.com")
    starts = [MONDAY_MORNING + timedelta(days=3, hours=hour) for hour in range(5)]
    bookings = [await services.bookings.book(booking_request(expert, start)) for start in starts]
    await services.outbox.drain()
    await services.bookings.change_status(bookings[0].id, Status.CONFIRMED, ADMIN)
    await services.bookings.change_status(bookings[1].id, Status.CANCELLED, ADMIN, reason='A cold,\ta \\ and a "quote"')
    await services.bookings.reschedule(bookings[2].id, starts[1], ADMIN)
    await services.holds.take(
        HoldRequest(expert_id=expert, starts_at=starts[2]), origin=b"a network", visitor=b"a browser"
    )
    for role in (Role.ADMIN, Role.READER):
        await services.tokens.create(TokenRequest(name=role.value, role=role))
    await services.feeds.open(FeedOwner(customer_key="ada@example.com"))
    await services.access.link_for("ada@example.com")
    await services.next_available.drain()
    return expert


async def test_backup_restores_every_row_and_repeats_no_work(
    database: Database, clock: Clock, add_expert: AddExpert, mail_server: MailServer, empty_database_url: str,
    dump: Path, tmp_path: Path,
) -> None:  # fmt: skip
    services = Services(database, Bus(), clock, site=SITE, transport=mail_server.transport())
    expert = await fill_database(services, add_expert, clock)
    before = contents(database.url)
    for table in ("booking", "booking_change", "message", "token", "feed", "expert_next", "search_word"):
        assert before[table][0] > 0, table

    backup.save(database.url, dump)
    assert is_alone_and_private(dump)
    backup.restore(empty_database_url, dump)
    assert contents(empty_database_url) == before
    assert schema_of(empty_database_url) == schema_of(database.url)
    with diagnostics.read_only(empty_database_url) as connection:
        assert not diagnostics.wrong_fences(connection) | diagnostics.wrong_triggers(connection)

    with psycopg.connect(driver_url(empty_database_url), autocommit=True) as sql:
        with pytest.raises(ExclusionViolation):
            sql.execute(
                "INSERT INTO booking (expert_id, session_type_id, starts_at, ends_at, busy, name, email, customer_key)"
                " SELECT expert_id, session_type_id, starts_at + interval '1 minute', ends_at, busy, 'Bo', 'b@x.y', 'b'"
                " FROM booking WHERE status = 'confirmed'"
            )
        with pytest.raises(RaiseException, match="not changed afterwards"):
            sql.execute("UPDATE booking_change SET reason = ''")

    # Waiting emails are sent once; sent ones are not sent again.
    sent = len(mail_server.emails)
    waiting = await services.outbox.waiting()
    restored = Database(empty_database_url)
    restored_services = Services(restored, Bus(), clock, site=SITE, transport=mail_server.transport())
    await restored_services.outbox.drain()
    assert waiting
    assert len(mail_server.emails) - sent == len(waiting)
    assert len({mail["Message-ID"] for mail in mail_server.emails}) == len(mail_server.emails)
    # Sequences continue from their last values.
    await restored_services.bookings.book(booking_request(expert, MONDAY_MORNING + timedelta(days=2)))
    await restored.close()

    assert await asyncio.to_thread(experts_served_from, empty_database_url, tmp_path) == 2


def is_alone_and_private(path: Path) -> bool:
    """Whether the folder has no other file and only the owner can read this one."""
    return list(path.parent.iterdir()) == [path] and path.stat().st_mode & 0o077 == 0


def experts_served_from(url: str, folder: Path) -> int:
    """Start the product on this database, wait until it is ready and return the number of experts it lists."""
    with ServerProcess(folder, url) as server:
        server.wait_until_alive()
        assert httpx.get(f"{server.url}/readyz").status_code == 200
        total: int = httpx.get(f"{server.url}/experts").json()["total"]
        server.stop()
    return total


def test_restore_refuses_a_database_with_data(database_url: str, dump: Path) -> None:
    backup.save(database_url, dump)
    before = contents(database_url)
    with pytest.raises(backup.BackupError, match="not empty"):
        backup.restore(database_url, dump)
    assert contents(database_url) == before


def test_truncated_dump_leaves_an_empty_database_and_a_failed_dump_no_file(
    database_url: str, empty_database_url: str, dump: Path, sql: psycopg.Connection[tuple[Any, ...]]
) -> None:
    # Most of the file is rows, so this cuts it in the middle of them.
    sql.execute(
        "INSERT INTO mailbox_mail (recipient, raw)"
        " SELECT n, decode(md5(n::text) || md5('-' || n), 'hex') FROM generate_series(1, 20000) AS n"
    )
    backup.save(database_url, dump)
    whole = dump.read_bytes()
    empty = fingerprint(empty_database_url)
    dump.write_bytes(whole[: len(whole) * 3 // 4])
    with pytest.raises(backup.BackupError, match="pg_restore"):
        backup.restore(empty_database_url, dump)
    assert fingerprint(empty_database_url) == empty
    with pytest.raises(backup.BackupError, match="cannot be reached"):
        backup.save("postgresql://nobody:secret@127.0.0.1:1/nothing", dump)
    with pytest.raises(backup.BackupError, match="cannot be written"):
        backup.save(database_url, dump / "below" / "a file")
    assert dump.read_bytes() == whole[: len(whole) * 3 // 4]
