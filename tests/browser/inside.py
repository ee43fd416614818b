"""The normal server plus inspection endpoints: `/inside` counts what open pages keep alive, `/inside/weight` the
resources of the whole process, and `/inside/routes` lists the methods of all routes.

Run as `python -m tests.browser.inside`. The endpoints find the site's objects with the garbage collector, so the
product needs no test hook.
"""

import asyncio
import gc
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from fastapi.routing import iter_route_contexts
from nicegui import Client, core
from nicegui.app.app import prune_tab_storage
from starlette.responses import JSONResponse
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from expert_booking import app, cli, http_methods
from expert_booking.bus import Bus
from expert_booking.web.live.broadcast import Broadcaster
from expert_booking.web.live.next_free import NextFree
from expert_booking.web.live.slot_boards import LiveBoards


async def count_page_objects() -> dict[str, int]:
    """Count the objects that open pages keep alive."""
    gc.unfreeze()  # include what was frozen at start-up
    rooms = (room for spaces in core.sio.manager.rooms.values() for room in spaces if room)
    return {
        "pages": len(Client.instances),
        "subscribers": sum(bus.subscriber_count() for bus in _all(Bus)),
        "boards": sum(map(len, _all(LiveBoards))),
        "next_free": sum(map(len, _all(NextFree))),
        "rooms": sum(room.startswith(("slots:", "next:")) for room in rooms),
    }


async def weight() -> dict[str, int]:
    """Count the resources of the process after a garbage collection."""
    await prune_tab_storage()  # as NiceGUI does every ten seconds
    gc.unfreeze()
    gc.collect()
    objects = gc.get_objects()
    pages = int(Path("/proc/self/statm").read_text().split()[1])  # noqa: ASYNC240
    return {
        "tasks": len(asyncio.all_tasks()),
        "timers": sum(type(thing).__name__ == "TimerHandle" for thing in objects),
        "behind": sum(one.lagging() for one in _all(Broadcaster)),
        "objects": len(objects),
        "memory": pages * os.sysconf("SC_PAGE_SIZE") // 1024,
    }


async def routes() -> dict[str, list[str]]:
    """The methods of all routes of the pages and the API, by path template."""
    gc.unfreeze()
    found: dict[str, set[str]] = {}
    for router in _all(app.PathRouter):
        for site in (router.app, router._api):
            for path, methods in _routes_in(http_methods._routes_of(site)):
                found.setdefault(path, set()).update(methods)
    return {path: sorted(methods) for path, methods in found.items()}


def _routes_in(several: Iterable[Any], prefix: str = "") -> Iterator[tuple[str, set[str]]]:
    for route in iter_route_contexts(list(several)):
        if not isinstance(route.original_route, Mount):
            yield prefix + str(route.path), set(route.methods or ())
        elif isinstance(route.original_route.app, StaticFiles):
            yield f"{prefix}{route.path}/{{file:path}}", {"GET"}
        else:
            yield from _routes_in(route.original_route.routes, prefix + str(route.path))


def _all(kind: type[Any]) -> Iterator[Any]:
    return (thing for thing in gc.get_objects() if type(thing) is kind)


class InspectionMiddleware:
    """Serves `/inside` and passes every other request on."""

    def __init__(self, site: ASGIApp) -> None:
        self.app = site

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        inspections = {"/inside": count_page_objects, "/inside/weight": weight, "/inside/routes": routes}
        inspection = inspections.get(scope.get("path", ""))
        await (JSONResponse(await inspection()) if inspection else self.app)(scope, receive, send)


if __name__ == "__main__":
    build = app.create_app
    app.create_app = lambda *settings, **more: InspectionMiddleware(build(*settings, **more))
    cli.main(sys.argv[1:])
