"""The console's calendar: live changes, and rescheduling, booking and blocking by mouse and by keyboard."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from uuid import UUID

import pytest
from playwright.async_api import Locator, Page, expect

from tests.browser.conftest import Expert, Visit
from tests.browser.pages import HOUR, LIVE_UPDATE_MS, Connection, in_days, insert_booking, wait_until_connected
from tests.browser.test_accessibility import AUDIT, CONTRAST
from tests.browser.test_console import set_address
from tests.browser.test_sign_in import sign_in

HOUR_PIXELS = 60
AT = in_days(3)

OpenCalendar = Callable[..., Awaitable[Page]]


@pytest.fixture
async def open_calendar(visit: Visit, sql: Connection, jana: Expert) -> OpenCalendar:
    """Open the calendar of Jana as the expert, in the week of AT."""

    async def open_it(query: str = f"?date={AT:%Y-%m-%d}", **options: str) -> Page:
        email = f"{jana.slug}@example.com"
        set_address(sql, jana.id, email)
        page = await visit("/", **options)
        await sign_in(page, sql, email, "/console")
        await page.goto(f"/console/calendar{query}")
        await wait_until_connected(page)
        await expect(page.locator(".ec-body")).to_be_visible()
        return page

    return open_it


def item(page: Page, booking_id: UUID) -> Locator:
    """The booking in the grid."""
    return page.locator(f'[data-booking="{booking_id}"]')


async def drag(page: Page, booking: Locator, hours: float) -> None:
    """Begin to drag a booking to an earlier or later time of its day. The button stays pressed."""
    await booking.scroll_into_view_if_needed()
    box = await booking.bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + 8
    await page.mouse.move(x, y)
    await page.mouse.down()
    await page.mouse.move(x, y + 12)
    await page.mouse.move(x, y + hours * HOUR_PIXELS, steps=4)


def row_of(sql: Connection, booking_id: UUID) -> tuple[datetime, str]:
    """Start and status of a booking."""
    found = sql.execute("SELECT starts_at, status FROM booking WHERE id = %s", [booking_id]).fetchone()
    assert found is not None
    return found[0], found[1]


def alert(page: Page) -> Locator:
    """The page's error message."""
    return page.locator(".console-alert")


async def test_a_booking_made_elsewhere_appears_and_a_drag_is_not_disturbed(
    open_calendar: OpenCalendar, sql: Connection, jana: Expert
) -> None:
    page = await open_calendar()
    dragged = insert_booking(sql, jana.id, AT, status="confirmed")
    await item(page, dragged).wait_for(timeout=LIVE_UPDATE_MS)
    await expect(item(page, dragged)).to_have_attribute("data-status", "confirmed")
    await expect(item(page, dragged)).to_contain_text("Confirmed")
    await drag(page, item(page, dragged), 2)
    await expect(page.locator(".is-target").first).to_be_visible()
    other = insert_booking(sql, jana.id, AT + 5 * HOUR)
    await expect(page.locator(".ec-preview")).to_contain_text("12:00–13:00")
    await page.mouse.up()
    await expect(page.get_by_label("New time")).to_have_value("12:00")
    await expect(item(page, other)).to_have_count(0)
    await page.keyboard.press("Escape")
    await expect(item(page, other)).to_be_visible()
    await expect(item(page, dragged)).to_contain_text("10:00–11:00")


async def test_dragging_reschedules_with_a_reason_and_can_be_undone(
    open_calendar: OpenCalendar, sql: Connection, jana: Expert
) -> None:
    booking = insert_booking(sql, jana.id, AT, status="confirmed")
    page = await open_calendar(zone="America/New_York")
    await expect(page.locator(".calendar-zone")).to_contain_text("you are in America/New York")
    await drag(page, item(page, booking), 1.25)
    await page.mouse.up()
    await expect(page.get_by_text("Sessions do not start at this time.")).to_be_visible()
    await expect(page.get_by_label("Email the customer about this")).to_be_checked()
    await page.get_by_label("Reason").fill("A train strike")
    await page.get_by_role("button", name="Reschedule anyway").click()
    await expect(page.get_by_role("button", name="Undo")).to_be_visible()
    await expect(item(page, booking)).to_contain_text("11:15–12:15")
    assert row_of(sql, booking) == (AT + 1.25 * HOUR, "confirmed")
    change = sql.execute(
        "SELECT actor, reason, override FROM booking_change WHERE booking_id = %s ORDER BY id DESC", [booking]
    ).fetchone()
    assert change == ("expert", "A train strike", ["off_grid"])
    await page.get_by_role("button", name="Undo").click()
    await expect(item(page, booking)).to_contain_text("10:00–11:00")
    assert row_of(sql, booking) == (AT, "confirmed")


async def test_a_refused_drop_goes_back_and_says_why(
    open_calendar: OpenCalendar, sql: Connection, jana: Expert
) -> None:
    booking = insert_booking(sql, jana.id, AT, status="confirmed")
    insert_booking(sql, jana.id, AT + 2 * HOUR)
    page = await open_calendar()
    await drag(page, item(page, booking), 1.5)
    await page.mouse.up()
    await expect(alert(page)).to_contain_text("This time overlaps another booking")
    await expect(alert(page)).to_contain_text("Bo stays at")
    await expect(item(page, booking)).to_contain_text("10:00–11:00")
    assert row_of(sql, booking)[0] == AT


async def test_of_two_hosts_the_slower_one_is_told_who_won(
    open_calendar: OpenCalendar, sql: Connection, jana: Expert
) -> None:
    booking = insert_booking(sql, jana.id, AT, status="confirmed")
    page = await open_calendar()
    await drag(page, item(page, booking), 1)
    await page.mouse.up()
    await expect(page.get_by_label("New time")).to_have_value("11:00")
    sql.execute(
        "UPDATE booking SET starts_at = %(at)s, ends_at = %(end)s, busy = tstzrange(%(at)s, %(end)s),"
        " version = version + 1, changed_by = 'admin' WHERE id = %(id)s",
        {"at": AT + 4 * HOUR, "end": AT + 5 * HOUR, "id": booking},
    )
    await page.get_by_role("button", name="Reschedule", exact=True).click()
    await expect(alert(page)).to_contain_text("Someone else was faster")
    await expect(alert(page)).to_contain_text("14:00 (admin)")
    await expect(item(page, booking)).to_contain_text("14:00–15:00")


async def test_a_host_books_by_hand_with_a_name_only_and_against_the_rules_if_they_insist(
    open_calendar: OpenCalendar, sql: Connection, jana: Expert
) -> None:
    insert_booking(sql, jana.id, AT)
    page = await open_calendar()
    await page.get_by_role("button", name="New", exact=True).click()
    await page.get_by_label("Name").fill("bo@exa")
    await page.get_by_role("button", name="Bo · bo@example.com").click()
    await expect(page.get_by_label("Email", exact=False).first).to_have_value("bo@example.com")
    await page.get_by_label("Name").fill("Walk-in")
    await page.get_by_label("Email (optional)").fill("")
    await page.get_by_label("Date", exact=True).fill(f"{AT:%Y-%m-%d}")
    await page.get_by_label("Start").fill("19:07")
    await expect(page.get_by_text("This time is outside the expert's hours.")).to_be_visible()
    await page.get_by_role("button", name="Book anyway").click()
    booked = page.locator("[data-booking]").filter(has_text="Walk-in")
    await expect(booked).to_contain_text("19:07–20:07")
    await expect(page.locator("[role=status]").filter(has_text="Booked")).to_be_visible()
    found = sql.execute("SELECT email, status FROM booking WHERE name = 'Walk-in' AND expert_id = %s", [jana.id])
    assert found.fetchone() == ("", "confirmed")


async def test_a_host_blocks_time_by_dragging_and_frees_it_again(
    open_calendar: OpenCalendar, sql: Connection, jana: Expert
) -> None:
    booking = insert_booking(sql, jana.id, AT)
    page = await open_calendar()
    box = await item(page, booking).bounding_box()
    assert box is not None
    x, y = box["x"] + 30, box["y"] + 2 * HOUR_PIXELS + 4
    await page.mouse.move(x, y)
    await page.mouse.down()
    await page.mouse.move(x, y + 1.5 * HOUR_PIXELS - 10, steps=4)
    await page.mouse.up()
    await page.get_by_role("button", name="Block time").click()
    await page.get_by_label("Start").fill("16:00")
    await expect(page.get_by_label("End", exact=True)).to_have_value("17:30")
    await page.get_by_label("Start").fill("12:00")
    await expect(page.get_by_label("End", exact=True)).to_have_value("13:30")
    await page.get_by_label("Private note").fill("Dentist")
    await page.get_by_role("button", name="Block", exact=True).click()
    block = page.locator("[data-block]")
    await expect(block).to_contain_text("12:00–13:30")
    await expect(block).to_contain_text("Dentist")
    await block.locator("[role=button]").press("Enter")
    await page.get_by_role("button", name="Remove").click()
    await expect(block).to_have_count(0)


async def test_everything_a_drag_does_has_a_keyboard_way(
    open_calendar: OpenCalendar, sql: Connection, jana: Expert
) -> None:
    booking = insert_booking(sql, jana.id, AT)
    page = await open_calendar()
    press = page.keyboard.press
    button = item(page, booking).get_by_role("button")
    await expect(button).to_have_accessible_name(f"10:00–11:00 Bo Pending · Consultation {AT:%A}, {AT.day} {AT:%B %Y}")
    await button.focus()
    await press("Enter")
    panel = page.get_by_role("dialog")
    await expect(panel.get_by_role("heading", name="Bo")).to_be_visible()
    await expect(panel.get_by_role("listitem")).to_contain_text(["Booked"])
    await panel.get_by_role("button", name="Confirm").press("Enter")
    await expect(item(page, booking)).to_have_attribute("data-status", "confirmed")
    await panel.get_by_role("button", name="Reschedule").press("Enter")
    question = page.get_by_role("dialog").filter(has=page.get_by_label("New time"))
    await question.get_by_label("New time").fill("15:00")
    await question.get_by_role("button", name="Reschedule", exact=True).press("Enter")
    await expect(item(page, booking)).to_contain_text("15:00–16:00")
    await expect(button).to_be_focused()
    await press("Enter")
    await panel.get_by_role("button", name="Cancel booking").press("Enter")
    await panel.get_by_label("reason").fill("I am ill.")
    await panel.get_by_role("button", name="Yes, cancel booking").press("Enter")
    await expect(item(page, booking)).to_have_count(0)
    await expect(panel.get_by_role("listitem").first).to_contain_text("I am ill.")
    assert row_of(sql, booking) == (AT + 5 * HOUR, "cancelled")


async def test_skipped_times_are_refused_and_repeated_times_are_asked_about(open_calendar: OpenCalendar) -> None:
    page = await open_calendar("?date=2027-10-31&view=day", zone="America/New_York")
    await expect(page.get_by_text("Twice: the clocks go back")).to_be_attached()
    await page.get_by_role("button", name="New", exact=True).click()
    await page.get_by_label("Name").fill("Night owl")
    await page.get_by_label("Date", exact=True).fill("2027-03-28")
    await page.get_by_label("Start").fill("02:30")
    await expect(page.get_by_text("The clocks skip 02:30 on Sunday, 28 March 2027")).to_be_visible()
    await page.get_by_label("Date", exact=True).fill("2027-10-31")
    await page.get_by_role("combobox", name="The clock shows this time twice").click()
    await page.get_by_role("option", name="02:30 (UTC+1)").click()
    await page.get_by_role("button", name="Book anyway").click()
    await expect(page.locator("[data-booking]")).to_contain_text("02:30 (UTC+1)")


async def test_the_calendar_is_accessible_in_light_and_dark_mode(
    open_calendar: OpenCalendar, sql: Connection, jana: Expert
) -> None:
    for hours, status in ((0, "pending"), (2, "confirmed"), (4, "completed"), (6, "no_show")):
        insert_booking(sql, jana.id, AT + hours * HOUR, status=status)
    page = await open_calendar()
    found = []

    async def audit(place: str) -> None:
        for theme in ("light", "dark"):
            await page.emulate_media(color_scheme=theme, reduced_motion="reduce")
            await expect(page.locator("html")).to_have_attribute("data-theme", theme)
            contrast = await page.evaluate(CONTRAST)
            found.extend((place, theme, text) for text in contrast["weak"])
        found.extend((place, wrong) for wrong in await page.evaluate(AUDIT))

    await audit("week")
    await page.locator('[data-status="pending"] [role=button]').press("Enter")
    await expect(page.get_by_role("heading", name="History")).to_be_visible()
    await audit("panel")
    await page.get_by_role("button", name="Reschedule").click()
    await expect(page.get_by_label("New time")).to_be_visible()
    await audit("reschedule")
    await page.keyboard.press("Escape")
    await expect(page.get_by_label("New time")).to_be_hidden()
    await page.set_viewport_size({"width": 390, "height": 844})
    await page.get_by_role("button", name="New", exact=True).click()
    await expect(page.get_by_label("Name")).to_be_visible()
    await audit("new")
    assert await page.evaluate("document.documentElement.scrollWidth") <= 390
    assert found == []
