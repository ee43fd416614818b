"""Closing a page frees everything the server kept for it."""

import asyncio

from tests.browser.conftest import Expert, NewExpert, Visit, WatchedServer
from tests.browser.pages import (
    LIVE_UPDATE_MS,
    Connection,
    expect_slot,
    in_days,
    insert_booking,
    iso,
    wait_for_live_slot,
    wait_until,
    wait_until_connected,
)

EMPTY = {"pages": 0, "subscribers": 0, "boards": 0, "next_free": 0, "rooms": 0}


async def test_closed_pages_leave_nothing_behind_even_with_answers_pending(
    watched: WatchedServer, visit: Visit, jana: Expert, new_expert: NewExpert, sql: Connection
) -> None:
    omar, at = await new_expert(), in_days(3)
    places = (
        "/",
        f"/?search={jana.name}",
        jana.page,
        omar.page,
        f"/book/{jana.slug}?at={iso(in_days(4))}",
        "/my-bookings",
    )
    first = await visit(at=watched.url)
    # Each kind of page twice: for a first-time visitor, and for one with cookies.
    pages = [first] + [await first.context.new_page() for _ in range(2 * len(places) - 1)]
    for page, place in zip(pages, 2 * places, strict=True):
        await page.goto(place)
        await wait_until_connected(page)
    listing, board = pages[0], pages[2]
    await wait_for_live_slot(board, at)
    alive = watched.resource_counts()
    assert (alive["pages"], alive["boards"]) == (len(pages), 2)
    assert min(alive.values()) > 0
    assert watched.metric_counts().items() <= alive.items()

    # The pages close while events and answers are on the way to them.
    number = insert_booking(sql, jana.id, at)
    await expect_slot(board, at, "booked", within=3 * LIVE_UPDATE_MS)
    sql.execute("DELETE FROM booking WHERE id = %s", [number])
    await listing.evaluate(
        "for (const word of ['a', 'b', 'jana']) { const field = document.getElementById('search'); field.value = word;"
        " field.dispatchEvent(new Event('input')); field.form.requestSubmit(); }"
    )
    await asyncio.gather(*(page.close() for page in pages))
    await wait_until(lambda: watched.resource_counts() == EMPTY, f"nothing left of {alive}")


async def test_paging_and_changing_zones_keeps_one_subscription(
    watched: WatchedServer, visit: Visit, new_expert: NewExpert
) -> None:
    category = "Only for turning pages"
    for _ in range(14):
        await new_expert(category=category)
    page = await visit(f"/?category={category}", at=watched.url)
    await wait_until_connected(page)
    for way, turn in (("Next", 2), ("Previous", 1), ("Next", 2)):
        await page.get_by_role("link", name=way).click()
        await page.get_by_text(f"Page {turn} of 2").wait_for()
    await page.locator("#zone").focus()
    await page.locator("#zone").select_option("America/New_York")
    await page.get_by_text("Times in America/New York").wait_for()
    assert watched.resource_counts() == {"pages": 1, "subscribers": 2, "boards": 0, "next_free": 2, "rooms": 2}
