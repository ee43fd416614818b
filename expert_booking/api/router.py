"""The REST API: its endpoints, its documentation, and one format for all errors."""

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
from expert_booking.api import (
    access_links,
    bookings,
    calendars,
    customers,
    experts,
    feeds,
    health,
    holds,
    metrics_endpoint,
)
from expert_booking.api.error_docs import INVALID, UNAVAILABLE, correct_error_responses, error_responses
from expert_booking.api.idempotency import document_idempotency, idempotent
from expert_booking.api.problems import BODY_LIMIT, BODY_TOO_LARGE, CODES, problem, refusal_problem
from expert_booking.api.unknown_fields import request_errors
from expert_booking.domain.client_network import ProxyDetector
from expert_booking.domain.errors import FieldsWrong, Refusal
from expert_booking.http_methods import allow_header
from expert_booking.metrics import Metrics
from expert_booking.schemas import booking_request_model, host_booking_request_model
from expert_booking.services import Services

# The first segments of the API's paths. All other paths are pages.
PATHS: Final = frozenset(
    {
        "access-links",
        "experts",
        "bookings",
        "customers",
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

_INVALID_JSON: Final = "The request body is not valid JSON."
_DETAILS: Final = {
    404: "There is no resource at this address.",
    405: "Method not allowed.",
    413: BODY_TOO_LARGE,
}
_DOCUMENTATION_CSP: Final = (
    "default-src 'self'; script-src 'self' 'sha256-{digest}'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'self'"
)

DESCRIPTION: Final = """\
Search experts, list their free slots, hold a slot, book it and manage the booking.

Times are RFC 3339 in UTC with `Z`; times in requests need an offset. Ids are opaque strings. Lists have a `total`, a
`page` starting at 1 and a `limit` from 1 to 100. Every error is `application/problem+json` (RFC 9457) with a stable
`code`; a 422 lists all invalid fields in `errors`, and fields and parameters that do not exist. Send an
`Idempotency-Key` with a POST to make it safe to repeat.

Formats: a `time-zone` is an IANA name such as `Europe/Berlin`, a `country` an ISO 3166 code such as `DE`, a `phone` a
number such as `+49 30 1234567`, and a `slug` consists of lowercase letters, digits and single hyphens. A `person-name`
looks neither like a web nor like an email address. Texts are trimmed. A request that breaks a rule that JSON Schema
cannot express, such as the order of two dates, gets a 422.

Send tokens as `Authorization: Bearer …`. Hosts get theirs from `expert-booking token create`. Customers have no
accounts: they get an `accessToken` for each booking from `POST /bookings`, and a token for all bookings of their email
address from `POST /access-links` and `POST /access-links/redeem`.
"""


def create_api(
    services: Services,
    *,
    secret: str,
    phone_required: bool = True,
    default_region: str | None = None,
    metrics: Metrics | None = None,
    metrics_token: str | None = None,
    proxies: ProxyDetector | None = None,
) -> FastAPI:
    """Create the API over these services. `secret` keys the hashes of client networks."""
    # FastAPIOffline serves the scripts of the documentation from this server instead of a CDN.
    api = FastAPIOffline(
        title="Expert Booking",
        version=__version__,
        description=DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        static_url="/docs-assets",
    )
    docs_page = _docs_page()
    api.add_api_route("/docs", lambda: docs_page, include_in_schema=False)
    unavailable = error_responses(UNAVAILABLE)
    common = error_responses(INVALID, UNAVAILABLE)
    api.include_router(experts.endpoints(services), responses=common)
    routes = idempotent(services, secret)
    booking_model = booking_request_model(phone_required=phone_required, default_region=default_region)
    # Routes are matched in order, so the most frequent ones come first.
    host_model = host_booking_request_model(default_region=default_region)
    api.include_router(bookings.endpoints(services, routes, booking_model, host_model, secret), responses=common)
    api.include_router(holds.endpoints(services, routes, secret), responses=common)
    api.include_router(calendars.endpoints(services, routes), responses=common)
    api.include_router(feeds.endpoints(services), responses=unavailable)
    api.include_router(access_links.endpoints(services, routes, secret), responses=common)
    api.include_router(customers.endpoints(services), responses=common)
    api.include_router(health.endpoints(services))
    if metrics is not None:
        api.include_router(metrics_endpoint.endpoints(metrics, metrics_token, proxies or ProxyDetector()))
    api.add_exception_handler(Refusal, _refused)
    api.add_exception_handler(RequestValidationError, _invalid)
    api.add_exception_handler(HTTPException, _http_error)
    api.add_exception_handler(Exception, _failed)
    api.add_middleware(BodyLimit)
    correct_error_responses(api.openapi())
    document_idempotency(api.openapi())
    return api


def _docs_page() -> HTMLResponse:
    """Create the documentation page, whose policy allows its one inline script and the scripts of this server."""
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
    """Reject request bodies above the limit before they are read into memory."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count the bytes of the body. Raises HTTPException 413 in the endpoint that reads it."""
        received = 0

        async def receive_counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > BODY_LIMIT:
                raise HTTPException(413)
            return message

        await self._app(scope, receive_counted if scope["type"] == "http" else receive, send)


async def _refused(_: Request, refusal: Exception) -> JSONResponse:
    assert isinstance(refusal, Refusal)
    return refusal_problem(refusal)


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    errors = request_errors([_readable(details) for details in error.errors()], request.scope["endpoint"])
    return _invalid_fields([field_error.model_dump() for field_error in errors])


def _invalid_fields(errors: list[dict[str, Any]]) -> JSONResponse:
    return problem(422, "validation_failed", FieldsWrong.__doc__ or "", errors=errors)


def _readable(details: dict[str, Any]) -> dict[str, Any]:
    if details["type"] == "json_invalid":
        return {**details, "loc": ("body",), "msg": _INVALID_JSON}
    return details


async def _http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    if status == 400:  # from FastAPI, for JSON that Python cannot parse: nested too deeply, or a number too long
        return _invalid_fields([{"field": "body", "message": _INVALID_JSON}])
    # The router's own `Allow` has the methods of only one of the routes of a path.
    headers = {"Allow": allow_header(request.app, request.scope["path"])} if status == 405 else error.headers
    return problem(
        status.value,
        CODES.get(status.value, status.name.lower()),
        _DETAILS.get(status.value, str(error.detail)),
        headers=headers,
    )


async def _failed(_: Request, __: Exception) -> JSONResponse:
    return problem(500, "internal_error", "Something went wrong on our side. Please try again.")
