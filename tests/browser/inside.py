"""The server as people run it, with a window into it: `/inside` counts what open pages keep alive.

Run as `python -m tests.browser.inside`. The window finds the parts of the house among all objects of the process, so
the product needs no door for it.
"""

import gc
import sys
from collections.abc import Iterator
from typing import Any

from nicegui import Client, core
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from expert_booking import app, cli
from expert_booking.bus import Bus
from expert_booking.web.live import LiveBoards, NextFree


def counted() -> dict[str, int]:
    """What there is in this process."""
    gc.unfreeze()  # what was there at the start is among it, too
    rooms = (room for spaces in core.sio.manager.rooms.values() for room in spaces if room)
    return {
        "pages": len(Client.instances),
        "followers": sum(bus.follower_count() for bus in _all(Bus)),
        "boards": sum(map(len, _all(LiveBoards))),
        "next_free": sum(map(len, _all(NextFree))),
        "rooms": sum(room.startswith(("slots:", "next:")) for room in rooms),
    }


def _all(kind: type[Any]) -> Iterator[Any]:
    return (thing for thing in gc.get_objects() if type(thing) is kind)


class Window:
    """Answers `/inside`, and hands on everything else."""

    def __init__(self, house: ASGIApp) -> None:
        self.app = house

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand on one connection."""
        inside = scope["type"] == "http" and scope["path"] == "/inside"
        await (JSONResponse(counted()) if inside else self.app)(scope, receive, send)


if __name__ == "__main__":
    build = app.create_app
    app.create_app = lambda *settings, **more: Window(build(*settings, **more))
    cli.main(sys.argv[1:])
