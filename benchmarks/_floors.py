"""The floors: the barest servers that could do the same kind of work. `python _floors.py empty_page|rooms|rows`."""

import gc
import os
import sys
import time
from typing import Any

import psycopg
import socketio
import uvicorn
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route
from starlette.types import ASGIApp

ROOM = "slots"


def empty_page() -> ASGIApp:
    """A NiceGUI page with nothing on it, set up as the product sets NiceGUI up."""
    from nicegui import ui

    @ui.page("/empty")
    def empty() -> None:
        pass

    web = FastAPI()
    web.add_api_route("/alive", lambda: "yes")
    ui.run_with(web, binding_refresh_interval=None, reconnect_timeout=5, tailwind=False, show_welcome_message=False)
    gc.collect()
    gc.freeze()
    return web


def rooms() -> ASGIApp:
    """A socket.io server with one room; `POST /tell` tells everybody in it and answers when it began to."""
    sio = socketio.AsyncServer(async_mode="asgi", cors_allowed_origins="*", ping_interval=4, ping_timeout=2)

    @sio.event  # type: ignore[untyped-decorator]
    async def connect(sid: str, _: dict[str, Any]) -> None:
        await sio.enter_room(sid, ROOM)

    async def tell(request: Request) -> JSONResponse:
        message = await request.json()
        began = time.monotonic()  # the same clock in every process of a machine
        await sio.emit("slots", message, room=ROOM)
        return JSONResponse(began)

    async def alive(_: Request) -> PlainTextResponse:
        return PlainTextResponse("yes")

    plain = Starlette(routes=[Route("/tell", tell, methods=["POST"]), Route("/alive", alive)])
    app: ASGIApp = socketio.ASGIApp(sio, plain, socketio_path="/_nicegui_ws/socket.io")
    return app


def rows() -> ASGIApp:
    """The twenty best rated experts as JSON, by one statement on one connection; needs a database."""
    connections: list[psycopg.AsyncConnection[Any]] = []

    async def best(_: Request) -> JSONResponse:
        if not connections:
            connections.append(await psycopg.AsyncConnection.connect(os.environ["EXPERT_BOOKING_DATABASE_URL"]))
            await connections[0].set_autocommit(True)
        found = await connections[0].execute(
            "SELECT id::text, slug, name, category, headline, time_zone FROM expert WHERE active"
            " ORDER BY rating_key DESC, rating_count DESC, id DESC LIMIT 20"
        )
        return JSONResponse(await found.fetchall())

    async def alive(_: Request) -> PlainTextResponse:
        return PlainTextResponse("yes")

    return Starlette(routes=[Route("/rows", best), Route("/alive", alive)])


if __name__ == "__main__":
    uvicorn.run(
        {"empty_page": empty_page, "rooms": rooms, "rows": rows}[sys.argv[1]](),
        port=int(os.environ["EXPERT_BOOKING_PORT"]),
        log_level="warning",
        access_log=False,
        ws="websockets-sansio",
        ws_per_message_deflate=False,
        lifespan="on",
        timeout_graceful_shutdown=3,
    )
