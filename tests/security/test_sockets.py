"""Through a page's connection a stranger can neither stop the process, nor fill it, nor act on another page."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from itertools import count
from typing import Final

import httpx
import pytest
from nicegui import Client
from nicegui.page import page as nicegui_page
from websockets.exceptions import ConnectionClosed, InvalidStatus

from expert_booking.db.engine import Database
from expert_booking.services import Services
from expert_booking.web import page_limits
from expert_booking.web.guarded_socket import OutgoingQueue
from expert_booking.web.own_origin import is_own_origin
from expert_booking.web.page_limits import Pages
from tests.conftest import expert_request, fresh_database
from tests.security.sockets import (
    METRICS_TOKEN,
    PATH,
    PATIENCE,
    answering_pings,
    dial,
    fetch,
    is_open,
    metric,
    open_page,
    read_until_closed,
    wait_for_metric,
)
from tests.server import ServerProcess

BASE: Final = "https://booking.example.com"
RELOAD: Final = '44{"message":"Implicit handshake failed"}'
SOCKETS: Final = 4
PAGES: Final = 5
_numbers = count(1)


@pytest.fixture(scope="module")
async def server(
    server_url: str, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[ServerProcess]:
    """One server for all tests of this file; each test uses its own network."""
    limits = {"SOCKETS_PER_NETWORK": str(SOCKETS), "UNCONNECTED_PAGES_PER_NETWORK": str(PAGES)}
    settings = {"BASE_URL": BASE, "METRICS_TOKEN": METRICS_TOKEN, **limits}
    with fresh_database(server_url, template) as url:
        database = Database(url)
        await Services(database).experts.add(expert_request(minutes=15, step_minutes=15))
        await database.close()
        with ServerProcess(tmp_path_factory.mktemp("sockets"), url, **settings) as process:
            yield process.wait_until_alive()
            process.stop()


@pytest.fixture
def here() -> dict[str, str]:
    """Headers of a network that no other test uses."""
    return {"X-Forwarded-For": f"198.51.100.{next(_numbers)}"}


@pytest.fixture(autouse=True)
async def no_traceback(server: ServerProcess) -> AsyncIterator[None]:
    """Expect no traceback in the log, and nothing that was sent."""
    yield
    log_text = server.log_text()
    assert "Traceback" not in log_text, log_text
    assert "AAAA" not in log_text


# --- one message ------------------------------------------------------------------------------------------------


async def test_log_message_of_a_browser_does_not_stop_the_process(server: ServerProcess, here: dict[str, str]) -> None:
    page = await fetch(server, "/", here)
    websocket, _ = await open_page(server, page, here)
    await websocket.send(page.packet("log", level="error", message="A" * 30_000 + " @"))
    began = time.monotonic()
    async with httpx.AsyncClient(timeout=60) as browser:
        for _ in range(3):
            await browser.get(f"{server.url}/healthz")
    assert time.monotonic() - began < 3
    assert await is_open(websocket, page)
    await websocket.close()


@pytest.mark.parametrize(
    "packets",
    [
        ['45100000-["event",{}]'],
        [b"\x00\x01"],
        ["x", "x", "x"],
        ["40", "40", "40"],
        ["40/other,", '42/other,["event",{}]', "43[]"],
        ['42["connect",{"QUERY_STRING":"x"}]', '42["disconnect"]', '42["javascript_response",{}]'],
        ['42["event",{', '42["event"]', '42["event",7,8]'],
        ['42["ack"]', '42["ack",{"next_message_id":"x"}]', '42["ack",[]]'],
        ["42" + "1" * 11 + '["event",{}]', "", "4"],
        ["A" * 70_000],
    ],
    ids=["attachments", "binary", "nonsense", "connects", "namespaces", "events", "event", "ack", "number", "long"],
)
async def test_malformed_packets_close_only_their_own_connection(
    server: ServerProcess, here: dict[str, str], packets: list[str | bytes]
) -> None:
    page = await fetch(server, "/", here)
    other, _ = await open_page(server, page, here)
    websocket, answer = await open_page(server, await fetch(server, "/", here), here)
    assert answer.startswith("40")
    for packet in packets:
        await websocket.send(packet)
    async with asyncio.timeout(PATIENCE):
        await read_until_closed(websocket)
    assert await is_open(other, page)
    await other.close()


async def test_events_with_unexpected_values_leave_no_traceback(server: ServerProcess, here: dict[str, str]) -> None:
    values: list[object] = [None, 7, "x", [], {}, [[]], {"from": []}, {"session": {}, "from": "9999-12-31", "ask": {}}]
    for path in ("/", "/expert/jana-muller", "/sign-in", "/my-bookings", "/nowhere"):
        page = await fetch(server, path, here)
        websocket, _ = await open_page(server, page, here)
        for kind in sorted({kind for _, _, kind in page.listeners()}):
            for value in values:
                await websocket.send(page.event(kind, value))
            await websocket.send(page.event(kind))
            await websocket.send(page.event(kind, *values))
        assert await is_open(websocket, page)
        await websocket.close()


async def test_empty_message_in_endless_parts_closes_the_connection(
    server: ServerProcess, here: dict[str, str]
) -> None:
    websocket, _ = await open_page(server, await fetch(server, "/", here), here)

    async def parts() -> AsyncIterator[str]:
        for _ in range(200):
            yield ""

    with suppress(ConnectionClosed):
        await websocket.send(parts())
    async with asyncio.timeout(PATIENCE):
        await read_until_closed(websocket)


# --- one page for each connection -------------------------------------------------------------------------------


async def test_connection_names_one_page_and_cannot_act_for_another(
    server: ServerProcess, here: dict[str, str]
) -> None:
    mine, other = await fetch(server, "/", here), await fetch(server, "/", here)
    for query in (mine.query(client_id=None), mine.query() + f"&client_id={other.client_id}"):
        with pytest.raises(InvalidStatus) as refused:
            await dial(server, query, here)
        assert refused.value.response.status_code == 400

    websocket, answer = await open_page(server, mine, here, implicit_handshake="false")
    assert answer.startswith("40")
    hello = {"tab_id": "tab", "document_id": "document", "next_message_id": 0}
    await websocket.send(other.packet("handshake", **hello).replace("42", "427", 1))
    assert await websocket.recv() == "437[false]"
    await websocket.send(mine.packet("handshake", **hello).replace("42", "428", 1))
    assert await websocket.recv() == "438[true]"
    await websocket.send(other.event("zone", "Asia/Tokyo"))  # counted, but not executed
    assert await is_open(websocket, mine)
    second, answer = await open_page(server, other, here)
    assert answer.startswith("40")
    await websocket.close()
    await second.close()


async def test_unknown_page_is_told_to_reload_and_disconnected(server: ServerProcess, here: dict[str, str]) -> None:
    page = await fetch(server, "/", here)
    for implicit in ("true", "false"):
        websocket, answer = await open_page(server, page, here, client_id="gone", implicit_handshake=implicit)
        assert answer == RELOAD
        async with asyncio.timeout(PATIENCE):
            await read_until_closed(websocket)
    await wait_for_metric(server, "sockets", 0)


async def test_memory_of_a_page_does_not_grow_with_what_its_browser_sends(
    server: ServerProcess, here: dict[str, str]
) -> None:
    page = await fetch(server, "/", here)
    for changes in ({"tab_id": "t" * 65}, {"tab_id": None}, {"next_message_id": "9" * 5000}):
        websocket, answer = await open_page(server, page, here, **changes)
        assert answer == RELOAD
        await websocket.close()
    for _ in range(4):  # each with another document id
        websocket, answer = await open_page(server, page, here, tab_id="tab")
        assert answer.startswith("40")
        await websocket.close()
    # NiceGUI deletes the page once, not once for each document.
    async with asyncio.timeout(PATIENCE):
        while answer != RELOAD:
            websocket, answer = await open_page(server, page, here, implicit_handshake="false")
            await websocket.close()


# --- limits ---------------------------------------------------------------------------------------------------


async def test_oldest_unconnected_pages_are_deleted_first(server: ServerProcess, here: dict[str, str]) -> None:
    first = await fetch(server, "/", here)
    connected, _ = await open_page(server, first, here)
    async with answering_pings(connected):  # this takes long on a busy machine
        pages = [await fetch(server, "/", here) for _ in range(PAGES + 3)]
        # Another network has its own limit, and an IPv6 /64 is one network.
        elsewhere = [
            await fetch(server, "/", {"X-Forwarded-For": f"2001:db8::{number}"}) for number in range(PAGES + 2)
        ]
        expected = [(pages[2], False), (pages[3], True), (elsewhere[1], False), (elsewhere[2], True)]
        for page, kept in expected:
            websocket, answer = await open_page(server, page, here)
            assert answer.startswith("40{" if kept else RELOAD)
            await websocket.close()
    assert await is_open(connected, first)
    await connected.close()


async def test_connections_per_network_are_limited(server: ServerProcess, here: dict[str, str]) -> None:
    await wait_for_metric(server, "sockets", 0)
    refused_before = await metric(server, 'sockets_refused_total{reason="too_many"}')
    pages = [await fetch(server, "/", here) for _ in range(SOCKETS + 1)]
    async with httpx.AsyncClient(base_url=server.url, timeout=60, headers=here) as browser:
        polling = await browser.get(f"{PATH}?{pages[0].query(transport='polling')}")
        assert polling.status_code == 200
        websockets = [await open_page(server, page, here) for page in pages[1:SOCKETS]]
        late = pages[SOCKETS]
        for _ in range(2):
            with pytest.raises(InvalidStatus) as refused:
                await dial(server, late.query(), here)
            assert refused.value.response.status_code == 429
            assert (await browser.get(f"{PATH}?{late.query(transport='polling')}")).status_code == 429
        # Other networks may still connect, and so may this one after a connection is closed.
        elsewhere = await dial(server, late.query(), {"X-Forwarded-For": "192.0.2.7"})
        await elsewhere.close()
        await websockets[0][0].close()
        await wait_for_metric(server, "sockets", SOCKETS - 1)
        again, answer = await open_page(server, late, here)
        assert answer.startswith("40")
        for websocket, _ in [(again, ""), *websockets]:
            await websocket.close()
    # The page that polled and fell silent is dropped.
    await wait_for_metric(server, "sockets", 0)
    assert await metric(server, 'sockets_refused_total{reason="too_many"}') == refused_before + 4
    assert server.log_text().count("EXPERT_BOOKING_SOCKETS_PER_NETWORK") == 1


async def test_polling_pages_follow_the_same_rules(server: ServerProcess, here: dict[str, str]) -> None:
    async with httpx.AsyncClient(base_url=server.url, timeout=60, headers=here) as browser:

        async def begin() -> str:
            query = (await fetch(server, "/", here)).query(transport="polling")
            name = json.loads((await browser.get(f"{PATH}?{query}")).text[1:])["sid"]
            url = f"{PATH}?EIO=4&transport=polling&sid={name}"
            assert (await browser.post(url, content="40")).text == "OK"
            assert "40{" in (await browser.get(url)).text
            return url

        several: list[list[str | bytes]] = [
            ["45100000-[]"], ["bAAAA"], ["x\x1e7\x1e44"], ["A" * 70_000], ['42["connect"]'] * 3, [b"\xff"],
        ]  # fmt: skip
        for bodies in several:
            url = await begin()
            for body in bodies:
                await browser.post(url, content=body)
            assert (await browser.get(url)).status_code == 400
        url = await begin()
        assert (await browser.get(url.replace("&sid", "&j=1&sid"))).status_code == 400
        assert (await browser.put(url)).status_code == 405
        assert (await browser.get("/_nicegui_ws/elsewhere")).status_code == 404
        assert (await browser.get(f"{PATH}?EIO=4&transport=polling")).status_code == 400
        await browser.post(url, content="1")


async def test_page_that_requests_much_and_reads_nothing_is_disconnected(
    server: ServerProcess, here: dict[str, str]
) -> None:
    page = await fetch(server, "/expert/jana-muller", {**here, "Cookie": "zone=Europe/Berlin"})
    async with httpx.AsyncClient(base_url=server.url, timeout=60, headers=here) as browser:
        name = json.loads((await browser.get(f"{PATH}?{page.query(transport='polling')}")).text[1:])["sid"]
        url = f"{PATH}?EIO=4&transport=polling&sid={name}"
        answers = [await browser.post(url, content="40")]
        async with asyncio.timeout(60):
            while answers[-1].status_code == 200:
                stale = "\x1e".join([page.event("stale")] * 10 + ["3"])
                answers.append(await browser.post(url, content=stale))
        assert len(answers) > 2
    await wait_for_metric(server, "sockets", 0)


async def test_queue_knows_its_size_in_bytes() -> None:
    class Packet:
        data = "x" * 100

    queue = OutgoingQueue()
    for packet in (Packet(), None, Packet()):
        await queue.put(packet)
    assert queue.waiting == 200
    await queue.get()
    await queue.get()
    assert queue.waiting == 100


async def test_old_pages_are_deleted_without_blocking_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    pages = Pages(per_network=2000)
    monkeypatch.setattr(Client, "instances", pages)
    for _ in range(1500):
        page = Client(nicegui_page("/"))
        page.created -= 120
    assert pages.unconnected == 1500
    turns = 0

    async def others() -> None:
        nonlocal turns
        while pages:
            turns += 1
            await asyncio.sleep(0)

    waiting = asyncio.create_task(others())
    await asyncio.sleep(0)
    await page_limits.prune()
    assert not pages
    assert pages.unconnected == 0
    assert turns > 3, "1500 pages were deleted in one go"
    await waiting


# --- origins -----------------------------------------------------------------------------


async def test_only_pages_of_this_site_may_connect(server: ServerProcess, here: dict[str, str]) -> None:
    page = await fetch(server, "/", here)
    for origin in (server.url, BASE):
        websocket = await dial(server, page.query(), {**here, "Origin": origin})
        await websocket.close()
    for origin in ("https://evil.test", "null", f"{BASE}.evil.test", f"http://127.0.0.1:{server.port + 1}"):
        with pytest.raises(InvalidStatus) as failure:
            await dial(server, page.query(), {**here, "Origin": origin})
        assert failure.value.response.status_code == 403
        async with httpx.AsyncClient(base_url=server.url, timeout=60) as browser:
            url = f"{PATH}?{page.query(transport='polling')}"
            for method in ("GET", "OPTIONS"):
                answer = await browser.request(method, url, headers={**here, "Origin": origin})
                assert answer.status_code in (403, 405)
                assert not [name for name in answer.headers if name.startswith("access-control")]
    assert server.log_text().count("EXPERT_BOOKING_BASE_URL") == 1


@pytest.mark.parametrize(
    ("base_url", "headers", "own"),
    [
        (None, {"host": "a.test"}, True),
        (None, {"host": "a.test", "origin": "https://a.test"}, True),
        (None, {"host": "a.test:443", "origin": "https://a.test"}, True),
        (None, {"host": "127.0.0.1:8080", "origin": "https://a.test", "x-forwarded-host": "a.test"}, True),
        (None, {"host": "127.0.0.1:8080", "origin": "https://b.test", "x-forwarded-host": "a.test"}, False),
        ("https://a.test", {"host": "127.0.0.1:8080", "origin": "https://a.test"}, True),
        ("https://a.test", {"host": "b.test", "origin": "https://c.test", "x-forwarded-host": "c.test"}, False),
        ("https://a.test/", {"host": "a.test", "origin": "https://a.test:8443"}, False),
        (None, {"host": "a.test", "origin": "null"}, False),
        (None, {"host": "a.test", "origin": "https://a.test@evil.test"}, False),
        (None, {"host": "a.test", "origin": "https://a.test:x"}, False),
        (None, {"host": "A.test", "origin": "https://a.TEST"}, True),
        (None, {"host": "", "origin": "https://"}, False),
    ],
)
def test_origin_is_own_by_host_and_port(base_url: str | None, headers: dict[str, str], own: bool) -> None:
    scope = {"type": "http", "headers": [(key.encode(), value.encode()) for key, value in headers.items()]}
    assert is_own_origin(scope, base_url) is own
