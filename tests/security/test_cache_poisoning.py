"""Nothing that a stranger sends in a request may end up in a cached response or in a redirect."""

import http.client
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import nicegui
import pytest
from starlette.types import Message, Scope

from expert_booking.http_security import HttpSecurity
from tests.backing_servers import Nginx, require_program
from tests.conftest import fresh_database
from tests.security.browsing import files_of
from tests.server import ServerProcess

FILES = f"/_nicegui/{nicegui.__version__}"
EVIL = "evil.test"
BROWSER = {"Accept": "text/html"}


@pytest.fixture(scope="module")
def servers(server_url: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[ServerProcess]]:
    """Two processes on one database."""
    folder = tmp_path_factory.mktemp("servers")
    with fresh_database(server_url, template) as url:
        running = [ServerProcess(folder, url) for _ in range(2)]
        yield [server.wait_until_alive() for server in running]
        for server in running:
            server.stop()
            print(server.log_text())


@pytest.fixture
def server(servers: list[ServerProcess]) -> ServerProcess:
    """One of them, reached directly."""
    return servers[0]


@pytest.fixture
def nginx(servers: list[ServerProcess], tmp_path: Path) -> Iterator[Nginx]:
    """The shipped nginx configuration in front of them, with an empty cache."""
    require_program("nginx")
    nginx = Nginx(tmp_path, servers).wait_until_alive()
    yield nginx
    nginx.stop()


def test_forwarded_prefix_never_appears_in_a_page(server: ServerProcess) -> None:
    for path in ("/", "/my-bookings", "/nothing-here", f"{FILES}/offer", "/assets/offer"):
        answer = httpx.get(f"{server.url}{path}", headers={**BROWSER, "X-Forwarded-Prefix": f"//{EVIL}"})
        assert EVIL not in answer.text, path
        assert EVIL not in str(answer.headers), path


def test_forwarded_prefix_never_appears_in_a_redirect(server: ServerProcess) -> None:
    answer = httpx.get(f"{server.url}/experts/", headers={"X-Forwarded-Prefix": f"https://{EVIL}"})
    assert (answer.status_code, answer.headers["location"]) == (307, "/experts")


@pytest.mark.parametrize("path", ["/offer", "/static", "/static/nothing.js", "/components/nothing.js", "/esm/a/b.js"])
def test_only_existing_files_are_cacheable(server: ServerProcess, path: str) -> None:
    for folder in (FILES, "/assets"):
        answer = httpx.get(f"{server.url}{folder}{path}", headers=BROWSER)
        assert answer.status_code in (307, 404), path
        assert answer.headers["cache-control"] == "no-store", path
        assert folder == "/assets" or "<script" not in answer.text, path


def test_existing_files_are_cacheable_for_a_year(server: ServerProcess) -> None:
    for path in files_of(httpx.get(server.url).text):
        answer = httpx.get(f"{server.url}{path}")
        assert answer.status_code == 200, path
        assert "immutable" in answer.headers["cache-control"], path


def test_redirects_never_lead_to_another_host(server: ServerProcess) -> None:
    paths = (
        "/experts/",
        f"{FILES}/static",
        "/docs/",
        "//evil.test/",
        "//evil.test/%2e%2e",
        "/\\evil.test/",
        "//experts/",
    )
    for path in paths:
        for headers in ({"Host": EVIL}, {"Host": EVIL, "X-Forwarded-Host": EVIL, "X-Forwarded-Proto": "https"}, {}):
            answer = raw(server.port, "GET", path, headers)
            if location := answer.headers.get("location"):
                assert re.match(r"/(?![/\\])", location), (path, location)
    assert raw(server.port, "GET", "/experts/?page=2", {"Host": EVIL}).headers["location"] == "/experts?page=2"


def test_poisoned_request_through_nginx_does_not_affect_the_next_visitor(
    nginx: Nginx,
) -> None:
    poison = {**BROWSER, "X-Forwarded-Prefix": f"//{EVIL}", "X-Forwarded-Host": EVIL, "Forwarded": f"host={EVIL}"}
    for path in (f"{FILES}/offer", f"{FILES}/static", "/assets/offer"):
        for _ in range(3):
            first = httpx.get(f"{nginx.url}{path}", headers=poison)
            assert first.headers["cache-control"] == "no-store", path
            assert EVIL not in first.text + str(first.headers), path
            raw(nginx.port, "GET", path, {"Host": EVIL})
        then = httpx.get(f"{nginx.url}{path}", headers=BROWSER)
        assert EVIL not in then.text + str(then.headers), path
    assert not list(nginx.cached())


def test_requests_without_a_path_are_answered(server: ServerProcess) -> None:
    asterisk = raw(server.port, "OPTIONS", "*", {})
    assert asterisk.status == 204
    assert "GET" in asterisk.headers["allow"]
    for method, target in (("GET", "*"), ("POST", "*"), ("GET", "experts"), ("CONNECT", "localhost:80")):
        assert 400 <= raw(server.port, method, target, {}).status < 500, (method, target)
    assert "Traceback" not in server.log_text()


async def test_forwarded_prefix_is_removed_from_websockets_too() -> None:
    seen: list[Scope] = []

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        seen.append(scope)

    async def nothing(message: Message | None = None) -> Message:
        return {}

    headers = [(b"host", b"localhost"), (b"x-forwarded-prefix", b"//evil.test"), (b"x-forwarded-prefix", b"/a")]
    for kind in ("websocket", "http"):
        await HttpSecurity(app)({"type": kind, "path": "/", "method": "GET", "headers": headers}, nothing, nothing)
    assert [scope["headers"] for scope in seen] == [[(b"host", b"localhost")]] * 2


def test_nginx_caches_files_but_not_missing_ones(nginx: Nginx, servers: list[ServerProcess]) -> None:
    path = next(iter(files_of(httpx.get(nginx.url).text)))
    assert httpx.get(f"{nginx.url}{path}").status_code == 200
    assert httpx.get(f"{nginx.url}{FILES}/missing.js").status_code == 404
    for server in servers:  # must be the last test of this module
        server.stop()
    kept = httpx.get(f"{nginx.url}{path}")
    assert kept.status_code == 200
    assert "immutable" in kept.headers["cache-control"]
    assert raw(nginx.port, "GET", path, {"Host": EVIL}).status == 502  # cached separately for each host
    assert httpx.get(f"{nginx.url}{FILES}/missing.js").status_code == 502


class Answer:
    """A response, without following redirects."""

    def __init__(self, answer: http.client.HTTPResponse) -> None:
        self.status = answer.status
        self.headers = {name.lower(): value for name, value in answer.getheaders()}


def raw(port: int, method: str, target: str, headers: dict[str, str]) -> Answer:
    """Send a request with its target unchanged."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.putrequest(method, target, skip_host="Host" in headers, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        answer.read()
        return Answer(answer)
    finally:
        connection.close()
