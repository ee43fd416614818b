"""Decide which limits apply to a booking or a change, and count it. Experts and admins are not limited."""

from datetime import datetime

from expert_booking.db import limits as rows
from expert_booking.db.bookings import LimitCheck
from expert_booking.db.engine import AnyConnection, AnyRow
from expert_booking.domain.errors import TooManyChanges
from expert_booking.domain.limits import BookingLimits
from expert_booking.schemas import Caller, Role


def booking_check(
    limits: BookingLimits, customer: str, *, origin: bytes | None, visitor: bytes | None, caller: Caller | None
) -> LimitCheck | None:
    """The limits for a booking of this customer (a `customer_key`); None if none apply.

    `origin` and `visitor` are hashes of the network and the browser; a booking of the product itself has neither.
    """
    if caller is not None and caller.role in (Role.ADMIN, Role.EXPERT):
        return None
    proven = caller is not None and caller.has_proven(customer)
    # Nothing is counted or stored about the network of a proven address.
    network = None if proven else origin
    if not proven and network is None and visitor is None:
        return None
    check = LimitCheck(
        origin=network,
        proven=proven,
        per_network=limits.per_network if network is not None else 0,
        live_per_expert=limits.live_per_expert,
        live_per_customer=limits.live_per_customer,
    )
    return check if check.per_network or limits.count_live_bookings else None


async def count_change(
    connection: AnyConnection,
    limits: BookingLimits,
    row: AnyRow,
    now: datetime,
    *,
    origin: bytes | None,
    caller: Caller | None,
) -> None:
    """Count a change that the customer makes to this booking; it is uncounted if the transaction is rolled back.

    Raises TooManyChanges. A caller who has proven the customer's address is not limited.
    """
    if not limits.changes_per_hour or (caller is not None and caller.has_proven(row.customer_key)):
        return
    await rows.lock_changes(connection, row.id, origin)
    of_booking, by_network = await rows.count_change(connection, row.id, origin, now, per_hour=limits.changes_per_hour)
    if by_network is not None and (of_booking is None or by_network > of_booking):
        raise TooManyChanges(by_network, now)
    if of_booking is not None:
        raise TooManyChanges(of_booking, now, "This booking was changed too often in the last hour.")
