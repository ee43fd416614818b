"""REST: proving an address, for programs of customers."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Body, Request
from fastapi.routing import APIRoute

from expert_booking.api.callers import network_of_caller
from expert_booking.api.problems import told
from expert_booking.domain.errors import CodesLocked, CodeWrong, LinkNotValid, TooManyAccessRequests
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
_LONG: Final = (413, "body_too_large", "The body is longer than any request can be.")
_WRONG: Final = (422, "validation_failed", "Some of this cannot be right; `errors` says what.")

Answers = dict[int | str, dict[str, Any]]


def _example(status: int, description: str, value: Any) -> Answers:
    content = {"application/json": {"examples": {"answer": {"value": value}}}}
    return {status: {"description": description, "content": content}}


_ON_REQUEST: Final[Answers] = {
    **_example(202, "If bookings are known for this address, or it is a host's, a mail is on its way.", _REQUESTED),
    **told(_LONG, _WRONG, (429, TooManyAccessRequests.code, TooManyAccessRequests.__doc__ or "")),
}
_ON_REDEEM: Final[Answers] = {
    **_example(200, "The address is proven. The token is shown this once.", _PROOF),
    **told(
        (404, LinkNotValid.code, LinkNotValid.__doc__ or ""),
        (409, CodesLocked.code, CodesLocked.__doc__ or ""),
        _LONG,
        (422, CodeWrong.code, "This is not the code in the mail. You can try 4 more times."),
        _WRONG,
    ),
}


def endpoints(services: Services, routes: type[APIRoute], secret: str) -> APIRouter:
    """Everything below `/access-links`; network addresses are hashed with `secret`."""
    router = APIRouter(prefix="/access-links", tags=["access links"], route_class=routes)
    wanted = Body(openapi_examples={"address": {"value": _REQUEST}})
    given = Body(openapi_examples={"code": {"value": _BY_CODE}, "link": {"value": _BY_LINK}})

    @router.post("", status_code=202, responses=_ON_REQUEST)
    async def request_access_link(wanted: Annotated[AccessRequest, wanted], request: Request) -> AccessRequested:
        """Have a link and a code mailed to an address, to prove that it is the customer's own.

        The answer is the same whether the address is known here or not, and so is the time it takes. Keep the `id`:
        the code counts only together with it: six digits, or eight letters and digits if the address was asked for
        before in the last hour. Both count once, for 15 minutes. A network may ask 5 times an hour for one address, and
        20 times in all. What other networks ask for refuses nobody; an address gets at most 5 emails in 15 minutes.
        """
        return await services.access.ask(wanted.email, origin=network_of_caller(request, secret))

    @router.post("/redeem", responses=_ON_REDEEM)
    async def redeem_access_link(given: Annotated[RedeemRequest, given]) -> ProofView:
        """Exchange the link of the mail, or the code with the request's `id`, for the customer's own token, once.

        For 30 days it reads, moves and cancels all bookings of this address, within their terms, and no others. It
        gives no rights of a host, whosever address it is. After five wrong codes only the link counts.
        """
        if given.id is not None and given.code is not None:
            proof, _ = await services.access.redeem_code(given.id, given.code, "program")
        else:
            proof, _ = await services.access.redeem_link(given.link or "", "program")
        return proof

    return router
