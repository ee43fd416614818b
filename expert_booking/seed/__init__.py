"""Sample data: a realistic catalogue and some weeks of bookings around today, made through the services.

The same number gives the same data on the same day. A second run adds nothing, and a run after an interrupted one adds
what is missing: experts are recognized by slug, bookings by their position in the expert's diary.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Final

from expert_booking.db import bulk as rows
from expert_booking.db.engine import Database
from expert_booking.domain.calendar import DAY
from expert_booking.domain.errors import NotFound, SlugTaken
from expert_booking.domain.hours import OverrideKind
from expert_booking.domain.limits import NO_LIMITS
from expert_booking.domain.slugs import slug_of
from expert_booking.schemas import DaysOffRequest, ExpertRequest, OverrideRequest
from expert_booking.seed import bulk
from expert_booking.seed.catalogue import address_of, days_with_overrides, expert_requests, shares
from expert_booking.seed.details import EVENING
from expert_booking.seed.diary import ADMIN, HISTORY, Diary
from expert_booking.seed.people import PEOPLE
from expert_booking.services import Services, utc_now

# The address of the first expert.
EXPERT_EMAIL: Final = address_of(slug_of(PEOPLE[0].name))
# The size of the connection pool.
_CONCURRENCY = 6
# By then all requests made in the past have been answered or have expired.
_LONGEST_ANSWER = 4 * DAY


@dataclass(frozen=True)  # without slots: the command line shows the defaults, which are the class's own attributes
class Plan:
    """The size of the sample data. `number` is the random seed; `reset` deletes all existing data first."""

    experts: int = 30
    bookings: int = 480
    number: int = 1
    reset: bool = False

    @property
    def is_large(self) -> bool:
        """Whether this exceeds what the hand-written experts can take, so that rows are loaded in bulk."""
        return self.experts > len(PEOPLE) or self.bookings > 50 * self.experts


async def load(database: Database, plan: Plan, *, now: datetime | None = None) -> str:
    """Fill the database without sending emails or reminders. Returns a sentence with the totals."""
    quiet = Database(database.url, silent=True)
    try:
        return await _load(quiet, plan, now)
    finally:
        await quiet.close()


async def _load(database: Database, plan: Plan, now: datetime | None) -> str:
    today = datetime.combine((now or utc_now()).astimezone(UTC), time(), tzinfo=UTC)

    def services_at(instant: datetime) -> Services:
        return Services(database, clock=lambda: instant, limits=NO_LIMITS)

    # Nearly all bookings are made at one instant in the past, when all of these slots were still in the future.
    services = services_at(today - HISTORY)
    if plan.reset:
        await services.experts.remove_everything()
    experts, bookings = await _counted(services)
    requests = expert_requests(plan.experts, plan.number, today.date())
    counts = shares(plan.bookings, requests, plan.number)
    if plan.is_large:
        known = await services.experts.slugs()
        await bulk.add_experts(services, requests)
        for slug in {str(request.slug) for request in requests} - known:
            await _add_overrides(services, slug, today.date())
        await bulk.add_bookings(database, services, requests, counts, plan.number, today)
    else:
        async with database.statements() as connection:
            begun = await rows.now(connection)
        await _load_one_by_one(services_at, requests, counts, plan.number, today)
        await services_at(today - HISTORY + _LONGEST_ANSWER).deadlines.drain()
        async with database.statements() as connection:
            await rows.suppress_reminders(connection, begun)
    await bulk.work_off(database, Services(database))
    all_experts, all_bookings = await _counted(services)
    return (
        f"{all_experts:,} experts and {all_bookings:,} bookings are there "
        f"({all_experts - experts:,} and {all_bookings - bookings:,} new)."
    )


async def _counted(services: Services) -> tuple[int, int]:
    return len(await services.experts.slugs()), await services.bookings.count()


async def _load_one_by_one(
    services_at: Callable[[datetime], Services],
    requests: Sequence[ExpertRequest],
    counts: Sequence[int],
    number: int,
    today: datetime,
) -> None:
    services = services_at(today - HISTORY)
    known = await services.experts.slugs()

    async def add_experts(remaining: Iterator[tuple[ExpertRequest, int]]) -> None:
        for request, count in remaining:
            if request.slug not in known:
                with suppress(SlugTaken):  # another process is adding sample data, too
                    await services.experts.add(request)
                    await _add_overrides(services, str(request.slug), today.date())
            with suppress(NotFound):  # the expert has been deactivated since the first run
                await Diary(services_at, str(request.slug), number, today).fill(count)

    # The tasks share one iterator, so that each expert is handled once.
    remaining = iter(list(zip(requests, counts, strict=True)))
    await asyncio.gather(*(add_experts(remaining) for _ in range(_CONCURRENCY)))


async def _add_overrides(services: Services, slug: str, today: date) -> None:
    details = days_with_overrides().get(slug)
    if details is None:
        return
    calendars, key = services.calendars, await services.calendars.key(slug, ADMIN)
    for days in details.shut_days:
        await calendars.put_override(key, today + days * DAY, OverrideRequest(kind=OverrideKind.NONE))
    for days in details.evenings:
        evening = OverrideRequest(kind=OverrideKind.EXTRA, windows=[EVENING])
        await calendars.put_override(key, today + days * DAY, evening)
    if details.holidays:
        first, last, reason = details.holidays
        request = DaysOffRequest(first_day=today + first * DAY, last_day=today + last * DAY, reason=reason)
        await calendars.add_days_off(key, request)
