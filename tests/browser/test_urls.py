"""URLs of pages: they can be shared, revisited and mistyped."""

import re
from zoneinfo import ZoneInfo

from playwright.async_api import expect

from tests.browser.conftest import Excuse, Expert, NewExpert, Visit
from tests.browser.pages import (
    ADA,
    HOUR,
    Connection,
    fill_in,
    in_days,
    insert_booking,
    iso,
    slot,
    wait_for_live_slot,
    wait_until_connected,
)


async def test_invalid_query_strings_do_not_break_the_listing(visit: Visit, jana: Expert) -> None:
    page = await visit()
    nonsense = "search=%F0%9F%A6%84%27%22%3B--" + 100 * "x"
    for query in ("page=99999999999999999999", "sort=cheapest&page=", "category=%00", nonsense, "page=1&page=zzz", "%"):
        await page.goto(f"/?{query}")
        await expect(page.get_by_role("status").first).to_contain_text(re.compile(r"\d experts?"))
    await wait_until_connected(page)
    await page.get_by_label("Search experts").fill(jana.name)
    await expect(page.locator("[data-expert] h2")).to_have_text([jana.name])


async def test_board_pages_week_by_week_to_the_horizon_and_its_url_can_be_shared(
    visit: Visit, new_expert: NewExpert
) -> None:
    jana = await new_expert(horizon_days=20)
    page = await visit(jana.page)
    await wait_for_live_slot(page, in_days(3))
    earlier = page.get_by_role("button", name="Earlier week")
    later = page.get_by_role("button", name="Later week")
    await expect(earlier).to_be_disabled()
    await later.click()
    await expect(slot(page, in_days(20))).to_be_enabled()
    await expect(slot(page, in_days(3))).to_have_count(0)
    await expect(page).to_have_url(re.compile(rf"\?from={in_days(7):%Y-%m-%d}$"))
    await later.click()
    await expect(page).to_have_url(re.compile(rf"\?from={in_days(14):%Y-%m-%d}$"))
    await expect(later).to_be_disabled()
    await expect(slot(page, in_days(21))).to_have_count(0)
    shared = await visit(page.url)
    await expect(slot(shared, in_days(20))).to_be_enabled()
    await expect(slot(shared, in_days(7))).to_have_count(0)
    await earlier.click()
    await earlier.click()
    await expect(slot(page, in_days(3))).to_be_enabled()
    await expect(earlier).to_be_disabled()


async def test_day_out_of_range_still_shows_a_working_board(visit: Visit, jana: Expert) -> None:
    page = await visit()
    for day in ("yesterday", "2020-01-01", "9999-12-31", "0001-01-01", "%00"):
        await page.goto(f"{jana.page}?from={day}")
        await expect(page.locator("[data-slot]:enabled").first).to_be_visible()


async def test_board_without_free_times_links_to_the_next_one(
    visit: Visit, new_expert: NewExpert, sql: Connection
) -> None:
    at = in_days(23)
    jana = await new_expert(hours=(600, 660), weekdays=[at.isoweekday()])
    for days in (2, 9, 16):
        insert_booking(sql, jana.id, in_days(days))
    page = await visit(jana.page)
    note = page.get_by_text("No free times in these two weeks.").locator("..")
    await expect(note.get_by_role("link")).to_contain_text("10:00")
    await note.get_by_role("link").click()
    await expect(slot(page, at)).to_be_enabled()


async def test_unknown_urls_show_a_404_page_with_a_way_on(visit: Visit, excuse: Excuse) -> None:
    excuse("status of 404")
    page = await visit()
    for path, code in (
        ("/expert/nobody", "expert_not_found"),
        ("/book/nobody?at=2030-01-01T10:00:00Z", "expert_not_found"),
        ("/no/such/page", "not_found"),
        ("/booking/00000000-0000-0000-0000-000000000000", "booking_not_found"),
        ("/booking/not-a-number", "booking_not_found"),
    ):
        answer = await page.goto(path)
        assert answer is not None
        assert answer.status == 404, path
        await expect(page.locator(f'[data-refusal="{code}"]')).to_be_visible()
        await expect(page.get_by_role("heading", level=1)).to_have_count(1)
    await page.goto("/expert/nobody")
    await page.get_by_role("link", name="Browse all experts").click()
    await expect(page.get_by_role("search")).to_be_visible()


async def test_form_without_a_valid_time_links_to_the_board(visit: Visit, jana: Expert, excuse: Excuse) -> None:
    excuse("status of 404")
    page = await visit()
    for query in ("", "?at=tomorrow", "?at=2030-01-01T10:00:00", "?at=%00", "?at=99999999999999999999", "?at=%"):
        await page.goto(f"/book/{jana.slug}{query}")
        await expect(page.locator('[data-refusal="no_time"]')).to_contain_text(jana.name)
    await page.get_by_role("link", name="Choose a time").click()
    await expect(slot(page, in_days(3))).to_be_enabled()


async def test_form_for_a_past_time_offers_alternatives(visit: Visit, jana: Expert) -> None:
    page = await visit(f"/book/{jana.slug}?at={iso(in_days(-1))}")
    await expect(page.locator("[data-refusal]")).to_contain_text("already passed")
    await expect(page.locator("[data-alternative]")).to_have_count(6)


async def test_time_in_the_form_url_may_have_any_offset(visit: Visit, jana: Expert) -> None:
    page, at = await visit(), in_days(3)
    local = at.astimezone(ZoneInfo("Asia/Kathmandu")).isoformat()
    for written in (at.isoformat(), local, local.replace("+", "%2B")):
        await page.goto(f"/book/{jana.slug}?at={written}")
        await expect(page.get_by_role("complementary")).to_contain_text("10:00–11:00")
        await expect(page.locator("[data-refusal]")).to_have_count(0)


async def test_shared_form_link_contains_nothing_that_was_typed(visit: Visit, jana: Expert) -> None:
    at = in_days(3)
    mine = await visit(f"/book/{jana.slug}?at={iso(at)}")
    await fill_in(mine, **ADA)
    theirs = await visit(mine.url)
    await expect(theirs.get_by_label("Name")).to_have_value("")
    await mine.goto(f"/book/{jana.slug}?at={iso(at + HOUR)}")
    await expect(mine.get_by_label("Name")).to_have_value(ADA["name"])
