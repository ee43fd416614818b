"""`Idempotency-Key` on every POST (draft-ietf-httpapi-idempotency-key-header): sent again, done once."""

import hashlib
import re
from collections.abc import Callable, Coroutine
from typing import Any, Final

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from expert_booking.api.callers import bearer_of, caller_of, network_of_caller
from expert_booking.api.problems import refusal_problem, tell
from expert_booking.domain.errors import (
    Conflict,
    FieldsWrong,
    Invalid,
    NotAuthenticated,
    NotFound,
    PreconditionFailed,
)
from expert_booking.schemas import Role
from expert_booking.services import Services
from expert_booking.services.idempotency import Answer

HEADER: Final = "Idempotency-Key"
REPLAYED: Final = "Idempotent-Replayed"
_KEY: Final = re.compile(r'("?)([!#-\[\]-~]{1,255})\1')
_NO_KEY: Final = "Please send 1 to 255 visible ASCII characters, without spaces, quotes and backslashes."
# Refusals that are answers to this very request. Not: who may ask, how often, whether it works at the moment, nor what
# is wrong with a request, which can be put right and sent with the same key.
_ANSWERS: Final = (NotFound, Conflict, PreconditionFailed, Invalid)

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


def idempotent(services: Services, secret: str) -> type[APIRoute]:
    """The class of routes whose POSTs know the header. The public is told apart by network, hashed with `secret`."""

    class Idempotent(APIRoute):
        """A route on which the same POST with the same key is done once."""

        def get_route_handler(self) -> Handler:
            """What answers a request."""
            handle = super().get_route_handler()
            if "POST" not in (self.methods or ()):
                return handle

            async def handle_once(request: Request) -> Response:
                given = request.headers.getlist(HEADER)
                if not given:
                    return await handle(request)
                return await _once(services, secret, handle, request, ", ".join(given))

            return handle_once

    return Idempotent


def document(documentation: dict[str, Any]) -> None:
    """Tell of the header, and of what it brings about, at every POST."""
    for operation in (path["post"] for path in documentation["paths"].values() if "post" in path):
        operation.setdefault("parameters", []).append(_PARAMETER)
        tell(
            operation,
            (409, "request_in_flight", "The first request with this key is still being worked on."),
            (
                409,
                "answer_not_readable",
                "The answer was kept under another secret of the site, and is not done again.",
            ),
            (422, "idempotency_key_reused", "This key belongs to another request."),
        )
        for status, answer in operation["responses"].items():
            if status < "300":
                answer.setdefault("headers", {})[REPLAYED] = _REPLAYED


_PARAMETER: Final = {
    "name": HEADER,
    "in": "header",
    "required": False,
    "description": "A name for this request, such as a new UUID. Sent again with the same key and body within 24 hours,"
    " it is not done again and gets the first answer again. For tokens of admins, experts and readers this includes"
    " refusals: 404, 409, 412, and 422 unless it is `validation_failed`. For all others a request that was refused is"
    " evaluated again. Each caller has keys of their own: those of the token, without one those of the network.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
    "example": "8e03978e-40d5-43dd-bc93-6894a57f9324",
}
_REPLAYED: Final = {
    "description": "`true` where this is the answer to an earlier request with the same key.",
    "schema": {"type": "string", "enum": ["true"]},
}


async def _once(services: Services, secret: str, handle: Handler, request: Request, given: str) -> Response:
    key = _KEY.fullmatch(given)
    if key is None:
        raise FieldsWrong({HEADER: _NO_KEY})
    # All of it before anything is begun: nobody makes others wait by sending slowly.
    fingerprint = await _fingerprint(request)
    caller, keep_refusals = await _caller(services, secret, request)

    async def work() -> Answer:
        try:
            response = await handle(request)
        except FieldsWrong:
            raise
        except _ANSWERS as refusal:
            response = refusal_problem(refusal)
        headers = {name: value for name, value in response.headers.items() if name != "content-length"}
        return Answer(response.status_code, headers, bytes(response.body))

    answer = await services.idempotency.once(caller, key[2], fingerprint, work, keep_refusals=keep_refusals)
    replayed = {REPLAYED: "true"} if answer.replayed else {}
    return Response(answer.body, answer.status, {**answer.headers, **replayed})


async def _fingerprint(request: Request) -> bytes:
    try:
        body = await request.body()
    except ClientDisconnect as error:
        raise HTTPException(400) from error
    asked = f"{request.method} {request.url.path}?{request.url.query}\n"
    return hashlib.sha256(asked.encode() + body).digest()


async def _caller(services: Services, secret: str, request: Request) -> tuple[bytes, bool]:
    """Whose keys these are, and whether refusals are kept for them.

    Whoever has no valid token is one of the public, and learns nothing of its answers. Anyone can be refused without
    limit, and anyone can become a customer, so refusals are kept only for the tokens of admins, experts and readers.
    """
    try:
        caller = await caller_of(services)(await bearer_of(request))
    except NotAuthenticated:
        caller = None
    if caller is not None and caller.token_id is not None:
        return caller.token_id.bytes, caller.role is not Role.CUSTOMER
    return network_of_caller(request, secret), False
