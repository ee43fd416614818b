"""Every page that shows a booking's time is updated immediately, however it was changed, and no other page is."""

from collections.abc import Callable

import httpx
import pytest
from playwright.async_api import Locator, Page, expect

from tests.browser.conftest import Expert, NewExpert, Visit
from tests.browser.pages import (
    ADA,
    HOUR,
    LIVE_UPDATE_MS,
    Connection,
    book_button,
    book_on_page,
    expect_held,
    expect_slot,
    fill_in,
    in_days,
    insert_booking,
    iso,
    request_json,
    slot,
    wait_for_live_slot,
    wait_until_connected,
)
from tests.server import ServerProcess


async def test_booking_in_one_browser_disables_the_slot_in_another(visit: Visit, jana: Expert) -> None:
    at, watching = in_days(3), await visit(jana.page)
    await wait_for_live_slot(watching, at)
    booking = await visit(f"/book/{jana.slug}?at={iso(at)}")
    await watching.evaluate("window.here = true")
    await fill_in(booking, **ADA)
    await book_button(booking).click()
    await expect_slot(watching, at, "booked", within=2 * LIVE_UPDATE_MS)  # includes the click and the booking
    await booking.wait_for_url("**/booking/*")
    await expect(slot(watching, at)).to_have_accessible_name(
        r := await slot(watching, at).get_attribute("aria-label") or ""
    )
    assert r.endswith(", booked")
    await expect(watching.get_by_role("status").first).to_contain_text("10:00 is now booked")
    await expect(slot(watching, at + HOUR)).to_be_enabled()
    assert await watching.evaluate("window.here"), "the page was reloaded"


async def test_booking_and_cancelling_through_the_api_updates_open_boards(
    visit: Visit, jana: Expert, rest: httpx.AsyncClient, admin: dict[str, str]
) -> None:
    at, page = in_days(3), await visit(jana.page)
    await wait_for_live_slot(page, at)
    answer = await rest.post("/bookings", json=request_json(jana.id, at))
    assert answer.status_code == 201
    await expect_slot(page, at, "booked", within=LIVE_UPDATE_MS)
    number = answer.json()["id"]
    answer = await rest.patch(f"/bookings/{number}/status", json={"status": "cancelled"}, headers=admin)
    assert answer.status_code == 200
    await expect_slot(page, at, "open", within=LIVE_UPDATE_MS)


async def test_rows_inserted_changed_and_deleted_with_sql_update_open_boards(
    visit: Visit, jana: Expert, sql: Connection
) -> None:
    at, page = in_days(3), await visit(jana.page)
    later = at + HOUR
    await wait_for_live_slot(page, at)
    number = insert_booking(sql, jana.id, at)
    await expect_slot(page, at, "booked", within=LIVE_UPDATE_MS)
    sql.execute("UPDATE booking SET starts_at = %(at)s, ends_at = %(end)s, busy = tstzrange(%(at)s, %(end)s)"
                " WHERE id = %(id)s", {"at": later, "end": later + HOUR, "id": number})  # fmt: skip
    await expect_slot(page, later, "booked", within=LIVE_UPDATE_MS)
    await expect_slot(page, at, "open", within=LIVE_UPDATE_MS)
    sql.execute("DELETE FROM booking WHERE id = %s", [number])
    await expect_slot(page, later, "open", within=LIVE_UPDATE_MS)


async def test_held_slot_is_labelled_and_disabled(visit: Visit, jana: Expert, sql: Connection) -> None:
    at, page = in_days(3), await visit(jana.page)
    await wait_for_live_slot(page, at)
    sql.execute(
        "INSERT INTO booking (expert_id, session_type_id, starts_at, ends_at, busy, status, hold_until)"
        " SELECT expert_id, id, %(at)s, %(end)s, tstzrange(%(at)s, %(end)s), 'held', now() + interval '5 minutes'"
        " FROM session_type WHERE expert_id = %(expert)s",
        {"expert": jana.id, "at": at, "end": at + HOUR},
    )
    await expect_slot(page, at, "held", within=LIVE_UPDATE_MS)
    await expect(slot(page, at)).to_contain_text("on hold")


async def test_new_hours_appear_on_an_open_board(visit: Visit, jana: Expert, sql: Connection) -> None:
    page = await visit(jana.page)
    await wait_for_live_slot(page, in_days(3))
    evening = in_days(3, 19)
    await expect(slot(page, evening)).to_have_count(0)
    sql.execute(
        "INSERT INTO availability_rule (expert_id, weekday, opens_minute, closes_minute)"
        " SELECT %s, day, 1140, 1200 FROM generate_series(1, 7) day", [jana.id])  # fmt: skip
    await expect_slot(page, evening, "open", within=2 * LIVE_UPDATE_MS)
    sql.execute("DELETE FROM availability_rule WHERE expert_id = %s AND opens_minute = 1140", [jana.id])
    await expect(slot(page, evening)).to_have_count(0)


@pytest.mark.parametrize("way", ["through the database", "through Redis"])
async def test_booking_in_another_server_process_updates_open_boards(
    serve: Callable[..., ServerProcess], visit: Visit, jana: Expert, rest: httpx.AsyncClient,
    way: str, request: pytest.FixtureRequest,
) -> None:  # fmt: skip
    by_redis = {"REDIS_URL": request.getfixturevalue("redis").url} if way == "through Redis" else {}
    at, second = in_days(3), serve(**by_redis)
    here, there = await visit(jana.page), await visit(jana.page, at=second.url)
    await wait_for_live_slot(here, at)
    await wait_for_live_slot(there, at)
    assert (await rest.post("/bookings", json=request_json(jana.id, at))).status_code == 201
    await expect_slot(there, at, "booked", within=LIVE_UPDATE_MS)
    async with httpx.AsyncClient(base_url=second.url, timeout=30) as program:
        assert (await program.post("/bookings", json=request_json(jana.id, at + HOUR))).status_code == 201
        assert (await program.post("/bookings", json=request_json(jana.id, at))).status_code == 409
    await expect_slot(here, at + HOUR, "booked", within=LIVE_UPDATE_MS)


async def test_pages_of_other_experts_receive_nothing_and_do_not_change(
    visit: Visit, jana: Expert, new_expert: NewExpert, sql: Connection
) -> None:
    omar, at = await new_expert(), in_days(3)
    janas, omars = await visit(jana.page), await visit(omar.page)
    await wait_for_live_slot(janas, at)
    await wait_for_live_slot(omars, at)
    await omars.evaluate("window.heard = []; window.socket.on('slots', (event) => window.heard.push(event.expert))")
    before = await omars.locator("#main").inner_html()
    insert_booking(sql, jana.id, at)
    await expect_slot(janas, at, "booked", within=LIVE_UPDATE_MS)
    assert await omars.locator("#main").inner_html() == before
    insert_booking(sql, omar.id, at)
    await expect_slot(omars, at, "booked", within=LIVE_UPDATE_MS)
    assert await omars.evaluate("window.heard") == [str(omar.id)]
    await expect_slot(janas, at + HOUR, "open")


async def test_events_for_pages_contain_the_time_but_no_customer_data(
    visit: Visit, jana: Expert, rest: httpx.AsyncClient
) -> None:
    at, page = in_days(3), await visit(jana.page)
    await wait_for_live_slot(page, at)
    await page.evaluate("window.heard = []; window.socket.onAny((...said) => window.heard.push(JSON.stringify(said)))")
    request = request_json(jana.id, at, name="Grace Hopper", notes="a secret")
    number = (await rest.post("/bookings", json=request)).json()["id"]
    await expect_slot(page, at, "booked", within=LIVE_UPDATE_MS)
    received = "".join(await page.evaluate("window.heard"))
    assert iso(at) in received
    for private in (request["name"], request["email"], request["phone"], request["notes"], number):
        assert private not in received


async def test_status_change_updates_the_bookings_page_and_my_bookings(
    visit: Visit, jana: Expert, rest: httpx.AsyncClient, admin: dict[str, str]
) -> None:
    page = await visit()
    number = await book_on_page(page, jana.slug, in_days(3))
    mine = await page.context.new_page()
    await mine.goto("/my-bookings")
    card, whole = mine.locator(f'[data-booking="{number}"]'), page.locator(f'section[data-booking="{number}"]')
    await wait_until_connected(page)
    await wait_until_connected(mine)
    for status, title in (("confirmed", "Your booking is confirmed"), ("cancelled", "This booking is cancelled")):
        answer = await rest.patch(f"/bookings/{number}/status", json={"status": status}, headers=admin)
        assert answer.status_code == 200
        await expect(whole).to_have_attribute("data-status", status, timeout=LIVE_UPDATE_MS)
        await expect(card).to_have_attribute("data-status", status, timeout=LIVE_UPDATE_MS)
        await expect(page.get_by_role("heading", level=1)).to_have_text(title)
    await expect(mine.get_by_role("heading", name="Past and cancelled")).to_be_visible()
    await expect(mine.get_by_role("heading", name="Upcoming")).to_have_count(0)


@pytest.fixture
async def rare(new_expert: NewExpert) -> Expert:
    """An expert with three slots a week on one day and two days' notice, so that the next free times are known."""
    return await new_expert(hours=(600, 780), weekdays=[in_days(4).isoweekday()], notice_minutes=2880)


def next_free(page: Page, expert: Expert) -> Locator:
    """Return the listing's text about the next free time."""
    return page.locator(f'[data-next="{expert.slug}"]')


async def test_next_free_time_in_the_listing_follows_bookings_and_cancellations(
    visit: Visit, rare: Expert, sql: Connection
) -> None:
    ten = in_days(4)
    page = await visit(f"/?search={rare.name}")
    await wait_until_connected(page)
    await expect(next_free(page, rare)).to_contain_text("10:00")
    first, second = insert_booking(sql, rare.id, ten), insert_booking(sql, rare.id, ten + HOUR)
    await expect(next_free(page, rare)).to_contain_text("12:00", timeout=LIVE_UPDATE_MS)
    sql.execute("DELETE FROM booking WHERE id = %s", [second])
    await expect(next_free(page, rare)).to_contain_text("11:00", timeout=LIVE_UPDATE_MS)
    sql.execute("UPDATE booking SET status = 'cancelled' WHERE id = %s", [first])
    await expect(next_free(page, rare)).to_contain_text("10:00", timeout=LIVE_UPDATE_MS)


async def test_listing_shows_when_no_time_is_free_and_when_one_becomes_free(
    visit: Visit, new_expert: NewExpert, sql: Connection
) -> None:
    at = in_days(4)
    once = await new_expert(hours=(600, 660), weekdays=[at.isoweekday()], notice_minutes=2880, horizon_days=8)
    insert_booking(sql, once.id, at)
    page = await visit(f"/?search={once.name}")
    await wait_until_connected(page)
    await expect(next_free(page, once)).to_have_text("No free times at the moment")
    sql.execute("DELETE FROM booking WHERE expert_id = %s", [once.id])
    await expect(next_free(page, once)).to_contain_text("10:00", timeout=LIVE_UPDATE_MS)


async def test_form_shows_immediately_when_its_time_is_taken_and_freed(
    visit: Visit, jana: Expert, sql: Connection
) -> None:
    at = in_days(3)
    page = await visit(f"/book/{jana.slug}?at={iso(at)}")
    await expect_held(page)
    await fill_in(page, name="Ada")
    insert_booking(sql, jana.id, at)
    await expect(page.locator('[data-refusal="slot_taken"]')).to_be_visible(timeout=LIVE_UPDATE_MS)
    await expect(page.get_by_label("Name")).to_have_value("Ada")
    await expect(page.get_by_label("Name")).to_be_focused()
    sql.execute("DELETE FROM booking WHERE expert_id = %s", [jana.id])
    await expect(page.locator("[data-refusal]")).to_have_count(0, timeout=LIVE_UPDATE_MS)


async def test_many_changes_in_a_row_leave_every_page_up_to_date(visit: Visit, jana: Expert, sql: Connection) -> None:
    starts = [in_days(day, hour) for day in (2, 3, 4) for hour in range(9, 17)]
    pages = [await visit(jana.page), await visit(jana.page, zone="Asia/Kathmandu")]
    for page in pages:
        await wait_for_live_slot(page, starts[0])
    for at in starts:
        insert_booking(sql, jana.id, at)
        sql.execute("UPDATE booking SET status = 'cancelled' WHERE expert_id = %s AND starts_at < %s", [jana.id, at])
    for page in pages:
        await expect_slot(page, starts[-1], "booked")
        await expect(page.locator('[data-state="booked"]')).to_have_count(1)


async def test_older_board_does_not_overwrite_events_and_a_gap_is_requested_once(
    visit: Visit, jana: Expert, sql: Connection
) -> None:
    at, page = in_days(3), await visit(jana.page)
    await wait_for_live_slot(page, at)
    # An older board arrives after the event: the event still applies.
    await page.evaluate(
        "window.grid = [...Array(99).keys()].map(window.getElement).find((part) => part?.requestBoard);"
        " window.old = [JSON.stringify(grid.shown), null]; window.sent = 0;"
        " const emit = window.socket.emit.bind(window.socket);"
        " window.socket.emit = (...said) => { window.sent += said[0] === 'event'; return emit(...said); }"
    )
    insert_booking(sql, jana.id, at)
    await expect_slot(page, at, "booked", within=LIVE_UPDATE_MS)
    await page.evaluate("grid.show(...window.old)")
    await expect_slot(page, at, "booked")
    assert await page.evaluate("window.sent") == 0
    # An event that cannot be right, after a gap: the page requests the whole board once and shows it.
    lies = f"{{ room: grid.shown.room, version: grid.version + 1, changes: [['{iso(at + HOUR)}', 'booked']] }}"
    await page.evaluate(f"window.socket.listeners('slots').forEach((hear) => hear({lies}))")
    await expect_slot(page, at + HOUR, "booked")
    # In one call with clearing the events: the requested board may arrive before a second evaluation runs.
    await page.evaluate(
        "for (let n = 5; n < 25; n++) window.socket.listeners('slots').forEach((hear) =>"
        " hear({ room: grid.shown.room, version: grid.version + n, changes: [] })); grid.events = []"
    )
    await expect_slot(page, at + HOUR, "open")
    assert await page.evaluate("window.sent") == 1


async def test_page_that_missed_messages_requests_the_whole_board(visit: Visit, rare: Expert, sql: Connection) -> None:
    at = in_days(4)
    board, listing = await visit(rare.page), await visit(f"/?search={rare.name}")
    await wait_for_live_slot(board, at)
    await wait_until_connected(listing)
    for page in (board, listing):  # these pages receive no events
        await page.evaluate("for (const kind of ['slots', 'next']) window.socket.off(kind)")
    insert_booking(sql, rare.id, at)
    watching = await visit(rare.page)
    await expect_slot(watching, at, "booked")
    await expect_slot(board, at, "open")
    await expect(next_free(listing, rare)).to_contain_text("10:00")
    for page in (board, listing):
        await page.evaluate("window.socket.listeners('missed').forEach((hear) => hear({}))")
    await expect_slot(board, at, "booked")
    await expect(next_free(listing, rare)).to_contain_text("11:00")
