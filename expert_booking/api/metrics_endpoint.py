"""`/metrics` for Prometheus."""

import secrets

from fastapi import APIRouter, Request, Response
from starlette.exceptions import HTTPException

from expert_booking.api.callers import Bearer
from expert_booking.domain.client_network import ProxyDetector, is_here
from expert_booking.metrics import Metrics


def endpoints(metrics: Metrics, token: str | None, proxies: ProxyDetector) -> APIRouter:
    """Create the router for `/metrics`, which requires `token`.

    Without a token it answers only requests from this machine, and none at all once a proxy was detected.
    """
    router = APIRouter()

    @router.get("/metrics", include_in_schema=False)
    async def read_metrics(request: Request, bearer: Bearer) -> Response:
        """Return the metrics of this process, or 404 to clients that may not read them."""
        credentials = bearer.credentials if bearer else ""
        if not _may_read(request, credentials, token, proxies):
            raise HTTPException(404)
        content, kind = await metrics.exposition(request.headers.get("accept", ""))
        return Response(content, media_type=kind)

    return router


def _may_read(request: Request, credentials: str, token: str | None, proxies: ProxyDetector) -> bool:
    if token is not None:
        return secrets.compare_digest(credentials.encode(), token.encode())
    return not proxies.seen and is_here(request.client.host if request.client else "", request.headers)
