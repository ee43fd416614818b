"""Which times a host can give a booking: where it fits by the rules, and which rules another time would set aside."""

from collections.abc import Callable, Sequence
from datetime import date, datetime
from typing import NamedTuple
from uuid import UUID

from expert_booking.db import availability as rows
from expert_booking.db.engine import Database
from expert_booking.domain.calendar import local_instant
from expert_booking.domain.errors import SessionTypeNotFound
from expert_booking.domain.rule_overrides import RuleOverride, slot_for_host
from expert_booking.domain.unavailability import Blocker
from expert_booking.services.availability import Availability, find_offer
from expert_booking.services.calendars import CalendarKey

Span = tuple[datetime, datetime]


class RuleAgainst(NamedTuple):
    """A rule that a host would have to set aside, and how the calendar applies it."""

    rule: RuleOverride
    blocker: Blocker


class HostTimes:
    """Reads calendars for hosts. All instants are UTC."""

    def __init__(self, database: Database, clock: Callable[[], datetime], availability: Availability) -> None:
        self._database = database
        self._clock = clock
        self._availability = availability

    async def free_spans(
        self, key: CalendarKey, session_type_id: UUID, since: date, until: date, *, own: datetime
    ) -> Sequence[Span]:
        """Where a session of this type fits by the rules, as spans from first starts to last ends.

        `since` and `until` (exclusive) are local dates of the expert. `own` is the start of the booking to reschedule,
        which does not block the time. Empty if the session type is no longer offered.
        """
        try:
            board = await self._availability.board(key.expert_id, session_type_id)
        except SessionTypeNotFound:
            return []
        calendar = board.calendar.without(own)
        begin, end = local_instant(board.zone, since, 0), local_instant(board.zone, until, 0)
        length = calendar.length.spans()[0]
        return _merged([(start, start + length) for start in calendar.open_starts(begin, end, board.read_at)])

    async def rules_against(
        self, key: CalendarKey, session_type_id: UUID, starts_at: datetime, *, own: datetime | None = None
    ) -> Sequence[RuleAgainst]:
        """The rules that a session at this start would set aside; none if it can be booked by the rules.

        `own` is the start of the booking to reschedule. Raises SlotTaken or SlotNotOffered if even a host cannot book
        the time, and SessionTypeNotFound.
        """
        now = self._clock()
        async with self._database.statements() as connection:
            offer = await find_offer(connection, key.expert_id, session_type_id, now)
            busy = await rows.busy(connection, [key.expert_id], starts_at, starts_at, now)
        calendar = offer.with_busy(busy.get(key.expert_id, ())).calendar
        if own is not None:
            calendar = calendar.without(own)
        _, needed = slot_for_host(calendar, starts_at, now, tuple(RuleOverride))
        return [RuleAgainst(*one) for one in zip(needed, calendar.blockers(starts_at, now), strict=True)]


def _merged(spans: Sequence[Span]) -> list[Span]:
    merged: list[Span] = []
    for begin, end in spans:
        if merged and begin <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        else:
            merged.append((begin, end))
    return merged
