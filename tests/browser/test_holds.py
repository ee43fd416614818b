"""Holds in two browsers side by side: opening the form holds its time, and all other pages show it."""

import asyncio
import re
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

import httpx
from playwright.async_api import Locator, Page, expect

from tests.browser.conftest import Excuse, Expert, NewExpert, Restart, Visit
from tests.browser.pages import (
    ADA,
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
    insert_booking,
    iso,
    slot,
    wait_for_live_slot,
    wait_until,
    wait_until_connected,
)
from tests.browser.test_reconnect import CONNECTION_LOST, database_unreachable
from tests.server import ServerProcess

Serve = Callable[..., ServerProcess]
GRACE = {"name": "Grace Hopper", "email": "grace@example.com", "phone": "+1 202 555 0143", "notes": "First\nSecond"}
RECONNECT = 5  # seconds for which a page outlives its connection


def form_url(expert: Expert, at: datetime) -> str:
    """Return the URL of the form for a slot."""
    return f"/book/{expert.slug}?at={iso(at)}"


async def open_held_form(visit: Visit, expert: Expert, start: datetime, **where: Any) -> Page:
    """Open the form in a new browser and wait until its time is held."""
    page = await visit(form_url(expert, start), **where)
    await expect_held(page)
    return page


async def open_tab(page: Page, path: str) -> Page:
    """Open another tab of the same browser."""
    tab = await page.context.new_page()
    await tab.goto(path)
    return tab


def held(sql: Connection, expert: Expert) -> list[tuple[Any, ...]]:
    """Return the holds on an expert's time: id, start, expiry."""
    return sql.execute(
        "SELECT id, starts_at, hold_until FROM booking WHERE expert_id = %s AND status = 'held'", [expert.id]
    ).fetchall()


def expire_hold_in(sql: Connection, expert: Expert, seconds: float) -> None:
    """Set the hold to expire in so many seconds."""
    sql.execute(
        "UPDATE booking SET hold_until = now() + make_interval(secs => %s) WHERE expert_id = %s AND status = 'held'",
        [seconds, expert.id],
    )


def waiting_locks(sql: Connection) -> int:
    """Count the locks that have not been granted."""
    found = sql.execute("SELECT count(*) FROM pg_locks WHERE NOT granted").fetchone()
    assert found is not None
    return int(found[0])


def clock(page: Page) -> Locator:
    """Return the component that shows the state of the hold."""
    return page.locator("[data-hold]")


def button(page: Page, name: str) -> Locator:
    """Return one of the hold clock's buttons."""
    return clock(page).get_by_role("button", name=name)


async def seconds_left(page: Page) -> int:
    """Return the seconds that the countdown shows."""
    return int(await page.get_by_role("timer").get_attribute("data-seconds") or -1)


# --- taking and changing ------------------------------------------------------------------------------------------


async def test_opening_the_form_holds_its_time_and_others_see_it_on_hold(
    visit: Visit, jana: Expert, sql: Connection
) -> None:
    at, board = in_days(3), await visit(jana.page)
    await wait_for_live_slot(board, at)
    await board.evaluate("window.heard = []; window.socket.onAny((...said) => window.heard.push(JSON.stringify(said)))")
    await board.evaluate("window.here = true")
    page = await open_held_form(visit, jana, at)
    await expect_slot(board, at, "held", within=LIVE_UPDATE_MS)
    await expect(slot(board, at)).to_contain_text("on hold")
    assert (await slot(board, at).get_attribute("aria-label") or "").endswith(", on hold")
    assert await slot(board, at).get_attribute("data-mine") is None
    assert 290 < await seconds_left(page) <= 300
    await expect(clock(page).get_by_role("status")).to_have_text("This time is on hold for you for 5 minutes.")
    [(number, *_)] = held(sql, jana)
    assert str(number) not in "".join(await board.evaluate("window.heard"))
    assert str(number) not in await page.content()
    assert await board.evaluate("window.here"), "the page was reloaded"


async def test_form_submitted_while_its_hold_is_being_taken_still_books(
    visit: Visit, jana: Expert, sql: Connection
) -> None:
    at, page = in_days(3), await visit()
    with sql.transaction():
        # The hold is inserted but waits for this lock before it commits.
        sql.execute("LOCK TABLE expert_changed IN SHARE ROW EXCLUSIVE MODE")
        await page.goto(form_url(jana, at))
        await wait_until_connected(page)
        await fill_in(page, **ADA)
        await wait_until(lambda: waiting_locks(sql) >= 1, "the hold to be under way")
        await book_button(page).click()
        await asyncio.sleep(0.5)
    await page.wait_for_url("**/booking/*")
    assert held(sql, jana) == []
    assert bookings_at(sql, jana.id, at) == 1


async def test_requesting_the_page_without_opening_it_holds_nothing(
    jana: Expert, rest: httpx.AsyncClient, sql: Connection
) -> None:
    for _ in range(2):
        assert (await rest.get(form_url(jana, in_days(3)))).status_code == 200
    await asyncio.sleep(0.5)
    assert held(sql, jana) == []


async def test_choosing_another_time_changes_the_hold_on_both_boards(
    visit: Visit, jana: Expert, sql: Connection
) -> None:
    at, board = in_days(3), await visit(jana.page)
    await wait_for_live_slot(board, at)
    page = await open_held_form(visit, jana, at)
    await expect_slot(board, at, "held")
    await page.goto(jana.page)
    mine = slot(page, at)
    await expect(mine).to_be_enabled()
    await expect(mine).to_contain_text("on hold for you")
    await expect(mine).to_have_attribute("data-mine", "")
    assert (await mine.get_attribute("aria-label") or "").endswith(", on hold for you")
    await slot(page, at + HOUR).click()
    await expect_held(page)
    await expect_slot(board, at, "open", within=LIVE_UPDATE_MS)
    await expect_slot(board, at + HOUR, "held", within=LIVE_UPDATE_MS)
    assert [start for _, start, _ in held(sql, jana)] == [at + HOUR]


async def test_own_hold_does_not_block_own_alternatives(visit: Visit, new_expert: NewExpert, sql: Connection) -> None:
    often, at = await new_expert(step_minutes=30), in_days(3)
    others = await visit(often.page)
    await wait_for_live_slot(others, at + HOUR / 2)
    page = await open_held_form(visit, often, at)
    await expect_slot(others, at + HOUR / 2, "held")
    board = await open_tab(page, often.page)
    await expect_slot(board, at + HOUR / 2, "open")
    insert_booking(sql, often.id, at + HOUR)  # 10:30 would overlap this one
    await expect_slot(board, at + HOUR / 2, "booked", within=LIVE_UPDATE_MS)
    await slot(board, at - HOUR / 2).click()
    await expect_held(board)
    await expect(clock(page)).to_have_attribute("data-hold", "replaced")
    # Another booking and the visitor's own hold both block this time.
    busy = await open_tab(page, form_url(often, at + HOUR / 2))
    await expect(busy.locator('[data-reason="busy"]')).to_be_visible()


async def test_daily_cap_filled_by_own_hold_does_not_block_oneself(visit: Visit, new_expert: NewExpert) -> None:
    rare, at = await new_expert(daily_cap=1), in_days(3)
    others = await visit(rare.page)
    await wait_for_live_slot(others, at + HOUR)
    page = await open_held_form(visit, rare, at)
    await expect(slot(others, at + HOUR)).to_have_count(0)
    board = await open_tab(page, rare.page)
    await expect_slot(board, at + HOUR, "open")
    await slot(board, at + HOUR).click()
    await expect_held(board)
    await expect_slot(others, at + HOUR, "held")


async def test_open_board_in_the_same_browser_shows_the_visitors_hold_immediately(visit: Visit, jana: Expert) -> None:
    at, first = in_days(3), await visit(form_url(jana, in_days(4)))
    await expect_held(first)
    board = await open_tab(first, jana.page)
    await wait_for_live_slot(board, at)
    form = await open_tab(first, form_url(jana, at))
    await expect_held(form)
    await expect(slot(board, at)).to_contain_text("on hold for you", timeout=2 * LIVE_UPDATE_MS)
    await expect(slot(board, at)).to_be_enabled()
    await expect(board.locator("[data-mine]")).to_have_count(1)
    await button(form, "Release this time").click()
    await expect(board.locator("[data-mine]")).to_have_count(0, timeout=2 * LIVE_UPDATE_MS)


async def test_another_time_in_a_second_tab_changes_the_hold_and_the_first_tab_says_so(
    visit: Visit, jana: Expert
) -> None:
    at = in_days(3)
    first = await open_held_form(visit, jana, at)
    await fill_in(first, **GRACE)
    second = await open_tab(first, form_url(jana, at + HOUR))
    await expect_held(second)
    await expect(clock(first)).to_have_attribute("data-hold", "replaced", timeout=2 * LIVE_UPDATE_MS)
    await expect(clock(first)).to_contain_text("You are now holding a different time. It is")
    await expect(clock(first)).to_contain_text("11:00. This one is still free.")
    await expect_form(first, **GRACE)
    await button(first, "Hold this time again").click()
    await expect_held(first)
    await expect(clock(second)).to_have_attribute("data-hold", "replaced")


# --- releasing -------------------------------------------------------------------------------------------------


async def test_expired_hold_is_open_to_all_within_a_second_and_can_be_taken_again(
    visit: Visit, jana: Expert, sql: Connection
) -> None:
    at, board = in_days(3), await visit(jana.page)
    await wait_for_live_slot(board, at)
    page = await open_held_form(visit, jana, at)
    began = held(sql, jana)
    await fill_in(page, **GRACE)
    await expect_slot(board, at, "held")
    await wait_until(lambda: held(sql, jana) != began, "typing to renew the hold")
    expire_hold_in(sql, jana, 3)
    await expect_slot(board, at, "open", within=3 * LIVE_UPDATE_MS + LIVE_UPDATE_MS)
    await expect(clock(page)).to_have_attribute("data-hold", "over", timeout=LIVE_UPDATE_MS)
    await expect(clock(page)).to_contain_text("Your hold has expired.The time is still free.")
    await expect_form(page, **GRACE)
    await button(page, "Hold it again").click()
    await expect_held(page)
    await expect_slot(board, at, "held", within=LIVE_UPDATE_MS)


async def test_last_minute_of_a_hold_is_shown_and_announced(visit: Visit, jana: Expert, sql: Connection) -> None:
    page = await open_held_form(visit, jana, in_days(3))
    expire_hold_in(sql, jana, 62)
    await page.reload()
    await expect_held(page)
    await expect(clock(page)).not_to_contain_class("last")
    await expect(clock(page)).to_contain_class("last")
    await expect(clock(page).get_by_role("status")).to_have_text("Your hold expires in one minute.")
    await expect(page.get_by_role("timer")).to_contain_text("0:5")


async def test_released_time_is_open_immediately_and_one_key_takes_it_back(visit: Visit, jana: Expert) -> None:
    at, board = in_days(3), await visit(jana.page)
    await wait_for_live_slot(board, at)
    page = await open_held_form(visit, jana, at)
    await expect_slot(board, at, "held")
    await button(page, "Release this time").focus()
    await page.keyboard.press("Enter")
    await expect_slot(board, at, "open", within=2 * LIVE_UPDATE_MS)
    await expect(clock(page)).to_have_attribute("data-hold", "released")
    await expect(button(page, "Hold it again")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect_slot(board, at, "held", within=2 * LIVE_UPDATE_MS)
    await expect(button(page, "Release this time")).to_be_focused()


async def test_closed_tab_releases_its_time_after_the_reconnect_timeout(visit: Visit, jana: Expert) -> None:
    at, board = in_days(3), await visit(jana.page)
    await wait_for_live_slot(board, at)
    page = await open_held_form(visit, jana, at)
    await expect_slot(board, at, "held")
    closed = time.monotonic()
    await page.close()
    await expect_slot(board, at, "open", within=(RECONNECT + 2) * 1000)
    assert time.monotonic() - closed > RECONNECT - 1, "it might have been a reload"


async def test_reload_keeps_the_same_hold_without_renewing_it(visit: Visit, jana: Expert, sql: Connection) -> None:
    page = await open_held_form(visit, jana, in_days(3))
    expire_hold_in(sql, jana, 200)
    before = held(sql, jana)
    for _ in range(2):
        await page.reload()
        await expect_held(page)
    assert 150 < await seconds_left(page) <= 200
    await asyncio.sleep(RECONNECT + 1)  # until the closed pages have been removed
    assert held(sql, jana) == before
    await expect(clock(page)).to_have_attribute("data-hold", "held")


async def test_two_tabs_share_a_hold_and_closing_one_keeps_it(visit: Visit, jana: Expert, sql: Connection) -> None:
    at = in_days(3)
    first = await open_held_form(visit, jana, at)
    second = await open_tab(first, form_url(jana, at))
    await expect_held(second)
    before = held(sql, jana)
    await first.close()
    await asyncio.sleep(RECONNECT + 1)
    assert held(sql, jana) == before
    await second.close()
    await wait_until(lambda: held(sql, jana) == [], "the last tab to release it")


async def test_hold_released_and_retaken_in_one_tab_is_held_in_the_other(
    visit: Visit, jana: Expert, sql: Connection
) -> None:
    at = in_days(3)
    first = await open_held_form(visit, jana, at)
    second = await open_tab(first, form_url(jana, at))
    await expect_held(second)
    await button(first, "Release this time").click()
    await expect(clock(second)).to_have_attribute("data-hold", "over")
    await button(second, "Hold it again").click()
    await expect_held(second)
    await expect_held(first)
    await second.close()
    await asyncio.sleep(RECONNECT + 1)
    assert len(held(sql, jana)) == 1
    await fill_in(first, **ADA)
    await book_button(first).click()
    await first.wait_for_url("**/booking/*")
    assert (bookings_at(sql, jana.id, at), held(sql, jana)) == (1, [])


async def test_only_typing_renews_a_hold(visit: Visit, jana: Expert, sql: Connection) -> None:
    page = await open_held_form(visit, jana, in_days(3))
    expire_hold_in(sql, jana, 100)
    await page.reload()
    await expect_held(page)
    await page.get_by_label("Name").click()
    await page.keyboard.press("Tab")
    await page.mouse.wheel(0, 300)
    await asyncio.sleep(0.5)
    assert await seconds_left(page) <= 100
    await page.keyboard.type("a")
    await page.wait_for_function("document.querySelector('[role=timer]').dataset.seconds > 280")
    await expect(clock(page).locator("strong")).to_have_text(re.compile(r"^On hold for you for (5:00|4:5\d)$"))
    renewed = held(sql, jana)
    await page.keyboard.type("da@example.com")  # already renewed a moment ago
    await asyncio.sleep(0.5)
    assert held(sql, jana) == renewed


# --- processes --------------------------------------------------------------------------------------------------


async def test_killed_process_blocks_a_time_no_longer_than_the_hold(
    serve: Serve, visit: Visit, jana: Expert, sql: Connection, excuse: Excuse
) -> None:
    excuse(CONNECTION_LOST)
    at, short = in_days(3), serve(HOLD_MINUTES="0.1")
    board = await visit(jana.page)  # of another server process
    await wait_for_live_slot(board, at)
    await open_held_form(visit, jana, at, at=short.url)
    await expect_slot(board, at, "held", within=LIVE_UPDATE_MS)
    short.kill()
    assert len(held(sql, jana)) == 1
    row = sql.execute("SELECT extract(epoch FROM hold_until - now()) FROM booking WHERE expert_id = %s", [jana.id])
    left = float((row.fetchone() or (0,))[0])
    await expect_slot(board, at, "open", within=left * 1000 + LIVE_UPDATE_MS)


async def test_server_restart_releases_no_hold_and_the_page_keeps_its_own(
    serve: Serve, restart: Restart, visit: Visit, jana: Expert, sql: Connection, excuse: Excuse
) -> None:
    excuse(CONNECTION_LOST)
    server = serve()
    page = await open_held_form(visit, jana, in_days(3), at=server.url)
    await fill_in(page, **GRACE)
    await page.wait_for_function("document.querySelector('[role=timer]').dataset.seconds > 0")
    before = held(sql, jana)
    restart(server)
    async with page.expect_navigation():
        pass
    await expect_held(page)
    await expect_form(page, **GRACE)
    assert [row[0] for row in held(sql, jana)] == [before[0][0]]
    await asyncio.sleep(RECONNECT + 1)
    assert len(held(sql, jana)) == 1


async def test_hold_shown_by_another_process_is_not_released_by_the_first(
    serve: Serve, visit: Visit, jana: Expert, sql: Connection
) -> None:
    at, second = in_days(3), serve()
    here = await open_held_form(visit, jana, at)
    there = await here.context.new_page()  # cookies ignore the port, so this is the same browser
    await there.goto(second.url + form_url(jana, at))
    await expect_held(there)
    before = held(sql, jana)
    await here.close()
    await asyncio.sleep(RECONNECT + 1)
    assert held(sql, jana) == before


async def test_form_waits_while_the_database_is_down_and_then_books(
    server_url: str, serve: Serve, visit: Visit, jana: Expert, sql: Connection, excuse: Excuse
) -> None:
    at, server = in_days(3), serve()
    page = await open_held_form(visit, jana, at, at=server.url)
    expire_hold_in(sql, jana, 6)
    await page.reload()
    await expect_held(page)
    with database_unreachable(server_url, sql):
        await fill_in(page, **ADA)
        await book_button(page).click()
        await expect(page.locator('[data-refusal="unavailable"]')).to_contain_text("Nothing you typed is lost")
        await expect(page.get_by_role("timer")).to_have_text("0:00")
    await expect(clock(page)).to_have_attribute("data-hold", "over")
    await expect(page.locator("[data-refusal]")).to_have_count(0)
    await expect_form(page, **ADA)
    await book_button(page).click()
    await page.wait_for_url("**/booking/*")
    assert bookings_at(sql, jana.id, at) == 1


# --- booking ----------------------------------------------------------------------------------------------------


async def test_held_time_becomes_the_booking(visit: Visit, jana: Expert, sql: Connection) -> None:
    at, board = in_days(3), await visit(jana.page)
    await wait_for_live_slot(board, at)
    page = await open_held_form(visit, jana, at)
    [(number, *_)] = held(sql, jana)
    await fill_in(page, **ADA)
    await book_button(page).click()
    await page.wait_for_url("**/booking/*")
    await expect_slot(board, at, "booked", within=LIVE_UPDATE_MS)
    assert bookings_at(sql, jana.id, at) == 1
    assert sql.execute("SELECT status FROM booking WHERE id = %s", [number]).fetchone() != ("held",)


async def test_late_submission_books_if_the_time_is_still_free(visit: Visit, jana: Expert, sql: Connection) -> None:
    at = in_days(3)
    page = await open_held_form(visit, jana, at)
    expire_hold_in(sql, jana, 0.5)
    await expect(clock(page)).to_have_attribute("data-hold", "over")
    await fill_in(page, **ADA)
    await book_button(page).click()
    await page.wait_for_url("**/booking/*")
    assert bookings_at(sql, jana.id, at) == 1


async def test_late_submission_for_a_taken_time_keeps_the_input_and_offers_alternatives(
    visit: Visit, jana: Expert, sql: Connection
) -> None:
    at = in_days(3)
    page = await open_held_form(visit, jana, at)
    await fill_in(page, **GRACE)
    insert_booking(sql, jana.id, at)
    notice = page.locator('[data-reason="busy"]')
    await expect(notice).to_contain_text(
        "Your hold has expired. Someone else has just booked this time.", timeout=LIVE_UPDATE_MS
    )
    await book_button(page).click()
    await expect(notice).to_contain_text("Nothing you typed is lost.")
    await expect_form(page, **GRACE)
    assert bookings_at(sql, jana.id, at) == 1
    await notice.locator(f'[data-alternative="{iso(at + HOUR)}"]').click()
    await page.wait_for_url(f"**at={iso(at + HOUR)}")
    await expect_held(page)
    await expect_form(page, **GRACE)
    await book_button(page).click()
    await page.wait_for_url("**/booking/*")


async def test_form_whose_hold_was_replaced_still_books_beside_the_new_hold(
    visit: Visit, new_expert: NewExpert, sql: Connection
) -> None:
    often, at = await new_expert(step_minutes=30), in_days(3)
    first = await open_held_form(visit, often, at)
    await fill_in(first, **ADA)
    second = await open_tab(first, form_url(often, at + HOUR / 2))  # overlaps the first
    await expect_held(second)
    await expect(clock(first)).to_have_attribute("data-hold", "replaced")
    await book_button(first).click()
    await first.wait_for_url("**/booking/*")
    assert bookings_at(sql, often.id, at) == 1
    await expect(second.locator("[data-refusal]")).to_be_visible()


async def test_time_held_by_another_visitor_is_offered_when_it_is_released(visit: Visit, jana: Expert) -> None:
    at = in_days(3)
    theirs = await open_held_form(visit, jana, at)
    page = await visit(form_url(jana, at))
    notice = page.locator('[data-refusal="slot_taken"][data-reason="held"]')
    await expect(notice).to_contain_text("Someone else is booking this time right now.")
    await expect(notice).to_contain_text("It may be free again in a few minutes")
    await expect(notice.locator(f'[data-alternative="{iso(at + HOUR)}"]')).to_be_visible()
    await expect(clock(page)).to_have_count(0)
    await wait_until_connected(page)
    await fill_in(page, **GRACE)
    await button(theirs, "Release this time").click()
    await expect(clock(page)).to_have_attribute("data-hold", "free", timeout=2 * LIVE_UPDATE_MS)
    await expect(page.locator("[data-refusal]")).to_have_count(0)
    await button(page, "Hold it for me").click()
    await expect_held(page)
    await expect_form(page, **GRACE)
    await expect(theirs.locator('[data-reason="held"]')).to_be_visible()


async def test_network_hold_limit_is_explained_and_booking_still_works(
    serve: Serve, visit: Visit, jana: Expert, new_expert: NewExpert, sql: Connection
) -> None:
    omar, at = await new_expert(), in_days(3)
    small = serve(HOLDS_PER_NETWORK="1", SECRET_KEY="another one, so other tests' holds are of other networks")
    await open_held_form(visit, jana, at, at=small.url)
    page = await visit(form_url(omar, at), at=small.url)
    await expect(clock(page)).to_have_attribute("data-hold", "alone")
    await expect(clock(page)).to_contain_text("You can still book without a hold.")
    await fill_in(page, **ADA)
    await book_button(page).click()
    await page.wait_for_url("**/booking/*")
    assert bookings_at(sql, omar.id, at) == 1


async def test_time_is_held_and_booked_with_the_keyboard_alone(visit: Visit, jana: Expert) -> None:
    at, page = in_days(3), await visit(jana.page)
    await wait_for_live_slot(page, at)
    await slot(page, at).focus()
    await page.keyboard.press("Enter")
    await expect_held(page)
    await page.get_by_role("link", name="Other times").focus()
    await page.keyboard.press("Tab")
    await expect(button(page, "Release this time")).to_be_focused()
    for text in (ADA["name"], ADA["email"], ADA["phone"]):
        await page.keyboard.press("Tab")
        await page.keyboard.type(text)
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/booking/*")


async def test_terms_are_shown_before_booking_and_the_button_says_who_confirms(
    visit: Visit, new_expert: NewExpert
) -> None:
    asks = await new_expert(cancel_notice_minutes=1440, reschedule_notice_minutes=120, max_reschedules=1)
    page = await visit(asks.page)
    sentences = (
        "The expert confirms within 2 days.",
        "Free cancellation until 1 day before the start.",
        "You can reschedule until 2 hours before the start, once.",
    )
    for sentence in sentences:
        await expect(page.locator(".terms")).to_contain_text(sentence)
    await page.goto(form_url(asks, in_days(3)))
    await expect(page.locator(".summary .terms li")).to_have_text(sentences)
    await expect(book_button(page)).to_have_text("Request this time")
    at_once = await new_expert(confirmation="at_once")
    await page.goto(form_url(at_once, in_days(3)))
    await expect(page.locator(".summary .terms")).to_contain_text("Confirmed instantly.")
    await expect(book_button(page)).to_have_text("Book this time")
