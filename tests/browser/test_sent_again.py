"""The form carries a key of its own: what is sent again, by whatever accident, is one booking."""

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
    connected,
    fill_in,
    in_days,
    iso,
    until,
)
from tests.browser.test_reconnect import CONNECTION_LOST
from tests.lost_answers import lost_answers
from tests.server import ServerProcess


async def test_a_form_whose_answer_was_lost_with_its_server_is_sent_again_and_finds_its_booking(
    database_url: str, tmp_path: Path, restart: Restart, visit: Visit, jana: Expert, sql: Connection, excuse: Excuse
) -> None:
    excuse(CONNECTION_LOST)
    at, email = in_days(3), f"{jana.slug}@example.com"
    async with lost_answers(database_url, after=(email.encode(),)) as url:
        with ServerProcess(tmp_path, url) as doomed:
            await asyncio.to_thread(doomed.wait_until_alive)
            page = await visit(f"/book/{jana.slug}?at={iso(at)}", at=doomed.url)
            await connected(page)
            await fill_in(page, **{**ADA, "email": email})
            await book_button(page).click()
            wanted = "SELECT FROM booking WHERE email = %s"
            await until(lambda: sql.execute(wanted, [email]).fetchone() is not None, "the booking")
            # It is in the database, which the server has not heard yet, and the page neither.
            await expect(page.get_by_role("button", name="Sending …")).to_be_visible()
            doomed.kill()
    await page.wait_for_function("!window.socket.connected")
    await asyncio.to_thread(restart, doomed)
    await page.reload()
    await connected(page)
    await book_button(page).click()
    await page.wait_for_url("**/booking/*")
    made = sql.execute("SELECT id::text FROM booking WHERE email = %s", [email]).fetchall()
    assert made == [(await booking_id(page),)]
    assert bookings_at(sql, jana.id, at) == 1
