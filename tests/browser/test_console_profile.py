"""The profile page of the console: photo, fields, preview, lost updates, and assistants."""

import re

import pytest
from playwright.async_api import Page, expect

from expert_booking.schemas import ExpertChange
from expert_booking.services import Services
from expert_booking.services.calendars import CalendarKey
from tests.browser.conftest import Expert, Visit
from tests.browser.pages import Connection
from tests.browser.test_accessibility import AUDIT, CONTRAST
from tests.browser.test_console import set_address
from tests.browser.test_sign_in import sign_in
from tests.pictures import phone_photo

PROFILE = "/console/profile"


def saved(page: Page) -> object:
    """Return the message of success."""
    return expect(page.get_by_role("status").filter(has_text="Saved")).to_be_visible()


async def open_profile(page: Page, sql: Connection, expert: Expert) -> None:
    """Sign in as this expert and open the profile."""
    email = f"{expert.slug}@example.com"
    set_address(sql, expert.id, email)
    await sign_in(page, sql, email, PROFILE)
    await expect(page.get_by_label("Name")).to_have_value(expert.name)


async def save(page: Page) -> None:
    """Press Save."""
    await page.get_by_role("button", name="Save", exact=True).click()


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_the_page_is_accessible(visit: Visit, sql: Connection, jana: Expert, theme: str) -> None:
    page = await visit()
    await page.emulate_media(color_scheme=theme)
    await open_profile(page, sql, jana)
    assert await page.evaluate(AUDIT) == []
    contrast = await page.evaluate(CONTRAST)
    assert contrast["looked"] > 20
    assert contrast["weak"] == []
    await page.set_viewport_size({"width": 390, "height": 800})
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")


async def test_an_expert_edits_photo_texts_and_slug(visit: Visit, sql: Connection, jana: Expert) -> None:
    page = await visit()
    await open_profile(page, sql, jana)
    await page.locator("input[type=file]").set_input_files(
        {"name": "me.jpg", "mimeType": "image/jpeg", "buffer": phone_photo()}
    )
    await expect(page.get_by_alt_text("Your photo")).to_have_attribute("src", re.compile(r"^/photos/\w+-320\.webp$"))
    await saved(page)
    await page.get_by_label("Name").fill("Jana Berg")
    await page.get_by_label("Address of your page").fill(f"{jana.slug}-berg")
    await page.get_by_label("About you").fill("I **listen**.\n\n- first\n- then\n\n<script>alert(1)</script>")
    preview = page.get_by_role("region", name="Preview of your bio")
    await expect(preview.locator("strong")).to_have_text("listen")
    await expect(preview.locator("li")).to_have_count(2)
    await expect(preview).to_contain_text("<script>alert(1)</script>")
    await expect(page.get_by_text("Unsaved changes")).to_be_visible()
    await page.locator("#main").get_by_role("combobox", name="Time zone").click()
    await page.keyboard.type("Lisb")
    await page.get_by_role("option", name="Europe/Lisbon").click()
    await page.get_by_role("checkbox", name="Reminders before sessions").click()
    await save(page)
    await saved(page)
    await expect(page.get_by_text("Unsaved changes")).to_have_count(0)
    await page.goto(f"/expert/{jana.slug}?from=2026-11-24")
    await expect(page).to_have_url(f"/expert/{jana.slug}-berg?from=2026-11-24")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Jana Berg")
    await expect(page.locator(".bio strong")).to_have_text("listen")
    await expect(page.locator(".profile .portrait")).to_have_js_property("naturalWidth", 320)
    row = sql.execute("SELECT wanted_emails, time_zone FROM expert WHERE id = %s", [jana.id]).fetchone()
    assert row == (["bookings", "changes"], "Europe/Lisbon")


async def test_errors_and_lost_updates_lose_nothing(
    visit: Visit, sql: Connection, jana: Expert, services: Services
) -> None:
    page = await visit()
    await open_profile(page, sql, jana)
    await page.locator("input[type=file]").set_input_files(
        {"name": "me.png", "mimeType": "image/png", "buffer": b"<svg onload='alert(1)'/>"}
    )
    await expect(page.get_by_role("alert").filter(has_text="JPEG, PNG or WebP picture")).to_be_visible()
    slug, headline = page.get_by_label("Address of your page"), page.get_by_label("Headline")
    await headline.fill("My headline")
    await slug.fill("Not a slug")
    await save(page)
    await expect(page.locator(".q-field--error", has=slug)).to_contain_text("lowercase letters")
    await slug.fill(jana.slug)
    await expect(headline).to_have_value("My headline")
    await services.calendars.change_expert(CalendarKey(jana.id), ExpertChange(category="Law", headline="Theirs"))
    await save(page)
    note = page.get_by_role("alert").filter(has_text="was changed elsewhere")
    await expect(note).to_contain_text("Headline, Category")
    await expect(note).to_contain_text("You have changed this, too: Headline.")
    await expect(headline).to_have_value("My headline")
    await note.get_by_role("button", name="Keep my changes and save").click()
    await saved(page)
    await expect(page.get_by_label("Category")).to_have_value("Law")
    assert (await services.experts.get(jana.slug)).headline == "My headline"
    # Without unsaved changes, what others change appears by itself.
    await services.calendars.change_expert(CalendarKey(jana.id), ExpertChange(headline="Theirs"))
    await expect(headline).to_have_value("Theirs")


async def test_an_assistant_runs_the_calendar_until_removed(
    visit: Visit, sql: Connection, jana: Expert, services: Services
) -> None:
    email = f"{jana.slug}.mia@example.com"
    page = await visit()
    await open_profile(page, sql, jana)
    field = page.get_by_label("Assistant's email address")
    await field.fill(f"{jana.slug}@example.com")
    await page.get_by_role("button", name="Add assistant").click()
    await expect(page.get_by_text("This is the expert's own address.")).to_be_visible()
    await field.fill(email)
    await page.get_by_role("button", name="Add assistant").click()
    await expect(page.get_by_role("list", name="Assistants")).to_contain_text(email)
    other = await visit("/")
    await sign_in(other, sql, email, PROFILE)
    await expect(other.get_by_text("as an assistant")).to_be_visible()
    for hidden in ("New email address", "Assistant's email address"):
        await expect(other.get_by_label(hidden)).to_have_count(0)
    await expect(other.get_by_role("region", name="Calendar feed")).to_have_count(0)
    await other.get_by_label("Headline").fill("From Mia")
    await save(other)
    await saved(other)
    await page.get_by_role("button", name=f"Remove {email}").click()
    await expect(page.get_by_role("list", name="Assistants")).not_to_contain_text(email)
    await expect(other.get_by_text("You have been signed out")).to_be_visible()
    await other.get_by_label("Headline").fill("Too late")
    await save(other)
    assert (await services.experts.get(jana.slug)).headline == "From Mia"


async def test_address_and_feed(visit: Visit, sql: Connection, jana: Expert) -> None:
    page = await visit()
    await open_profile(page, sql, jana)
    field = page.get_by_label("New email address")
    await field.fill("nonsense@")
    await page.get_by_role("button", name="Change address").click()
    await expect(page.get_by_text("such as name@example.com")).to_be_visible()
    await field.fill(f"{jana.slug}.new@example.com")
    await page.get_by_role("button", name="Change address").click()
    await expect(page.get_by_text(f"sent a link to {jana.slug}.new@example.com")).to_be_visible()
    await page.get_by_role("button", name="Subscribe").click()
    feed = page.get_by_label("Address of: Calendar feed")
    await expect(feed).to_have_value(re.compile(r"/feeds/.*\.ics$"))
    before = await feed.input_value()
    await page.get_by_role("button", name="New address", exact=True).click()
    await page.get_by_role("button", name="Yes, create a new address").click()
    await expect(feed).not_to_have_value(before)
    await page.get_by_role("button", name="Turn off").click()
    await page.get_by_role("button", name="Yes, turn it off").click()
    await expect(page.get_by_role("button", name="Subscribe")).to_be_visible()
