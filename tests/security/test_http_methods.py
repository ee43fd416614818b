"""HEAD answers like GET without a body, OPTIONS and 405 list all methods of a path: for every route of the product."""

import re
import shutil
import tempfile
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Final

import httpx
import pytest

from tests.server import PATIENCE, WatchedServer

PAGE: Final = {"Accept": "text/html"}
METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")
# Differ between any two responses.
OF_ONE_RESPONSE: Final = {"date", "x-request-id"}
NONCE: Final = re.compile(r"'nonce-[\w-]+'")
Routes = dict[str, list[str]]


@pytest.fixture(scope="module")
def demo() -> Iterator[WatchedServer]:
    """The demo with all its pages, whose internals can be inspected."""
    folder = Path(tempfile.mkdtemp(prefix="expert-booking-methods-"))
    folder.chmod(0o755)  # if run as root, the database runs under another uid and needs access
    server = WatchedServer(folder, None, DATA_DIR=str(folder / "data"))
    try:
        server.wait_until_alive()
        server.url = f"http://localhost:{server.port}"
        yield server
    finally:
        server.stop(PATIENCE)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def client(demo: WatchedServer) -> Iterator[httpx.Client]:
    """A browser that may open the mailbox."""
    with httpx.Client(base_url=demo.url, headers={**PAGE, "Accept-Encoding": "identity"}, timeout=PATIENCE) as client:
        assert client.get(demo.mailbox).status_code == 303
        yield client


@pytest.fixture(scope="module")
def paths(demo: WatchedServer, client: httpx.Client) -> dict[str, str]:
    """A path for each route, by template: of something that exists, where that is easily found."""
    for expert in client.get("/experts").json()["experts"]:
        wanted = {"expertId": expert["id"], "startsAt": expert["nextAvailable"], "phone": "+44 20 7946 0000"}
        booked = client.post("/bookings", json={**wanted, "name": "Ada", "email": "ada@example.com"})
        if booked.status_code == 201:  # otherwise it has just become too late for that time
            break
    booking = booked.json()["id"]
    values = {
        "slug": expert["slug"], "expert": expert["slug"], "booking": booking, "reference": booking,
        "number": "1", "date": "2026-11-24",
    }  # fmt: skip
    return {path: re.sub(r"{(\w+)(:path)?}", lambda name: values.get(name[1], "x"), path) for path in demo.routes()}


def methods_of(path: str, routes: Routes) -> set[str]:
    """Return the methods of all routes that match the path."""
    matching = [methods for template, methods in routes.items() if re.fullmatch(pattern(template), path)]
    return {method for methods in matching for method in methods}


def pattern(template: str) -> str:
    """Return the regular expression of a path template."""
    return "".join(
        (".*" if part.endswith(":path}") else "[^/]+") if part.startswith("{") else re.escape(part)
        for part in re.split(r"({[^}]+})", template)
    )


def allow_of(path: str, routes: Routes) -> set[str]:
    """Return what `Allow` should list for the path."""
    methods = methods_of(path, routes) - {"HEAD"}
    return methods | {"OPTIONS"} | ({"HEAD"} if "GET" in methods else set())


def listed(answer: httpx.Response) -> set[str]:
    """Return the methods in the response's `Allow`."""
    return set(answer.headers["allow"].split(", "))


def comparable(answer: httpx.Response, ignored: set[str]) -> list[tuple[str, str]]:
    """Return the headers that two responses for one path have in common."""
    return sorted(
        (name, NONCE.sub("", value))
        for name, value in answer.headers.multi_items()
        if name not in OF_ONE_RESPONSE | {"set-cookie", "transfer-encoding"} | ignored
    )


def test_every_page_and_endpoint_is_known(demo: WatchedServer) -> None:
    some = {
        "/", "/expert/{slug}", "/book/{slug}", "/booking/{reference}", "/my-bookings", "/sign-in", "/mailbox",
        "/experts", "/bookings/{booking}", "/healthz", "/docs", "/openapi.json", "/robots.txt",
    }  # fmt: skip
    known = demo.routes()
    assert some <= known.keys()
    assert len(known) > 40


def test_head_answers_like_get_without_body_cookies_or_a_page_in_memory(
    demo: WatchedServer, client: httpx.Client, paths: dict[str, str]
) -> None:
    routes = demo.routes()
    readable = [*(path for template, path in paths.items() if "GET" in routes[template]), "/nowhere", "/experts/nobody"]
    answers = {path: client.get(path) for path in readable}
    pages = demo.resource_counts()["pages"]
    for path, got in answers.items():
        head = client.head(path)
        assert head.status_code == got.status_code, path
        ignored = {"content-length"} if path == "/metrics" else set()  # they change
        assert comparable(head, ignored) == comparable(got, ignored), path
        assert not head.content, path
        assert "set-cookie" not in head.headers, path
    assert demo.resource_counts()["pages"] <= pages
    assert {200, 404} <= {answer.status_code for answer in answers.values()}


def test_many_head_requests_keep_no_page_and_hold_no_slot(
    demo: WatchedServer, client: httpx.Client, paths: dict[str, str]
) -> None:
    expert = client.get(paths["/experts/{expert}"]).json()
    book = f"/book/{expert['slug']}?at={expert['nextAvailable']}"
    before = demo.resource_counts()
    for _ in range(30):
        assert httpx.head(demo.url + book, headers=PAGE, timeout=PATIENCE).status_code == 200
    assert demo.resource_counts()["pages"] <= before["pages"]
    assert demo.resource_counts()["subscribers"] <= before["subscribers"]
    assert client.get(paths["/experts/{expert}"]).json()["nextAvailable"] == expert["nextAvailable"]


def test_head_and_the_next_request_share_a_connection(demo: WatchedServer) -> None:
    """A client must not take the next response for a body of the first."""
    connection = HTTPConnection("localhost", demo.port, timeout=PATIENCE)
    for path in ("/", "/experts", "/assets/nothing.css", "/robots.txt"):
        connection.request("HEAD", path, headers=PAGE)
        assert connection.getresponse().read() == b""
    connection.request("GET", "/healthz")
    assert connection.getresponse().read() == b'{"status":"alive"}'
    connection.close()


def test_head_is_counted_with_its_route(demo: WatchedServer, client: httpx.Client) -> None:
    client.head("/experts/nobody")
    assert 'method="HEAD",route="/experts/{expert}",status="4xx"' in client.get("/metrics").text


def test_options_and_405_list_all_methods_of_each_path(
    demo: WatchedServer, client: httpx.Client, paths: dict[str, str]
) -> None:
    routes = demo.routes()
    several = 0
    for path in paths.values():
        expected = allow_of(path, routes)
        several += len(expected - {"HEAD", "OPTIONS"}) > 1
        options = client.options(path)
        assert (options.status_code, listed(options), options.content) == (204, expected, b""), path
        for method in METHODS:
            if method in expected:
                continue
            refused = client.request(method, path)
            assert (refused.status_code, listed(refused)) == (405, expected), (method, path)
            assert refused.headers["content-type"] == "application/problem+json", (method, path)
            assert refused.json()["code"] == "method_not_allowed", (method, path)
    assert several >= 8


def test_options_of_an_unknown_path_is_404(client: httpx.Client) -> None:
    for path in ("/nowhere", "/experts/x/y/z", "/assets"):
        assert client.options(path).status_code == 404, path
