"""The main task: a visitor finds an expert, sees a free time, books it, and finds the booking again."""

import httpx
from playwright.async_api import expect

from tests.browser.conftest import Excuse, Expert, Visit
from tests.browser.pages import (
    ADA,
    book_button,
    book_on_page,
    booking_id,
    expect_form,
    expect_slot,
    fill_in,
    in_days,
    iso,
    slot,
    wait_for_live_slot,
)


async def test_visitor_finds_an_expert_books_a_time_and_finds_the_booking_again(visit: Visit, jana: Expert) -> None:
    at = in_days(3)
    other_visitor = await visit(jana.page)
    await wait_for_live_slot(other_visitor, at)
    page = await visit("/")
    await page.get_by_label("Search experts").fill(jana.name)
    await expect(page.locator("[data-expert]")).to_have_count(1)
    await page.locator(f'[data-expert="{jana.slug}"]').get_by_role("link").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text(jana.name)
    await expect(slot(page, at)).to_be_enabled()
    await slot(page, at).click()
    await expect(page).to_have_url(f"/book/{jana.slug}?at={iso(at).replace(':', '%3A')}")
    await fill_in(page, **ADA, notes="My first session.")
    await book_button(page).click()

    booked = page.locator("section[data-booking]")
    await expect(booked).to_have_attribute("data-status", "pending")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Your request has been sent")
    for word in (jana.name, "10:00–11:00", *ADA.values(), "My first session."):
        await expect(booked).to_contain_text(word)
    number = await booking_id(page)
    await expect(page).to_have_url(f"/booking/{number}")

    await expect_slot(other_visitor, at, "booked")
    await page.get_by_role("link", name="My bookings").first.click()
    card = page.locator(f'[data-booking="{number}"]')
    await expect(card).to_contain_text(jana.name)
    await expect(card).to_have_attribute("data-status", "pending")
    await page.goto(jana.page)
    await expect_slot(page, at, "booked")


async def test_invalid_input_is_reported_beside_the_fields_and_kept(visit: Visit, jana: Expert) -> None:
    page = await visit(f"/book/{jana.slug}?at={iso(in_days(3))}")
    typed = {"name": "Ada Lovelace", "email": "ada@nowhere", "phone": "call me", "notes": "Line 1\nLine 2"}
    await fill_in(page, **typed)
    await book_button(page).click()
    email, phone = page.get_by_label("Email", exact=True), page.get_by_label("Phone")
    await expect(page.locator("#email-error")).to_contain_text("name@example.com")
    await expect(page.locator("#phone-error")).to_contain_text("phone number")
    await expect(page.locator(".error")).to_have_count(2)
    await expect(email).to_be_focused()
    await expect(email).to_have_attribute("aria-invalid", "true")
    await expect(email).to_have_attribute("aria-describedby", "email-error")
    await expect(page.get_by_label("Name")).not_to_have_attribute("aria-invalid", "true")
    await expect_form(page, **typed)

    await email.fill("ada@example.com")
    await book_button(page).click()
    await expect(phone).to_be_focused()
    await expect(page.locator(".error")).to_have_count(1)
    await phone.fill(ADA["phone"])
    await book_button(page).click()
    await expect(page.locator("section[data-booking]")).to_contain_text("Line 2")


async def test_phone_number_is_read_as_one_of_the_visitors_country(visit: Visit, jana: Expert) -> None:
    form = f"/book/{jana.slug}?at={iso(in_days(3))}"
    page, nowhere = await visit(form, zone="America/New_York"), await visit(form, zone="UTC")
    phone = page.get_by_label("Phone")
    await expect(nowhere.locator("#phone-hint")).to_have_text("With the country code, such as +44 7400 123456.")
    await expect(page.locator("#phone-hint")).to_contain_text("Such as (201) 555-0123.")
    await expect(phone).to_have_attribute("aria-describedby", "phone-hint")
    typed = {**ADA, "phone": "0170 1234567", "notes": "My first session."}
    await fill_in(page, **typed)
    await book_button(page).click()
    await expect(page.locator("#phone-error")).to_contain_text("not a valid number with the country code +1.")
    await expect(phone).to_be_focused()
    await expect_form(page, **typed)

    # The hint and the meaning of the number follow the zone.
    await page.get_by_label("Time zone").focus()
    await page.get_by_label("Time zone").select_option("Europe/Berlin")
    await book_button(page).click()
    await expect(page.locator("section[data-booking]")).to_contain_text("+49 170 1234567")


async def test_name_that_is_a_link_is_reported_beside_its_field(visit: Visit, jana: Expert) -> None:
    page = await visit(f"/book/{jana.slug}?at={iso(in_days(3))}")
    typed = {**ADA, "name": "You have won, see www.evil.example"}
    await fill_in(page, **typed)
    await book_button(page).click()
    await expect(page.locator("#name-error")).to_have_text("Please enter a name without a web or email address.")
    await expect_form(page, **typed)
    await page.get_by_label("Name").fill("Dr. Ada\u202eLovelace")
    await book_button(page).click()
    await expect(page.locator("section[data-booking]")).to_contain_text("Dr. AdaLovelace")


async def test_empty_form_reports_every_required_field(visit: Visit, jana: Expert) -> None:
    page = await visit(f"/book/{jana.slug}?at={iso(in_days(3))}")
    await book_button(page).click()
    for field in ("name", "email", "phone"):
        await expect(page.locator(f"#{field}-error")).to_have_text("Please fill this in.")
    await expect(page.locator("#notes-error")).to_have_count(0)
    await expect(page.get_by_label("Name")).to_be_focused()
    await expect(page.get_by_role("alert").first).to_contain_text("3 fields")


async def test_booking_is_shown_only_in_the_browser_that_made_it(visit: Visit, jana: Expert, excuse: Excuse) -> None:
    excuse("status of 404")
    mine, theirs = await visit(), await visit()
    number = await book_on_page(mine, jana.slug, in_days(3), email="shared@example.com")
    # Not even to another customer who knows the booking's URL and the email address.
    await book_on_page(theirs, jana.slug, in_days(4), email="shared@example.com")
    answer = await theirs.goto(f"/booking/{number}")
    assert answer is not None
    assert answer.status == 404
    await expect(theirs.locator('[data-refusal="booking_not_found"]')).to_be_visible()
    assert ADA["name"] not in await theirs.content()
    await theirs.goto("/my-bookings")
    await expect(theirs.locator("[data-booking]")).to_have_count(1)
    await expect(theirs.locator(f'[data-booking="{number}"]')).to_have_count(0)
    await mine.goto("/my-bookings")
    await expect(mine.locator(f'[data-booking="{number}"]')).to_be_visible()


async def test_browser_without_bookings_sees_none_of_an_address_that_has_some(visit: Visit, jana: Expert) -> None:
    mine, theirs = await visit(), await visit("/my-bookings")
    await book_on_page(mine, jana.slug, in_days(3), email="grace@example.com")
    await theirs.get_by_label("Email", exact=True).fill("grace@example.com")
    await theirs.get_by_role("button", name="Email me a link").click()
    await expect(theirs.get_by_text("If this address is known here")).to_be_visible()
    await expect(theirs.get_by_role("heading", name="No bookings yet")).to_be_visible()
    await theirs.reload()
    await expect(theirs.get_by_label("Code")).to_be_visible()
    await expect(theirs.locator("[data-booking]")).to_have_count(0)


async def test_all_bookings_of_a_browser_are_listed_whatever_their_address(visit: Visit, jana: Expert) -> None:
    page = await visit()
    first = await book_on_page(page, jana.slug, in_days(3), email="ada@example.com")
    second = await book_on_page(page, jana.slug, in_days(4), email="lady@example.com")
    await page.goto("/my-bookings")
    await expect(page.locator("[data-booking]")).to_have_count(2)
    for number in (first, second):
        await expect(page.locator(f'[data-booking="{number}"]')).to_be_visible()


async def test_booking_made_on_a_page_is_the_same_in_the_api(
    visit: Visit, jana: Expert, rest: httpx.AsyncClient, admin: dict[str, str]
) -> None:
    page = await visit()
    number = await book_on_page(page, jana.slug, in_days(3), notes="From the page.")
    booking = (await rest.get(f"/bookings/{number}", headers=admin)).json()
    assert (booking["startsAt"], booking["status"], booking["notes"], booking["timeZone"]) == (
        iso(in_days(3)), "pending", "From the page.", "Europe/Berlin")  # fmt: skip
