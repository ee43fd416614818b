"""Use cases. Pages and endpoints reach everything below this layer through `Services`."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from math import inf
from typing import Final, NamedTuple

from expert_booking.bus import Bus
from expert_booking.db import queue_sizes, schema
from expert_booking.db.embedded import LEAST_FREE
from expert_booking.db.engine import Database
from expert_booking.db.queue_sizes import QueueSizes
from expert_booking.domain.holds import HoldRules
from expert_booking.domain.limits import BookingLimits
from expert_booking.domain.site import Site
from expert_booking.mail.send import EmailTransport
from expert_booking.services.access import Access
from expert_booking.services.assistants import Assistants
from expert_booking.services.availability import Availability
from expert_booking.services.blocks import Blocks
from expert_booking.services.booking_emails import BookingEmails
from expert_booking.services.booking_lists import BookingLists
from expert_booking.services.bookings import Bookings
from expert_booking.services.calendar_rules import CalendarRulesService
from expert_booking.services.calendars import Calendars
from expert_booking.services.customers import Customers
from expert_booking.services.email_choices import EmailChoices
from expert_booking.services.experts import Experts
from expert_booking.services.feeds import Feeds
from expert_booking.services.holds import Holds
from expert_booking.services.host_times import HostTimes
from expert_booking.services.idempotency import Idempotency
from expert_booking.services.instrumented import BookingMetrics, InstrumentedBookings, InstrumentedHolds
from expert_booking.services.mailbox import Mailbox
from expert_booking.services.photos import Photos
from expert_booking.services.schedule import Schedule
from expert_booking.services.statistics import BookingStatistics
from expert_booking.services.today import Today
from expert_booking.services.tokens import Tokens
from expert_booking.services.verification import Verification
from expert_booking.services.workers.deadlines import Deadlines
from expert_booking.services.workers.next_available import NextAvailable
from expert_booking.services.workers.outbox import Outbox

Clock = Callable[[], datetime]
ClockAgrees = Callable[[], Awaitable[bool]]
_HOLD_RULES: Final = HoldRules()
_BOOKING_LIMITS: Final = BookingLimits()
_SITE: Final = Site()


def utc_now() -> datetime:
    """The current time."""
    return datetime.now(UTC)


async def _always_agrees() -> bool:
    return True


class NotReady(NamedTuple):
    """Why this process should not receive requests now: a code for programs and a message for people."""

    code: str
    detail: str


class Services:
    """All use cases, sharing one database and one clock."""

    def __init__(
        self,
        database: Database,
        bus: Bus | None = None,
        clock: Clock = utc_now,
        clock_agrees: ClockAgrees = _always_agrees,
        holds: HoldRules = _HOLD_RULES,
        limits: BookingLimits = _BOOKING_LIMITS,
        site: Site = _SITE,
        transport: EmailTransport | None = None,
        counts: BookingMetrics | None = None,
        free_space: Callable[[], int] | None = None,
        seconds_since_request: Callable[[], float] = lambda: inf,
    ) -> None:
        """`transport` sends the emails; without one they wait in the outbox. `counts` receives the metrics.

        `clock_agrees` says whether the clocks of this machine and the database agree; if not, deadlines and reminders
        wait. `free_space` returns the free bytes on the database's disk, if this process can measure them.
        `seconds_since_request` says how long this process has had no request, so that emails give way to them.
        """
        self._database = database
        self.site = site
        self.bus = bus or Bus()
        self.clock = clock
        self._clock_agrees = clock_agrees
        self._free_space = free_space
        self.availability = Availability(database, clock)
        self.experts = Experts(database, clock)
        self.bookings = (
            Bookings(database, clock, limits, sends_email=site.sends_email)
            if counts is None
            else InstrumentedBookings(database, clock, limits, counts, sends_email=site.sends_email)
        )
        self.booking_lists = BookingLists(database, clock, self.bookings)
        self.statistics = BookingStatistics(database, clock)
        self.verification = Verification(database, clock, site)
        self.holds = (
            Holds(database, clock, holds) if counts is None else InstrumentedHolds(database, clock, holds, counts)
        )
        self.blocks = Blocks(database, clock, site.retention)
        self.schedule = Schedule(database, clock)
        self.booking_emails = BookingEmails(database, clock, site)
        self.customers = Customers(database, clock, site)
        self.deadlines = Deadlines(
            database, clock, clock_agrees, limits, self.customers, self.blocks, site.complete_after
        )
        self.calendars = Calendars(database, clock, self.experts)
        self.today = Today(database, clock)
        self.photos = Photos(database)
        self.assistants = Assistants(database, clock)
        self.host_times = HostTimes(database, clock, self.availability)
        self.calendar_rules = CalendarRulesService(database, clock)
        self.access = Access(database, clock, site)
        self.tokens = Tokens(database, clock, site)
        self.email_choices = EmailChoices(database, clock, site, counts)
        self.feeds = Feeds(database, clock, site)
        self.outbox = Outbox(database, clock, clock_agrees, site, self.access, transport, seconds_since_request)
        # None if emails are sent over SMTP or not at all.
        self.mailbox = transport if isinstance(transport, Mailbox) else None
        self.idempotency = Idempotency(database, clock, site.secret)
        self.next_available = NextAvailable(database, clock, clock_agrees)

    async def queue_sizes(self) -> QueueSizes:
        """The amount of background work that is waiting. Raises Unavailable."""
        async with self._database.statements() as connection:
            return await queue_sizes.read(connection)

    def stop(self) -> None:
        """Ask the background workers to stop after their current step."""
        for worker in (self.next_available, self.deadlines, self.outbox):
            worker.stop()

    async def ready(self) -> NotReady | None:
        """None if this process can serve requests; otherwise the first problem found."""
        if not await self._database.answers():
            return NotReady("not_ready", "The database cannot be reached.")
        if not await schema.at_head(self._database):
            return NotReady("not_ready", "The database's schema is not at head: run `expert-booking migrate`.")
        if not await self._clock_agrees():
            return NotReady("clock_wrong", "The clocks of this process and the database are over a minute apart.")
        if self._database.disk_was_full() or await self._is_disk_full():
            return NotReady("disk_full", "The database's disk is full.")
        return None

    async def _is_disk_full(self) -> bool:
        if self._free_space is None:
            return False
        with suppress(OSError):  # a missing folder is not a full disk; the supervisor handles it
            return await asyncio.to_thread(self._free_space) < LEAST_FREE
        return False
