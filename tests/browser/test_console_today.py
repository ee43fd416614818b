"""The console's first page: requests answered in place, ended sessions marked, everything live, and the first steps."""

import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.async_api import Locator, Page, expect

from tests.browser.conftest import Expert, NewExpert, Visit
from tests.browser.pages import HOUR, Connection, book_on_page, in_days, insert_booking
from tests.browser.test_accessibility import AUDIT, CONTRAST
from tests.browser.test_console import set_address
from tests.browser.test_manage_booking import expect_not_reloaded, mark_loaded
from tests.browser.test_sign_in import sign_in
from tests.conftest import Book
from tests.server import ServerProcess

HostOf = Callable[[Expert], Awaitable[Page]]


@pytest.fixture
def host_of(visit: Visit, sql: Connection) -> HostOf:
    """Open the console as this expert, marked as loaded."""

    async def open_console(expert: Expert) -> Page:
        email = f"{expert.slug}@example.com"
        set_address(sql, expert.id, email)
        page = await visit()
        await sign_in(page, sql, email, "/console")
        await mark_loaded(page)
        return page

    return open_console


def item(page: Page, booking: object) -> Locator:
    """Return the item of one booking."""
    return page.locator(f'[data-console=today] li[data-booking="{booking}"]')


def press(within: Page | Locator, text: str) -> Locator:
    """Return the button whose name begins with this text."""
    return within.get_by_role("button", name=re.compile(f"^{text}"))


def last_change(sql: Connection, booking: object) -> Any:
    """Return actor, new status and reason of the last change of a booking."""
    return sql.execute(
        "SELECT actor, to_status, reason FROM booking_change WHERE booking_id = %s ORDER BY id DESC LIMIT 1", [booking]
    ).fetchone()


def soon() -> datetime:
    """Return an instant that is today or tomorrow."""
    return datetime.now(UTC).replace(second=0, microsecond=0) + 2 * HOUR


async def test_request_arrives_live_and_is_confirmed_next_to_its_day(
    host_of: HostOf, visit: Visit, new_expert: NewExpert, sql: Connection
) -> None:
    expert = await new_expert(bio="Many words.", headline="Calm help", hours=(0, 24 * 60))
    at = in_days(1)
    other = insert_booking(sql, expert.id, at + 2 * HOUR, status="confirmed")
    page = await host_of(expert)
    await expect(page.get_by_text("You're all caught up")).to_be_visible()
    await expect(item(page, other)).to_have_attribute("data-status", "confirmed")
    number = await book_on_page(await visit(), expert.slug, at, name="Grace Hopper", notes="About my plan")
    card = item(page, number)
    await expect(card).to_have_attribute("data-status", "pending")
    await expect(card).to_contain_text("Grace Hopper")
    await expect(card).to_contain_text("About my plan")
    await expect(card.get_by_role("timer")).to_have_text(re.compile(r"^\d+ h \d+ min left$"))
    await expect(card.get_by_role("link", name="+44 20 7946 0000")).to_have_attribute("href", "tel:+442079460000")
    await expect(page.locator(".today-figures")).to_contain_text("1Requests waiting")
    await press(card, "Show the day").click()
    await expect(card.locator(".today-around li")).to_have_text([re.compile("This request"), re.compile("Bo ·")])
    await press(card, "Confirm").click()
    await expect(page.get_by_role("status").filter(has_text="Confirmed")).to_be_visible()
    await expect(item(page, number)).to_have_attribute("data-status", "confirmed")
    await expect(page.get_by_text("You're all caught up")).to_be_visible()
    await expect_not_reloaded(page)
    assert last_change(sql, number) == ("expert", "confirmed", "")


async def test_declining_asks_for_a_reason_that_live_updates_do_not_disturb(
    host_of: HostOf, jana: Expert, book: Book, sql: Connection
) -> None:
    made, later = await book(jana.id, in_days(3)), await book(jana.id, in_days(4))
    page = await host_of(jana)
    card = item(page, made.id)
    await press(card, "Decline:").click()
    await expect(card.get_by_label("Reason")).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(card.get_by_label("Reason")).to_be_hidden()
    await expect(press(card, "Decline:")).to_be_focused()
    await page.keyboard.press("Enter")
    await card.get_by_label("Reason").fill("I am away.")
    new = await book(jana.id, in_days(2))
    await expect(item(page, new.id)).to_be_visible()
    await expect(card.get_by_label("Reason")).to_have_value("I am away.")
    await press(card, "Decline request").click()
    await expect(card).to_have_count(0)
    await expect(page.get_by_role("alert")).to_be_hidden()
    assert last_change(sql, made.id) == ("expert", "declined", "I am away.")
    # A request that is cancelled while its reason is being typed.
    await press(item(page, later.id), "Decline:").click()
    sql.execute("UPDATE booking SET status = 'cancelled' WHERE id = %s", [later.id])
    await expect(item(page, later.id)).to_have_count(0)
    await expect(page.get_by_role("alert")).to_contain_text("is no longer waiting")
    await expect_not_reloaded(page)


async def test_session_that_ends_is_asked_about_and_can_no_longer_be_cancelled(
    host_of: HostOf, jana: Expert, sql: Connection
) -> None:
    ends_at = datetime.now(UTC) + timedelta(seconds=6)
    ending = insert_booking(sql, jana.id, ends_at - HOUR, status="confirmed")
    missed = insert_booking(sql, jana.id, ends_at - 4 * HOUR, status="confirmed")
    page = await host_of(jana)
    booking_page = await page.context.new_page()
    await booking_page.goto(f"/booking/{ending}")
    await expect(press(booking_page, "Cancel booking")).to_be_visible()
    assert datetime.now(UTC) < ends_at
    await expect(press(item(page, missed), "No-show")).to_be_visible()
    await expect(press(item(page, ending), "Completed")).to_be_visible()  # the page noticed by itself
    await expect(booking_page.get_by_role("heading", name="How did it go?")).to_be_visible()
    await expect(press(booking_page, "Cancel booking")).to_have_count(0)
    await expect(booking_page.get_by_role("link", name="Reschedule")).to_have_count(0)
    await press(item(page, missed), "No-show").click()
    await press(item(page, ending), "Completed").click()
    await expect(page.get_by_role("heading", name="How did it go?")).to_be_hidden()
    assert last_change(sql, missed) == ("expert", "no_show", "")
    assert last_change(sql, ending) == ("expert", "completed", "")
    await expect_not_reloaded(page)


async def test_new_expert_is_bookable_after_the_steps_on_the_page(
    host_of: HostOf, new_expert: NewExpert, visit: Visit
) -> None:
    expert = await new_expert(session_types=[], rules=[])
    page = await host_of(expert)
    steps = page.locator(".today-steps")
    await expect(steps).to_contain_text("0 of 3 steps are done")
    await expect(steps.get_by_role("link", name="Edit your profile")).to_have_attribute("href", "/console/profile")
    await steps.get_by_label("To", exact=True).fill("08:00")
    await press(steps, "Use these hours").click()
    await expect(steps.get_by_text("Please choose a time after the start.")).to_be_visible()
    await steps.get_by_label("To", exact=True).fill("16:30")
    await press(steps, "Use these hours").click()
    await expect(page.get_by_role("status").filter(has_text="Saved")).to_be_visible()
    await expect(steps).to_contain_text("1 of 3 steps are done")
    await press(steps, "Add session type").click()
    await expect(steps.get_by_role("alert")).not_to_be_empty()  # it has no title
    await steps.get_by_label("Title").fill("First talk")
    await steps.get_by_label("Minutes").fill("45")
    await press(steps, "Add session type").click()
    await expect(steps).to_be_hidden()
    await page.get_by_role("link", name="See your page as visitors do").click()
    await expect(page.locator("[data-state=open]").first).to_be_visible()
    await expect(page.locator("#main")).to_contain_text("First talk")
    assert await page.locator('[data-slot][aria-label^="09:45"]').count() > 0


async def test_page_is_accessible_in_both_themes_and_on_a_phone(
    host_of: HostOf, new_expert: NewExpert, book: Book, sql: Connection
) -> None:
    full, empty = await new_expert(name="Wilhelmine-Henriette " * 4), await new_expert(session_types=[], rules=[])
    insert_booking(sql, full.id, soon(), status="confirmed")
    insert_booking(sql, full.id, soon() - 6 * HOUR, status="confirmed")
    request = await book(full.id, in_days(3), notes=60 * "long" + " notes")
    for expert in (full, empty):
        page = await host_of(expert)
        if expert is full:
            await press(item(page, request.id), "Show the day").click()
            await press(item(page, request.id), "Decline:").click()
        assert await page.evaluate(AUDIT) == []
        for theme in ("light", "dark"):
            await page.emulate_media(color_scheme=theme, reduced_motion="reduce")
            await expect(page.locator("html")).to_have_attribute("data-theme", theme)
            assert (await page.evaluate(CONTRAST))["weak"] == []
        for width in (390, 320):
            await page.set_viewport_size({"width": width, "height": 844})
            assert await page.evaluate("document.documentElement.scrollWidth") <= width


async def test_demo_prints_how_an_expert_signs_in(visit: Visit, demo: ServerProcess, server: ServerProcess) -> None:
    printed = re.search(r"Sign in as the expert (.+) \(once, within 15 minutes\): (\S+)", demo.log_text())
    assert printed
    page = await visit(printed[2], at=demo.url)
    await press(page, "Sign in").click()
    await expect(page).to_have_url(f"{demo.url}/console")
    await expect(page.locator("[data-console=today]")).to_contain_text(printed[1])
    assert "Sign in as" not in server.log_text()
    await page.goto("/my-bookings")
    await page.get_by_role("link", name="Open your console").click()
    await expect(page).to_have_url(f"{demo.url}/console")
