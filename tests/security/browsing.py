"""Chromium for tests outside of tests/browser, and the files that a page loads."""

import os
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from playwright.async_api import Browser, async_playwright

from tests.browser.conftest import CHROMIUM, QUIET


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """Start Chromium. Without it the test is skipped, or fails in CI."""
    path = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if path is None:
        reason = "Chromium is not installed"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=QUIET)
        yield browser
        await browser.close()


def files_of(page: str) -> set[str]:
    """Return the URLs of all files that a page loads immediately."""
    found = re.findall(r'(?:href|src|url\()="?((?:/_nicegui|/assets)/[^")]+)', page)
    assert len(found) > 5
    return set(found)
