"""`ui.page` with a timeout and an error page for when the database is unavailable."""

from collections.abc import Callable
from functools import wraps
from typing import Any, Final

from fastapi import Response
from nicegui import ui

from expert_booking.domain.errors import Unavailable
from expert_booking.web import error_pages

# Seconds. Longer than the timeouts of the database, since NiceGUI's own error does not help visitors.
RESPONSE_TIMEOUT: Final = 30.0

Build = Callable[..., Any]


def page(path: str, **more: Any) -> Callable[[Build], Build]:
    """`ui.page` for a coroutine function. If the database is unavailable, the response is a 503 error page."""

    def decorate(build: Build) -> Build:
        @wraps(build)
        async def with_timeout(*given: Any, **named: Any) -> Response | None:
            try:
                response: Response | None = await build(*given, **named)
            except Unavailable as refusal:
                return error_pages.unavailable_response(refusal)
            return response

        return ui.page(path, response_timeout=RESPONSE_TIMEOUT, **more)(with_timeout)

    return decorate
