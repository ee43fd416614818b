"""Checks of what a caller may do that do not depend on one expert or booking."""

from expert_booking.domain.errors import Forbidden, NotAuthenticated
from expert_booking.schemas import Caller, Role


def check_admin(caller: Caller | None) -> None:
    """Raise NotAuthenticated without a token, and Forbidden if the caller is not an admin."""
    if caller is None:
        raise NotAuthenticated
    if caller.role is not Role.ADMIN:
        raise Forbidden
