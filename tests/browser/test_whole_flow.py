"""The demo as a new user tries it: book, read the email, manage the booking elsewhere, subscribe; all of it live."""

import re
from datetime import datetime
from typing import Any

import httpx
from icalendar import Calendar
from playwright.async_api import FrameLocator, Page, expect

from tests.browser.conftest import Excuse, Visit
from tests.browser.pages import (
    ADA,
    LIVE_UPDATE_MS,
    book_button,
    booking_id,
    expect_held,
    fill_in,
    iso,
    slot,
    wait_until_connected,
)
from tests.server import ServerProcess

GRACE = {**ADA, "name": "Grace Hopper", "email": "grace.whole.flow@example.com"}


async def newest_mail(mailbox: Page, kind: str, to: str = GRACE["email"]) -> FrameLocator:
    """Open the newest email of this kind to this address and return its rendered content."""
    await mailbox.goto(f"/mailbox?to={to}")
    await mailbox.locator(f'.mail-card[data-kind="{kind}"] a').first.click()
    return mailbox.frame_locator("iframe")


async def manage_link(mailbox: Page, kind: str) -> str:
    """Return the link behind the email's button."""
    link = (await newest_mail(mailbox, kind)).get_by_role("link", name="Manage your booking")
    found = await link.get_attribute("href")
    assert found is not None
    return found


async def sequence_of(client: httpx.AsyncClient, feed: str) -> tuple[str, int, datetime]:
    """Return UID, SEQUENCE and start of the only entry in a feed."""
    [entry] = Calendar.from_ical((await client.get(feed)).content).walk("VEVENT")
    return str(entry["UID"]), int(entry["SEQUENCE"]), entry["DTSTART"].dt


async def open_slot(page: Page, after: int) -> str:
    """Return the start of an open slot, skipping the first ones."""
    found = await page.locator('[data-slot][data-state="open"]').nth(after).get_attribute("data-slot")
    assert found is not None
    return found


async def test_demo_from_booking_to_cancelling_updates_every_open_page(
    demo: ServerProcess, visit: Visit, excuse: Excuse
) -> None:
    excuse("404")  # the response to a stranger
    page, mailbox, elsewhere = [await visit("", at=demo.url) for _ in range(3)]
    await mailbox.goto(demo.mailbox)

    # Book.
    await page.goto("/")
    await page.locator("[data-expert] a").first.click()
    await page.wait_for_url("**/expert/*")
    board = page.url
    start = await open_slot(page, 3)
    await page.locator(f'[data-slot="{start}"]').click()
    await expect_held(page)
    await fill_in(page, **GRACE)
    await book_button(page).click()
    await page.wait_for_url("**/booking/*")
    number = await booking_id(page)
    await expect(page.get_by_text("We've sent a confirmation to")).to_be_visible()

    # Read the email and open its link in another browser. Without the link, the booking is not shown.
    status = await page.locator("section[data-booking]").get_attribute("data-status")
    link = await manage_link(mailbox, "received" if status == "pending" else "confirmed")
    await elsewhere.goto(link)
    await expect(elsewhere.locator(f'[data-booking="{number}"]')).to_be_visible()
    stranger = await visit(f"/booking/{number}", at=demo.url)
    await expect(stranger.locator("[data-booking]")).to_have_count(0)
    assert GRACE["email"] not in await stranger.content()

    # "My bookings" by address, with the code from the email.
    await stranger.close()
    mine = await visit("/my-bookings", at=demo.url)
    await mine.get_by_label("Email", exact=True).fill(GRACE["email"])
    await mine.get_by_role("button", name="Email me a link").click()
    await expect(mine.get_by_label("Code")).to_be_visible()
    email_text = await (await newest_mail(mailbox, "access_link")).locator("body").inner_text()
    code = re.search(r"\b(\d{3})\s?(\d{3})\b", email_text)
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

        # Reschedule it where the email was opened; all other pages update without a reload.
        for open_page in (page, mine):
            await wait_until_connected(open_page)
            await open_page.evaluate("window.here = true")
        await elsewhere.get_by_role("link", name="Reschedule").click()
        await elsewhere.wait_for_url("**/reschedule*")
        await wait_until_connected(elsewhere)
        later = await open_slot(elsewhere, 6)
        await elsewhere.locator(f'[data-slot="{later}"]').click()
        await elsewhere.get_by_role("button", name="Reschedule").click()
        await expect(page.locator("[role=status].news, #news")).to_contain_text(
            "has been rescheduled", timeout=2 * LIVE_UPDATE_MS
        )
        rescheduled = await sequence_of(client, feed)
        assert (rescheduled[0], rescheduled[1], iso(rescheduled[2])) == (first[0], first[1] + 1, later)
        await expect((await newest_mail(mailbox, "rescheduled")).get_by_text("Old time")).to_be_visible()

        # Cancel it there.
        await elsewhere.goto(link)
        await elsewhere.get_by_role("button", name="Cancel booking").click()
        await elsewhere.get_by_role("button", name=re.compile("^Yes")).click()
        await expect(page.locator("section[data-booking]")).to_have_attribute("data-status", "cancelled")
        await expect(card).to_have_attribute("data-status", "cancelled")
        for open_page in (page, mine):
            assert await open_page.evaluate("window.here"), "the page was reloaded"
        assert Calendar.from_ical((await client.get(feed)).content).walk("VEVENT") == []
        await newest_mail(mailbox, "cancelled")
        async with mailbox.expect_download() as downloading:
            await mailbox.get_by_role("link", name="Download calendar file").click()
        cancellation: Any = Calendar.from_ical((await (await downloading.value).path()).read_bytes())
        assert (str(cancellation["METHOD"]), str(cancellation.walk("VEVENT")[0]["STATUS"])) == ("CANCEL", "CANCELLED")
        assert str(cancellation.walk("VEVENT")[0]["UID"]) == first[0]
    await page.goto(board)
    await expect(slot(page, datetime.fromisoformat(later))).to_have_attribute("data-state", "open")
