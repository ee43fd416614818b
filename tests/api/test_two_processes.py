"""Two servers on one database, as behind a load balancer."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import httpx
import psycopg

from tests.api.conftest import booking_of, check_problem
from tests.conftest import AddExpert
from tests.server import ServerProcess

Connection = psycopg.Connection[tuple[Any, ...]]
Serve = Callable[..., ServerProcess]


async def test_fifty_posts_to_each_of_two_servers_make_one_booking(
    serve: Serve, add_expert: AddExpert, sql: Connection
) -> None:
    expert = await add_expert()
    servers = [serve(), serve()]
    async with httpx.AsyncClient(timeout=60, limits=httpx.Limits(max_connections=100)) as client:
        # The servers use the real clock, so take the expert's next free start.
        days = await client.get(f"{servers[0].url}/experts/{expert}")
        first = days.json()["nextAvailable"]
        requests = (
            client.post(f"{server.url}/bookings", json=booking_of(expert, startsAt=first, email=f"p{n}@example.com"))
            for n in range(50)
            for server in servers
        )
        answers = await asyncio.gather(*requests)
        assert Counter(answer.status_code for answer in answers) == {201: 1, 409: 99}
        for answer in answers:
            if answer.status_code == 409:
                check_problem(answer, 409, "slot_taken")
        assert sql.execute("SELECT count(*) FROM booking").fetchone() == (1,)
        # Both servers report the new next free start.
        next_free = [(await client.get(f"{server.url}/experts/{expert}")).json()["nextAvailable"] for server in servers]
    assert next_free[0] == next_free[1] > first
    for server in servers:
        since = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - since < 8
        assert "Traceback" not in server.log_text()


async def test_after_a_server_is_killed_under_load_the_other_one_books_the_slot_once(
    serve: Serve, add_expert: AddExpert, sql: Connection
) -> None:
    expert = await add_expert()
    doomed, other = serve(), serve()

    async with httpx.AsyncClient(timeout=60, limits=httpx.Limits(max_connections=100)) as client:
        first = (await client.get(f"{other.url}/experts/{expert}")).json()["nextAvailable"]

        async def post(server: ServerProcess) -> int:
            try:
                return (
                    await client.post(f"{server.url}/bookings", json=booking_of(expert, startsAt=first))
                ).status_code
            except httpx.TransportError:
                return 0

        posts = [asyncio.create_task(post(doomed)) for _ in range(40)]
        await asyncio.wait(posts, return_when=asyncio.FIRST_COMPLETED)
        doomed.kill()
        answers = await asyncio.gather(*posts)
        assert set(answers) <= {0, 201, 409}
        assert answers.count(201) <= 1
        later = await asyncio.gather(*(post(other) for _ in range(10)))
    assert sorted(set(later)) in ([409], [201, 409])
    assert sql.execute("SELECT count(*) FROM booking").fetchone() == (1,)
