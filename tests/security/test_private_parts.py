"""Private parts of libraries are checked at start-up; if one has changed, the product works without it."""

import asyncio
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from expert_booking.web.live.websocket import FrameWebSocket, problem_with
from tests.api.conftest import booking_of
from tests.conftest import AddExpert
from tests.page_viewer import Viewer
from tests.security.changed_libraries import WebSocketWithoutBackPressure
from tests.server import ServerProcess

PATIENCE = 20


class WithoutBackPressure(FrameWebSocket):
    """Goes on writing to a socket whose buffer is full."""

    pause_writing = WebSocketWithoutBackPressure.pause_writing


class WithMoreBytes(FrameWebSocket):
    """Writes something besides the message."""

    async def send(self, message: Any) -> None:
        """Send a message and an empty ping."""
        await super().send(message)
        self.transport.write(b"\x89\x00")


class WithoutWriting(FrameWebSocket):
    """Keeps messages for later."""

    async def send(self, message: Any) -> None:
        """Send only what opens the connection."""
        if message["type"] == "websocket.accept":
            await super().send(message)


class WithAnotherName(FrameWebSocket):
    """The callback for a full buffer has another name."""

    pause_writing: Any = None


class WithMoreArguments(FrameWebSocket):
    """A constructor that requires an argument which uvicorn passes and the product does not."""

    def __init__(self, *args: Any, more: object, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)


def test_installed_uvicorn_is_compatible() -> None:
    assert problem_with(FrameWebSocket) is None


@pytest.mark.parametrize(
    ("protocol", "problem"),
    [
        (WebSocketsSansIOProtocol, "the transport is not in the scope"),
        (WithoutBackPressure, "a message is written to a socket whose buffer is full"),
        (WithMoreBytes, "a message is not written immediately, whole and uncompressed"),
        (WithoutWriting, "a message is not written immediately, whole and uncompressed"),
        (WithAnotherName, "TypeError: 'NoneType' object is not callable"),
        (WithMoreArguments, "TypeError: WithMoreArguments.__init__() missing 1 required keyword-only argument: 'more'"),
    ],
)
def test_incompatible_websocket_class_is_detected(protocol: Any, problem: str) -> None:
    assert problem_with(protocol) == problem


class ChangedServer(ServerProcess):
    """The product on a modified uvicorn."""

    module = "tests.security.changed_libraries"
    forked = False  # it changes libraries before the product imports them


async def test_changed_uvicorn_still_delivers_events_and_is_logged_once(
    database_url: str, tmp_path: Path, add_expert: AddExpert
) -> None:
    expert = await add_expert()
    with ChangedServer(tmp_path, database_url) as server:
        await asyncio.to_thread(server.wait_until_alive)
        async with httpx.AsyncClient(base_url=server.url, timeout=PATIENCE) as browser:
            viewer = await Viewer.open(browser, "/expert/jana-muller")
            start = (await browser.get(f"/experts/{expert}")).json()["nextAvailable"]
            (await browser.post("/bookings", json=booking_of(expert, startsAt=start))).raise_for_status()
            async with asyncio.timeout(PATIENCE):
                while not any(text.startswith('42["slots"') and start in text for text in viewer.received):  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            await viewer.close()
        assert await asyncio.to_thread(server.stop) == 0
        log = server.log_text()
    assert len(re.findall("WARNING .*through Socket.IO.*: a message is written to a socket whose buffer", log)) == 1
    assert len(re.findall("WARNING .*a shutdown will drop.*: TypeError: .*'_loop'", log)) == 1
    assert "Traceback" not in log
