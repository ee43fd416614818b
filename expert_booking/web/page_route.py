"""Pages that wait as long as the database is waited for, and say so where that was in vain."""

from collections.abc import Callable
from functools import wraps
from typing import Any, Final

from fastapi import Response
from nicegui import ui

from expert_booking.domain.errors import Unavailable
from expert_booking.web import error_pages

# Seconds: longer than the database is waited for, since what NiceGUI says after them helps nobody.
PATIENCE: Final = 30.0

Build = Callable[..., Any]


def page(path: str, **more: Any) -> Callable[[Build], Build]:
    """`ui.page` for a coroutine function; where the database is away, the answer is 503 and no mistake of ours."""

    def serve(build: Build) -> Build:
        @wraps(build)
        async def with_timeout(*given: Any, **named: Any) -> Response | None:
            try:
                response: Response | None = await build(*given, **named)
            except Unavailable as refusal:
                return error_pages.unavailable_response(refusal)
            return response

        return ui.page(path, response_timeout=PATIENCE, **more)(with_timeout)

    return serve
