"""A page is up to date as soon as it reconnects: after a short break, a long one, or a server restart."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
from playwright.async_api import Page, expect

from expert_booking.db.engine import driver_url
from tests.browser.conftest import Excuse, Expert, Restart, Visit, WatchedServer
from tests.browser.pages import (
    HOUR,
    LIVE_UPDATE_MS,
    Connection,
    book_on_page,
    expect_slot,
    in_days,
    insert_booking,
    slot,
    wait_for_live_slot,
    wait_until,
    wait_until_connected,
)
from tests.server import ServerProcess

CONNECTION_LOST = "WebSocket|ERR_INTERNET_DISCONNECTED|ERR_CONNECTION_|Failed to load resource|Failed to fetch"


async def go_offline(page: Page) -> None:
    """Break the connection, as in a tunnel."""
    await page.context.set_offline(True)
    await page.evaluate("window.stayed = true; window.socket.io.engine.close()")
    await page.wait_for_function("!window.socket.connected")


async def go_online(page: Page) -> None:
    """Restore the connection."""
    await page.context.set_offline(False)
    await page.evaluate("window.socket.connect()")


async def test_short_disconnection_updates_the_same_page(
    visit: Visit, jana: Expert, sql: Connection, excuse: Excuse
) -> None:
    excuse(CONNECTION_LOST)
    at = in_days(3)
    away, there = await visit(jana.page), await visit(jana.page)
    await wait_for_live_slot(away, at)
    await wait_for_live_slot(there, at)
    await go_offline(away)
    insert_booking(sql, jana.id, at)
    await expect_slot(there, at, "booked", within=LIVE_UPDATE_MS)
    await expect_slot(away, at, "open")
    await go_online(away)
    await expect_slot(away, at, "booked")
    assert await away.evaluate("window.stayed"), "the page was reloaded"
    # It receives events again.
    insert_booking(sql, jana.id, at + HOUR)
    await expect_slot(away, at + HOUR, "booked", within=LIVE_UPDATE_MS)


async def test_long_disconnection_reloads_the_page(
    visit: Visit, watched: WatchedServer, jana: Expert, sql: Connection, excuse: Excuse
) -> None:
    excuse(CONNECTION_LOST)
    at = in_days(3)
    page = await visit(jana.page, at=watched.url)
    await wait_for_live_slot(page, at)
    await go_offline(page)
    await wait_until(lambda: watched.resource_counts()["pages"] == 0, "the server to remove the page")
    insert_booking(sql, jana.id, at)
    async with page.expect_navigation():
        await go_online(page)
    await expect_slot(page, at, "booked")
    await wait_for_live_slot(page, at + HOUR)
    insert_booking(sql, jana.id, at + HOUR)
    await expect_slot(page, at + HOUR, "booked", within=LIVE_UPDATE_MS)


async def test_all_page_kinds_are_updated_after_a_short_disconnection(
    visit: Visit, jana: Expert, sql: Connection, excuse: Excuse
) -> None:
    excuse(CONNECTION_LOST)
    at = in_days(3)
    booking = await visit()
    number = await book_on_page(booking, jana.slug, at)
    mine, form, listing = [await booking.context.new_page() for _ in range(3)]
    await mine.goto("/my-bookings")
    await form.goto(f"/book/{jana.slug}?at={(at + HOUR).isoformat()[:19]}Z")
    await form.get_by_label("Name").fill("Ada")
    await listing.goto(f"/?search={jana.name}")
    everything = (booking, mine, form, listing)
    for page in everything:
        await wait_until_connected(page)
    free = await listing.locator("[data-next]").inner_text()
    for page in everything:
        await go_offline(page)
    sql.execute("UPDATE booking SET status = 'confirmed' WHERE id = %s", [number])
    insert_booking(sql, jana.id, at + HOUR)
    sql.execute("UPDATE availability_rule SET opens_minute = 601, closes_minute = 1021 WHERE expert_id = %s", [jana.id])
    for page in everything:
        await go_online(page)
    await expect(booking.locator("section[data-booking]")).to_have_attribute("data-status", "confirmed")
    await expect(mine.locator(f'[data-booking="{number}"]')).to_have_attribute("data-status", "confirmed")
    await expect(form.locator("[data-refusal]")).to_be_visible()
    await expect(form.get_by_label("Name")).to_have_value("Ada")
    await expect(listing.locator("[data-next]")).to_contain_text(":01")
    assert ":01" not in free
    for page in everything:
        assert await page.evaluate("window.stayed"), f"{page.url} was reloaded"


async def test_page_that_missed_a_message_requests_the_whole_board(visit: Visit, jana: Expert, sql: Connection) -> None:
    at = in_days(3)
    deaf, hearing = await visit(jana.page), await visit(jana.page)
    await wait_for_live_slot(deaf, at)
    await wait_for_live_slot(hearing, at)
    await deaf.evaluate("window.ears = window.socket.listeners('slots'); window.socket.off('slots')")
    insert_booking(sql, jana.id, at)
    await expect_slot(hearing, at, "booked", within=LIVE_UPDATE_MS)
    await deaf.evaluate("window.ears.forEach((ear) => window.socket.on('slots', ear))")
    await expect_slot(deaf, at, "open")
    insert_booking(sql, jana.id, at + HOUR)
    await expect_slot(deaf, at, "booked", within=LIVE_UPDATE_MS)
    await expect_slot(deaf, at + HOUR, "booked", within=LIVE_UPDATE_MS)


async def test_changes_between_page_load_and_connection_are_shown(visit: Visit, jana: Expert, sql: Connection) -> None:
    at = in_days(3)
    first = await visit("/my-bookings")  # sets the zone cookie, so the next pages are served with their content
    board, listing, early = [await first.context.new_page() for _ in range(3)]
    await early.goto(f"/?search={jana.name}")
    await wait_until_connected(early)
    held: list[Callable[[], object]] = []
    for page in (board, listing):
        await page.route_web_socket("**/socket.io/**", lambda socket: held.append(socket.connect_to_server))
    await board.goto(jana.page)
    await listing.goto(f"/?search={jana.name}")
    await expect_slot(board, at, "open")
    await expect(listing.locator("[data-next]")).to_contain_text(":00")
    insert_booking(sql, jana.id, at)
    sql.execute("UPDATE availability_rule SET opens_minute = 601, closes_minute = 1021 WHERE expert_id = %s", [jana.id])
    await expect(early.locator("[data-next]")).to_contain_text(":01")
    await wait_until(lambda: len(held) >= 2, "both pages to open their websockets")
    for connect in held:
        connect()
    await expect(slot(board, at)).to_have_count(0)
    await expect(listing.locator("[data-next]")).to_contain_text(":01")


async def test_open_pages_are_updated_after_a_server_restart(
    serve: Callable[..., ServerProcess], restart: Restart, visit: Visit, jana: Expert, sql: Connection, excuse: Excuse
) -> None:
    excuse(CONNECTION_LOST)
    at, server = in_days(3), serve()
    booking = await visit(at=server.url)
    number = await book_on_page(booking, jana.slug, at + HOUR)
    board = await visit(jana.page, at=server.url)
    await wait_for_live_slot(board, at)
    server.stop()
    await board.wait_for_function("!window.socket.connected")
    insert_booking(sql, jana.id, at)
    sql.execute("UPDATE booking SET status = 'confirmed' WHERE id = %s", [number])
    server = restart(server)
    await expect_slot(board, at, "booked")
    await expect(booking.locator("section[data-booking]")).to_have_attribute("data-status", "confirmed")
    await wait_for_live_slot(board, at + 2 * HOUR)
    insert_booking(sql, jana.id, at + 2 * HOUR)
    await expect_slot(board, at + 2 * HOUR, "booked", within=LIVE_UPDATE_MS)


async def test_pages_are_updated_after_the_listening_connection_was_terminated(
    server_url: str, serve: Callable[..., ServerProcess], visit: Visit, jana: Expert, sql: Connection
) -> None:
    at, server = in_days(3), serve()
    page = await visit(jana.page, at=server.url)
    await wait_for_live_slot(page, at)
    with database_unreachable(server_url, sql):
        insert_booking(sql, jana.id, at)  # no process receives the notification
    await expect_slot(page, at, "booked")
    insert_booking(sql, jana.id, at + HOUR)
    await expect_slot(page, at + HOUR, "booked")
    assert "the feed's connection was lost" in server.log_text()


@contextmanager
def database_unreachable(server_url: str, sql: Connection) -> Iterator[None]:
    """Terminate all connections except this one and refuse new ones inside the block."""
    with psycopg.connect(driver_url(server_url), autocommit=True) as admin:
        name = sql.info.dbname
        admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        try:
            ended = admin.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s AND pid <> %s",
                [name, sql.info.backend_pid],
            ).fetchall()
            assert ended
            yield
        finally:
            admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
