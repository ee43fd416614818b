"""Rare cases: an expert who offers nothing, a deleted booking, a time the visitor has already booked."""

import re

from playwright.async_api import expect

from tests.browser.conftest import Excuse, Expert, Visit
from tests.browser.pages import (
    Connection,
    book_button,
    book_on_page,
    fill_in,
    in_days,
    iso,
    slot,
    wait_for_live_slot,
    wait_until_connected,
)
from tests.server import ServerProcess

DEACTIVATE = "UPDATE session_type SET active = false WHERE expert_id = %s"


async def test_deactivated_session_types_remove_slots_but_keep_bookings(
    visit: Visit, jana: Expert, sql: Connection
) -> None:
    customer, watcher = await visit(), await visit(f"/expert/{jana.slug}")
    await wait_for_live_slot(watcher, in_days(4))
    number = await book_on_page(customer, jana.slug, in_days(3))
    sql.execute(DEACTIVATE, [jana.id])
    await expect(slot(watcher, in_days(4))).to_have_count(0)
    await customer.reload()
    await expect(customer.locator(f'[data-booking="{number}"]')).to_be_visible()
    newcomer = await visit(f"/expert/{jana.slug}")
    await expect(newcomer.get_by_text("No sessions at the moment")).to_be_visible()
    await expect(newcomer.locator("[data-slot]")).to_have_count(0)


async def test_deleted_booking_is_reported_on_its_open_page(visit: Visit, jana: Expert, sql: Connection) -> None:
    page = await visit()
    number = await book_on_page(page, jana.slug, in_days(3))
    await wait_until_connected(page)
    sql.execute("DELETE FROM booking WHERE id = %s", [number])
    await expect(page.locator('[data-refusal="booking_not_found"]')).to_be_visible()
    await expect(page.locator("section[data-booking]")).to_have_count(0)


async def test_form_for_a_time_already_booked_by_the_visitor_links_to_the_booking(
    visit: Visit, jana: Expert, excuse: Excuse
) -> None:
    page, at = await visit(), in_days(3)
    number = await book_on_page(page, jana.slug, at)
    await page.goto(f"/book/{jana.slug}?at={iso(at)}")
    await expect(page.get_by_role("alert")).to_contain_text("You have already booked this time")
    await page.get_by_role("link", name="View your booking").click()
    await page.wait_for_url(f"**/booking/{number}")
    stranger = await visit(f"/book/{jana.slug}?at={iso(at)}")
    await expect(stranger.get_by_role("alert")).to_contain_text("Someone else has just booked this time")


async def test_booking_made_in_another_tab_is_recognized_as_own(visit: Visit, jana: Expert) -> None:
    first, at = await visit(f"/book/{jana.slug}?at={iso(in_days(3))}"), in_days(3)
    await wait_until_connected(first)
    second = await first.context.new_page()
    await second.goto(f"/book/{jana.slug}?at={iso(at)}")
    await fill_in(second, name="Ada", email="ada@example.com", phone="+44 20 7946 0000")
    await book_button(second).click()
    await second.wait_for_url("**/booking/*")
    await expect(first.get_by_role("alert")).to_contain_text("You have already booked this time")


async def test_server_error_shows_a_log_reference_and_logs_no_personal_data(
    visit: Visit, jana: Expert, sql: Connection, server: ServerProcess
) -> None:
    sql.execute("ALTER TABLE booking ADD CONSTRAINT no_eve CHECK (email <> 'eve@example.com') NOT VALID")
    try:
        page = await visit(f"/book/{jana.slug}?at={iso(in_days(3))}")
        await fill_in(page, name="Eve Unlucky", email="eve@example.com", phone="+44 20 7946 0123")
        await book_button(page).click()
        alert = page.get_by_role("alert").filter(has_text="our side")
        await expect(alert).to_be_visible()
    finally:
        sql.execute("ALTER TABLE booking DROP CONSTRAINT no_eve")
    reference = re.search(r"Reference: (\w+)", await alert.inner_text())
    assert reference is not None
    log = server.log_text()
    assert f"could not make a booking [{reference[1]}]" in log
    assert "CheckViolation: 23514, no_eve" in log
    assert not [word for word in ("eve@example.com", "Unlucky", "7946 0123") if word in log]
