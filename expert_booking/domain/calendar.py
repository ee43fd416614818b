"""From rules to openings to slots: the one place that knows which times an expert offers, and why not.

Wall-clock time exists only in the rules. Everything that leaves this module is aware UTC. Nothing here reads the
clock or a database, so listing and submitting ask the very same functions.
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
# Mostly there are enough free times within these days; only for the rest is all of the calendar walked.
_NEAR = timedelta(days=3)
_INSTANT = timedelta(microseconds=1)
_SECOND = timedelta(seconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class SlotState(StrEnum):
    """What a slot on the board is."""

    OPEN = "open"
    HELD = "held"
    BOOKED = "booked"


@dataclass(frozen=True, slots=True)
class SessionLength:
    """How sessions of one type lie in the calendar.

    `notice` is elapsed time; `horizon_days` and `daily_cap` (None: as many as there is room for) count local days.
    """

    minutes: int
    step_minutes: int
    before_minutes: int = 0
    after_minutes: int = 0
    notice_minutes: int = 0
    horizon_days: int = 60
    daily_cap: int | None = None

    def spans(self) -> tuple[timedelta, timedelta, timedelta]:
        """The session itself, and the buffers before and after it."""
        return self.minutes * MINUTE, self.before_minutes * MINUTE, self.after_minutes * MINUTE


class Busy(NamedTuple):
    """Time that a live booking keeps, buffers included, half-open, UTC; and which session it is for, starting when."""

    starts_at: datetime
    ends_at: datetime
    held: bool = False
    session_type_id: UUID | None = None
    session_starts_at: datetime | None = None


class Slot(NamedTuple):
    """One bookable start: the session itself and what it would keep busy, both UTC and half-open."""

    starts_at: datetime
    ends_at: datetime
    busy_from: datetime
    busy_until: datetime
    state: SlotState = SlotState.OPEN


@dataclass(frozen=True, slots=True)
class Calendar:
    """What one expert offers in one session type, and the busy time known of it."""

    zone: ZoneInfo
    hours: Hours
    length: SessionLength
    active: bool = True
    session_type_id: UUID | None = None
    busy: tuple[Busy, ...] = ()

    def slots(self, since: datetime, until: datetime, now: datetime) -> list[Slot]:
        """The slots that start in [since, until), in order; without the past, the notice, and what full days had."""
        return list(self._walk(since, until, now))

    def next_open(self, since: datetime, until: datetime, now: datetime) -> Slot | None:
        """The first open slot that starts in [since, until)."""
        return next((slot for slot in self._walk(since, until, now) if slot.state is SlotState.OPEN), None)

    def nearest_open(
        self, to: datetime, now: datetime, count: int, besides: Collection[datetime] = ()
    ) -> list[datetime]:
        """The free starts nearest to an instant, in order of time, without that one itself and those `besides`."""
        nearest: list[datetime] = []
        for since, until in ((max(now, to - _NEAR), to + _NEAR), (now, self.end(now))):
            free = (start for start in self.open_starts(since, until, now) if start != to and start not in besides)
            nearest = nsmallest(count, free, key=lambda start: abs(start - to))
            if len(nearest) == count:
                break
        return sorted(nearest)

    def open_starts(self, since: datetime, until: datetime, now: datetime) -> Iterator[datetime]:
        """The starts of the open ones of `slots`."""
        for run in self.open_runs(since, until, now, self.openings(since, until)):
            yield from (datetime.fromtimestamp(second, UTC) for second in run)

    def open_runs(
        self, since: datetime, until: datetime, now: datetime, openings: Iterable[tuple[datetime, datetime]]
    ) -> Iterator[range]:
        """The same starts in a fraction of the time: as seconds since 1970, those that follow each other as one range.

        `openings` are those of [since, until) or more, so that session types of the same hours can share them.
        """
        if not self.active:
            return
        since_second, end = _ceil(max(since, self._bookable_from(now))), _ceil(min(until, self.end(now)))
        session, before, after = (span // _SECOND for span in self.length.spans())
        step, full, index = self.length.step_minutes * 60, self._full_days(), 0
        # A start in between runs into the busy time.
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
        """The openings (UTC) that touch [since, until), in order, none running into the next."""
        # An opening may begin two local days before an instant that it contains (it may run over midnight, and the
        # clocks may change), and two more days before it may be one that cuts its beginning off.
        day, last = self.day_of(since) - 4 * DAY, self.day_of(until) + DAY
        closed = _opening(self.zone, day, Window(0, 0))[0]
        while day <= last:
            for window in self.hours.on(day).windows:
                opens, closes = _opening(self.zone, day, window)
                # Where hours overlap (over midnight, or because the clocks are set back) the earlier ones go on.
                opens = max(opens, closed)
                if opens < closes:
                    closed = closes
                    if opens < until and closes > since:
                        yield opens, closes
            day += DAY

    def offered(self, starts_at: datetime, now: datetime) -> Slot:
        """The slot that starts at this very instant.

        Raises SlotNotOffered with the reason, or SlotTaken where the known busy time is in the way.
        """
        for blocker in self.blockers(starts_at, now):
            raise SlotTaken(blocker) if blocker.reason in (Reason.BUSY, Reason.HELD) else SlotNotOffered(blocker)
        return self._slot(starts_at)

    def blockers(self, starts_at: datetime, now: datetime) -> Iterator[Blocker]:
        """Everything that keeps this instant from being booked, the first reason first; nothing where it can be."""
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
        slot = self._slot(starts_at)
        in_the_way = sorted(b for b in self.busy if b.starts_at < slot.busy_until and slot.busy_from < b.ends_at)
        # As on the board: a time is held where nothing but holds is in its way.
        for busy in [b for b in in_the_way if not b.held][:1] or in_the_way[:1]:
            reason = Reason.HELD if busy.held else Reason.BUSY
            yield Blocker(reason, {"busyFrom": busy.starts_at, "busyUntil": busy.ends_at})
        day = self.day_of(starts_at)
        if day in self._full_days():
            cap = self.length.daily_cap or 0
            yield Blocker(Reason.DAY_FULL, {"day": day, "booked": self._booked()[day], "dailyCap": cap})

    def horizon(self, now: datetime) -> date:
        """The last local day on which sessions are offered."""
        return self.day_of(now) + self.length.horizon_days * DAY

    def end(self, now: datetime) -> datetime:
        """The instant (UTC) at which the horizon ends: no session starts then or later."""
        return local_instant(self.zone, self.horizon(now) + DAY, 0)

    def day_of(self, instant: datetime) -> date:
        """The expert's local date."""
        return instant.astimezone(self.zone).date()

    def with_busy(self, busy: Iterable[Busy]) -> "Calendar":
        """The same calendar, knowing which time is taken."""
        return replace(self, busy=tuple(busy))

    def without(self, session_starts_at: datetime) -> "Calendar":
        """The same calendar without the booking or hold that starts at this instant."""
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
            # Live bookings never overlap one another: those that ended before this start are done with.
            while index < len(busy) and busy[index].ends_at <= busy_from:
                index += 1
            if index < len(busy) and busy[index].starts_at < busy_until:
                yield Slot(start, end, busy_from, busy_until, _state(busy, index, busy_until))
            elif not full or self.day_of(start) not in full:
                yield Slot(start, end, busy_from, busy_until)

    def _starts(self, since: datetime, until: datetime) -> Iterator[datetime]:
        minutes, step = self.length.minutes * MINUTE, self.length.step_minutes * MINUTE
        for opens, closes in self.openings(since, until):
            # Elapsed time from the opening, so that a clock change neither doubles nor drops a session.
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
        for opens, closes in self.openings(starts_at, starts_at + _INSTANT):
            if opens <= starts_at and starts_at + minutes <= closes:
                since = (starts_at - opens) % step
                if since:
                    nearest = {"before": starts_at - since, "after": starts_at - since + step}
                    yield Blocker(Reason.OFF_GRID, {"stepMinutes": self.length.step_minutes, **nearest})
                return
        day = self.day_of(starts_at)
        # A time after midnight may belong to hours that were to open on the day before.
        for opening_day in (day, day - DAY, day - 2 * DAY):
            plan = self.hours.on(opening_day)
            if plan.blocker and (opening_day == day or self._in_any(plan.shut, opening_day, starts_at)):
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
        """How many sessions of this type there are on each local day."""
        starts = (b.session_starts_at for b in self.busy if b.session_type_id == self.session_type_id)
        return Counter(self.day_of(start) for start in starts if start is not None)

    def _slot(self, start: datetime) -> Slot:
        session, before, after = self.length.spans()
        return Slot(start, start + session, start - before, start + session + after)


def _floor(instant: datetime) -> int:
    """The last full second since 1970."""
    return (instant - _EPOCH) // _SECOND


def _ceil(instant: datetime) -> int:
    return -((_EPOCH - instant) // _SECOND)


def _state(busy: Sequence[Busy], first: int, until: datetime) -> SlotState:
    """A slot is held where nothing but holds is in its way."""
    while first < len(busy) and busy[first].starts_at < until:
        if not busy[first].held:
            return SlotState.BOOKED
        first += 1
    return SlotState.HELD


@lru_cache(maxsize=65_536)
def _opening(zone: ZoneInfo, day: date, window: Window) -> tuple[datetime, datetime]:
    """The real time (UTC) of a window on one local day: its longest reading where the clocks change."""
    return local_instant(zone, day, window.opens), local_instant(zone, day, window.closes, latest=True)


def local_instant(zone: ZoneInfo, day: date, minutes: int, *, latest: bool = False) -> datetime:
    """The instant (UTC) at which a zone's clock shows `minutes` after the midnight of `day`.

    A time that comes twice means its earliest instant, or its latest where asked for; a time that the clocks skip
    means the end of the gap.
    """
    wall = datetime.combine(day, MIDNIGHT) + minutes * MINUTE
    first = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    second = wall.replace(tzinfo=zone, fold=1).astimezone(UTC)
    if second < first:  # only in a gap does the later reading come first
        return _end_of_gap(zone, second, first)
    return second if latest else first


def _end_of_gap(zone: ZoneInfo, before: datetime, after: datetime) -> datetime:
    """The instant of the clock change between two instants, to the second."""
    offset_after = after.astimezone(zone).utcoffset()
    while after - before > timedelta(seconds=1):
        middle = before + timedelta(seconds=(after - before) // timedelta(seconds=2))
        if middle.astimezone(zone).utcoffset() == offset_after:
            after = middle
        else:
            before = middle
    return after
