"""Two browsers side by side: who opens the form holds its time, and everybody else sees it."""

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
    AT_ONCE,
    HOUR,
    Connection,
    book_button,
    bookings_at,
    by_hand,
    connected,
    fill_in,
    holds,
    in_days,
    iso,
    says,
    sees,
    slot,
    until,
    watches,
)
from tests.browser.test_reconnect import CONNECTION_LOST, nobody_listening
from tests.serving import ServerProcess

Serve = Callable[..., ServerProcess]
GRACE = {"name": "Grace Hopper", "email": "grace@example.com", "phone": "+1 202 555 0143", "notes": "First\nSecond"}
RECONNECT = 5  # seconds that a page outlives its connection


def form_of(expert: Expert, at: datetime) -> str:
    """Where a slot is booked."""
    return f"/book/{expert.slug}?at={iso(at)}"


async def holding(visit: Visit, expert: Expert, start: datetime, **where: Any) -> Page:
    """A form in a browser of its own, its time held."""
    page = await visit(form_of(expert, start), **where)
    await holds(page)
    return page


async def tab_of(page: Page, path: str) -> Page:
    """Another tab of the same browser."""
    tab = await page.context.new_page()
    await tab.goto(path)
    return tab


def held(sql: Connection, expert: Expert) -> list[tuple[Any, ...]]:
    """What is held of an expert: id, start, end of the hold."""
    return sql.execute(
        "SELECT id, starts_at, hold_until FROM booking WHERE expert_id = %s AND status = 'held'", [expert.id]
    ).fetchall()


def ends_in(sql: Connection, expert: Expert, seconds: float) -> None:
    """Let the hold be over in so many seconds."""
    sql.execute(
        "UPDATE booking SET hold_until = now() + make_interval(secs => %s) WHERE expert_id = %s AND status = 'held'",
        [seconds, expert.id],
    )


def waiting(sql: Connection) -> int:
    """How many statements wait for another one."""
    found = sql.execute("SELECT count(*) FROM pg_locks WHERE NOT granted").fetchone()
    assert found is not None
    return int(found[0])


def clock(page: Page) -> Locator:
    """The part that says how the time stands."""
    return page.locator("[data-hold]")


def button(page: Page, name: str) -> Locator:
    """One of the clock's buttons."""
    return clock(page).get_by_role("button", name=name)


async def seconds_left(page: Page) -> int:
    """What the countdown shows."""
    return int(await page.get_by_role("timer").get_attribute("data-seconds") or -1)


# --- taking and moving ------------------------------------------------------------------------------------------


async def test_who_opens_the_form_holds_its_time_and_everybody_else_sees_that_it_is_being_booked(
    visit: Visit, jana: Expert, sql: Connection
) -> None:
    at, board = in_days(3), await visit(jana.page)
    await watches(board, at)
    await board.evaluate("window.heard = []; window.socket.onAny((...said) => window.heard.push(JSON.stringify(said)))")
    await board.evaluate("window.here = true")
    page = await holding(visit, jana, at)
    await sees(board, at, "held", within=AT_ONCE)
    await expect(slot(board, at)).to_contain_text("being booked")
    assert (await slot(board, at).get_attribute("aria-label") or "").endswith(", being booked by somebody")
    assert await slot(board, at).get_attribute("data-mine") is None
    assert 290 < await seconds_left(page) <= 300
    await expect(clock(page).get_by_role("status")).to_have_text("This time is kept for you for 5 minutes.")
    [(number, *_)] = held(sql, jana)
    assert str(number) not in "".join(await board.evaluate("window.heard"))
    assert str(number) not in await page.content()
    assert await board.evaluate("window.here"), "the page was loaded anew"


async def test_who_sends_the_form_before_its_time_is_held_is_not_in_their_own_way(
    visit: Visit, jana: Expert, sql: Connection
) -> None:
    at, page = in_days(3), await visit()
    with sql.transaction():
        # The hold is written, and waits before it counts.
        sql.execute("LOCK TABLE expert_changed IN SHARE ROW EXCLUSIVE MODE")
        await page.goto(form_of(jana, at))
        await connected(page)
        await fill_in(page, **ADA)
        await until(lambda: waiting(sql) >= 1, "the hold to be under way")
        await book_button(page).click()
        await asyncio.sleep(0.5)
    await page.wait_for_url("**/booking/*")
    assert held(sql, jana) == []
    assert bookings_at(sql, jana.id, at) == 1


async def test_reading_the_page_without_opening_it_holds_nothing(
    jana: Expert, rest: httpx.AsyncClient, sql: Connection
) -> None:
    for _ in range(2):
        assert (await rest.get(form_of(jana, in_days(3)))).status_code == 200
    await asyncio.sleep(0.5)
    assert held(sql, jana) == []


async def test_back_and_another_time_moves_the_hold_and_both_boards_follow(
    visit: Visit, jana: Expert, sql: Connection
) -> None:
    at, board = in_days(3), await visit(jana.page)
    await watches(board, at)
    page = await holding(visit, jana, at)
    await sees(board, at, "held")
    await page.goto(jana.page)
    mine = slot(page, at)
    await expect(mine).to_be_enabled()
    await expect(mine).to_contain_text("held for you")
    await expect(mine).to_have_attribute("data-mine", "")
    assert (await mine.get_attribute("aria-label") or "").endswith(", held for you")
    await slot(page, at + HOUR).click()
    await holds(page)
    await sees(board, at, "open", within=AT_ONCE)
    await sees(board, at + HOUR, "held", within=AT_ONCE)
    assert [start for _, start, _ in held(sql, jana)] == [at + HOUR]


async def test_times_that_only_ones_own_hold_is_in_the_way_of_stay_free_for_oneself(
    visit: Visit, new_expert: NewExpert, sql: Connection
) -> None:
    often, at = await new_expert(step_minutes=30), in_days(3)
    others = await visit(often.page)
    await watches(others, at + HOUR / 2)
    page = await holding(visit, often, at)
    await sees(others, at + HOUR / 2, "held")
    board = await tab_of(page, often.page)
    await sees(board, at + HOUR / 2, "open")
    by_hand(sql, often.id, at + HOUR)  # 10:30 runs into this one
    await sees(board, at + HOUR / 2, "booked", within=AT_ONCE)
    await slot(board, at - HOUR / 2).click()
    await holds(board)
    await expect(clock(page)).to_have_attribute("data-hold", "rescheduled")
    # Somebody's booking and one's own hold are in the way of it.
    busy = await tab_of(page, form_of(often, at + HOUR / 2))
    await expect(busy.locator('[data-reason="busy"]')).to_be_visible()


async def test_a_day_that_only_ones_own_hold_makes_full_stays_free_for_oneself(
    visit: Visit, new_expert: NewExpert
) -> None:
    rare, at = await new_expert(daily_cap=1), in_days(3)
    others = await visit(rare.page)
    await watches(others, at + HOUR)
    page = await holding(visit, rare, at)
    await expect(slot(others, at + HOUR)).to_have_count(0)
    board = await tab_of(page, rare.page)
    await sees(board, at + HOUR, "open")
    await slot(board, at + HOUR).click()
    await holds(board)
    await sees(others, at + HOUR, "held")


async def test_an_open_board_in_the_same_browser_knows_at_once_what_its_visitor_holds(
    visit: Visit, jana: Expert
) -> None:
    at, first = in_days(3), await visit(form_of(jana, in_days(4)))
    await holds(first)
    board = await tab_of(first, jana.page)
    await watches(board, at)
    form = await tab_of(first, form_of(jana, at))
    await holds(form)
    await expect(slot(board, at)).to_contain_text("held for you", timeout=2 * AT_ONCE)
    await expect(slot(board, at)).to_be_enabled()
    await expect(board.locator("[data-mine]")).to_have_count(1)
    await button(form, "Release this time").click()
    await expect(board.locator("[data-mine]")).to_have_count(0, timeout=2 * AT_ONCE)


async def test_another_time_in_another_tab_moves_the_hold_and_the_first_tab_says_so(visit: Visit, jana: Expert) -> None:
    at = in_days(3)
    first = await holding(visit, jana, at)
    await fill_in(first, **GRACE)
    second = await tab_of(first, form_of(jana, at + HOUR))
    await holds(second)
    await expect(clock(first)).to_have_attribute("data-hold", "rescheduled", timeout=2 * AT_ONCE)
    await expect(clock(first)).to_contain_text("You are keeping another time now. It is")
    await expect(clock(first)).to_contain_text("11:00. This one is still free.")
    await says(first, **GRACE)
    await button(first, "Keep this time again").click()
    await holds(first)
    await expect(clock(second)).to_have_attribute("data-hold", "rescheduled")


# --- letting go -------------------------------------------------------------------------------------------------


async def test_a_hold_that_lapses_is_free_for_all_within_a_second_and_can_be_taken_again(
    visit: Visit, jana: Expert, sql: Connection
) -> None:
    at, board = in_days(3), await visit(jana.page)
    await watches(board, at)
    page = await holding(visit, jana, at)
    await fill_in(page, **GRACE)
    await sees(board, at, "held")
    await asyncio.sleep(0.5)  # typing has renewed it
    ends_in(sql, jana, 3)
    await sees(board, at, "open", within=3 * AT_ONCE + AT_ONCE)
    await expect(clock(page)).to_have_attribute("data-hold", "over", timeout=AT_ONCE)
    await expect(clock(page)).to_contain_text("Your hold is over.The time is still free.")
    await says(page, **GRACE)
    await button(page, "Keep it again").click()
    await holds(page)
    await sees(board, at, "held", within=AT_ONCE)


async def test_the_last_minute_looks_and_sounds_different(visit: Visit, jana: Expert, sql: Connection) -> None:
    page = await holding(visit, jana, in_days(3))
    ends_in(sql, jana, 62)
    await page.reload()
    await holds(page)
    await expect(clock(page)).not_to_contain_class("last")
    await expect(clock(page)).to_contain_class("last")
    await expect(clock(page).get_by_role("status")).to_have_text("One minute left of the time kept for you.")
    await expect(page.get_by_role("timer")).to_contain_text("0:5")


async def test_a_released_time_is_free_at_once_and_one_key_takes_it_back(visit: Visit, jana: Expert) -> None:
    at, board = in_days(3), await visit(jana.page)
    await watches(board, at)
    page = await holding(visit, jana, at)
    await sees(board, at, "held")
    await button(page, "Release this time").focus()
    await page.keyboard.press("Enter")
    await sees(board, at, "open", within=2 * AT_ONCE)
    await expect(clock(page)).to_have_attribute("data-hold", "released")
    await expect(button(page, "Keep it again")).to_be_focused()
    await page.keyboard.press("Enter")
    await sees(board, at, "held", within=2 * AT_ONCE)
    await expect(button(page, "Release this time")).to_be_focused()


async def test_a_closed_tab_lets_its_time_go_after_the_time_to_reconnect(visit: Visit, jana: Expert) -> None:
    at, board = in_days(3), await visit(jana.page)
    await watches(board, at)
    page = await holding(visit, jana, at)
    await sees(board, at, "held")
    closed = time.monotonic()
    await page.close()
    await sees(board, at, "open", within=(RECONNECT + 2) * 1000)
    assert time.monotonic() - closed > RECONNECT - 1, "it might have been a reload"


async def test_a_reload_keeps_the_very_same_hold_and_does_not_renew_it(
    visit: Visit, jana: Expert, sql: Connection
) -> None:
    page = await holding(visit, jana, in_days(3))
    ends_in(sql, jana, 200)
    before = held(sql, jana)
    for _ in range(2):
        await page.reload()
        await holds(page)
    assert 150 < await seconds_left(page) <= 200
    await asyncio.sleep(RECONNECT + 1)  # the pages from before are gone
    assert held(sql, jana) == before
    await expect(clock(page)).to_have_attribute("data-hold", "held")


async def test_two_tabs_share_a_hold_and_closing_one_keeps_it_for_the_other(
    visit: Visit, jana: Expert, sql: Connection
) -> None:
    at = in_days(3)
    first = await holding(visit, jana, at)
    second = await tab_of(first, form_of(jana, at))
    await holds(second)
    before = held(sql, jana)
    await first.close()
    await asyncio.sleep(RECONNECT + 1)
    assert held(sql, jana) == before
    await second.close()
    await until(lambda: held(sql, jana) == [], "the last tab to let it go")


async def test_what_one_tab_releases_and_takes_again_is_held_for_the_other_one_too(
    visit: Visit, jana: Expert, sql: Connection
) -> None:
    at = in_days(3)
    first = await holding(visit, jana, at)
    second = await tab_of(first, form_of(jana, at))
    await holds(second)
    await button(first, "Release this time").click()
    await expect(clock(second)).to_have_attribute("data-hold", "over")
    await button(second, "Keep it again").click()
    await holds(second)
    await holds(first)
    await second.close()
    await asyncio.sleep(RECONNECT + 1)
    assert len(held(sql, jana)) == 1
    await fill_in(first, **ADA)
    await book_button(first).click()
    await first.wait_for_url("**/booking/*")
    assert (bookings_at(sql, jana.id, at), held(sql, jana)) == (1, [])


async def test_only_typing_renews_a_hold(visit: Visit, jana: Expert, sql: Connection) -> None:
    page = await holding(visit, jana, in_days(3))
    ends_in(sql, jana, 100)
    await page.reload()
    await holds(page)
    await page.get_by_label("Name").click()
    await page.keyboard.press("Tab")
    await page.mouse.wheel(0, 300)
    await asyncio.sleep(0.5)
    assert await seconds_left(page) <= 100
    await page.keyboard.type("a")
    await page.wait_for_function("document.querySelector('[role=timer]').dataset.seconds > 280")
    await expect(clock(page).locator("strong")).to_have_text(re.compile(r"^Kept for you for (5:00|4:5\d)$"))
    renewed = held(sql, jana)
    await page.keyboard.type("da@example.com")  # told already
    await asyncio.sleep(0.5)
    assert held(sql, jana) == renewed


# --- processes --------------------------------------------------------------------------------------------------


async def test_a_process_that_is_killed_keeps_nothing_from_others_for_longer_than_the_hold(
    serve: Serve, visit: Visit, jana: Expert, sql: Connection, excuse: Excuse
) -> None:
    excuse(CONNECTION_LOST)
    at, short = in_days(3), serve(HOLD_MINUTES="0.1")
    board = await visit(jana.page)  # of another process
    await watches(board, at)
    await holding(visit, jana, at, at=short.url)
    await sees(board, at, "held", within=AT_ONCE)
    short.kill()
    assert len(held(sql, jana)) == 1
    row = sql.execute("SELECT extract(epoch FROM hold_until - now()) FROM booking WHERE expert_id = %s", [jana.id])
    left = float((row.fetchone() or (0,))[0])
    await sees(board, at, "open", within=left * 1000 + AT_ONCE)


async def test_a_restarted_server_lets_nothing_go_and_the_page_that_comes_back_keeps_its_hold(
    serve: Serve, restart: Restart, visit: Visit, jana: Expert, sql: Connection, excuse: Excuse
) -> None:
    excuse(CONNECTION_LOST)
    server = serve()
    page = await holding(visit, jana, in_days(3), at=server.url)
    await fill_in(page, **GRACE)
    await page.wait_for_function("document.querySelector('[role=timer]').dataset.seconds > 0")
    before = held(sql, jana)
    restart(server)
    async with page.expect_navigation():
        pass
    await holds(page)
    await says(page, **GRACE)
    assert [row[0] for row in held(sql, jana)] == [before[0][0]]
    await asyncio.sleep(RECONNECT + 1)
    assert len(held(sql, jana)) == 1


async def test_a_page_that_has_moved_to_another_process_is_not_robbed_by_the_first(
    serve: Serve, visit: Visit, jana: Expert, sql: Connection
) -> None:
    at, second = in_days(3), serve()
    here = await holding(visit, jana, at)
    there = await here.context.new_page()  # cookies know no ports: the same browser
    await there.goto(second.url + form_of(jana, at))
    await holds(there)
    before = held(sql, jana)
    await here.close()
    await asyncio.sleep(RECONNECT + 1)
    assert held(sql, jana) == before


async def test_while_the_database_is_away_the_form_waits_and_is_right_afterwards(
    server_url: str, serve: Serve, visit: Visit, jana: Expert, sql: Connection, excuse: Excuse
) -> None:
    at, server = in_days(3), serve()
    page = await holding(visit, jana, at, at=server.url)
    ends_in(sql, jana, 6)
    await page.reload()
    await holds(page)
    with nobody_listening(server_url, sql):
        await fill_in(page, **ADA)
        await book_button(page).click()
        await expect(page.locator('[data-refusal="unavailable"]')).to_contain_text("Nothing you typed is lost")
        await expect(page.get_by_role("timer")).to_have_text("0:00")
    await expect(clock(page)).to_have_attribute("data-hold", "over")
    await expect(page.locator("[data-refusal]")).to_have_count(0)
    await says(page, **ADA)
    await book_button(page).click()
    await page.wait_for_url("**/booking/*")
    assert bookings_at(sql, jana.id, at) == 1


# --- booking ----------------------------------------------------------------------------------------------------


async def test_a_held_time_becomes_the_booking(visit: Visit, jana: Expert, sql: Connection) -> None:
    at, board = in_days(3), await visit(jana.page)
    await watches(board, at)
    page = await holding(visit, jana, at)
    [(number, *_)] = held(sql, jana)
    await fill_in(page, **ADA)
    await book_button(page).click()
    await page.wait_for_url("**/booking/*")
    await sees(board, at, "booked", within=AT_ONCE)
    assert bookings_at(sql, jana.id, at) == 1
    assert sql.execute("SELECT status FROM booking WHERE id = %s", [number]).fetchone() != ("held",)


async def test_a_late_submit_wins_as_long_as_the_time_is_free(visit: Visit, jana: Expert, sql: Connection) -> None:
    at = in_days(3)
    page = await holding(visit, jana, at)
    ends_in(sql, jana, 0.5)
    await expect(clock(page)).to_have_attribute("data-hold", "over")
    await fill_in(page, **ADA)
    await book_button(page).click()
    await page.wait_for_url("**/booking/*")
    assert bookings_at(sql, jana.id, at) == 1


async def test_a_late_submit_for_a_taken_time_loses_no_word_and_gets_other_times(
    visit: Visit, jana: Expert, sql: Connection
) -> None:
    at = in_days(3)
    page = await holding(visit, jana, at)
    await fill_in(page, **GRACE)
    by_hand(sql, jana.id, at)
    notice = page.locator('[data-reason="busy"]')
    await expect(notice).to_contain_text("Your hold is over. Someone else has just booked this time.", timeout=AT_ONCE)
    await book_button(page).click()
    await expect(notice).to_contain_text("Nothing you typed is lost.")
    await says(page, **GRACE)
    assert bookings_at(sql, jana.id, at) == 1
    await notice.locator(f'[data-alternative="{iso(at + HOUR)}"]').click()
    await page.wait_for_url(f"**at={iso(at + HOUR)}")
    await holds(page)
    await says(page, **GRACE)
    await book_button(page).click()
    await page.wait_for_url("**/booking/*")


async def test_a_form_whose_hold_has_moved_books_all_the_same_even_beside_the_new_one(
    visit: Visit, new_expert: NewExpert, sql: Connection
) -> None:
    often, at = await new_expert(step_minutes=30), in_days(3)
    first = await holding(visit, often, at)
    await fill_in(first, **ADA)
    second = await tab_of(first, form_of(often, at + HOUR / 2))  # overlaps the first
    await holds(second)
    await expect(clock(first)).to_have_attribute("data-hold", "rescheduled")
    await book_button(first).click()
    await first.wait_for_url("**/booking/*")
    assert bookings_at(sql, often.id, at) == 1
    await expect(second.locator("[data-refusal]")).to_be_visible()


async def test_somebody_elses_hold_is_told_with_other_times_and_becomes_an_offer_when_it_is_over(
    visit: Visit, jana: Expert
) -> None:
    at = in_days(3)
    theirs = await holding(visit, jana, at)
    page = await visit(form_of(jana, at))
    notice = page.locator('[data-refusal="slot_taken"][data-reason="held"]')
    await expect(notice).to_contain_text("Someone else is booking this time right now.")
    await expect(notice).to_contain_text("It may be free again in a few minutes")
    await expect(notice.locator(f'[data-alternative="{iso(at + HOUR)}"]')).to_be_visible()
    await expect(clock(page)).to_have_count(0)
    await connected(page)
    await fill_in(page, **GRACE)
    await button(theirs, "Release this time").click()
    await expect(clock(page)).to_have_attribute("data-hold", "free", timeout=2 * AT_ONCE)
    await expect(page.locator("[data-refusal]")).to_have_count(0)
    await button(page, "Keep it for me").click()
    await holds(page)
    await says(page, **GRACE)
    await expect(theirs.locator('[data-reason="held"]')).to_be_visible()


async def test_with_too_many_holds_in_a_network_the_form_says_so_calmly_and_books_all_the_same(
    serve: Serve, visit: Visit, jana: Expert, new_expert: NewExpert, sql: Connection
) -> None:
    omar, at = await new_expert(), in_days(3)
    small = serve(HOLDS_PER_NETWORK="1", SECRET_KEY="another one, so other tests' holds are of other networks")
    await holding(visit, jana, at, at=small.url)
    page = await visit(form_of(omar, at), at=small.url)
    await expect(clock(page)).to_have_attribute("data-hold", "alone")
    await expect(clock(page)).to_contain_text("You can still book without a hold.")
    await fill_in(page, **ADA)
    await book_button(page).click()
    await page.wait_for_url("**/booking/*")
    assert bookings_at(sql, omar.id, at) == 1


async def test_a_time_is_held_and_booked_with_nothing_but_the_keyboard(visit: Visit, jana: Expert) -> None:
    at, page = in_days(3), await visit(jana.page)
    await watches(page, at)
    await slot(page, at).focus()
    await page.keyboard.press("Enter")
    await holds(page)
    await page.get_by_role("link", name="Other times").focus()
    await page.keyboard.press("Tab")
    await expect(button(page, "Release this time")).to_be_focused()
    for text in (ADA["name"], ADA["email"], ADA["phone"]):
        await page.keyboard.press("Tab")
        await page.keyboard.type(text)
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/booking/*")


async def test_terms_are_read_before_booking_and_the_button_says_who_decides(
    visit: Visit, new_expert: NewExpert
) -> None:
    asks = await new_expert(cancel_notice_minutes=1440, reschedule_notice_minutes=120, max_reschedules=1)
    page = await visit(asks.page)
    said = ("The expert confirms it within 2 days.", "You can cancel until 1 day before it begins.",
            "You can move it to another time until 2 hours before it begins, once.")  # fmt: skip
    for sentence in said:
        await expect(page.locator(".terms")).to_contain_text(sentence)
    await page.goto(form_of(asks, in_days(3)))
    await expect(page.locator(".summary .terms li")).to_have_text(said)
    await expect(book_button(page)).to_have_text("Ask to book this time")
    at_once = await new_expert(confirmation="at_once")
    await page.goto(form_of(at_once, in_days(3)))
    await expect(page.locator(".summary .terms")).to_contain_text("It is confirmed at once.")
    await expect(book_button(page)).to_have_text("Book this time")
