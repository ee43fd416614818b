"""A stopping process finishes its requests, and a running process works with a newer schema."""

import asyncio
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import httpx
import psycopg
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from expert_booking.db.engine import driver_url
from expert_booking.server import Drain
from tests.api.conftest import booking_of, check_problem
from tests.conftest import AddExpert
from tests.mail_server import MailServer
from tests.server import ServerProcess

Connection = psycopg.Connection[tuple[Any, ...]]
Serve = Callable[..., ServerProcess]


async def next_free(client: httpx.AsyncClient, expert: object) -> str:
    """The expert's next free start, by the real clock."""
    return str((await client.get(f"/experts/{expert}")).json()["nextAvailable"])


async def until(check: Callable[[], Any]) -> None:
    """Wait until this is true."""
    async with asyncio.timeout(30):
        while not check():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


def waiting(sql: Connection) -> bool:
    """Whether a booking waits for the test's lock."""
    return sql.execute(
        "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        " AND query LIKE '%INSERT INTO booking%'"
    ).fetchone() is not None  # fmt: skip


def refused(server: ServerProcess) -> bool:
    """Whether the server refuses new connections."""
    try:
        httpx.get(f"{server.url}/healthz", timeout=1)
    except httpx.ConnectError:
        return True
    except httpx.TimeoutException:
        return False
    return False


async def test_sigterm_stops_new_connections_and_finishes_the_booking_in_progress(
    serve: Serve, add_expert: AddExpert, sql: Connection, database_url: str
) -> None:
    server, expert = serve(), await add_expert()
    async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
        start = await next_free(client, expert)
        with psycopg.connect(driver_url(database_url)) as lock:
            lock.execute("LOCK TABLE booking IN SHARE MODE")
            answer = asyncio.create_task(client.post("/bookings", json=booking_of(expert, startsAt=start)))
            await until(lambda: waiting(sql))
            server.process.send_signal(signal.SIGTERM)
            await until(lambda: refused(server))
            assert not answer.done()
        assert (await answer).status_code == 201
        assert (await answer).headers["connection"] == "close"
    assert await asyncio.to_thread(server.process.wait, 30) == 0
    assert sql.execute("SELECT count(*) FROM booking").fetchone() == (1,)
    assert "Traceback" not in server.log_text()


async def test_second_signal_stops_the_server_immediately(
    serve: Serve, add_expert: AddExpert, sql: Connection, database_url: str
) -> None:
    server, expert = serve(), await add_expert()
    async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
        start = await next_free(client, expert)
        with psycopg.connect(driver_url(database_url)) as lock:
            lock.execute("LOCK TABLE booking IN SHARE MODE")
            answer = asyncio.create_task(client.post("/bookings", json=booking_of(expert, startsAt=start)))
            await until(lambda: waiting(sql))
            server.process.send_signal(signal.SIGTERM)
            await until(lambda: refused(server))
            server.process.send_signal(signal.SIGTERM)
            # The lock is still held: a graceful shutdown would wait for it.
            assert await asyncio.to_thread(server.process.wait, 8) == 128 + signal.SIGTERM
        with suppress(httpx.TransportError):
            assert (await answer).status_code >= 500
    assert sql.execute("SELECT count(*) FROM booking").fetchone() == (0,)


async def test_email_in_progress_at_sigterm_is_sent_and_recorded(
    serve: Serve, add_expert: AddExpert, sql: Connection, mail_server: MailServer
) -> None:
    mail_server.proceed.clear()
    server = serve(SMTP_URL=f"smtp://127.0.0.1:{mail_server.port}", MAIL_FROM="booking@example.com")
    expert = await add_expert()
    async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
        body = booking_of(expert, startsAt=await next_free(client, expert))
        assert (await client.post("/bookings", json=body)).status_code == 201
    await until(lambda: mail_server.in_progress == 2)
    server.process.send_signal(signal.SIGTERM)
    await until(lambda: refused(server))
    mail_server.proceed.set()
    assert await asyncio.to_thread(server.process.wait, 30) == 0
    assert len(mail_server.emails) == 2
    assert sql.execute("SELECT count(*) FROM message WHERE sent_at IS NULL").fetchone() == (0,)


async def test_running_process_keeps_working_while_the_schema_grows(
    serve: Serve, add_expert: AddExpert, sql: Connection
) -> None:
    """Prepared statements stay valid when tables get columns that the process does not know."""
    server, expert = serve(POOL_SIZE="1"), await add_expert()
    async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
        for grown in (False, True):
            if grown:
                for table in ("booking", "expert", "session_type", "availability_rule", "message", "booking_change"):
                    sql.execute(f"ALTER TABLE {table} ADD COLUMN of_a_later_version int NOT NULL DEFAULT 0")
                sql.execute("UPDATE alembic_version SET version_num = '9999'")
            for _ in range(7):  # statements are prepared after some executions
                body = booking_of(expert, startsAt=await next_free(client, expert))
                assert (await client.post("/bookings", json=body)).status_code == 201
                assert (await client.get(f"/expert/{expert}")).status_code == 200
                assert (await client.get("/")).status_code == 200
        assert (await client.get("/readyz")).status_code == 200
    assert "ERROR" not in server.log_text()


async def test_connections_accepted_before_sigterm_are_answered(serve: Serve) -> None:
    """Includes connections in the accept queue and one that has not sent anything yet."""
    server = serve()
    silent = socket.create_connection(("127.0.0.1", server.port))
    await asyncio.to_thread(
        answer_to, socket.create_connection(("127.0.0.1", server.port))
    )  # so `silent` has been accepted
    server.process.send_signal(signal.SIGSTOP)
    queue = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(20)]
    for one in queue:
        one.sendall(REQUEST)
    server.process.send_signal(signal.SIGTERM)
    server.process.send_signal(signal.SIGCONT)
    await until(lambda: refused(server))
    for one in (silent, *queue):
        assert (await asyncio.to_thread(answer_to, one)).startswith(b"HTTP/1.1 200")
    assert await asyncio.to_thread(server.process.wait, 30) == 0


REQUEST = b"GET /healthz HTTP/1.1\r\nHost: here\r\n\r\n"


def answer_to(connection: socket.socket) -> bytes:
    """Send the request, unless it was sent already, and return the response."""
    connection.settimeout(30)
    with suppress(OSError):
        connection.sendall(REQUEST)
    return connection.recv(65_536)


async def test_draining_process_is_not_ready_and_closes_its_connections() -> None:
    async def product(scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse("yes")(scope, receive, send)

    drain = Drain(product)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(drain), base_url="http://here") as client:
        assert (await client.get("/readyz")).status_code == 200
        drain.draining = True
        check_problem(await client.get("/readyz"), 503, "draining")
        last = await client.get("/experts")
        assert (last.status_code, last.headers["connection"]) == (200, "close")
