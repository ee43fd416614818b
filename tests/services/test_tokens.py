"""API tokens."""

import asyncio
from typing import Any

import psycopg
import pytest

from expert_booking.domain.errors import ExpertNotFound, NotAuthenticated, TokenNameTaken, TokenNotFound
from expert_booking.schemas import Caller, Role, TokenRequest
from expert_booking.services import Services
from tests.conftest import AddExpert

Connection = psycopg.Connection[tuple[Any, ...]]
ADMIN = TokenRequest(name="robot", role=Role.ADMIN)


async def test_token_identifies_its_caller(services: Services, add_expert: AddExpert) -> None:
    expert = await add_expert()
    own = await services.tokens.create(TokenRequest(name="jana", role=Role.EXPERT, expert="jana-muller"))
    admin = await services.tokens.create(ADMIN)
    reader = await services.tokens.create(TokenRequest(name="report", role=Role.READER))
    ids = {token.name: token.id for token in await services.tokens.list_all()}
    jana = Caller(role=Role.EXPERT, expert_id=expert, token_id=ids["jana"])
    assert await services.tokens.identify(own) == jana
    assert await services.tokens.identify(admin) == Caller(role=Role.ADMIN, token_id=ids[ADMIN.name])
    assert await services.tokens.identify(reader) == Caller(role=Role.READER, token_id=ids["report"])
    assert len({own, admin, reader}) == 3


async def test_only_the_hash_of_a_token_is_stored(services: Services, sql: Connection) -> None:
    secret = await services.tokens.create(ADMIN)
    row = sql.execute("SELECT token::text, length(secret_hash) FROM token").fetchone()
    assert row is not None
    assert secret not in row[0]
    assert secret.removeprefix("eb_").encode().hex() not in row[0]
    assert row[1] == 32
    [view] = await services.tokens.list_all()
    assert secret not in view.model_dump_json()


@pytest.mark.parametrize("wrong", ["", " ", "eb_", "x" * 10_000, "\x00", "\ud800", "\u00fc"])
async def test_malformed_token_is_refused(services: Services, wrong: str) -> None:
    await services.tokens.create(ADMIN)
    with pytest.raises(NotAuthenticated):
        await services.tokens.identify(wrong)


async def test_almost_correct_token_is_refused(services: Services) -> None:
    secret = await services.tokens.create(ADMIN)
    for wrong in (secret[:-1], secret + "x", secret.swapcase(), f" {secret}", secret.removeprefix("eb_")):
        with pytest.raises(NotAuthenticated):
            await services.tokens.identify(wrong)


async def test_revoked_token_is_refused_immediately_and_stays_listed(services: Services) -> None:
    secret = await services.tokens.create(ADMIN)
    await services.tokens.revoke("robot")
    with pytest.raises(NotAuthenticated):
        await services.tokens.identify(secret)
    [view] = await services.tokens.list_all()
    assert view.revoked_at is not None
    with pytest.raises(TokenNotFound):
        await services.tokens.revoke("robot")
    with pytest.raises(TokenNotFound):
        await services.tokens.revoke("nobody")


async def test_token_name_is_unique_even_with_concurrent_requests(services: Services) -> None:
    results = await asyncio.gather(*(services.tokens.create(ADMIN) for _ in range(6)), return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == ["TokenNameTaken"] * 5 + ["str"]
    with pytest.raises(TokenNameTaken, match="robot"):
        await services.tokens.create(ADMIN)


async def test_token_for_an_unknown_expert_is_not_created(services: Services) -> None:
    with pytest.raises(ExpertNotFound, match="nobody"):
        await services.tokens.create(TokenRequest(name="x", role=Role.EXPERT, expert="nobody"))
    assert list(await services.tokens.list_all()) == []


async def test_deleting_an_expert_deletes_their_tokens(
    services: Services, add_expert: AddExpert, sql: Connection
) -> None:
    await add_expert()
    secret = await services.tokens.create(TokenRequest(name="jana", role=Role.EXPERT, expert="jana-muller"))
    sql.execute("DELETE FROM expert")
    with pytest.raises(NotAuthenticated):
        await services.tokens.identify(secret)
