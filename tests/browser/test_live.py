"""Whoever changes a booking, by whatever way: everybody who looks sees it at once, and nobody else hears of it."""

from collections.abc import Callable

import httpx
import pytest
from playwright.async_api import Locator, Page, expect

from tests.browser.conftest import Expert, NewExpert, Visit
from tests.browser.pages import (
    ADA,
    AT_ONCE,
    HOUR,
    Connection,
    book_button,
    book_on,
    by_hand,
    connected,
    fill_in,
    in_days,
    iso,
    request_json,
    sees,
    slot,
    watches,
)
from tests.server import ServerProcess


async def test_a_booking_in_one_browser_disables_the_slot_in_the_other_at_once(visit: Visit, jana: Expert) -> None:
    at, watching = in_days(3), await visit(jana.page)
    await watches(watching, at)
    booking = await visit(f"/book/{jana.slug}?at={iso(at)}")
    await watching.evaluate("window.here = true")
    await fill_in(booking, **ADA)
    await book_button(booking).click()
    await sees(watching, at, "booked", within=2 * AT_ONCE)  # the click and the booking are in it
    await booking.wait_for_url("**/booking/*")
    await expect(slot(watching, at)).to_have_accessible_name(
        r := await slot(watching, at).get_attribute("aria-label") or ""
    )
    assert r.endswith(", booked")
    await expect(watching.get_by_role("status").first).to_contain_text("10:00 is now booked")
    await expect(slot(watching, at + HOUR)).to_be_enabled()
    assert await watching.evaluate("window.here"), "the page was loaded anew"


async def test_a_slot_booked_and_freed_through_rest_is_disabled_and_free_again_at_once(
    visit: Visit, jana: Expert, rest: httpx.AsyncClient, admin: dict[str, str]
) -> None:
    at, page = in_days(3), await visit(jana.page)
    await watches(page, at)
    answer = await rest.post("/bookings", json=request_json(jana.id, at))
    assert answer.status_code == 201
    await sees(page, at, "booked", within=AT_ONCE)
    number = answer.json()["id"]
    answer = await rest.patch(f"/bookings/{number}/status", json={"status": "cancelled"}, headers=admin)
    assert answer.status_code == 200
    await sees(page, at, "open", within=AT_ONCE)


async def test_rows_written_moved_and_deleted_by_hand_are_seen_at_once(
    visit: Visit, jana: Expert, sql: Connection
) -> None:
    at, page = in_days(3), await visit(jana.page)
    later = at + HOUR
    await watches(page, at)
    number = by_hand(sql, jana.id, at)
    await sees(page, at, "booked", within=AT_ONCE)
    sql.execute("UPDATE booking SET starts_at = %(at)s, ends_at = %(end)s, busy = tstzrange(%(at)s, %(end)s)"
                " WHERE id = %(id)s", {"at": later, "end": later + HOUR, "id": number})  # fmt: skip
    await sees(page, later, "booked", within=AT_ONCE)
    await sees(page, at, "open", within=AT_ONCE)
    sql.execute("DELETE FROM booking WHERE id = %s", [number])
    await sees(page, later, "open", within=AT_ONCE)


async def test_a_slot_that_is_being_booked_says_so_and_cannot_be_pressed(
    visit: Visit, jana: Expert, sql: Connection
) -> None:
    at, page = in_days(3), await visit(jana.page)
    await watches(page, at)
    sql.execute(
        "INSERT INTO booking (expert_id, session_type_id, starts_at, ends_at, busy, status, hold_until)"
        " SELECT expert_id, id, %(at)s, %(end)s, tstzrange(%(at)s, %(end)s), 'held', now() + interval '5 minutes'"
        " FROM session_type WHERE expert_id = %(expert)s",
        {"expert": jana.id, "at": at, "end": at + HOUR},
    )
    await sees(page, at, "held", within=AT_ONCE)
    await expect(slot(page, at)).to_contain_text("being booked")


async def test_new_hours_appear_on_an_open_board(visit: Visit, jana: Expert, sql: Connection) -> None:
    page = await visit(jana.page)
    await watches(page, in_days(3))
    evening = in_days(3, 19)
    await expect(slot(page, evening)).to_have_count(0)
    sql.execute(
        "INSERT INTO availability_rule (expert_id, weekday, opens_minute, closes_minute)"
        " SELECT %s, day, 1140, 1200 FROM generate_series(1, 7) day", [jana.id])  # fmt: skip
    await sees(page, evening, "open", within=2 * AT_ONCE)
    sql.execute("DELETE FROM availability_rule WHERE expert_id = %s AND opens_minute = 1140", [jana.id])
    await expect(slot(page, evening)).to_have_count(0)


@pytest.mark.parametrize("way", ["through the database", "through Redis"])
async def test_a_booking_made_in_another_server_process_is_seen_at_once(
    serve: Callable[..., ServerProcess], visit: Visit, jana: Expert, rest: httpx.AsyncClient,
    way: str, request: pytest.FixtureRequest,
) -> None:  # fmt: skip
    by_redis = {"REDIS_URL": request.getfixturevalue("redis").url} if way == "through Redis" else {}
    at, second = in_days(3), serve(**by_redis)
    here, there = await visit(jana.page), await visit(jana.page, at=second.url)
    await watches(here, at)
    await watches(there, at)
    assert (await rest.post("/bookings", json=request_json(jana.id, at))).status_code == 201
    await sees(there, at, "booked", within=AT_ONCE)
    async with httpx.AsyncClient(base_url=second.url, timeout=30) as program:
        assert (await program.post("/bookings", json=request_json(jana.id, at + HOUR))).status_code == 201
        assert (await program.post("/bookings", json=request_json(jana.id, at))).status_code == 409
    await sees(here, at + HOUR, "booked", within=AT_ONCE)


async def test_pages_of_other_experts_hear_nothing_and_do_not_change(
    visit: Visit, jana: Expert, new_expert: NewExpert, sql: Connection
) -> None:
    omar, at = await new_expert(), in_days(3)
    janas, omars = await visit(jana.page), await visit(omar.page)
    await watches(janas, at)
    await watches(omars, at)
    await omars.evaluate("window.heard = []; window.socket.on('slots', (news) => window.heard.push(news.expert))")
    before = await omars.locator("#main").inner_html()
    by_hand(sql, jana.id, at)
    await sees(janas, at, "booked", within=AT_ONCE)
    assert await omars.locator("#main").inner_html() == before
    by_hand(sql, omar.id, at)
    await sees(omars, at, "booked", within=AT_ONCE)
    assert await omars.evaluate("window.heard") == [str(omar.id)]
    await sees(janas, at + HOUR, "open")


async def test_what_pages_hear_of_a_booking_is_its_time_and_nothing_of_its_customer(
    visit: Visit, jana: Expert, rest: httpx.AsyncClient
) -> None:
    at, page = in_days(3), await visit(jana.page)
    await watches(page, at)
    await page.evaluate("window.heard = []; window.socket.onAny((...said) => window.heard.push(JSON.stringify(said)))")
    said = request_json(jana.id, at, name="Grace Hopper", notes="a secret")
    number = (await rest.post("/bookings", json=said)).json()["id"]
    await sees(page, at, "booked", within=AT_ONCE)
    heard = "".join(await page.evaluate("window.heard"))
    assert iso(at) in heard
    for private in (said["name"], said["email"], said["phone"], said["notes"], number):
        assert private not in heard


async def test_a_change_of_status_shows_on_the_bookings_page_and_among_my_bookings(
    visit: Visit, jana: Expert, rest: httpx.AsyncClient, admin: dict[str, str]
) -> None:
    page = await visit()
    number = await book_on(page, jana.slug, in_days(3))
    mine = await page.context.new_page()
    await mine.goto("/my-bookings")
    card, whole = mine.locator(f'[data-booking="{number}"]'), page.locator(f'section[data-booking="{number}"]')
    await connected(page)
    await connected(mine)
    for status, title in (("confirmed", "Your booking is confirmed"), ("cancelled", "This booking is cancelled")):
        answer = await rest.patch(f"/bookings/{number}/status", json={"status": status}, headers=admin)
        assert answer.status_code == 200
        await expect(whole).to_have_attribute("data-status", status, timeout=AT_ONCE)
        await expect(card).to_have_attribute("data-status", status, timeout=AT_ONCE)
        await expect(page.get_by_role("heading", level=1)).to_have_text(title)
    await expect(mine.get_by_role("heading", name="Past and cancelled")).to_be_visible()
    await expect(mine.get_by_role("heading", name="Upcoming")).to_have_count(0)


@pytest.fixture
async def rare(new_expert: NewExpert) -> Expert:
    """Three times a week, all on one day, with notice: the next free times are known."""
    return await new_expert(hours=(600, 780), weekdays=[in_days(4).isoweekday()], notice_minutes=2880)


def next_free(page: Page, expert: Expert) -> Locator:
    """What the listing says about the next free time."""
    return page.locator(f'[data-next="{expert.slug}"]')


async def test_the_listings_next_free_time_follows_what_is_booked_and_freed(
    visit: Visit, rare: Expert, sql: Connection
) -> None:
    ten = in_days(4)
    page = await visit(f"/?search={rare.name}")
    await connected(page)
    await expect(next_free(page, rare)).to_contain_text("10:00")
    first, second = by_hand(sql, rare.id, ten), by_hand(sql, rare.id, ten + HOUR)
    await expect(next_free(page, rare)).to_contain_text("12:00", timeout=AT_ONCE)
    sql.execute("DELETE FROM booking WHERE id = %s", [second])
    await expect(next_free(page, rare)).to_contain_text("11:00", timeout=AT_ONCE)
    sql.execute("UPDATE booking SET status = 'cancelled' WHERE id = %s", [first])
    await expect(next_free(page, rare)).to_contain_text("10:00", timeout=AT_ONCE)


async def test_the_listing_says_when_nobody_is_free_and_when_somebody_is_again(
    visit: Visit, new_expert: NewExpert, sql: Connection
) -> None:
    at = in_days(4)
    once = await new_expert(hours=(600, 660), weekdays=[at.isoweekday()], notice_minutes=2880, horizon_days=8)
    by_hand(sql, once.id, at)
    page = await visit(f"/?search={once.name}")
    await connected(page)
    await expect(next_free(page, once)).to_have_text("No free times at the moment")
    sql.execute("DELETE FROM booking WHERE expert_id = %s", [once.id])
    await expect(next_free(page, once)).to_contain_text("10:00", timeout=AT_ONCE)


async def test_the_form_says_at_once_when_somebody_else_takes_the_time_and_when_it_is_free_again(
    visit: Visit, jana: Expert, sql: Connection
) -> None:
    at = in_days(3)
    page = await visit(f"/book/{jana.slug}?at={iso(at)}")
    await connected(page)
    await fill_in(page, name="Ada")
    by_hand(sql, jana.id, at)
    await expect(page.locator('[data-refusal="slot_taken"]')).to_be_visible(timeout=AT_ONCE)
    await expect(page.get_by_label("Name")).to_have_value("Ada")
    await expect(page.get_by_label("Name")).to_be_focused()
    sql.execute("DELETE FROM booking WHERE expert_id = %s", [jana.id])
    await expect(page.locator("[data-refusal]")).to_have_count(0, timeout=AT_ONCE)


async def test_many_changes_in_a_row_leave_every_page_as_the_calendar_is(
    visit: Visit, jana: Expert, sql: Connection
) -> None:
    starts = [in_days(day, hour) for day in (2, 3, 4) for hour in range(9, 17)]
    pages = [await visit(jana.page), await visit(jana.page, zone="Asia/Kathmandu")]
    for page in pages:
        await watches(page, starts[0])
    for at in starts:
        by_hand(sql, jana.id, at)
        sql.execute("UPDATE booking SET status = 'cancelled' WHERE expert_id = %s AND starts_at < %s", [jana.id, at])
    for page in pages:
        await sees(page, starts[-1], "booked")
        await expect(page.locator('[data-state="booked"]')).to_have_count(1)


async def test_news_that_overtake_an_older_board_count_and_a_gap_is_asked_about_once(
    visit: Visit, jana: Expert, sql: Connection
) -> None:
    at, page = in_days(3), await visit(jana.page)
    await watches(page, at)
    # An older board arrives after the news: the news stay.
    await page.evaluate(
        "window.grid = [...Array(99).keys()].map(window.getElement).find((part) => part?.askForAll);"
        " window.old = [JSON.stringify(grid.shown), null]; window.sent = 0;"
        " const emit = window.socket.emit.bind(window.socket);"
        " window.socket.emit = (...said) => { window.sent += said[0] === 'event'; return emit(...said); }"
    )
    by_hand(sql, jana.id, at)
    await sees(page, at, "booked", within=AT_ONCE)
    await page.evaluate("grid.show(...window.old)")
    await sees(page, at, "booked")
    assert await page.evaluate("window.sent") == 0
    # What cannot be right, after a gap: the whole is asked for, once, and comes.
    lies = f"{{ room: grid.shown.room, version: grid.version + 1, changes: [['{iso(at + HOUR)}', 'booked']] }}"
    await page.evaluate(f"window.socket.listeners('slots').forEach((hear) => hear({lies}))")
    await sees(page, at + HOUR, "booked")
    # In one go with forgetting them: the board that is asked for may be here before another evaluation is.
    await page.evaluate(
        "for (let n = 5; n < 25; n++) window.socket.listeners('slots').forEach((hear) =>"
        " hear({ room: grid.shown.room, version: grid.version + n, changes: [] })); grid.heard = []"
    )
    await sees(page, at + HOUR, "open")
    assert await page.evaluate("window.sent") == 1


async def test_a_page_that_could_not_be_told_something_asks_for_the_whole(
    visit: Visit, rare: Expert, sql: Connection
) -> None:
    at = in_days(4)
    board, listing = await visit(rare.page), await visit(f"/?search={rare.name}")
    await watches(board, at)
    await connected(listing)
    for page in (board, listing):  # they do not hear the news
        await page.evaluate("for (const kind of ['slots', 'next']) window.socket.off(kind)")
    by_hand(sql, rare.id, at)
    watching = await visit(rare.page)
    await sees(watching, at, "booked")
    await sees(board, at, "open")
    await expect(next_free(listing, rare)).to_contain_text("10:00")
    for page in (board, listing):
        await page.evaluate("window.socket.listeners('missed').forEach((hear) => hear({}))")
    await sees(board, at, "booked")
    await expect(next_free(listing, rare)).to_contain_text("11:00")
