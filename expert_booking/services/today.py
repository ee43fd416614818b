"""What a host has to do today."""

from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime, timedelta
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from expert_booking.db import availability
from expert_booking.db import today as rows
from expert_booking.db.engine import AnyRow, Database
from expert_booking.domain.calendar import DAY, Calendar, local_instant
from expert_booking.domain.errors import ExpertNotFound, Forbidden, NotAuthenticated
from expert_booking.domain.unavailability import Blocker, Reason
from expert_booking.schemas import (
    BookingView,
    Caller,
    ClosedDays,
    SetUp,
    ThisWeek,
    TodayView,
    UnsentEmail,
)
from expert_booking.services.booking_views import view_of

# How long ended sessions are listed. Without automatic completion there may be years of them.
_UNMARKED_SINCE: Final = timedelta(days=90)
# No session is longer.
_LONGEST: Final = timedelta(days=1)


class Today:
    """The use cases of the console's first page. Each is a constant number of statements."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    async def read(self, expert_id: UUID, caller: Caller | None) -> TodayView:
        """What waits for the host of this calendar, in the expert's week and days.

        Raises NotAuthenticated, Forbidden or ExpertNotFound.
        """
        _check(expert_id, caller)
        now = self._clock()
        async with self._database.statements() as connection:
            expert = await rows.profile(connection, expert_id)
            if expert is None:
                raise ExpertNotFound
            zone = ZoneInfo(expert.time_zone)
            today = now.astimezone(zone).date()
            midnights = [local_instant(zone, today + days * DAY, 0) for days in range(3)]
            monday = today - today.weekday() * DAY
            since, until = local_instant(zone, monday, 0), local_instant(zone, monday + 7 * DAY, 0)
            figures = await rows.figures(connection, expert_id, now, since, until, today)
            requests = await rows.requests(connection, expert_id, now)
            unmarked = await rows.unmarked(connection, expert_id, now, now - _UNMARKED_SINCE)
            agenda = await rows.agenda(connection, expert_id, now, midnights[0] - _LONGEST, midnights[0], midnights[2])
            unsent = await rows.unsent_emails(connection, expert_id, now)
            upcoming = await rows.upcoming(connection, expert_id, now)
            offers = await availability.offers(connection, [expert_id], now)
        sessions = [view_of(row) for row in agenda]
        calendars = {offer.session_type_id: offer.calendar for offer in offers}
        return TodayView(
            slug=expert.slug,
            time_zone=expert.time_zone,
            set_up=SetUp(profile=expert.profile, hours=figures.hours_set, session_type=figures.session_type),
            week=ThisWeek(
                first_day=monday,
                sessions=figures.sessions,
                hours=float(figures.hours),
                requests=figures.requests,
                missed=figures.missed,
            ),
            requests=[view_of(row) for row in requests],
            unmarked=[view_of(row) for row in unmarked[: rows.MAX_LISTED]],
            has_more_unmarked=len(unmarked) > rows.MAX_LISTED,
            today=today,
            sessions_today=[one for one in sessions if one.starts_at < midnights[1]],
            sessions_tomorrow=[one for one in sessions if one.starts_at >= midnights[1]],
            closed_days=_closed_days(upcoming, calendars),
            unsent_emails=[UnsentEmail.model_validate(row._mapping) for row in unsent],
            changes_at=min([midnights[1], *(one.ends_at for one in sessions if one.ends_at > now)]),
        )

    async def day(self, expert_id: UUID, day: date, caller: Caller | None) -> Sequence[BookingView]:
        """The requests and sessions of one local date of the expert, by start.

        Raises NotAuthenticated, Forbidden or ExpertNotFound.
        """
        _check(expert_id, caller)
        async with self._database.statements() as connection:
            expert = await rows.profile(connection, expert_id)
            if expert is None:
                raise ExpertNotFound
            zone = ZoneInfo(expert.time_zone)
            begins, until = local_instant(zone, day, 0), local_instant(zone, day + DAY, 0)
            found = await rows.day(connection, expert_id, begins - _LONGEST, begins, until)
        return [view_of(row) for row in found]


def _check(expert_id: UUID, caller: Caller | None) -> None:
    if caller is None:
        raise NotAuthenticated
    if not caller.runs(expert_id):
        raise Forbidden


def _closed_days(upcoming: Iterable[AnyRow], calendars: dict[UUID, Calendar]) -> list[ClosedDays]:
    """Group the bookings that lie on days off or holidays, by date."""
    found: dict[tuple[date, date, str | None, str], list[BookingView]] = {}
    for row in upcoming:
        calendar = calendars.get(row.session_type_id)
        closed = calendar and calendar.closed_by(row.starts_at)
        if closed:
            found.setdefault(_key(closed), []).append(view_of(row))
    return [
        ClosedDays(first_day=first, last_day=last, holiday=holiday, reason=reason, bookings=one)
        for (first, last, holiday, reason), one in found.items()
    ]


def _key(blocker: Blocker) -> tuple[date, date, str | None, str]:
    figures = blocker.figures
    if blocker.reason is Reason.HOLIDAY:
        return figures["day"], figures["day"], str(figures["holiday"]), ""  # type: ignore[return-value]
    return figures["firstDay"], figures["lastDay"], None, blocker.note  # type: ignore[return-value]
