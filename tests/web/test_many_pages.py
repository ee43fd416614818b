"""Hundreds of pages on one process: closing them frees all their resources."""

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
EMPTY: Final = {"pages": 0, "subscribers": 0, "boards": 0, "next_free": 0, "rooms": 0}
AT_REST: Final = 40  # tasks: the workers, the server's own, and the test's inspection request
PATIENCE: Final = 60  # seconds


@asynccontextmanager
async def open_pages(server: WatchedServer) -> AsyncIterator[list[Viewer]]:
    """Open expert pages, and a listing for every tenth page; some visitors come with cookies."""
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


async def released(server: WatchedServer) -> dict[str, int]:
    """Wait until nothing of the pages is left, and return the resource counts of the process."""
    async with asyncio.timeout(PATIENCE):
        while server.resource_counts() != EMPTY or (weight := server.resource_usage())["tasks"] > AT_REST:  # noqa: ASYNC110
            await asyncio.sleep(1)  # an inspection costs the server more than a longer wait
    return weight


@pytest.fixture
def watched(database_url: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[WatchedServer]:
    """A server whose internals can be inspected."""
    with WatchedServer(tmp_path, database_url) as server:
        server.wait_until_alive()
        yield server
        server.stop()
    request.node.add_report_section("teardown", "log of the server", server.log_text()[-5000:])


async def test_opening_and_closing_500_pages_leaks_nothing(watched: WatchedServer, add_expert: AddExpert) -> None:
    for slug in SLUGS:
        await add_expert(slug=slug)
    weights: list[dict[str, int]] = []
    # Growth after the second round is either kept for each page, which is a leak, or a cache that is filling,
    # in which case the third round adds nothing.
    while len(weights) < 4 and not (len(weights) > 1 and is_leak_free(*weights[-2:])):
        async with open_pages(watched):
            alive = watched.resource_counts()
            assert (alive["pages"], alive["boards"], alive["next_free"]) == (PAGES, 4, 4)
            open_weight = watched.resource_usage()
        weights.append(await released(watched))
        assert open_weight["objects"] > weights[-1]["objects"] + 100 * PAGES
    assert is_leak_free(*weights[-2:]), weights


def is_leak_free(before: dict[str, int], after: dict[str, int]) -> bool:
    """Check for leaks: less than one object for every second page, less than 8 kB a page, and no tasks or timers."""
    return (
        after["behind"] == 0
        and after["tasks"] <= before["tasks"] + 10
        and after["timers"] <= before["timers"] + 10
        and after["objects"] < before["objects"] + PAGES / 2
        and after["memory"] < before["memory"] + 8 * PAGES
    )
