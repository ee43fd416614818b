"""Two processes behind nginx behave as one site, also while they are replaced."""

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
Site = tuple[Nginx, list[ServerProcess]]
# Seconds between requests: a steady load that leaves a busy machine time to start a process.
PAUSE = 0.1
ALWAYS_OPEN = {"hours": (0, 1440), "minutes": 15, "step_minutes": 15}


@pytest.fixture
def site(serve: Serve, tmp_path: Path) -> Iterator[Site]:
    """nginx and the two servers behind it."""
    require_program("nginx")
    servers = [serve(), serve()]
    nginx = Nginx(tmp_path, servers).wait_until_alive()
    yield nginx, servers
    nginx.stop()


def test_nginx_accepts_the_shipped_configuration() -> None:
    result = subprocess.run(
        [require_program("nginx"), "-t", "-c", str(SHIPPED)], capture_output=True, text=True, check=False
    )
    assert "syntax is ok" in result.stderr, result.stderr


async def test_two_processes_behave_as_one_site(
    site: Site, add_expert: AddExpert, services: Any, sql: Connection
) -> None:
    """A browser stays with one process, but proofs, bookings and stored responses are valid at both."""
    nginx, servers = site
    expert = await add_expert(**ALWAYS_OPEN)
    async with httpx.AsyncClient(base_url=nginx.url, timeout=60) as browser:
        page = await browser.get("/", headers={"Accept-Encoding": "gzip"})
        assert page.status_code == 200
        assert page.headers["content-encoding"] == "gzip"
        assert re.fullmatch("[0-9a-f]{32}", page.headers["x-request-id"])
        assert "nginx/" not in page.headers["server"]
        route = browser.cookies["eb_route"]
        # The routing cookie is set once and kept.
        for _ in range(3):
            assert "eb_route" not in (await browser.get("/my-bookings")).headers.get("set-cookie", "")
        assert browser.cookies["eb_route"] == route

        # The other process replays the response to a repeated POST.
        slots = await open_slots(browser, expert)
        key_header = {"Idempotency-Key": "one-of-two"}
        responses = [
            await httpx.AsyncClient(base_url=server.url, timeout=60).post(
                "/bookings", json=booking_of(expert, startsAt=slots[0]), headers=key_header
            )
            for server in servers
        ]
        assert [answer.status_code for answer in responses] == [201, 201]
        assert responses[0].json() == responses[1].json()
        key = {"Authorization": f"Bearer {responses[0].json()['accessToken']}"}
        seen = await httpx.AsyncClient(base_url=servers[1].url).get(
            f"/bookings/{responses[0].json()['id']}", headers=key
        )
        assert seen.status_code == 200

        # An access link requested at one process works at the other.
        first_server = httpx.AsyncClient(base_url=servers[0].url)
        assert (await first_server.post("/access-links", json={"email": "ada@example.com"})).status_code == 202
        row = sql.execute("SELECT id FROM access_request").fetchone()
        assert row is not None
        second_server = httpx.AsyncClient(base_url=servers[1].url)
        redeemed = await second_server.post("/access-links/redeem", json={"link": SignedKeys(SECRET_KEY).link(row[0])})
        assert redeemed.status_code == 200, redeemed.text

        # A cookie signed by one process identifies the same visitor at the other.
        first = httpx.AsyncClient(base_url=servers[0].url)
        await first.get(f"/book/{expert}?at={slots[1]}", follow_redirects=True)
        signed = first.cookies["eb_browser"]
        other = httpx.AsyncClient(base_url=servers[1].url, cookies={"eb_browser": signed})
        answer = await other.get("/my-bookings")
        assert answer.status_code == 200
        assert visitor_in(signed) == visitor_in(answer.cookies.get("eb_browser", signed))


async def test_forwarded_for_header_of_a_browser_is_ignored(site: Site, add_expert: AddExpert, sql: Connection) -> None:
    nginx, _ = site
    expert = await add_expert(**ALWAYS_OPEN)
    async with httpx.AsyncClient(base_url=nginx.url, timeout=60) as client:
        slots = await open_slots(client, expert)
        for number, start in enumerate(slots[:3]):
            headers = {"X-Forwarded-For": f"198.51.100.{number}"}
            held = await client.post("/holds", json={"expertId": str(expert), "startsAt": start}, headers=headers)
            assert held.status_code == 201
        assert sql.execute("SELECT count(DISTINCT hold_origin) FROM booking").fetchone() == (1,)
        too_long = await client.post("/bookings", content=b"x" * 200_000)
        assert too_long.status_code == 413


@pytest.mark.timeout(300)
async def test_both_processes_are_replaced_under_load_without_a_failed_request(
    site: Site, add_expert: AddExpert, sql: Connection, database_url: str, tmp_path: Path
) -> None:
    nginx, servers = site
    expert = await add_expert(**ALWAYS_OPEN)
    stop = asyncio.Event()
    answers: Counter[tuple[str, int]] = Counter()
    booked: list[str] = []

    async with httpx.AsyncClient(base_url=nginx.url, timeout=60) as client:
        slots = iter(await open_slots(client, expert))

    async def book_slots() -> None:
        while not stop.is_set() and (start := next(slots, None)):
            # A new browser each time, so that both processes get requests.
            async with httpx.AsyncClient(base_url=nginx.url, timeout=60) as client:
                answer = await client.post("/bookings", json=booking_of(expert, startsAt=start))
            answers["book", answer.status_code] += 1
            await asyncio.sleep(PAUSE)
            if answer.status_code == 201:
                booked.append(answer.json()["id"])

    async def view_page() -> None:
        # One browser whose cookie leads it to the same process as long as that process runs.
        async with httpx.AsyncClient(base_url=nginx.url, timeout=60) as client:
            while not stop.is_set():
                answers["look", (await client.get(f"/expert/{expert}")).status_code] += 1
                await asyncio.sleep(PAUSE)

    load = [asyncio.create_task(one) for one in (book_slots(), book_slots(), book_slots(), view_page(), view_page())]
    new: list[ServerProcess] = []
    try:
        for server in servers:
            before = answers.total()
            new.append(await asyncio.to_thread(restart, server, tmp_path, database_url))
            async with asyncio.timeout(60):
                while answers.total() < before + 20:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
        stop.set()
        await asyncio.gather(*load)
    finally:
        stop.set()
        await asyncio.gather(*load, return_exceptions=True)
        for process in new:
            process.stop()
    assert set(answers) == {("book", 201), ("look", 200)}, answers
    live = sql.execute("SELECT id::text FROM booking WHERE status = 'pending' OR status = 'confirmed'").fetchall()
    assert sorted(booked) == sorted(one for (one,) in live)


async def open_slots(client: httpx.AsyncClient, expert: object) -> list[str]:
    """The open starts from tomorrow on."""
    today = datetime.now(UTC).date()
    days = {"from": str(today + timedelta(days=1)), "to": str(today + timedelta(days=12))}
    found = (await client.get(f"/experts/{expert}/slots", params=days)).json()["slots"]
    return [slot["startsAt"] for slot in found if slot["state"] == "open"]


def visitor_in(cookie: str) -> str:
    """The visitor id in the cookie, without time and signature."""
    return cookie.split(".")[0]
