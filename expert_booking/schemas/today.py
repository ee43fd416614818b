"""What a host has to do today: the contents of the console's first page."""

from collections.abc import Sequence
from datetime import date
from uuid import UUID

from expert_booking.schemas.bookings import BookingView
from expert_booking.schemas.fields import Model, Utc


class SetUp(Model):
    """Which of the three steps to the first booking are done."""

    profile: bool
    hours: bool
    session_type: bool

    @property
    def is_bookable(self) -> bool:
        """Whether visitors can find a time to book."""
        return self.hours and self.session_type

    @property
    def done(self) -> int:
        """The number of steps that are done."""
        return sum((self.profile, self.hours, self.session_type))


class ThisWeek(Model):
    """Figures of the expert's current week, Monday to Sunday.

    `sessions` and `hours` count booked sessions that start in it, `missed` its cancellations and no-shows. `requests`
    are all that wait for an answer, whenever they start.
    """

    first_day: date
    sessions: int
    hours: float
    requests: int
    missed: int


class ClosedDays(Model):
    """Days off, or a public holiday, on which there are bookings all the same. Dates are local ones."""

    first_day: date
    last_day: date
    # The name of the holiday; None for days off.
    holiday: str | None
    # The private reason of days off.
    reason: str
    bookings: Sequence[BookingView]


class UnsentEmail(Model):
    """An email about a booking that could not be delivered, to the expert or to the customer."""

    booking_id: UUID
    to_expert: bool
    customer_name: str
    starts_at: Utc


class TodayView(Model):
    """What a host has to do. Lists contain no blocks, and no booking whose customer must still confirm the address."""

    slug: str
    time_zone: str
    set_up: SetUp
    week: ThisWeek
    # By the deadline to answer, the most urgent ones of `week.requests`.
    requests: Sequence[BookingView]
    # Sessions that have ended and are still confirmed, the latest ones.
    unmarked: Sequence[BookingView]
    has_more_unmarked: bool
    # The agenda without `requests` and `unmarked`, by start. Dates are the expert's.
    today: date
    sessions_today: Sequence[BookingView]
    sessions_tomorrow: Sequence[BookingView]
    closed_days: Sequence[ClosedDays]
    unsent_emails: Sequence[UnsentEmail]
    # When this changes although nothing is written: a session ends, or a new day begins.
    changes_at: Utc
