"""Lost races, double clicks and server restarts: no input is lost and nothing is booked twice."""

from collections.abc import Callable
from datetime import datetime, timedelta

import psycopg
from playwright.async_api import Page, expect

from expert_booking.db.engine import driver_url
from tests.browser.conftest import Excuse, Expert, NewExpert, Restart, Visit
from tests.browser.pages import (
    ADA,
    HOUR,
    Connection,
    book_button,
    booking_id,
    bookings_at,
    expect_form,
    expect_held,
    expect_slot,
    fill_in,
    in_days,
    insert_booking,
    iso,
    slot,
    wait_until,
    wait_until_connected,
)
from tests.browser.test_reconnect import CONNECTION_LOST
from tests.server import ServerProcess

GRACE = {"name": "Grace Hopper", "email": "grace@example.com", "phone": "+1 202 555 0143", "notes": "First\nSecond"}


async def form(visit: Visit, expert: Expert, at: datetime, *, server: ServerProcess | None = None) -> Page:
    """Open the form for a slot, ready to be submitted."""
    elsewhere = {"at": server.url} if server else {}
    page = await visit(f"/book/{expert.slug}?at={iso(at)}", **elsewhere)
    await wait_until_connected(page)
    return page


async def test_slower_visitor_keeps_their_input_and_books_an_alternative(
    visit: Visit, jana: Expert, sql: Connection
) -> None:
    at = in_days(3)
    faster, slower = await form(visit, jana, at), await form(visit, jana, at)
    await fill_in(faster, **ADA)
    await fill_in(slower, **GRACE)
    await book_button(faster).click()
    await faster.wait_for_url("**/booking/*")
    await book_button(slower).click()
    notice = slower.get_by_role("alert").filter(has_text="Someone else has just booked this time")
    await expect(notice).to_contain_text("Nothing you typed is lost")
    await expect_form(slower, **GRACE)
    offered = [await link.get_attribute("data-alternative") for link in await notice.get_by_role("link").all()]
    nearest = [iso(at + hours * HOUR) for hours in (-1, 1, 2, 3)]
    assert set(nearest) <= set(offered)
    assert offered == sorted(map(str, offered))
    assert iso(at) not in offered

    await slower.locator(f'[data-alternative="{nearest[1]}"]').click()
    await slower.wait_for_url("**at=" + nearest[1])
    await expect(slower.locator("[data-refusal]")).to_have_count(0)
    await expect_form(slower, **GRACE)
    await book_button(slower).click()
    await slower.wait_for_url("**/booking/*")
    await expect(slower.locator("section[data-booking]")).to_contain_text("11:00–12:00")
    assert (bookings_at(sql, jana.id, at), bookings_at(sql, jana.id, at + HOUR)) == (1, 1)


async def test_simultaneous_submissions_give_the_slower_the_same_message(
    visit: Visit, jana: Expert, sql: Connection, database_url: str
) -> None:
    at, page = in_days(3), await form(visit, jana, in_days(3))
    await expect_held(page)
    await fill_in(page, **GRACE)
    # Another booking's transaction is still open: the page cannot know of it, only the database can refuse.
    with psycopg.connect(driver_url(database_url)) as other:
        insert_booking(other, jana.id, at)
        await book_button(page).click()
        await wait_until(lambda: waiting_for_locks(sql), "the booking to wait for the other one")
        other.commit()
    await expect(page.locator('[data-refusal="slot_taken"]')).to_contain_text("Someone else")
    await expect_form(page, **GRACE)
    await expect(page.locator("[data-alternative]").first).to_be_visible()
    assert bookings_at(sql, jana.id, at) == 1


async def test_taken_slot_without_alternatives_says_so(visit: Visit, new_expert: NewExpert, sql: Connection) -> None:
    at = in_days(3)
    once = await new_expert(hours=(600, 660), weekdays=[at.isoweekday()], horizon_days=6, notice_minutes=2 * 1440)
    page = await form(visit, once, at)
    await expect_held(page)
    insert_booking(sql, once.id, at)
    await expect(page.locator('[data-refusal="slot_taken"]')).to_contain_text("No other time is free")
    await expect(page.locator("[data-alternative]")).to_have_count(0)


async def test_double_click_makes_one_booking(visit: Visit, jana: Expert, sql: Connection) -> None:
    at = in_days(3)
    page, sent = await visit(), list[str]()
    page.on("websocket", lambda socket: socket.on("framesent", lambda frame: sent.append(str(frame))))
    await page.goto(f"/book/{jana.slug}?at={iso(at)}")
    await wait_until_connected(page)
    await fill_in(page, **ADA)
    await book_button(page).dblclick()
    await page.wait_for_url("**/booking/*")
    await expect(page.locator("section[data-booking]")).to_be_visible()
    assert len([frame for frame in sent if ADA["email"] in frame]) == 1
    rows = sql.execute("SELECT status FROM booking WHERE expert_id = %s", [jana.id]).fetchall()
    assert rows == [("pending",)]


async def test_form_reloaded_while_submitting_books_once_and_leads_to_the_booking(
    visit: Visit, jana: Expert, sql: Connection, database_url: str
) -> None:
    at = in_days(3)
    page = await form(visit, jana, at)
    await expect_held(page)
    await fill_in(page, **GRACE)
    with psycopg.connect(driver_url(database_url)) as other:
        insert_booking(other, jana.id, at)
        await book_button(page).click()
        await wait_until(lambda: waiting_for_locks(sql), "the booking to wait")
        await page.reload()  # the response arrives after the page was closed
        other.rollback()
    await wait_until(lambda: bookings_at(sql, jana.id, at) == 1, "the booking whose response was lost")
    await expect_form(page, **GRACE)
    await book_button(page).click()
    await page.wait_for_url("**/booking/*")
    (number,) = sql.execute("SELECT id::text FROM booking WHERE expert_id = %s", [jana.id]).fetchone() or ("",)
    assert await booking_id(page) == number
    assert bookings_at(sql, jana.id, at) == 1


async def test_going_back_after_booking_and_submitting_again_books_once(
    visit: Visit, jana: Expert, sql: Connection
) -> None:
    at = in_days(3)
    page = await visit(jana.page)
    await slot(page, at).click()
    await page.wait_for_url("**/book/**")
    await fill_in(page, **ADA)
    await book_button(page).click()
    await page.wait_for_url("**/booking/*")
    await page.go_back()
    await page.wait_for_url("**/book/**")
    await wait_until_connected(page)
    await fill_in(page, **ADA)
    await book_button(page).click()
    await expect(page.locator("[data-refusal], section[data-booking]").first).to_be_visible()
    assert bookings_at(sql, jana.id, at) == 1


async def test_input_and_submission_during_a_server_outage_are_kept_and_booked_once(
    serve: Callable[..., ServerProcess], restart: Restart, visit: Visit, jana: Expert, sql: Connection, excuse: Excuse
) -> None:
    excuse(CONNECTION_LOST)
    server, at = serve(), in_days(3)
    page = await form(visit, jana, at, server=server)
    await fill_in(page, **GRACE)
    server.stop()
    await page.wait_for_function("!window.socket.connected")
    await fill_in(page, notes="Typed while nobody listened")
    await book_button(page).click()
    async with page.expect_navigation(timeout=60_000):
        restart(server)
    await wait_until_connected(page)
    await expect_form(page, **{**GRACE, "notes": "Typed while nobody listened"})
    await book_button(page).click()
    await page.wait_for_url("**/booking/*")
    await expect(page.locator("section[data-booking]")).to_contain_text("Typed while nobody listened")
    rows = sql.execute("SELECT count(*) FROM booking WHERE expert_id = %s", [jana.id]).fetchone()
    assert rows == (1,)


async def test_next_form_after_a_booking_starts_empty(visit: Visit, jana: Expert) -> None:
    at = in_days(3)
    page = await form(visit, jana, at)
    await fill_in(page, **GRACE)
    await book_button(page).click()
    await page.wait_for_url("**/booking/*")
    await page.goto(jana.page)
    await expect_slot(page, at, "booked")
    await slot(page, at + HOUR).click()
    await expect_form(page, name="", notes="")


async def test_form_for_a_time_not_offered_gives_the_reason_on_opening(
    visit: Visit, jana: Expert, sql: Connection
) -> None:
    early, odd = in_days(3, 7), in_days(3) + timedelta(minutes=7)
    for at, why in ((early, "outside the expert's hours"), (odd, "do not start at this time")):
        page = await form(visit, jana, at)
        refusal = page.locator('[data-refusal="slot_not_offered"]')
        await expect(refusal).to_contain_text(why)
        await expect(page.locator("[data-alternative]").first).to_be_visible()
        await fill_in(page, **ADA)
        await book_button(page).click()
        await expect(book_button(page)).to_have_attribute("aria-disabled", "false")
        await expect(refusal).to_contain_text(why)
        assert bookings_at(sql, jana.id, at) == 0


def waiting_for_locks(sql: Connection) -> int:
    """Count the statements on this database that wait for a lock of another transaction."""
    row = sql.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    ).fetchone()
    assert row is not None
    return int(row[0])
