"""Visitors read times in their own zone, and the zone is always named."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from playwright.async_api import Page, expect

from tests.browser.conftest import Expert, NewExpert, Visit
from tests.browser.pages import (
    ADA,
    HOUR,
    Connection,
    book_button,
    fill_in,
    in_days,
    insert_booking,
    iso,
    slot,
    wait_for_live_slot,
)

KATHMANDU = "Asia/Kathmandu"
EUCLA = "Australia/Eucla"  # UTC+8:45


def clock(at: datetime, zone: str) -> str:
    """Return an instant's local time in a zone."""
    return f"{at.astimezone(ZoneInfo(zone)):%H:%M}"


async def choose_zone(page: Page, zone: str) -> None:
    """Choose another zone in the header without a reload."""
    await page.evaluate("window.stayed = true")
    await page.locator("#zone").focus()
    await page.locator("#zone").select_option(zone)


async def test_first_visit_uses_the_browsers_zone_and_names_both_zones(visit: Visit, jana: Expert) -> None:
    at = in_days(3)
    page = await visit(jana.page, zone=KATHMANDU)
    await expect(slot(page, at)).to_have_text(clock(at, KATHMANDU))
    board = page.get_by_role("region", name="Choose a time")
    await expect(board).to_contain_text("(UTC+5:45)")
    await expect(board).to_contain_text("the expert is in Europe/Berlin (UTC+")
    name = await slot(page, at).get_attribute("aria-label") or ""
    assert name.startswith(clock(at, KATHMANDU) + ", ")
    assert "UTC+5:45" in name
    assert f"{at.astimezone(ZoneInfo(KATHMANDU)):%A}" in name


async def test_first_visit_to_listing_and_form_uses_the_browsers_zone(visit: Visit, jana: Expert) -> None:
    at = in_days(3)
    page = await visit(f"/?search={jana.name}", zone=KATHMANDU)
    await expect(page.get_by_text("(UTC+5:45)")).to_be_visible()
    await expect(page.locator("[data-next] b")).to_contain_text(":45")
    form = await visit(f"/book/{jana.slug}?at={iso(at)}", zone=KATHMANDU)
    summary = form.get_by_role("complementary", name="Your session")
    await expect(summary).to_contain_text(clock(at, KATHMANDU))
    await expect(summary).to_contain_text("10:00–11:00")
    await expect(summary).to_contain_text("Europe/Berlin (UTC+")


async def test_visitor_in_the_experts_zone_sees_only_one_zone(visit: Visit, jana: Expert) -> None:
    page = await visit(jana.page)
    await expect(slot(page, in_days(3))).to_have_text("10:00")
    await expect(page.get_by_text("the expert is in")).to_have_count(0)


async def test_chosen_zone_applies_to_every_page_without_a_reload_and_is_remembered(visit: Visit, jana: Expert) -> None:
    at, zone = in_days(3), "America/New_York"
    page = await visit(jana.page)
    await wait_for_live_slot(page, at)
    await choose_zone(page, zone)
    await expect(slot(page, at)).to_have_text(clock(at, zone))
    await expect(page.get_by_role("region", name="Choose a time")).to_contain_text("America/New York (UTC−")
    assert await page.evaluate("window.stayed")

    # Other pages of this browser are served in the chosen zone.
    for path in (jana.page, f"/book/{jana.slug}?at={iso(at)}", "/"):
        await page.goto(path)
        await expect(page.locator("#zone")).to_have_value(zone)
        assert await page.evaluate("document.documentElement.dataset.zone") == zone
    await page.goto(f"/book/{jana.slug}?at={iso(at)}")
    summary = page.get_by_role("complementary", name="Your session")
    await expect(summary).to_contain_text(clock(at, zone))
    await choose_zone(page, EUCLA)
    await expect(summary).to_contain_text(clock(at, EUCLA))
    await fill_in(page, name="Ada")
    await choose_zone(page, "UTC")
    await expect(summary).to_contain_text(clock(at, "UTC"))
    await expect(page.get_by_label("Name")).to_have_value("Ada")
    assert await page.evaluate("window.stayed")

    await page.goto(f"/?search={jana.name}")
    await expect(page.locator("[data-next] b")).to_contain_text(":00")
    await choose_zone(page, EUCLA)
    await expect(page.locator("[data-next] b")).to_contain_text(":45")
    assert await page.evaluate("window.stayed")


async def test_booking_pages_use_the_chosen_zone(visit: Visit, jana: Expert) -> None:
    at = in_days(3)
    page = await visit(f"/book/{jana.slug}?at={iso(at)}")
    await fill_in(page, **ADA)
    await book_button(page).click()
    await page.wait_for_url("**/booking/*")
    await expect(page.locator("section[data-booking]")).to_contain_text("10:00–11:00")
    await choose_zone(page, EUCLA)
    await expect(page.locator("section[data-booking]")).to_contain_text(clock(at, EUCLA) + "–")
    await expect(page.locator("section[data-booking]")).to_contain_text("Expert's time")
    await page.goto("/my-bookings")
    await expect(page.locator("[data-booking]")).to_contain_text(clock(at, EUCLA) + "–")
    await choose_zone(page, "UTC")
    await expect(page.locator("[data-booking]")).to_contain_text(clock(at, "UTC") + "–")


async def test_live_changes_reach_pages_in_every_zone(visit: Visit, jana: Expert, sql: Connection) -> None:
    at = in_days(3)
    pages = [await visit(jana.page, zone=zone) for zone in (KATHMANDU, "Pacific/Auckland")]
    for page in pages:
        await wait_for_live_slot(page, at)
    insert_booking(sql, jana.id, at)
    for page in pages:
        await expect(slot(page, at)).to_be_disabled()
        await expect(slot(page, at + HOUR)).to_be_enabled()


async def test_repeated_half_hour_at_a_clock_change_shows_both_offsets(visit: Visit, new_expert: NewExpert) -> None:
    # Whichever zone sets its clocks back next, so that the change lies within the horizon of a year.
    day, zone = min(
        (next_fold("Europe/Berlin", month=10, hour=2), "Europe/Berlin"),
        (next_fold("Australia/Sydney", month=4, hour=2), "Australia/Sydney"),
    )
    first = datetime(day.year, day.month, day.day, 2, 30, tzinfo=ZoneInfo(zone)).astimezone(UTC)
    owl = await new_expert(time_zone=zone, hours=(60, 300), minutes=30, step_minutes=30, horizon_days=366)
    page = await visit(f"{owl.page}?from={day}", zone=zone)
    await expect(slot(page, first)).to_be_enabled()
    await expect(slot(page, first + HOUR)).to_be_enabled()
    texts = [await slot(page, at).inner_text() for at in (first, first + HOUR)]
    assert all(text.startswith("02:30 (UTC+") for text in texts)
    assert texts[0] != texts[1]
    await expect(slot(page, first + 2 * HOUR)).to_have_text("03:30")


def next_fold(zone: str, *, month: int, hour: int) -> date:
    """Return the next date, at least three days ahead, on which this hour occurs twice in a zone."""
    day = datetime.now(UTC).date() + timedelta(days=3)
    while True:
        half_past = datetime(day.year, day.month, day.day, hour, 30, tzinfo=ZoneInfo(zone))
        if half_past.utcoffset() != half_past.replace(fold=1).utcoffset() and day.month == month:
            return day
        day += timedelta(days=1)
