"""Permissions of deactivated experts, unproven addresses and expired tokens."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import psycopg
import pytest

from expert_booking.api import create_api
from expert_booking.db import diagnostics
from expert_booking.db.engine import Database
from expert_booking.doctor import State, database_checks
from expert_booking.domain.errors import FeedNotFound, LinkNotValid, NotAuthenticated, TooManyAccessRequests
from expert_booking.domain.site import Site
from expert_booking.schemas import ExpertChange, Role, TokenRequest
from expert_booking.services import Services
from expert_booking.services.calendars import CalendarKey
from expert_booking.services.feeds import FeedOwner
from tests.conftest import MONDAY_MORNING, AddExpert, Book, Clock
from tests.mail_server import MailServer
from tests.server import SECRET_KEY

Connection = psycopg.Connection[tuple[Any, ...]]
OLD, NEW = "jana@example.com", "jana.new@example.com"
SITE = Site(secret=SECRET_KEY, url="https://booking.test")


@pytest.fixture
def services(database: Database, clock: Clock, mail_server: MailServer) -> Services:
    """The services with a mail server."""
    return Services(database, clock=clock, site=SITE, transport=mail_server.transport())


@pytest.fixture
async def client(services: Services) -> AsyncIterator[httpx.AsyncClient]:
    """An API client."""
    transport = httpx.ASGITransport(create_api(services, secret=SECRET_KEY))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


@pytest.fixture
async def jana(add_expert: AddExpert) -> UUID:
    """An expert."""
    return await add_expert()


@pytest.fixture
async def expert(services: Services, jana: UUID) -> dict[str, str]:
    """Headers with the expert's token."""
    return bearer(await services.tokens.create(TokenRequest(name="jana", role=Role.EXPERT, expert="jana-muller")))


@pytest.fixture
async def admin(services: Services) -> dict[str, str]:
    """Headers with an admin's token."""
    return bearer(await services.tokens.create(TokenRequest(name="admin", role=Role.ADMIN)))


def bearer(token: str) -> dict[str, str]:
    """Return headers with this token."""
    return {"Authorization": f"Bearer {token}"}


async def sign_in(services: Services, email: str) -> str:
    """Prove this address in a browser. Returns the browser's secret."""
    proof, _ = await services.access.redeem_link(await services.access.link_for(email), "browser")
    return proof.access_token


async def may_manage(services: Services, browser: str, expert_id: UUID) -> bool:
    """Check whether this browser may manage the expert's calendar."""
    identity = await services.access.identity_of_proof(browser)
    return identity is not None and identity.host_of(expert_id) is not None


# --- experts who are not active ---------------------------------------------------------------------------------


async def test_deactivated_experts_token_reads_no_customers_and_cannot_reactivate(
    client: httpx.AsyncClient, book: Book, jana: UUID, expert: dict[str, str], admin: dict[str, str]
) -> None:
    booking = await book(jana, MONDAY_MORNING + timedelta(days=1))
    asked: list[tuple[str, str, Any]] = [
        ("GET", f"/bookings?expertId={jana}", None), ("GET", f"/bookings/{booking.id}", None),
        ("PATCH", f"/bookings/{booking.id}/status", {"status": "declined"}), ("GET", f"/experts/{jana}", None),
        ("GET", f"/experts/{jana}/days-off", None), ("PATCH", f"/experts/{jana}", {"active": True}),
        ("PATCH", f"/experts/{jana}", {"email": NEW}),
    ]  # fmt: skip
    assert (await client.get(f"/bookings/{booking.id}", headers=expert)).status_code == 200
    off = await client.patch(f"/experts/{jana}", json={"active": False}, headers=admin)
    assert off.json()["active"] is False
    for method, path, body in asked:
        answer = await client.request(method, path, json=body, headers=expert)
        assert (answer.status_code, answer.json()["code"]) == (401, "proof_needed"), path
        assert "inactive" in answer.json()["detail"]
        assert "ada@example.com" not in answer.text
    await client.patch(f"/experts/{jana}", json={"active": True}, headers=admin)
    assert (await client.get(f"/bookings/{booking.id}", headers=expert)).status_code == 200


@pytest.mark.parametrize("active", [True, False])
async def test_only_an_admin_can_activate_or_deactivate_an_expert(
    client: httpx.AsyncClient, jana: UUID, expert: dict[str, str], active: bool
) -> None:
    refused = await client.patch(f"/experts/{jana}", json={"active": active, "headline": "New"}, headers=expert)
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    shown = (await client.get(f"/experts/{jana}", headers=expert)).json()
    assert (shown["active"], shown["headline"]) == (True, "")


async def test_deactivated_experts_browser_and_feed_show_nothing(
    services: Services, client: httpx.AsyncClient, book: Book, jana: UUID, admin: dict[str, str]
) -> None:
    await book(jana, MONDAY_MORNING + timedelta(days=1))
    browser = await sign_in(services, OLD)
    key = (await services.feeds.open(FeedOwner(expert_id=jana))).rpartition("/")[2].removesuffix(".ics")
    assert await may_manage(services, browser, jana)
    assert b"Ada Lovelace" in (await services.feeds.content(key)).body
    await client.patch(f"/experts/{jana}", json={"active": False}, headers=admin)
    assert not await may_manage(services, browser, jana)
    with pytest.raises(FeedNotFound):
        await services.feeds.content(key)
    assert (await client.get(f"/feeds/{key}.ics")).status_code == 404


# --- new addresses ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("who", ["expert", "admin"])
async def test_new_address_takes_effect_when_its_link_is_used(
    services: Services, client: httpx.AsyncClient, book: Book, jana: UUID,
    mail_server: MailServer, expert: dict[str, str], admin: dict[str, str], who: str,
) -> None:  # fmt: skip
    headers = expert if who == "expert" else admin
    old, new = await sign_in(services, OLD), await sign_in(services, NEW)
    changed = (await client.patch(f"/experts/{jana}", json={"email": NEW}, headers=headers)).json()
    assert (changed["email"], changed["pendingEmail"]) == (OLD, NEW)
    assert await may_manage(services, old, jana)
    # Proving the address in another way, as a customer does, is no consent to become the expert's address.
    assert not await may_manage(services, new, jana)
    await book(jana, MONDAY_MORNING + timedelta(days=1))
    await services.outbox.drain()
    [letter] = mail_server.to(NEW)
    assert kind_of(letter) == "new_address"
    assert {kind_of(mail) for mail in mail_server.to(OLD)} == {"address_change", "received"}

    [link] = {word for word in body_of(letter).split() if "/sign-in/" in word}
    view = await services.access.preview_link(link)
    assert (view.email, view.expert_name) == (NEW, "Jana Müller")
    await services.access.redeem_link(link, "browser")
    assert (await may_manage(services, old, jana), await may_manage(services, new, jana)) == (False, True)
    shown = (await client.get(f"/experts/{jana}", headers=admin)).json()
    assert (shown["email"], shown["pendingEmail"]) == (NEW, None)
    with pytest.raises(LinkNotValid):
        await services.access.redeem_link(link, "browser")
    assert "pendingEmail" not in (await client.get(f"/experts/{jana}")).text


async def test_old_address_is_notified_without_a_link(
    services: Services, client: httpx.AsyncClient, jana: UUID, expert: dict[str, str], mail_server: MailServer
) -> None:
    await client.patch(f"/experts/{jana}", json={"email": NEW}, headers=expert)
    await services.outbox.drain()
    [letter] = [mail for mail in mail_server.emails if kind_of(mail) == "address_change"]
    assert OLD in str(letter["To"])
    assert "/sign-in/" not in body_of(letter)
    assert "Jana Müller" in body_of(letter)


async def test_only_the_latest_new_address_counts(
    services: Services, client: httpx.AsyncClient, jana: UUID, expert: dict[str, str], sql: Connection
) -> None:
    for email in ("first@example.com", NEW):
        await client.patch(f"/experts/{jana}", json={"email": email}, headers=expert)
    requests = sql.execute(
        "SELECT id FROM access_request WHERE spent_at IS NULL AND expert_id IS NOT NULL ORDER BY email"
    ).fetchall()
    first, latest = [services.access.link(row[0]) for row in requests]
    await services.access.redeem_link(first, "browser")
    assert sql.execute("SELECT email, pending_email FROM expert").fetchall() == [(OLD, NEW)]
    await services.access.redeem_link(latest, "browser")
    assert sql.execute("SELECT email, email_key, pending_email FROM expert").fetchall() == [(NEW, NEW, None)]


async def test_resubmitting_the_current_address_withdraws_the_new_one(
    services: Services, client: httpx.AsyncClient, jana: UUID, expert: dict[str, str]
) -> None:
    await client.patch(f"/experts/{jana}", json={"email": NEW}, headers=expert)
    back = await client.patch(f"/experts/{jana}", json={"email": "Jana@Example.com"}, headers=expert)
    assert (back.json()["email"], back.json()["pendingEmail"]) == ("Jana@Example.com", None)
    assert await may_manage(services, await sign_in(services, OLD), jana)
    assert not await may_manage(services, await sign_in(services, NEW), jana)


async def test_operators_link_confirms_a_new_address_without_email(
    services: Services, jana: UUID, sql: Connection
) -> None:
    await services.calendars.change_expert(CalendarKey(jana), ExpertChange(email=NEW))
    await services.access.redeem_link(await services.access.link_for(NEW.upper()), "browser")
    assert sql.execute("SELECT email_key, pending_email FROM expert").fetchall() == [(NEW, None)]


async def test_emails_to_new_addresses_are_limited(
    services: Services, clock: Clock, jana: UUID, sql: Connection
) -> None:
    key = CalendarKey(jana)
    for number in range(5):
        await services.calendars.change_expert(key, ExpertChange(email=f"n{number}@example.com"))
    with pytest.raises(TooManyAccessRequests):
        await services.calendars.change_expert(key, ExpertChange(email="n5@example.com"))
    assert sql.execute("SELECT count(*) FROM message WHERE kind = 'new_address'").fetchone() == (5,)
    clock.advance(hours=1, seconds=1)
    await services.calendars.change_expert(key, ExpertChange(email="n5@example.com"))


# --- tokens -----------------------------------------------------------------------------------------------------


async def test_token_expires_after_a_year_or_the_requested_time(
    services: Services, client: httpx.AsyncClient, clock: Clock
) -> None:
    year = await services.tokens.create(TokenRequest(name="year", role=Role.ADMIN))
    week = await services.tokens.create(TokenRequest(name="week", role=Role.READER, days=7))
    clock.advance(days=7)
    assert (await services.tokens.identify(year)).role is Role.ADMIN
    with pytest.raises(NotAuthenticated, match="expired on 2026-11-30"):
        await services.tokens.identify(week)
    answer = await client.get("/bookings", params={"email": "ada@example.com"}, headers=bearer(week))
    assert (answer.status_code, answer.json()["code"]) == (401, "proof_needed")
    assert "expert-booking token create" in answer.json()["detail"]
    clock.advance(days=365 - 7, seconds=-1)
    await services.tokens.identify(year)
    clock.advance(seconds=1)
    with pytest.raises(NotAuthenticated):
        await services.tokens.identify(year)


async def test_last_use_of_a_token_is_stored_once_an_hour(services: Services, clock: Clock, sql: Connection) -> None:
    secret = await services.tokens.create(TokenRequest(name="robot", role=Role.ADMIN))

    def written() -> tuple[Any, ...]:
        row = sql.execute("SELECT last_used_at, xmin::text FROM token").fetchone()
        assert row is not None
        return row

    assert (await services.tokens.list_all())[0].last_used_at is None
    await services.tokens.identify(secret)
    first = written()
    assert first[0] == clock.now
    clock.advance(minutes=59)
    for _ in range(3):
        await services.tokens.identify(secret)
    assert written() == first
    clock.advance(minutes=2)
    await services.tokens.identify(secret)
    assert written()[0] == clock.now


async def test_token_list_shows_the_state_of_each_token(
    services: Services, clock: Clock, jana: UUID, expert: dict[str, str], sql: Connection
) -> None:
    for name, days in (("over", 1), ("soon", 31), ("fine", 33), ("gone", 33)):
        await services.tokens.create(TokenRequest(name=name, role=Role.READER, days=days))
    await services.tokens.revoke("gone")
    sql.execute("UPDATE expert SET active = false")
    clock.advance(days=2)
    states = {token.name: token.state(clock.now) for token in await services.tokens.list_all()}
    assert states["gone"].startswith("revoked 2")
    assert {name: states[name] for name in ("over", "soon", "fine", "jana")} == {
        "over": "expired", "soon": "expires soon", "fine": "valid", "jana": "its expert is not active",
    }  # fmt: skip


async def test_doctor_reports_tokens_about_to_expire(database_url: str, sql: Connection) -> None:
    with diagnostics.read_only(database_url) as connection:
        assert database_checks.tokens(connection).state is State.OK
        sql.execute(
            "INSERT INTO token (name, role, secret_hash, expires_at, revoked_at) VALUES"
            " ('soon', 'admin', 'a', now() + interval '29 days', NULL),"
            " ('later', 'admin', 'b', now() + interval '31 days', NULL),"
            " ('gone', 'admin', 'c', now() + interval '29 days', now())"
        )
        found = database_checks.tokens(connection)
    assert (found.state, found.says) == (State.HINT, "1 token expires within 30 days.")
    assert "token list" in found.advice


def kind_of(mail: Any) -> str:
    """Return an email's kind, from its Message-ID <number.kind.installation@domain>."""
    return str(mail["Message-ID"]).split(".")[1]


def body_of(mail: Any) -> str:
    """Return an email's plain text."""
    return str(mail.get_body(("plain",)).get_content())
