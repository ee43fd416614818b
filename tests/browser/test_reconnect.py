"""A page that was away is right as soon as it is back: after a moment, after an afternoon, after a restart."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
from playwright.async_api import Page, expect

from expert_booking.db.engine import driver_url
from tests.browser.conftest import Excuse, Expert, Restart, Visit, WatchedServer
from tests.browser.pages import (
    AT_ONCE,
    HOUR,
    Connection,
    book_on,
    by_hand,
    connected,
    in_days,
    sees,
    slot,
    until,
    watches,
)
from tests.serving import ServerProcess

CONNECTION_LOST = "WebSocket|ERR_INTERNET_DISCONNECTED|ERR_CONNECTION_|Failed to load resource|Failed to fetch"


async def goes_away(page: Page) -> None:
    """The connection breaks, as in a tunnel."""
    await page.context.set_offline(True)
    await page.evaluate("window.stayed = true; window.socket.io.engine.close()")
    await page.wait_for_function("!window.socket.connected")


async def comes_back(page: Page) -> None:
    """The tunnel ends."""
    await page.context.set_offline(False)
    await page.evaluate("window.socket.connect()")


async def test_after_a_short_absence_the_same_page_is_right_again(
    visit: Visit, jana: Expert, sql: Connection, excuse: Excuse
) -> None:
    excuse(CONNECTION_LOST)
    at = in_days(3)
    away, there = await visit(jana.page), await visit(jana.page)
    await watches(away, at)
    await watches(there, at)
    await goes_away(away)
    by_hand(sql, jana.id, at)
    await sees(there, at, "booked", within=AT_ONCE)
    await sees(away, at, "open")
    await comes_back(away)
    await sees(away, at, "booked")
    assert await away.evaluate("window.stayed"), "the page was loaded anew"
    # It hears again, too.
    by_hand(sql, jana.id, at + HOUR)
    await sees(away, at + HOUR, "booked", within=AT_ONCE)


async def test_after_a_long_absence_the_page_is_loaded_anew_and_right(
    visit: Visit, watched: WatchedServer, jana: Expert, sql: Connection, excuse: Excuse
) -> None:
    excuse(CONNECTION_LOST)
    at = in_days(3)
    page = await visit(jana.page, at=watched.url)
    await watches(page, at)
    await goes_away(page)
    await until(lambda: watched.inside()["pages"] == 0, "the server to give the page up")
    by_hand(sql, jana.id, at)
    async with page.expect_navigation():
        await comes_back(page)
    await sees(page, at, "booked")
    await watches(page, at + HOUR)
    by_hand(sql, jana.id, at + HOUR)
    await sees(page, at + HOUR, "booked", within=AT_ONCE)


async def test_listing_bookings_and_form_are_right_again_after_a_short_absence(
    visit: Visit, jana: Expert, sql: Connection, excuse: Excuse
) -> None:
    excuse(CONNECTION_LOST)
    at = in_days(3)
    booking = await visit()
    number = await book_on(booking, jana.slug, at)
    mine, form, listing = [await booking.context.new_page() for _ in range(3)]
    await mine.goto("/my-bookings")
    await form.goto(f"/book/{jana.slug}?at={(at + HOUR).isoformat()[:19]}Z")
    await form.get_by_label("Name").fill("Ada")
    await listing.goto(f"/?search={jana.name}")
    everything = (booking, mine, form, listing)
    for page in everything:
        await connected(page)
    free = await listing.locator("[data-next]").inner_text()
    for page in everything:
        await goes_away(page)
    sql.execute("UPDATE booking SET status = 'confirmed' WHERE id = %s", [number])
    by_hand(sql, jana.id, at + HOUR)
    sql.execute("UPDATE availability_rule SET opens_minute = 601, closes_minute = 1021 WHERE expert_id = %s", [jana.id])
    for page in everything:
        await comes_back(page)
    await expect(booking.locator("section[data-booking]")).to_have_attribute("data-status", "confirmed")
    await expect(mine.locator(f'[data-booking="{number}"]')).to_have_attribute("data-status", "confirmed")
    await expect(form.locator("[data-refusal]")).to_be_visible()
    await expect(form.get_by_label("Name")).to_have_value("Ada")
    await expect(listing.locator("[data-next]")).to_contain_text(":01")
    assert ":01" not in free
    for page in everything:
        assert await page.evaluate("window.stayed"), f"{page.url} was loaded anew"


async def test_a_page_that_has_missed_one_message_asks_for_the_whole_board(
    visit: Visit, jana: Expert, sql: Connection
) -> None:
    at = in_days(3)
    deaf, hearing = await visit(jana.page), await visit(jana.page)
    await watches(deaf, at)
    await watches(hearing, at)
    await deaf.evaluate("window.ears = window.socket.listeners('slots'); window.socket.off('slots')")
    by_hand(sql, jana.id, at)
    await sees(hearing, at, "booked", within=AT_ONCE)
    await deaf.evaluate("window.ears.forEach((ear) => window.socket.on('slots', ear))")
    await sees(deaf, at, "open")
    by_hand(sql, jana.id, at + HOUR)
    await sees(deaf, at, "booked", within=AT_ONCE)
    await sees(deaf, at + HOUR, "booked", within=AT_ONCE)


async def test_what_happens_between_delivery_and_connection_is_shown_on_the_board_and_in_the_listing(
    visit: Visit, jana: Expert, sql: Connection
) -> None:
    at = in_days(3)
    first = await visit("/my-bookings")  # the zone is known afterwards, so pages are delivered with their content
    board, listing, early = [await first.context.new_page() for _ in range(3)]
    await early.goto(f"/?search={jana.name}")
    await connected(early)
    held: list[Callable[[], object]] = []
    for page in (board, listing):
        await page.route_web_socket("**/socket.io/**", lambda socket: held.append(socket.connect_to_server))
    await board.goto(jana.page)
    await listing.goto(f"/?search={jana.name}")
    await sees(board, at, "open")
    await expect(listing.locator("[data-next]")).to_contain_text(":00")
    by_hand(sql, jana.id, at)
    sql.execute("UPDATE availability_rule SET opens_minute = 601, closes_minute = 1021 WHERE expert_id = %s", [jana.id])
    await expect(early.locator("[data-next]")).to_contain_text(":01")
    await until(lambda: len(held) >= 2, "both pages to call")
    for connect in held:
        connect()
    await expect(slot(board, at)).to_have_count(0)
    await expect(listing.locator("[data-next]")).to_contain_text(":01")


async def test_a_restarted_server_gets_its_open_pages_back_and_they_are_right(
    serve: Callable[..., ServerProcess], restart: Restart, visit: Visit, jana: Expert, sql: Connection, excuse: Excuse
) -> None:
    excuse(CONNECTION_LOST)
    at, server = in_days(3), serve()
    booking = await visit(at=server.url)
    number = await book_on(booking, jana.slug, at + HOUR)
    board = await visit(jana.page, at=server.url)
    await watches(board, at)
    server.stop()
    await board.wait_for_function("!window.socket.connected")
    by_hand(sql, jana.id, at)
    sql.execute("UPDATE booking SET status = 'confirmed' WHERE id = %s", [number])
    server = restart(server)
    await sees(board, at, "booked")
    await expect(booking.locator("section[data-booking]")).to_have_attribute("data-status", "confirmed")
    await watches(board, at + 2 * HOUR)
    by_hand(sql, jana.id, at + 2 * HOUR)
    await sees(board, at + 2 * HOUR, "booked", within=AT_ONCE)


async def test_pages_are_right_again_after_the_database_ended_the_connection_that_listens(
    server_url: str, serve: Callable[..., ServerProcess], visit: Visit, jana: Expert, sql: Connection
) -> None:
    at, server = in_days(3), serve()
    page = await visit(jana.page, at=server.url)
    await watches(page, at)
    with nobody_listening(server_url, sql):
        by_hand(sql, jana.id, at)  # nobody hears of it
    await sees(page, at, "booked")
    by_hand(sql, jana.id, at + HOUR)
    await sees(page, at + HOUR, "booked")
    assert "the feed's connection was lost" in server.words()


@contextmanager
def nobody_listening(server_url: str, sql: Connection) -> Iterator[None]:
    """End all connections that listen, or wait for something to do, and keep them away for a while."""
    with psycopg.connect(driver_url(server_url), autocommit=True) as door:
        name = sql.info.dbname
        door.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        try:
            ended = door.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s AND pid <> %s",
                [name, sql.info.backend_pid],
            ).fetchall()
            assert ended
            yield
        finally:
            door.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
