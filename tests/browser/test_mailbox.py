"""The demo's mailbox: emails appear without a reload, look as they were sent, and are visible only on this machine."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.async_api import expect

from tests.browser.conftest import Excuse, Visit
from tests.server import ServerProcess

PAGE = {"Accept": "text/html"}


@pytest.fixture
async def api(demo: ServerProcess) -> AsyncIterator[httpx.AsyncClient]:
    """An HTTP client for the demo, with access to its mailbox."""
    async with httpx.AsyncClient(base_url=demo.url, timeout=60) as client:
        assert (await client.get(demo.mailbox, headers=PAGE)).status_code == 303
        yield client


async def book(api: httpx.AsyncClient, email: str, name: str = "Ada Lovelace") -> dict[str, Any]:
    """Book the first free time of any expert who asks for no confirmation of the address."""
    for expert in (await api.get("/experts", params={"sort": "soonest", "limit": 20})).json()["experts"]:
        [first, *_] = (await api.get(f"/experts/{expert['id']}")).json()["sessionTypes"]
        if first["emailVerification"] != "never":
            continue
        facts = {"expertId": expert["id"], "startsAt": expert["nextAvailable"], "phone": "+44 20 7946 0000"}
        answer = await api.post("/bookings", json={**facts, "name": name, "email": email})
        if answer.status_code == 201:
            made: dict[str, Any] = answer.json()
            return made
    raise AssertionError("no expert has a free time")


async def read(downloading: Any) -> bytes:
    """Return the contents of a download."""
    return await asyncio.to_thread(Path(await (await downloading.value).path()).read_bytes)


async def test_email_appears_when_sent_and_links_to_the_booking(
    demo: ServerProcess, api: httpx.AsyncClient, visit: Visit, excuse: Excuse
) -> None:
    excuse("404")  # where the link leads is tested with the booking page
    page = await visit(demo.mailbox, at=demo.url)
    await expect(page).to_have_url(f"{demo.url}/mailbox")
    await expect(page.get_by_role("link", name="Mailbox (demo)")).to_be_visible()
    await expect(page.get_by_text("Demo: emails that would have been sent.")).to_be_visible()
    made = await book(api, "live@example.com")
    card = page.locator(".mail-card", has_text="live@example.com")
    await expect(card).to_have_count(1)
    await expect(card).to_have_attribute("data-kind", "confirmed" if made["status"] == "confirmed" else "received")

    await page.get_by_label("Recipient").fill("LIVE@")
    await page.keyboard.press("Enter")
    await expect(page.locator(".mail-card")).to_have_count(1)
    await page.locator(".mail-card a").focus()
    await page.keyboard.press("Enter")
    mail = page.frame_locator("iframe")
    async with page.context.expect_page() as opening:
        await mail.get_by_role("link").first.click()
    opened = await opening.value
    await expect(opened).to_have_url(re.compile(f"^{demo.url}/booking/"))
    await opened.close()

    async with page.expect_download() as downloading:
        await page.get_by_role("link", name="Download calendar file").click()
    assert (await read(downloading)).startswith(b"BEGIN:VCALENDAR")
    async with page.expect_download() as downloading:
        await page.get_by_role("link", name="Download email").click()
    assert b"Message-ID: <" in await read(downloading)
    await page.get_by_role("link", name="Plain text").click()
    await expect(page.locator("pre")).to_contain_text(made["expertName"])
    await page.get_by_role("link", name="Headers").click()
    await expect(page.locator("dt", has_text="Message-ID")).to_be_visible()


async def test_filter_without_emails_says_so_and_updates_live(
    demo: ServerProcess, api: httpx.AsyncClient, visit: Visit
) -> None:
    page = await visit(f"{demo.mailbox}&to=later@example.com", at=demo.url)
    await expect(page.get_by_role("heading", name="No emails to this address")).to_be_visible()
    await book(api, "later@example.com")
    await expect(page.locator(".mail-card")).to_have_count(1)


async def test_email_content_runs_no_script_and_loads_nothing(
    demo: ServerProcess, api: httpx.AsyncClient, visit: Visit
) -> None:
    await book(api, "script@example.com", name="<script>document.title = 'broken'</script><img src=x>")
    page = await visit(f"{demo.mailbox}&to=script@example.com", at=demo.url)
    await page.locator(".mail-card a").click()
    frame = page.locator("iframe")
    await expect(frame).to_have_attribute("sandbox", "allow-popups allow-popups-to-escape-sandbox")
    answer = await api.get(str(await frame.get_attribute("src")))
    rules = answer.headers["content-security-policy"]
    assert "default-src 'none'" in rules
    assert "sandbox allow-popups" in rules
    assert "allow-scripts" not in rules + str(await frame.get_attribute("sandbox"))
    assert "<base target=" in answer.text
    assert "<script" not in answer.text


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "localhost.evil.example"},
        {"Host": ""},
        {"X-Forwarded-For": "127.0.0.1"},
        {"X-Forwarded-For": "203.0.113.9"},
        {"Forwarded": "for=203.0.113.9"},
        {"Via": "1.1 proxy"},
    ],
)
@pytest.mark.parametrize("path", ["/mailbox", "/mailbox/1", "/mailbox/1/content", "/mailbox/1/mail.eml"])
async def test_mailbox_is_not_found_from_other_machines(
    demo: ServerProcess, api: httpx.AsyncClient, headers: dict[str, str], path: str
) -> None:
    here = await api.get("/nowhere", headers={**PAGE, **headers})
    answer = await api.get(path, headers={**PAGE, **headers})
    assert (answer.status_code, here.status_code) == (404, 404)
    assert "Page not found" in answer.text
    assert 'href="/mailbox"' not in answer.text


@pytest.mark.parametrize(
    "path", ["/mailbox/x", "/mailbox/0", "/mailbox/99999999999999999999", "/mailbox/0/content", "/mailbox/x/mail.eml"]
)
async def test_unknown_emails_are_not_found(api: httpx.AsyncClient, path: str) -> None:
    assert (await api.get(path, headers=PAGE)).status_code == 404


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
async def test_mailbox_is_reachable_under_every_local_host_name(api: httpx.AsyncClient, host: str) -> None:
    # httpx keeps the cookies for `localhost`, whatever the header is.
    answer = await api.get("/mailbox", headers={**PAGE, "Host": f"{host}:8080"})
    assert answer.status_code == 200
    assert "Mailbox (demo)" in answer.text


async def test_no_mailbox_with_an_external_database(serve: Callable[..., ServerProcess]) -> None:
    server = serve()
    async with httpx.AsyncClient(base_url=server.url, timeout=60, headers=PAGE) as client:
        assert (await client.get("/mailbox")).status_code == 404
        assert "/mailbox" not in (await client.get("/")).text
    assert "No emails are sent: set EXPERT_BOOKING_SMTP_URL." in server.log_text()
