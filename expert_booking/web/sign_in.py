"""HTTP endpoints for signing in and out. An open page talks over its websocket, which cannot set cookies."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, Final
from uuid import UUID

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse
from nicegui import Client
from pydantic import ValidationError

from expert_booking.domain.errors import (
    CodesLocked,
    CodeWrong,
    Conflict,
    Invalid,
    LinkNotValid,
    NotFound,
    Refusal,
    TooManyAccessRequests,
    TooManyRequests,
)
from expert_booking.schemas import (
    PROBLEM_JSON,
    AccessRequest,
    FieldError,
    Model,
    OwnPath,
    ProofView,
    field_errors,
    problem_body,
)
from expert_booking.schemas.fields import at_most
from expert_booking.services import Services
from expert_booking.services.access import Renamed
from expert_booking.web.request_body import body_of, field_of
from expert_booking.web.visitor import (
    HOST_MARK,
    marks_of,
    network_hash,
    new_visitor,
    proof_of,
    remember_mark,
    remembered_visitor,
    visitor_of,
)

HOME: Final = "/my-bookings"
# Seconds until the other open pages of a browser with a new id are reloaded; the page that asked navigates away first.
_RELOAD_DELAY: Final = 1.0
_STATUS: Final[tuple[tuple[type[Refusal], int], ...]] = (
    (NotFound, 404), (Conflict, 409), (Invalid, 422), (TooManyRequests, 429),
)  # fmt: skip
# The form field beside which a refusal is shown.
_FIELDS: Final[dict[type[Refusal], str]] = {
    CodeWrong: "code", CodesLocked: "code", LinkNotValid: "code", TooManyAccessRequests: "email",
}  # fmt: skip

Answer = Callable[[Request, bytes], Awaitable[Response]]


class _LinkRequest(AccessRequest):
    next_path: OwnPath = ""


class _CodeRequest(Model):
    id: UUID
    code: Annotated[str, at_most(20)]


def mount(web: FastAPI, services: Services, *, secret: str) -> None:
    """Add the endpoints of the sign-in forms. `secret` keys the hashes of networks."""

    async def ask(request: Request, body: bytes) -> Response:
        wanted = _LinkRequest.model_validate_json(body)
        asked = await services.access.request_access(
            wanted.email,
            origin=network_hash(request, secret),
            browser=remembered_visitor(request),
            next_path=wanted.next_path,
            marks=marks_of(request),
        )
        return JSONResponse(asked.model_dump(mode="json", by_alias=True), headers=_NO_STORE)

    async def code(request: Request, body: bytes) -> Response:
        typed = _CodeRequest.model_validate_json(body)
        browser = remembered_visitor(request)
        secret, renamed = new_visitor(request)
        proof, path = await services.access.redeem_code(
            typed.id, typed.code, "browser", browser=browser, renamed=renamed
        )
        await _signed_in(services, request, proof, secret, renamed)
        return JSONResponse({"next": path or HOME}, headers=_NO_STORE)

    async def link(request: Request, body: bytes) -> Response:
        sent = field_of(body, "link")
        secret, renamed = new_visitor(request)
        try:
            proof, path = await services.access.redeem_link(sent, "browser", renamed=renamed)
        except LinkNotValid:
            return redirect("/sign-in?over=1")
        await _signed_in(services, request, proof, secret, renamed)
        return redirect(path or HOME)

    async def sign_out(request: Request, body: bytes) -> Response:
        proof = proof_of(request)
        if proof:
            everywhere = field_of(body, "everywhere") == "1"
            secret, renamed = new_visitor(request)
            await services.access.sign_out(proof, everywhere=everywhere, renamed=renamed)
            # The browser also gets a new visitor id, so that the next person at this machine does not see its bookings.
            marks = [] if everywhere else marks_of(request)
            request.session.clear()
            request.session.update({"visitor": secret, "proven": marks})
            reload_others(renamed)
        return redirect(HOME)

    for path, answer in (("/sign-in/ask", ask), ("/sign-in/code", code)):
        web.add_api_route(path, _json_endpoint(answer, services.site.url), methods=["POST"])
    for path, answer in (("/sign-in/link", link), ("/sign-out", sign_out)):
        web.add_api_route(path, form_endpoint(answer, services.site.url), methods=["POST"])


def is_from_here(request: Request, site_url: str) -> bool:
    """Whether a page of this site sent the request, and not a page of another site in the visitor's browser."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = request.headers.get("origin")
    # Browsers send `Origin` with every form for another site. Behind a proxy, `Host` may not be the public name.
    return origin is None or origin == site_url or origin.partition("://")[2] == request.headers.get("host", "-")


async def _signed_in(
    services: Services, request: Request, proof: ProofView, visitor: str, renamed: Renamed | None
) -> None:
    before = proof_of(request)
    identity = await services.access.identity_of(proof.email)
    request.session.update({"proof": proof.access_token, "visitor": visitor, HOST_MARK: bool(identity.experts)})
    remember_mark(request, services.access.mark(proof.email))
    if before:
        await services.access.sign_out(before)
    reload_others(renamed)


def reload_others(renamed: Renamed | None) -> None:
    """Reload the browser's other open pages a moment later, when it has the new cookie."""
    if renamed is not None:
        asyncio.get_running_loop().call_later(_RELOAD_DELAY, _reload_pages_of, renamed.before)


def _reload_pages_of(visitor: bytes) -> None:
    for client in list(Client.instances.values()):
        request = client.request
        if isinstance(request, Request) and "session" in request.scope and visitor_of(request) == visitor:
            client.run_javascript("window.leaving || location.reload()")


def _json_endpoint(answer: Answer, site_url: str) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        if not is_from_here(request, site_url):
            return _problem(403, "forbidden", "Requests from other sites are not allowed.")
        body = await body_of(request)
        if body is None:
            return _problem(413, "body_too_large", "Request body too large.")
        try:
            return await answer(request, body)
        except ValidationError as error:
            found = field_errors(error)
            return _problem(422, "invalid", found[0].message, found)
        except (NotFound, Conflict, Invalid, TooManyRequests) as refusal:
            return _refused(refusal)

    return endpoint


def form_endpoint(
    answer: Answer, site_url: str, *, otherwise: str = "/sign-in"
) -> Callable[[Request], Awaitable[Response]]:
    """The endpoint of a form. Forms of other sites, and bodies that are too large, are redirected to `otherwise`."""

    async def endpoint(request: Request) -> Response:
        body = await body_of(request) if is_from_here(request, site_url) else None
        return redirect(otherwise) if body is None else await answer(request, body)

    return endpoint


def redirect(path: str) -> Response:
    """Have the browser open another page of this site."""
    return RedirectResponse(path, 303, headers=_NO_STORE)


def _refused(refusal: Refusal) -> Response:
    status = next(status for kind, status in _STATUS if isinstance(refusal, kind))
    field = _FIELDS.get(type(refusal))
    found = [FieldError(field=field, message=str(refusal))] if field else []
    return _problem(status, refusal.code, str(refusal), found)


def _problem(status: int, code: str, detail: str, found: list[FieldError] | None = None) -> Response:
    body = problem_body(status, code, detail)
    if found:
        body["errors"] = [field_error.model_dump(mode="json") for field_error in found]
    return JSONResponse(body, status, media_type=PROBLEM_JSON, headers=_NO_STORE)


_NO_STORE: Final = {"Cache-Control": "no-store"}
