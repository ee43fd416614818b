"""`/metrics`, for Prometheus and nobody else."""

import secrets

from fastapi import APIRouter, Request, Response
from starlette.exceptions import HTTPException

from expert_booking.api.callers import Bearer
from expert_booking.domain.client_network import ProxyDetector, is_here
from expert_booking.metrics import Metrics


def endpoints(metrics: Metrics, token: str | None, proxies: ProxyDetector) -> APIRouter:
    """The metrics, for requests with the token; where there is none, for this machine alone, until a proxy is seen."""
    router = APIRouter()

    @router.get("/metrics", include_in_schema=False)
    async def figures(request: Request, bearer: Bearer) -> Response:
        """What this process has counted and measured; for all others there is no such address."""
        given = bearer.credentials if bearer else ""
        if not _may_read(request, given, token, proxies):
            raise HTTPException(404)
        content, kind = await metrics.exposition(request.headers.get("accept", ""))
        return Response(content, media_type=kind)

    return router


def _may_read(request: Request, given: str, token: str | None, proxies: ProxyDetector) -> bool:
    if token is not None:
        return secrets.compare_digest(given.encode(), token.encode())
    return not proxies.seen and is_here(request.client.host if request.client else "", request.headers)
