"""`/mailbox` and `/metrics` are for this machine only, even behind a proxy that sends no forwarding headers.

A plain `proxy_pass` sends `Host: 127.0.0.1:PORT` and no forwarding header, so its requests look like those of a local
browser.
"""

import re
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from expert_booking import app
from expert_booking.api import create_api
from expert_booking.db.engine import Database
from expert_booking.domain.client_network import ProxyDetector
from expert_booking.metrics import Metrics
from expert_booking.request_log import RequestLogMiddleware
from expert_booking.services import Services
from expert_booking.settings import Settings
from tests.backing_servers import require_program
from tests.server import PATIENCE, ServerProcess, database_folder, free_port

PAGE = {"Accept": "text/html"}
MAIL = "secret.guest@example.com"
PATHS = ["/mailbox", "/mailbox?to=secret", "/mailbox/{id}", "/mailbox/{id}/content", "/mailbox/{id}/mail.eml",
         "/mailbox/{id}/invite.ics"]  # fmt: skip
TOKEN = "5f0d8a572a0b4a379f5d6f1f4f1c8e22"
PLAIN_PROXY = """
daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{}}
http {{
  access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://127.0.0.1:{behind}; }} }}
}}
"""


@pytest.fixture(scope="module")
def demo() -> Iterator[ServerProcess]:
    """The demo as it starts without configuration."""
    with database_folder() as folder:
        server = ServerProcess(folder, None, DATA_DIR=str(folder / "data"))
        try:
            server.wait_until_alive()
            server.url = f"http://localhost:{server.port}"
            yield server
        finally:
            server.stop(60)


@pytest.fixture(scope="module")
def proxied(demo: ServerProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of an nginx in front of the demo that does nothing but `proxy_pass`."""
    folder, port = tmp_path_factory.mktemp("nginx"), free_port()
    (folder / "nginx.conf").write_text(PLAIN_PROXY.format(folder=folder, port=port, behind=demo.port))
    nginx = subprocess.Popen([require_program("nginx"), "-c", str(folder / "nginx.conf")], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=5)
            break
        except httpx.TransportError:
            assert time.monotonic() < deadline
            assert nginx.poll() is None, (folder / "error.log").read_text()
            time.sleep(0.05)  # polling, because the port is not open yet
    yield f"http://127.0.0.1:{port}"
    nginx.terminate()
    nginx.wait()


@pytest.fixture(scope="module")
def mail_id(demo: ServerProcess) -> str:
    """The id of an email to MAIL in the mailbox."""
    with httpx.Client(base_url=demo.url, timeout=PATIENCE) as client:
        for expert in client.get("/experts", params={"sort": "soonest"}).json()["experts"]:
            facts = {"expertId": expert["id"], "startsAt": expert["nextAvailable"], "phone": "+44 20 7946 0000"}
            booked = client.post("/bookings", json={**facts, "name": "Ada Lovelace", "email": MAIL})
            if booked.status_code == 201:
                break
        assert booked.status_code == 201
    with mailbox_client(demo) as client:
        deadline = time.monotonic() + PATIENCE
        while True:
            found = re.search(r"/mailbox/(\d+)", client.get("/mailbox", params={"to": MAIL}, headers=PAGE).text)
            if found is not None:
                return found[1]
            assert time.monotonic() < deadline
            time.sleep(0.05)  # polling, because the email is on its way


@contextmanager
def mailbox_client(demo: ServerProcess) -> Iterator[httpx.Client]:
    """A client on this machine that has opened the URL printed at start-up."""
    with httpx.Client(base_url=demo.url, timeout=PATIENCE, follow_redirects=True) as client:
        assert client.get(demo.mailbox, headers=PAGE).status_code == 200
        yield client


@pytest.mark.parametrize("path", PATHS)
def test_mailbox_is_not_readable_through_a_plain_proxy(proxied: str, mail_id: str, path: str) -> None:
    answer = httpx.get(proxied + path.format(id=mail_id), headers=PAGE, timeout=PATIENCE)
    assert answer.status_code == 404
    assert MAIL not in answer.text
    assert "mail-card" not in answer.text
    assert "Mailbox (demo)" not in httpx.get(proxied, headers=PAGE, timeout=PATIENCE).text


@pytest.mark.parametrize(
    "wrong",
    ["?token=", "?token=x", "?token=%00", "?token=%F0%9F%94%91", "?token=" + "A" * 5000, "cookie", "mark alone"],
)
def test_wrong_mailbox_token_opens_nothing_and_says_where_the_right_one_is(
    demo: ServerProcess, mail_id: str, wrong: str
) -> None:
    cookies = {"cookie": "eb_mailbox=AAAA; eb_mailbox_here=1", "mark alone": "eb_mailbox_here=1"}
    query, cookie = ("", cookies[wrong]) if wrong in cookies else (wrong, "")
    for path in ("/mailbox", f"/mailbox/{mail_id}"):
        answer = httpx.get(demo.url + path + query, headers={**PAGE, "Cookie": cookie}, timeout=PATIENCE)
        assert answer.status_code == 404
        assert "printed" in answer.text
        assert MAIL not in answer.text
        assert "set-cookie" not in answer.headers
    for file in ("content", "mail.eml", "invite.ics"):
        url = f"{demo.url}/mailbox/{mail_id}/{file}{query}"
        assert httpx.get(url, headers={**PAGE, "Cookie": cookie}, timeout=PATIENCE).status_code == 404


def test_printed_url_opens_the_mailbox_and_is_remembered(demo: ServerProcess, mail_id: str) -> None:
    first = httpx.get(f"{demo.mailbox}&to=secret", headers=PAGE, timeout=PATIENCE)
    # The token does not stay in the URL, where it could be seen or copied.
    assert (first.status_code, first.headers["location"]) == (303, "/mailbox?to=secret")
    assert first.headers["cache-control"] == "no-store"
    cookies = {cookie.partition("=")[0]: cookie for cookie in first.headers.get_list("set-cookie")}
    assert all(word in cookies["eb_mailbox"] for word in ("HttpOnly", "SameSite=lax", "Path=/mailbox"))
    assert urlsplit(demo.mailbox).query.removeprefix("token=") not in cookies["eb_mailbox_here"]
    with mailbox_client(demo) as client:
        for path in PATHS:
            answer = client.get(path.format(id=mail_id), headers=PAGE)
            assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store"), path
        assert "Mailbox (demo)" in client.get("/", headers=PAGE).text
        # Through a proxy that identifies itself, not even this browser sees the mailbox.
        assert client.get("/mailbox", headers={**PAGE, "X-Forwarded-For": "127.0.0.1"}).status_code == 404
    assert "Mailbox (demo)" not in httpx.get(demo.url, headers=PAGE, timeout=PATIENCE).text


def test_mailbox_url_is_stable_across_restarts_and_differs_between_installations(tmp_path: Path) -> None:
    destinations = [app.email_destination(Settings(data_dir=tmp_path / folder)) for folder in ("one", "one", "two")]
    assert destinations[0] == destinations[1] != destinations[2]
    token = re.fullmatch(r"Read the emails at http://localhost:8080/mailbox\?token=([\w-]{32,})", destinations[0])
    assert token is not None
    assert token[1] not in (tmp_path / "one" / "secret.key").read_text()


# --- /metrics ---------------------------------------------------------------------------------------------------


@pytest.fixture
def served() -> Callable[..., httpx.AsyncClient]:
    """An API client on this machine, behind the request log."""

    def served(*, public: bool = False, token: str | None = None, address: str = "127.0.0.1") -> httpx.AsyncClient:
        proxies, metrics = ProxyDetector(public=public), Metrics()
        services = Services(Database("postgresql+psycopg://nobody@127.0.0.1:1/nothing"))
        api = create_api(services, secret="of no use", metrics=metrics, metrics_token=token, proxies=proxies)
        transport = httpx.ASGITransport(RequestLogMiddleware(api, metrics, proxies), client=(address, 1234))
        return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080")

    return served


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "localhost:8080"}, 200),
        ({"Host": "[::1]"}, 200),
        ({"Origin": "http://localhost:8080"}, 200),
        ({"Origin": "null"}, 200),
        ({"Host": "booking.example.com"}, 404),
        ({"Host": "localhost.example.com"}, 404),
        ({"X-Forwarded-For": "203.0.113.9"}, 404),
        ({"X-Forwarded-Proto": "https"}, 404),
        ({"Forwarded": "for=203.0.113.9"}, 404),
        ({"X-Real-IP": "203.0.113.9"}, 404),
        ({"Via": "1.1 proxy"}, 404),
        ({"Origin": "https://booking.example.com"}, 404),
    ],
)
async def test_one_remote_request_hides_metrics_without_a_token(
    served: Callable[..., httpx.AsyncClient], headers: dict[str, str], status: int
) -> None:
    async with served() as client:
        assert (await client.get("/metrics")).status_code == 200
        await client.get("/healthz", headers=headers)
        assert (await client.get("/metrics")).status_code == status


async def test_websocket_origin_reveals_a_proxy() -> None:
    async def nothing(*_: Any) -> None:
        return

    proxies = ProxyDetector()
    sees = RequestLogMiddleware(nothing, Metrics(), proxies)
    headers = [(b"host", b"127.0.0.1:8080"), (b"origin", b"http://127.0.0.1:8080")]
    await sees({"type": "websocket", "headers": headers}, nothing, nothing)
    assert not proxies.seen
    headers = [(b"host", b"127.0.0.1:8080"), (b"origin", b"https://booking.example.com")]
    await sees({"type": "websocket", "headers": headers}, nothing, nothing)
    assert proxies.seen


async def test_metrics_behind_a_proxy_need_the_token(served: Callable[..., httpx.AsyncClient]) -> None:
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    for public in (False, True):
        async with served(public=public, token=TOKEN) as client:
            await client.get("/healthz", headers={"Host": "booking.example.com"})
            assert [(await client.get("/metrics", headers=h)).status_code for h in (bearer, {})] == [200, 404]
    async with served(public=True) as client:
        assert (await client.get("/metrics")).status_code == 404


@pytest.mark.parametrize(
    ("base_url", "public"),
    [
        (None, False),
        ("http://localhost:8080", False),
        ("http://127.0.0.1:8080", False),
        ("http://[::1]:8080", False),
        ("https://localhost", True),
        ("http://booking.example.com", True),
        ("http://192.168.1.7:8080", True),
    ],
)
def test_base_url_determines_whether_the_site_is_public(base_url: str | None, public: bool) -> None:
    assert Settings(base_url=base_url).is_public is public


def test_server_with_a_public_url_serves_metrics_only_with_the_token(
    serve: Callable[..., ServerProcess],
) -> None:
    server = serve(BASE_URL="https://booking.example.com", METRICS_TOKEN=TOKEN)
    assert httpx.get(f"{server.url}/metrics", timeout=PATIENCE).status_code == 404
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    assert httpx.get(f"{server.url}/metrics", headers=bearer, timeout=PATIENCE).status_code == 200


def test_server_that_has_seen_a_proxy_hides_its_metrics(serve: Callable[..., ServerProcess]) -> None:
    server = serve()
    assert httpx.get(f"{server.url}/metrics", timeout=PATIENCE).status_code == 200
    httpx.get(server.url, headers={**PAGE, "X-Forwarded-For": "203.0.113.9"}, timeout=PATIENCE)
    assert httpx.get(f"{server.url}/metrics", timeout=PATIENCE).status_code == 404
