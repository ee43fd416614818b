"""Proving an email address by an emailed link or code: once, in time, and not by guessing."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from expert_booking.db.engine import Database
from expert_booking.domain.errors import (
    BookingNotFound,
    CodesLocked,
    CodeWrong,
    LinkNotValid,
    NotAuthenticated,
    TooManyAccessRequests,
)
from expert_booking.domain.signed_keys import SignedKeys
from expert_booking.domain.site import Site
from expert_booking.schemas import AccessRequested, Caller, Role
from expert_booking.services import Services
from tests.conftest import AddExpert, Book, Clock, customer_caller
from tests.services.conftest import Counted

Connection = psycopg.Connection[tuple[Any, ...]]
SITE = Site(secret="the secret of this site", url="https://booking.test", admins=frozenset({"boss@example.com"}))
ADA = "ada@example.com"
HOME, OFFICE = b"home", b"office"
HER_BROWSER, HIS_BROWSER = b"h" * 32, b"i" * 32  # browsers
NINE = datetime(2026, 11, 24, 8, tzinfo=UTC)


@pytest.fixture
def services(database: Database, clock: Clock) -> Services:
    """The services of a site with a secret and an admin."""
    return Services(database, clock=clock, site=SITE)


@pytest.fixture
async def crowd(database_url: str, clock: Clock) -> AsyncIterator[Services]:
    """The same with connections for many concurrent calls."""
    database = Database(database_url, pool_size=25)
    yield Services(database, clock=clock, site=SITE)
    await database.close()


async def request_link(services: Services, email: str = ADA, *, origin: bytes = HOME, **more: Any) -> AccessRequested:
    """Request an access link."""
    return await services.access.request_access(email, origin=origin, **more)


async def sign_in(services: Services, email: str = ADA) -> str:
    """Sign in by link and return the browser's secret."""
    proof, _ = await services.access.redeem_link(await services.access.link_for(email), "browser")
    return proof.access_token


def wrong_codes(services: Services, request_id: UUID) -> list[str]:
    """Forty different wrong codes."""
    right = int(services.access.code(request_id))
    return [f"{(right + 1 + n) % 1_000_000:06}" for n in range(40)]


def kinds(results: Sequence[object]) -> Counter[str]:
    """Count outcomes by class name."""
    return Counter(type(result).__name__ for result in results)


# --- requesting -----------------------------------------------------------------------------------------------------


async def test_request_queues_an_email_and_returns_nothing_secret(
    services: Services, clock: Clock, sql: Connection
) -> None:
    requested = await request_link(services)
    assert requested.expires_at == clock() + timedelta(minutes=15)
    assert set(requested.model_dump()) == {"id", "expires_at"}
    assert sql.execute("SELECT kind, access_request_id FROM message").fetchall() == [("access_link", requested.id)]


async def test_known_and_unknown_addresses_cause_the_same_statements(
    services: Services, add_expert: AddExpert, book: Book, counted: Counted
) -> None:
    await book(await add_expert(), NINE, email=ADA)
    sent = {}
    for email in (ADA, "nobody@example.com", "jana@example.com", "boss@example.com"):
        with counted() as sent[email]:
            await request_link(services, email, origin=email.encode())
    assert len(sent[ADA]) > 3
    assert all(statements == sent[ADA] for statements in sent.values())
    assert not [statement for statement in sent[ADA] if "booking" in statement.replace("expert_booking", "")]


@pytest.mark.parametrize("known", [True, False])
async def test_address_is_limited_to_five_requests_an_hour_from_one_network(
    services: Services, add_expert: AddExpert, book: Book, clock: Clock, known: bool
) -> None:
    if known:
        await book(await add_expert(), NINE, email=ADA)
    for _ in range(5):
        await request_link(services, "Ada@Example.com")
        clock.advance(minutes=2)
    with pytest.raises(TooManyAccessRequests, match="try again in an hour") as refused:
        await request_link(services, ADA)
    assert refused.value.retry_after == 50 * 60
    await request_link(services, ADA, origin=b"elsewhere")
    await request_link(services, "ben@example.com")
    clock.advance(minutes=50)
    await request_link(services, ADA)
    with pytest.raises(TooManyAccessRequests):
        await request_link(services, ADA)


async def test_network_is_limited_to_twenty_requests_an_hour(services: Services, clock: Clock) -> None:
    for n in range(20):
        await request_link(services, f"person{n}@example.com")
    with pytest.raises(TooManyAccessRequests) as refused:
        await request_link(services, "another@example.com")
    assert refused.value.retry_after == 60 * 60
    await request_link(services, "another@example.com", origin=OFFICE)
    clock.advance(hours=1)
    await request_link(services, "another@example.com")


async def test_concurrent_requests_are_limited_exactly(crowd: Services, sql: Connection) -> None:
    for_one = await asyncio.gather(
        *(request_link(crowd, ADA, origin=OFFICE) for _ in range(15)), return_exceptions=True
    )
    assert kinds(for_one) == {"AccessRequested": 5, "TooManyAccessRequests": 10}
    from_one = await asyncio.gather(
        *(request_link(crowd, f"person{n}@example.com") for n in range(30)), return_exceptions=True
    )
    assert kinds(from_one) == {"AccessRequested": 20, "TooManyAccessRequests": 10}
    assert sql.execute("SELECT count(*) FROM message").fetchone() == (25,)
    # Requests from many networks all succeed, and exactly the allowed number is sent.
    many = await asyncio.gather(*(request_link(crowd, "ben@example.com", origin=b"%d" % n) for n in range(15)))
    assert kinds(many) == {"AccessRequested": 15}
    mailed = "SELECT count(*) FROM access_request WHERE customer_key = 'ben@example.com' AND NOT suppressed"
    assert sql.execute(mailed).fetchone() == (5,)
    # Exactly one of them has the six-digit code.
    short = "SELECT count(*) FROM access_request WHERE customer_key = 'ben@example.com' AND earlier = 0"
    assert sql.execute(short).fetchone() == (1,)


async def test_command_line_requests_are_not_limited(services: Services, sql: Connection) -> None:
    for _ in range(10):
        await services.access.link_for(ADA)
    await request_link(services)
    assert sql.execute("SELECT count(*) FROM message").fetchone() == (1,)


# --- the link -------------------------------------------------------------------------------------------------------


async def test_link_proves_the_address_once_and_redirects(services: Services, clock: Clock) -> None:
    requested = await request_link(services, "Ada@Example.com", browser=HER_BROWSER, next_path="/my-bookings")
    link = services.access.link(requested.id)
    assert link.startswith("https://booking.test/sign-in/")
    proof, next_path = await services.access.redeem_link(link, "browser")
    assert (proof.email, proof.expires_at, next_path) == (
        "Ada@Example.com", clock() + timedelta(days=30), "/my-bookings",
    )  # fmt: skip
    identity = await services.access.identity_of_proof(proof.access_token)
    assert identity is not None
    assert (identity.customer_key, identity.admin, identity.experts) == (ADA, False, ())
    for bearer in ("browser", "program"):
        with pytest.raises(LinkNotValid):
            await services.access.redeem_link(link, bearer)
    with pytest.raises(LinkNotValid):
        await services.access.preview_link(link)


async def test_viewing_a_link_does_not_use_it_up(services: Services, sql: Connection) -> None:
    link = await services.access.link_for(ADA)
    before = sql.execute("SELECT access_request::text FROM access_request").fetchall()
    for _ in range(20):
        assert (await services.access.preview_link(link)).email == ADA
    assert sql.execute("SELECT access_request::text FROM access_request").fetchall() == before
    await services.access.redeem_link(link, "browser")


async def test_one_of_many_concurrent_redemptions_succeeds(crowd: Services, sql: Connection) -> None:
    requested = await request_link(crowd)
    link, code = crowd.access.link(requested.id), crowd.access.code(requested.id)
    results = await asyncio.gather(
        *(crowd.access.redeem_link(link, "browser") for _ in range(15)),
        *(crowd.access.redeem_code(requested.id, code, "program") for _ in range(4)),
        return_exceptions=True,
    )
    assert kinds(results) == {"tuple": 1, "LinkNotValid": 18}
    assert sql.execute("SELECT count(*) FROM access_proof").fetchone() == (1,)


async def test_link_and_code_are_valid_for_15_minutes(services: Services, clock: Clock) -> None:
    requested = await request_link(services)
    clock.advance(minutes=15, microseconds=-1)
    await services.access.preview_link(services.access.link(requested.id))
    clock.advance(microseconds=1)
    with pytest.raises(LinkNotValid):
        await services.access.preview_link(services.access.link(requested.id))
    with pytest.raises(LinkNotValid):
        await services.access.redeem_link(services.access.link(requested.id), "browser")
    with pytest.raises(LinkNotValid):
        await services.access.redeem_code(requested.id, services.access.code(requested.id), "program")


@pytest.mark.parametrize("wrong", ["", "/", "x", "\x00", "\ud800", "https://booking.test/sign-in/", "x" * 10_000])
async def test_malformed_link_is_refused(services: Services, wrong: str) -> None:
    with pytest.raises(LinkNotValid):
        await services.access.preview_link(wrong)
    with pytest.raises(LinkNotValid):
        await services.access.redeem_link(wrong, "browser")


async def test_link_of_another_site_and_key_of_another_purpose_are_refused(services: Services) -> None:
    requested = await request_link(services)
    keys = SignedKeys(SITE.secret)
    for key in (SignedKeys("another").link(requested.id), keys.booking(requested.id), keys.feed(requested.id)):
        with pytest.raises(LinkNotValid):
            await services.access.redeem_link(key, "browser")
    await services.access.redeem_link(keys.link(requested.id), "browser")  # the last part of the link is enough


# --- the code -------------------------------------------------------------------------------------------------------


async def test_code_works_only_in_the_browser_that_requested_it(services: Services, sql: Connection) -> None:
    requested = await request_link(services, browser=HER_BROWSER)
    code = services.access.code(requested.id)
    for other in (HIS_BROWSER, None):
        with pytest.raises(LinkNotValid):
            await services.access.redeem_code(requested.id, code, "browser", browser=other)
    assert sql.execute("SELECT wrong_codes FROM access_request").fetchone() == (0,)
    proof, _ = await services.access.redeem_code(
        requested.id, f" {code[:3]} {code[3:]}\n", "browser", browser=HER_BROWSER
    )
    assert (await services.access.identity_of_proof(proof.access_token)) is not None
    with pytest.raises(LinkNotValid):
        await services.access.redeem_code(requested.id, code, "browser", browser=HER_BROWSER)


async def test_code_of_a_program_works_only_for_that_program(services: Services) -> None:
    requested = await request_link(services)
    with pytest.raises(LinkNotValid):
        await services.access.redeem_code(
            requested.id, services.access.code(requested.id), "browser", browser=HER_BROWSER
        )
    await services.access.redeem_code(requested.id, services.access.code(requested.id), "program")


async def test_five_wrong_codes_lock_the_code_but_not_the_link(services: Services) -> None:
    requested = await request_link(services, browser=HER_BROWSER)
    wrong = wrong_codes(services, requested.id)
    for n, code in enumerate(wrong[:4]):
        with pytest.raises(CodeWrong, match=f"try {4 - n} more time" + ("s" if n < 3 else r"\.")):
            await services.access.redeem_code(requested.id, code, "browser", browser=HER_BROWSER)
    for code in (wrong[4], wrong[5], services.access.code(requested.id)):
        with pytest.raises(CodesLocked):
            await services.access.redeem_code(requested.id, code, "browser", browser=HER_BROWSER)
    # Another browser does not even learn that the codes are locked.
    with pytest.raises(LinkNotValid):
        await services.access.redeem_code(requested.id, wrong[0], "browser", browser=HIS_BROWSER)
    await services.access.redeem_link(services.access.link(requested.id), "browser")


async def test_fifth_code_may_be_correct(services: Services) -> None:
    requested = await request_link(services)
    for code in wrong_codes(services, requested.id)[:4]:
        with pytest.raises(CodeWrong):
            await services.access.redeem_code(requested.id, code, "program")
    await services.access.redeem_code(requested.id, services.access.code(requested.id), "program")


async def test_only_five_of_concurrent_wrong_codes_are_compared(
    crowd: Services, sql: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[str] = []
    is_code = SignedKeys.is_code

    def compare(keys: SignedKeys, number: UUID, typed: str) -> bool:
        compared.append(typed)
        return is_code(keys, number, typed)

    monkeypatch.setattr(SignedKeys, "is_code", compare)
    requested = await request_link(crowd)
    results = await asyncio.gather(
        *(crowd.access.redeem_code(requested.id, code, "program") for code in wrong_codes(crowd, requested.id)),
        return_exceptions=True,
    )
    assert kinds(results) == {"CodeWrong": 4, "CodesLocked": 36}
    assert len(compared) == 5
    assert sql.execute("SELECT wrong_codes FROM access_request").fetchone() == (5,)
    with pytest.raises(CodesLocked):
        await crowd.access.redeem_code(requested.id, crowd.access.code(requested.id), "program")


@pytest.mark.parametrize("code", ["", "12345", "1234567", "abcdef", "\x00", "\ud800", "１２３４５６", "x" * 10_000])
async def test_malformed_code_is_a_wrong_code(services: Services, code: str) -> None:
    requested = await request_link(services)
    with pytest.raises(CodeWrong):
        await services.access.redeem_code(requested.id, code, "program")


async def test_code_without_a_request_is_refused(services: Services) -> None:
    number = uuid4()
    with pytest.raises(LinkNotValid):
        await services.access.redeem_code(number, services.access.code(number), "program")


# --- the proof ------------------------------------------------------------------------------------------------------


async def test_proof_is_valid_for_30_days(services: Services, clock: Clock) -> None:
    secret = await sign_in(services)
    program, _ = await services.access.redeem_link(await services.access.link_for(ADA), "program")
    clock.advance(days=30, microseconds=-1)
    assert await services.access.identity_of_proof(secret) is not None
    assert (await services.tokens.identify(program.access_token)).customer_key == ADA
    clock.advance(microseconds=1)
    assert await services.access.identity_of_proof(secret) is None
    with pytest.raises(NotAuthenticated):
        await services.tokens.identify(program.access_token)


async def test_browser_secret_is_not_a_token_and_vice_versa(services: Services) -> None:
    browsers = await sign_in(services)
    programs, _ = await services.access.redeem_link(await services.access.link_for(ADA), "program")
    with pytest.raises(NotAuthenticated):
        await services.tokens.identify(browsers)
    assert await services.access.identity_of_proof(programs.access_token) is None


async def test_sign_out_ends_one_proof_and_everywhere_ends_all_of_the_address(services: Services) -> None:
    first, second, bens = await sign_in(services), await sign_in(services), await sign_in(services, "ben@example.com")
    program, _ = await services.access.redeem_link(await services.access.link_for("ADA@example.com"), "program")
    waiting, bens_waiting = await request_link(services), await request_link(services, "ben@example.com")
    await services.access.sign_out(first)
    assert await services.access.identity_of_proof(first) is None
    assert await services.access.identity_of_proof(second) is not None
    await services.access.sign_out(first, everywhere=True)  # a signed-out browser cannot end other proofs
    assert await services.access.identity_of_proof(second) is not None

    await services.access.sign_out(second, everywhere=True)
    assert await services.access.identity_of_proof(second) is None
    with pytest.raises(NotAuthenticated):
        await services.tokens.identify(program.access_token)
    with pytest.raises(LinkNotValid):
        await services.access.redeem_link(services.access.link(waiting.id), "browser")
    with pytest.raises(LinkNotValid):
        await services.access.redeem_code(waiting.id, services.access.code(waiting.id), "program")
    assert await services.access.identity_of_proof(bens) is not None
    await services.access.redeem_link(services.access.link(bens_waiting.id), "browser")


async def test_sign_out_everywhere_includes_the_browser_that_booked(
    services: Services, add_expert: AddExpert, book: Book
) -> None:
    expert = await add_expert()
    here = customer_caller(b"here")
    adas = await book(expert, NINE, email="ADA@example.com", visitor=b"here")
    bens = await book(expert, NINE + timedelta(hours=1), email="ben@example.com", visitor=b"here")
    await services.access.sign_out(await sign_in(services), everywhere=True)
    with pytest.raises(BookingNotFound):
        await services.bookings.get(adas.id, here)
    assert (await services.bookings.get(bens.id, here)).id == bens.id


async def test_no_proof_survives_a_concurrent_sign_out_everywhere(crowd: Services, sql: Connection) -> None:
    for _ in range(8):
        secret = await sign_in(crowd)
        links = [await crowd.access.link_for(ADA) for _ in range(6)]
        await asyncio.gather(
            *(crowd.access.redeem_link(link, "browser") for link in links[:3]),
            crowd.access.sign_out(secret, everywhere=True),
            *(crowd.access.redeem_link(link, "program") for link in links[3:]),
            return_exceptions=True,
        )
        assert sql.execute("SELECT count(*) FROM access_proof").fetchone() == (0,)


async def test_deleted_expert_or_changed_address_loses_access_immediately(
    services: Services, add_expert: AddExpert, sql: Connection
) -> None:
    jana = await add_expert()
    secret = await sign_in(services, "JANA@example.com")

    async def host() -> Caller | None:
        identity = await services.access.identity_of_proof(secret)
        assert identity is not None
        return identity.host_of(jana)

    assert await host() == Caller(role=Role.EXPERT, expert_id=jana)
    sql.execute("UPDATE expert SET active = false")
    assert await host() is None
    sql.execute("UPDATE expert SET active = true, email = 'other@example.com', email_key = 'other@example.com'")
    assert await host() is None
    sql.execute("UPDATE expert SET email = 'Jana@example.com', email_key = 'jana@example.com'")
    assert await host() is not None


async def test_admin_is_host_everywhere_in_the_browser_and_nowhere_as_a_program(
    services: Services, add_expert: AddExpert
) -> None:
    jana = await add_expert()
    identity = await services.access.identity_of_proof(await sign_in(services, "Boss@example.com"))
    assert identity is not None
    assert identity.host_of(jana) == identity.host_of(uuid4()) == Caller(role=Role.ADMIN)
    for email in ("boss@example.com", "jana@example.com"):
        proof, _ = await services.access.redeem_link(await services.access.link_for(email), "program")
        caller = await services.tokens.identify(proof.access_token)
        assert (caller.role, caller.expert_id) == (Role.CUSTOMER, None)
        assert not caller.runs(jana)
        assert not caller.reads_everything()


# --- stored data ----------------------------------------------------------------------------------------------------


async def test_database_content_alone_opens_nothing(
    services: Services, add_expert: AddExpert, book: Book, sql: Connection
) -> None:
    booking = await book(await add_expert(), NINE)
    requested = await request_link(services, browser=HER_BROWSER)
    link, code = services.access.link(requested.id), services.access.code(requested.id)
    secrets = [link.rpartition("/")[2], code, services.tokens.for_booking(booking.id), await sign_in(services)]
    secrets.append((await services.access.redeem_link(await services.access.link_for(ADA), "program"))[0].access_token)
    tables = sql.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
    found = [row for (table,) in tables for row in sql.execute(f"SELECT t::text FROM {table} t").fetchall()]
    written = "".join(map(str, found))
    assert str(requested.id) in written
    for secret in secrets:
        own = secret.removeprefix("eb_customer_").removeprefix("eb_booking_")
        # Six digits may occur by chance, so the stored form of the code is checked too.
        assert secret == code or own not in written
        assert own.encode().hex() not in written


async def test_booking_token_identifies_its_booking_only(services: Services) -> None:
    one, another = uuid4(), uuid4()
    caller = await services.tokens.identify(services.tokens.for_booking(one))
    assert caller == Caller(role=Role.CUSTOMER, booking_id=one, token_id=one)
    assert caller.owns(one, None, None, 1)
    assert not caller.owns(one, None, None, 2)
    assert not caller.owns(another, ADA, HER_BROWSER, 1)
    for wrong in (SignedKeys("another").booking(one), SignedKeys(SITE.secret).link(one), "", "x", "\ud800"):
        with pytest.raises(NotAuthenticated):
            await services.tokens.identify(f"eb_booking_{wrong}")


async def test_only_long_expired_rows_are_deleted(services: Services, clock: Clock, sql: Connection) -> None:
    await request_link(services)
    old = await sign_in(services)
    clock.advance(days=1, microseconds=1)
    young = await request_link(services)
    await services.access.sweep()
    assert sql.execute("SELECT id FROM access_request").fetchall() == [(young.id,)]
    assert await services.access.identity_of_proof(old) is not None
    clock.advance(days=30)
    await services.access.sweep()
    assert sql.execute("SELECT count(*) FROM access_proof").fetchone() == (0,)
    assert sql.execute("SELECT count(*) FROM message").fetchone() == (0,)
