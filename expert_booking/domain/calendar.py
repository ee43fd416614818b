"""From rules to openings to slots: the one place that knows which times an expert offers.

Wall-clock time exists only in the rules. Everything that leaves this module is aware UTC. Nothing here reads the
clock or a database, so listing and submitting ask the very same functions.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from functools import lru_cache
from zoneinfo import ZoneInfo

from expert_booking.domain.errors import SlotNotOffered, SlotTaken

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
MIDNIGHT = time()


class SlotState(StrEnum):
    OPEN = "open"
    HELD = "held"
    BOOKED = "booked"


@dataclass(frozen=True, slots=True)
class AvailabilityRule:
    """Hours of one weekday (1 = Monday … 7 = Sunday) in minutes since the local midnight.

    `closes` is greater than `opens` and may pass 1440: then the window reaches into the next day.
    """

    weekday: int
    opens: int
    closes: int


@dataclass(frozen=True, slots=True)
class SessionLength:
    """How sessions of one type lie in the calendar; `notice` is elapsed time, `horizon_days` local days."""

    minutes: int
    step_minutes: int
    before_minutes: int = 0
    after_minutes: int = 0
    notice_minutes: int = 0
    horizon_days: int = 60


@dataclass(frozen=True, slots=True)
class Busy:
    """Time that a live booking keeps, buffers included, half-open, UTC."""

    starts_at: datetime
    ends_at: datetime
    held: bool = False


@dataclass(frozen=True, slots=True)
class Slot:
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
    rules: tuple[AvailabilityRule, ...]
    length: SessionLength
    active: bool = True
    busy: tuple[Busy, ...] = ()

    def slots(self, since: datetime, until: datetime, now: datetime) -> list[Slot]:
        """The slots that start in [since, until), in order, each once; without the past and the time of notice."""
        if not self.active:
            return []
        first_start = max(since, self._bookable_from(now))
        last_start = min(until, self._bookable_until(now))
        if first_start >= last_start:
            return []
        taken = _BusyTime(self.busy)
        starts = self._starts(first_start, last_start)
        return [self._slot(start, taken) for start in starts]

    def offered(self, starts_at: datetime, now: datetime) -> Slot:
        """The slot that starts at this very instant.

        Raises SlotNotOffered with the reason, or SlotTaken where the known busy time is in the way.
        """
        if not self.active:
            raise SlotNotOffered("inactive")
        if starts_at < now:
            raise SlotNotOffered("past")
        if starts_at < self._bookable_from(now):
            raise SlotNotOffered("min_notice")
        if starts_at >= self._bookable_until(now):
            raise SlotNotOffered("beyond_horizon")
        if not self._starts(starts_at, starts_at + timedelta(microseconds=1)):
            raise SlotNotOffered("off_grid" if self._within_hours(starts_at) else "outside_hours")
        slot = self._slot(starts_at, _BusyTime(self.busy))
        if slot.state is not SlotState.OPEN:
            raise SlotTaken
        return slot

    def next_open(self, since: datetime, until: datetime, now: datetime) -> Slot | None:
        """The first open slot that starts in [since, until), looked for day by day."""
        until = min(until, self._bookable_until(now))
        while since < until:
            for slot in self.slots(since, min(since + DAY, until), now):
                if slot.state is SlotState.OPEN:
                    return slot
            since += DAY
        return None

    def horizon(self, now: datetime) -> date:
        """The last local day on which sessions are offered."""
        return now.astimezone(self.zone).date() + self.length.horizon_days * DAY

    def _bookable_from(self, now: datetime) -> datetime:
        return now + self.length.notice_minutes * MINUTE

    def _bookable_until(self, now: datetime) -> datetime:
        return local_instant(self.zone, self.horizon(now) + DAY, 0)

    def _starts(self, since: datetime, until: datetime) -> list[datetime]:
        minutes, step = self.length.minutes * MINUTE, self.length.step_minutes * MINUTE
        starts: set[datetime] = set()
        for opens, closes in self._openings(since, until):
            # Elapsed time from the opening, so that a clock change neither doubles nor drops a session.
            start = opens + max(0, -((opens - since) // step)) * step
            while start < until and start + minutes <= closes:
                starts.add(start)
                start += step
        return sorted(starts)

    def _openings(self, since: datetime, until: datetime) -> Iterator[tuple[datetime, datetime]]:
        # A window may begin two local days before an instant that it contains: it may run over midnight, and the
        # zone's date may be a day ahead of or behind the UTC date.
        day = since.astimezone(self.zone).date() - 2 * DAY
        last = until.astimezone(self.zone).date() + DAY
        while day <= last:
            for rule in self.rules:
                if rule.weekday == day.isoweekday():
                    opens, closes = opening(self.zone, day, rule)
                    if opens < until and closes > since:
                        yield opens, closes
            day += DAY

    def _within_hours(self, instant: datetime) -> bool:
        end = instant + self.length.minutes * MINUTE
        return any(o <= instant and end <= c for o, c in self._openings(instant, instant + MINUTE))

    def _slot(self, start: datetime, taken: "_BusyTime") -> Slot:
        length = self.length
        end = start + length.minutes * MINUTE
        busy_from, busy_until = start - length.before_minutes * MINUTE, end + length.after_minutes * MINUTE
        return Slot(start, end, busy_from, busy_until, taken.state(busy_from, busy_until))


class _BusyTime:
    """Live bookings never overlap one another, so both their starts and their ends are in order."""

    def __init__(self, busy: Sequence[Busy]) -> None:
        self._busy = sorted(busy, key=lambda b: b.starts_at)
        self._ends = [b.ends_at for b in self._busy]

    def state(self, since: datetime, until: datetime) -> SlotState:
        first = bisect_right(self._ends, since)
        held = False
        for index in range(first, len(self._busy)):
            busy = self._busy[index]
            if busy.starts_at >= until:
                break
            if not busy.held:
                return SlotState.BOOKED
            held = True
        return SlotState.HELD if held else SlotState.OPEN


@lru_cache(maxsize=65_536)
def opening(zone: ZoneInfo, day: date, rule: AvailabilityRule) -> tuple[datetime, datetime]:
    """The real time (UTC) of a rule on one local day: its longest reading where the clocks change."""
    return local_instant(zone, day, rule.opens), local_instant(zone, day, rule.closes, latest=True)


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
