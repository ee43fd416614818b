"""The browser cookie: a planted or copied one gives no access, and one that has signed in before passes the limits."""

import json
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import psycopg
import pytest
from itsdangerous import TimestampSigner

from expert_booking.db.engine import Database
from expert_booking.domain.signed_keys import SignedKeys
from expert_booking.schemas import HoldRequest
from expert_booking.services import Services
from tests.conftest import AddExpert, Book, fresh_database
from tests.server import SECRET_KEY, ServerProcess

Connection = psycopg.Connection[tuple[Any, ...]]
Serve = Callable[..., ServerProcess]
ADA = "ada@example.com"
NINE = datetime(2026, 11, 24, 8, tzinfo=UTC)


@pytest.fixture(scope="module")
def database_url(server_url: str, template: str) -> Iterator[str]:
    """One database for all tests of this file; each has an expert with its own name."""
    with fresh_database(server_url, template) as url:
        yield url


@pytest.fixture(scope="module")
def server(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """One server for all tests of this file."""
    folder: Path = tmp_path_factory.mktemp("server")
    with ServerProcess(folder, database_url) as server:
        yield server.wait_until_alive()


def session_in(client: httpx.Client) -> dict[str, Any]:
    """Return the contents of the cookie."""
    held: dict[str, Any] = json.loads(b64decode(client.cookies["eb_browser"].rpartition(".")[0].rpartition(".")[0]))
    return held


def visitor_in(client: httpx.Client) -> bytes:
    """Return the hash by which the database identifies this browser."""
    return sha256(session_in(client)["visitor"].encode()).digest()


def sign_in(client: httpx.Client, sql: Connection, email: str = ADA) -> None:
    """Sign a browser in with a link, as in an email."""
    now = datetime.now(UTC)
    row = sql.execute(
        "INSERT INTO access_request (email, customer_key, created_at, expires_at) VALUES (%s, %s, %s, %s) RETURNING id",
        [email, email, now, now + timedelta(minutes=15)],
    ).fetchone()
    assert row is not None
    answer = client.post("/sign-in/link", data={"link": SignedKeys(SECRET_KEY).link(row[0])})
    assert answer.headers["location"] == "/my-bookings"


def can_see(client: httpx.Client, booking_id: UUID) -> bool:
    """Check whether this browser is shown the booking's page."""
    status = client.get(f"/booking/{booking_id}").status_code
    assert status in (200, 404)
    return status == 200


@pytest.fixture
def planted(server: ServerProcess) -> tuple[httpx.Client, httpx.Client]:
    """The browsers of an attacker and of a victim to whom the attacker's cookie was planted."""
    attacker, victim = httpx.Client(base_url=server.url), httpx.Client(base_url=server.url)
    attacker.get("/my-bookings")
    victim.cookies.set("eb_browser", attacker.cookies["eb_browser"], domain="127.0.0.1", path="/")
    return attacker, victim


async def test_planted_cookie_gives_no_access_after_the_victim_signs_in(
    planted: tuple[httpx.Client, httpx.Client], sql: Connection, add_expert: AddExpert, book: Book
) -> None:
    attacker, victim = planted
    expert = await add_expert(name="Jana One")
    before = await book(expert, NINE, email="ben@example.com", visitor=visitor_in(victim))
    assert can_see(attacker, before.id)  # same cookie, so the same browser
    sign_in(victim, sql)
    after = await book(expert, NINE + timedelta(hours=1), visitor=visitor_in(victim))
    assert [can_see(attacker, one.id) for one in (before, after)] == [False, False]
    assert [can_see(victim, one.id) for one in (before, after)] == [True, True]
    assert str(before.id) not in attacker.get("/my-bookings").text


async def test_signing_out_invalidates_every_copy_of_the_cookie(
    planted: tuple[httpx.Client, httpx.Client], sql: Connection, add_expert: AddExpert, book: Book
) -> None:
    thief, victim = planted
    sign_in(victim, sql)
    booked = await book(await add_expert(name="Jana Two"), NINE, visitor=visitor_in(victim))
    thief.cookies.clear()
    thief.cookies.set("eb_browser", victim.cookies["eb_browser"], domain="127.0.0.1", path="/")
    assert can_see(thief, booked.id)
    old = visitor_in(victim)
    victim.post("/sign-out")
    assert visitor_in(victim) != old
    assert "proof" not in session_in(victim)
    assert [can_see(one, booked.id) for one in (thief, victim)] == [False, False]


async def test_hold_survives_when_its_browser_gets_a_new_id(
    planted: tuple[httpx.Client, httpx.Client], sql: Connection, database: Database, add_expert: AddExpert
) -> None:
    attacker, victim = planted
    services = Services(database)  # on the server's clock, or the server would expire the hold
    at = (datetime.now(UTC) + timedelta(days=2)).replace(hour=10, minute=0, second=0, microsecond=0)
    wanted = HoldRequest(expert_id=await add_expert(name="Jana Three"), starts_at=at)
    hold = await services.holds.take(wanted, visitor=visitor_in(victim))
    for change in (lambda: sign_in(victim, sql), lambda: victim.post("/sign-out")):
        change()
        held = await services.holds.for_visitor(visitor_in(victim))
        assert (held and held.id, held and held.hold_until) == (hold.id, hold.hold_until)
        assert await services.holds.for_visitor(visitor_in(attacker)) is None


def test_cookie_cannot_be_planted_by_other_hosts_or_over_http_if_https_is_used(serve: Serve) -> None:
    server = serve(BASE_URL="https://booking.example.com")
    name, _, flags = httpx.get(f"{server.url}/my-bookings").headers["set-cookie"].partition("=")
    assert name == "__Host-eb_browser"
    attributes = {flag.strip().lower() for flag in flags.split(";")[1:]}
    assert {"secure", "httponly", "path=/", "samesite=lax"} <= attributes
    assert not [flag for flag in attributes if flag.startswith("domain")]
    # A cookie under the name used without https is ignored, even if it is signed.
    planted = TimestampSigner(SECRET_KEY).sign(b64encode(b'{"visitor": "planted"}')).decode()
    answer = httpx.get(f"{server.url}/my-bookings", headers={"Cookie": f"eb_browser={planted}"})
    assert answer.headers["set-cookie"].startswith("__Host-eb_browser=")
    known = httpx.get(f"{server.url}/my-bookings", headers={"Cookie": f"__Host-eb_browser={planted}"})
    assert "set-cookie" not in known.headers


def test_browser_that_signed_in_before_is_exempt_from_the_networks_limit(
    server: ServerProcess, sql: Connection
) -> None:
    known, stranger = httpx.Client(base_url=server.url), httpx.Client(base_url=server.url)
    sign_in(known, sql)
    known.post("/sign-out")
    for _ in range(5):
        assert stranger.post("/sign-in/ask", json={"email": ADA}).status_code == 200
    refused = stranger.post("/sign-in/ask", json={"email": ADA})
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_access_requests")
    assert known.post("/sign-in/ask", json={"email": ADA}).status_code == 200
    # Other networks are not affected.
    elsewhere = {"X-Forwarded-For": "198.51.100.7"}
    assert stranger.post("/sign-in/ask", json={"email": ADA}, headers=elsewhere).status_code == 200
    sign_in(known, sql)
    known.post("/sign-out", data={"everywhere": "1"})
    assert known.post("/sign-in/ask", json={"email": ADA}).status_code == 429
