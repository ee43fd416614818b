"""The console from the first sign-in to a booking that the expert drags to another time, while the visitor looks on."""

import re
from datetime import datetime
from uuid import UUID

from icalendar import Calendar
from playwright.async_api import Page, expect

from tests.browser.conftest import NewExpert, Visit
from tests.browser.pages import (
    ADA,
    HOUR,
    LIVE_UPDATE_MS,
    Connection,
    book_button,
    booking_id,
    expect_held,
    fill_in,
    in_days,
    slot,
    wait_for_live_slot,
    wait_until_connected,
)
from tests.browser.test_console import set_address
from tests.browser.test_console_availability import drag as paint
from tests.browser.test_console_availability import save as save_hours
from tests.browser.test_console_calendar import drag as drag_booking
from tests.browser.test_console_calendar import item
from tests.browser.test_console_sessions import choose
from tests.browser.test_manage_booking import expect_not_reloaded, mark_loaded
from tests.browser.test_sign_in import sign_in
from tests.pictures import phone_photo

AT = in_days(3)
GOAL, FIRST = "What is your goal?", "Is this your first time?"
ANSWER = "A new job"


async def open_in_console(page: Page, name: str) -> None:
    """Follow the link to a page in the console's navigation."""
    await page.get_by_role("navigation", name="Console").get_by_role("link", name=name).click()
    await expect(page.locator(f"[data-console={name.lower()}]")).to_be_visible()
    await wait_until_connected(page)


async def expect_saved(page: Page) -> None:
    """Wait for the message of success."""
    await expect(page.get_by_role("status").filter(has_text="Saved")).to_be_visible()


async def set_hours(page: Page) -> None:
    """Paint 09:00 to 17:00 on all days at once."""
    await open_in_console(page, "Availability")
    await page.set_viewport_size({"width": 1280, "height": 1400})
    await paint(page, (0, 9 * 60), (6, 17 * 60 - 1))
    await expect(page.get_by_role("textbox", name="Sunday", exact=True)).to_have_value("09:00–17:00")
    await save_hours(page)


async def add_session_type(page: Page) -> None:
    """Add a session type with a location, a price, a required question and one that is not."""
    await open_in_console(page, "Sessions")
    await page.get_by_role("button", name="Add session type").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Title").fill("Strategy")
    await dialog.get_by_label("Length").fill("60")
    await choose(page, dialog.get_by_label("Price", exact=True), "A price")
    await dialog.get_by_label("Amount").fill("45.5")
    await dialog.get_by_role("button", name="Add a location").click()
    await dialog.get_by_label("Link").fill("https://video.example.com/{room}")
    for number, text in enumerate((GOAL, FIRST), start=1):
        await dialog.get_by_role("button", name="Add a question").click()
        question = dialog.get_by_role("group", name=f"question {number}")
        await question.get_by_label("Question", exact=True).fill(text)
        if text == GOAL:
            await question.get_by_role("switch", name="Required").click()
        else:
            await choose(page, question.get_by_label("Answer", exact=True), "Yes or no")
    await dialog.get_by_role("button", name="Save").click()
    await expect_saved(page)
    await expect(page.locator("[data-session-type]")).to_contain_text("€45.50 · Video call · 2 questions")


async def upload_photo(page: Page) -> None:
    """Upload a photo."""
    await open_in_console(page, "Profile")
    photo = {"name": "me.jpg", "mimeType": "image/jpeg", "buffer": phone_photo()}
    await page.locator("input[type=file]").set_input_files(photo)
    await expect_saved(page)
    await expect(page.get_by_alt_text("Your photo")).to_have_attribute("src", re.compile("^/photos/"))


async def book_with_answers(page: Page, slug: str) -> str:
    """Book on the public pages; the required answer is forgotten at first. Returns the booking's id."""
    await page.goto(f"/expert/{slug}?from={AT:%Y-%m-%d}")
    await expect(page.locator(".profile .portrait")).to_have_js_property("naturalWidth", 320)
    await expect(page.get_by_text("60 minutes · €45.50")).to_be_visible()
    await wait_for_live_slot(page, AT)
    await slot(page, AT).click()
    await expect_held(page)
    await fill_in(page, **ADA)
    await book_button(page).click()
    goal = page.get_by_label(GOAL)
    await expect(goal).to_be_focused()
    await expect(goal).to_have_attribute("aria-invalid", "true")
    await goal.fill(ANSWER)
    await page.get_by_role("radiogroup", name=FIRST).get_by_label("Yes", exact=True).check()
    await book_button(page).click()
    await page.wait_for_url("**/booking/*")
    await expect(page.locator("section[data-booking]")).to_contain_text(ANSWER)
    return await booking_id(page)


async def calendar_entry(page: Page) -> tuple[str, datetime]:
    """Download the calendar file of an open booking page. Returns the UID and the start."""
    async with page.expect_download() as downloading:
        await page.get_by_role("link", name="Calendar file").click()
    file = await (await downloading.value).path()
    [entry] = Calendar.from_ical(file.read_bytes()).walk("VEVENT")
    return str(entry["UID"]), entry["DTSTART"].dt


async def test_a_new_expert_gets_bookable_is_booked_and_reschedules_by_dragging(
    visit: Visit, sql: Connection, new_expert: NewExpert
) -> None:
    expert = await new_expert(session_types=[], rules=[])
    email = f"{expert.slug}@example.com"
    set_address(sql, expert.id, email)
    page, visitor = await visit(), await visit(zone="Europe/London")
    await sign_in(page, sql, email, "/console")
    await expect(page.locator(".today-steps")).to_contain_text("0 of 3 steps are done")
    await set_hours(page)
    await add_session_type(page)
    await upload_photo(page)
    await open_in_console(page, "Today")
    await expect(page.locator(".today-steps")).to_be_hidden()

    await open_in_console(page, "Calendar")
    await page.goto(f"/console/calendar?date={AT:%Y-%m-%d}")
    await expect(page.locator(".ec-body")).to_be_visible()
    await mark_loaded(page)
    number = await book_with_answers(visitor, expert.slug)
    booked = item(page, UUID(number))
    await booked.wait_for(timeout=2 * LIVE_UPDATE_MS)
    await expect(booked).to_contain_text("10:00–11:00")
    await booked.get_by_role("button").press("Enter")
    panel = page.get_by_role("dialog")
    for text in ("Video call", "€45.50", GOAL, ANSWER, FIRST, "Yes"):
        await expect(panel).to_contain_text(text)
    await page.keyboard.press("Escape")
    await expect(panel).to_be_hidden()

    await mark_loaded(visitor)
    uid, start = await calendar_entry(visitor)
    assert start == AT
    await drag_booking(page, booked, 2)
    await page.mouse.up()
    await expect(page.get_by_label("New time")).to_have_value("12:00")
    await page.get_by_label("Reason").fill("A train strike")
    await page.get_by_role("button", name="Reschedule", exact=True).click()
    await expect(booked).to_contain_text("12:00–13:00")
    # The visitor is in London, where it is an hour earlier.
    shown = visitor.locator("section[data-booking]")
    await expect(shown).to_contain_text("11:00–12:00", timeout=2 * LIVE_UPDATE_MS)
    assert await calendar_entry(visitor) == (uid, AT + 2 * HOUR)
    for one in (page, visitor):
        await expect_not_reloaded(one)
    mail = sql.execute("SELECT count(*) FROM message WHERE booking_id = %s AND kind = 'rescheduled'", [number])
    assert mail.fetchone() != (0,)
