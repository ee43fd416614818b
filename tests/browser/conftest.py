"""One Chromium and one server process for the whole run; a new browser for each visitor, a new expert for each test.

The server uses the real clock, so tests choose slots some days ahead. An error in the console of a page fails the test,
unless the test has declared it with `excuse`.
"""

import asyncio
import os
import re
import shutil
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, WebError, async_playwright, expect

from expert_booking.db.engine import Database
from expert_booking.schemas import Role, TokenRequest
from expert_booking.services import Services
from tests.conftest import AddExpert, fresh_database
from tests.server import ServerProcess, WatchedServer, database_folder, free_port

# The first one is Chromium without the windows around its pages, which makes the tests twice as fast.
CHROMIUM = ("chromium-headless-shell", "/usr/bin/chromium", "chromium", "chromium-browser", "google-chrome")
QUIET = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]  # fmt: skip
BERLIN = "Europe/Berlin"
PATIENCE = 15_000  # milliseconds; both cores may be busy
_numbers = count(1)

expect.set_options(timeout=PATIENCE)


@dataclass(frozen=True)
class Expert:
    """An expert that only one test uses."""

    id: UUID
    slug: str
    name: str

    @property
    def page(self) -> str:
        """Path of the expert's page with the slot board."""
        return f"/expert/{self.slug}"


Visit = Callable[..., Awaitable[Page]]
NewExpert = Callable[..., Awaitable[Expert]]
Excuse = Callable[[str], None]
Restart = Callable[[ServerProcess], ServerProcess]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all tests in this folder as browser tests."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)


# --- the site --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def database_url(server_url: str, template: str) -> Iterator[str]:
    """One database for all browser tests: they share a server process, and each has its own experts."""
    with fresh_database(server_url, template) as url:
        yield url


@pytest.fixture(scope="session")
async def services(database_url: str) -> AsyncIterator[Services]:
    """The services without the pages, on the real clock like the server's."""
    database = Database(database_url)
    yield Services(database)
    await database.close()


@pytest.fixture(scope="session")
def server(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """The shared server, which no test stops."""
    # Email is configured, but the server is not reachable. Tests write delivery results to the database themselves.
    mail = {"SMTP_URL": f"smtp://127.0.0.1:{free_port()}", "MAIL_FROM": "booking@example.com"}
    process = ServerProcess(tmp_path_factory.mktemp("server"), database_url, **mail).wait_until_alive()
    yield process
    process.stop()
    print(process.log_text())


@pytest.fixture(scope="session")
def watched(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WatchedServer]:
    """A server whose internals can be inspected."""
    process = WatchedServer(tmp_path_factory.mktemp("watched"), database_url)
    process.wait_until_alive()
    yield process
    process.stop()


@pytest.fixture(scope="session")
def demo() -> Iterator[ServerProcess]:
    """The product as it starts without settings: its own database, sample data, no SMTP server."""
    with database_folder() as folder:
        server = ServerProcess(folder, None, DATA_DIR=str(folder / "data"))
        try:
            server.wait_until_alive()
            server.url = f"http://localhost:{server.port}"
            yield server
        finally:
            server.stop(60)
            print(server.log_text())


@pytest.fixture
def restart(database_url: str, tmp_path: Path) -> Iterator[Restart]:
    """Stop a server gracefully; the returned function starts a new one at the same address."""
    running: list[ServerProcess] = []

    def again(old: ServerProcess) -> ServerProcess:
        old.stop()
        new = ServerProcess(tmp_path, database_url, PORT=str(old.port))
        new.port, new.url = old.port, old.url
        running.append(new)
        return new.wait_until_alive()

    yield again
    for process in running:
        process.stop()


@pytest.fixture
async def rest(server: ServerProcess) -> AsyncIterator[httpx.AsyncClient]:
    """An HTTP client for the server's API."""
    async with httpx.AsyncClient(base_url=server.url, timeout=30) as client:
        yield client


@pytest.fixture(scope="session")
async def admin(services: Services) -> dict[str, str]:
    """Headers with an admin's token, which may change every booking."""
    token = await services.tokens.create(TokenRequest(name="browser tests", role=Role.ADMIN))
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture
def new_expert(add_expert: AddExpert) -> NewExpert:
    """Add an expert with a unique name: Berlin, every day 09:00 to 17:00, sessions of an hour, unless overridden."""

    async def new(**overrides: Any) -> Expert:
        number = next(_numbers)
        facts = {"name": f"Jana Müller {number:03}", "slug": f"expert-{number:03}", **overrides}
        return Expert(await add_expert(**facts), facts["slug"], facts["name"])

    return new


@pytest.fixture
async def jana(new_expert: NewExpert) -> Expert:
    """An expert."""
    return await new_expert()


# --- the visitors -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    """The one Chromium of this test run."""
    path = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if path is None:
        reason = f"Chromium is not installed (looked for {', '.join(CHROMIUM)})"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=path, args=QUIET)
        yield chromium
        await chromium.close()


@pytest.fixture
def _expected_errors() -> list[str]:
    return []


@pytest.fixture
def excuse(_expected_errors: list[str]) -> Excuse:
    """Declare expected console errors by regular expression."""
    return _expected_errors.append


@pytest.fixture(scope="session")
def _idle_contexts() -> defaultdict[str, list[BrowserContext]]:
    """Browsers released by earlier tests, keyed by their options; their caches already hold the assets."""
    return defaultdict(list)


@pytest.fixture
async def visit(
    browser: Browser,
    server: ServerProcess,
    _idle_contexts: defaultdict[str, list[BrowserContext]],
    _expected_errors: list[str],
) -> AsyncIterator[Visit]:
    """Open a page in a browser without history: `await visit("/", zone="Asia/Kathmandu")`."""
    opened: list[tuple[str, BrowserContext]] = []
    field_errors: list[str] = []

    def record(message: ConsoleMessage) -> None:
        if message.type == "error":
            field_errors.append(message.text)

    def fail(error: WebError) -> None:
        field_errors.append(str(error.error))

    async def visit(path: str = "", *, zone: str = BERLIN, at: str = server.url, **options: Any) -> Page:
        wanted = {"base_url": at, "timezone_id": zone, "locale": "en-GB", **options}
        kind = repr(wanted)
        context = _idle_contexts[kind].pop() if _idle_contexts[kind] else await browser.new_context(**wanted)
        context.set_default_timeout(PATIENCE)
        context.on("console", record)
        context.on("weberror", fail)
        opened.append((kind, context))
        page = await context.new_page()
        if path:
            await page.goto(path)
        return page

    yield visit
    for kind, context in opened:
        context.remove_listener("console", record)
        context.remove_listener("weberror", fail)
        # A browser that does not close its pages in time is not reused; the test's result still counts.
        with suppress(TimeoutError):
            await asyncio.wait_for(_reset(context), 30)
            _idle_contexts[kind].append(context)
    unexpected = [text for text in field_errors if not any(re.search(pattern, text) for pattern in _expected_errors)]
    assert not unexpected, f"unexpected console errors: {unexpected}"


async def _reset(context: BrowserContext) -> None:
    for page in context.pages:
        await page.close()
    await context.clear_cookies()
    await context.set_offline(False)
