"""Hundreds of pages on one process: what they take, they give back."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import httpx
import pytest

from tests.conftest import AddExpert
from tests.page_viewer import Viewer
from tests.server import WatchedServer

PAGES: Final = 500
SLUGS: Final = [f"expert-{number}" for number in range(4)]
NOTHING: Final = {"pages": 0, "subscribers": 0, "boards": 0, "next_free": 0, "rooms": 0}
AT_REST: Final = 40  # tasks: workers, the server's own, and whoever looks
PATIENCE: Final = 60  # seconds


@asynccontextmanager
async def open_pages(server: WatchedServer) -> AsyncIterator[list[Viewer]]:
    """Expert pages, and every tenth one a listing; some visitors have been here before."""
    paths = ["/" if number % 10 == 0 else f"/expert/{SLUGS[number % len(SLUGS)]}" for number in range(PAGES)]
    pages: list[Viewer] = []

    async def visitor() -> None:
        async with httpx.AsyncClient(base_url=server.url, timeout=PATIENCE) as browser:
            browser.cookies.set("zone", "Europe/Berlin")
            while paths:
                pages.append(await Viewer.open(browser, paths.pop()))

    await asyncio.gather(*(visitor() for _ in range(4)))
    yield pages
    await asyncio.gather(*(page.close() for page in pages))


async def given_back(server: WatchedServer) -> dict[str, int]:
    """What the process weighs when nothing is left of its pages."""
    async with asyncio.timeout(PATIENCE):
        while server.resource_counts() != NOTHING or (weight := server.resource_usage())["tasks"] > AT_REST:  # noqa: ASYNC110
            await asyncio.sleep(1)  # looking costs the server more than waiting
    return weight


@pytest.fixture
def watched(database_url: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[WatchedServer]:
    """A server that can be looked into."""
    with WatchedServer(tmp_path, database_url) as server:
        server.wait_until_alive()
        yield server
        server.stop()
    request.node.add_report_section("teardown", "log of the server", server.log_text()[-5000:])


async def test_five_hundred_pages_that_are_opened_and_closed_give_everything_back(
    watched: WatchedServer, add_expert: AddExpert
) -> None:
    for slug in SLUGS:
        await add_expert(slug=slug)
    weights: list[dict[str, int]] = []
    # What is there more after the second time is kept for each page; or it is somebody's cache, and the third time
    # there is no more of it.
    while len(weights) < 4 and not (len(weights) > 1 and light(*weights[-2:])):
        async with open_pages(watched):
            alive = watched.resource_counts()
            assert (alive["pages"], alive["boards"], alive["next_free"]) == (PAGES, 4, 4)
            open_weight = watched.resource_usage()
        weights.append(await given_back(watched))
        assert open_weight["objects"] > weights[-1]["objects"] + 100 * PAGES
    assert light(*weights[-2:]), weights


def light(before: dict[str, int], after: dict[str, int]) -> bool:
    """Whether nothing is left: not of every second page one object, nor of each 8 kB, nor any task or timer."""
    return (
        after["behind"] == 0
        and after["tasks"] <= before["tasks"] + 10
        and after["timers"] <= before["timers"] + 10
        and after["objects"] < before["objects"] + PAGES / 2
        and after["memory"] < before["memory"] + 8 * PAGES
    )
