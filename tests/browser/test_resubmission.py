"""Each form carries an idempotency key: submitting it again, for whatever reason, makes one booking."""

import asyncio
from pathlib import Path

from playwright.async_api import expect

from tests.browser.conftest import Excuse, Expert, Restart, Visit
from tests.browser.pages import (
    ADA,
    Connection,
    book_button,
    booking_id,
    bookings_at,
    fill_in,
    in_days,
    iso,
    wait_until,
    wait_until_connected,
)
from tests.browser.test_reconnect import CONNECTION_LOST
from tests.lost_answers import lost_answers
from tests.server import ServerProcess


async def test_form_whose_response_was_lost_is_resubmitted_and_finds_its_booking(
    database_url: str, tmp_path: Path, restart: Restart, visit: Visit, jana: Expert, sql: Connection, excuse: Excuse
) -> None:
    excuse(CONNECTION_LOST)
    at, email = in_days(3), f"{jana.slug}@example.com"
    async with lost_answers(database_url, after=(email.encode(),)) as url:
        with ServerProcess(tmp_path, url) as doomed:
            await asyncio.to_thread(doomed.wait_until_alive)
            page = await visit(f"/book/{jana.slug}?at={iso(at)}", at=doomed.url)
            await wait_until_connected(page)
            await fill_in(page, **{**ADA, "email": email})
            await book_button(page).click()
            wanted = "SELECT FROM booking WHERE email = %s"
            await wait_until(lambda: sql.execute(wanted, [email]).fetchone() is not None, "the booking")
            # The booking is in the database, but neither the server nor the page has received the response.
            await expect(page.get_by_role("button", name="Sending …")).to_be_visible()
            doomed.kill()
    await page.wait_for_function("!window.socket.connected")
    await asyncio.to_thread(restart, doomed)
    await page.reload()
    await wait_until_connected(page)
    await book_button(page).click()
    await page.wait_for_url("**/booking/*")
    made = sql.execute("SELECT id::text FROM booking WHERE email = %s", [email]).fetchall()
    assert made == [(await booking_id(page),)]
    assert bookings_at(sql, jana.id, at) == 1
