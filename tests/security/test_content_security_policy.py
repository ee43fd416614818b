"""A page runs only the scripts of this server and those with the response's nonce."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from playwright.async_api import Page

from tests.browser.pages import book_on_page, in_days, wait_until_connected
from tests.conftest import AddExpert
from tests.security.browsing import chromium
from tests.server import ServerProcess

Serve = Callable[..., ServerProcess]
# Each element tries to set `window.hacked`, as injected HTML would.
INJECTED = """() => {
  const inline = document.createElement("script");
  inline.textContent = "window.hacked = 'inline'";
  const data = document.createElement("script");
  data.src = "data:text/javascript,window.hacked='data'";
  const foreign = document.createElement("script");
  foreign.src = "http://127.0.0.2:9/offer.js";
  const handler = document.createElement("img");
  handler.setAttribute("onerror", "window.hacked = 'handler'");
  handler.src = "data:,";
  document.body.append(inline, data, foreign, handler);
}"""
REPORT = """addEventListener("securitypolicyviolation", (event) =>
  (window.violations ??= []).push(event.effectiveDirective + " " + event.blockedURI))"""


def policy(answer: httpx.Response) -> dict[str, str]:
    """Return the response's policy by directive."""
    directives = answer.headers["content-security-policy"].split("; ")
    return {name: value for name, _, value in (directive.partition(" ") for directive in directives)}


async def test_every_response_has_a_policy_and_inline_scripts_need_its_nonce(
    serve: Serve, add_expert: AddExpert
) -> None:
    slug = "jana"
    await add_expert(slug=slug)
    server = serve()
    at = datetime.now(UTC) + timedelta(days=3)
    pages = ("/", f"/expert/{slug}", f"/book/{slug}?at={at:%Y-%m-%dT10:00:00Z}", "/my-bookings", "/sign-in", "/nothing")
    nonces = set()
    async with httpx.AsyncClient(base_url=server.url, headers={"Accept": "text/html"}, timeout=60) as client:
        for path in pages:
            answer = await client.get(path)
            allowed = policy(answer)
            found = re.fullmatch(r"'self' 'unsafe-eval' 'nonce-([\w-]{20,})'", allowed["script-src"])
            assert found, path
            nonces.add(found[1])
            for directive in ("base-uri", "form-action", "frame-ancestors", "connect-src", "default-src"):
                assert allowed[directive] == "'self'", path
            assert allowed["object-src"] == "'none'", path
            scripts = re.findall(r"<script\b[^>]*>", answer.text)
            assert scripts, path
            # The product's own scripts are files; those of NiceGUI's page carry the nonce.
            assert all(f'nonce="{found[1]}"' in script or "src=" in script for script in scripts), scripts
        assert len(nonces) == len(pages)

        for path in ("/experts", "/healthz", "/experts/nobody", "/portrait/nobody.svg", "/openapi.json"):
            assert policy(await client.get(path, headers={"Accept": "*/*"}))["default-src"] == "'none'", path
        docs = policy(await client.get("/docs"))
        assert re.fullmatch(r"'self' 'sha256-[\w+/=]{44}'", docs["script-src"])


@pytest.mark.browser
async def test_no_page_violates_its_policy_and_injected_scripts_do_not_run(serve: Serve, add_expert: AddExpert) -> None:
    slug, at = "jana", in_days(3)
    await add_expert(slug=slug)
    server = serve()
    async with chromium() as browser:
        context = await browser.new_context(base_url=server.url, timezone_id="Europe/Berlin")
        await context.add_init_script(REPORT)
        field_errors: list[str] = []
        context.on("console", lambda said: field_errors.append(said.text) if said.type == "error" else None)
        page = await context.new_page()
        booking = await book_on_page(page, slug, at)
        visited = (
            "/",
            f"/expert/{slug}",
            f"/booking/{booking}",
            f"/booking/{booking}/reschedule",
            "/my-bookings",
            "/sign-in",
        )
        for path in visited:
            await page.goto(path)
            await wait_until_connected(page)
            assert not await violations(page), path
        assert not field_errors
        for path in (f"/expert/{slug}", "/nothing-here"):
            await page.goto(path)
            await wait_until_connected(page)
            await page.evaluate(INJECTED)
            await page.wait_for_function("window.violations?.length === 4")
            assert await page.evaluate("window.hacked") is None, path
        field_errors.clear()
        await page.goto("/docs")
        await page.locator(".opblock").first.wait_for(timeout=20_000)
        assert (await violations(page), field_errors) == ([], [])


async def violations(page: Page) -> list[str]:
    """Return what the policy has blocked on this page."""
    found: list[str] = await page.evaluate("window.violations ?? []")
    return found
