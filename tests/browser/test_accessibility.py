"""Accessibility: keyboard, screen reader, contrast, and narrow phones."""

import re
from typing import Any
from uuid import UUID

import pytest
from playwright.async_api import Page, expect

from expert_booking.domain.signed_keys import SignedKeys
from expert_booking.schemas import SessionTypeRequest
from tests.browser.conftest import Excuse, Expert, NewExpert, Visit
from tests.browser.pages import (
    Connection,
    book_button,
    book_on_page,
    in_days,
    insert_booking,
    iso,
    slot,
    wait_until_connected,
)
from tests.server import SECRET_KEY

LONG_NAME = "Prof. Dr. Wilhelmine-Henriette Schmidt-Rottenburg-Lichtenstein von und zu Donaudampfschifffahrtsstein"

KEYS = SignedKeys(SECRET_KEY)
WITHOUT_SCRIPT = ("/not-booked/", "/reminders/")

# Returns the problems of a page as text; an empty list if there are none.
AUDIT = r"""
() => {
  const wrong = [];
  const visible = (e) => e.checkVisibility() && !e.closest('[aria-hidden="true"]');
  const all = (selector) => [...document.querySelectorAll(selector)].filter(visible);
  const text = (id) => document.getElementById(id)?.textContent.trim();
  const name = (e) =>
    (e.getAttribute("aria-labelledby") ?? "").split(/\s+/).map(text).filter(Boolean).join(" ") ||
    e.getAttribute("aria-label") || [...(e.labels ?? [])].map((l) => l.textContent.trim()).join(" ") ||
    (e.matches("input,select,textarea") ? "" : e.textContent.trim());
  const show = (e) => e.outerHTML.slice(0, 120);
  if (!/^en\b/.test(document.documentElement.lang)) wrong.push("the page does not say its language");
  if (!/\S/.test(document.title)) wrong.push("no title");
  if (all("h1").length !== 1) wrong.push(all("h1").length + " h1");
  if (all("main, [role=main]").length !== 1) wrong.push(all("main, [role=main]").length + " main landmarks");
  let level = 0;
  for (const heading of all("h1,h2,h3,h4")) {
    if (+heading.tagName[1] > level + 1) wrong.push("a heading is left out before " + show(heading));
    level = +heading.tagName[1];
  }
  for (const e of all("a[href],button,input,select,textarea")) if (!name(e)) wrong.push("no name: " + show(e));
  for (const e of document.querySelectorAll("img")) if (!e.hasAttribute("alt")) wrong.push("no alt: " + show(e));
  for (const e of all("svg")) if (!e.closest("[aria-label],[aria-hidden]")) wrong.push("no words for: " + show(e));
  const ids = [...document.querySelectorAll("[id]")].map((e) => e.id);
  for (const id of new Set(ids)) if (ids.indexOf(id) !== ids.lastIndexOf(id)) wrong.push("twice the id " + id);
  for (const attribute of ["aria-labelledby", "aria-describedby", "for"])
    for (const e of all(`[${attribute}]`))
      for (const id of e.getAttribute(attribute).split(/\s+/))
        if (!document.getElementById(id)) wrong.push("nothing has the id " + id);
  for (const e of all("ul > :not(li), ol > :not(li)")) wrong.push("no li: " + show(e));
  return wrong;
}
"""
# Returns texts with too little contrast to their background, as "ratio text".
CONTRAST = r"""
() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = (top, below) => top.slice(0, 3).map((c, i) => c * top[3] + below[i] * (1 - top[3]));
  const behind = (e) => {
    if (!e) return [255, 255, 255];
    const colour = rgba(getComputedStyle(e).backgroundColor);
    return colour[3] === 1 ? colour.slice(0, 3) : over(colour, behind(e.parentElement));
  };
  const light = (colour) => {
    const [r, g, b] = colour.map((c) => ((c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const weak = [];
  let looked = 0;
  for (const e of document.body.querySelectorAll("*")) {
    const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    const field = e.matches("input,textarea,select");
    const elsewhere = e.closest("[disabled],[aria-disabled=true],.sr-only,option,script,style");
    if (!(own || field) || !e.checkVisibility() || elsewhere) continue;
    looked++;
    const ground = behind(e);
    const style = getComputedStyle(e);
    for (const colour of [style.color, ...(field ? [getComputedStyle(e, "::placeholder").color] : [])]) {
      const [a, b] = [light(over(rgba(colour), ground)), light(ground)].sort((x, y) => y - x);
      const ratio = (a + 0.05) / (b + 0.05);
      const text = (e.textContent.trim() || e.placeholder || "").slice(0, 60);
      if (ratio < 4.5) weak.push(ratio.toFixed(2) + " " + e.tagName + " " + text);
    }
  }
  return { weak, looked };
}
"""


@pytest.fixture
async def all_pages(visit: Visit, new_expert: NewExpert, sql: Connection, excuse: Excuse) -> dict[str, Any]:
    """A browser with a booking, and a URL of every kind of page, each with the long name."""
    excuse("status of 404")
    at = in_days(3)
    expert = await new_expert(
        name=LONG_NAME, headline="Calm help", bio="Many words.\n\nAnd more.", rating=4.7, rating_count=1234
    )
    page = await visit()
    number = await book_on_page(page, expert.slug, at, name=LONG_NAME, notes=60 * "long" + " notes")
    insert_booking(sql, expert.id, in_days(4))
    kinds = [
        SessionTypeRequest(title=LONG_NAME, description=30 * "Many words. " + 60 * "long", minutes=45),
        SessionTypeRequest(title="Deep dive", minutes=90),
    ]
    several = await new_expert(session_types=kinds)
    return {
        "page": page,
        "addresses": ["/", f"/?search={expert.slug}x", expert.page, several.page, f"{several.page}?session=none",
                      f"/book/{several.slug}?at={iso(at)}", f"/book/{several.slug}?at={iso(at)}&session=none",
                      f"/book/{expert.slug}?at={iso(in_days(5))}",
                      f"/book/{expert.slug}?at={iso(at)}", f"/booking/{number}", f"/booking/{number}/reschedule",
                      "/my-bookings", "/nothing/here", f"/book/{expert.slug}", "/privacy", "/my-bookings/deleted",
                      f"/not-booked/{KEYS.not_booked(UUID(number), 1)}", f"/reminders/{KEYS.reminders(UUID(number))}",
                      "/not-booked/unknown"],
        "form": f"/book/{expert.slug}?at={iso(in_days(5))}",
    }  # fmt: skip


async def open_page(page: Page, address: str) -> None:
    """Go to a URL and wait until the page is complete."""
    await page.goto(address)
    if not address.startswith(WITHOUT_SCRIPT):
        await wait_until_connected(page)
    await expect(page.locator(".bone")).to_have_count(0)


async def test_pages_have_names_headings_and_landmarks_for_screen_readers(all_pages: dict[str, Any]) -> None:
    page: Page = all_pages["page"]
    wrong = {}
    for address in all_pages["addresses"]:
        await open_page(page, address)
        wrong[address] = await page.evaluate(AUDIT)
    await open_page(page, all_pages["form"])
    await book_button(page).click()
    await expect(page.locator(".error")).to_have_count(3)
    wrong["the form with errors"] = await page.evaluate(AUDIT)
    assert {address: found for address, found in wrong.items() if found} == {}


async def test_text_has_enough_contrast_in_light_and_dark_mode(all_pages: dict[str, Any]) -> None:
    page: Page = all_pages["page"]
    weak = {}

    async def check_contrast(place: str) -> None:
        for theme in ("light", "dark"):
            await page.emulate_media(color_scheme=theme, reduced_motion="reduce")
            await expect(page.locator("html")).to_have_attribute("data-theme", theme)
            found = await page.evaluate(CONTRAST)
            assert found["looked"] > 5
            weak[place, theme] = found["weak"]

    for address in all_pages["addresses"]:
        await open_page(page, address)
        await check_contrast(address)
    await open_page(page, all_pages["form"])
    await book_button(page).click()
    await expect(page.locator(".error")).to_have_count(3)
    await check_contrast("the form with errors")
    assert {place: found for place, found in weak.items() if found} == {}


async def test_pages_do_not_scroll_sideways_on_a_narrow_phone(all_pages: dict[str, Any]) -> None:
    page: Page = all_pages["page"]
    for address in all_pages["addresses"]:
        await open_page(page, address)
        for width in (390, 320):
            await page.set_viewport_size({"width": width, "height": 844})
            assert await page.evaluate("document.documentElement.scrollWidth") <= width, (address, width)
            outside = await page.evaluate(
                "[...document.querySelectorAll('#main *')].filter((e) => e.checkVisibility() && !e.closest('.sr-only')"
                " && e.getBoundingClientRect().right > innerWidth + 1).map((e) => e.outerHTML.slice(0, 100))"
            )
            assert outside == [], (address, width)


async def test_slot_buttons_are_named_by_date_time_zone_and_state(visit: Visit, jana: Expert, sql: Connection) -> None:
    insert_booking(sql, jana.id, in_days(4))
    page = await visit(jana.page)
    for at, state in ((in_days(3), "free"), (in_days(4), "booked")):
        day = f"{at:%A}, {at.day} {at:%B %Y}"
        name = re.compile(rf"^10:00, {day}, Europe/Berlin \(UTC\+\d\), {state}$")
        await expect(slot(page, at)).to_have_accessible_name(name)
        await expect(slot(page, at)).to_have_role("button")


async def test_changes_on_the_board_are_announced_to_screen_readers(
    visit: Visit, jana: Expert, sql: Connection
) -> None:
    at = in_days(3)
    page = await visit(jana.page)
    await expect(slot(page, at)).to_be_enabled()
    await wait_until_connected(page)
    spoken = page.locator("[aria-live=polite]")
    await expect(spoken).to_have_text("")
    insert_booking(sql, jana.id, at)
    await expect(spoken).to_have_text(f"{at:%A}, {at.day} {at:%B %Y}, 10:00 is now booked.")


async def test_booking_is_possible_with_the_keyboard_alone(visit: Visit, jana: Expert) -> None:
    page = await visit(jana.page)
    at = in_days(3)
    await expect(slot(page, at)).to_be_enabled()
    press = page.keyboard.press
    await press("Tab")
    skip = page.get_by_role("link", name="Skip to content")
    await expect(skip).to_be_focused()
    await expect(skip).to_be_in_viewport()
    await press("Enter")
    await expect(page.locator("#main")).to_be_focused()
    for _ in range(60):
        await press("Tab")
        here = await page.evaluate("document.activeElement.dataset.slot")
        assert await page.evaluate(
            "(({ outlineStyle, outlineWidth }) => outlineStyle !== 'none' && outlineWidth !== '0px')"
            "(getComputedStyle(document.activeElement))"
        ), await page.evaluate("document.activeElement.outerHTML")
        if here == iso(at):
            break
    await expect(slot(page, at)).to_be_focused()
    await press("Enter")
    await page.wait_for_url("**/book/**")
    await wait_until_connected(page)
    for _ in range(30):
        await press("Tab")
        if await page.evaluate("document.activeElement.id") == "name":
            break
    await page.keyboard.type("Ada Lovelace")
    await press("Tab")
    await page.keyboard.type("ada@nowhere")
    await press("Tab")
    await page.keyboard.type("+44 20 7946 0000")
    await press("Enter")
    await expect(page.get_by_label("Email", exact=True)).to_be_focused()
    await press("ControlOrMeta+A")
    await page.keyboard.type("ada@example.com")
    await press("Enter")
    await page.wait_for_url("**/booking/*")
    await expect(page.locator("section[data-booking]")).to_contain_text("10:00–11:00")


async def test_listing_can_be_used_with_the_keyboard_alone(visit: Visit, jana: Expert) -> None:
    page = await visit("/")
    await wait_until_connected(page)
    for _ in range(12):
        await page.keyboard.press("Tab")
        if await page.evaluate("document.activeElement.id") == "search":
            break
    await page.keyboard.type(jana.name)
    await expect(page.locator("[data-expert]")).to_have_count(1)
    card = page.get_by_role("link", name=jana.name)
    for _ in range(12):
        await page.keyboard.press("Tab")
        if await card.evaluate("(link) => link === document.activeElement"):
            break
    await expect(card).to_be_focused()
    assert await page.locator("[data-expert]").evaluate("(card) => getComputedStyle(card).outlineStyle") != "none"
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", level=1)).to_have_text(jana.name)


async def test_chosen_color_scheme_is_remembered(visit: Visit) -> None:
    page = await visit("/my-bookings", color_scheme="dark")
    root = page.locator("html")
    await expect(root).to_have_attribute("data-theme", "dark")
    await page.get_by_role("button", name="Switch between light and dark").click()
    await expect(root).to_have_attribute("data-theme", "light")
    await page.goto("/")
    await expect(root).to_have_attribute("data-theme", "light")
