"""The REST API: mounts its endpoints and gives every error, of whatever kind, the same shape."""

import re
from base64 import b64encode
from hashlib import sha256
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse, JSONResponse
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from expert_booking import __version__
from expert_booking.api import access_links, bookings, calendars, experts, feeds, health, holds, metrics_endpoint
from expert_booking.api.idempotency import document, idempotent
from expert_booking.api.problems import CODES, as_served, problem, refusal_problem, told
from expert_booking.domain.client_network import ProxyDetector
from expert_booking.domain.errors import Refusal
from expert_booking.metrics import Metrics
from expert_booking.schemas import field_error
from expert_booking.services import Services

# No request of ours is longer than this, in bytes.
BODY_LIMIT: Final = 64 * 1024
# More than these about one request help nobody.
MOST_COMPLAINTS: Final = 100
_NO_JSON: Final = "This is not valid JSON."
# The first step of every path that belongs to programs; all others are pages.
PATHS: Final = frozenset(
    {
        "access-links",
        "experts",
        "bookings",
        "holds",
        "feeds",
        "healthz",
        "readyz",
        "metrics",
        "openapi.json",
        "docs",
        "docs-assets",
    }
)

_DOCUMENTATION_CSP: Final = (
    "default-src 'self'; script-src 'self' 'sha256-{digest}'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'self'"
)

DESCRIPTION: Final = """\
Browse experts, see their free slots, hold one, book it, follow it.

Times are RFC 3339 in UTC with `Z`; input needs an offset. Ids are opaque strings. Lists have a `total`, a `page` from 1
and a `limit` from 1 to 100. Every error is `application/problem+json` (RFC 9457) with a stable `code`; a 422 says in
`errors` what is wrong with which field, all at once. With an `Idempotency-Key` a POST can safely be sent again.

Tokens go into `Authorization: Bearer …`. Those of hosts come from `expert-booking token create`. A customer has the
`accessToken` of each booking, from `POST /bookings`, and one for all bookings of an address, from `POST /access-links`
and `POST /access-links/redeem`: there are no accounts, who reads the mail to an address has proven it.
"""


def create_api(
    services: Services,
    *,
    secret: str,
    phone_required: bool = True,
    metrics: Metrics | None = None,
    metrics_token: str | None = None,
    proxies: ProxyDetector | None = None,
) -> FastAPI:
    """The API over these services; network addresses are hashed with `secret`."""
    # The documentation's scripts come from this server, not from somebody else's.
    api = FastAPIOffline(
        title="Expert Booking",
        version=__version__,
        description=DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        static_url="/docs-assets",
    )
    page = _documentation()
    api.add_api_route("/docs", lambda: page, include_in_schema=False)
    busy = told((503, "unavailable", "This does not work at the moment. Please try again soon."))
    api.include_router(experts.endpoints(services), responses=busy)
    routes = idempotent(services, secret)
    # What is asked for most comes first: they are tried in turn.
    api.include_router(bookings.endpoints(services, routes, phone_required=phone_required), responses=busy)
    api.include_router(holds.endpoints(services, routes, secret), responses=busy)
    api.include_router(calendars.endpoints(services, routes), responses=busy)
    api.include_router(feeds.endpoints(services), responses=busy)
    api.include_router(access_links.endpoints(services, routes, secret), responses=busy)
    api.include_router(health.endpoints(services))
    if metrics is not None:
        api.include_router(metrics_endpoint.endpoints(metrics, metrics_token, proxies or ProxyDetector()))
    api.add_exception_handler(Refusal, _refused)
    api.add_exception_handler(RequestValidationError, _invalid)
    api.add_exception_handler(HTTPException, _http_error)
    api.add_exception_handler(Exception, _failed)
    api.add_middleware(BodyLimit)
    as_served(api.openapi())
    document(api.openapi())
    return api


def _documentation() -> HTMLResponse:
    """The page that shows the documentation: it may run its one inline script, and those of this server."""
    page = get_swagger_ui_html(
        openapi_url="/openapi.json",
        title="Expert Booking - Swagger UI",
        oauth2_redirect_url=None,
        swagger_js_url="/docs-assets/swagger-ui-bundle.js",
        swagger_css_url="/docs-assets/swagger-ui.css",
        swagger_favicon_url="/favicon.ico",
    )
    (script,) = re.findall(rb"<script>(.*?)</script>", page.body, re.S)
    digest = b64encode(sha256(script).digest()).decode()
    page.headers["Content-Security-Policy"] = _DOCUMENTATION_CSP.format(digest=digest)
    return page


class BodyLimit:
    """Refuses bodies that are longer than any request of ours, before they are read into memory."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count what comes in; raises HTTPException 413 into the endpoint that reads it."""
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > BODY_LIMIT:
                raise HTTPException(413)
            return message

        await self._app(scope, counted if scope["type"] == "http" else receive, send)


async def _refused(_: Request, refusal: Exception) -> JSONResponse:
    assert isinstance(refusal, Refusal)
    return refusal_problem(refusal)


async def _invalid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    errors = error.errors()[:MOST_COMPLAINTS]
    return _wrong([field_error(_for_people(details), skip=1).model_dump() for details in errors])


def _wrong(errors: list[dict[str, Any]]) -> JSONResponse:
    return problem(422, "validation_failed", "Some of this cannot be right; `errors` says what.", errors=errors)


def _for_people(details: dict[str, Any]) -> dict[str, Any]:
    if details["type"] == "json_invalid":
        return {**details, "loc": ("body",), "msg": _NO_JSON}
    return details


async def _http_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    if status == 400:  # FastAPI's word for JSON that Python cannot read: nested too deeply, or a number too long
        return _wrong([{"field": "body", "message": _NO_JSON}])
    detail = {
        404: "There is nothing at this address.",
        405: "This address does not know this method.",
        413: "The body is longer than any request can be.",
    }
    return problem(
        status.value,
        CODES.get(status.value, status.name.lower()),
        detail.get(status.value, str(error.detail)),
        headers=error.headers,
    )


async def _failed(_: Request, __: Exception) -> JSONResponse:
    return problem(500, "internal_error", "Something went wrong on our side. Please try again.")
