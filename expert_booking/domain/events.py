"""Events that follow a commit. An event is only a hint to re-read, so it carries ids and times but no data."""

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class ExpertChanged:
    """Something about this expert has changed: a booking, the hours or the profile."""

    expert_id: UUID


@dataclass(frozen=True, slots=True)
class FeedConnected:
    """The feed is connected from now on. Earlier events may have been missed, so subscribers should re-read."""


@dataclass(frozen=True, slots=True)
class FeedDisconnected:
    """The feed is disconnected. Cached readings may be out of date until `FeedConnected`."""


@dataclass(frozen=True, slots=True)
class MailChanged:
    """An email about this booking was accepted or given up; without a booking id, there are emails to send."""

    booking_id: UUID | None


@dataclass(frozen=True, slots=True)
class LagProbe:
    """A notification that a process sends to itself to measure the feed's delay."""

    name: str


Event = ExpertChanged | FeedConnected | FeedDisconnected | MailChanged | LagProbe
