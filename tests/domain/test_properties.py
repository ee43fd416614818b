"""Properties of every calendar, in every time zone, across all clock changes from 2024 to 2030.

The expected values come from an independent model that reads the zones' clocks minute by minute.
`pytest tests/domain/test_properties.py --hypothesis-profile=long` runs 10,000 examples of each property.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import accumulate, pairwise
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expert_booking.domain.calendar import Busy, Calendar, SessionLength, SlotState, local_instant
from expert_booking.domain.errors import SlotNotOffered
from expert_booking.domain.free_times import free_times
from expert_booking.domain.holidays import Holidays
from expert_booking.domain.hours import AvailabilityRule, DaysOff, Hours, Override, OverrideKind, Window

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
FIRST, LAST = date(2024, 1, 1), date(2030, 12, 31)
EVERY_ZONE = sorted(available_timezones() - {"localtime", "Factory", "posixrules"})
# Half-hour changes, gaps and folds at midnight, skipped days, recently changed rules.
HARD_ZONES = (
    "Europe/Berlin", "America/New_York", "America/Santiago", "Africa/Cairo", "Australia/Lord_Howe", "Pacific/Apia",
    "Pacific/Pago_Pago", "Pacific/Kiritimati", "Asia/Kathmandu", "Africa/Casablanca", "America/St_Johns",
    "Asia/Beirut", "America/Nuuk", "Antarctica/Troll", "America/Asuncion", "America/Sao_Paulo", "America/Mexico_City",
    "Asia/Gaza", "Pacific/Chatham", "America/Havana", "Atlantic/Azores", "America/Scoresbysund", "Asia/Almaty",
)  # fmt: skip
ZONES = st.one_of(st.sampled_from(HARD_ZONES), st.sampled_from(EVERY_ZONE)).map(ZoneInfo)


@lru_cache(maxsize=1000)
def clock_changes(zone: ZoneInfo) -> list[date]:
    """The local dates on which this zone's clocks change."""
    day, changes = FIRST, []
    while day <= LAST:
        noon = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
        if noon.astimezone(zone).utcoffset() != (noon + DAY).astimezone(zone).utcoffset():
            changes.append((noon + 12 * HOUR).astimezone(zone).date())
        day += DAY
    return changes


@st.composite
def days_near_changes(draw: st.DrawFn, zone: ZoneInfo) -> date:
    """Any day, preferably near a clock change."""
    changes = clock_changes(zone)
    if changes and draw(st.booleans()):
        return draw(st.sampled_from(changes)) + draw(st.integers(-3, 2)) * DAY
    return draw(st.dates(FIRST, LAST))


FIVES = st.integers(0, 287).map(lambda five: five * 5)
WINDOWS = st.builds(lambda opens, fives: Window(opens, opens + fives * 5), FIVES, st.integers(1, 288))
LENGTHS = st.builds(
    SessionLength,
    minutes=st.sampled_from([5, 25, 30, 45, 60, 90, 480]),
    step_minutes=st.sampled_from([5, 15, 30, 60, 75]),
    before_minutes=st.sampled_from([0, 0, 10, 45]),
    after_minutes=st.sampled_from([0, 0, 15, 60]),
    notice_minutes=st.sampled_from([0, 0, 60, 1440, 4000]),
    horizon_days=st.integers(1, 9),
)


@st.composite
def calendars(draw: st.DrawFn) -> tuple[Calendar, date]:
    """A calendar with rules of every kind, and a day that most of them concern."""
    zone = draw(ZONES)
    day = draw(days_near_changes(zone))
    near = st.integers(-4, 8).map(lambda days: day + days * DAY)
    rules = st.builds(
        lambda weekday, window, first, last: AvailabilityRule(weekday, *window, first, last),
        st.integers(1, 7), WINDOWS, st.none() | near, st.none() | near,
    )  # fmt: skip
    overrides = st.one_of(
        st.just(Override(OverrideKind.NONE)),
        st.builds(
            lambda kind, windows: Override(kind, tuple(windows)),
            st.sampled_from([OverrideKind.HOURS, OverrideKind.EXTRA]), st.lists(WINDOWS, min_size=1, max_size=3),
        ),
    )  # fmt: skip
    days_off = st.builds(lambda first, days: DaysOff(first, first + days * DAY), near, st.integers(0, 2))
    hours = Hours(
        tuple(draw(st.lists(rules, min_size=1, max_size=6))),
        draw(st.dictionaries(near, overrides, max_size=3)),
        tuple(draw(st.lists(days_off, max_size=1))),
        draw(st.sampled_from([None, None, Holidays("DE", "BY"), Holidays("US")])),
    )
    return Calendar(zone, hours, draw(LENGTHS)), day


@lru_cache(maxsize=100_000)
def expected_instant(zone: ZoneInfo, day: date, minute: int, latest: bool) -> datetime:
    """The expected result of `local_instant`, found by reading the zone's clock at real instants."""
    wall = datetime.combine(day, datetime.min.time()) + minute * MINUTE

    def wall_clock(instant: datetime) -> datetime:
        return instant.astimezone(zone).replace(tzinfo=None)

    as_if_utc = wall.replace(tzinfo=UTC)
    offsets = {(as_if_utc + hour * HOUR).astimezone(zone).utcoffset() for hour in range(-48, 49)}
    hits = [as_if_utc - offset for offset in offsets if offset is not None and wall_clock(as_if_utc - offset) == wall]
    if hits:
        return max(hits) if latest else min(hits)
    # The clock skips this time: return the first minute at which it shows a later one.
    instant = as_if_utc - 30 * HOUR
    while wall_clock(instant) < wall:
        instant += MINUTE
    return instant


def expected_windows(hours: Hours, day: date) -> Iterator[Window]:
    """The windows of a local date, by precedence: day off, override, holiday, weekly hours."""
    if any(off.first_day <= day <= off.last_day for off in hours.days_off):
        return
    weekly = [Window(r.opens, r.closes) for r in hours.rules if r.weekday == day.isoweekday()
              and (r.valid_from or day) <= day <= (r.valid_until or day)]  # fmt: skip
    override = hours.overrides.get(day)
    if hours.holidays and hours.holidays.name_of(day):
        weekly = []
    if override and override.kind != "extra":
        weekly = []
    yield from merged([*weekly, *(override.windows if override else ())])


def merged(windows: Iterable[Window]) -> Iterator[Window]:
    """Merge overlapping windows, minute by minute. Windows that only touch stay separate."""
    windows = list(windows)
    minutes_open = {minute for window in windows for minute in range(*window)}
    borders = {w.opens for w in windows if not any(other.opens < w.opens < other.closes for other in windows)}
    start = None
    for minute in range(2 * 1440 + 1):
        if start is not None and (minute not in minutes_open or minute in borders):
            yield Window(start, minute)
            start = None
        if start is None and minute in minutes_open:
            start = minute


def openings(of: Calendar, first: date, last: date) -> Iterator[tuple[datetime, datetime]]:
    """The open spans of these local dates in UTC. Where spans overlap, the earlier one is continued."""
    closed = datetime.min.replace(tzinfo=UTC)
    day = first
    while day <= last:
        for window in expected_windows(of.hours, day):
            opens = max(closed, expected_instant(of.zone, day, window.opens, False))
            closes = expected_instant(of.zone, day, window.closes, True)
            closed = max(closed, closes)
            if opens < closes:
                yield opens, closes
        day += DAY


def expected_starts(of: Calendar, since: datetime, until: datetime, now: datetime) -> list[datetime]:
    """The expected starts, stepping through every opening from its beginning."""
    last_day = now.astimezone(of.zone).date() + of.length.horizon_days * DAY
    starts = []
    for opens, closes in openings(of, since.date() - 9 * DAY, until.date() + 4 * DAY):
        start = opens
        while start + of.length.minutes * MINUTE <= closes:
            wanted = since <= start < until and start >= now + of.length.notice_minutes * MINUTE
            if wanted and start.astimezone(of.zone).date() <= last_day:
                starts.append(start)
            start += of.length.step_minutes * MINUTE
    return starts


@given(of=calendars(), now_offset=st.integers(-4000, 4000), days=st.integers(1, 10), cut=st.integers(0, 14_400))
def test_listed_slots_are_those_inside_the_hours_for_any_division_of_the_span(
    of: tuple[Calendar, date], now_offset: int, days: int, cut: int
) -> None:
    calendar, day = of
    since = local_instant(calendar.zone, day, 0)
    until = local_instant(calendar.zone, day + days * DAY, 0)
    now = since + now_offset * MINUTE
    slots = calendar.slots(since, until, now)
    listed = [slot.starts_at for slot in slots]
    assert listed == expected_starts(calendar, since, until, now)
    assert all(slot.ends_at - slot.starts_at == calendar.length.minutes * MINUTE for slot in slots)
    assert all(slot.starts_at.tzinfo is UTC for slot in slots)
    middle = min(max(since, since + cut * MINUTE), until)
    assert calendar.slots(since, middle, now) + calendar.slots(middle, until, now) == slots


@given(of=calendars(), days=st.integers(1, 9))
def test_slots_follow_the_step_inside_one_opening(of: tuple[Calendar, date], days: int) -> None:
    calendar, day = of
    since = local_instant(calendar.zone, day, 0)
    slots = calendar.slots(since, since + days * DAY, since)
    real = list(openings(calendar, day - 9 * DAY, day + (days + 3) * DAY))
    step = min(calendar.length.step_minutes, calendar.length.minutes) * MINUTE
    for before, after in pairwise(slots):
        assert after.starts_at - before.starts_at >= step
    for slot in slots:
        assert any(opens <= slot.starts_at and slot.ends_at <= closes for opens, closes in real)


@given(of=calendars(), viewer=ZONES, days=st.integers(1, 9))
def test_utc_span_lists_the_same_slots_as_its_days_in_any_zone(
    of: tuple[Calendar, date], viewer: ZoneInfo, days: int
) -> None:
    calendar, day = of
    midnights = [local_instant(viewer, day + number * DAY, 0) for number in range(days + 1)]
    now = midnights[0]
    by_day = [slot for first, last in pairwise(midnights) for slot in calendar.slots(first, last, now)]
    assert by_day == calendar.slots(midnights[0], midnights[-1], now)
    wall_clock = [slot.starts_at.astimezone(viewer).date() for slot in by_day]
    assert wall_clock == sorted(wall_clock)


@given(of=calendars(), days=st.integers(1, 7), data=st.data())
def test_time_is_bookable_if_and_only_if_it_is_listed_as_open(
    of: tuple[Calendar, date], days: int, data: st.DataObject
) -> None:
    calendar, day = of
    since = local_instant(calendar.zone, day, 0)
    until = local_instant(calendar.zone, day + days * DAY, 0)
    listed = {slot.starts_at: slot for slot in calendar.slots(since, until, since)}
    for start, slot in list(listed.items())[:20]:
        assert calendar.offered(start, now=since) == slot
        assert not list(calendar.blockers(start, now=since))
    elsewhere = since + data.draw(st.integers(0, max(0, (until - since) // MINUTE - 1))) * MINUTE
    if since <= elsewhere < until and elsewhere not in listed:
        with pytest.raises(SlotNotOffered) as refused:
            calendar.offered(elsewhere, now=since)
        assert refused.value.blocker == next(calendar.blockers(elsewhere, now=since))
        assert "{" not in str(refused.value)


@given(
    of=calendars(),
    cap=st.none() | st.integers(1, 3),
    gaps=st.lists(st.tuples(st.integers(0, 300), st.integers(1, 300), st.booleans()), max_size=12),
)
def test_slot_is_open_if_and_only_if_nothing_overlaps_and_its_day_has_a_place(
    of: tuple[Calendar, date], cap: int | None, gaps: list[tuple[int, int, bool]]
) -> None:
    plain, day = of
    since = local_instant(plain.zone, day, 0)
    taken, end = [], since
    for free, length, held in gaps:
        start = end + free * MINUTE
        end = start + length * MINUTE
        taken.append(Busy(start, end, held, None, start))
    sizes = {name: getattr(plain.length, name) for name in ("minutes", "step_minutes", "before_minutes",
             "after_minutes", "notice_minutes", "horizon_days")}  # fmt: skip
    calendar = Calendar(plain.zone, plain.hours, SessionLength(**sizes, daily_cap=cap), busy=tuple(reversed(taken)))
    until = since + 3 * DAY
    expected = []
    for slot in plain.slots(since, until, since):
        overlapping = [b for b in taken if b.starts_at < slot.busy_until and slot.busy_from < b.ends_at]
        local = slot.starts_at.astimezone(plain.zone).date()
        on_day = sum(b.starts_at.astimezone(plain.zone).date() == local for b in taken)
        if overlapping:
            state = SlotState.HELD if all(b.held for b in overlapping) else SlotState.BOOKED
            expected.append(slot._replace(state=state))
        elif cap is None or on_day < cap:
            expected.append(slot)
    assert calendar.slots(since, until, since) == expected
    first_open = next((slot for slot in expected if slot.state is SlotState.OPEN), None)
    assert calendar.next_open(since, until, since) == first_open


@given(
    of=calendars(),
    cap=st.none() | st.integers(1, 3),
    gaps=st.lists(st.tuples(st.integers(1, 60), st.integers(-1, 1)), max_size=20),
    odd=st.integers(-1, 1),
    days=st.integers(1, 9),
)
def test_open_starts_equal_the_starts_of_open_slots_to_the_microsecond(
    of: tuple[Calendar, date], cap: int | None, gaps: list[tuple[int, int]], odd: int, days: int
) -> None:
    plain, day = of
    midnight = local_instant(plain.zone, day, 0)
    since, until = midnight + odd * timedelta.resolution, midnight + days * DAY - odd * timedelta.resolution
    fives = accumulate(five for five, _ in gaps)
    borders = [midnight + n * 5 * MINUTE + off * timedelta.resolution for n, (_, off) in zip(fives, gaps, strict=True)]
    taken = tuple(Busy(*pair, False, None, pair[0]) for pair in zip(borders[::2], borders[1::2], strict=False))
    calendar = replace(plain, length=replace(plain.length, daily_cap=cap), busy=taken[::-1])
    for now in (since, since - plain.length.notice_minutes * MINUTE):
        opened = [slot.starts_at for slot in calendar.slots(since, until, now) if slot.state is SlotState.OPEN]
        assert list(calendar.open_starts(since, until, now)) == opened


@given(of=calendars(), others=st.lists(LENGTHS, min_size=1, max_size=2), gaps=st.lists(st.integers(5, 700), max_size=9))
def test_free_times_are_the_open_starts_by_length_and_half_day(
    of: tuple[Calendar, date], others: list[SessionLength], gaps: list[int]
) -> None:
    plain, day = of
    now = local_instant(plain.zone, day, 0)
    borders = list(accumulate(gaps, lambda before, minutes: before + minutes * MINUTE, initial=now))
    busy = tuple(Busy(start, end) for start, end in zip(borders[1::2], borders[2::2], strict=False))
    types = [replace(plain, length=length, busy=busy) for length in (plain.length, *others)]
    starts: dict[int, set[int]] = {0: set()}
    for calendar in types:
        opened = {int(start.timestamp()) for start in calendar.open_starts(now, calendar.end(now), now)}
        for minutes in (0, calendar.length.minutes):
            starts.setdefault(minutes, set()).update(opened)
    found = free_times(types, now)
    assert found.keys() == starts.keys()
    for minutes, free in found.items():
        assert (free.first_at and free.first_at.timestamp()) == min(starts[minutes], default=None)
        halves = {start // 43_200 for start in starts[minutes]}
        by_half = {half: sorted(start for start in starts[minutes] if start // 43_200 == half) for half in halves}
        assert free.half_days == {half: (inside[0], inside[-1]) for half, inside in by_half.items()}


@given(zone=ZONES, data=st.data(), minute=st.integers(0, 2880), latest=st.booleans())
def test_local_time_is_the_instant_at_which_the_clock_shows_it(
    zone: ZoneInfo, data: st.DataObject, minute: int, latest: bool
) -> None:
    day = data.draw(days_near_changes(zone))
    assert local_instant(zone, day, minute, latest=latest) == expected_instant(zone, day, minute, latest)


@given(of=calendars(), other=ZONES)
def test_time_zone_change_shifts_free_slots_and_nothing_else(of: tuple[Calendar, date], other: ZoneInfo) -> None:
    calendar, day = of
    since = local_instant(calendar.zone, day, 0)
    booked = [Busy(slot.busy_from, slot.busy_until) for slot in calendar.slots(since, since + DAY, since)[:1]]
    shifted = Calendar(other, calendar.hours, calendar.length, busy=tuple(booked))
    assert shifted.busy == tuple(booked)
    starts = [slot.starts_at for slot in shifted.slots(since, since + 2 * DAY, since)]
    assert starts == expected_starts(Calendar(other, calendar.hours, calendar.length), since, since + 2 * DAY, since)
