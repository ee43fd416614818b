"""REST endpoints below `/access-links`: customers prove their email address."""

from typing import Annotated, Final

from fastapi import APIRouter, Body, Request
from fastapi.routing import APIRoute

from expert_booking.api.callers import client_network_hash
from expert_booking.api.error_docs import (
    CODE_WRONG,
    INVALID,
    TOO_LARGE,
    Responses,
    error_responses,
    example_response,
    refused,
)
from expert_booking.domain.errors import CodesLocked, LinkNotValid, TooManyAccessRequests
from expert_booking.schemas import AccessRequest, AccessRequested, ProofView, RedeemRequest
from expert_booking.services import Services

_ID: Final = "5f0d8a57-2a0b-4a37-9f5d-6f1f4f1c8e22"
_REQUEST: Final = {"email": "ada@example.com"}
_REQUESTED: Final = {"id": _ID, "expiresAt": "2026-11-22T12:15:00Z"}
_BY_CODE: Final = {"id": _ID, "code": "123 456"}
_BY_LINK: Final = {"link": "https://booking.example.com/sign-in/Xw2KVyoLSjefXW8fTxyOIpqY0u3s…"}
_PROOF: Final = {
    "accessToken": "eb_customer_4vJ9mRk2…", "email": "ada@example.com", "expiresAt": "2026-12-22T12:03:00Z",
}  # fmt: skip

_ON_REQUEST: Final[Responses] = {
    **example_response(
        202, "If this address has bookings or belongs to a host, an email has been queued.", answer=_REQUESTED
    ),
    **error_responses(TOO_LARGE, INVALID, refused(TooManyAccessRequests)),
}
_ON_REDEEM: Final[Responses] = {
    **example_response(200, "The address is proven. The token is shown only once.", answer=_PROOF),
    **error_responses(
        refused(LinkNotValid),
        refused(CodesLocked),
        TOO_LARGE,
        CODE_WRONG,
        INVALID,
    ),
}


def endpoints(services: Services, routes: type[APIRoute], secret: str) -> APIRouter:
    """Create the router for `/access-links`. `secret` keys the hashes of client networks."""
    router = APIRouter(prefix="/access-links", tags=["access links"], route_class=routes)
    access_request = Body(openapi_examples={"address": {"value": _REQUEST}})
    redeem_request = Body(openapi_examples={"code": {"value": _BY_CODE}, "link": {"value": _BY_LINK}})

    @router.post("", status_code=202, summary="Request an access link", responses=_ON_REQUEST)
    async def request_access_link(body: Annotated[AccessRequest, access_request], request: Request) -> AccessRequested:
        """Email a link and a code to a customer's address, to prove that the address is theirs.

        The response and its timing are the same for known and unknown addresses. Keep the `id`: the code works only
        together with it. The code has six digits, or eight letters and digits if another one was requested for this
        address within the last hour. Link and code work once, for 15 minutes.

        A network may make 5 requests an hour for one address and 20 in total; more get a 429. Requests from other
        networks do not count towards these limits. An address receives at most 5 emails in 15 minutes.
        """
        return await services.access.request_access(body.email, origin=client_network_hash(request, secret))

    @router.post("/redeem", summary="Redeem an access link or code", responses=_ON_REDEEM)
    async def redeem_access_link(body: Annotated[RedeemRequest, redeem_request]) -> ProofView:
        """Exchange the link from the email, or the code and the `id` of the request, for the customer's token.

        The token is valid for 30 days. It reads, reschedules and cancels the bookings of this address, within their
        terms. It never gives the rights of a host, even if the address belongs to one. After five wrong codes only the
        link works.
        """
        if body.id is not None and body.code is not None:
            proof, _ = await services.access.redeem_code(body.id, body.code, "program")
        else:
            proof, _ = await services.access.redeem_link(body.link or "", "program")
        return proof

    return router
