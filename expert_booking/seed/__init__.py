"""Sample data: a believable catalogue and some weeks of bookings around today, all of it through the services.

The same number makes the same world on the same day. A second run adds nothing, one after an interrupted run adds
what is missing: experts are known by their slugs, bookings by their place in their expert's diary.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, time

from expert_booking.db import bulk as rows
from expert_booking.db.engine import Database
from expert_booking.domain.calendar import DAY
from expert_booking.domain.errors import NotFound, SlugTaken
from expert_booking.domain.hours import OverrideKind
from expert_booking.schemas import DaysOffRequest, ExpertRequest, OverrideRequest
from expert_booking.seed import bulk
from expert_booking.seed.catalogue import expert_requests, odd_days, shares
from expert_booking.seed.details import EVENING
from expert_booking.seed.diary import ADMIN, HISTORY, Diary
from expert_booking.seed.people import PEOPLE
from expert_booking.services import Services, utc_now

# As many as the pool has connections.
_AT_ONCE = 6
# After this nobody who asked long ago still waits for an answer.
_ANSWERED = 4 * DAY


@dataclass(frozen=True)  # without slots: the command line shows the defaults, which are the class's own attributes
class Plan:
    """How large the world shall be; another number is another world, `reset` first removes the one that is there."""

    experts: int = 30
    bookings: int = 480
    number: int = 1
    reset: bool = False

    @property
    def is_large(self) -> bool:
        """Whether it is more than the hand-written experts have room for, and so goes in by the thousand."""
        return self.experts > len(PEOPLE) or self.bookings > 50 * self.experts


async def load(database: Database, plan: Plan, *, now: datetime | None = None) -> str:
    """Fill the database as planned; nobody is mailed about it, nor reminded later. Returns what is there, as words."""
    quiet = Database(database.url, silent=True)
    try:
        return await _load(quiet, plan, now)
    finally:
        await quiet.close()


async def _load(database: Database, plan: Plan, now: datetime | None) -> str:
    today = datetime.combine((now or utc_now()).astimezone(UTC), time(), tzinfo=UTC)

    def at(moment: datetime) -> Services:
        return Services(database, clock=lambda: moment)

    # Nearly everything is booked at one moment of the past, when all of these slots were still to come.
    services = at(today - HISTORY)
    if plan.reset:
        await services.experts.remove_everything()
    experts, bookings = await _counted(services)
    requests = expert_requests(plan.experts, plan.number, today.date())
    counts = shares(plan.bookings, requests, plan.number)
    if plan.is_large:
        known = await services.experts.slugs()
        await bulk.add_experts(services, requests)
        for slug in {str(request.slug) for request in requests} - known:
            await _add_odd_days(services, slug, today.date())
        await bulk.add_bookings(database, services, requests, counts, plan.number, today)
    else:
        async with database.statements() as connection:
            begun = await rows.now(connection)
        await _load_one_by_one(at, requests, counts, plan.number, today)
        await at(today - HISTORY + _ANSWERED).deadlines.work_off()
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
    at: Callable[[datetime], Services],
    requests: Sequence[ExpertRequest],
    counts: Sequence[int],
    number: int,
    today: datetime,
) -> None:
    services = at(today - HISTORY)
    known = await services.experts.slugs()

    async def work_off(left: Iterator[tuple[ExpertRequest, int]]) -> None:
        for request, count in left:
            if request.slug not in known:
                with suppress(SlugTaken):  # somebody sows at the same time
                    await services.experts.add(request)
                    await _add_odd_days(services, str(request.slug), today.date())
            with suppress(NotFound):  # an expert who has been closed since gets no more bookings
                await Diary(at, str(request.slug), number, today).fill(count)

    left = iter(list(zip(requests, counts, strict=True)))
    await asyncio.gather(*(work_off(left) for _ in range(_AT_ONCE)))


async def _add_odd_days(services: Services, slug: str, today: date) -> None:
    details = odd_days().get(slug)
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
        wanted = DaysOffRequest(first_day=today + first * DAY, last_day=today + last * DAY, reason=reason)
        await calendars.add_days_off(key, wanted)
