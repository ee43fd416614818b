"""Two processes behind nginx: pages of one hear of the other, and go to the other when theirs is gone."""

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from playwright.async_api import Page

from tests.backing_servers import Nginx, require_program
from tests.browser.conftest import Excuse, Expert, Visit
from tests.browser.pages import (
    AT_ONCE,
    HOUR,
    Connection,
    book_button,
    bookings_at,
    connected,
    fill_in,
    holds,
    in_days,
    iso,
    request_json,
    says,
    sees,
    watches,
)
from tests.server import ServerProcess

COMES_BACK = 40_000  # milliseconds
Several = tuple[Nginx, list[ServerProcess]]


@pytest.fixture
def several(serve: Callable[..., ServerProcess], tmp_path: Path) -> Iterator[Several]:
    """Two servers, and nginx before them."""
    require_program("nginx")
    servers = [serve(), serve()]
    nginx = Nginx(tmp_path, servers).wait_until_alive()
    yield nginx, servers
    nginx.stop()


async def opened(visit: Visit, nginx: Nginx, path: str, process: int) -> Page:
    """A page that this process has made."""
    page = await visit(at=nginx.url)
    await page.context.add_cookies([{"name": "eb_route", "value": str(process), "url": nginx.url}])
    await page.goto(path)
    await connected(page)
    return page


async def process_of(page: Page) -> str:
    """Which process this browser goes to."""
    return next(one["value"] for one in await page.context.cookies() if one["name"] == "eb_route")


@pytest.mark.parametrize("end", ["sigterm", "kill"])
async def test_when_a_process_goes_its_pages_come_back_on_the_other_with_all_that_was_typed(
    several: Several, visit: Visit, jana: Expert, sql: Connection, excuse: Excuse, end: str
) -> None:
    excuse("WebSocket|ERR_|Failed to load resource|Failed to fetch")
    at, (nginx, (first, second)) = in_days(3), several
    board = await opened(visit, nginx, jana.page, 1)
    form = await opened(visit, nginx, f"/book/{jana.slug}?at={iso(at)}", 1)
    await fill_in(form, name="Ada Lovelace", email="ada@example.com", notes="Half a sen")
    await holds(form)
    await sees(board, at, "held")
    await watches(board, at + HOUR)

    # Made by the other process, seen on this one's page.
    async with httpx.AsyncClient(timeout=30) as program:
        made = await program.post(f"{second.url}/bookings", json=request_json(jana.id, at + HOUR))
    assert made.status_code == 201
    await sees(board, at + HOUR, "booked", within=AT_ONCE)
    async with httpx.AsyncClient(timeout=30) as program:
        mine = await program.post(f"{first.url}/bookings", json=request_json(jana.id, at + 2 * HOUR))
    assert mine.status_code == 201

    if end == "kill":
        first.kill()
    else:
        assert first.stop() == 0
        assert "Traceback" not in first.log_text()
    await board.wait_for_function("window.socket?.connected", timeout=COMES_BACK)
    await sees(board, at + 2 * HOUR, "booked", within=COMES_BACK)
    await form.wait_for_function("window.did_handshake && window.socket?.connected", timeout=COMES_BACK)
    await holds(form, within=COMES_BACK)
    await says(form, name="Ada Lovelace", email="ada@example.com", notes="Half a sen")
    await sees(board, at, "held")
    assert (await process_of(board), await process_of(form)) == ("2", "2")

    await watches(board, at + 3 * HOUR)
    await fill_in(form, phone="+44 20 7946 0000")
    await book_button(form).click()
    await form.wait_for_url("**/booking/*")
    await sees(board, at, "booked")
    for hours in range(3):
        assert bookings_at(sql, jana.id, at + hours * HOUR) == 1
