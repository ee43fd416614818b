"""Confirming the email address on the booking's page: with the code or the email's button, live, by keyboard alone."""

import re
from typing import Any
from uuid import UUID

import pytest
from playwright.async_api import Locator, Page, expect

from expert_booking.domain.signed_keys import SignedKeys
from expert_booking.domain.terms import Confirmation, EmailVerification
from tests.browser.conftest import Excuse, Expert, NewExpert, Visit
from tests.browser.pages import (
    ADA,
    LIVE_UPDATE_MS,
    Connection,
    book_on_page,
    booking_id,
    expect_held,
    expect_slot,
    in_days,
    iso,
    wait_for_live_slot,
    wait_until_connected,
)
from tests.browser.test_accessibility import AUDIT, CONTRAST
from tests.browser.test_manage_booking import button, expect_not_reloaded, expect_status, mark_loaded, status_message
from tests.browser.test_sign_in import link_for
from tests.server import SECRET_KEY

KEYS = SignedKeys(SECRET_KEY)


@pytest.fixture
async def strict(new_expert: NewExpert) -> Expert:
    """An expert who confirms bookings instantly, once the customer has confirmed the address."""
    return await new_expert(email_verification=EmailVerification.ALWAYS, confirmation=Confirmation.INSTANT)


def code_of(number: str) -> str:
    """The code in the email of this booking."""
    return KEYS.verification_code(UUID(number))


def wrong_code(number: str) -> str:
    """A code that is not this booking's."""
    return f"{(int(code_of(number)) + 1) % 1_000_000:06}"


def link_of(number: str) -> str:
    """The path of the link in the email."""
    return f"/verify/{KEYS.verification(UUID(number))}"


def code_field(page: Page) -> Locator:
    """The field for the code."""
    return page.get_by_label("Code", exact=True)


def emails(sql: Connection, number: str) -> list[Any]:
    """Kinds and audiences of the booking's emails, oldest first."""
    return sql.execute("SELECT kind, audience FROM message WHERE booking_id = %s ORDER BY id", [number]).fetchall()


def let_deadline_pass(sql: Connection, number: str) -> None:
    """Move the deadline for the confirmation into the past."""
    sql.execute("UPDATE booking SET verify_by = now() - interval '1 second' WHERE id = %s", [number])


async def test_code_confirms_the_booking_without_leaving_the_page(
    visit: Visit, strict: Expert, sql: Connection
) -> None:
    at, page, other = in_days(3), await visit(), await visit(strict.page)
    await wait_for_live_slot(other, at)
    number = await book_on_page(page, strict.slug, at)
    await expect_slot(other, at, "booked", within=LIVE_UPDATE_MS)
    await expect(page.get_by_role("heading", name="Confirm your email address")).to_be_visible()
    await expect(code_field(page)).to_be_focused()
    for name, value in {"inputmode": "numeric", "autocomplete": "one-time-code"}.items():
        await expect(code_field(page)).to_have_attribute(name, value)
    await expect(page.locator(".verify")).to_contain_text(ADA["email"])
    await expect(page.locator(".verify-by")).to_have_text(re.compile(r"^Confirm by \d\d:\d\d(29|30):\d\d left$"))
    assert emails(sql, number) == [("verification", "customer")]
    for absent in ("Reschedule", "Google"):
        await expect(page.get_by_role("link", name=absent)).to_have_count(0)
    await mark_loaded(page)

    await code_field(page).fill(code_of(number))
    await button(page, "Confirm booking").click()
    await expect_status(page, "confirmed")
    await expect(status_message(page)).to_have_text("Your booking is confirmed.")
    await expect(status_message(page)).to_be_focused()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Your booking is confirmed")
    await expect(code_field(page)).to_have_count(0)
    await expect_not_reloaded(page)
    assert emails(sql, number)[1:] == [("confirmed", "customer"), ("confirmed", "expert")]


async def test_booking_and_confirming_work_with_the_keyboard_alone(visit: Visit, strict: Expert) -> None:
    page = await visit(f"/book/{strict.slug}?at={iso(in_days(3))}")
    await expect_held(page)
    await page.get_by_label("Name").focus()
    for text in (ADA["name"], ADA["email"], ADA["phone"]):
        await page.keyboard.type(text)
        await page.keyboard.press("Tab")
    await page.keyboard.press("Shift+Tab")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/booking/*")
    number = await booking_id(page)
    await expect(code_field(page)).to_be_focused()
    await wait_until_connected(page)
    await page.keyboard.type(wrong_code(number))
    await page.keyboard.press("Enter")
    await expect(page.locator("#code-error")).to_have_text("This code is not correct. You can try 4 more times.")
    await expect(code_field(page)).to_be_focused()
    code = code_of(number)
    await page.keyboard.type(f"{code[:3]} {code[3:]}")  # replaces the wrong code, which is selected
    await page.keyboard.press("Tab")
    await expect(button(page, "Confirm booking")).to_be_focused()
    await page.keyboard.press("Space")
    await expect_status(page, "confirmed")
    await expect(status_message(page)).to_be_focused()


async def test_emails_button_confirms_and_updates_open_pages_live(
    visit: Visit, strict: Expert, sql: Connection
) -> None:
    page = await visit()
    number = await book_on_page(page, strict.slug, in_days(3))
    await expect(code_field(page)).to_be_focused()
    await mark_loaded(page)
    phone = await visit(link_of(number), java_script_enabled=False)
    await expect(phone.get_by_role("heading", name="Confirm your booking")).to_be_visible()
    await expect(phone.locator("main")).to_contain_text(strict.name)
    await expect_status(page, "pending")
    await phone.get_by_role("button", name="Confirm booking").click()
    await expect(phone).to_have_url(re.compile(f"/booking/{number}\\?key="))
    await expect_status(page, "confirmed")
    await expect(status_message(page)).to_be_focused()
    await expect_not_reloaded(page)
    # Opened again, the link leads to the booking.
    again = await visit(link_of(number))
    await expect_status(again, "confirmed")


async def test_request_is_sent_to_the_expert_only_after_the_confirmation(
    visit: Visit, new_expert: NewExpert, sql: Connection
) -> None:
    expert = await new_expert(email_verification=EmailVerification.ALWAYS, email="asked@example.com")
    host = await visit(link_for(sql, "asked@example.com", "/my-bookings"))
    await button(host, "Sign in").click()
    await expect(host.get_by_text("No sessions booked with you")).to_be_visible()
    await wait_until_connected(host)
    page = await visit()
    number = await book_on_page(page, expert.slug, in_days(3))
    await expect(host.locator(f'[data-booking="{number}"]')).to_have_count(0)
    await wait_until_connected(page)
    await code_field(page).fill(code_of(number))
    await page.keyboard.press("Enter")
    await expect(status_message(page)).to_contain_text("your request has been sent")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Your request has been sent")
    await expect(host.get_by_role("heading", name="Requests to answer")).to_be_visible()
    await expect(host.locator(f'[data-booking="{number}"]')).to_be_visible()


async def test_booking_that_is_not_confirmed_in_time_expires_live(
    visit: Visit, strict: Expert, sql: Connection
) -> None:
    at, page, other = in_days(3), await visit(), await visit(strict.page)
    number = await book_on_page(page, strict.slug, at)
    await expect_slot(other, at, "booked")
    await mark_loaded(page)
    await expect(code_field(page)).to_be_focused()
    let_deadline_pass(sql, number)
    await expect_status(page, "expired")
    await expect_slot(other, at, "open")
    await expect(page.get_by_role("heading", level=1)).to_have_text("This booking was not confirmed")
    await expect(status_message(page)).to_contain_text("because it was not confirmed in time")
    await expect(status_message(page)).to_be_focused()
    await expect(page.get_by_role("link", name="Choose another time")).to_be_visible()
    await expect_not_reloaded(page)
    assert emails(sql, number) == [("verification", "customer")]
    late = await visit(link_of(number))
    await expect(late.get_by_role("link", name="Choose another time")).to_be_visible()
    await late.get_by_role("link", name="Choose another time").click()
    await late.wait_for_url(f"**{strict.page}**")


async def test_fifth_wrong_code_ends_the_booking_and_says_so(visit: Visit, strict: Expert) -> None:
    page = await visit()
    number = await book_on_page(page, strict.slug, in_days(3))
    await wait_until_connected(page)
    await code_field(page).fill("12")
    await page.keyboard.press("Enter")
    await expect(page.locator("#code-error")).to_have_text("Please enter the six digits from the email.")
    for left in (4, 3, 2, 1):
        await code_field(page).fill(wrong_code(number))
        await page.keyboard.press("Enter")
        await expect(page.locator("#code-error")).to_contain_text(f"You can try {left} more time")
    await code_field(page).fill(wrong_code(number))
    await page.keyboard.press("Enter")
    await expect_status(page, "expired")
    await expect(status_message(page)).to_contain_text("Too many wrong codes")
    await expect(page.get_by_role("link", name="Choose another time")).to_be_visible()


async def test_email_can_be_sent_again_after_half_a_minute(visit: Visit, strict: Expert, sql: Connection) -> None:
    page = await visit()
    number = await book_on_page(page, strict.slug, in_days(3))
    await wait_until_connected(page)
    await page.evaluate("ahead = 0; real = performance.now.bind(performance); performance.now = () => real() + ahead")
    again = page.get_by_role("button", name="Send again")
    await expect(again).to_have_attribute("aria-disabled", "true")
    for sent in (2, 3, 4):
        await page.evaluate("ahead += 30000")
        await expect(again).to_have_attribute("aria-disabled", "false")
        await again.click()
        await expect(page.locator(".verify .note")).to_have_text("We're sending the email again. The code is the same.")
        assert len(emails(sql, number)) == sent
    await page.evaluate("ahead += 30000")
    await again.click()
    await expect(page.locator(".verify .note.bad")).to_contain_text("several times already")
    assert len(emails(sql, number)) == 4


async def test_undelivered_email_is_reported_on_the_page(visit: Visit, strict: Expert, sql: Connection) -> None:
    page = await visit()
    number = await book_on_page(page, strict.slug, in_days(3))
    await wait_until_connected(page)
    sql.execute("UPDATE message SET failed_at = now() WHERE booking_id = %s", [number])
    sql.execute("SELECT pg_notify('expert_booking_mail', %s)", [number])
    await expect(page.locator('[data-mail="failed"]')).to_contain_text("We couldn't deliver the email with your code")
    await expect(code_field(page)).to_be_visible()


async def test_unconfirmed_booking_can_be_cancelled_on_its_page(visit: Visit, strict: Expert, sql: Connection) -> None:
    at, page, other = in_days(3), await visit(), await visit(strict.page)
    number = await book_on_page(page, strict.slug, at)
    await expect(page.get_by_role("heading", name="Cancel this booking")).to_be_visible()
    await wait_until_connected(page)
    await button(page, "Cancel booking").click()
    await button(page, "Yes, cancel booking").click()
    await expect_status(page, "cancelled")
    await expect(code_field(page)).to_have_count(0)
    await expect_slot(other, at, "open")
    assert emails(sql, number) == [("verification", "customer")]


async def test_browser_that_has_proven_the_address_need_not_confirm_it(
    visit: Visit, strict: Expert, sql: Connection
) -> None:
    page = await visit(link_for(sql, "proven.ada@example.com", "/"))
    await button(page, "Sign in").click()
    await page.wait_for_url("**/")
    await book_on_page(page, strict.slug, in_days(3), email="Proven.Ada@example.com")
    await expect_status(page, "confirmed")
    await expect(code_field(page)).to_have_count(0)
    await book_on_page(page, strict.slug, in_days(3, 12), email="other@example.com")
    await expect_status(page, "pending")
    await expect(code_field(page)).to_be_visible()


async def test_form_says_that_a_code_will_come(visit: Visit, strict: Expert) -> None:
    page = await visit(f"/book/{strict.slug}?at={iso(in_days(3))}")
    await expect(page.get_by_text("We'll send you a code here to confirm your booking.")).to_be_visible()
    await expect(page.get_by_text("You confirm your email address with a code.")).to_be_visible()


async def test_my_bookings_lists_it_as_not_confirmed_and_reschedule_page_explains(visit: Visit, strict: Expert) -> None:
    page = await visit()
    number = await book_on_page(page, strict.slug, in_days(3))
    await page.goto("/my-bookings")
    await expect(page.locator(f'[data-booking="{number}"]')).to_contain_text("Not confirmed yet")
    await page.goto(f"/booking/{number}/reschedule")
    await expect(page.get_by_text("must be confirmed before it can be rescheduled")).to_be_visible()


async def test_host_sees_an_unconfirmed_booking_as_waiting_for_the_customer(
    visit: Visit, new_expert: NewExpert, sql: Connection
) -> None:
    expert = await new_expert(email_verification=EmailVerification.ALWAYS, email="waiting@example.com")
    page = await visit()
    number = await book_on_page(page, expert.slug, in_days(3))
    host = await visit(link_for(sql, "waiting@example.com", f"/booking/{number}"))
    await button(host, "Sign in").click()
    await expect(host.get_by_role("heading", level=1)).to_have_text("Waiting for the customer")
    await expect(button(host, "Confirm")).to_have_count(0)
    await expect(host.get_by_role("link", name="Reschedule")).to_have_count(0)
    await expect(button(host, "Cancel booking")).to_be_visible()
    await expect(code_field(host)).to_have_count(0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
async def test_waiting_page_is_accessible_and_fits(
    visit: Visit, strict: Expert, scheme: Any, width: int, excuse: Excuse
) -> None:
    page = await visit(viewport={"width": width, "height": 900}, color_scheme=scheme)
    number = await book_on_page(page, strict.slug, in_days(3), email=f"{'a' * 60}@{'b' * 60}.example.com")
    await wait_until_connected(page)
    await code_field(page).fill(wrong_code(number))
    await page.keyboard.press("Enter")
    await expect(page.locator("#code-error")).to_be_visible()
    assert await page.evaluate(AUDIT) == []
    assert (await page.evaluate(CONTRAST))["weak"] == []
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
