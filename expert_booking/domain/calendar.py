"""From rules to openings to slots: the only module that decides which times an expert offers, and why not others.

Wall-clock time exists only in the rules; everything this module returns is aware UTC. It reads neither the clock nor
the database, so listing slots and booking one use the same functions.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence, Set
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from functools import lru_cache
from heapq import nsmallest
from typing import NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from expert_booking.domain.errors import SlotNotOffered, SlotTaken
from expert_booking.domain.hours import Hours, Window
from expert_booking.domain.unavailability import Blocker, Figures, Reason

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
MIDNIGHT = time()
# Usually there are enough free times this close; otherwise the whole calendar is searched.
_NEARBY = timedelta(days=3)
_MICROSECOND = timedelta(microseconds=1)
_SECOND = timedelta(seconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class SlotState(StrEnum):
    """The state of a slot on the board."""

    OPEN = "open"
    HELD = "held"
    BOOKED = "booked"


@dataclass(frozen=True, slots=True)
class SessionLength:
    """The length, grid, buffers and limits of one session type.

    `notice_minutes` is elapsed time. `horizon_days` and `daily_cap` (None: no limit) count the expert's local days.
    """

    minutes: int
    step_minutes: int
    before_minutes: int = 0
    after_minutes: int = 0
    notice_minutes: int = 0
    horizon_days: int = 60
    daily_cap: int | None = None

    def spans(self) -> tuple[timedelta, timedelta, timedelta]:
        """The durations of the session, the buffer before it and the buffer after it."""
        return self.minutes * MINUTE, self.before_minutes * MINUTE, self.after_minutes * MINUTE


class Busy(NamedTuple):
    """Time taken by a live booking or hold (UTC, half-open, buffers included), with its session type and start."""

    starts_at: datetime
    ends_at: datetime
    held: bool = False
    session_type_id: UUID | None = None
    session_starts_at: datetime | None = None


class Slot(NamedTuple):
    """One bookable start: the session, and the busy time including buffers. Both are UTC and half-open."""

    starts_at: datetime
    ends_at: datetime
    busy_from: datetime
    busy_until: datetime
    state: SlotState = SlotState.OPEN


@dataclass(frozen=True, slots=True)
class Calendar:
    """What one expert offers in one session type, and the busy time as last read."""

    zone: ZoneInfo
    hours: Hours
    length: SessionLength
    active: bool = True
    session_type_id: UUID | None = None
    busy: tuple[Busy, ...] = ()

    def slots(self, since: datetime, until: datetime, now: datetime) -> list[Slot]:
        """The slots that start in [since, until), in order. Omits the past, the notice and open slots of full days."""
        return list(self._walk(since, until, now))

    def next_open(self, since: datetime, until: datetime, now: datetime) -> Slot | None:
        """The first open slot that starts in [since, until)."""
        return next((slot for slot in self._walk(since, until, now) if slot.state is SlotState.OPEN), None)

    def nearest_open(
        self, to: datetime, now: datetime, count: int, exclude: Collection[datetime] = ()
    ) -> list[datetime]:
        """The free starts nearest to an instant, earliest first, excluding that instant and those in `exclude`."""
        nearest: list[datetime] = []
        for since, until in ((max(now, to - _NEARBY), to + _NEARBY), (now, self.end(now))):
            free = (start for start in self.open_starts(since, until, now) if start != to and start not in exclude)
            nearest = nsmallest(count, free, key=lambda start: abs(start - to))
            if len(nearest) == count:
                break
        return sorted(nearest)

    def open_starts(self, since: datetime, until: datetime, now: datetime) -> Iterator[datetime]:
        """The starts of the open slots in [since, until), in order."""
        for run in self.open_runs(since, until, now, self.openings(since, until)):
            yield from (datetime.fromtimestamp(second, UTC) for second in run)

    def open_runs(
        self, since: datetime, until: datetime, now: datetime, openings: Iterable[tuple[datetime, datetime]]
    ) -> Iterator[range]:
        """The starts of the open slots as ranges of seconds since 1970. Much faster than `open_starts`.

        `openings` must cover [since, until), so that session types with the same hours can share them.
        """
        if not self.active:
            return
        since_second, end = _ceil(max(since, self._bookable_from(now))), _ceil(min(until, self.end(now)))
        session, before, after = (span // _SECOND for span in self.length.spans())
        step, full, index = self.length.step_minutes * 60, self._full_days(), 0
        # Starts strictly between the two values collide with the busy time.
        busy = [(_floor(b.starts_at) - session - after, _ceil(b.ends_at) + before) for b in sorted(self.busy)]
        for opens, closes in openings:
            first = _floor(opens)
            start = first + max(0, -((first - since_second) // step)) * step
            stop = min(_floor(closes) - session + 1, end)
            while start < stop:
                while index < len(busy) and busy[index][1] <= start:
                    index += 1
                stop_here = min(stop, busy[index][0] + 1) if index < len(busy) else stop
                if stop_here <= start:
                    start -= (start - busy[index][1]) // step * step
                    continue
                run = range(start, stop_here, step)
                yield from self._on_other_days(run, full) if full else (run,)
                start = run[-1] + step

    def openings(self, since: datetime, until: datetime) -> Iterator[tuple[datetime, datetime]]:
        """The openings (UTC) that overlap [since, until), in order and without overlaps."""
        # An opening may begin two local days before an instant that it contains (it may run past midnight, and the
        # clocks may change). Two days before that, another opening may overlap its beginning.
        day, last = self.day_of(since) - 4 * DAY, self.day_of(until) + DAY
        closed = _opening(self.zone, day, Window(0, 0))[0]
        while day <= last:
            for window in self.hours.on(day).windows:
                opens, closes = _opening(self.zone, day, window)
                # If hours overlap (past midnight, or because the clocks are set back), the earlier ones win.
                opens = max(opens, closed)
                if opens < closes:
                    closed = closes
                    if opens < until and closes > since:
                        yield opens, closes
            day += DAY

    def offered(self, starts_at: datetime, now: datetime) -> Slot:
        """The slot that starts at exactly this instant.

        Raises SlotTaken if it overlaps the busy time, and SlotNotOffered with the reason otherwise.
        """
        for blocker in self.blockers(starts_at, now):
            raise SlotTaken(blocker) if blocker.reason in (Reason.BUSY, Reason.HELD) else SlotNotOffered(blocker)
        return self.slot_at(starts_at)

    def blockers(self, starts_at: datetime, now: datetime) -> Iterator[Blocker]:
        """All reasons why this instant cannot be booked, most important first; none if it can."""
        if not self.active:
            yield Blocker(Reason.INACTIVE)
        if starts_at < now:
            yield Blocker(Reason.PAST, {"now": now})
        elif starts_at < self._bookable_from(now):
            notice = self.length.notice_minutes
            yield Blocker(Reason.MIN_NOTICE, {"noticeMinutes": notice, "bookableFrom": self._bookable_from(now)})
        if starts_at >= self.end(now):
            figures: Figures = {"horizonDays": self.length.horizon_days, "lastDay": self.horizon(now)}
            yield Blocker(Reason.BEYOND_HORIZON, figures)
        yield from self._off_plan(starts_at)
        slot = self.slot_at(starts_at)
        overlapping = sorted(b for b in self.busy if b.starts_at < slot.busy_until and slot.busy_from < b.ends_at)
        # As on the board, a time counts as held only if it overlaps nothing but holds.
        for busy in [b for b in overlapping if not b.held][:1] or overlapping[:1]:
            reason = Reason.HELD if busy.held else Reason.BUSY
            yield Blocker(reason, {"busyFrom": busy.starts_at, "busyUntil": busy.ends_at})
        day = self.day_of(starts_at)
        if day in self._full_days():
            cap = self.length.daily_cap or 0
            yield Blocker(Reason.DAY_FULL, {"day": day, "booked": self._booked()[day], "dailyCap": cap})

    def slot_at(self, start: datetime) -> Slot:
        """The slot of a session that starts at this instant, whether or not it can be booked."""
        session, before, after = self.length.spans()
        return Slot(start, start + session, start - before, start + session + after)

    def horizon(self, now: datetime) -> date:
        """The last local day on which sessions are offered."""
        return self.day_of(now) + self.length.horizon_days * DAY

    def end(self, now: datetime) -> datetime:
        """The instant (UTC) at which the horizon ends. Sessions start before it."""
        return local_instant(self.zone, self.horizon(now) + DAY, 0)

    def day_of(self, instant: datetime) -> date:
        """The expert's local date at an instant."""
        return instant.astimezone(self.zone).date()

    def with_busy(self, busy: Iterable[Busy]) -> "Calendar":
        """This calendar with other busy time."""
        return replace(self, busy=tuple(busy))

    def without(self, session_starts_at: datetime) -> "Calendar":
        """This calendar without the booking or hold whose session starts at this instant."""
        return self.with_busy(busy for busy in self.busy if busy.session_starts_at != session_starts_at)

    def _bookable_from(self, now: datetime) -> datetime:
        return now + self.length.notice_minutes * MINUTE

    def _walk(self, since: datetime, until: datetime, now: datetime) -> Iterator[Slot]:
        if not self.active:
            return
        since, until = max(since, self._bookable_from(now)), min(until, self.end(now))
        session, before, after = self.length.spans()
        busy, full, index = sorted(self.busy), self._full_days(), 0
        for start in self._starts(since, until):
            end = start + session
            busy_from, busy_until = start - before, end + after
            # Live bookings never overlap, so those that ended before this start need no further check.
            while index < len(busy) and busy[index].ends_at <= busy_from:
                index += 1
            if index < len(busy) and busy[index].starts_at < busy_until:
                yield Slot(start, end, busy_from, busy_until, _state(busy, index, busy_until))
            elif not full or self.day_of(start) not in full:
                yield Slot(start, end, busy_from, busy_until)

    def _starts(self, since: datetime, until: datetime) -> Iterator[datetime]:
        minutes, step = self.length.minutes * MINUTE, self.length.step_minutes * MINUTE
        for opens, closes in self.openings(since, until):
            # Count elapsed time from the opening, so that a clock change neither repeats nor drops a session.
            start = opens + max(0, -((opens - since) // step)) * step
            while start < until and start + minutes <= closes:
                yield start
                start += step

    def _on_other_days(self, run: range, full: Set[date]) -> Iterator[range]:
        for second in run:
            if self.day_of(datetime.fromtimestamp(second, UTC)) not in full:
                yield range(second, second + 1)

    def _off_plan(self, starts_at: datetime) -> Iterator[Blocker]:
        minutes, step = self.length.minutes * MINUTE, self.length.step_minutes * MINUTE
        for opens, closes in self.openings(starts_at, starts_at + _MICROSECOND):
            if opens <= starts_at and starts_at + minutes <= closes:
                since = (starts_at - opens) % step
                if since:
                    nearest = {"before": starts_at - since, "after": starts_at - since + step}
                    yield Blocker(Reason.OFF_GRID, {"stepMinutes": self.length.step_minutes, **nearest})
                return
        day = self.day_of(starts_at)
        # A time after midnight may belong to a window of the day before that stays closed.
        for opening_day in (day, day - DAY, day - 2 * DAY):
            plan = self.hours.on(opening_day)
            if plan.blocker and (opening_day == day or self._in_any(plan.closed, opening_day, starts_at)):
                yield plan.blocker
                return
        figures: Figures = {"day": day, "hours": [str(window) for window in self.hours.on(day).windows]}
        yield Blocker(Reason.OUTSIDE_HOURS, figures)

    def _in_any(self, windows: Iterable[Window], day: date, instant: datetime) -> bool:
        return any(opens <= instant < closes for opens, closes in (_opening(self.zone, day, w) for w in windows))

    def _full_days(self) -> set[date]:
        cap = self.length.daily_cap
        return set() if cap is None else {day for day, booked in self._booked().items() if booked >= cap}

    def _booked(self) -> Counter[date]:
        """The number of sessions of this type on each local day."""
        starts = (b.session_starts_at for b in self.busy if b.session_type_id == self.session_type_id)
        return Counter(self.day_of(start) for start in starts if start is not None)


def _floor(instant: datetime) -> int:
    """Whole seconds since 1970, rounded down."""
    return (instant - _EPOCH) // _SECOND


def _ceil(instant: datetime) -> int:
    return -((_EPOCH - instant) // _SECOND)


def _state(busy: Sequence[Busy], first: int, until: datetime) -> SlotState:
    """Held if the slot overlaps only holds, otherwise booked."""
    while first < len(busy) and busy[first].starts_at < until:
        if not busy[first].held:
            return SlotState.BOOKED
        first += 1
    return SlotState.HELD


@lru_cache(maxsize=65_536)
def _opening(zone: ZoneInfo, day: date, window: Window) -> tuple[datetime, datetime]:
    """The UTC span of a window on one local day. If the clocks change, the longest interpretation."""
    return local_instant(zone, day, window.opens), local_instant(zone, day, window.closes, latest=True)


def local_instant(zone: ZoneInfo, day: date, minutes: int, *, latest: bool = False) -> datetime:
    """The instant (UTC) at which a zone's clock shows `minutes` after the midnight of `day`.

    If the clock shows that time twice, the first instant, or the second with `latest`. If the clock skips it, the end
    of the gap.
    """
    wall = datetime.combine(day, MIDNIGHT) + minutes * MINUTE
    first = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    second = wall.replace(tzinfo=zone, fold=1).astimezone(UTC)
    if second < first:  # only in a gap is the fold=1 reading the earlier one
        return _end_of_gap(zone, second, first)
    return second if latest else first


def _end_of_gap(zone: ZoneInfo, before: datetime, after: datetime) -> datetime:
    """The instant of the clock change between two instants, to the second, by bisection."""
    offset_after = after.astimezone(zone).utcoffset()
    while after - before > timedelta(seconds=1):
        middle = before + timedelta(seconds=(after - before) // timedelta(seconds=2))
        if middle.astimezone(zone).utcoffset() == offset_after:
            after = middle
        else:
            before = middle
    return after
