"""Signing in cannot be blocked by others, codes cannot be guessed, and shared links can be revoked."""

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from expert_booking.db.engine import Database
from expert_booking.domain.errors import (
    BookingNotFound,
    CodeWrong,
    Forbidden,
    NotAuthenticated,
    TooManyAccessRequests,
    TooManyNewLinks,
)
from expert_booking.domain.signed_keys import SignedKeys
from expert_booking.domain.site import Site
from expert_booking.schemas import AccessRequested, BookingView, Caller, HoldRequest, Role
from expert_booking.services import Services
from tests.conftest import AddExpert, Book, Clock
from tests.mail_server import MailServer

Connection = psycopg.Connection[tuple[Any, ...]]
SITE = Site(secret="the secret of this site", url="https://booking.test")
ADA = "ada@example.com"
NINE = datetime(2026, 11, 24, 8, tzinfo=UTC)
ADAS_BROWSER = b"h" * 32


@pytest.fixture
async def services(database_url: str, clock: Clock, mail_server: MailServer) -> AsyncIterator[Services]:
    """The services with a secret and a mail server."""
    database = Database(database_url)
    yield Services(database, clock=clock, site=SITE, transport=mail_server.transport())
    await database.close()


def network(number: int) -> bytes:
    """Return one of many networks, hashed as in the database."""
    return b"network %d" % number


def text_of(mail: EmailMessage) -> str:
    """Return an email's plain text."""
    body = mail.get_body(("plain",))
    assert body is not None
    return str(body.get_content())


async def request_link(services: Services, origin: bytes, email: str = ADA, **more: Any) -> AccessRequested:
    """Request a link from a network."""
    return await services.access.request_access(email, origin=origin, **more)


async def code_of(services: Services, requested: AccessRequested, sql: Connection) -> str:
    """Return the code in a request's email."""
    row = sql.execute("SELECT earlier FROM access_request WHERE id = %s", [requested.id]).fetchone()
    assert row is not None
    return services.access.code(requested.id, earlier=row[0])


# --- asking for an access link --------------------------------------------------------------------------------------


async def test_requests_from_other_networks_never_block_an_address(services: Services) -> None:
    for number in range(30):
        await request_link(services, network(number))
    await request_link(services, b"home of ada")


async def test_network_may_request_five_times_an_hour_per_address(services: Services, clock: Clock) -> None:
    for _ in range(5):
        await request_link(services, network(1))
        clock.advance(minutes=2)
    with pytest.raises(TooManyAccessRequests) as refused:
        await request_link(services, network(1), "ADA@example.com")
    assert refused.value.retry_after == 50 * 60
    await request_link(services, network(1), "ben@example.com")
    await request_link(services, network(2))
    clock.advance(minutes=50)
    await request_link(services, network(1))


async def test_browser_that_has_proven_the_address_before_is_exempt(services: Services) -> None:
    mark = services.access.mark("Ada@example.com")
    for _ in range(5):
        await request_link(services, network(1))
    for number in range(15):
        await request_link(services, network(1), f"person{number}@example.com")
    with pytest.raises(TooManyAccessRequests):
        await request_link(services, network(1))
    for _ in range(5):
        await request_link(services, network(1), marks=["other", mark])
    # The exemption has its own limit and applies to its own address only.
    with pytest.raises(TooManyAccessRequests):
        await request_link(services, network(1), marks=[mark])
    with pytest.raises(TooManyAccessRequests):
        await request_link(services, network(1), "ben@example.com", marks=[mark])


async def test_address_gets_five_emails_in_15_minutes_and_always_has_a_valid_link(
    services: Services, add_expert: AddExpert, book: Book, clock: Clock, mail_server: MailServer, sql: Connection
) -> None:
    await book(await add_expert(), NINE, email=ADA)
    await services.outbox.drain()
    before = len(mail_server.to(ADA))
    # One request a minute, each from a new network, for an hour.
    for number in range(60):
        requested = await request_link(services, network(number))
        assert requested.expires_at == clock() + timedelta(minutes=15)
        await services.outbox.drain()
        works = sql.execute("SELECT count(*) FROM access_request WHERE NOT suppressed AND expires_at > %s", [clock()])
        assert works.fetchone() != (0,)
        clock.advance(minutes=1)
    assert len(mail_server.to(ADA)) - before == 20
    # A suppressed request stores the same row, so nothing distinguishes the two from outside.
    assert sql.execute("SELECT count(*) FROM access_request").fetchone() == (60,)
    # A browser that has proven the address before still gets its email.
    await request_link(services, network(60), marks=[services.access.mark(ADA)])
    await services.outbox.drain()
    assert len(mail_server.to(ADA)) - before == 21


async def test_used_or_revoked_links_make_room_for_new_emails(services: Services, sql: Connection) -> None:
    requested = [await request_link(services, network(number)) for number in range(5)]
    proof, _ = await services.access.redeem_link(services.access.link(requested[0].id), "browser")
    await services.access.sign_out(proof.access_token, everywhere=True)
    again = await request_link(services, network(5))
    assert sql.execute("SELECT suppressed FROM access_request WHERE id = %s", [again.id]).fetchone() == (False,)


async def test_codes_have_eight_characters_from_the_second_request_in_an_hour(
    services: Services, clock: Clock, sql: Connection
) -> None:
    first, second = (
        await request_link(services, network(1)),
        await request_link(services, network(2), browser=ADAS_BROWSER),
    )
    assert re.fullmatch("[0-9]{6}", await code_of(services, first, sql))
    code = await code_of(services, second, sql)
    assert re.fullmatch("[2-9A-HJ-NP-Z]{8}", code)
    with pytest.raises(CodeWrong):  # the six digits that this request would have had otherwise
        await services.access.redeem_code(second.id, services.access.code(second.id), "browser", browser=ADAS_BROWSER)
    typed = f" {code[:4].lower()}-{code[4:].lower()} "
    proof, _ = await services.access.redeem_code(second.id, typed, "browser", browser=ADAS_BROWSER)
    assert proof.email == ADA
    clock.advance(hours=1)
    assert re.fullmatch("[0-9]{6}", await code_of(services, await request_link(services, network(3)), sql))


async def test_email_states_how_many_requests_were_made_and_from_how_many_networks(
    services: Services, add_expert: AddExpert, mail_server: MailServer
) -> None:
    await add_expert()
    sentences = []
    for number in (1, 1, 2, 3, 1):
        await request_link(services, network(number), "jana@example.com")
        await services.outbox.drain()
        sentences.append(re.findall("There were [^.]*", text_of(mail_server.emails[-1])))
    about = "requests for this address in the last hour"
    assert sentences == [
        [],
        [f"There were 2 {about}, all of them from the same network"],
        [f"There were 3 {about}, 2 of them from other networks"],
        [f"There were 4 {about}, 3 of them from other networks"],
        [f"There were 5 {about}, 2 of them from other networks"],
    ]
    # The networks themselves are not identified.
    assert not re.search(r"network \d", text_of(mail_server.emails[-1]))


# --- the browser of a hold ----------------------------------------------------------------------------------


async def test_booking_from_a_hold_belongs_to_the_holding_browser(
    services: Services, add_expert: AddExpert, book: Book
) -> None:
    """A form opened under the old id books while its browser gets the new one."""
    expert = await add_expert()
    hold = await services.holds.take(HoldRequest(expert_id=expert, starts_at=NINE), visitor=ADAS_BROWSER)
    made = await book(expert, NINE, hold_id=hold.id, visitor=b"o" * 32)
    assert [one.id for one in await services.bookings.for_visitor(ADAS_BROWSER)] == [made.id]


# --- links to a booking ---------------------------------------------------------------------------------------------


@pytest.fixture
async def booking(add_expert: AddExpert, book: Book) -> BookingView:
    """Ada's booking of Jana's time at nine."""
    return await book(await add_expert(), NINE, visitor=ADAS_BROWSER)


def caller_with_key(services: Services, key: str) -> Caller:
    """Return the caller who has this key, as a page sees it."""
    number = services.access.booking_of_key(key)
    assert number is not None
    return Caller(role=Role.CUSTOMER, booking_id=number, key_version=services.access.version_of_key(key))


async def can_open(services: Services, booking_id: UUID, caller: Caller) -> bool:
    """Check whether this caller sees the booking."""
    try:
        return (await services.bookings.get(booking_id, caller)).id == booking_id
    except BookingNotFound:
        return False


async def test_revoking_links_ends_keys_and_tokens_and_emails_the_customer_a_new_link(
    services: Services, booking: BookingView, book: Book, mail_server: MailServer
) -> None:
    other = await book(booking.expert_id, NINE + timedelta(hours=1))
    keys, customer = SignedKeys(SITE.secret), Caller(role=Role.CUSTOMER, visitor=ADAS_BROWSER)
    shared = caller_with_key(services, keys.booking(booking.id))
    token = services.tokens.for_booking(booking.id)
    assert await can_open(services, booking.id, shared)
    await services.outbox.drain()
    before = len(mail_server.emails)

    await services.bookings.end_links(booking.id, customer)
    assert not await can_open(services, booking.id, shared)
    assert not await can_open(services, booking.id, await services.tokens.identify(token))
    with pytest.raises(BookingNotFound):
        await services.bookings.end_links(booking.id, shared)
    assert await can_open(services, booking.id, customer)
    assert await can_open(services, other.id, caller_with_key(services, keys.booking(other.id)))

    await services.outbox.drain()
    [mail] = mail_server.emails[before:]
    assert [one.addr_spec for one in mail["To"].addresses] == [ADA]
    [key] = re.findall(rf"/booking/{booking.id}\?key=(\S+)", text_of(mail))
    assert await can_open(services, booking.id, caller_with_key(services, key))
    # Later emails and the calendar file contain the new key, too.
    file = (await services.feeds.booking_file(booking)).replace(b"\r\n ", b"")
    assert key.encode() in file
    for wrong in (keys.booking(booking.id, 3), keys.booking(other.id, 2)):
        assert not await can_open(services, booking.id, caller_with_key(services, wrong))


async def test_signing_out_everywhere_revokes_the_links_to_all_own_bookings(
    services: Services, booking: BookingView, book: Book
) -> None:
    keys = SignedKeys(SITE.secret)
    second = await book(booking.expert_id, NINE + timedelta(hours=1), email="ADA@example.com")
    bens = await book(booking.expert_id, NINE + timedelta(hours=2), email="ben@example.com")
    proof, _ = await services.access.redeem_link(await services.access.link_for(ADA), "browser")
    await services.access.sign_out(proof.access_token, everywhere=True)
    shown = [
        await can_open(services, one.id, caller_with_key(services, keys.booking(one.id)))
        for one in (booking, second, bens)
    ]
    assert shown == [False, False, True]


async def test_only_the_customer_and_hosts_may_revoke_links_and_only_so_often(
    services: Services, booking: BookingView, sql: Connection
) -> None:
    end = services.bookings.end_links
    with pytest.raises(NotAuthenticated):
        await end(booking.id, None)
    with pytest.raises(Forbidden):
        await end(booking.id, Caller(role=Role.READER))
    with pytest.raises(Forbidden):
        await end(booking.id, Caller(role=Role.EXPERT, expert_id=uuid4()))
    for stranger in (Caller(role=Role.CUSTOMER, customer_key="eve@example.com"), caller_with_key(services, _stray())):
        with pytest.raises(BookingNotFound):
            await end(booking.id, stranger)
    allowed = [
        Caller(role=Role.CUSTOMER, customer_key=ADA), Caller(role=Role.CUSTOMER, visitor=ADAS_BROWSER),
        Caller(role=Role.CUSTOMER, booking_id=booking.id, key_version=3), Caller(role=Role.ADMIN),
        Caller(role=Role.EXPERT, expert_id=booking.expert_id),
    ]  # fmt: skip
    for caller in allowed:
        await end(booking.id, caller)
    with pytest.raises(TooManyNewLinks):
        await end(booking.id, allowed[0])
    assert sql.execute("SELECT count(*) FROM message WHERE kind = 'new_link'").fetchone() == (5,)
    sql.execute("UPDATE message SET created_at = created_at - interval '1 day'")
    await end(booking.id, allowed[0])


def _stray() -> str:
    return SignedKeys(SITE.secret).booking(uuid4())


async def test_keys_from_before_versions_are_version_one(services: Services, booking: BookingView) -> None:
    # Fixed value: links in existing emails must keep working.
    number = UUID("c1c2f4a4-9a0e-4b6b-8a7c-3b9f2f1f7d10")
    assert SignedKeys("a secret of long ago").booking(number) == "wcL0pJoOS2uKfDufLx99EFAaU6u1U7NjSSWl3eccYdy3JOPv"
    assert SignedKeys("a secret of long ago").booking_of("wcL0pJoOS2uKfDufLx99EFAaU6u1U7NjSSWl3eccYdy3JOPv") == number
