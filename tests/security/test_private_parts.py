"""Private parts of libraries are checked at the start; where one has changed, the product does without it."""

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
from tests.security.changed_libraries import WebSocketWithoutBackPressure
from tests.serving import ServerProcess
from tests.viewers import Viewer

PATIENCE = 20


class WithoutBackPressure(FrameWebSocket):
    """It goes on writing to a socket whose buffer is full."""

    pause_writing = WebSocketWithoutBackPressure.pause_writing


class WithMoreBytes(FrameWebSocket):
    """It writes something else besides the message."""

    async def send(self, message: Any) -> None:
        """Send a message, and an empty ping."""
        await super().send(message)
        self.transport.write(b"\x89\x00")


class WithoutWriting(FrameWebSocket):
    """It keeps messages for later."""

    async def send(self, message: Any) -> None:
        """Send only what opens the connection."""
        if message["type"] == "websocket.accept":
            await super().send(message)


class WithAnotherName(FrameWebSocket):
    """What says that a buffer is full is called something else."""

    pause_writing: Any = None


class WithMoreArguments(FrameWebSocket):
    """Its constructor wants something that uvicorn passes, and we do not."""

    def __init__(self, *args: Any, more: object, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)


def test_the_installed_uvicorn_is_as_expected() -> None:
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
def test_a_websocket_class_that_works_differently_is_found(protocol: Any, problem: str) -> None:
    assert problem_with(protocol) == problem


class ChangedServer(ServerProcess):
    """The product on a uvicorn that has changed."""

    module = "tests.security.changed_libraries"


async def test_with_another_uvicorn_pages_hear_the_news_and_the_log_says_once_what_is_missing(
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
                while not any(text.startswith('42["slots"') and start in text for text in viewer.heard):  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            await viewer.close()
        assert await asyncio.to_thread(server.stop) == 0
        log = server.words()
    assert len(re.findall("WARNING .*through Socket.IO.*: a message is written to a socket whose buffer", log)) == 1
    assert len(re.findall("WARNING .*a shutdown will drop.*: TypeError: .*'_loop'", log)) == 1
    assert "Traceback" not in log
