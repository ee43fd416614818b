"""Explain why a session can or cannot start at an instant."""

from datetime import datetime

from expert_booking.db.availability import Offer
from expert_booking.schemas import Explanation, blocker_view


def explanation(offer: Offer, at: datetime, now: datetime) -> Explanation:
    """All reasons why this instant cannot be booked, with private notes. The offer has the busy time around it."""
    blockers = list(offer.calendar.blockers(at, now))
    return Explanation(
        at=at,
        expert_id=offer.expert_id,
        session_type_id=offer.session_type_id,
        time_zone=offer.calendar.zone.key,
        local_time=at.astimezone(offer.calendar.zone).isoformat(),
        offered=not blockers,
        reason=blockers[0].reason if blockers else None,
        message=str(blockers[0]) if blockers else "This time can be booked.",
        blockers=[blocker_view(blocker, with_note=True) for blocker in blockers],
    )
