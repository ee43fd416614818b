"""The body of `POST /bookings`: its model depends on whether a host of the calendar or anyone else sends it."""

from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import Request
from pydantic import WrapValidator

from expert_booking.api.callers import caller_if_any
from expert_booking.domain.errors import Forbidden
from expert_booking.schemas import BookingRequest, Caller, HostBookingRequest, Role
from expert_booking.services import Services

# FastAPI resolves the dependencies of an endpoint before it validates the body, in the same task.
_sender: Final[ContextVar[Caller | None]] = ContextVar("the sender of the request", default=None)
_HOSTS_ONLY: Final = {"override", "notify"}


def sender_dependency(services: Services) -> Callable[[Request], Coroutine[Any, Any, Caller | None]]:
    """Create a dependency: the caller, as `caller_if_any`, whom the validation of the body then knows."""

    async def sender(request: Request) -> Caller | None:
        caller = await caller_if_any(services, request)
        _sender.set(caller)
        return caller

    return sender


def booking_body(public: type[BookingRequest], host: type[HostBookingRequest]) -> Any:
    """The type of the body, documented as either model. Raises Forbidden for what only hosts may send."""

    def validate(body: Any, _: Any) -> BookingRequest:
        if _is_from_host(body):
            return host.model_validate(body)
        if isinstance(body, dict) and not _HOSTS_ONLY.isdisjoint(body):
            raise Forbidden("Only the expert or an admin can send `override` and `notify`.")
        return public.model_validate(body)

    return Annotated[public | host, WrapValidator(validate)]


def _is_from_host(body: Any) -> bool:
    caller = _sender.get()
    if caller is None or caller.role not in (Role.ADMIN, Role.EXPERT) or not isinstance(body, dict):
        return False
    try:
        return caller.runs(UUID(body.get("expertId", body.get("expert_id"))))
    except (ValueError, TypeError, AttributeError):
        return True  # which the model refuses
