"""Checks of what a caller may do that do not depend on one booking."""

from uuid import UUID

from expert_booking.domain.errors import Forbidden, NotAuthenticated
from expert_booking.schemas import Caller, Role


def check_runs(caller: Caller | None, expert_id: UUID) -> Caller:
    """Return the caller. Raises NotAuthenticated without one, and Forbidden if they do not run this calendar."""
    if caller is None:
        raise NotAuthenticated
    if not caller.runs(expert_id):
        raise Forbidden
    return caller


def check_admin(caller: Caller | None) -> None:
    """Raise NotAuthenticated without a token, and Forbidden if the caller is not an admin."""
    if caller is None:
        raise NotAuthenticated
    if caller.role is not Role.ADMIN:
        raise Forbidden
