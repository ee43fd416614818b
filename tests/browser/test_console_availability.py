"""The console's page of working hours: painting and typing them, dates, saving, lost updates, and explanations."""

import re
from datetime import datetime
from typing import Any
from uuid import UUID

import pytest
from playwright.async_api import Locator, Page, expect

from expert_booking.domain.hours import OverrideKind
from expert_booking.schemas import CalendarRules
from expert_booking.services import Services
from expert_booking.services.calendars import CalendarKey
from tests.browser.conftest import Expert, Visit
from tests.browser.pages import Connection, in_days, insert_booking, iso, wait_until_connected
from tests.browser.test_accessibility import AUDIT, CONTRAST
from tests.browser.test_console import set_address
from tests.browser.test_sign_in import sign_in

SHOWN = 1800  # minutes in a column of the grid
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
PATH = "/console/availability"


@pytest.fixture
async def page(visit: Visit, sql: Connection, jana: Expert) -> Page:
    """The page, open for Jana: daily from 9 to 17, in Berlin."""
    set_address(sql, jana.id, f"{jana.slug}@example.com")
    page = await visit()
    await page.set_viewport_size({"width": 1280, "height": 1400})
    await sign_in(page, sql, f"{jana.slug}@example.com", PATH)
    await expect(page.locator("[data-console=availability]")).to_be_visible()
    await wait_until_connected(page)
    return page


def field(page: Page, day: str) -> Locator:
    """The text field of a weekday."""
    return page.get_by_role("textbox", name=day, exact=True)


def button(page: Page, name: str) -> Locator:
    """A button with this name."""
    return page.get_by_role("button", name=name, exact=True)


async def drag(page: Page, *places: tuple[int, int]) -> None:
    """Drag on the grid of the week from one place to another: the day (0 is Monday) and minutes since midnight."""
    box = await page.locator(".paint-columns").bounding_box()
    assert box is not None
    (x, y), *rest = [(box["x"] + (day + 0.5) * box["width"] / 7, box["y"] + minute * box["height"] / SHOWN)
                     for day, minute in places]  # fmt: skip
    await page.mouse.move(x, y)
    await page.mouse.down()
    for to in rest:
        await page.mouse.move(*to, steps=4)
    await page.mouse.up()


async def save(page: Page) -> None:
    """Save, and wait for the message."""
    await button(page, "Save").click()
    await expect(page.get_by_role("status").filter(has_text="Saved")).to_be_visible()
    await expect(button(page, "Save")).to_be_hidden()


async def rules(services: Services, expert: UUID) -> CalendarRules:
    """The saved rules of a calendar."""
    return await services.calendar_rules.read(CalendarKey(expert))


async def hours(services: Services, expert: UUID) -> dict[int, list[str]]:
    """The saved weekly hours by weekday."""
    found: dict[int, list[str]] = {}
    for window in (await rules(services, expert)).windows:
        found.setdefault(window.weekday, []).append(str(window.window))
    return found


def date_cell(page: Page, at: datetime) -> Locator:
    """A date in the month calendar."""
    return page.locator(f'[data-day="{at:%Y-%m-%d}"]')


async def test_hours_are_painted_and_copied_on_the_grid_and_saved(page: Page, services: Services, jana: Expert) -> None:
    await drag(page, (0, 1019), (0, 900))  # the lower edge of Monday
    await expect(field(page, "Monday")).to_have_value("09:00–15:00")
    await drag(page, (1, 1080), (2, 1200))  # two days at once
    await drag(page, (4, 1320), (4, 1560))  # past midnight
    await expect(field(page, "Tuesday")).to_have_value("09:00–17:00, 18:00–20:00")
    await expect(field(page, "Friday")).to_have_value("09:00–17:00, 22:00–02:00")
    await page.locator('[data-paint="Sunday"] [data-window]').hover()
    await page.locator('[data-paint="Sunday"] .remove').click()
    await expect(field(page, "Sunday")).to_have_value("")
    await button(page, "Copy Monday to …").click()
    await page.get_by_role("checkbox", name="Thursday").check()
    await page.locator(".copy-days").get_by_role("button", name="Copy", exact=True).click()
    await expect(field(page, "Thursday")).to_have_value("09:00–15:00")
    assert await hours(services, jana.id) == {day: ["09:00–17:00"] for day in range(1, 8)}  # nothing is saved yet
    await save(page)
    assert await hours(services, jana.id) == {
        1: ["09:00–15:00"], 2: ["09:00–17:00", "18:00–20:00"], 3: ["09:00–17:00", "18:00–20:00"],
        4: ["09:00–15:00"], 5: ["09:00–17:00", "22:00–02:00"], 6: ["09:00–17:00"],
    }  # fmt: skip


async def test_hours_are_typed_with_the_keyboard_and_errors_lose_nothing(
    page: Page, services: Services, jana: Expert
) -> None:
    await field(page, "Monday").fill("9-12.30, 1-5pm")
    await field(page, "Monday").press("Enter")
    await expect(field(page, "Monday")).to_have_value("09:00–12:30, 13:00–17:00")
    await field(page, "Tuesday").fill("from nine")
    await field(page, "Tuesday").press("Tab")
    await expect(page.locator(".error")).to_contain_text("“from nine” is not a range of hours")
    await expect(field(page, "Tuesday")).to_have_attribute("aria-invalid", "true")
    await button(page, "Save").click()
    await expect(page.get_by_role("alert")).to_contain_text("Please correct the hours that are marked")
    await expect(field(page, "Tuesday")).to_have_value("from nine")
    assert await hours(services, jana.id) == {day: ["09:00–17:00"] for day in range(1, 8)}
    await field(page, "Tuesday").fill("closed")
    await field(page, "Tuesday").press("Enter")
    await save(page)
    assert (await hours(services, jana.id))[1] == ["09:00–12:30", "13:00–17:00"]
    assert 2 not in await hours(services, jana.id)
    await button(page, "Add a season").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("From").fill("2027-06-01")
    await dialog.get_by_label("Until").fill("2027-08-31")
    await button(page, "Add season").click()
    await expect(page.get_by_role("group", name="Hours: 1 Jun 2027 – 31 Aug 2027")).to_be_visible()
    await expect(dialog).to_be_hidden()  # then the focus is back on the page
    await field(page, "Monday").fill("10-11")
    await field(page, "Monday").press("Enter")
    await save(page)
    summer = [window for window in (await rules(services, jana.id)).windows if str(window.valid_from) == "2027-06-01"]
    assert [str(window.window) for window in summer if window.weekday == 1] == ["10:00–11:00"]


async def test_dates_are_closed_and_changed_in_the_calendar_and_bookings_on_them_are_named(
    page: Page, services: Services, jana: Expert, sql: Connection
) -> None:
    first, last, other = in_days(8), in_days(10), in_days(12)
    booking = insert_booking(sql, jana.id, in_days(9))
    await date_cell(page, first).focus()
    for key in ("Enter", "Shift+ArrowRight", "Shift+ArrowRight"):
        await page.keyboard.press(key)
    await page.get_by_label("Reason").fill("Skiing")
    await button(page, "Apply to 3 days").click()
    await expect(date_cell(page, last)).to_have_accessible_name(re.compile("Closed: Skiing$"))
    await date_cell(page, other).click()
    await page.get_by_role("radio", name="Other hours").click()
    await page.get_by_label("Hours", exact=True).fill("ten")
    await button(page, "Apply to 1 day").click()
    await expect(page.get_by_text("“ten” is not a range of hours")).to_be_visible()
    await page.get_by_label("Hours", exact=True).fill("10-12")
    await button(page, "Apply to 1 day").click()
    await expect(page.locator(".save-bar")).to_contain_text("1 booking stays as it is")
    await expect(page.locator(f'[data-preview="{iso(first)}"]')).to_have_attribute("data-state", "no")
    await button(page, "Save").click()
    dialog = page.get_by_role("dialog", name="1 booking stays as it is")
    await expect(dialog.locator(f'[data-booking="{booking}"]')).to_contain_text("10:00–11:00")
    await expect(dialog.locator(f'[data-booking="{booking}"]')).to_contain_text("Bo, ")
    await dialog.get_by_role("button", name="Save anyway").click()
    await expect(page.get_by_role("status").filter(has_text="Saved")).to_be_visible()
    saved = await rules(services, jana.id)
    assert [(off.first_day, off.last_day, off.reason) for off in saved.days_off] == [
        (first.date(), last.date(), "Skiing")
    ]
    assert [(one.day, one.kind, str(one.windows[0].window)) for one in saved.overrides] == [
        (other.date(), OverrideKind.HOURS, "10:00–12:00")
    ]


async def test_holidays_are_taken_off_but_for_those_that_are_worked_on(
    page: Page, services: Services, jana: Expert
) -> None:
    await page.get_by_label("Country").select_option("Germany")
    await page.get_by_role("switch", name="Take public holidays off").click()
    await page.get_by_role("switch", name="I work on Christmas Day").click()
    await expect(page.locator(".save-bar")).to_contain_text("Public holidays")
    await save(page)
    saved = await rules(services, jana.id)
    assert (saved.country, saved.closed_on_holidays) == ("DE", True)
    assert [(one.day.month, one.day.day, str(one.windows[0].window)) for one in saved.overrides] == [
        (12, 25, "09:00–17:00")
    ]


async def test_a_change_made_elsewhere_is_shown_to_choose_from(page: Page, services: Services, jana: Expert) -> None:
    key = CalendarKey(jana.id)
    for day, text in (("Monday", "10-12"), ("Tuesday", "10-12")):
        await field(page, day).fill(text)
        await field(page, day).press("Enter")
        await expect(field(page, day)).to_have_value("10:00–12:00")
    plan = await services.calendars.plan(key)
    windows = [window.model_copy(update={"opens": "08:00"}) if window.weekday in (2, 3) else window
               for window in plan.windows]  # fmt: skip
    await services.calendars.put_plan(key, plan.model_copy(update={"windows": windows}))
    await expect(page.get_by_text("These hours have just been changed elsewhere.")).to_be_visible()
    await expect(field(page, "Monday")).to_have_value("10:00–12:00")
    await button(page, "Save").click()
    dialog = page.get_by_role("dialog", name="Someone has changed these hours")
    for day, mine, theirs, chosen in (("Monday", "10:00–12:00", "09:00–17:00", "Yours"),
                                      ("Tuesday", "10:00–12:00", "08:00–17:00", "Yours"),
                                      ("Wednesday", "09:00–17:00", "08:00–17:00", "Saved meanwhile")):  # fmt: skip
        choice = dialog.get_by_role("radiogroup", name=day)
        await expect(choice.get_by_role("radio", name=f"Yours: {mine}")).to_be_visible()
        await expect(choice.get_by_role("radio", name=f"Saved meanwhile: {theirs}")).to_be_visible()
        await expect(choice.get_by_role("radio", checked=True)).to_have_accessible_name(re.compile(f"^{chosen}"))
    await button(page, "Keep editing").click()
    await expect(dialog).to_be_hidden()
    await expect(field(page, "Tuesday")).to_have_value("10:00–12:00")
    assert (await hours(services, jana.id))[2] == ["08:00–17:00"]
    await button(page, "Save").click()
    await dialog.get_by_role("radiogroup", name="Tuesday").get_by_role("radio", name="Saved meanwhile").click()
    await button(page, "Save my choice").click()
    await expect(page.get_by_role("status").filter(has_text="Saved")).to_be_visible()
    saved = await hours(services, jana.id)
    assert (saved[1], saved[2], saved[3]) == (["10:00–12:00"], ["08:00–17:00"], ["08:00–17:00"])


async def test_the_preview_follows_the_draft_and_explains_every_time(page: Page, jana: Expert, sql: Connection) -> None:
    at = in_days(3)
    preview = page.locator(f'[data-preview="{iso(at)}"]')
    await expect(preview).to_have_attribute("data-state", "open")
    await preview.click()
    explanation = page.locator("[data-explanation]")
    await expect(explanation).to_have_attribute("data-explanation", "offered")
    insert_booking(sql, jana.id, at)
    await expect(preview).to_have_attribute("data-state", "booked")  # live
    await expect(explanation).to_contain_text("Booked by Bo")
    await field(page, f"{at:%A}").fill("")
    await field(page, f"{at:%A}").press("Enter")
    await expect(explanation).to_contain_text("You have no hours on this day.")
    await page.get_by_label("Date", exact=True).fill("2027-03-28")  # the clocks skip the hour from 02:00
    await page.get_by_label("Time", exact=True).fill("12:30")
    await button(page, "Explain").click()
    await expect(explanation).to_have_attribute("data-explanation", "beyond_horizon")
    await expect(explanation).to_contain_text("Sun 28 Mar, 12:30")


async def test_leaving_with_unsaved_changes_is_asked_about(page: Page) -> None:
    asked: list[str] = []

    async def stay(dialog: Any) -> None:
        asked.append(dialog.type)
        await dialog.dismiss()

    page.on("dialog", stay)
    await field(page, "Monday").fill("10-12")
    await field(page, "Monday").press("Enter")
    await expect(page.locator(".save-bar")).to_contain_text("Monday")
    await page.get_by_role("navigation", name="Console").get_by_role("link", name="Profile").click(no_wait_after=True)
    await expect(field(page, "Monday")).to_have_value("10:00–12:00")
    await button(page, "Discard").click()
    await expect(field(page, "Monday")).to_have_value("09:00–17:00")
    assert asked == ["beforeunload"]
    await page.goto("/my-bookings")
    assert asked == ["beforeunload"]


async def test_the_page_is_accessible_in_both_themes_and_fits_a_phone(page: Page) -> None:
    await field(page, "Monday").fill("nine")
    await field(page, "Monday").press("Tab")
    await button(page, "Copy Tuesday to …").click()
    await date_cell(page, in_days(2)).click()
    await page.locator("[data-preview]").last.click()
    await expect(page.locator("[data-explanation]")).to_be_visible()
    for theme in ("light", "dark"):
        await page.emulate_media(color_scheme=theme, reduced_motion="reduce")
        await expect(page.locator("html")).to_have_attribute("data-theme", theme)
        assert await page.evaluate(AUDIT) == []
        assert (await page.evaluate(CONTRAST))["weak"] == []
    await page.set_viewport_size({"width": 390, "height": 844})
    await expect(page.locator(".paint")).to_be_hidden()
    await expect(field(page, "Sunday")).to_be_visible()
    assert await page.evaluate("document.documentElement.scrollWidth") <= 390
