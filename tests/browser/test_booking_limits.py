"""What pages show when a limit on bookings or changes is reached: until when, and nothing typed is lost."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from playwright.async_api import Locator, Page, expect

from expert_booking.domain.signed_keys import SignedKeys
from tests.browser.conftest import Expert, NewExpert, Visit
from tests.browser.pages import (
    ADA,
    HOUR,
    Connection,
    book_button,
    book_on_page,
    bookings_at,
    expect_form,
    expect_held,
    fill_in,
    in_days,
    insert_booking,
    iso,
    slot,
    wait_for_live_slot,
)
from tests.browser.test_sign_in import KEYS, link_for
from tests.server import ServerProcess

Serve = Callable[..., ServerProcess]
# Another secret makes other hashes, so that the bookings of other tests are of other networks.
OTHER_SECRET = "another secret, so that bookings of other tests do not count"
PHONE = {"width": 390, "height": 700}
GRACE = {
    "name": "Grace Hopper",
    "email": "grace.limits@example.com",
    "phone": "+1 212 736 5000",
    "notes": "On compilers",
}


def button(page: Page, name: str) -> Locator:
    """Return the button with this name."""
    return page.get_by_role("button", name=name, exact=True)


def time_named_in(text: str, zone: str) -> datetime:
    """Return the next instant at which the clock in this zone shows the time that the text names."""
    found = re.search(r"You can try again at (\d\d):(\d\d), (\S+) \(UTC", text)
    assert found is not None, text
    assert found[3] == zone
    now = datetime.now(ZoneInfo(zone))
    at = now.replace(hour=int(found[1]), minute=int(found[2]), second=0, microsecond=0)
    return at if at > now - timedelta(minutes=2) else at + timedelta(days=1)


async def test_form_at_the_limit_says_when_to_try_again_and_keeps_what_was_typed(
    serve: Serve, visit: Visit, jana: Expert, new_expert: NewExpert, sql: Connection
) -> None:
    server, omar, at = serve(BOOKINGS_PER_NETWORK="1", SECRET_KEY=OTHER_SECRET + " 1"), await new_expert(), in_days(3)
    await book_on_page(await visit(at=server.url), jana.slug, at)
    booked_at = datetime.now(UTC)
    page = await visit(f"/book/{omar.slug}?at={iso(at)}", at=server.url, zone="Asia/Kathmandu", viewport=PHONE)
    await expect_held(page)
    await fill_in(page, **GRACE)
    await book_button(page).click()
    note = page.locator('[data-refusal="too_many_bookings"]')
    await expect(note).to_contain_text("Too many bookings were made from your network in the last hour.")
    await expect(note).to_contain_text("Nothing you typed is lost.")
    await expect(note).to_be_in_viewport()
    named = time_named_in(await note.inner_text(), "Asia/Kathmandu")
    assert booked_at + HOUR - timedelta(seconds=30) <= named <= booked_at + HOUR + timedelta(minutes=2)
    await expect_form(page, **GRACE)
    await expect_held(page)
    # It stays while others book, and follows the chosen zone.
    insert_booking(sql, omar.id, at + 5 * HOUR)
    await page.locator("#zone").focus()
    await page.locator("#zone").select_option("Europe/Berlin")
    await expect(note).to_contain_text("Europe/Berlin")
    await expect_form(page, **GRACE)
    # An hour later the same form works.
    sql.execute("UPDATE network_booking SET booked_at = booked_at - interval '1 hour'")
    await book_button(page).click()
    await page.wait_for_url("**/booking/*")
    assert bookings_at(sql, omar.id, at) == 1


async def test_signed_in_visitor_need_not_wait(
    serve: Serve, visit: Visit, jana: Expert, new_expert: NewExpert, sql: Connection
) -> None:
    mail = {"SMTP_URL": "smtp://127.0.0.1:9", "MAIL_FROM": "booking@example.com"}
    secret = OTHER_SECRET + " 2"
    server, omar, at = serve(BOOKINGS_PER_NETWORK="1", SECRET_KEY=secret, **mail), await new_expert(), in_days(3)
    await book_on_page(await visit(at=server.url), jana.slug, at)
    page = await visit(f"/book/{omar.slug}?at={iso(at)}", at=server.url)
    await fill_in(page, **GRACE)
    await book_button(page).click()
    await page.locator('[data-refusal="too_many_bookings"]').get_by_role("link", name="sign in").click()
    await expect(page.get_by_role("heading", name="Sign in", exact=True)).to_be_visible()
    # The link in the email, which this server signs with another secret.
    link = link_for(sql, GRACE["email"], f"/book/{omar.slug}?at={iso(at)}").rpartition("/")[2]
    number = KEYS.link_of(link)
    assert number is not None
    await page.goto(f"/sign-in/{SignedKeys(secret).link(number)}")
    await button(page, "Sign in").click()
    await page.wait_for_url("**/book/*")
    # The tab still has the draft.
    await expect_form(page, **GRACE)
    await book_button(page).click()
    await page.wait_for_url("**/booking/*")
    assert bookings_at(sql, omar.id, at) == 1


async def test_form_says_how_many_upcoming_bookings_the_address_has(
    serve: Serve, visit: Visit, jana: Expert, sql: Connection
) -> None:
    server, at = serve(LIVE_BOOKINGS_PER_EXPERT="1", SECRET_KEY=OTHER_SECRET + " 3"), in_days(3)
    page = await visit(at=server.url)
    number = await book_on_page(page, jana.slug, at, **GRACE)
    await page.goto(f"/book/{jana.slug}?at={iso(at + HOUR)}")
    await fill_in(page, **GRACE)
    await book_button(page).click()
    note = page.locator('[data-refusal="booking_limit_reached"]')
    await expect(note).to_contain_text("This email address already has 1 upcoming booking with this expert.")
    await expect_form(page, **GRACE)
    assert bookings_at(sql, jana.id, at + HOUR) == 0
    await note.get_by_role("link", name="My bookings").click()
    await expect(page.locator(f'li[data-booking="{number}"]')).to_be_visible()


async def test_rescheduling_and_cancelling_say_when_they_are_possible_again(
    serve: Serve, visit: Visit, jana: Expert, sql: Connection
) -> None:
    server, at = serve(CHANGES_PER_HOUR="1", SECRET_KEY=OTHER_SECRET + " 4"), in_days(3)
    page = await visit(at=server.url)
    number = await book_on_page(page, jana.slug, at, **ADA)
    await page.goto(f"/booking/{number}/reschedule")
    await wait_for_live_slot(page, in_days(4))
    await slot(page, in_days(4)).click()
    await button(page, "Reschedule").click()
    await page.wait_for_url(f"**/booking/{number}*")

    await page.goto(f"/booking/{number}/reschedule")
    await wait_for_live_slot(page, in_days(5))
    await slot(page, in_days(5)).click()
    await button(page, "Reschedule").click()
    await expect(page.get_by_role("alert")).to_contain_text("This booking was changed too often in the last hour.")
    text = await page.get_by_role("alert").inner_text()
    assert datetime.now(UTC) + HOUR - timedelta(minutes=2) <= time_named_in(text, "Europe/Berlin")
    assert "You still have your current time." in text

    await page.goto(f"/booking/{number}")
    await button(page, "Cancel booking").click()
    await page.get_by_label("Reason").fill("No time")
    await button(page, "Yes, cancel booking").click()
    alert = page.locator('[data-refusal="cancel"]')
    await expect(alert).to_contain_text("You can try again at")
    await expect(page.get_by_label("Reason")).to_have_value("No time")
    sql.execute("UPDATE network_change SET changed_at = changed_at - interval '1 hour'")
    await button(page, "Yes, cancel booking").click()
    await expect(page.locator('section[data-status="cancelled"]')).to_be_visible()
