"""Read a range of days of one calendar, as its hosts see it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from expert_booking.db import availability as rules
from expert_booking.db import calendar_range as rows
from expert_booking.db.engine import Database
from expert_booking.domain.calendar import DAY, Calendar, SessionLength, local_instant
from expert_booking.domain.errors import ExpertNotFound, SessionTypeNotFound
from expert_booking.domain.hours import Hours
from expert_booking.domain.lifecycle import Status
from expert_booking.domain.unavailability import Reason
from expert_booking.schemas import SessionTypeView
from expert_booking.services.availability import Availability, session_type_view
from expert_booking.services.calendars import CalendarKey

# How many customers a search suggests.
_MAX_FOUND: Final = 8
_ANY_LENGTH: Final = SessionLength(60, 60)
Span = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True)
class Entry:
    """A booking, a hold or a block. `busy_from` and `busy_until` include the buffers. All instants are UTC.

    `name` is the customer's, None for a hold, a block, or a customer whose data was deleted. `notes` of a block are the
    host's private note.
    """

    id: UUID
    starts_at: datetime
    ends_at: datetime
    busy_from: datetime
    busy_until: datetime
    status: Status
    title: str
    name: str | None
    notes: str
    version: int
    session_type_id: UUID | None
    hold_until: datetime | None
    unverified: bool


@dataclass(frozen=True, slots=True)
class CalendarRange:
    """The days from `since` to `until` (exclusive) in `zone`: what takes time, what is open (UTC), and closed days.

    `closed` has the text of each local date that a day off or a holiday closes.
    """

    zone: ZoneInfo
    since: date
    until: date
    read_at: datetime
    entries: Sequence[Entry]
    openings: Sequence[Span]
    closed: Mapping[date, str]


@dataclass(frozen=True, slots=True)
class KnownCustomer:
    """Someone who has booked with this expert before."""

    name: str
    email: str
    phone: str | None
    time_zone: str | None


class CalendarRanges:
    """The reads of the host's calendar. The number of statements does not depend on the data."""

    def __init__(self, database: Database, clock: Callable[[], datetime], availability: Availability) -> None:
        self._database = database
        self._clock = clock
        self._availability = availability

    async def read(self, key: CalendarKey, since: date, until: date) -> CalendarRange:
        """The local days in [since, until). Raises ExpertNotFound."""
        now = self._clock()
        async with self._database.statements() as connection:
            found = await rules.hours(connection, key.expert_id, since)
            if found is None:
                raise ExpertNotFound
            zone, hours = found
            begin, end = local_instant(zone, since, 0), local_instant(zone, until, 0)
            taken = await rows.entries(connection, key.expert_id, begin, end, now)
        return CalendarRange(
            zone=zone,
            since=since,
            until=until,
            read_at=now,
            entries=[_entry(row) for row in taken],
            openings=list(Calendar(zone, hours, _ANY_LENGTH).openings(begin, end)),
            closed=_closed(hours, since, until),
        )

    async def session_types(self, key: CalendarKey) -> Sequence[SessionTypeView]:
        """The active session types of this calendar, in order."""
        now = self._clock()
        async with self._database.statements() as connection:
            offers = await rules.offers(connection, [key.expert_id], now)
        return [session_type_view(offer) for offer in offers if offer.calendar.active]

    async def free_spans(
        self, key: CalendarKey, session_type_id: UUID, since: date, until: date, own: datetime
    ) -> Sequence[Span]:
        """Where a session of this type fits by the rules on these local days, as spans (UTC) from starts to ends.

        `own` is the start of the booking that would be rescheduled; it does not block the time. Empty if the session
        type is no longer offered.
        """
        try:
            board = await self._availability.board(key.expert_id, session_type_id)
        except SessionTypeNotFound:
            return []
        calendar = board.calendar.without(own)
        begin, end = local_instant(board.zone, since, 0), local_instant(board.zone, until, 0)
        length = calendar.length.spans()[0]
        return _merged([(start, start + length) for start in calendar.open_starts(begin, end, board.read_at)])

    async def customers(self, key: CalendarKey, words: str) -> Sequence[KnownCustomer]:
        """The customers of this expert whose name or email address contains these words, the latest first."""
        words = words.strip()
        if not words:
            return []
        async with self._database.statements() as connection:
            found = await rows.customers(connection, key.expert_id, words, _MAX_FOUND)
        return [KnownCustomer(*row) for row in found]


def _entry(row: Entry) -> Entry:
    status = Status(row.status)
    return Entry(
        row.id, row.starts_at, row.ends_at, row.busy_from, row.busy_until, status, row.title, row.name or None,
        row.notes, row.version, row.session_type_id, row.hold_until, row.unverified and status is Status.PENDING,
    )  # fmt: skip


def _closed(hours: Hours, since: date, until: date) -> dict[date, str]:
    """The text of each closed date: a holiday's name, the reason of a day off, or that it is one."""
    texts, day = {}, since
    while day < until:
        blocker = hours.on(day).blocker
        if blocker is not None:
            holiday = blocker.figures.get("holiday") if blocker.reason is Reason.HOLIDAY else None
            texts[day] = str(holiday or blocker.note or "Day off")
        day += DAY
    return texts


def _merged(spans: Sequence[Span]) -> list[Span]:
    merged: list[Span] = []
    for begin, end in spans:
        if merged and begin <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        else:
            merged.append((begin, end))
    return merged
