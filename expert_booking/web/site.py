"""The web application: pages, assets and the live state that pages share."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from functools import partial
from typing import Any, Final

from fastapi import FastAPI, Request, Response
from fastapi.middleware.gzip import GZipMiddleware
from fastapi.responses import FileResponse, JSONResponse, PlainTextResponse, RedirectResponse
from fastapi.staticfiles import StaticFiles
from nicegui import Client, core, ui
from nicegui.page import page as nicegui_page
from starlette.exceptions import HTTPException
from starlette.middleware.sessions import SessionMiddleware
from starlette.types import ASGIApp

from expert_booking.domain.errors import ExpertNotFound, PhotoNotFound, Unavailable
from expert_booking.domain.photo_images import SIZES
from expert_booking.domain.signed_keys import SignedKeys
from expert_booking.domain.site import Site
from expert_booking.http_methods import allow_header
from expert_booking.logs import request_id
from expert_booking.metrics import Metrics
from expert_booking.schemas import PROBLEM_JSON, booking_request_model, host_booking_request_model, problem_body
from expert_booking.services import Services
from expert_booking.web import component_urls, cookies, csp_nonce, error_pages, layout, my_data, sign_in
from expert_booking.web.live import rooms
from expert_booking.web.live.listing_cache import ListingCache
from expert_booking.web.live.next_free import NextFree
from expert_booking.web.live.profile_cache import ProfileCache
from expert_booking.web.live.slot_boards import LiveBoards, refresh_periodically
from expert_booking.web.open_holds import OpenHolds
from expert_booking.web.pages import (
    book,
    booking,
    data_deleted,
    email_links,
    expert,
    experts,
    mailbox,
    my_bookings,
    privacy,
    reschedule,
    verify,
)
from expert_booking.web.pages import sign_in as sign_in_page
from expert_booking.web.pages.console import availability, calendar, downloads, profile, sessions, today
from expert_booking.web.pages.console import bookings as console_bookings
from expert_booking.web.pages.console import statistics as console_statistics
from expert_booking.web.portraits import draw_portrait
from expert_booking.web.socket_events import guard_sockets
from expert_booking.web.upload_limit import UploadLimit

CACHE_FOREVER: Final = "public, max-age=31536000, immutable"
# Seconds that a page survives without a connection: enough for a short network failure.
RECONNECT_SECONDS: Final = 5.0
# Messages to a page that are kept until it acknowledges them. A page that missed more is reloaded.
_MESSAGE_HISTORY: Final = 100
# Compresses an expert's page in 0.19 ms to 6.1 kB. The default, 9, takes 0.33 ms for 5.7 kB.
_GZIP_LEVEL: Final = 3

_PHOTO_SIZES: Final = {str(pixels): pixels for pixels in SIZES}

# Codes and details of errors for programs that request pages.
_PROBLEMS: Final = {
    404: ("not_found", "There is no page at this address."),
    405: ("method_not_allowed", "Method not allowed."),
    503: (Unavailable.code, str(Unavailable())),
}

_PAGES_HELP: Final = "Pages in memory: connected to a browser, or not connected (just loaded, or about to be deleted)."

Lifespan = Callable[[Any], AbstractAsyncContextManager[None]]


def create_web(
    services: Services, *, lifespan: Lifespan, secret: str, https: bool, phone_required: bool, metrics: Metrics,
    default_region: str | None = None, base_url: str | None = None, sockets_per_network: int = 200,
    unconnected_pages_per_network: int = 100, privacy_text: str = "",
) -> ASGIApp:  # fmt: skip
    """The pages on top of these services. `secret` signs the cookie that identifies a browser.

    `base_url` is the public URL of the site, if configured. Pages of other origins cannot connect. `privacy_text` is
    the operator's own text about privacy, in Markdown.
    """
    rooms.check()
    boards, next_free, open_holds = LiveBoards(services), NextFree(services), OpenHolds(services)
    metrics.watch("live_boards", "Session types whose slots open pages show.", lambda: len(boards))
    metrics.watch("listed_experts", "Experts whose next free time open listings show.", lambda: len(next_free))
    metrics.watch("pages", _PAGES_HELP, lambda: _pages(connected=True), state="connected")
    metrics.watch("pages", _PAGES_HELP, lambda: _pages(connected=False), state="not_connected")
    profiles = ProfileCache(services)

    @asynccontextmanager
    async def web_lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with lifespan(app):
            refreshing = asyncio.create_task(refresh_periodically(boards, next_free))
            yield
            refreshing.cancel()
            with suppress(asyncio.CancelledError):
                await refreshing

    web = FastAPI(lifespan=web_lifespan, openapi_url=None, docs_url=None, redoc_url=None)
    web.mount("/assets/" + layout.VERSION, _Assets(directory=layout.ASSETS), name="assets")
    web.add_api_route("/favicon.svg", _favicon)
    web.add_api_route("/robots.txt", _robots)
    web.add_api_route("/portrait/{slug}.svg", _portrait_route(services))
    web.add_api_route("/photos/{version}-{pixels}.webp", _photo_route(services))
    experts.mount(services, next_free, ListingCache(services))
    expert.mount(services, profiles, boards, open_holds)
    booking_model = booking_request_model(phone_required=phone_required, default_region=default_region)
    book.mount(services, profiles, boards, open_holds, secret=secret, request_model=booking_model)
    booking.mount(services, secret=secret)
    reschedule.mount(services, boards, secret=secret)
    my_bookings.mount(services)
    sessions.mount(services)
    today.mount(services)
    profile.mount(services)
    calendar.mount(services, host_booking_request_model(default_region=default_region))
    console_bookings.mount(services)
    console_statistics.mount(services)
    downloads.mount(web, services)
    availability.mount(services)
    sign_in_page.mount(services)
    verify.mount(web, services)
    sign_in.mount(web, services, secret=secret)
    my_data.mount(web, services)
    data_deleted.mount()
    site_cookies = cookies.all_cookies(https=https, mailbox=services.mailbox is not None)
    privacy.mount(services, site_cookies, own_text=privacy_text)
    booking.mount_calendar_file(web, services)
    email_links.mount(web, services)
    if services.mailbox is not None:
        mailbox.mount(services.mailbox, services.clock, web, SignedKeys(secret))
    error_response = partial(_error_response, web)
    for app in (web, core.app):  # for missing assets and portraits, and for missing pages
        app.add_exception_handler(404, error_response)
        app.add_exception_handler(405, error_response)
        app.state.has_mailbox = services.mailbox is not None
        app.state.footer_links = _legal_links(services.site)
    web.add_exception_handler(Unavailable, error_response)
    core.app.on_page_exception(_page_failed)
    csp_nonce.add_to_template()
    component_urls.use_content_hashes()
    # NiceGUI keeps storage for every tab for a month. This product does not use it.
    core.app.storage.max_tab_storage_age = RECONNECT_SECONDS
    guard_sockets(
        per_network=sockets_per_network,
        pages_per_network=unconnected_pages_per_network,
        base_url=base_url,
        metrics=metrics,
    )
    ui.run_with(
        web,
        title=layout.NAME,
        favicon=layout.ASSETS / "favicon.svg",
        dark=None,
        language="en-US",
        binding_refresh_interval=None,
        reconnect_timeout=RECONNECT_SECONDS,
        tailwind=False,
        show_welcome_message=False,
        message_history_length=_MESSAGE_HISTORY,
        gzip_middleware_factory=lambda app: GZipMiddleware(app, compresslevel=_GZIP_LEVEL),
    )
    cookie = cookies.browser_cookie(https=https)
    return SessionMiddleware(
        UploadLimit(web), secret, session_cookie=cookie, max_age=cookies.YEAR, same_site="lax", https_only=https
    )


def _legal_links(site: Site) -> layout.Links:
    links = (("/privacy", "Privacy"), (site.imprint_url, "Imprint"), (site.terms_url, "Terms"))
    return tuple((url, text) for url, text in links if url)


def _pages(*, connected: bool) -> int:
    return sum(client.has_socket_connection is connected for client in list(Client.instances.values()))


class _Assets(StaticFiles):
    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        """The URL contains the version, so the response may be cached forever."""
        response = super().file_response(*args, **kwargs)
        response.headers["Cache-Control"] = CACHE_FOREVER
        return response


def _portrait_route(services: Services) -> Callable[[str], Any]:
    async def portrait(slug: str) -> Response:
        try:
            key, photo = await services.experts.portrait(slug)
        except ExpertNotFound as refusal:
            raise HTTPException(404) from refusal
        if photo is not None:  # for pages that know only the slug
            return RedirectResponse(photo.small, 302, headers={"Cache-Control": "public, max-age=300"})
        headers = {
            "Cache-Control": "public, max-age=86400",
            "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
        }
        return Response(draw_portrait(key), media_type="image/svg+xml", headers=headers)

    return portrait


def _photo_route(services: Services) -> Callable[..., Any]:
    async def photo(version: str, pixels: str, request: Request) -> Response:
        try:
            file = await services.photos.file(version, _PHOTO_SIZES.get(pixels, 0))
        except PhotoNotFound as refusal:
            raise HTTPException(404) from refusal
        # Another photo has another URL, so the response may be cached forever.
        headers = {"Cache-Control": CACHE_FOREVER, "ETag": f'"{version}-{pixels}"'}
        if headers["ETag"] in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(file, media_type="image/webp", headers=headers)

    return photo


async def _favicon() -> FileResponse:
    return FileResponse(layout.ASSETS / "favicon.svg", headers={"Cache-Control": "public, max-age=86400"})


async def _robots() -> PlainTextResponse:
    hidden = (
        "/book/", "/booking/", "/console", "/mailbox", "/my-bookings", "/not-booked/", "/reminders/", "/sign-in",
        "/verify/",
    )  # fmt: skip
    return PlainTextResponse("User-agent: *\n" + "".join(f"Disallow: {path}\n" for path in hidden))


async def _error_response(web: FastAPI, request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 503
    allow = allow_header(web, request.scope["path"]) if status in (404, 405) else ""
    if allow and request.method not in allow.split(", "):
        # The error is a 404 if the path is one of `web`, which passes other methods on to NiceGUI.
        code, text = _PROBLEMS[405]
        return JSONResponse(problem_body(405, code, text), 405, {"Allow": allow}, PROBLEM_JSON)
    if not error_pages.wants_html(request):
        code, text = _PROBLEMS[status]
        body = problem_body(status, code, text)
        if status >= 500 and request_id.get():
            body["requestId"] = request_id.get()
        return JSONResponse(body, status, media_type=PROBLEM_JSON)
    with Client(nicegui_page(""), request=request) as client:
        if status == 503:
            _page_failed(error)
        else:
            error_pages.show_error("Page not found", "Check the address for typos, or start from the home page.")
    return client.build_response(request, client.status_code)


def _page_failed(error: Exception) -> None:
    if isinstance(error, Unavailable):
        error_pages.unavailable(error)
        return
    error_pages.show_error(
        "Something went wrong",
        "The error is on our side and has been logged. Please try again in a moment." + error_pages.error_reference(),
        code="internal_error",
        status=500,
    )
