"""People's own data: the download, deleting it, and the page about privacy with the cookies that are really set."""

import asyncio
import json
import re
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import Excuse, Expert, Visit
from tests.browser.pages import (
    Connection,
    book_on_page,
    expect_slot,
    fill_in,
    in_days,
    insert_booking,
    iso,
    wait_until_connected,
)
from tests.browser.test_accessibility import AUDIT, CONTRAST
from tests.browser.test_manage_booking import button
from tests.browser.test_sign_in import link_for, sign_in, signed_in_note
from tests.server import ServerProcess

YEAR = 365 * 24 * 3600


@pytest.fixture
def email(jana: Expert) -> str:
    """An address that only this test uses."""
    return f"{jana.slug}.ada@example.com"


def dialog(page: Page) -> Any:
    """The dialog that deletes the data."""
    return page.get_by_role("dialog", name="Delete your data?")


async def open_dialog(page: Page) -> None:
    """Open it."""
    await button(page, "Delete my data").click()
    await expect(dialog(page)).to_be_visible()


def booking_row(sql: Connection, number: str) -> tuple[Any, ...]:
    """What identifies the customer of a booking, and its status."""
    row = sql.execute("SELECT name, email, status FROM booking WHERE id = %s", [number]).fetchone()
    assert row is not None
    return row


async def problems(page: Page) -> list[str]:
    """What is wrong for screen readers, with contrast or with the width."""
    found = list(await page.evaluate(AUDIT))
    found += (await page.evaluate(CONTRAST))["weak"]
    if await page.evaluate("document.documentElement.scrollWidth > innerWidth"):
        found.append("wider than the window")
    return found


# --- download and delete ----------------------------------------------------------------------------------------------


async def test_customer_downloads_everything_as_a_file(visit: Visit, jana: Expert, sql: Connection, email: str) -> None:
    page = await visit()
    number = await book_on_page(page, jana.slug, in_days(3), email=email, notes="very private")
    await sign_in(page, sql, email)
    async with page.expect_download() as downloading:
        await page.get_by_role("link", name="Download my data").click()
    download = await downloading.value
    assert download.suggested_filename == "my-data.json"
    data = json.loads(await asyncio.to_thread(Path(await download.path()).read_text))
    assert (data["email"], [booking["id"] for booking in data["bookings"]]) == (email, [number])
    assert (data["bookings"][0]["notes"], len(data["bookings"][0]["history"])) == ("very private", 1)
    assert data["proofs"][0]["kind"] == "browser"
    response = await page.request.get("/my-bookings/data.json")
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["content-disposition"] == 'attachment; filename="my-data.json"'


async def test_deleting_signs_out_everywhere_and_leaves_nothing_behind(
    visit: Visit, jana: Expert, sql: Connection, email: str, excuse: Excuse
) -> None:
    excuse("status of 404")
    at = in_days(3)
    page = await visit()
    number = await book_on_page(page, jana.slug, at, email=email, notes="very private")
    other = await visit()
    await sign_in(other, sql, email)
    await sign_in(page, sql, email)
    second_tab = await page.context.new_page()
    await second_tab.goto(f"/booking/{number}")
    board = await visit(jana.page)
    await expect_slot(board, at, "booked")

    await open_dialog(page)
    await expect(dialog(page)).to_contain_text("Your upcoming booking is cancelled, and we'll let the expert know")
    assert await problems(page) == []
    await page.keyboard.press("Escape")
    await expect(dialog(page)).to_be_hidden()
    await expect(button(page, "Delete my data")).to_be_focused()
    await open_dialog(page)
    await button(page, "Keep my data").click()
    assert booking_row(sql, number) == ("Ada Lovelace", email, "pending")
    await open_dialog(page)
    await button(page, "Yes, delete my data").click()

    await expect(page.get_by_role("heading", name="Your data has been deleted")).to_be_visible()
    await expect(
        page.get_by_text("Your upcoming booking was cancelled, and we've let the expert know.")
    ).to_be_visible()
    assert booking_row(sql, number) == ("", "", "cancelled")
    await expect_slot(board, at, "open")
    for shown in (second_tab, page):  # the other tab reloads itself
        if shown is page:
            await page.goto(f"/booking/{number}")
        await expect(shown.get_by_role("heading", name="We can't show this booking here")).to_be_visible()
    for signed_out in (other, page):
        await signed_out.goto("/my-bookings")
        await expect(signed_out.get_by_role("heading", name="No bookings yet")).to_be_visible()
        await expect(signed_in_note(signed_out)).to_have_count(0)
        await expect(button(signed_out, "Delete my data")).to_have_count(0)


async def test_upcoming_bookings_are_kept_if_the_customer_wants_to(
    visit: Visit, jana: Expert, sql: Connection, email: str
) -> None:
    page = await visit()
    numbers = [await book_on_page(page, jana.slug, in_days(days), email=email) for days in (3, 4)]
    await sign_in(page, sql, email)
    await open_dialog(page)
    await dialog(page).get_by_label("Keep my upcoming bookings until they are over").check()
    await expect(dialog(page)).not_to_contain_text("cancelled")
    await button(page, "Yes, delete my data").click()
    await expect(page.get_by_text("Your 2 upcoming bookings stay.")).to_be_visible()
    assert {booking_row(sql, number) for number in numbers} == {("Ada Lovelace", email, "pending")}
    row = sql.execute("SELECT count(*) FROM access_proof WHERE email = %s", [email]).fetchone()
    assert row == (0,)


async def test_host_sees_a_deleted_customer(visit: Visit, jana: Expert, sql: Connection, email: str) -> None:
    host_email = f"{jana.slug}.host@example.com"
    sql.execute("UPDATE expert SET email = %s, email_key = %s WHERE id = %s", [host_email, host_email, jana.id])
    number = insert_booking(sql, jana.id, in_days(3), status="confirmed")
    sql.execute("UPDATE booking SET name = '', email = '', customer_key = '' WHERE id = %s", [number])
    page = await visit()
    await sign_in(page, sql, host_email)
    await expect(page.locator(f'li[data-booking="{number}"]')).to_contain_text("Deleted customer")
    await page.goto(f"/booking/{number}")
    await expect(page.locator("dl.details")).to_contain_text("Deleted customer")
    await expect(page.locator("dl.details dt", has_text="Email")).to_have_count(0)
    await expect(page.get_by_role("link", name="Reschedule")).to_have_count(0)


async def test_requests_of_other_sites_and_signed_out_browsers_delete_and_read_nothing(
    server: ServerProcess, visit: Visit, jana: Expert, sql: Connection, email: str
) -> None:
    page = await visit()
    number = await book_on_page(page, jana.slug, in_days(3), email=email)
    await sign_in(page, sql, email)
    cookies = "; ".join(f"{cookie['name']}={cookie['value']}" for cookie in await page.context.cookies())
    async with httpx.AsyncClient(base_url=server.url) as client:
        for sent in (
            {"Sec-Fetch-Site": "cross-site", "Cookie": cookies},
            {"Origin": "https://evil.example", "Cookie": cookies},
            {},
        ):
            answer = await client.post("/my-bookings/delete", headers=sent)
            assert (answer.status_code, answer.headers["location"][:8]) == (303, "/sign-in")
        answer = await client.get("/my-bookings/data.json")
        assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in?next=/my-bookings")
        assert (await client.get("/my-bookings/delete", headers={"Cookie": cookies})).status_code >= 400
    assert booking_row(sql, number) == ("Ada Lovelace", email, "pending")


@pytest.mark.parametrize("query", ["", "?cancelled=2&kept=1", "?cancelled=<b>&kept=-1", "?cancelled=99999&kept=٣"])
async def test_page_after_deleting_needs_no_cookie_and_trusts_no_query(visit: Visit, query: str) -> None:
    page = await visit(f"/my-bookings/deleted{query}")
    await expect(page.get_by_role("heading", name="Your data has been deleted")).to_be_visible()
    text = await page.locator("main").inner_text()
    assert ("Your 2 upcoming bookings were cancelled" in text) == ("=2" in query)
    assert await problems(page) == []


# --- privacy ----------------------------------------------------------------------------------------------------------


async def listed_cookies(page: Page) -> dict[str, str]:
    """The cookies that the page about privacy lists, with their lifetimes."""
    rows = page.locator("[data-cookie]")
    await expect(rows.first).to_be_visible()
    return {
        str(await row.get_attribute("data-cookie")): await row.locator(".until").inner_text()
        for row in await rows.all()
    }


async def test_privacy_page_lists_exactly_the_cookies_that_are_set(
    visit: Visit, jana: Expert, sql: Connection, email: str, demo: ServerProcess
) -> None:
    page = await visit()
    await book_on_page(page, jana.slug, in_days(3), email=email)
    await sign_in(page, sql, email)
    await page.get_by_role("button", name="Switch between light and dark").click()
    await page.locator("#zone").focus()
    await page.locator("#zone").select_option("Asia/Tokyo")
    await page.goto("/privacy")
    listed = await listed_cookies(page)
    really = {cookie["name"]: cookie["expires"] for cookie in await page.context.cookies()}
    assert listed == {**dict.fromkeys(really, "1 year"), "eb_route": "Until you close the browser"}
    assert {name for name, expires in really.items() if abs(expires - time.time() - YEAR) > 3600} == set()
    assert {"zone", "browser_zone", "theme", "eb_browser"} == set(really)

    mail = await visit(at=demo.url)
    await mail.goto(demo.mailbox)
    really = {cookie["name"]: cookie["expires"] for cookie in await mail.context.cookies()}
    await mail.goto("/privacy")
    assert set(really) - {"browser_zone", "eb_browser"} == {"eb_mailbox", "eb_mailbox_here"}
    assert set(really) <= set(await listed_cookies(mail))


def test_nginx_cookie_that_the_page_lists_is_the_one_in_its_configuration() -> None:
    nginx = (Path(__file__).parents[2] / "deploy" / "nginx.conf").read_text()
    assert re.findall(r'"(\w+)=[^"]*; Path', nginx) == ["eb_route"]


async def test_privacy_page_is_linked_from_the_footer_and_the_form(visit: Visit, jana: Expert) -> None:
    page = await visit(f"/book/{jana.slug}?at={iso(in_days(3))}")
    await fill_in(page, name="Ada")
    async with page.expect_popup() as opening:
        await page.locator("form").get_by_role("link", name="Privacy").click()
    privacy = await opening.value
    await expect(privacy.get_by_role("heading", name="Privacy", exact=True)).to_be_visible()
    await expect(page.get_by_label("Name")).to_have_value("Ada")
    await expect(page.locator("footer").get_by_role("link", name="Privacy")).to_have_attribute("href", "/privacy")
    await expect(page.locator("footer").get_by_role("link", name="Imprint")).to_have_count(0)
    await expect(privacy.get_by_text("Until you delete them")).to_be_visible()
    for width in (1280, 360):
        await privacy.set_viewport_size({"width": width, "height": 800})
        assert await problems(privacy) == []


async def test_operators_own_text_and_links_and_periods_are_shown_safely(
    visit: Visit, database_url: str, sql: Connection, tmp_path: Path
) -> None:
    file = tmp_path / "privacy.md"
    html = "<img src=x onerror=window.bad=1><script>window.bad=1</script>"
    file.write_text(f"# Who we are\n\nWe are **Ada & Co**, [here](javascript:window.bad=1).\n\n{html}\n")
    settings = {"PRIVACY_FILE": str(file), "RETENTION_DAYS": "365", "IMPRINT_URL": "https://example.com/imprint?a=1&b=2",
                "TERMS_URL": "https://example.com/terms"}  # fmt: skip
    with ServerProcess(tmp_path, database_url, **settings).wait_until_alive() as server:
        page = await visit("/privacy", at=server.url)
        await expect(page.get_by_role("heading", name="Who we are", level=2)).to_be_visible()
        await expect(page.get_by_text("We are Ada & Co, here.")).to_be_visible()
        await expect(page.get_by_text(html)).to_be_visible()
        await expect(page.locator('a[href^="javascript"]')).to_have_count(0)
        await expect(page.get_by_text("365 days after the session")).to_be_visible()
        await wait_until_connected(page)
        assert await page.evaluate("window.bad") is None
        assert await problems(page) == []
        footer = page.locator("footer")
        imprint = footer.get_by_role("link", name="Imprint")
        await expect(imprint).to_have_attribute("href", "https://example.com/imprint?a=1&b=2")
        await expect(footer.get_by_role("link", name="Terms")).to_have_attribute("href", "https://example.com/terms")
        await page.goto(link_for(sql, "ada@example.com"))  # a page without scripts
        await expect(footer.get_by_role("link", name="Imprint")).to_be_visible()
