"""The floors: minimal servers that do the same kind of work. Run `python _floors.py NAME`; the names are at the end."""

import os
import sys
import time
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import socketio
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from sqlalchemy import text
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route
from starlette.types import ASGIApp

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from expert_booking.db.engine import Database

ROOM = "slots"


def empty_page() -> ASGIApp:
    """An empty NiceGUI page, with the product's settings of NiceGUI and the garbage collector."""
    from nicegui import ui

    from expert_booking.server import tune_garbage_collection

    @ui.page("/empty")
    def empty() -> None:
        pass

    web = FastAPI()
    web.add_api_route("/alive", lambda: "yes")
    ui.run_with(web, binding_refresh_interval=None, reconnect_timeout=5, tailwind=False, show_welcome_message=False)
    tune_garbage_collection()
    return web


def rooms() -> ASGIApp:
    """A socket.io server with one room. `POST /emit` sends a message to the room and returns when it began."""
    sio = socketio.AsyncServer(async_mode="asgi", cors_allowed_origins="*", ping_interval=4, ping_timeout=2)

    @sio.event  # type: ignore[untyped-decorator]
    async def connect(sid: str, _: dict[str, Any]) -> None:
        await sio.enter_room(sid, ROOM)

    async def emit(request: Request) -> JSONResponse:
        message = await request.json()
        began = time.monotonic()  # this clock is the same in all processes of a machine
        await sio.emit("slots", message, room=ROOM)
        return JSONResponse(began)

    async def alive(_: Request) -> PlainTextResponse:
        return PlainTextResponse("yes")

    plain = Starlette(routes=[Route("/emit", emit, methods=["POST"]), Route("/alive", alive)])
    app: ASGIApp = socketio.ASGIApp(sio, plain, socketio_path="/_nicegui_ws/socket.io")
    return app


def rows() -> ASGIApp:
    """The twenty best rated experts as JSON, read by one statement on one connection. Needs a database."""
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


class BareBooking(BaseModel):
    """The body of `POST /bookings`, validated by type only."""

    expertId: UUID  # noqa: N815 - the name in JSON
    startsAt: datetime  # noqa: N815
    name: str
    email: str
    phone: str
    notes: str = ""
    timeZone: str | None = None  # noqa: N815


# The product's INSERT, without any check before it.
BARE_INSERT = text(
    """
    INSERT INTO booking (id, expert_id, session_type_id, starts_at, ends_at, busy, status, name, email, customer_key,
                         phone, notes, time_zone)
    VALUES (gen_random_uuid(), :expert, :expert, :start, CAST(:start AS timestamptz) + interval '1 hour',
            tstzrange(:start, CAST(:start AS timestamptz) + interval '1 hour'), 'pending', :name, :email, :email,
            :phone, :notes, :zone)
    ON CONFLICT DO NOTHING RETURNING id, created_at, updated_at, version
    """
)
# The rows from which slots are computed.
BARE_SELECT = text(
    """
    SELECT lower(busy) AS busy_from, upper(busy) AS busy_until, status, starts_at FROM booking
     WHERE expert_id = :expert AND starts_at >= :since AND starts_at < :until
       AND status IN ('held', 'pending', 'confirmed', 'completed', 'no_show')
    """
)


BARE_LIST = text(
    """
    SELECT id, slug, name, category, experience_years, rating, rating_count, headline, languages, time_zone FROM expert
     WHERE active ORDER BY rating_key DESC, rating_count DESC, id DESC LIMIT 20
    """
)


def bare() -> ASGIApp:
    """FastAPI with the product's own pool: a bare INSERT of a booking, bare SELECTs of busy times and experts."""
    api, database = FastAPI(), Database(os.environ["EXPERT_BOOKING_DATABASE_URL"])

    @api.get("/alive")
    async def alive() -> str:
        return "yes"

    @api.post("/bookings")
    async def book(request: BareBooking) -> JSONResponse:
        values = {"expert": request.expertId, "start": request.startsAt, "name": request.name, "email": request.email,
                  "phone": request.phone, "notes": request.notes, "zone": request.timeZone}  # fmt: skip
        async with database.statements() as connection:
            row = (await connection.execute(BARE_INSERT, values)).one_or_none()
        if row is None:
            return JSONResponse({"detail": "taken"}, 409)
        stored = {"id": str(row.id), "createdAt": row.created_at.isoformat(), "version": row.version}
        return JSONResponse({**request.model_dump(mode="json"), **stored}, 201)

    @api.get("/experts/{expert}/slots")
    async def busy(expert: UUID, since: date, days: int) -> list[dict[str, Any]]:
        span = {"expert": expert, "since": since, "until": since + timedelta(days=days)}
        async with database.statements() as connection:
            return [dict(row._mapping) for row in await connection.execute(BARE_SELECT, span)]

    @api.get("/experts")
    async def experts() -> list[dict[str, Any]]:
        async with database.statements() as connection:
            return [dict(row._mapping) for row in await connection.execute(BARE_LIST)]

    return api


if __name__ == "__main__":
    uvicorn.run(
        {"empty_page": empty_page, "rooms": rooms, "rows": rows, "bare": bare}[sys.argv[1]](),
        port=int(os.environ["EXPERT_BOOKING_PORT"]),
        log_level="warning",
        access_log=False,
        ws="websockets-sansio",
        ws_per_message_deflate=False,
        lifespan="on",
        timeout_graceful_shutdown=3,
    )
