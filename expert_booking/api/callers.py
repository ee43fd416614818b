"""The caller of a request, from its bearer token."""

from collections.abc import Callable, Coroutine
from typing import Annotated, Any, Final

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from expert_booking.domain.client_network import network_hash
from expert_booking.domain.errors import NotAuthenticated
from expert_booking.schemas import Caller
from expert_booking.services import Services

bearer_token = HTTPBearer(
    auto_error=False,
    description="A token from `expert-booking token create`, `POST /bookings` or `POST /access-links/redeem`.",
)
# For `openapi_extra` of operations that also answer requests without a token.
TOKEN_IS_OPTIONAL: Final[dict[str, Any]] = {"security": [{}]}
Bearer = Annotated[HTTPAuthorizationCredentials | None, Depends(bearer_token)]


def caller_dependency(services: Services) -> Callable[[Bearer], Coroutine[Any, Any, Caller | None]]:
    """Create a dependency: the caller, or None without a token. Raises NotAuthenticated if the token is not valid."""

    async def caller(bearer: Bearer) -> Caller | None:
        if bearer is None:
            return None
        if not bearer.credentials:
            raise NotAuthenticated
        return await services.tokens.identify(bearer.credentials)

    return caller


async def caller_if_any(services: Services, request: Request) -> Caller | None:
    """Return the caller of a request that needs no token: None without a token, and if it is not valid."""
    if "authorization" not in request.headers:
        return None
    try:
        return await caller_dependency(services)(await bearer_token(request))
    except NotAuthenticated:
        return None


def client_network_hash(request: Request, secret: str) -> bytes:
    """Hash the network that the request comes from, keyed with `secret`."""
    return network_hash(request.client.host if request.client else "", secret)
