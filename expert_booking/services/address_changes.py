"""Change the email address of an expert, which has to be confirmed."""

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from expert_booking.db import expert_addresses
from expert_booking.db.engine import AnyConnection
from expert_booking.domain.addresses import customer_key
from expert_booking.domain.errors import TooManyAccessRequests

# New email addresses per expert and hour.
MAX_NEW_ADDRESSES: Final = 5
_HOUR: Final = timedelta(hours=1)


async def change_address(connection: AnyConnection, expert_id: UUID, email: str, now: datetime) -> None:
    """Store a new address, and queue the email with which its owner confirms it. Another spelling counts at once.

    Raises TooManyAccessRequests.
    """
    _, known_by = await expert_addresses.current(connection, expert_id)
    if customer_key(email) == known_by:
        await expert_addresses.put(connection, expert_id, email)
        return
    # Each change sends an email to an unproven address, so the number is limited.
    times, first = await expert_addresses.count_since(connection, expert_id, now - _HOUR)
    if times >= MAX_NEW_ADDRESSES:
        raise TooManyAccessRequests((first or now) + _HOUR - now)
    await expert_addresses.put_pending(connection, expert_id, email, now)
