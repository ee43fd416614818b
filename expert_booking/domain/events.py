"""News after the commit. A message is only a reason to look, never the truth, so it says no more than where."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True, slots=True)
class ExpertChanged:
    """Something about this expert is different: a booking, the hours, the profile."""

    expert_id: UUID


@dataclass(frozen=True, slots=True)
class FeedConnected:
    """News are heard from now on, and some may have been missed before: whoever follows anything should look again."""


@dataclass(frozen=True, slots=True)
class FeedDisconnected:
    """News are not heard at the moment. Nobody has to do anything but to trust no reading that news would correct."""


@dataclass(frozen=True, slots=True)
class SlotFreed:
    """A booking or a hold let this time go (UTC, half-open, buffers included): cancelled, moved, declined, expired.

    Where it comes from, the table booking_change, says the same for good.
    """

    expert_id: UUID
    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class MailChanged:
    """The mail about this booking has been accepted or given up; without a booking: there is mail to send."""

    booking_id: UUID | None


@dataclass(frozen=True, slots=True)
class LagProbe:
    """A process has sent itself this, to measure how long news takes."""

    name: str


Event = ExpertChanged | FeedConnected | FeedDisconnected | SlotFreed | MailChanged | LagProbe
