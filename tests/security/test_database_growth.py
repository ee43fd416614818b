"""Limits on what strangers can make the database store."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import psycopg

from tests.conftest import AddExpert
from tests.server import ServerProcess

Connection = psycopg.Connection[tuple[Any, ...]]
Serve = Callable[..., ServerProcess]
SHORT_SESSIONS = {"minutes": 15, "step_minutes": 15, "horizon_days": 30}


def rows(sql: Connection, table: str) -> int:
    """Count the rows of a table."""
    found = sql.execute(f"SELECT count(*) FROM {table}").fetchone()
    assert found is not None
    return int(found[0])


async def starts_of(client: httpx.AsyncClient, expert: UUID, number: int) -> list[str]:
    """Return so many free times of an expert."""
    first = datetime.fromisoformat((await client.get(f"/experts/{expert}")).json()["nextAvailable"]).date()
    days = {"from": str(first), "to": str(first + timedelta(days=20))}
    slots = (await client.get(f"/experts/{expert}/slots", params=days)).json()["slots"]
    return [slot["startsAt"] for slot in slots if slot["state"] == "open"][:number]


def new_key() -> dict[str, str]:
    """Return a header with an unused idempotency key."""
    return {"Idempotency-Key": str(uuid4())}


async def in_tens(asked: list[Callable[[], Awaitable[httpx.Response]]]) -> list[httpx.Response]:
    """Run the requests, ten at a time."""
    turns = asyncio.Semaphore(10)

    async def one(ask: Callable[[], Awaitable[httpx.Response]]) -> httpx.Response:
        async with turns:
            return await ask()

    return await asyncio.gather(*map(one, asked))


async def test_refused_public_requests_with_new_keys_store_nothing(
    serve: Serve, add_expert: AddExpert, sql: Connection
) -> None:
    expert = await add_expert(**SHORT_SESSIONS)
    async with httpx.AsyncClient(base_url=serve().url, timeout=60) as client:
        [start] = await starts_of(client, expert, 1)
        booking = {
            "expertId": str(expert),
            "startsAt": start,
            "name": "A",
            "email": "a@example.com",
            "phone": "+44 20 7946 0000",
        }
        made = await client.post("/bookings", json=booking)
        assert made.status_code == 201
        # Every customer has a token, so customers count as the public.
        customer = {"Authorization": f"Bearer {made.json()['accessToken']}"}
        nobody = {"expertId": str(uuid4()), "startsAt": start}
        link = {"link": "https://example.com/sign-in/no-such-link"}
        refusals: dict[str, tuple[Any, int]] = {
            "/holds": (nobody, 404), "/bookings": ({**booking, "email": "b@example.com"}, 409),
            "/access-links/redeem": (link, 404),
        }  # fmt: skip
        for path, (body, status) in refusals.items():
            for headers in ({}, customer):
                answers = await in_tens(
                    [lambda p=path, b=body, h=headers: client.post(p, json=b, headers={**h, **new_key()})] * 20
                )
                assert {answer.status_code for answer in answers} == {status}, (path, answers[0].text)
    assert rows(sql, "kept_answer") == 0


async def test_released_holds_leave_no_history_and_a_network_may_take_sixty_a_minute(
    serve: Serve, add_expert: AddExpert, sql: Connection
) -> None:
    expert = await add_expert(**SHORT_SESSIONS)
    servers = [serve(HOLDS_PER_MINUTE="60"), serve(HOLDS_PER_MINUTE="60")]
    async with httpx.AsyncClient(timeout=60) as client, httpx.AsyncClient(base_url=servers[0].url) as first:
        starts = await starts_of(first, expert, 40)

        async def hold_and_release(number: int) -> httpx.Response:
            url = servers[number % 2].url
            body = {"expertId": str(expert), "startsAt": starts[number % len(starts)]}
            answer = await client.post(f"{url}/holds", json=body, headers=new_key())
            if answer.status_code == 201:
                await client.delete(url + answer.headers["location"])
            return answer

        began = asyncio.get_running_loop().time()
        answers = await in_tens([lambda n=number: hold_and_release(n) for number in range(80)])
        took = asyncio.get_running_loop().time() - began
        # Exactly sixty, even in a race of two processes; more only if the run took longer than a minute.
        codes = Counter(answer.status_code for answer in answers)
        assert codes[201] == 60 or took > 60, codes
        refused = [answer for answer in answers if answer.status_code == 429]
        assert {answer.json()["code"] for answer in refused} == {"too_many_holds_per_minute"}
        assert all(0 < int(answer.headers["retry-after"]) <= 60 for answer in refused)
        again = await hold_and_release(0)
        assert again.status_code == 429 or asyncio.get_running_loop().time() - began > 60
    assert rows(sql, "booking_change") == 0
    assert rows(sql, "message") == 0
    assert rows(sql, "network_hold") == rows(sql, "booking") == codes[201]


async def test_form_over_the_hold_limit_says_so_and_can_still_book(serve: Serve, add_expert: AddExpert) -> None:
    expert = await add_expert(**SHORT_SESSIONS)
    async with httpx.AsyncClient(base_url=serve(HOLDS_PER_MINUTE="1").url, timeout=60) as client:
        first, second = await starts_of(client, expert, 2)
        assert (await client.post("/holds", json={"expertId": str(expert), "startsAt": first})).status_code == 201
        refused = await client.post("/holds", json={"expertId": str(expert), "startsAt": second})
        assert (refused.status_code, refused.json()["code"]) == (429, "too_many_holds_per_minute")
        assert refused.json()["detail"].endswith("You can still book without a hold.")
        booking = {
            "expertId": str(expert),
            "startsAt": second,
            "name": "A",
            "email": "a@example.com",
            "phone": "+44 20 7946 0000",
        }
        assert (await client.post("/bookings", json=booking)).status_code == 201
