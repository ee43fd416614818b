"""Says no politely: the pages for what is not there, and the words for what cannot be."""

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

# The files of NiceGUI, which are asked for by pages.
_FILES: Final = "/_nicegui/"


def not_here(title: str, text: str, *, code: str = "not_found", status: int = 404, **way_out: str) -> None:
    """A page that says what is missing and offers a way out (`url` and `way_out`; by default to all experts)."""
    _page(title, _panel(title, text, code=code, **way_out), status)


def for_the_moment(refusal: Unavailable) -> Response:
    """Another page instead of the one that is being built: nothing works at this moment."""
    begun = ui.context.client
    with Client(ui.page(""), request=begun.request) as client:
        unavailable(refusal)
    begun.delete()
    return client.build_response(client.request, client.status_code)


def unavailable(refusal: Unavailable) -> None:
    """The page for a moment in which nothing works."""
    not_here("Just a moment", f"{refusal}{found_by()}", code=refusal.code, status=503)


def expert_not_found() -> None:
    """The page for an expert whom nobody knows."""
    not_here(
        "This expert is not here",
        "The address may be mistyped, or the expert takes no more bookings.",
        code="expert_not_found",
    )


def booking_not_found(reference: str) -> None:
    """The page for a booking that is not there, or is somebody else's. `reference` is what stands in the address."""
    _page("Your booking", no_booking(reference), 404)


def no_booking(reference: str) -> Markup:
    """The same as a part of a page."""
    return _panel(
        "This booking is not shown here",
        "You see a booking in the browser it was made in, by the link in its latest mail, or after signing in.",
        code="booking_not_found",
        url=f"/sign-in?next=/booking/{_number(reference)}" if _number(reference) else "/sign-in",
        way_out="Sign in",
    )


def link_ended(reference: str, email: str) -> Markup:
    """The same for the browser that has just ended the links to a booking, and came by one of them."""
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


def found_by() -> str:
    """By what our mistake is found in the log, for those who write to us about it."""
    name = request_id.get()
    return f" (If you write to us about it: {name})" if name else ""


def wants_page(request: Request) -> bool:
    """Whether it is a browser that asks for a page, rather than a program, or a page for one of its files."""
    if request.scope["path"].startswith(_FILES):
        return False
    return "text/html" in request.headers.get("accept", "") and request.method in ("GET", "HEAD", "POST")
