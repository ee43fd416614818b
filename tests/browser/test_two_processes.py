"""Two server processes behind nginx: events reach the pages of both, and pages of a stopped one reconnect."""

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from playwright.async_api import Page

from tests.backing_servers import Nginx, require_program
from tests.browser.conftest import Excuse, Expert, Visit
from tests.browser.pages import (
    HOUR,
    LIVE_UPDATE_MS,
    Connection,
    book_button,
    bookings_at,
    expect_form,
    expect_held,
    expect_slot,
    fill_in,
    in_days,
    iso,
    request_json,
    wait_for_live_slot,
    wait_until_connected,
)
from tests.server import ServerProcess

RECONNECT_MS = 40_000  # milliseconds
Several = tuple[Nginx, list[ServerProcess]]


@pytest.fixture
def several(serve: Callable[..., ServerProcess], tmp_path: Path) -> Iterator[Several]:
    """Two server processes behind nginx."""
    require_program("nginx")
    servers = [serve(), serve()]
    nginx = Nginx(tmp_path, servers).wait_until_alive()
    yield nginx, servers
    nginx.stop()


async def open_page(visit: Visit, nginx: Nginx, path: str, process: int) -> Page:
    """Open a page on a given server process."""
    page = await visit(at=nginx.url)
    await page.context.add_cookies([{"name": "eb_route", "value": str(process), "url": nginx.url}])
    await page.goto(path)
    await wait_until_connected(page)
    return page


async def process_of(page: Page) -> str:
    """Return the server process that this browser is routed to."""
    return next(one["value"] for one in await page.context.cookies() if one["name"] == "eb_route")


@pytest.mark.parametrize("end", ["sigterm", "kill"])
async def test_pages_of_a_stopped_process_reconnect_to_the_other_with_their_input(
    several: Several, visit: Visit, jana: Expert, sql: Connection, excuse: Excuse, end: str
) -> None:
    excuse("WebSocket|ERR_|Failed to load resource|Failed to fetch")
    at, (nginx, (first, second)) = in_days(3), several
    board = await open_page(visit, nginx, jana.page, 1)
    form = await open_page(visit, nginx, f"/book/{jana.slug}?at={iso(at)}", 1)
    await fill_in(form, name="Ada Lovelace", email="ada@example.com", notes="Half a sen")
    await expect_held(form)
    await expect_slot(board, at, "held")
    await wait_for_live_slot(board, at + HOUR)

    # A booking through the other process shows on a page of this one.
    async with httpx.AsyncClient(timeout=30) as program:
        made = await program.post(f"{second.url}/bookings", json=request_json(jana.id, at + HOUR))
    assert made.status_code == 201
    await expect_slot(board, at + HOUR, "booked", within=LIVE_UPDATE_MS)
    async with httpx.AsyncClient(timeout=30) as program:
        mine = await program.post(f"{first.url}/bookings", json=request_json(jana.id, at + 2 * HOUR))
    assert mine.status_code == 201

    if end == "kill":
        first.kill()
    else:
        assert first.stop() == 0
        assert "Traceback" not in first.log_text()
    await board.wait_for_function("window.socket?.connected", timeout=RECONNECT_MS)
    await expect_slot(board, at + 2 * HOUR, "booked", within=RECONNECT_MS)
    await form.wait_for_function("window.did_handshake && window.socket?.connected", timeout=RECONNECT_MS)
    await expect_held(form, within=RECONNECT_MS)
    await expect_form(form, name="Ada Lovelace", email="ada@example.com", notes="Half a sen")
    await expect_slot(board, at, "held")
    assert (await process_of(board), await process_of(form)) == ("2", "2")

    await wait_for_live_slot(board, at + 3 * HOUR)
    await fill_in(form, phone="+44 20 7946 0000")
    await book_button(form).click()
    await form.wait_for_url("**/booking/*")
    await expect_slot(board, at, "booked")
    for hours in range(3):
        assert bookings_at(sql, jana.id, at + hours * HOUR) == 1
