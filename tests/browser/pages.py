"""Locators and actions shared by the browser tests."""

import asyncio
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import psycopg
from playwright.async_api import Locator, Page, expect

from expert_booking.domain.calendar import local_instant

Connection = psycopg.Connection[tuple[Any, ...]]

HOUR = timedelta(hours=1)
ADA = {"name": "Ada Lovelace", "email": "ada@example.com", "phone": "+44 20 7946 0000"}
LABELS = {"name": "Name", "email": "Email", "phone": "Phone", "notes": "Notes"}
# Every open page shows a change within this time, in milliseconds.
LIVE_UPDATE_MS = 1000


def in_days(days: int, hour: int = 10, zone: str = "Europe/Berlin") -> datetime:
    """Return this local hour, so many days ahead, in UTC."""
    there = ZoneInfo(zone)
    return local_instant(there, datetime.now(there).date() + timedelta(days=days), hour * 60)


def iso(instant: datetime) -> str:
    """Format an instant as slots and links do."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def slot(page: Page, at: datetime) -> Locator:
    """Return the button of one slot."""
    return page.locator(f'[data-slot="{iso(at)}"]')


async def expect_slot(page: Page, at: datetime, state: str, *, within: float | None = None) -> None:
    """Wait until a board shows this slot as open, held or booked. Only an open slot is enabled."""
    pressable = ":enabled" if state == "open" else ":disabled"
    found = page.locator(f'[data-slot="{iso(at)}"][data-state="{state}"]{pressable}')
    await found.wait_for(timeout=within)


async def wait_until_connected(page: Page) -> None:
    """Wait until the page receives events."""
    await page.wait_for_function("window.did_handshake && window.socket?.connected")


async def wait_for_live_slot(page: Page, at: datetime) -> None:
    """Wait until the page shows this slot as open and receives its events."""
    await expect_slot(page, at, "open")
    await wait_until_connected(page)


async def fill_in(page: Page, **typed: str) -> None:
    """Fill in fields of the form, by label."""
    for field, text in typed.items():
        await page.get_by_label(LABELS[field]).fill(text)


async def expect_form(page: Page, **typed: str) -> None:
    """Expect these values in the form."""
    for field, text in typed.items():
        await expect(page.get_by_label(LABELS[field])).to_have_value(text)


def book_button(page: Page) -> Locator:
    """Return the button that books, whether the booking is confirmed instantly or by the expert."""
    return page.get_by_role("button", name=re.compile("(book|request) this time$", re.IGNORECASE))


async def expect_held(page: Page, *, within: float | None = None) -> None:
    """Wait until the form shows that its time is held for the visitor."""
    await page.locator('[data-hold="held"]').wait_for(timeout=within)


async def book_on_page(page: Page, slug: str, at: datetime, **typed: str) -> str:
    """Book on the page, from the form to the booking's page. Returns the booking's id."""
    await page.goto(f"/book/{slug}?at={iso(at)}")
    await fill_in(page, **{**ADA, **typed})
    await book_button(page).click()
    await page.wait_for_url("**/booking/*")
    return await booking_id(page)


async def booking_id(page: Page) -> str:
    """Return the id of the booking that the page shows."""
    found = await page.locator("section[data-booking]").get_attribute("data-booking")
    assert found is not None
    return found


def insert_booking(sql: Connection, expert_id: UUID, at: datetime, *, status: str = "pending") -> UUID:
    """Insert a booking of an hour with plain SQL, bypassing the product. Holds in its way are expired first.

    A page that has just been opened may take its hold between the two statements, so they are retried.
    """
    at_this_time = {"expert": expert_id, "at": at, "end": at + HOUR, "status": status}
    sql.execute("SELECT")  # begins a transaction without autocommit; the block below is then a savepoint
    for tries_left in reversed(range(5)):
        try:
            with sql.transaction():
                return _insert_booking(sql, at_this_time)
        except psycopg.errors.ExclusionViolation:
            if not tries_left:
                raise
    raise AssertionError


def _insert_booking(sql: Connection, at_this_time: dict[str, Any]) -> UUID:
    sql.execute(
        "UPDATE booking SET status = 'expired', hold_origin = NULL, hold_keeper = NULL"
        " WHERE expert_id = %(expert)s AND status = 'held' AND busy && tstzrange(%(at)s, %(end)s)",
        at_this_time,
    )
    row = sql.execute(
        "INSERT INTO booking (expert_id, session_type_id, starts_at, ends_at, busy, status, name, email, customer_key,"
        " title, cancel_notice_minutes, reschedule_notice_minutes)"
        " SELECT %(expert)s, id, %(at)s, %(end)s, tstzrange(%(at)s, %(end)s), %(status)s, 'Bo', 'bo@example.com',"
        " 'bo@example.com', title, 0, 0 FROM session_type WHERE expert_id = %(expert)s RETURNING id",
        at_this_time,
    ).fetchone()
    assert row is not None
    return UUID(str(row[0]))


def bookings_at(sql: Connection, expert_id: UUID, at: datetime) -> int:
    """Count the live bookings that start at this time, holds excluded."""
    row = sql.execute(
        "SELECT count(*) FROM booking WHERE expert_id = %s AND starts_at = %s"
        " AND status NOT IN ('held', 'expired', 'cancelled', 'declined')",
        [expert_id, at],
    ).fetchone()
    assert row is not None
    return int(row[0])


def request_json(expert_id: UUID, at: datetime, **said: str) -> dict[str, str]:
    """Build the JSON body of a booking request."""
    return {"expertId": str(expert_id), "startsAt": iso(at), **ADA, "email": f"{uuid4().hex}@example.com", **said}


async def wait_until(check: Callable[[], Any], description: str, seconds: float = 20) -> None:
    """Wait for a condition that no page shows."""
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, f"waited {seconds} s for {description}"
        await asyncio.sleep(0.02)
