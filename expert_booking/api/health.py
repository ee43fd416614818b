"""Health checks: liveness and readiness."""

from typing import Literal

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from expert_booking.api.error_docs import ErrorDoc, error_responses
from expert_booking.api.problems import problem
from expert_booking.schemas import Model
from expert_booking.services import Services


class Health(Model):
    """The result of a health check."""

    status: Literal["alive", "ready"]


def endpoints(services: Services) -> APIRouter:
    """Create the router for `/healthz` and `/readyz`."""
    router = APIRouter(tags=["health"])

    @router.get("/healthz", summary="Check liveness", response_description="The process is alive.")
    async def alive() -> Health:
        """Return 200 while the process answers requests."""
        return Health(status="alive")

    @router.get(
        "/readyz",
        summary="Check readiness",
        response_description="The process is ready for requests.",
        response_model=Health,
        responses=error_responses(
            ErrorDoc(503, "not_ready", "The database cannot be reached, or its schema is not up to date."),
            ErrorDoc(503, "clock_wrong", "The clocks of the server and the database differ by more than a minute."),
            ErrorDoc(503, "disk_full", "The disk of the database is full."),
        ),
    )
    async def ready() -> Health | JSONResponse:
        """Return 200 if the database is reachable and writable, its schema is current and its clock agrees."""
        reason = await services.ready()
        return Health(status="ready") if reason is None else problem(503, reason.code, reason.detail)

    return router
