"""Error pages: not found, not allowed, temporarily unavailable, internal error."""

from contextlib import suppress
from typing import Final
from uuid import UUID

from fastapi import Request, Response
from markupsafe import Markup
from nicegui import Client, ui

from expert_booking.domain.errors import Unavailable
from expert_booking.logs import request_id
from expert_booking.web import layout

_EMPTY: Final = Markup(
    """<div class="empty panel" data-refusal="{code}"><svg width="64" height="64" viewBox="0 0 64 64" fill="none"
 stroke="currentColor" stroke-width="3" stroke-linecap="round" aria-hidden="true">
<rect x="10" y="14" width="44" height="40" rx="9"/>
<path d="M22 8v11M42 8v11M10 27h44M25 45c2-3.500 4.500-5 7-5s5 1.500 7 5"/></svg>
<h1>{title}</h1><p>{text}</p><a class="button" href="{url}">{way_out}</a></div>"""
)

# For a failure while a page is open.
INTERNAL_ERROR: Final = "Something went wrong on our side. Please try again in a moment."
# NiceGUI's own files, which pages request.
_NICEGUI_FILES: Final = "/_nicegui/"


def show_error(title: str, text: str, *, code: str = "not_found", status: int = 404, **button: str) -> None:
    """Draw an error page with one button: its `url` and its label, `way_out`. By default it leads to all experts."""
    _page(title, _panel(title, text, code=code, **button), status)


def unavailable_response(refusal: Unavailable) -> Response:
    """Return a 503 page instead of the page that is being built."""
    unfinished = ui.context.client
    with Client(ui.page(""), request=unfinished.request) as client:
        unavailable(refusal)
    unfinished.delete()
    return client.build_response(client.request, client.status_code)


def unavailable(refusal: Unavailable) -> None:
    """Draw the page for a temporary failure (503)."""
    show_error("Just a moment", f"{refusal}{error_reference()}", code=refusal.code, status=503)


def expert_not_found() -> None:
    """Draw the page for an unknown expert (404)."""
    show_error(
        "Expert not found",
        "The address may be mistyped, or the expert no longer takes bookings.",
        code="expert_not_found",
    )


def booking_not_found(reference: str) -> None:
    """Draw the page for a booking that does not exist or that this browser may not see (404).

    `reference` is the booking's id as it stands in the URL.
    """
    _page("Your booking", no_booking(reference), 404)


def no_booking(reference: str) -> Markup:
    """Return the same as part of a page."""
    return _panel(
        "We can't show this booking here",
        "Open it in the browser you booked with, use the link in the latest email, or sign in.",
        code="booking_not_found",
        url=f"/sign-in?next=/booking/{_number(reference)}" if _number(reference) else "/sign-in",
        way_out="Sign in",
    )


def link_ended(reference: str, email: str) -> Markup:
    """Return the same for a browser that has ended the links to a booking and had opened it by one of them."""
    return _panel(
        "The links no longer work",
        f"We've sent a new link to {email}. You can also sign in to see this booking.",
        code="link_ended",
        url=f"/sign-in?next=/booking/{_number(reference)}",
        way_out="Sign in",
    )


def _page(title: str, content: Markup, status: int) -> None:
    ui.context.client.status_code = status
    with layout.frame(title, narrow=True):
        layout.html(content)


def _panel(title: str, text: str, *, code: str, url: str = "/", way_out: str = "Browse all experts") -> Markup:
    return _EMPTY.format(code=code, title=title, text=text, url=url, way_out=way_out)


def _number(reference: str) -> UUID | None:
    with suppress(ValueError):
        return UUID(reference)
    return None


def error_reference() -> str:
    """Return the request id as a suffix for error messages, so that a report can be matched with the log."""
    number = request_id.get()
    return f" (Reference: {number})" if number else ""


def wants_html(request: Request) -> bool:
    """Whether a browser asks for a page, rather than a program for data or a page for one of NiceGUI's files."""
    if request.scope["path"].startswith(_NICEGUI_FILES):
        return False
    return "text/html" in request.headers.get("accept", "") and request.method in ("GET", "HEAD", "POST")
