"""Broadcasting straight to websockets, tested on a real server with clients that speak Socket.IO at the byte level."""

import asyncio
import gc
import json
import socket
import tracemalloc
import weakref
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import httpx
import pytest
import socketio
import uvicorn
from nicegui import core
from socketio.packet import Packet

from expert_booking import app
from expert_booking.web.live import broadcast
from expert_booking.web.live.broadcast import MISSED, Broadcaster
from expert_booking.web.live.websocket import EXTENSION, FrameWebSocket

PATIENCE = 20
EVENT = {
    "expert": "Jana Müller",
    "version": 3,
    "changes": [["2026-11-24T09:00:00Z", "booked"]],
    "zone": "Asia/Kathmandu",
}
_numbers = count(1)


class Socket:
    """A browser's websocket. `frame` returns the next frame as received; the server sends no pings in these tests."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def open(cls, port: int, query: str = "") -> "Socket":
        """Connect and complete the websocket handshake."""
        self = cls(*await asyncio.open_connection("127.0.0.1", port))
        lines = (f"GET /socket.io/?EIO=4&transport=websocket{query} HTTP/1.1", "Host: 127.0.0.1", "Upgrade: websocket",
                 "Connection: Upgrade", "Sec-WebSocket-Version: 13",
                 f"Sec-WebSocket-Key: {b64encode(bytes(16)).decode()}", "", "")  # fmt: skip
        self._writer.write("\r\n".join(lines).encode())
        assert (await self._reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")
        return self

    async def frame(self) -> bytes:
        """Return the next whole frame."""
        async with asyncio.timeout(PATIENCE):
            head = await self._reader.readexactly(2)
            more = {126: 2, 127: 8}.get(head[1], 0)
            long = await self._reader.readexactly(more)
            return head + long + await self._reader.readexactly(int.from_bytes(long, "big") if more else head[1])

    async def event(self) -> list[Any]:
        """Return the next Socket.IO event and skip Engine.IO's own frames."""
        while b"42[" not in (frame := await self.frame()):
            pass
        event: list[Any] = json.loads(frame[frame.index(b"42[") + 2 :])
        return event

    def send_text(self, text: str) -> None:
        """Send one text frame, masked with zeros."""
        self._writer.write(bytes((0x81, 0x80 | len(text))) + bytes(4) + text.encode())

    def close(self) -> None:
        """Drop the connection."""
        self._writer.transport.abort()


@asynccontextmanager
async def running_server(listener: socket.socket) -> AsyncIterator[int]:
    """Run NiceGUI's Socket.IO server on the product's server and protocol class; yields the port."""
    config = uvicorn.Config(socketio.ASGIApp(core.sio), ws=FrameWebSocket, ws_per_message_deflate=False,
                            log_level="warning", lifespan="off", timeout_graceful_shutdown=1)  # fmt: skip
    server = uvicorn.Server(config)
    running = asyncio.create_task(server.serve(sockets=[listener]))
    yield listener.getsockname()[1]
    server.should_exit = True
    await running


@pytest.fixture(scope="module")
async def port() -> AsyncIterator[int]:
    """The server's port."""
    async with running_server(app.bind("127.0.0.1", 0)) as port:
        yield port


@pytest.fixture
def room() -> str:
    """A room that no other test uses."""
    return f"room:{next(_numbers)}"


async def enter(port: int, room: str) -> tuple[Socket, str]:
    """Open a page with a websocket in this room. Returns the page and its session id."""
    page = await Socket.open(port)
    await page.frame()
    page.send_text("40")
    sid = json.loads((await page.frame())[4:])["sid"]
    await core.sio.enter_room(sid, room)
    return page, sid


async def enter_polling(port: int, room: str) -> tuple[str, str]:
    """Open a page that uses long polling, in this room. Returns its polling URL and its session id."""
    url = f"http://127.0.0.1:{port}/socket.io/?EIO=4&transport=polling"
    async with httpx.AsyncClient() as browser:
        url += "&sid=" + json.loads((await browser.get(url)).text[1:])["sid"]
        await browser.post(url, content="40")
        sid = json.loads((await browser.get(url)).text[2:])["sid"]
    await core.sio.enter_room(sid, room)
    return url, sid


@pytest.mark.parametrize("size", [1, 200, 70_000])  # websockets have three header sizes
async def test_broadcast_sends_the_same_bytes_as_socket_io(port: int, room: str, size: int) -> None:
    broadcaster, pages = Broadcaster(core.sio), [await enter(port, room) for _ in range(3)]
    for message in (EVENT, {"changes": "ä" * size, "nothing": None, "number": 0.25, "of": {"a": [1, "”", True]}}):
        await core.sio.emit("slots", message, room=room)
        await broadcaster.send(room, "slots", message)
        for page, _ in pages:
            assert await page.frame() == await page.frame()
    assert broadcaster.emit_count == 0
    for page, _ in pages:
        page.close()


async def test_polling_clients_and_binary_messages_fall_back_to_emit(
    port: int, room: str, caplog: pytest.LogCaptureFixture
) -> None:
    broadcaster, (page, _), (polling, _) = (
        Broadcaster(core.sio),
        await enter(port, room),
        await enter_polling(port, room),
    )
    began_so, _ = await enter_polling(port, room)
    upgraded = await Socket.open(port, "&sid=" + began_so.rpartition("=")[2])
    upgraded.send_text("2probe")
    assert (await upgraded.frame()).endswith(b"3probe")
    upgraded.send_text("5")
    await broadcaster.send(room, "slots", EVENT)
    assert broadcaster.emit_count == 2
    for one in (page, upgraded):
        assert await one.event() == ["slots", EVENT]
    async with httpx.AsyncClient() as browser:
        assert json.loads((await browser.get(polling)).text[2:]) == ["slots", EVENT]
    assert "fast broadcast" not in caplog.text
    await broadcaster.send(room, "slots", {"portrait": b"png"})
    for one in (page, upgraded):
        assert b'451-["slots",{"portrait":' in await one.frame()
        assert (await one.frame())[2:] == b"png"
        one.close()


class BrokenTransport:
    """A transport of an unknown kind."""

    def is_closing(self) -> bool:
        raise RuntimeError("another server, another way")


async def test_socket_that_cannot_be_written_falls_back_to_emit_and_is_logged_once(
    port: int, room: str, caplog: pytest.LogCaptureFixture
) -> None:
    broadcaster, (page, sid), (other, _) = Broadcaster(core.sio), await enter(port, room), await enter(port, room)
    core.sio.get_environ(sid)["asgi.scope"]["extensions"][EXTENSION] = BrokenTransport()
    for _ in range(3):
        await broadcaster.send(room, "slots", EVENT)
    for _ in range(3):
        assert [await page.event(), await other.event()] == 2 * [["slots", EVENT]]
    assert (broadcaster.emit_count, caplog.text.count("RuntimeError: another server")) == (3, 1)
    page.close()
    other.close()


async def test_incompatible_socket_io_falls_back_to_emit_and_is_logged_once(
    port: int, room: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    broadcaster, (page, _), (other, _) = Broadcaster(core.sio), await enter(port, room), await enter(port, room)
    broadcaster.check()
    await broadcaster.send(room, "slots", EVENT)
    assert (broadcaster.emit_count, caplog.text) == (0, "")
    monkeypatch.setattr(core.sio, "get_environ", lambda: None)
    broadcaster.check()
    await broadcaster.send(room, "slots", EVENT)
    await broadcaster.send(room, "slots", EVENT)
    assert broadcaster.emit_count == 2
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert caplog.text.count("through Socket.IO, which is slower with many pages: TypeError") == 1
    for one in (page, other):
        assert [await one.event() for _ in range(3)] == 3 * [["slots", EVENT]]
        one.close()


class SpacedPacket(Packet):  # type: ignore[misc]
    """A packet whose JSON has different spacing."""

    def encode(self) -> str:
        """Encode the packet as text."""
        return f"{self.packet_type}{json.dumps(self.data)}"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"environ": None}, "AttributeError"),
        ({"manager": object()}, "AttributeError"),
        ({"packet_class": lambda *_, **__: EVENT}, "AttributeError"),
        ({"packet_class": SpacedPacket}, 'Socket.IO encodes events as \'42["slots", {"version": 1}]\''),
    ],
)
def test_check_covers_every_part_of_socket_io_in_use(
    change: dict[str, Any], problem: str, caplog: pytest.LogCaptureFixture
) -> None:
    sio = socketio.AsyncServer(async_mode="asgi")
    for name, value in change.items():
        setattr(sio, name, value)
    Broadcaster(sio).check()
    assert len(caplog.records) == 1
    assert problem in caplog.text


async def test_joining_a_room_starts_and_leaving_it_stops_delivery(
    port: int, room: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(broadcast, "ROUTE_MAX_AGE", 0.2)
    broadcaster, (page, sid), (other, _) = Broadcaster(core.sio), await enter(port, room), await enter(port, room)
    await broadcaster.send(room, "slots", {"version": 1})
    later, later_sid = await enter(port, room)
    await broadcaster.send(room, "slots", {"version": 2})
    # A page that has just disconnected, and is still in the room, causes neither a warning nor the fallback.
    core.sio.get_environ(sid)["asgi.scope"]["extensions"][EXTENSION].abort()
    await broadcaster.send(room, "slots", {"version": 3})
    assert [(await other.event())[1]["version"] for _ in range(3)] == [1, 2, 3]
    assert [(await later.event())[1]["version"] for _ in range(2)] == [2, 3]
    assert (broadcaster.emit_count, "fast broadcast" in caplog.text) == (0, False)

    # After all pages have left and nothing more is sent, no reference to their transports remains.
    transport = weakref.ref(core.sio.get_environ(later_sid)["asgi.scope"]["extensions"][EXTENSION])
    assert transport() is not None
    for one in (page, other, later):
        one.close()
    async with asyncio.timeout(PATIENCE):
        while transport() is not None:
            gc.collect()
            await asyncio.sleep(0.05)


async def test_messages_of_a_room_arrive_in_order_mixed_with_niceguis_own(
    port: int, room: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broadcast, "SOCKETS_PER_TURN", 1)  # yield to the event loop after each socket
    broadcaster, pages = Broadcaster(core.sio), [await enter(port, room) for _ in range(5)]

    async def update(number: int) -> None:
        for _, sid in pages:
            await core.sio.emit("update", number, to=sid)

    async with asyncio.TaskGroup() as group:
        for number in range(60):
            group.create_task(broadcaster.send(room, "slots", {"version": number}))
            group.create_task(update(number))
    for page, _ in pages:
        events = [await page.event() for _ in range(120)]
        assert [message["version"] for kind, message in events if kind == "slots"] == list(range(60))
    # A message does not overtake an earlier one when fewer recipients remain.
    earlier = asyncio.create_task(broadcaster.send(room, "slots", {"version": 60}))
    await asyncio.sleep(0)
    for _, sid in pages[:-1]:
        await core.sio.leave_room(sid, room)
    await broadcaster.send(room, "slots", {"version": 61})
    await earlier
    assert [(await pages[-1][0].event())[1]["version"] for _ in range(2)] == [60, 61]
    for page, _ in pages:
        page.close()


async def test_page_that_stops_reading_delays_no_one_and_gets_a_missed_event(port: int, room: str) -> None:
    broadcaster, (slow_page, _) = Broadcaster(core.sio), await enter(port, room)
    pages, much, most = [await enter(port, room) for _ in range(3)], "x" * 40_000, 500
    tracemalloc.start()
    for number in range(most):
        await broadcaster.send(room, "slots", {"version": number, "much": much})
        for page, _ in pages:
            assert (await page.event())[1]["version"] == number
    assert (broadcaster.lagging(), broadcaster.emit_count) == (1, 0)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 3_000_000, "of 20 MB that it has not read"

    # It reads again: first the buffered messages without a gap, then the notice that some were dropped.
    versions = []
    while (event := await slow_page.event())[0] == "slots":
        versions.append(event[1]["version"])
    assert event == [MISSED, {}]
    assert versions == list(range(len(versions)))
    assert len(versions) < most
    # From then on it receives messages like any other page.
    await broadcaster.send(room, "slots", EVENT)
    assert await slow_page.event() == ["slots", EVENT]
    assert broadcaster.lagging() == 0
    for page, _ in [*pages, (slow_page, "")]:
        page.close()


async def test_page_that_never_reads_again_is_disconnected_and_forgotten(
    room: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "SEND_TIMEOUT", 0.5)
    async with running_server(app.bind("127.0.0.1", 0)) as port:
        broadcaster, (slow_page, _) = Broadcaster(core.sio), await enter(port, room)
        while not broadcaster.lagging():
            await broadcaster.send(room, "slots", {"much": "x" * 100_000})
            await asyncio.sleep(0)
        async with asyncio.timeout(PATIENCE):
            while broadcaster.lagging():  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        slow_page.close()
