"""The demo as somebody tries it: book, read the mail, manage it elsewhere, calendars, "my bookings"; all of it live."""

import re
from datetime import datetime
from typing import Any

import httpx
from icalendar import Calendar
from playwright.async_api import FrameLocator, Page, expect

from tests.browser.conftest import Excuse, Visit
from tests.browser.pages import ADA, AT_ONCE, book_button, booking_id, connected, fill_in, holds, iso, slot
from tests.server import ServerProcess

GRACE = {**ADA, "name": "Grace Hopper", "email": "grace.whole.flow@example.com"}


async def newest_mail(mailbox: Page, kind: str, to: str = GRACE["email"]) -> FrameLocator:
    """Open the mail of this kind that comes to this address, and see it as it looks."""
    await mailbox.goto(f"/mailbox?to={to}")
    await mailbox.locator(f'.mail-card[data-kind="{kind}"] a').first.click()
    return mailbox.frame_locator("iframe")


async def manage_link(mailbox: Page, kind: str) -> str:
    """Where the button of that mail leads."""
    link = (await newest_mail(mailbox, kind)).get_by_role("link", name="Manage your booking")
    found = await link.get_attribute("href")
    assert found is not None
    return found


async def sequence_of(client: httpx.AsyncClient, feed: str) -> tuple[str, int, datetime]:
    """UID, SEQUENCE and start of the only entry in a feed."""
    [entry] = Calendar.from_ical((await client.get(feed)).content).walk("VEVENT")
    return str(entry["UID"]), int(entry["SEQUENCE"]), entry["DTSTART"].dt


async def open_slot(page: Page, after: int) -> str:
    """The start of a slot that is open, not among the first ones."""
    found = await page.locator('[data-slot][data-state="open"]').nth(after).get_attribute("data-slot")
    assert found is not None
    return found


async def test_somebody_tries_the_demo_from_booking_to_cancelling_and_every_open_page_follows(
    demo: ServerProcess, visit: Visit, excuse: Excuse
) -> None:
    excuse("404")  # what a stranger gets
    page, mailbox, elsewhere = [await visit("", at=demo.url) for _ in range(3)]
    await mailbox.goto(demo.mailbox)

    # Book.
    await page.goto("/")
    await page.locator("[data-expert] a").first.click()
    await page.wait_for_url("**/expert/*")
    board = page.url
    start = await open_slot(page, 3)
    await page.locator(f'[data-slot="{start}"]').click()
    await holds(page)
    await fill_in(page, **GRACE)
    await book_button(page).click()
    await page.wait_for_url("**/booking/*")
    number = await booking_id(page)
    await expect(page.get_by_text("A mail with all of this was sent to")).to_be_visible()

    # Read the mail, and open its link in another browser: there it is, and nobody without it finds anything.
    status = await page.locator("section[data-booking]").get_attribute("data-status")
    link = await manage_link(mailbox, "received" if status == "pending" else "confirmed")
    await elsewhere.goto(link)
    await expect(elsewhere.locator(f'[data-booking="{number}"]')).to_be_visible()
    stranger = await visit(f"/booking/{number}", at=demo.url)
    await expect(stranger.locator("[data-booking]")).to_have_count(0)
    assert GRACE["email"] not in await stranger.content()

    # "My bookings" by address, with the code of the mail.
    await stranger.close()
    mine = await visit("/my-bookings", at=demo.url)
    await mine.get_by_label("E-mail").fill(GRACE["email"])
    await mine.get_by_role("button", name="Send me a mail").click()
    await expect(mine.get_by_label("Code")).to_be_visible()
    said = await (await newest_mail(mailbox, "access_link")).locator("body").inner_text()
    code = re.search(r"\b(\d{3})\s?(\d{3})\b", said)
    assert code is not None
    await mine.get_by_label("Code").fill(f"{code[1]} {code[2]}")
    await mine.keyboard.press("Enter")
    card = mine.locator(f'li[data-booking="{number}"]')
    await expect(card).to_be_visible()

    # Add it to a calendar, and subscribe.
    async with elsewhere.expect_download() as downloading:
        await elsewhere.get_by_role("link", name="Calendar file").click()
    file = await (await downloading.value).path()
    [entry] = Calendar.from_ical(file.read_bytes()).walk("VEVENT")
    await mine.get_by_role("button", name="Subscribe").click()
    address = mine.get_by_label("Address of: My bookings")
    await expect(address).to_have_value(re.compile(r"/feeds/.+\.ics$"))
    feed = await address.input_value()
    async with httpx.AsyncClient(timeout=30) as client:
        first = await sequence_of(client, feed)
        assert first[0] == str(entry["UID"])
        assert iso(first[2]) == start

        # Move it where the mail was opened: all others follow without a reload.
        for open_page in (page, mine):
            await connected(open_page)
            await open_page.evaluate("window.here = true")
        await elsewhere.get_by_role("link", name="Move to another time").click()
        await elsewhere.wait_for_url("**/move*")
        await connected(elsewhere)
        later = await open_slot(elsewhere, 6)
        await elsewhere.locator(f'[data-slot="{later}"]').click()
        await elsewhere.get_by_role("button", name="Move it").click()
        await expect(page.locator("[role=status].news, #news")).to_contain_text("has been moved", timeout=2 * AT_ONCE)
        moved = await sequence_of(client, feed)
        assert (moved[0], moved[1], iso(moved[2])) == (first[0], first[1] + 1, later)
        await expect((await newest_mail(mailbox, "rescheduled")).get_by_text("Old time")).to_be_visible()

        # Cancel it there.
        await elsewhere.goto(link)
        await elsewhere.get_by_role("button", name="Cancel booking").click()
        await elsewhere.get_by_role("button", name=re.compile("^Yes")).click()
        await expect(page.locator("section[data-booking]")).to_have_attribute("data-status", "cancelled")
        await expect(card).to_have_attribute("data-status", "cancelled")
        for open_page in (page, mine):
            assert await open_page.evaluate("window.here"), "the page was loaded anew"
        assert Calendar.from_ical((await client.get(feed)).content).walk("VEVENT") == []
        await newest_mail(mailbox, "cancelled")
        async with mailbox.expect_download() as downloading:
            await mailbox.get_by_role("link", name="Download the calendar file").click()
        gone: Any = Calendar.from_ical((await (await downloading.value).path()).read_bytes())
        assert (str(gone["METHOD"]), str(gone.walk("VEVENT")[0]["STATUS"])) == ("CANCEL", "CANCELLED")
        assert str(gone.walk("VEVENT")[0]["UID"]) == first[0]
    await page.goto(board)
    await expect(slot(page, datetime.fromisoformat(later))).to_have_attribute("data-state", "open")
