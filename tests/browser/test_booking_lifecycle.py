"""The whole life of a booking in two browsers side by side, without reloading a page."""

from datetime import datetime
from typing import Any

from playwright.async_api import Page, expect

from tests.browser.conftest import Expert, Visit
from tests.browser.pages import (
    ADA,
    HOUR,
    LIVE_UPDATE_MS,
    Connection,
    book_button,
    expect_form,
    expect_held,
    expect_slot,
    fill_in,
    in_days,
    slot,
    wait_for_live_slot,
    wait_until,
)


async def expect_not_reloaded(board: Page) -> None:
    """Expect that the page was not loaded again."""
    assert await board.evaluate("window.here"), "the page was reloaded"


def hold_until(sql: Connection, expert: Expert) -> datetime:
    """Return when the expert's only hold expires."""
    [(over,)] = sql.execute(
        "SELECT hold_until FROM booking WHERE expert_id = %s AND status = 'held'", [expert.id]
    ).fetchall()
    assert isinstance(over, datetime)
    return over


def history(sql: Connection, expert: Expert) -> list[tuple[Any, ...]]:
    """Return the history of the expert's bookings: actor, old status, new status."""
    return sql.execute(
        "SELECT actor, from_status, to_status FROM booking_change WHERE expert_id = %s ORDER BY id", [expert.id]
    ).fetchall()


async def test_a_second_browser_sees_hold_expiry_booking_rescheduling_and_cancelling(
    visit: Visit, jana: Expert, sql: Connection
) -> None:
    first, second, third = in_days(3), in_days(3) + HOUR, in_days(3) + 2 * HOUR
    other, page = await visit(jana.page), await visit(jana.page)
    await wait_for_live_slot(other, first)
    await other.evaluate("window.here = true")

    # One visitor holds a time, and the other sees it on hold.
    await slot(page, first).click()
    await expect_held(page)
    await expect_slot(other, first, "held", within=LIVE_UPDATE_MS)
    await expect(slot(other, first)).to_contain_text("on hold")

    # The hold changes to another slot.
    await page.go_back()
    await slot(page, second).click()
    await expect_held(page)
    await expect_slot(other, first, "open", within=LIVE_UPDATE_MS)
    await expect_slot(other, second, "held", within=LIVE_UPDATE_MS)

    # The hold expires within a second; the form keeps what was typed.
    began = hold_until(sql, jana)
    await fill_in(page, **ADA)
    await wait_until(lambda: hold_until(sql, jana) > began, "typing to renew the hold")
    sql.execute("UPDATE booking SET hold_until = now() + interval '1 second' WHERE status = 'held'")
    await expect_slot(other, second, "open", within=2 * LIVE_UPDATE_MS)
    again = page.get_by_role("button", name="Hold it again")
    await expect(again).to_be_visible()
    await expect_form(page, **ADA)

    # Booked.
    await again.click()
    await expect_held(page)
    await expect_slot(other, second, "held", within=LIVE_UPDATE_MS)
    await book_button(page).click()
    await page.wait_for_url("**/booking/*")
    await expect_slot(other, second, "booked", within=LIVE_UPDATE_MS)

    # Rescheduled to another time.
    await page.get_by_role("link", name="Reschedule").click()
    await wait_for_live_slot(page, third)
    await slot(page, third).click()
    await page.get_by_role("button", name="Reschedule").click()
    await expect_slot(other, third, "booked", within=LIVE_UPDATE_MS)
    await expect_slot(other, second, "open", within=LIVE_UPDATE_MS)

    # Cancelled.
    await page.get_by_role("button", name="Cancel booking").click()
    await page.get_by_role("button", name="Yes, cancel booking").click()
    await expect(page.locator("[data-booking]").first).to_have_attribute("data-status", "cancelled")
    await expect_slot(other, third, "open", within=LIVE_UPDATE_MS)

    await expect_not_reloaded(other)
    assert history(sql, jana) == [
        ("customer", None, "pending"), ("customer", "pending", "pending"), ("customer", "pending", "cancelled"),
    ]  # fmt: skip
