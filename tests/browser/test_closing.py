"""Whoever leaves takes everything along: a closed page leaves nothing behind in the server."""

import asyncio

from tests.browser.conftest import Expert, NewExpert, Visit, WatchedServer
from tests.browser.pages import AT_ONCE, Connection, by_hand, connected, in_days, sees, until, watches

NOTHING = {"pages": 0, "followers": 0, "boards": 0, "next_free": 0, "rooms": 0}


async def test_of_thirty_closed_pages_nothing_is_left(
    watched: WatchedServer, visit: Visit, jana: Expert, new_expert: NewExpert, sql: Connection
) -> None:
    omar = await new_expert()
    first = await visit(at=watched.url)
    await first.goto("/")  # the cookies are there afterwards, as for most people
    at = in_days(3)
    places = ["/", f"/?search={jana.name}", jana.page, omar.page, f"/book/{jana.slug}?at=2030-01-01T10:00:00Z",
              "/my-bookings"]  # fmt: skip
    pages = [first]
    for number in range(29):
        pages.append(await first.context.new_page())
        await pages[-1].goto(places[number % len(places)], wait_until="commit")
    for page in pages:
        await connected(page)
    board = pages[places.index(jana.page) + 1]
    await watches(board, at)
    alive = watched.inside()
    assert alive["pages"] == 30
    assert alive["boards"] == 2
    assert min(alive.values()) > 0
    # Some leave while news is on the way to them.
    number = by_hand(sql, jana.id, at)
    await sees(board, at, "booked", within=3 * AT_ONCE)
    sql.execute("DELETE FROM booking WHERE id = %s", [number])
    await asyncio.gather(*(page.close() for page in pages))
    await until(lambda: watched.inside() == NOTHING, f"nothing left of {alive}")


async def test_who_leaves_in_the_middle_of_a_search_leaves_nothing(
    watched: WatchedServer, visit: Visit, jana: Expert
) -> None:
    page = await visit("/", at=watched.url)
    await connected(page)
    for _ in range(3):
        searching = await page.context.new_page()
        await searching.goto("/")
        await connected(searching)
        await searching.evaluate(
            "name => { const field = document.getElementById('search');"
            " for (const word of ['a', 'b', name]) { field.value = word; field.dispatchEvent(new Event('input'));"
            " field.form.requestSubmit(); } }",
            jana.name,
        )
        await searching.close()
    await page.close()
    await until(lambda: watched.inside() == NOTHING, "nothing left of the searches")


async def test_turning_pages_and_changing_zones_keeps_one_page_followed_not_all_of_them(
    watched: WatchedServer, visit: Visit, new_expert: NewExpert
) -> None:
    category = "Only for turning pages"
    for _ in range(14):
        await new_expert(category=category)
    page = await visit(f"/?category={category}", at=watched.url)
    await connected(page)
    for turn in (2, 1, 2):
        await page.get_by_role("link", name=f"Page {turn}").click()
        await page.locator(f'[aria-current="page"][aria-label="Page {turn}"]').wait_for()
    await page.locator("#zone").focus()
    await page.locator("#zone").select_option("America/New_York")
    await page.get_by_text("Times in America/New York").wait_for()
    assert watched.inside() == {"pages": 1, "followers": 2, "boards": 0, "next_free": 2, "rooms": 2}
