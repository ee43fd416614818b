"""What the confirmation of email addresses promises: no guessing, no stored secrets, no flood, no rash link."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import psycopg
import pytest
from fastapi import FastAPI

from expert_booking.api import create_api
from expert_booking.db.engine import Database
from expert_booking.domain.errors import CodeWrong, NotAuthenticated, Refusal
from expert_booking.domain.signed_keys import SignedKeys
from expert_booking.domain.site import Site
from expert_booking.domain.terms import EmailVerification
from expert_booking.schemas import BookingView, Caller
from expert_booking.services import Services
from tests.conftest import AddExpert, Book, Clock, customer_caller
from tests.server import SECRET_KEY, ServerProcess

Connection = psycopg.Connection[tuple[Any, ...]]
NINE = datetime(2026, 11, 24, 8, tzinfo=UTC)
SITE = Site(secret=SECRET_KEY)
KEYS = SignedKeys(SECRET_KEY)
BROWSER = b"a" * 32
ADA = customer_caller(BROWSER)


@pytest.fixture
def services(database: Database, clock: Clock) -> Services:
    """The services with a secret."""
    return Services(database, clock=clock, site=SITE)


@pytest.fixture
async def made(add_expert: AddExpert, book: Book) -> BookingView:
    """A booking that waits for confirmation."""
    expert = await add_expert(email_verification=EmailVerification.ALWAYS)
    return await book(expert, NINE, visitor=BROWSER)


def status(sql: Connection, booking_id: UUID) -> tuple[Any, ...]:
    """The status of a booking, and whether it waits for confirmation."""
    found = sql.execute("SELECT status, verify_by IS NOT NULL FROM booking WHERE id = %s", [booking_id]).fetchone()
    assert found is not None
    return found


async def test_two_processes_allow_five_guesses_together(
    services: Services, database_url: str, clock: Clock, made: BookingView, sql: Connection
) -> None:
    other = Database(database_url)
    processes = services, Services(other, clock=clock, site=SITE)
    right = KEYS.verification_code(made.id)
    guesses = [f"{(int(right) + number) % 1_000_000:06}" for number in range(1, 31)]

    async def guess(number: int, code: str) -> str:
        try:
            await processes[number % 2].verification.verify(made.id, code, ADA)
        except Refusal as refusal:
            return refusal.code
        return "confirmed"

    # The right code comes last, after the guesses have been used up.
    found = await asyncio.gather(*(guess(number, code) for number, code in enumerate(guesses)))
    assert (found.count("code_wrong"), found.count("wrong_codes_used_up")) == (4, 1)
    assert await guess(0, right) == "verification_too_late"
    assert status(sql, made.id) == ("expired", True)
    await other.close()


async def test_stranger_who_knows_the_id_can_neither_guess_nor_use_up_the_attempts(
    services: Services, made: BookingView, sql: Connection
) -> None:
    strangers: tuple[Caller | None, ...] = (None, customer_caller(b"b" * 32), Caller(role=ADA.role, customer_key="eve"))
    for stranger in strangers:
        for code in ("000000", KEYS.verification_code(made.id)):
            with pytest.raises(Refusal) as refused:
                await services.verification.verify(made.id, code, stranger)
            assert not isinstance(refused.value, CodeWrong)
    assert sql.execute("SELECT wrong_codes FROM booking").fetchall() == [(0,)]
    assert status(sql, made.id) == ("pending", True)


async def test_access_token_of_the_booking_does_not_confirm_the_address(
    services: Services, made: BookingView, clock: Clock, sql: Connection
) -> None:
    token = services.tokens.for_booking(made.id)
    key = token.removeprefix("eb_booking_")
    for invented in (token, key, KEYS.link(made.id)):
        with pytest.raises(Refusal):
            await services.verification.verify_by_link(invented)
    with pytest.raises(NotAuthenticated):
        await services.tokens.identify(f"eb_booking_{KEYS.verification(made.id)}")
    assert status(sql, made.id) == ("pending", True)


async def test_database_contains_neither_code_nor_link(services: Services, made: BookingView, sql: Connection) -> None:
    secrets = KEYS.verification_code(made.id), KEYS.verification(made.id)
    for (table,) in sql.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall():
        for (row,) in sql.execute(f"SELECT {table}::text FROM {table}").fetchall():
            assert not any(secret in row for secret in secrets), table


async def test_expert_learns_nothing_of_an_address_that_is_never_confirmed(
    services: Services, made: BookingView, clock: Clock, sql: Connection
) -> None:
    clock.advance(minutes=30)
    await services.deadlines.drain()
    assert status(sql, made.id) == ("expired", True)
    assert sql.execute("SELECT kind, audience FROM message").fetchall() == [("verification", "customer")]
    assert await services.bookings.for_experts([made.expert_id]) == []


async def test_always_gives_known_and_unknown_addresses_the_same_answer(
    services: Services, add_expert: AddExpert, book: Book
) -> None:
    expert = await add_expert(email_verification=EmailVerification.ALWAYS)
    known = await book(expert, NINE, visitor=BROWSER, email="known@example.com")
    await services.verification.verify(known.id, KEYS.verification_code(known.id), ADA)
    app: FastAPI = create_api(services, secret=SECRET_KEY)
    transport = httpx.ASGITransport(app)
    answers = []
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        for hour, email in ((9, "known@example.com"), (10, "new@example.com")):
            body = {"expertId": str(expert), "startsAt": f"2026-11-24T{hour:02}:00:00Z", "name": "Eve", "email": email,
                    "phone": "+44 20 7946 0000"}  # fmt: skip
            answers.append((await client.post("/bookings", json=body)).json())
    unlike = {"id", "accessToken", "email", "startsAt", "endsAt", "cancelUntil", "rescheduleUntil", "createdAt",
              "updatedAt"}  # fmt: skip
    first, second = ({key: value for key, value in answer.items() if key not in unlike} for answer in answers)
    assert first == second


async def test_opening_the_link_changes_nothing_and_only_this_sites_button_confirms(
    serve: Any, services: Services, add_expert: AddExpert, book: Book, clock: Clock, sql: Connection
) -> None:
    clock.now = datetime.now(UTC)
    start = clock.now.replace(hour=9, minute=0, second=0, microsecond=0) + timedelta(days=2)
    expert = await add_expert(email_verification=EmailVerification.ALWAYS, time_zone="UTC")
    made = await book(expert, start)
    server: ServerProcess = serve()
    link = f"{server.url}/verify/{KEYS.verification(made.id)}"
    async with httpx.AsyncClient(timeout=30) as scanner:
        for method in ("GET", "HEAD"):
            await scanner.request(method, link, headers={"Accept": "text/html"})
        page = await scanner.get(link, headers={"Accept": "text/html"})
        assert (page.status_code, page.headers["cache-control"]) == (200, "no-store")
        assert "<script" not in page.text.partition("<main")[2]
        assert status(sql, made.id) == ("pending", True)
        form = {"key": KEYS.verification(made.id)}
        elsewhere = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
        forged = await scanner.post(f"{server.url}/verify", data=form, headers=elsewhere)
        assert forged.headers["location"] == "/my-bookings"
        assert status(sql, made.id) == ("pending", True)
        done = await scanner.post(f"{server.url}/verify", data=form)
        assert (done.status_code, done.headers["location"]) == (
            303, f"/booking/{made.id}?key={KEYS.booking(made.id)}",
        )  # fmt: skip
    assert status(sql, made.id) == ("pending", False)
