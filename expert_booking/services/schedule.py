"""What a host's calendar shows, and the customers of an expert: two or three statements, whatever there is."""

from collections.abc import Callable, Iterator
from datetime import datetime
from uuid import UUID
from zoneinfo import ZoneInfo

from expert_booking.db import availability
from expert_booking.db import schedule as rows
from expert_booking.db.engine import AnyRow, Database
from expert_booking.domain.calendar import DAY, Calendar, SessionLength, local_instant
from expert_booking.domain.errors import ExpertNotFound, FieldsWrong
from expert_booking.domain.hours import Hours
from expert_booking.domain.lifecycle import Status
from expert_booking.domain.unavailability import Reason
from expert_booking.schemas import MAX_SCHEDULE, Caller, ClosedDay, EntryKind, OpenTime, ScheduleEntry, ScheduleView
from expert_booking.services.booking_views import is_unverified
from expert_booking.services.permissions import check_runs


class Schedule:
    """Reads the calendar of an expert for those who run it."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    async def week(self, expert_id: UUID, since: datetime, until: datetime, caller: Caller | None) -> ScheduleView:
        """Everything in [since, until): bookings, blocks, holds, open time and closed days. All instants are UTC.

        A booking whose customer has not confirmed the email address is shown as a hold. Raises NotAuthenticated,
        Forbidden, ExpertNotFound, and FieldsWrong for an empty range or one of more than 63 days.
        """
        check_runs(caller, expert_id)
        if not since < until <= since + MAX_SCHEDULE:
            raise FieldsWrong({"until": f"Please request at most {MAX_SCHEDULE.days} days."})
        now = self._clock()
        async with self._database.statements() as connection:
            plan = await availability.plan(connection, expert_id, since)
            if plan is None:
                raise ExpertNotFound
            found = await rows.entries(connection, expert_id, since, until, now)
        zone, hours = plan
        return ScheduleView(
            expert_id=expert_id,
            time_zone=zone.key,
            since=since,
            until=until,
            entries=[_entry(row) for row in found],
            open_times=[
                OpenTime(starts_at=opens, ends_at=closes)
                for opens, closes in Calendar(zone, hours, SessionLength(60, 60)).openings(since, until)
            ],
            closed_days=list(_closed_days(zone, hours, since, until)),
        )


def _entry(row: AnyRow) -> ScheduleEntry:
    times = {
        name: getattr(row, name)
        for name in ("id", "starts_at", "ends_at", "busy_from", "busy_until", "status", "version")
    }
    if row.status == Status.BLOCKED:
        return ScheduleEntry(kind=EntryKind.BLOCK, note=row.notes, series_id=row.series_id, **times)
    if row.status == Status.HELD or is_unverified(row):
        return ScheduleEntry(kind=EntryKind.HOLD, **{**times, "status": Status.HELD})
    return ScheduleEntry(
        kind=EntryKind.BOOKING,
        customer_name=row.name or None,
        session_type_id=row.session_type_id,
        session_title=row.title,
        answer_by=row.answer_by,
        **times,
    )


def _closed_days(zone: ZoneInfo, hours: Hours, since: datetime, until: datetime) -> Iterator[ClosedDay]:
    day = since.astimezone(zone).date()
    while (starts_at := local_instant(zone, day, 0)) < until:
        blocker = hours.on(day).blocker
        ends_at = local_instant(zone, day + DAY, 0)
        if blocker is not None and ends_at > since:
            name = str(blocker.figures["holiday"]) if blocker.reason is Reason.HOLIDAY else blocker.note
            yield ClosedDay(day=day, starts_at=starts_at, ends_at=ends_at, reason=blocker.reason, name=name)
        day += DAY
