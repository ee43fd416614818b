"""During a rolling deploy behind the shipped nginx configuration, every browser sees the whole page."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import nicegui
import pytest
from playwright.async_api import Browser, Page, expect

import expert_booking
from tests.backing_servers import Nginx, require_program
from tests.conftest import AddExpert
from tests.security.browsing import chromium, files_of
from tests.server import ROOT, ServerProcess

pytestmark = pytest.mark.browser

EXPERTS = 4
PACKAGES = (Path(nicegui.__file__).parent, Path(expert_booking.__file__).parent, ROOT / "migrations")
FOLDER = f"/_nicegui/{nicegui.__version__}/components/0"
COMPONENT = "expert_booking/web/components/expert_cards.js"


class InstalledServer(ServerProcess):
    """A process of the installation in its working directory, which `python -m` searches first."""

    forked = False


class Installation:
    """A folder with copies of the product and of NiceGUI, all with this modification time."""

    def __init__(self, folder: Path, modified: int, *, new_version: bool = False) -> None:
        self.folder = folder
        for package in PACKAGES:
            shutil.copytree(package, folder / package.name)
        if new_version:
            component = folder / COMPONENT
            component.write_text(component.read_text() + "\n// The next version.\n")
        for path in folder.rglob("*"):
            if path.suffix not in (".py", ".pyc"):  # unchanged, so that Python need not recompile them
                os.utime(path, (modified, modified))

    def serve(self, database_url: str, port: int | None = None) -> ServerProcess:
        """Start a process of this installation, on the port of the one that it replaces."""
        server = InstalledServer(self.folder, database_url, **({"PORT": str(port)} if port else {}))
        if port:
            server.port, server.url = port, f"http://127.0.0.1:{port}"
        return server.wait_until_alive()


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """A Chromium for this test."""
    async with chromium() as browser:
        yield browser


@pytest.mark.timeout(300)
async def test_every_browser_sees_all_experts_at_every_step_of_a_deploy(
    browser: Browser, add_expert: AddExpert, database_url: str, tmp_path: Path
) -> None:
    require_program("nginx")
    for number in range(EXPERTS):
        await add_expert(name=f"Jana {number}", slug=f"jana-{number}")
    old = Installation(tmp_path / "old", 1_700_000_000)
    same = Installation(tmp_path / "same", 1_710_000_000)
    new = Installation(tmp_path / "new", 1_720_000_000, new_version=True)
    servers = [old.serve(database_url), same.serve(database_url)]
    nginx = Nginx(tmp_path, servers).wait_until_alive()
    try:
        faithful = [await open_listing(browser, nginx, process) for process in (1, 2)]
        for page in faithful:
            await expect_all_experts(page)
        # Two installations of one version serve the same files, whatever their times and folders.
        assert components(servers[0]) == components(servers[1])
        for step in range(2):
            assert servers[step].stop() == 0, servers[step].log_text()
            servers[step] = new.serve(database_url, servers[step].port)
            for process in (1, 2):
                await expect_all_experts(await open_listing(browser, nginx, process))
            for page in faithful:
                await page.reload()
                await expect_all_experts(page)
            await asyncio.to_thread(check_files_of_the_other_process, nginx, servers)
        assert components(servers[0]) == components(servers[1])
        # The page's process stopped after rendering it: the page is loaded again.
        await expect_all_experts(await open_listing(browser, nginx, 1, missing="**/expert_cards.js"))
    finally:
        nginx.stop()
        for server in servers:
            server.kill()


def check_files_of_the_other_process(nginx: Nginx, servers: list[ServerProcess]) -> None:
    """Check that nginx fetches a missing file from the other process and caches no 404."""
    for process, other in (("1", servers[1]), ("2", servers[0])):
        for path in components(other):
            # The query makes it a file that nginx has not cached yet.
            answer = httpx.get(f"{nginx.url}{path}?asked-of={process}", cookies={"eb_route": process})
            assert answer.status_code == 200, (process, path)
            assert "immutable" in answer.headers["cache-control"], path
        missing = httpx.get(f"{nginx.url}{FOLDER}/missing.js", cookies={"eb_route": process})
        assert (missing.status_code, missing.headers["cache-control"]) == (404, "no-store")


async def open_listing(browser: Browser, nginx: Nginx, process: int, *, missing: str | None = None) -> Page:
    """Open the listing in a new browser on this process; one file may be missing once."""
    context = await browser.new_context(base_url=nginx.url, timezone_id="Europe/Berlin")
    await context.add_cookies([{"name": "eb_route", "value": str(process), "url": nginx.url}])
    page = await context.new_page()
    if missing is not None:
        await page.route(missing, lambda route: route.fulfill(status=404), times=1)
    await page.goto("/")
    return page


async def expect_all_experts(page: Page) -> None:
    """Wait until the page shows all experts, which its scripts render."""
    await expect(page.locator("[data-expert]")).to_have_count(EXPERTS, timeout=20_000)


def components(server: ServerProcess) -> set[str]:
    """Return the URLs of the components that the listing loads from this process."""
    return {path for path in files_of(httpx.get(server.url).text) if "/components/" in path}
