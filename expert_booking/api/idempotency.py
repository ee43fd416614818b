"""The `Idempotency-Key` header of POST requests (draft-ietf-httpapi-idempotency-key-header)."""

import hashlib
import re
from typing import Any, Final

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from expert_booking.api.callers import caller_if_any, client_network_hash
from expert_booking.api.error_docs import add_error_responses, refused
from expert_booking.api.problems import refusal_problem
from expert_booking.api.unknown_fields import Handler, StrictRoute
from expert_booking.domain.errors import (
    AnswerNotReadable,
    Conflict,
    FieldsWrong,
    IdempotencyKeyReused,
    Invalid,
    NotFound,
    PreconditionFailed,
    RequestInFlight,
)
from expert_booking.schemas import Role
from expert_booking.services import Services
from expert_booking.services.idempotency import Answer

HEADER: Final = "Idempotency-Key"
REPLAYED: Final = "Idempotent-Replayed"
_PLAIN_KEY: Final = r"[!#-\[\]-~]{1,255}"
_KEY: Final = re.compile(rf'("?)({_PLAIN_KEY})\1')
_KEY_INVALID: Final = "Please send 1 to 255 visible ASCII characters without spaces, quotes and backslashes."
# Refusals that answer the request itself, and are therefore stored. Not stored: 401, 403, 429 and 503, which depend on
# the caller and the moment; and validation errors, which the client can fix and resend with the same key.
_STORED_REFUSALS: Final = (NotFound, Conflict, PreconditionFailed, Invalid)


def idempotent(services: Services, secret: str) -> type[APIRoute]:
    """Create a route class whose POSTs support the header. `secret` keys the hashes that identify anonymous clients."""

    class Idempotent(StrictRoute):
        """A route that executes a POST with a given key only once."""

        def get_route_handler(self) -> Handler:
            """Wrap the handler of POST routes."""
            handle = super().get_route_handler()
            if "POST" not in (self.methods or ()):
                return handle

            async def handle_once(request: Request) -> Response:
                keys = request.headers.getlist(HEADER)
                if not keys:
                    return await handle(request)
                return await _once(services, secret, handle, request, ", ".join(keys))

            return handle_once

    return Idempotent


def document_idempotency(document: dict[str, Any]) -> None:
    """Add the header, its errors and its response header to every POST of an OpenAPI document."""
    for operation in (path["post"] for path in document["paths"].values() if "post" in path):
        operation.setdefault("parameters", []).append(_PARAMETER)
        add_error_responses(operation, *map(refused, (RequestInFlight, AnswerNotReadable, IdempotencyKeyReused)))
        for status, response in operation["responses"].items():
            if status < "300":
                response.setdefault("headers", {})[REPLAYED] = _REPLAYED


_PARAMETER: Final = {
    "name": HEADER,
    "in": "header",
    "required": False,
    "description": "A unique key for this request, such as a new UUID. A repeat with the same key and body within 24"
    " hours is not executed again and returns the first response. For the tokens of admins, experts and readers this"
    " includes refusals: 404, 409, 412, and 422 unless it is `validation_failed`. For all other callers a refused"
    " request is evaluated again. Keys are separate for each token, and for each network without one.",
    "schema": {"type": "string", "pattern": f'^({_PLAIN_KEY}|"{_PLAIN_KEY}")$'},
    "example": "8e03978e-40d5-43dd-bc93-6894a57f9324",
}
_REPLAYED: Final = {
    "description": "`true` if this is the stored response to an earlier request with the same key.",
    "schema": {"type": "string", "enum": ["true"]},
}


async def _once(services: Services, secret: str, handle: Handler, request: Request, header: str) -> Response:
    key = _KEY.fullmatch(header)
    if key is None:
        raise FieldsWrong({HEADER: _KEY_INVALID})
    # Read the whole body before locking the key, so that a slow client does not keep others waiting.
    fingerprint = await _fingerprint(request)
    caller, keep_refusals = await _caller(services, secret, request)

    async def work() -> Answer:
        try:
            response = await handle(request)
        except FieldsWrong:
            raise
        except _STORED_REFUSALS as refusal:
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
    request_line = f"{request.method} {request.url.path}?{request.url.query}\n"
    return hashlib.sha256(request_line.encode() + body).digest()


async def _caller(services: Services, secret: str, request: Request) -> tuple[bytes, bool]:
    """The owner of the keys, and whether refusals are stored for them.

    Requests with an invalid token count as anonymous. Refusals are stored only for the tokens of admins, experts and
    readers, because anyone else could fill the table with them: there is no limit on refused requests, and anyone can
    become a customer.
    """
    caller = await caller_if_any(services, request)
    if caller is not None and caller.token_id is not None:
        return caller.token_id.bytes, caller.role is not Role.CUSTOMER
    return client_network_hash(request, secret), False
