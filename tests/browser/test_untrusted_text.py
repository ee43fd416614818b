"""User input is shown exactly as typed and never becomes part of the page."""

import re

import pytest
from playwright.async_api import Page, expect

from expert_booking.schemas import SessionTypeRequest
from tests.browser.conftest import Excuse, NewExpert, Visit
from tests.browser.pages import book_on_page, expect_form, fill_in, in_days, iso, slot, wait_until_connected

NASTY = """<script>window.hit=1</script></script><img src=x onerror="window.hit=1">{{73*73}}${73*73}'"`&amp;<b>"""


async def expect_unharmed(page: Page) -> None:
    """Expect that no user input has run as script or become an element."""
    await wait_until_connected(page)
    assert await page.evaluate("window.hit") is None
    assert await page.locator("#main img[src=x]").count() == 0
    assert "5329" not in await page.locator("#main").inner_text()


@pytest.fixture
def nasty() -> dict[str, str]:
    """The texts of a malicious expert."""
    return {"name": NASTY, "category": NASTY[:75], "headline": NASTY, "bio": f"{NASTY}\n</textarea>\\u003cscript>"}


async def test_expert_texts_are_shown_literally(visit: Visit, new_expert: NewExpert, nasty: dict[str, str]) -> None:
    kinds = [SessionTypeRequest(title=NASTY, description=NASTY, notice_minutes=0), SessionTypeRequest(title="Other")]
    mallory = await new_expert(**nasty, session_types=kinds)
    page = await visit("/my-bookings")  # sets the zone cookie, so the next pages are served with their content
    await page.goto("/?search=window.hit")
    await expect(page.locator("[data-expert] h2")).to_have_text(NASTY)
    await expect(page.locator(".card-body p")).to_have_text(NASTY)
    await expect(page.locator("[data-expert] .chip")).to_have_text(NASTY[:75].strip())
    await expect_unharmed(page)
    await page.goto(mallory.page)
    await expect(page.get_by_role("heading", level=1)).to_have_text(NASTY)
    await expect(page.locator(".bio")).to_contain_text("</textarea>\\u003cscript>")
    await expect(page.locator(".facts")).to_contain_text(NASTY[:75].strip())
    for place in ("a[data-session-type] b", ".sessions li p", ".board-head p b"):
        await expect(page.locator(place).first).to_have_text(NASTY)
    assert (await page.title()).startswith(NASTY)
    assert NASTY in (await page.locator("meta[name=description]").get_attribute("content") or "")
    await expect_unharmed(page)
    await expect(slot(page, in_days(3))).to_be_enabled()
    first = await visit(mallory.page)  # the same on a first visit, without the cookie
    await expect(first.get_by_role("heading", level=1)).to_have_text(NASTY)
    await expect(slot(first, in_days(3))).to_be_enabled()
    await expect_unharmed(first)
    await page.goto(f"/book/{mallory.slug}?at={iso(in_days(3))}")
    await expect(page.get_by_role("complementary")).to_contain_text(NASTY)
    await expect_unharmed(page)


async def test_customer_texts_are_shown_literally(
    visit: Visit, new_expert: NewExpert, nasty: dict[str, str], excuse: Excuse
) -> None:
    excuse("status of 422")
    mallory = await new_expert(**nasty)
    page = await visit()
    address = "o'{{73*73}}<b>&@example.com"
    await page.goto(f"/book/{mallory.slug}?at={iso(in_days(3))}")
    await fill_in(page, name=NASTY, email=address, phone="<script>", notes=NASTY)
    await page.get_by_role("button", name="Request this time").click()
    await expect(page.locator("#phone-error")).to_be_visible()
    await expect_form(page, name=NASTY, email=address, notes=NASTY)
    await expect_unharmed(page)

    await book_on_page(page, mallory.slug, in_days(3), name=NASTY, notes=f"{NASTY}\nsecond line")
    whole = page.locator("section[data-booking]")
    await expect(whole.locator("dd").filter(has_text=re.compile("second line"))).to_contain_text(NASTY)
    await expect(whole.get_by_role("link")).to_have_text(NASTY)
    await expect_unharmed(page)
    await page.goto("/my-bookings")
    await expect(page.locator("[data-booking]")).to_contain_text(NASTY)
    await page.get_by_label("Email", exact=True).fill(f'"><script>window.hit=1</script>{NASTY}')
    await page.get_by_role("button", name="Email me a link").click()
    await expect(page.locator("#email-error")).to_be_visible()
    await expect(page.get_by_label("Email", exact=True)).to_have_value(f'"><script>window.hit=1</script>{NASTY}')
    await expect_unharmed(page)


async def test_url_parameters_and_cookies_are_shown_literally(visit: Visit, new_expert: NewExpert) -> None:
    jana = await new_expert()
    page = await visit("/my-bookings")
    await page.goto(
        "/?search=%3Cscript%3Ewindow.hit%3D1%3C/script%3E{{73*73}}&category=%3C/script%3E%22%27&sort=%3Cb%3E"
    )
    await expect(page.get_by_label("Search experts")).to_have_value("<script>window.hit=1</script>{{73*73}}")
    await expect(page.get_by_text("No experts match “<script>window.hit=1</script>{{73*73}}”")).to_be_visible()
    await expect_unharmed(page)
    await page.goto(f"{jana.page}?from=%3Cscript%3Ewindow.hit=1%3C/script%3E")
    await expect(slot(page, in_days(3))).to_be_enabled()
    await expect_unharmed(page)
    await page.context.add_cookies([{"name": "zone", "value": '"><script>window.hit=1</script>', "url": page.url}])
    await page.goto(jana.page)
    await expect(page.get_by_role("heading", level=1)).to_be_visible()
    await expect_unharmed(page)
