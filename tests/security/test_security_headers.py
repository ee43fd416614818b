"""Security headers of every class of response, directly and behind the shipped nginx, each exactly once."""

import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

import httpx
import pytest

from expert_booking.db.engine import Database
from expert_booking.domain.signed_keys import SignedKeys
from expert_booking.domain.site import Site
from expert_booking.services import Services
from expert_booking.services.feeds import FeedOwner
from tests.backing_servers import Nginx, require_program
from tests.conftest import MONDAY_MORNING, AddExpert, Book
from tests.server import SECRET_KEY, ServerProcess, free_port

BASE: Final = "https://booking.test"
PAGE: Final = {"Accept": "text/html"}
JSON: Final = {"Accept": "application/json"}
ALWAYS: Final = ("content-security-policy", "x-content-type-options", "x-frame-options", "referrer-policy",
                 "strict-transport-security")  # fmt: skip
# Features that the policy of a page must switch off.
FEATURES: Final = ("camera", "geolocation", "microphone", "payment", "usb")


@dataclass
class Absent:
    """The second process of the shipped configuration, which is not running."""

    port: int


@dataclass
class Paths:
    """One path for each class of response."""

    pages: dict[str, str]
    personal: dict[str, str]
    answers: dict[str, str]


@pytest.fixture
async def paths(database: Database, add_expert: AddExpert, book: Book) -> Paths:
    """Paths of an expert with one booking, and of errors."""
    expert = await add_expert(slug="jana")
    booking = await book(expert, MONDAY_MORNING + timedelta(days=1), email="ada@example.com")
    feed = await Services(database, site=Site(secret=SECRET_KEY)).feeds.open(FeedOwner(customer_key="ada@example.com"))
    key = SignedKeys(SECRET_KEY).booking(booking.id)
    personal = {
        "/my-bookings": "page", f"/booking/{booking.id}?key={key}": "page",
        f"/booking/{booking.id}/reschedule?key={key}": "page", "/book/jana?at=2026-11-25T09:00:00Z": "page",
        "/sign-in": "page", "/sign-in/unknown": "page", "/feeds/" + feed.rpartition("/")[2]: "answer",
        f"/booking/{booking.id}/calendar.ics?key={key}": "answer", f"/bookings/{booking.id}": "answer",
        f"/bookings?expertId={expert}": "answer",
    }  # fmt: skip
    return Paths(
        pages={"/": "page", "/expert/jana": "page", "/docs": "page", "/nothing": "page", "/expert/nobody": "page"},
        personal=personal,
        answers={"/experts": "answer", "/experts/nobody": "answer", "/healthz": "answer", "/openapi.json": "answer"},
    )


@pytest.fixture
async def browsers(serve: Callable[..., ServerProcess], tmp_path: Path) -> AsyncIterator[list[httpx.AsyncClient]]:
    """Clients of a site with an https address: of the process itself, and of the nginx in front of it."""
    require_program("nginx")
    server = serve(BASE_URL=BASE)
    nginx = Nginx(tmp_path, [server, Absent(free_port())]).wait_until_alive()
    async with (
        httpx.AsyncClient(base_url=server.url, timeout=60) as direct,
        httpx.AsyncClient(base_url=nginx.url, timeout=60) as proxied,
    ):
        yield [direct, proxied]
    nginx.stop()


def header(answer: httpx.Response, name: str) -> str:
    """Return the header, which must be there exactly once."""
    values = answer.headers.get_list(name)
    assert len(values) == 1, (answer.request.url.path, name, values)
    return values[0]


async def test_every_response_has_each_security_header_once(browsers: list[httpx.AsyncClient], paths: Paths) -> None:
    for browser in browsers:
        for path, kind in {**paths.pages, **paths.personal, **paths.answers}.items():
            answer = await browser.get(path, headers=PAGE if kind == "page" else JSON)
            assert {name for name in ALWAYS if header(answer, name)} == set(ALWAYS), path
            assert header(answer, "strict-transport-security") == "max-age=31536000", path
            if kind == "page":
                check_page(answer)
            else:
                assert "default-src 'none'" in header(answer, "content-security-policy"), path
        await check_what_can_be_cached(browser, paths)


def check_page(answer: httpx.Response) -> None:
    """Check the headers that only pages have."""
    path = answer.request.url.path
    assert answer.headers["content-type"].startswith("text/html"), path
    directives = set(re.split("; ?", header(answer, "content-security-policy")))
    assert {"object-src 'none'", "base-uri 'self'", "form-action 'self'", "frame-ancestors 'self'"} <= directives, path
    assert header(answer, "cross-origin-opener-policy") == "same-origin", path
    off = header(answer, "permissions-policy").split(", ")
    assert all(f"{feature}=()" in off for feature in FEATURES), path


async def check_what_can_be_cached(browser: httpx.AsyncClient, paths: Paths) -> None:
    """Check that only files and public images can be cached."""
    page = (await browser.get("/", headers=PAGE)).text
    files = re.findall(r'(?:href|src)="((?:/_nicegui|/assets)/[^"]+)', page)
    assert files
    for path in {*files, "/portrait/jana.svg", "/favicon.svg"}:
        assert "max-age=" in header(await browser.get(path), "cache-control"), path
    for path in [*paths.pages, *paths.personal, *paths.answers]:
        assert header(await browser.get(path, headers=PAGE), "cache-control") == "no-store", path
    for method, path, status in (("POST", "/sign-out", 303), ("DELETE", "/", 405), ("GET", "/my-bookings/", 307)):
        answer = await browser.request(method, path)
        assert answer.status_code == status, path
        assert header(answer, "cache-control") == "no-store", path


def test_without_https_browsers_are_not_told_to_use_it(serve: Callable[..., ServerProcess]) -> None:
    server = serve()
    for path in ("/", "/experts"):
        assert "strict-transport-security" not in httpx.get(server.url + path, headers=PAGE).headers, path
