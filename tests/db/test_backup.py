"""A dump restored is the database that it was made of, and works."""

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
SYSTEM = Site(secret=SECRET_KEY, mails=True)
Rows = dict[str, tuple[int, str]]


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """Where the dump goes."""
    return tmp_path / "booking.dump"


def contents(url: str) -> Rows:
    """How many rows each table has and a checksum of them, and how far each number has been counted."""
    with psycopg.connect(driver_url(url), autocommit=True) as connection:
        connection.execute("SET TIME ZONE 'UTC'")
        found = {}
        for table in (*metadata.tables, "alembic_version"):
            question = f"SELECT count(*), md5(string_agg(t::text, E'\\n' ORDER BY t::text)) FROM {table} AS t"
            found[table] = connection.execute(question).fetchone()  # type: ignore[arg-type]
        counted = connection.execute("SELECT sequencename, coalesce(last_value, 0) FROM pg_sequences").fetchall()
    return found | {name: (value, "") for name, value in counted}  # type: ignore[return-value]


def built(url: str) -> dict[tuple[str, str], str]:
    """Everything in the schema. PostgreSQL writes fewer brackets when it reads what it has written."""
    return {name: text.translate({ord("("): None, ord(")"): None}) for name, text in fingerprint(url).items()}


async def much_has_happened(services: Services, add_expert: AddExpert, clock: Clock) -> UUID:
    """Experts, bookings in many statuses, holds, mail, tokens, calendars to subscribe to; some of the mail is sent."""
    expert = await add_expert()
    await add_expert(name="Ömer Ağaoğlu", email="omer@example.com")
    starts = [MONDAY_MORNING + timedelta(days=3, hours=hour) for hour in range(5)]
    made = [await services.bookings.book(booking_request(expert, start)) for start in starts]
    await services.outbox.work_off()
    await services.bookings.change_status(made[0].id, Status.CONFIRMED, ADMIN)
    await services.bookings.change_status(made[1].id, Status.CANCELLED, ADMIN, reason='A cold,\ta \\ and a "quote"')
    await services.bookings.reschedule(made[2].id, starts[1], ADMIN)
    await services.holds.take(
        HoldRequest(expert_id=expert, starts_at=starts[2]), origin=b"a network", visitor=b"a browser"
    )
    for role in (Role.ADMIN, Role.READER):
        await services.access.create_token(TokenRequest(name=role.value, role=role))
    await services.feeds.open(FeedOwner(customer_key="ada@example.com"))
    await services.access.link_for("ada@example.com")
    await services.next_available.work_off()
    return expert


async def test_backup_restores_every_row_and_repeats_no_work(
    database: Database, clock: Clock, add_expert: AddExpert, mail_server: MailServer, empty_database_url: str,
    saved: Path, tmp_path: Path,
) -> None:  # fmt: skip
    services = Services(database, Bus(), clock, site=SYSTEM, transport=mail_server.transport())
    expert = await much_has_happened(services, add_expert, clock)
    before = contents(database.url)
    for table in ("booking", "booking_change", "message", "token", "feed", "expert_next", "search_word"):
        assert before[table][0] > 0, table

    backup.save(database.url, saved)
    assert alone_and_ours(saved)
    backup.restore(empty_database_url, saved)
    assert contents(empty_database_url) == before
    assert built(empty_database_url) == built(database.url)
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

    # What waited goes out, once; what had gone out does not.
    sent = len(mail_server.emails)
    waiting = await services.outbox.waiting()
    restored = Database(empty_database_url)
    again = Services(restored, Bus(), clock, site=SYSTEM, transport=mail_server.transport())
    await again.outbox.work_off()
    assert waiting
    assert len(mail_server.emails) - sent == len(waiting)
    assert len({mail["Message-ID"] for mail in mail_server.emails}) == len(mail_server.emails)
    # Numbers go on where they were.
    await again.bookings.book(booking_request(expert, MONDAY_MORNING + timedelta(days=2)))
    await restored.close()

    assert await asyncio.to_thread(experts_served_from, empty_database_url, tmp_path) == 2


def alone_and_ours(path: Path) -> bool:
    """Whether there is no other file beside it, and nobody else may read it."""
    return list(path.parent.iterdir()) == [path] and path.stat().st_mode & 0o077 == 0


def experts_served_from(url: str, folder: Path) -> int:
    """The product starts on this database and is ready; how many experts it shows."""
    with ServerProcess(folder, url) as server:
        server.wait_until_alive()
        assert httpx.get(f"{server.url}/readyz").status_code == 200
        total: int = httpx.get(f"{server.url}/experts").json()["total"]
        server.stop()
    return total


def test_restore_refuses_a_database_with_data(database_url: str, saved: Path) -> None:
    backup.save(database_url, saved)
    before = contents(database_url)
    with pytest.raises(backup.BackupError, match="not empty"):
        backup.restore(database_url, saved)
    assert contents(database_url) == before


def test_truncated_dump_leaves_an_empty_database_and_a_failed_dump_no_file(
    database_url: str, empty_database_url: str, saved: Path, sql: psycopg.Connection[tuple[Any, ...]]
) -> None:
    # Most of the file is rows, so that it ends in the midst of them.
    sql.execute(
        "INSERT INTO mailbox_mail (recipient, raw)"
        " SELECT n, decode(md5(n::text) || md5('-' || n), 'hex') FROM generate_series(1, 20000) AS n"
    )
    backup.save(database_url, saved)
    whole = saved.read_bytes()
    empty = fingerprint(empty_database_url)
    saved.write_bytes(whole[: len(whole) * 3 // 4])
    with pytest.raises(backup.BackupError, match="pg_restore"):
        backup.restore(empty_database_url, saved)
    assert fingerprint(empty_database_url) == empty
    with pytest.raises(backup.BackupError, match="cannot be reached"):
        backup.save("postgresql://nobody:secret@127.0.0.1:1/nothing", saved)
    with pytest.raises(backup.BackupError, match="cannot be written"):
        backup.save(database_url, saved / "below" / "a file")
    assert saved.read_bytes() == whole[: len(whole) * 3 // 4]
