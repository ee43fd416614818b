"""The console: who may open it, how hosts get there, and whose calendar it shows."""

from uuid import UUID

from playwright.async_api import expect

from tests.browser.conftest import Excuse, Expert, NewExpert, Visit
from tests.browser.pages import Connection
from tests.browser.test_sign_in import link_for, sign_in


def set_address(sql: Connection, expert: UUID, email: str) -> None:
    """Make this the address of an expert."""
    sql.execute("UPDATE expert SET email = %s, email_key = %s WHERE id = %s", (email, email, expert))


async def test_an_expert_signs_in_and_finds_the_console(visit: Visit, sql: Connection, jana: Expert) -> None:
    email = f"{jana.slug}@example.com"
    set_address(sql, jana.id, email)
    page = await visit("/console")
    await expect(page).to_have_url("/sign-in?next=/console")
    await sign_in(page, sql, email, "/console")
    await expect(page).to_have_url("/console")
    await expect(page.locator("[data-console=today]")).to_be_visible()
    await expect(page.get_by_role("navigation", name="Console")).to_contain_text("Today")
    await page.goto("/")
    await page.get_by_role("navigation", name="Main").get_by_role("link", name="Console").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Today")


async def test_a_customer_has_no_console(visit: Visit, sql: Connection, jana: Expert, excuse: Excuse) -> None:
    excuse("403")
    page = await visit("/")
    await sign_in(page, sql, f"{jana.slug}.ada@example.com")
    await expect(page.get_by_role("link", name="Console")).to_have_count(0)
    answer = await page.goto("/console")
    assert answer is not None
    assert answer.status == 403
    await expect(page.locator("[data-refusal=forbidden]")).to_contain_text("This page is for experts")


async def test_a_host_of_two_calendars_chooses_one(
    visit: Visit, sql: Connection, jana: Expert, new_expert: NewExpert
) -> None:
    other, stranger = await new_expert(), await new_expert()
    email = f"{jana.slug}@example.com"
    for one in (jana, other):
        set_address(sql, one.id, email)
    page = await visit("/")
    await sign_in(page, sql, email, "/console")
    chooser = page.get_by_label("Calendar of")
    await expect(chooser.locator("option")).to_have_text([jana.name, other.name])
    await chooser.select_option(other.name)
    await expect(page).to_have_url(f"/console?expert={other.slug}")
    await expect(chooser).to_have_value(f"/console?expert={other.slug}")
    await page.goto(f"/console?expert={stranger.slug}")
    await expect(chooser).to_have_value(f"/console?expert={jana.slug}")


async def test_the_sign_in_link_leads_to_the_console(visit: Visit, sql: Connection, jana: Expert) -> None:
    email = f"{jana.slug}@example.com"
    set_address(sql, jana.id, email)
    page = await visit(link_for(sql, email, "/console"))
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.locator("[data-console=today]")).to_be_visible()
