"""For whoever watches the service: is it alive, is it ready."""

from typing import Literal

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from expert_booking.api.problems import problem, told
from expert_booking.schemas import Model
from expert_booking.services import Services


class Health(Model):
    status: Literal["alive", "ready"]


def endpoints(services: Services) -> APIRouter:
    """`/healthz` and `/readyz`."""
    router = APIRouter(tags=["health"])

    @router.get("/healthz")
    async def alive() -> Health:
        """Alive: the process answers."""
        return Health(status="alive")

    @router.get(
        "/readyz",
        response_model=Health,
        responses=told(
            (503, "not_ready", "The database cannot be reached, or its schema is not at head."),
            (503, "clock_wrong", "The clocks of this process and the database are over a minute apart."),
            (503, "disk_full", "The database's disk is full."),
        ),
    )
    async def ready() -> Health | JSONResponse:
        """Ready: the database can be reached and written, its schema is at head, and both clocks agree."""
        reason = await services.ready()
        return Health(status="ready") if reason is None else problem(503, reason.code, reason.detail)

    return router
