"""The console's list of bookings, and its statistics."""

import re
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from expert_booking.schemas import Caller, Role
from expert_booking.services import Services
from tests.browser.conftest import Expert, NewExpert, Visit
from tests.browser.pages import HOUR, Connection, in_days, wait_until_connected
from tests.browser.test_accessibility import AUDIT, CONTRAST
from tests.browser.test_console import set_address
from tests.browser.test_sign_in import sign_in
from tests.conftest import Book

ADMIN = Caller(role=Role.ADMIN)
NAMES = ("Zoë Müller", "Ada Lovelace", "Grace Hopper")


@pytest.fixture
async def host(visit: Visit, sql: Connection, jana: Expert, book: Book) -> Page:
    """A browser in which Jana has signed in. She has three bookings, an hour apart."""
    for number, name in enumerate(NAMES):
        await book(jana.id, in_days(5, 10 + number), name=name, email=f"{number}.{jana.slug}@example.com")
    email = f"{jana.slug}@example.com"
    set_address(sql, jana.id, email)
    page = await visit("/")
    await sign_in(page, sql, email, "/console/bookings")
    await wait_until_connected(page)
    return page


async def expect_customers(page: Page, *names: str) -> None:
    """Wait until the table shows these customers, in this order."""
    await expect(page.locator("[data-booking] .who")).to_have_text([re.compile(f"^{name}") for name in names])


async def expect_accessible(page: Page) -> None:
    """Expect names, landmarks and contrast in order, in both themes, and no scrolling sideways at 390 px."""
    assert await page.evaluate(AUDIT) == []
    await page.emulate_media(reduced_motion="reduce")
    for theme in ("dark", "light"):
        await page.evaluate(f"document.documentElement.dataset.theme = '{theme}'")
        await expect(page.locator(f"body.body--{theme}")).to_be_attached()
        assert (await page.evaluate(CONTRAST))["weak"] == []
    before = page.viewport_size
    await page.set_viewport_size({"width": 390, "height": 800})
    await page.wait_for_function("document.documentElement.scrollWidth <= 390")
    if before is not None:
        await page.set_viewport_size(before)


async def test_a_host_searches_filters_sorts_and_goes_back(host: Page, jana: Expert, tmp_path: Path) -> None:
    await expect(host.locator("[data-console=bookings]")).to_be_visible()
    await expect_customers(host, *reversed(NAMES))
    await expect_accessible(host)
    await host.get_by_role("link", name="When").click()
    await expect(host).to_have_url("/console/bookings?sort=-start")
    await host.get_by_role("link", name="When").click()
    await expect_customers(host, *NAMES)
    await host.get_by_label("Name, email, phone or booking id").fill("muller")
    await expect_customers(host, "Zoë Müller")
    await expect(host).to_have_url("/console/bookings?search=muller&sort=start")
    await host.reload()
    await expect_customers(host, "Zoë Müller")
    await expect(host.get_by_label("Name, email, phone or booking id")).to_have_value("muller")
    async with host.expect_download() as started:
        await host.get_by_role("link", name="Export CSV").click()
    saved = tmp_path / "bookings.csv"
    await (await started.value).save_as(saved)
    lines = saved.read_text(encoding="utf-8-sig").splitlines()
    assert len(lines) == 2
    assert "Zoë Müller" in lines[1]
    await host.get_by_label("Name, email, phone or booking id").fill("nobody")
    await expect(host.locator("[data-empty]")).to_contain_text("No bookings match")
    await expect(host).to_have_url("/console/bookings?search=nobody&sort=start")
    await host.go_back()
    await expect(host).to_have_url("/console/bookings?search=muller&sort=start")
    await expect_customers(host, "Zoë Müller")
    await wait_until_connected(host)
    await host.get_by_label("From").fill("2027-01-02")
    await expect(host.locator("[data-empty]")).to_contain_text("No bookings match")
    await host.get_by_label("To").fill("2027-01-01")
    await expect(host.locator(".bookings-filters")).to_contain_text("The last day must not be before the first day.")
    await expect(host.get_by_label("To")).to_have_value("2027-01-01")
    await host.goto("/console/bookings?status=declined&from=nonsense")
    await expect(host.locator("[data-empty]")).to_contain_text("No bookings match")
    await host.get_by_role("link", name="Clear filters").click()
    await expect_customers(host, *reversed(NAMES))


async def test_several_bookings_are_confirmed_for_one_reason(
    host: Page, jana: Expert, sql: Connection, services: Services
) -> None:
    rows = host.locator("[data-booking]")
    await expect(rows).to_have_count(3)
    ids = [await rows.nth(number).get_attribute("data-booking") for number in range(3)]
    await host.get_by_label("Select all on this page").check()
    await expect(host.get_by_role("region", name="Selected bookings")).to_contain_text("3 selected")
    await host.get_by_role("button", name="Confirm").click()
    dialog = host.get_by_role("dialog")
    await expect(dialog).to_contain_text("Confirm these 3 bookings?")
    assert await host.evaluate(AUDIT) == []
    await dialog.get_by_label("Reason").fill("See you soon")
    # Meanwhile one of them is declined elsewhere.
    sql.execute("UPDATE booking SET status = 'declined', version = version + 1, changed_by = 'admin' WHERE id = %s",
                [ids[0]])  # fmt: skip
    await dialog.get_by_role("button", name="Confirm").click()
    await expect(host.get_by_role("status")).to_have_text("2 bookings confirmed")
    await expect(host.locator("[data-status=confirmed]")).to_have_count(2)
    refused = host.locator(".bookings-refused")
    await expect(refused).to_contain_text("1 not changed")
    await expect(refused).to_contain_text("Grace Hopper")
    await expect(refused).to_contain_text("A booking that is declined cannot become confirmed.")
    reasons = sql.execute("SELECT reason FROM booking_change WHERE expert_id = %s AND to_status = 'confirmed'",
                          [jana.id]).fetchall()  # fmt: skip
    assert reasons == [("See you soon",)] * 2
    # Confirmed ones can only be cancelled, and a declined one not even that.
    await host.locator(f"[data-booking='{ids[1]}'] input").check()
    await expect(host.get_by_role("region", name="Selected bookings").get_by_role("button")).to_have_text(
        ["Cancel", "Clear"]
    )
    await host.get_by_label("Select all on this page").check()
    await expect(host.get_by_role("button", name="Cancel 2")).to_be_visible()
    await host.get_by_role("link", name=re.compile("10:00")).click()
    await expect(host).to_have_url(re.compile("/booking/"))


async def test_new_bookings_appear_or_are_counted(host: Page, jana: Expert, book: Book) -> None:
    await expect_customers(host, *reversed(NAMES))
    await book(jana.id, in_days(4), name="Radia Perlman", email="r@example.com")
    await expect_customers(host, "Radia Perlman", *reversed(NAMES))
    await expect(host.locator("[data-is-new]")).to_have_count(1)
    await host.get_by_role("link", name="When").click()
    await expect_customers(host, *reversed(NAMES), "Radia Perlman")
    await host.goto("/console/bookings?search=grace&sort=start")
    await wait_until_connected(host)
    await expect_customers(host, "Grace Hopper")
    await book(jana.id, in_days(4) + HOUR, name="Grace Kelly", email="k@example.com")
    await expect_customers(host, "Grace Kelly", "Grace Hopper")


async def test_pages_of_many_bookings(host: Page, jana: Expert, sql: Connection) -> None:
    sql.execute(
        "INSERT INTO booking (expert_id, session_type_id, starts_at, ends_at, busy, status, name, email, customer_key,"
        " created_at) SELECT expert_id, session_type_id, t, t + interval '1 h', tstzrange(t, t + interval '1 h'), "
        "'cancelled', 'Guest ' || n, 'g@example.com', 'g@example.com', now() - interval '1 h' FROM booking,"
        " LATERAL (SELECT n, starts_at - n * interval '1 day' AS t FROM generate_series(1, 60) n) made"
        " WHERE expert_id = %s AND name = 'Zoë Müller'", [jana.id],
    )  # fmt: skip
    await host.goto("/console/bookings?status=cancelled&sort=-start")
    rows, pages = host.locator("[data-booking] .who"), host.get_by_role("navigation", name="Pages")
    await expect(rows).to_have_count(25)
    await expect(rows.first).to_have_text("Guest 1")
    await wait_until_connected(host)
    await pages.get_by_role("link", name="Next").click()
    await expect(rows.first).to_have_text("Guest 26")
    await expect(host).to_have_url(re.compile("after="))
    await host.reload()
    await expect(rows.first).to_have_text("Guest 26")
    await wait_until_connected(host)
    await pages.get_by_role("link", name="Next").click()
    await expect(rows).to_have_count(10)
    await expect(pages.get_by_role("link")).to_have_text(["Previous"])
    await pages.get_by_role("link", name="Previous").click()
    await expect(rows.first).to_have_text("Guest 26")
    await host.go_back()
    await expect(rows.first).to_have_text("Guest 51")


async def test_statistics_are_charts_and_tables(host: Page, jana: Expert) -> None:
    await host.get_by_role("link", name="Statistics").click()
    await expect(host.locator("[data-console=statistics]")).to_be_visible()
    await wait_until_connected(host)
    first, last = in_days(5).date(), in_days(5).date()
    await host.get_by_label("From").fill(str(first))
    await host.get_by_label("To").fill(str(last))
    await host.get_by_role("button", name="Show").click()
    await expect(host).to_have_url(f"/console/statistics?from={first}&to={last}")
    await expect(host.locator(".statistics-tiles")).to_contain_text("3 h of 8 h")
    charts = host.get_by_role("img", name=re.compile("The table has the same numbers"))
    await expect(charts).to_have_count(4)
    await expect(charts.first.locator("svg")).to_be_visible()
    for summary in await host.get_by_text("Show as table").all():
        await summary.click()
    started = host.get_by_role("table", name="When sessions start")
    await expect(started.get_by_role("columnheader")).to_have_text(["Day", "10:00", "11:00", "12:00"])
    await expect_accessible(host)
    async with host.expect_download() as download:
        await host.get_by_role("link", name="Export CSV").click()
    assert (await download.value).suggested_filename == "statistics.csv"
    await host.goto(f"/console/statistics?from={last}&to=2020-01-01")
    await expect(host.get_by_label("To")).to_have_value("2020-01-01")
    await expect(host.locator(".statistics-period")).to_contain_text("The last day must not be before the first day.")


async def test_files_are_for_the_host_who_has_signed_in(visit: Visit, host: Page, new_expert: NewExpert) -> None:
    other = await new_expert()
    for name in ("bookings", "statistics"):
        stranger = await visit(f"/console/{name}.csv")
        await expect(stranger).to_have_url(f"/sign-in?next=/console/{name}")
        own = await host.request.get(f"/console/{name}.csv?expert={other.slug}")
        assert own.status == 200
        assert own.headers["content-type"].startswith("text/csv")
        assert ("Ada Lovelace" if name == "bookings" else "total") in await own.text()
        assert (await host.request.head(f"/console/{name}.csv")).status == 200
        assert (await host.request.get(f"/console/{name}.csv?from=nonsense")).status == 422
