"""Two processes behind nginx are one site: whoever answers, and while they are replaced."""

import asyncio
import re
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from expert_booking.domain.signed_keys import SignedKeys
from tests.api.conftest import booking_of
from tests.backing_servers import SHIPPED, Nginx, require_program, restart
from tests.conftest import AddExpert
from tests.server import SECRET_KEY, ServerProcess

Connection = psycopg.Connection[tuple[Any, ...]]
Serve = Callable[..., ServerProcess]
Several = tuple[Nginx, list[ServerProcess]]
# A steady load, in which a process can start on a busy machine too.
BREATH = 0.1
DAY_AND_NIGHT = {"hours": (0, 1440), "minutes": 15, "step_minutes": 15}


@pytest.fixture
def several(serve: Serve, tmp_path: Path) -> Iterator[Several]:
    """Two servers, and nginx before them."""
    require_program("nginx")
    servers = [serve(), serve()]
    nginx = Nginx(tmp_path, servers).wait_until_alive()
    yield nginx, servers
    nginx.stop()


def test_nginx_accepts_the_shipped_configuration() -> None:
    judged = subprocess.run(
        [require_program("nginx"), "-t", "-c", str(SHIPPED)], capture_output=True, text=True, check=False
    )
    assert "syntax is ok" in judged.stderr, judged.stderr


async def test_two_processes_behave_as_one_site(
    several: Several, add_expert: AddExpert, services: Any, sql: Connection
) -> None:
    """A browser stays with its process; what it proved, booked and asked for counts with every other."""
    nginx, servers = several
    expert = await add_expert(**DAY_AND_NIGHT)
    async with httpx.AsyncClient(base_url=nginx.url, timeout=60) as browser:
        page = await browser.get("/", headers={"Accept-Encoding": "gzip"})
        assert page.status_code == 200
        assert page.headers["content-encoding"] == "gzip"
        assert re.fullmatch("[0-9a-f]{32}", page.headers["x-request-id"])
        assert "nginx/" not in page.headers["server"]
        route = browser.cookies["eb_route"]
        # It is told once, and kept.
        for _ in range(3):
            assert "eb_route" not in (await browser.get("/my-bookings")).headers.get("set-cookie", "")
        assert browser.cookies["eb_route"] == route

        # A POST that is sent again with its key is answered by the other process in the same words.
        slots = await open_slots(browser, expert)
        asked = {"Idempotency-Key": "one-of-two"}
        made = [
            await httpx.AsyncClient(base_url=server.url, timeout=60).post(
                "/bookings", json=booking_of(expert, startsAt=slots[0]), headers=asked
            )
            for server in servers
        ]
        assert [answer.status_code for answer in made] == [201, 201]
        assert made[0].json() == made[1].json()
        key = {"Authorization": f"Bearer {made[0].json()['accessToken']}"}
        seen = await httpx.AsyncClient(base_url=servers[1].url).get(f"/bookings/{made[0].json()['id']}", headers=key)
        assert seen.status_code == 200

        # An access link that one was asked for opens at the other.
        there = httpx.AsyncClient(base_url=servers[0].url)
        assert (await there.post("/access-links", json={"email": "ada@example.com"})).status_code == 202
        row = sql.execute("SELECT id FROM access_request").fetchone()
        assert row is not None
        elsewhere = httpx.AsyncClient(base_url=servers[1].url)
        redeemed = await elsewhere.post("/access-links/redeem", json={"link": SignedKeys(SECRET_KEY).link(row[0])})
        assert redeemed.status_code == 200, redeemed.text

        # And the cookie that one has signed is that of the same visitor to the other: who forged it has a new one.
        first = httpx.AsyncClient(base_url=servers[0].url)
        await first.get(f"/book/{expert}?at={slots[1]}", follow_redirects=True)
        signed = first.cookies["eb_browser"]
        other = httpx.AsyncClient(base_url=servers[1].url, cookies={"eb_browser": signed})
        answer = await other.get("/my-bookings")
        assert answer.status_code == 200
        assert visitor_in(signed) == visitor_in(answer.cookies.get("eb_browser", signed))


async def test_forwarded_for_header_of_a_browser_is_ignored(
    several: Several, add_expert: AddExpert, sql: Connection
) -> None:
    nginx, _ = several
    expert = await add_expert(**DAY_AND_NIGHT)
    async with httpx.AsyncClient(base_url=nginx.url, timeout=60) as client:
        slots = await open_slots(client, expert)
        for number, start in enumerate(slots[:3]):
            said = {"X-Forwarded-For": f"198.51.100.{number}"}
            held = await client.post("/holds", json={"expertId": str(expert), "startsAt": start}, headers=said)
            assert held.status_code == 201
        assert sql.execute("SELECT count(DISTINCT hold_origin) FROM booking").fetchone() == (1,)
        too_long = await client.post("/bookings", content=b"x" * 200_000)
        assert too_long.status_code == 413


@pytest.mark.timeout(300)
async def test_both_processes_are_replaced_under_load_without_a_failed_request(
    several: Several, add_expert: AddExpert, sql: Connection, database_url: str, tmp_path: Path
) -> None:
    nginx, servers = several
    expert = await add_expert(**DAY_AND_NIGHT)
    over = asyncio.Event()
    answers: Counter[tuple[str, int]] = Counter()
    booked: list[str] = []

    async with httpx.AsyncClient(base_url=nginx.url, timeout=60) as client:
        slots = iter(await open_slots(client, expert))

    async def books() -> None:
        while not over.is_set() and (start := next(slots, None)):
            # A browser of its own each time, so both are asked.
            async with httpx.AsyncClient(base_url=nginx.url, timeout=60) as client:
                answer = await client.post("/bookings", json=booking_of(expert, startsAt=start))
            answers["book", answer.status_code] += 1
            await asyncio.sleep(BREATH)
            if answer.status_code == 201:
                booked.append(answer.json()["id"])

    async def looks() -> None:
        # One that comes again and again, by its cookie to the same process as long as that is there.
        async with httpx.AsyncClient(base_url=nginx.url, timeout=60) as client:
            while not over.is_set():
                answers["look", (await client.get(f"/expert/{expert}")).status_code] += 1
                await asyncio.sleep(BREATH)

    load = [asyncio.create_task(one) for one in (books(), books(), books(), looks(), looks())]
    new: list[ServerProcess] = []
    try:
        for server in servers:
            before = answers.total()
            new.append(await asyncio.to_thread(restart, server, tmp_path, database_url))
            async with asyncio.timeout(60):
                while answers.total() < before + 20:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
        over.set()
        await asyncio.gather(*load)
    finally:
        over.set()
        await asyncio.gather(*load, return_exceptions=True)
        for process in new:
            process.stop()
    assert set(answers) == {("book", 201), ("look", 200)}, answers
    kept = sql.execute("SELECT id::text FROM booking WHERE status = 'pending' OR status = 'confirmed'").fetchall()
    assert sorted(booked) == sorted(one for (one,) in kept)


async def open_slots(client: httpx.AsyncClient, expert: object) -> list[str]:
    """The starts that are free from tomorrow on."""
    today = datetime.now(UTC).date()
    days = {"from": str(today + timedelta(days=1)), "to": str(today + timedelta(days=12))}
    found = (await client.get(f"/experts/{expert}/slots", params=days)).json()["slots"]
    return [slot["startsAt"] for slot in found if slot["state"] == "open"]


def visitor_in(cookie: str) -> str:
    """What our cookie holds, without its time and signature."""
    return cookie.split(".")[0]
