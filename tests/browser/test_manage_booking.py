"""After booking: the customer cancels or reschedules within the terms, and every open page shows it."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
from playwright.async_api import Locator, Page, expect

from tests.browser.conftest import Excuse, Expert, NewExpert, Visit, WatchedServer
from tests.browser.pages import (
    HOUR,
    LIVE_UPDATE_MS,
    Connection,
    book_on_page,
    expect_slot,
    in_days,
    insert_booking,
    iso,
    slot,
    wait_for_live_slot,
    wait_until,
    wait_until_connected,
)
from tests.browser.test_accessibility import AUDIT, CONTRAST
from tests.browser.test_reconnect import database_unreachable
from tests.server import ServerProcess

MINUTE = timedelta(minutes=1)


def set_terms(sql: Connection, expert: Expert, **columns: Any) -> None:
    """Change the terms of the expert's session types."""
    for column, value in columns.items():
        sql.execute(f"UPDATE session_type SET {column} = %s WHERE expert_id = %s", [value, expert.id])


def row(sql: Connection, number: str) -> tuple[Any, ...]:
    """Return start, status and number of reschedules of a booking from the database."""
    found = sql.execute("SELECT starts_at, status, reschedules FROM booking WHERE id = %s", [number]).fetchone()
    assert found is not None
    return found


def last_change(sql: Connection, number: str) -> tuple[Any, ...]:
    """Return actor, old status, new status and reason of a booking's last change."""
    found = sql.execute(
        "SELECT actor, from_status, to_status, reason FROM booking_change"
        " WHERE booking_id = %s ORDER BY id DESC LIMIT 1",
        [number],
    ).fetchone()
    assert found is not None
    return found


def waiting_locks(sql: Connection) -> int:
    """Count the locks that have not been granted."""
    found = sql.execute("SELECT count(*) FROM pg_locks WHERE NOT granted").fetchone()
    assert found is not None
    return int(found[0])


def set_start(sql: Connection, number: str, starts_at: datetime) -> None:
    """Set the start of a booking to any instant with plain SQL."""
    sql.execute(
        "UPDATE booking SET starts_at = %(at)s, ends_at = %(end)s, busy = tstzrange(%(at)s, %(end)s) WHERE id = %(id)s",
        {"at": starts_at, "end": starts_at + HOUR, "id": number},
    )


async def expect_status(page: Page, status: str) -> None:
    """Wait until the booking's page shows this status."""
    await expect(page.locator("section[data-booking]")).to_have_attribute("data-status", status)


def button(page: Page, name: str) -> Locator:
    """Return a button by its label."""
    return page.get_by_role("button", name=name, exact=True)


def reschedule_link(page: Page) -> Locator:
    """Return the link to the reschedule page."""
    return page.get_by_role("link", name="Reschedule")


def status_message(page: Page) -> Locator:
    """Return the element in which a page announces changes."""
    return page.locator("#news")


async def mark_loaded(page: Page) -> None:
    """Mark the loaded page, so that `stayed` can detect a reload."""
    await wait_until_connected(page)
    await page.evaluate("window.stayed = true")


async def expect_not_reloaded(page: Page) -> None:
    """Expect that the page has not been reloaded since it was marked."""
    assert await page.evaluate("window.stayed"), f"{page.url} was reloaded"


# --- cancelling -------------------------------------------------------------------------------------------------


async def test_cancelling_stores_the_reason_and_frees_the_time_immediately(
    visit: Visit, jana: Expert, sql: Connection
) -> None:
    at, page, other = in_days(3), await visit(), await visit(jana.page)
    await wait_for_live_slot(other, at)
    await other.evaluate("window.stayed = true")
    number = await book_on_page(page, jana.slug, at)
    await expect_slot(other, at, "booked")
    await mark_loaded(page)

    await button(page, "Cancel booking").click()
    await page.get_by_label("Reason").fill("I am <b>ill</b>.\nSorry.")
    await button(page, "Yes, cancel booking").click()
    await expect_status(page, "cancelled")
    await expect(status_message(page)).to_have_text("Your booking has been cancelled.")
    await expect_slot(other, at, "open", within=LIVE_UPDATE_MS)
    assert row(sql, number)[1] == "cancelled"
    assert last_change(sql, number) == ("customer", "pending", "cancelled", "I am <b>ill</b>.\nSorry.")
    for gone in (button(page, "Cancel booking"), button(page, "Yes, cancel booking"), reschedule_link(page)):
        await expect(gone).to_have_count(0)
    await expect_not_reloaded(page)
    await expect_not_reloaded(other)
    await page.get_by_role("link", name="Book another time").click()
    await expect_slot(page, at, "open")


async def test_backing_out_of_cancelling_keeps_the_booking(visit: Visit, jana: Expert, sql: Connection) -> None:
    page = await visit()
    number = await book_on_page(page, jana.slug, in_days(3))
    await button(page, "Cancel booking").click()
    await button(page, "Keep booking").click()
    await expect(button(page, "Cancel booking")).to_be_focused()
    await expect(page.get_by_role("heading", name="Cancel this booking?")).to_have_count(0)
    assert row(sql, number)[1] == "pending"


async def test_cancelling_works_with_the_keyboard_alone(visit: Visit, jana: Expert, sql: Connection) -> None:
    page = await visit()
    number = await book_on_page(page, jana.slug, in_days(3))
    question = page.get_by_role("heading", name="Cancel this booking?")
    await button(page, "Cancel booking").focus()
    await page.keyboard.press("Enter")
    await expect(question).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(button(page, "Cancel booking")).to_be_focused()
    await expect(question).to_have_count(0)

    await page.keyboard.press("Enter")
    await expect(question).to_be_focused()
    await page.keyboard.press("Tab")
    await page.keyboard.type("No time")
    await page.keyboard.press("Tab")
    await expect(button(page, "Yes, cancel booking")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect_status(page, "cancelled")
    await expect(status_message(page)).to_be_focused()
    assert last_change(sql, number)[3] == "No time"


async def test_terms_are_shown_in_the_visitors_zone_and_are_the_ones_enforced(
    visit: Visit, jana: Expert, sql: Connection
) -> None:
    at = in_days(3)
    set_terms(sql, jana, cancel_notice_minutes=1440, reschedule_notice_minutes=120, max_reschedules=2)
    page = await visit(zone="Asia/Kathmandu")
    await book_on_page(page, jana.slug, at)
    there = (at - 24 * HOUR).astimezone(ZoneInfo("Asia/Kathmandu"))
    text = f"You can cancel until {there:%A}, {there.day} {there:%B %Y, %H:%M}, Asia/Kathmandu (UTC+5:45)."
    await expect(page.locator(".manage")).to_contain_text(text)
    await expect(page.locator(".manage")).to_contain_text(", twice more.")
    zone = page.get_by_label("Time zone")
    await zone.focus()
    await zone.select_option("UTC")
    await expect(page.locator(".manage")).to_contain_text(f"{at - 2 * HOUR:%H:%M}, UTC, twice more.")


async def test_answer_deadline_is_shown_while_the_booking_is_pending(
    visit: Visit, jana: Expert, sql: Connection
) -> None:
    page = await visit()
    number = await book_on_page(page, jana.slug, in_days(3))
    await expect(page.locator("section[data-booking]")).to_contain_text("The expert answers by ")
    sql.execute("UPDATE booking SET status = 'confirmed' WHERE id = %s", [number])
    await expect_status(page, "confirmed")
    await expect(page.locator("section[data-booking]")).not_to_contain_text("The expert answers by ")


async def test_actions_disappear_when_their_deadline_passes(visit: Visit, jana: Expert, sql: Connection) -> None:
    set_terms(sql, jana, cancel_notice_minutes=60, reschedule_notice_minutes=60)
    page = await visit()
    number = await book_on_page(page, jana.slug, in_days(3))
    await mark_loaded(page)
    set_start(sql, number, datetime.now(UTC) + HOUR + timedelta(seconds=4))
    await expect(status_message(page)).to_contain_text("Your booking has been rescheduled to")
    # The cancel question is open and the reason is being typed.
    await button(page, "Cancel booking").click()
    await page.get_by_label("Reason").fill("Because")
    await expect(page.locator(".manage")).to_contain_text("Cancelling and rescheduling were possible until")
    for gone in (button(page, "Cancel booking"), button(page, "Yes, cancel booking"), reschedule_link(page)):
        await expect(gone).to_have_count(0)
    await expect(status_message(page)).to_be_focused()
    await expect_not_reloaded(page)
    assert row(sql, number)[1] == "pending"


async def test_late_cancellation_is_refused_in_place(visit: Visit, jana: Expert, sql: Connection) -> None:
    page = await visit()
    number = await book_on_page(page, jana.slug, in_days(1))
    await mark_loaded(page)
    await button(page, "Cancel booking").click()
    with sql.transaction():  # changes the terms without an event, so the page is not updated
        sql.execute("SET LOCAL session_replication_role = replica")
        sql.execute("UPDATE booking SET cancel_notice_minutes = 10000 WHERE id = %s", [number])
    await button(page, "Yes, cancel booking").click()
    await expect(page.get_by_role("alert")).to_contain_text("This session can only be cancelled until")
    await expect(button(page, "Cancel booking")).to_have_count(0)
    await expect(reschedule_link(page)).to_be_visible()
    await expect_status(page, "pending")
    assert row(sql, number)[1] == "pending"
    await expect_not_reloaded(page)


# --- changes by others -----------------------------------------------------------------------------------


async def test_host_decisions_appear_on_open_pages(
    visit: Visit, jana: Expert, rest: httpx.AsyncClient, admin: dict[str, str]
) -> None:
    page = await visit()
    number = await book_on_page(page, jana.slug, in_days(3))
    second = await page.context.new_page()
    await second.goto("/my-bookings")
    for one in (page, second):
        await mark_loaded(one)
    for status, text in (
        ("confirmed", "The expert has confirmed your booking."),
        ("cancelled", "Your booking has been cancelled."),
    ):
        answer = await rest.patch(f"/bookings/{number}/status", json={"status": status}, headers=admin)
        assert answer.status_code == 200
        await expect_status(page, status)
        await expect(status_message(page)).to_have_text(text)
        await expect(second.locator(f'[data-booking="{number}"]')).to_have_attribute("data-status", status)
    await expect(page.get_by_role("link", name="Book another time")).to_be_visible()
    for one in (page, second):
        await expect_not_reloaded(one)


@pytest.mark.parametrize(("status", "text"), [("declined", "declined"), ("expired", "expired without an answer")])
async def test_declined_or_expired_booking_offers_another_time(
    visit: Visit, jana: Expert, sql: Connection, status: str, text: str
) -> None:
    page = await visit()
    number = await book_on_page(page, jana.slug, in_days(3))
    await mark_loaded(page)
    sql.execute("UPDATE booking SET status = %s WHERE id = %s", [status, number])
    await expect(status_message(page)).to_contain_text(text)
    await expect(button(page, "Cancel booking")).to_have_count(0)
    await page.get_by_role("link", name="Book another time").click()
    await expect(page).to_have_url(re.compile(f"/expert/{jana.slug}"))


async def test_cancelling_in_two_tabs_cancels_once(visit: Visit, jana: Expert, sql: Connection) -> None:
    one = await visit()
    number = await book_on_page(one, jana.slug, in_days(3))
    two = await one.context.new_page()
    await two.goto(f"/booking/{number}")
    await wait_until_connected(two)
    for tab in (one, two):
        await button(tab, "Cancel booking").click()
    await button(two, "Yes, cancel booking").focus()
    await button(one, "Yes, cancel booking").click()
    for tab in (one, two):
        await expect_status(tab, "cancelled")
        await expect(status_message(tab)).to_have_text("Your booking has been cancelled.")
        await expect(tab.get_by_role("alert")).to_have_count(0)
    await expect(status_message(two)).to_be_focused()
    turns = sql.execute(
        "SELECT from_status FROM booking_change WHERE booking_id = %s AND to_status = 'cancelled'", [number]
    ).fetchall()
    assert turns == [("pending",)]


# --- rescheduling -----------------------------------------------------------------------------------------------------


async def test_rescheduling_updates_every_open_page(visit: Visit, jana: Expert, sql: Connection) -> None:
    at, to = in_days(3), in_days(4, 14)
    page, other = await visit(zone="Asia/Kathmandu"), await visit(jana.page)
    await wait_for_live_slot(other, at)
    await other.evaluate("window.stayed = true")
    number = await book_on_page(page, jana.slug, at)
    listed = await page.context.new_page()
    await listed.goto("/my-bookings")
    await mark_loaded(listed)

    await reschedule_link(page).click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Reschedule your booking")
    await expect(page.locator(".reschedule-now")).to_contain_text("Asia/Kathmandu (UTC+5:45)")
    await expect(page.locator(".reschedule-now")).to_contain_text("10:00–11:00")
    await expect(slot(page, at)).to_have_accessible_name(re.compile("your time"))
    await expect(slot(page, at)).to_be_disabled()
    await wait_for_live_slot(page, to)
    await slot(page, to).click()
    question = page.get_by_role("form", name="Reschedule your booking?").or_(page.locator(".reschedule-question form"))
    await expect(question).to_contain_text(f"{to.astimezone(ZoneInfo('Asia/Kathmandu')):%H:%M}")
    await expect(question).to_contain_text("14:00–15:00, Europe/Berlin")
    assert row(sql, number) == (at, "pending", 0)
    await button(page, "Reschedule").click()

    await page.wait_for_url(f"**/booking/{number}*")
    await expect(status_message(page)).to_contain_text(f"Your booking has been rescheduled to {to:%A}")
    await expect_slot(other, at, "open", within=LIVE_UPDATE_MS)
    await expect_slot(other, to, "booked", within=LIVE_UPDATE_MS)
    await expect(listed.locator(f'[data-booking="{number}"]')).to_contain_text(f"{to:%A}")
    assert row(sql, number) == (to, "pending", 1)
    for one in (other, listed):
        await expect_not_reloaded(one)
    # The change is announced once, not again after a reload.
    await page.reload()
    await expect(status_message(page)).to_have_text("")


async def test_backing_out_of_rescheduling_restores_the_focus(visit: Visit, jana: Expert, sql: Connection) -> None:
    at, to = in_days(3), in_days(4)
    page = await visit()
    number = await book_on_page(page, jana.slug, at)
    await page.goto(f"/booking/{number}/reschedule")
    await wait_for_live_slot(page, to)
    for leave in ("click", "escape"):
        await slot(page, to).focus()
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", name="Reschedule your booking?")).to_be_focused()
        if leave == "click":
            await button(page, "Keep current time").click()
        else:
            await page.keyboard.press("Escape")
        await expect(page.get_by_role("heading", name="Reschedule your booking?")).to_have_count(0)
        await expect(slot(page, to)).to_be_focused()
    assert row(sql, number) == (at, "pending", 0)


async def test_booking_can_be_rescheduled_to_a_time_overlapping_its_own(
    visit: Visit, new_expert: NewExpert, sql: Connection
) -> None:
    jana, at = await new_expert(), in_days(3)
    set_terms(sql, jana, step_minutes=30)
    page, other = await visit(), await visit(jana.page)
    await wait_for_live_slot(other, at)
    number = await book_on_page(page, jana.slug, at)
    await expect_slot(other, at + 30 * MINUTE, "booked")
    await page.goto(f"/booking/{number}/reschedule")
    await wait_for_live_slot(page, at + 30 * MINUTE)
    await slot(page, at + 30 * MINUTE).click()
    await button(page, "Reschedule").click()
    await page.wait_for_url(f"**/booking/{number}*")
    assert row(sql, number) == (at + 30 * MINUTE, "pending", 1)
    await expect_slot(other, at - 30 * MINUTE, "open", within=LIVE_UPDATE_MS)


async def test_rescheduling_to_a_time_just_taken_keeps_the_booking_and_offers_others(
    visit: Visit, jana: Expert, sql: Connection
) -> None:
    at, to = in_days(3), in_days(4)
    page = await visit()
    number = await book_on_page(page, jana.slug, at)
    await page.goto(f"/booking/{number}/reschedule")
    await wait_for_live_slot(page, to)
    await slot(page, to).click()
    with sql.transaction():
        sql.execute("SET LOCAL session_replication_role = replica")  # no event, so the page learns of it only by asking
        insert_booking(sql, jana.id, to)
        await button(page, "Reschedule").click()
        await wait_until(lambda: waiting_locks(sql), "the reschedule to wait for the other booking's transaction")
    refused = page.locator('[data-refusal="slot_taken"]')
    await expect(refused).to_contain_text("Someone else has just booked this time.")
    await expect(refused).to_contain_text("You still have your current time.")
    await expect(refused).to_be_focused()
    assert row(sql, number) == (at, "pending", 0)
    await expect(slot(page, to)).to_be_disabled()

    await expect(page.locator("[data-alternative]")).to_have_count(6)
    await expect(page.locator(f'[data-alternative="{iso(at)}"]')).to_have_count(0)
    await page.locator(f'[data-alternative="{iso(to + HOUR)}"]').click()
    await button(page, "Reschedule").click()
    await page.wait_for_url(f"**/booking/{number}*")
    assert row(sql, number) == (to + HOUR, "pending", 1)


async def test_time_taken_while_confirming_is_reported_live(visit: Visit, jana: Expert, sql: Connection) -> None:
    at, to = in_days(3), in_days(4)
    page = await visit()
    number = await book_on_page(page, jana.slug, at)
    await page.goto(f"/booking/{number}/reschedule")
    await wait_for_live_slot(page, to)
    await slot(page, to).click()
    await expect(button(page, "Reschedule")).to_be_visible()
    taken = insert_booking(sql, jana.id, to)
    await expect(page.locator('[data-refusal="slot_taken"]')).to_contain_text("You still have your current time.")
    sql.execute("DELETE FROM booking WHERE id = %s", [taken])
    await expect(button(page, "Reschedule")).to_be_visible()


async def test_last_reschedule_removes_the_option_in_every_tab(visit: Visit, jana: Expert, sql: Connection) -> None:
    at, to = in_days(3), in_days(4)
    set_terms(sql, jana, max_reschedules=1)
    page = await visit()
    number = await book_on_page(page, jana.slug, at)
    other = await page.context.new_page()
    for tab in (page, other):
        await tab.goto(f"/booking/{number}/reschedule")
        await wait_for_live_slot(tab, to)
    await slot(other, to + HOUR).click()
    await slot(page, to).click()
    await button(page, "Reschedule").click()
    await page.wait_for_url(f"**/booking/{number}*")
    await expect(reschedule_link(page)).to_have_count(0)
    await expect(page.locator(".manage")).to_contain_text("This booking cannot be rescheduled.")
    # The other tab learns of it, too.
    await expect(other.locator('[data-refusal="move"]')).to_contain_text("This booking cannot be rescheduled.")
    await expect(button(other, "Reschedule")).not_to_be_visible()
    await other.get_by_role("link", name="Back to your booking").click()
    await expect_status(other, "pending")
    assert row(sql, number) == (to, "pending", 1)


async def test_late_reschedule_is_refused_in_place(visit: Visit, jana: Expert, sql: Connection) -> None:
    at, to = in_days(1), in_days(4)
    page = await visit()
    number = await book_on_page(page, jana.slug, at)
    await page.goto(f"/booking/{number}/reschedule")
    await wait_for_live_slot(page, to)
    await slot(page, to).click()
    with sql.transaction():
        sql.execute("SET LOCAL session_replication_role = replica")
        sql.execute("UPDATE booking SET reschedule_notice_minutes = 10000 WHERE id = %s", [number])
    await button(page, "Reschedule").click()
    await expect(page.locator('[data-refusal="move"]')).to_contain_text("Rescheduling was possible until")
    await expect(page.locator('[data-refusal="move"]')).to_contain_text("Your booking stays as it is.")
    assert row(sql, number) == (at, "pending", 0)


async def test_cancelled_booking_is_reported_on_the_reschedule_page(
    visit: Visit, jana: Expert, sql: Connection
) -> None:
    page = await visit()
    number = await book_on_page(page, jana.slug, in_days(3))
    await page.goto(f"/booking/{number}/reschedule")
    await wait_for_live_slot(page, in_days(4))
    sql.execute("UPDATE booking SET status = 'cancelled' WHERE id = %s", [number])
    await expect(status_message(page)).to_have_text("Your booking has been cancelled.")
    await expect(page.locator('[data-refusal="move"]')).to_contain_text("cannot be rescheduled")
    await expect(slot(page, in_days(4))).not_to_be_visible()


async def test_deleted_booking_is_reported_on_open_pages(visit: Visit, jana: Expert, sql: Connection) -> None:
    page = await visit()
    number = await book_on_page(page, jana.slug, in_days(3))
    moving = await page.context.new_page()
    await moving.goto(f"/booking/{number}/reschedule")
    await wait_for_live_slot(moving, in_days(4))
    await wait_until_connected(page)
    sql.execute("DELETE FROM booking WHERE id = %s", [number])
    for tab in (page, moving):
        await expect(tab.get_by_role("heading", level=1)).to_have_text("We can't show this booking here")
        assert await tab.evaluate(AUDIT) == []
        for gone in (button(tab, "Cancel booking"), reschedule_link(tab), slot(tab, in_days(4))):
            await expect(gone).not_to_be_visible()


# --- access and layout ---------------------------------------------------------------------------------------------


async def test_booking_pages_are_hidden_from_other_browsers(visit: Visit, jana: Expert, excuse: Excuse) -> None:
    excuse("status of 404")
    mine, theirs = await visit(), await visit()
    number = await book_on_page(mine, jana.slug, in_days(3))
    await book_on_page(theirs, jana.slug, in_days(4))
    for path in (f"/booking/{number}", f"/booking/{number}/reschedule", "/booking/nonsense/reschedule"):
        answer = await theirs.goto(path)
        assert answer is not None
        assert answer.status == 404
        await expect(theirs.locator('[data-refusal="booking_not_found"]')).to_be_visible()
        assert jana.name not in await theirs.content()


async def test_booking_pages_fit_on_a_phone(visit: Visit, jana: Expert, sql: Connection) -> None:
    page = await visit(viewport={"width": 390, "height": 844}, has_touch=True)
    number = await book_on_page(page, jana.slug, in_days(3))
    await button(page, "Cancel booking").click()
    await expect(button(page, "Yes, cancel booking")).to_be_in_viewport()
    await expect_fits(page)
    await page.goto(f"/booking/{number}/reschedule")
    await wait_for_live_slot(page, in_days(4))
    await slot(page, in_days(4)).click()
    await expect(button(page, "Reschedule")).to_be_in_viewport()
    await expect(slot(page, in_days(4))).to_be_in_viewport()
    await expect_fits(page)
    insert_booking(sql, jana.id, in_days(4))
    await expect(page.locator("[data-alternative]").first).to_be_in_viewport()
    await expect_fits(page)
    sql.execute("UPDATE booking SET status = 'cancelled' WHERE id = %s", [number])
    await expect(page.locator('[data-refusal="move"]')).to_be_visible()
    await expect_fits(page)
    await page.goto(f"/booking/{number}")
    await expect_fits(page)


async def expect_fits(page: Page) -> None:
    """Expect no sideways scrolling, no accessibility problems, and enough contrast in light and dark mode."""
    wide, window = await page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert wide <= window
    assert await page.evaluate(AUDIT) == []
    for theme in ("dark", "light"):
        await page.emulate_media(color_scheme=theme, reduced_motion="reduce")
        await expect(page.locator("html")).to_have_attribute("data-theme", theme)
        assert (await page.evaluate(CONTRAST))["weak"] == []


async def test_first_booking_in_another_tab_appears_when_the_list_regains_focus(visit: Visit, jana: Expert) -> None:
    listed = await visit("/my-bookings")
    await mark_loaded(listed)
    number = await book_on_page(await listed.context.new_page(), jana.slug, in_days(3))
    await listed.bring_to_front()
    await listed.evaluate("dispatchEvent(new Event('focus'))")
    await expect(listed.locator(f'[data-booking="{number}"]')).to_be_visible()
    await expect_not_reloaded(listed)


async def test_closed_booking_pages_leave_nothing_behind(
    watched: WatchedServer, visit: Visit, jana: Expert, sql: Connection
) -> None:
    page = await visit(at=watched.url)
    number = await book_on_page(page, jana.slug, in_days(3))
    moving = await page.context.new_page()
    await moving.goto(f"/booking/{number}/reschedule")
    await wait_for_live_slot(moving, in_days(4))
    await slot(moving, in_days(4)).click()
    await button(moving, "Reschedule").wait_for()
    alive = watched.resource_counts()
    assert (alive["boards"], alive["rooms"]) == (1, 1)
    # The pages close while events are on the way to them.
    sql.execute("UPDATE booking SET status = 'confirmed' WHERE id = %s", [number])
    await page.close()
    await moving.close()
    await wait_until(lambda: set(watched.resource_counts().values()) == {0}, f"nothing left of {alive}")


# --- outages ----------------------------------------------------------------------------------------------


async def test_database_outage_is_reported_and_the_open_question_stays(
    server_url: str, serve: Callable[..., ServerProcess], visit: Visit, jana: Expert, sql: Connection
) -> None:
    page, at = await visit(at=serve().url), in_days(3)
    number = await book_on_page(page, jana.slug, at)
    moving = await page.context.new_page()
    await moving.goto(f"/booking/{number}/reschedule")
    await wait_for_live_slot(moving, in_days(4))
    await slot(moving, in_days(4)).click()
    await button(page, "Cancel booking").click()
    await page.get_by_label("Reason").fill("No time")
    with database_unreachable(server_url, sql):
        for tab, yes in ((page, "Yes, cancel booking"), (moving, "Reschedule")):
            await button(tab, yes).click()
            await expect(tab.get_by_role("alert")).to_contain_text("This service is temporarily unavailable.")
        assert row(sql, number) == (at, "pending", 0)
    await button(moving, "Reschedule").click()
    await moving.wait_for_url(f"**/booking/{number}*")
    await expect(page.get_by_label("Reason")).to_have_value("No time")
    await button(page, "Yes, cancel booking").click()
    await expect_status(page, "cancelled")
    assert last_change(sql, number)[3] == "No time"
