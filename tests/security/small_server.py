"""A small application on the product's server, with limits short enough for tests.

Run as `python -m tests.security.small_server PORT`.
"""

import asyncio
import socket
import sys
from typing import Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from expert_booking import logs, server
from expert_booking.http_protocol import ConnectionLimits

LIMITS: Final = ConnectionLimits(
    head_seconds=1.5, body_pause_seconds=1.5, body_seconds=3, linger_seconds=0.3, connections=50
)
# Longer than each of these limits.
SLOW: Final = 4


async def echo(request: Request) -> PlainTextResponse:
    """Answer with method, path and body length."""
    return PlainTextResponse(f"{request.method} {request.url.path} {len(await request.body())}\n")


async def slow(request: Request) -> PlainTextResponse:
    """Answer after `SLOW` seconds."""
    await asyncio.sleep(SLOW)
    return await echo(request)


async def early(_: Request) -> PlainTextResponse:
    """Answer without reading the body."""
    return PlainTextResponse("early\n")


def main(port: int) -> None:
    """Serve until SIGTERM."""
    methods = ["GET", "POST"]
    app = Starlette(
        routes=[
            Route("/slow", slow, methods=methods),
            Route("/early", early, methods=methods),
            Route("/{rest:path}", echo, methods=methods),
        ]
    )
    logs.set_up()
    listener = socket.create_server(("127.0.0.1", port), backlog=2048)
    server.serve(app, listener, LIMITS)


if __name__ == "__main__":
    main(int(sys.argv[1]))
