"""What the log contains, under which request id, and which data it never contains."""

import asyncio
import io
import json
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import psycopg
import pytest

from expert_booking.logs import JsonLines, TextLines, request_id, safe_traceback
from expert_booking.metrics import Metrics
from expert_booking.request_log import RequestLogMiddleware
from tests.conftest import AddExpert
from tests.server import ServerProcess

PERSONAL = ("ada@example.com", "Lovelace", "7946", "a secret wish", "example.com")


def written(formatter: logging.Formatter, write: Callable[[logging.Logger], None], name: str = "stranger") -> str:
    """Return what a logger writes through this formatter."""
    stream, log = io.StringIO(), logging.Logger(name)
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    log.addHandler(handler)
    write(log)
    return stream.getvalue()


def fail(name: str = "Lovelace", email: str = "ada@example.com") -> None:
    """Raise an exception with personal data in it, caused by another one."""
    try:
        int(email)
    except ValueError as error:
        raise LookupError(f"{name} is not here") from error


def test_traceback_shows_the_code_but_not_the_exception_messages() -> None:
    def write(log: logging.Logger) -> None:
        try:
            fail()
        except LookupError:
            log.exception("it failed")

    for formatter in (TextLines("%(levelname)s %(message)s"), JsonLines()):
        line = written(formatter, write)
        assert "it failed" in line
        assert "in fail" in line
        assert "LookupError" in line
        assert "ValueError" in line
        assert "ada@example.com" not in line
        assert "Lovelace" not in line


def test_messages_about_the_program_are_kept() -> None:
    with pytest.raises(AttributeError) as failure:
        None.book()  # type: ignore[attr-defined]
    assert safe_traceback(failure.value).endswith("AttributeError: 'NoneType' object has no attribute 'book'")


@pytest.mark.parametrize("formatter", [TextLines("%(message)s"), JsonLines()])
def test_exceptions_logged_by_libraries_contain_no_personal_data(formatter: logging.Formatter) -> None:
    error = ValueError("ada@example.com and Lovelace")
    for write in (
        lambda log: log.error(error),  # as NiceGUI logs it
        lambda log: log.error("failed: %s", error),
        lambda log: log.error("sent to ada@example.com, 100 % sure"),
    ):
        assert not [word for word in PERSONAL if word in written(formatter, write)]
    asyncios = "Task exception was never retrieved\nfuture: <Task exception=ValueError('Lovelace')>"
    assert "Lovelace" not in written(formatter, lambda log: log.error(asyncios), "asyncio")
    assert "never retrieved" in written(formatter, lambda log: log.error(asyncios), "asyncio")


async def test_log_lines_of_a_connection_carry_its_request_id() -> None:
    lines: list[str] = []

    async def page(scope: Any, receive: Any, send: Any) -> None:
        async def event() -> None:
            lines.append(written(TextLines("%(message)s"), lambda log: log.warning("an event\nof a page")))

        await asyncio.create_task(event())  # as Socket.IO handles a page's events

    async def connect(given: bytes) -> None:
        scope = {"type": "websocket", "headers": [(b"x-request-id", given)]}
        await RequestLogMiddleware(page, Metrics())(scope, None, None)  # type: ignore[arg-type]

    await asyncio.create_task(connect(b"page.1"))
    await asyncio.create_task(connect(b"not {well} formed"))
    assert lines[0] == "an event\\nof a page [page.1]\n"
    assert "well" not in lines[1]
    assert request_id.get() is None


def test_failure_is_found_by_its_request_id_and_the_log_has_no_personal_data(
    serve: Callable[..., ServerProcess], sql: psycopg.Connection[tuple[Any, ...]], jana: UUID
) -> None:
    sql.execute("ALTER TABLE booking ADD CONSTRAINT ck_booking_no_ada CHECK (email <> 'ada@example.com')")
    server = serve(LOG_FORMAT="json", LOG_LEVEL="info")
    booking = {
        "expertId": str(jana), "name": "Ada Lovelace", "email": "ada@example.com",
        "phone": "+44 20 7946 0000", "notes": "a secret wish",
    }  # fmt: skip
    slots = httpx.get(f"{server.url}/experts/{jana}/slots", params=first_days()).json()["slots"]
    booking["startsAt"] = next(slot["startsAt"] for slot in slots if slot["state"] == "open")
    failed = httpx.post(f"{server.url}/bookings", json=booking, headers={"X-Request-Id": "from-the-proxy.1"})
    assert (failed.status_code, failed.json()["code"]) == (500, "internal_error")
    assert failed.headers["X-Request-Id"] == failed.json()["requestId"] == "from-the-proxy.1"
    refused = httpx.get(f"{server.url}/bookings?email=ada@example.com", headers={"X-Request-Id": "Ada Lovelace"})
    assert "requestId" not in refused.json()
    assert refused.headers["X-Request-Id"] != "Ada Lovelace"

    sql.execute("ALTER TABLE expert RENAME COLUMN headline TO heading")
    page = httpx.get(f"{server.url}/expert/jana-muller?name=Lovelace", headers={"Accept": "text/html"})
    assert page.status_code == 500
    assert page.headers["X-Request-Id"] in page.text

    server.stop()
    log_text = server.log_text()
    assert not [word for word in PERSONAL if word in log_text], log_text
    lines = [json.loads(line) for line in log_text.splitlines()]
    assert lines[0]["message"] == f"Expert Booking is at http://localhost:{server.port}"
    (error,) = [line for line in lines if line["level"] == "ERROR" and line["requestId"] == "from-the-proxy.1"]
    assert "CheckViolation: 23514, ck_booking_no_ada, booking" in error["exception"]
    assert "in book" in error["exception"]
    assert [line for line in lines if line["level"] == "ERROR" and line["requestId"] == page.headers["X-Request-Id"]]
    answered = {
        (line["method"], line["route"], line["status"])
        for line in lines
        if line["logger"] == "expert_booking.access" and line["ms"] > 0
    }
    assert answered >= {
        ("POST", "/bookings", 500), ("GET", "/bookings", 401), ("GET", "/expert/{slug}", 500),
        ("GET", "/experts/{expert}/slots", 200),
    }  # fmt: skip
    assert str(jana) not in log_text


def test_default_log_is_quiet(serve: Callable[..., ServerProcess]) -> None:
    server = serve()
    assert httpx.get(f"{server.url}/experts").headers["X-Request-Id"]
    server.stop()
    assert server.log_text().count("\n") == 3, server.log_text()


def first_days() -> dict[str, str]:
    """Return a date range of some days ahead."""
    now = datetime.now(UTC)
    return {"from": f"{now + timedelta(days=1):%F}", "to": f"{now + timedelta(days=8):%F}"}


@pytest.fixture
async def jana(add_expert: AddExpert) -> UUID:
    """An expert with the slug `jana-muller`."""
    return await add_expert()
