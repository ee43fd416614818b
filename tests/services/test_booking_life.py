"""Random lives of bookings: two browsers, a program, hosts, time and psql act in any order.

A small independent model and plain SQL judge the results; they use nothing of the product but its services.
`pytest tests/services/test_booking_life.py --hypothesis-profile=long --timeout=0` runs many more examples.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Coroutine, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final, NamedTuple, TypeVar
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from psycopg.rows import dict_row

from expert_booking.db.engine import Database
from expert_booking.domain.errors import (
    BookingNotFound,
    CancelTooLate,
    CodeWrong,
    FieldsWrong,
    Forbidden,
    HoldNotFound,
    NoReschedulesLeft,
    NotAuthenticated,
    Refusal,
    RescheduleNotAllowed,
    RescheduleTooLate,
    SlotNotOffered,
    SlotTaken,
    StatusChangeNotAllowed,
    VerificationTooLate,
    WrongCodesUsedUp,
)
from expert_booking.domain.lifecycle import Status
from expert_booking.domain.limits import NO_LIMITS
from expert_booking.domain.terms import Confirmation, EmailVerification
from expert_booking.schemas import BookingView, Caller, HoldRequest, HoldView, Role, SessionTypeRequest, SlotQuery
from expert_booking.services import Services
from tests.conftest import Clock, booking_request, customer_caller, expert_request

Result = TypeVar("Result")
Connection = psycopg.Connection[dict[str, Any]]
MINUTE, HOUR, DAY, INSTANT = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1), timedelta(microseconds=1)
BROWSERS: Final = (b"a" * 32, b"b" * 32)
PROGRAM: Final = None  # has no cookie, only the ids it was given
HORIZON: Final = 2
OPENS, CLOSES = time(9), time(12, 30)
LIVE: Final = {"held", "pending", "confirmed", "completed", "no_show"}
HOLD_MINUTES, LONGEST_HOLD = 5 * MINUTE, 20 * MINUTE


@dataclass(frozen=True)
class SessionKind:
    """A session type and its expert, in this test's model."""

    expert: int
    zone: ZoneInfo
    minutes: int
    before: int = 0
    after: int = 0
    notice: int = 0
    cap: int | None = None
    answer: int | None = None  # minutes; None: confirmed instantly
    cancel_notice: int = 0
    reschedule_notice: int = 0
    max_reschedules: int | None = None
    verify: bool = False  # whether customers must confirm their email address

    def request(self) -> SessionTypeRequest:
        """The request that adds this session type."""
        return SessionTypeRequest(
            title="Session", minutes=self.minutes, step_minutes=30, before_minutes=self.before,
            after_minutes=self.after, notice_minutes=self.notice, horizon_days=HORIZON, daily_cap=self.cap,
            confirmation=Confirmation.BY_EXPERT if self.answer else Confirmation.INSTANT,
            answer_minutes=self.answer or 60, cancel_notice_minutes=self.cancel_notice,
            reschedule_notice_minutes=self.reschedule_notice, max_reschedules=self.max_reschedules,
            email_verification=EmailVerification.ALWAYS if self.verify else EmailVerification.NEVER,
        )  # fmt: skip

    def start(self, day: date, step: int) -> datetime:
        """The start at this step of half an hour after opening, in UTC."""
        return datetime.combine(day, OPENS, self.zone).astimezone(UTC) + step * 30 * MINUTE

    def steps(self) -> range:
        """The steps of a day."""
        opens, closes = (datetime.combine(date(2026, 11, 24), at) for at in (OPENS, CLOSES))
        return range((closes - opens - self.minutes * MINUTE) // (30 * MINUTE) + 1)

    def day_of(self, instant: datetime) -> date:
        """The expert's local date."""
        return instant.astimezone(self.zone).date()

    def on_grid(self, start: datetime) -> bool:
        """Whether sessions may start at this time of day."""
        return start in {self.start(self.day_of(start), step) for step in self.steps()}

    def busy(self, start: datetime) -> tuple[datetime, datetime]:
        """The time that a session at this start occupies."""
        return start - self.before * MINUTE, start + (self.minutes + self.after) * MINUTE


BERLIN, NEW_YORK = ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York")
KINDS: Final = (
    SessionKind(0, BERLIN, 60, after=15, answer=120, cancel_notice=60, reschedule_notice=90, max_reschedules=2),
    SessionKind(0, BERLIN, 45, before=10, notice=60, cap=2),
    SessionKind(1, NEW_YORK, 30, cap=2, answer=2880, cancel_notice=1440, max_reschedules=1),
    SessionKind(1, NEW_YORK, 20, after=10, answer=60, cancel_notice=600, verify=True),
)


@dataclass
class Entry:
    """The expected state of one row."""

    id: UUID
    kind: int
    starts_at: datetime
    status: str
    visitor: bytes | None
    held_at: datetime | None = None
    hold_until: datetime | None = None
    answer_by: datetime | None = None
    reschedules: int = 0
    booked: bool = False
    # Until then the email address must be confirmed.
    verify_by: datetime | None = None
    wrong_codes: int = 0

    @property
    def busy(self) -> tuple[datetime, datetime]:
        """The time that it occupies."""
        return KINDS[self.kind].busy(self.starts_at)

    @property
    def unverified(self) -> bool:
        """Whether it waits for the confirmation of the email address."""
        return self.status == "pending" and self.verify_by is not None

    def is_expired_hold(self, now: datetime) -> bool:
        """Whether it is an expired hold, recorded as expired or not."""
        return self.status == "held" and self.hold_until is not None and self.hold_until <= now

    def blocks(self, now: datetime) -> bool:
        """Whether it blocks its time."""
        return self.status in LIVE and not self.is_expired_hold(now)


class Change(NamedTuple):
    """A row of the history."""

    booking: UUID
    actor: str
    token: UUID | None
    was: str | None
    becomes: str | None
    since: datetime | None
    until: datetime | None
    reason: str
    freed: tuple[datetime, datetime] | None


@dataclass
class World:
    """The product on a real database, with direct access by SQL."""

    services: Services
    clock: Clock
    sql: Connection
    loop: asyncio.AbstractEventLoop
    experts: tuple[UUID, ...] = ()
    types: tuple[UUID, ...] = ()
    hosts: dict[str, Caller] = field(default_factory=dict)
    # Counts of actions by outcome, printed with `pytest -s`.
    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)

    def run(self, work: Awaitable[Result] | Coroutine[Any, Any, Result]) -> Result:
        """Run a coroutine to completion."""
        return self.loop.run_until_complete(work)

    def rows(self, statement: str, *values: Any) -> list[dict[str, Any]]:
        """Run an SQL statement."""
        return self.sql.execute(statement, values).fetchall()


@pytest.fixture
def world(database_url: str) -> Iterator[World]:
    """Two experts with three session types."""
    loop, clock = asyncio.new_event_loop(), Clock()
    database = Database(database_url)
    address = database_url.replace("+psycopg", "")
    with psycopg.connect(address, autocommit=True, row_factory=dict_row) as sql:
        sql.execute("SET TIME ZONE 'UTC'")
        world = World(Services(database, clock=clock, limits=NO_LIMITS), clock, sql, loop)
        for number, zone in enumerate((BERLIN, NEW_YORK)):
            kinds = [kind.request() for kind in KINDS if kind.expert == number]
            request = expert_request(name=f"Expert {number}", time_zone=zone.key, hours=(540, 750), session_types=kinds)
            world.experts += (world.run(world.services.experts.add(request)),)
        for expert in world.experts:
            found = world.rows("SELECT id FROM session_type WHERE expert_id = %s ORDER BY minutes DESC", expert)
            world.types += tuple(row["id"] for row in found)
        world.hosts = {
            "admin": Caller(role=Role.ADMIN, token_id=uuid4()),
            "reader": Caller(role=Role.READER, token_id=uuid4()),
            "first": Caller(role=Role.EXPERT, expert_id=world.experts[0], token_id=uuid4()),
            "second": Caller(role=Role.EXPERT, expert_id=world.experts[1], token_id=uuid4()),
        }
        yield world
        loop.run_until_complete(database.close())
    loop.close()


def test_random_booking_lives_keep_all_invariants(world: World) -> None:
    shape = settings(
        max_examples=settings().max_examples // 4, stateful_step_count=50, deadline=None,
        suppress_health_check=list(HealthCheck), phases=[p for p in Phase if p is not Phase.explain],
    )  # fmt: skip
    run_state_machine_as_test(lambda: BookingLife(world), settings=shape)
    print(*sorted(world.outcomes.items()), sep="\n")


NTH = st.one_of(st.sampled_from((0, 1, 2)), st.integers(0, 30))
BROWSER = st.sampled_from(BROWSERS)
CALLER_OR_PROGRAM = st.sampled_from((*BROWSERS, *BROWSERS, PROGRAM))
HOST = st.sampled_from(("own", "own", "own", "admin", "admin", "other", "reader", "nobody"))
REASON = st.sampled_from(("", "I am ill", "Ёж 💐"))
KIND = st.sampled_from((0, 1, 0, 1, 2, 3))
# A day offset, which may be beyond the horizon, and a step after opening, which may be outside the hours.
PLACE = st.tuples(st.sampled_from((1, 1, 1, 1, 0, 0, 2, 3)), st.sampled_from((0, 1, 2, 3, 4, 5, 6, 0, 1, 2, 3, 4, -1)))
NEAR = st.one_of(PLACE, st.sampled_from((-1, 0, 1)))
NEW_STATUS = st.sampled_from(("confirmed", "confirmed", "cancelled", "declined", "completed", "no_show", "expired",
                           "pending", "held"))  # fmt: skip


class BookingLife(RuleBasedStateMachine):
    """Possible actions, their expected outcomes, and invariants."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world
        self.entries: dict[UUID, Entry] = {}
        self.expected: list[Change] = []
        world.sql.execute("DELETE FROM booking")
        world.clock.now = datetime(2026, 11, 23, 8, tzinfo=UTC)
        self.seen = self.last_change()
        self.steps = 0

    # --- holds ---------------------------------------------------------------------------------------------------

    @rule(who=CALLER_OR_PROGRAM, kind=KIND, place=PLACE)
    def hold(self, who: bytes | None, kind: int, place: tuple[int, int]) -> None:
        self.take(who, kind, place)

    def take(self, who: bytes | None, kind: int, place: tuple[int, int]) -> None:
        """Hold a slot, which this browser may hold already."""
        start = self.start(kind, place)
        own = next((e for e in self.entries_of(who) if e.status == "held" and not e.is_expired_hold(self.now)), None)
        request = HoldRequest(expert_id=self.expert(kind), session_type_id=self.world.types[kind], starts_at=start)
        work = self.world.services.holds.take(request, visitor=who)
        if own is not None and (own.kind, own.starts_at) == (kind, start):
            view = self.attempt("hold the same again", work)
            assert view is not None
            assert (view.id, view.hold_until) == (own.id, own.hold_until)
            return
        view = self.attempt("hold", work, self.expected_refusal(kind, start, besides=own))
        if view is None:
            return
        if own is not None:
            self.record_status(own, "expired", "customer")
        made = Entry(view.id, kind, start, "held", who, self.now, self.now + HOLD_MINUTES)
        assert view == HoldView(
            id=view.id, expert_id=self.expert(kind), session_type_id=self.world.types[kind], starts_at=start,
            ends_at=start + KINDS[kind].minutes * MINUTE, hold_until=made.hold_until,
        )  # fmt: skip
        self.record_new(made)

    @precondition(lambda self: self.holds())
    @rule(nth=NTH)
    def repeat_hold(self, nth: int) -> None:
        hold = self.pick(self.holds(), nth)
        if hold.visitor is not None and hold.blocks(self.now) and not hold.booked:
            days = (KINDS[hold.kind].day_of(hold.starts_at) - KINDS[hold.kind].day_of(self.now)) // DAY
            step = (hold.starts_at - self.start(hold.kind, (days, 0))) // (30 * MINUTE)
            self.take(hold.visitor, hold.kind, (days, step))

    @precondition(lambda self: self.holds())
    @rule(nth=NTH)
    def renew(self, nth: int) -> None:
        hold = self.pick(self.holds(), nth)
        work = self.world.services.holds.renew(hold.id)
        view = self.attempt("renew", work, None if hold.blocks(self.now) and not hold.booked else HoldNotFound)
        if view is not None:
            assert hold.held_at is not None
            hold.hold_until = min(self.now + HOLD_MINUTES, hold.held_at + LONGEST_HOLD)
            assert view.hold_until == hold.hold_until

    @precondition(lambda self: self.holds())
    @rule(nth=NTH)
    def release(self, nth: int) -> None:
        hold = self.pick(self.holds(), nth)
        over = hold.booked or not hold.blocks(self.now)
        self.attempt("release", self.world.services.holds.release(hold.id), HoldNotFound if over else None)
        if not over:
            self.record_status(hold, "expired", "customer")

    # --- bookings ------------------------------------------------------------------------------------------------

    @rule(who=CALLER_OR_PROGRAM, kind=KIND, place=PLACE)
    def book(self, who: bytes | None, kind: int, place: tuple[int, int]) -> None:
        start = self.start(kind, place)
        self.attempt_booking("book", who, kind, start, None, self.expected_refusal(kind, start))

    @precondition(lambda self: self.holds())
    @rule(nth=NTH)
    def book_held_slot(self, nth: int) -> None:
        hold = self.pick(self.holds(), nth)
        if hold.booked or not hold.blocks(self.now):
            self.attempt_booking(
                "book late",
                hold.visitor,
                hold.kind,
                hold.starts_at,
                hold,
                self.expected_refusal(hold.kind, hold.starts_at),
            )
            return
        # A held slot keeps the notice and horizon of the time of the hold, but must not have begun.
        asked = hold.held_at if hold.starts_at > self.now else self.now
        refusal = None if self.is_offered(hold.kind, hold.starts_at, asked) else SlotNotOffered
        self.attempt_booking("book a hold", hold.visitor, hold.kind, hold.starts_at, hold, refusal)

    @precondition(lambda self: self.holds())
    @rule(nth=NTH, place=PLACE)
    def book_another_time_with_a_hold(self, nth: int, place: tuple[int, int]) -> None:
        hold = self.pick(self.holds(), nth)
        start = self.start(hold.kind, place)
        if start != hold.starts_at:
            kept = not hold.booked and hold.blocks(self.now)
            refusal = FieldsWrong if kept else self.expected_refusal(hold.kind, start)
            self.attempt_booking("book another time", hold.visitor, hold.kind, start, hold, refusal)

    @precondition(lambda self: self.entries)
    @rule(nth=NTH, to=NEW_STATUS, host=HOST, reason=REASON)
    def change_status(self, nth: int, to: str, host: str, reason: str) -> None:
        booking = self.pick(self.entries.values(), nth)
        caller, actor = self.caller(host, booking)
        refusal = self.refusal_for(host, booking) or (None if self.host_may(booking, to) else StatusChangeNotAllowed)
        work = self.world.services.bookings.change_status(booking.id, Status(to), caller, reason=reason)
        view = self.attempt(f"to {to}", work, refusal)
        if view is not None:
            assert view.status == to
            self.record_status(booking, to, actor, caller and caller.token_id, reason)

    @precondition(lambda self: self.entries)
    @rule(nth=NTH, who=BROWSER, own=st.integers(0, 3), reason=REASON)
    def cancel(self, nth: int, who: bytes, own: int, reason: str) -> None:
        booking = self.pick(self.entries.values(), nth)
        who = booking.visitor or who if own else who
        until = booking.starts_at - KINDS[booking.kind].cancel_notice * MINUTE
        refusal: type[Refusal] | None = None
        if not booking.booked or booking.visitor != who:
            refusal = BookingNotFound
        elif booking.status not in ("pending", "confirmed") or self.is_over(booking):
            refusal = StatusChangeNotAllowed
        elif self.now > until and not booking.unverified:
            refusal = CancelTooLate
        work = self.world.services.bookings.change_status(
            booking.id, Status.CANCELLED, customer_caller(who), reason=reason
        )
        view = self.attempt("cancel", work, refusal)
        if view is not None:
            assert (view.status, view.cancel_until) == ("cancelled", until)
            self.record_status(booking, "cancelled", "customer", None, reason)

    @precondition(lambda self: self.entries)
    @rule(nth=NTH, who=BROWSER, own=st.integers(0, 3), place=NEAR)
    def move(self, nth: int, who: bytes, own: int, place: tuple[int, int] | int) -> None:
        booking = self.pick(self.entries.values(), nth)
        who = booking.visitor or who if own else who
        kind, start = KINDS[booking.kind], self.near(booking, place)
        refusal: type[Refusal] | None
        if not booking.booked or booking.visitor != who:
            refusal = BookingNotFound
        elif booking.status not in ("pending", "confirmed") or booking.unverified:
            refusal = RescheduleNotAllowed
        elif kind.max_reschedules is not None and booking.reschedules >= kind.max_reschedules:
            refusal = NoReschedulesLeft
        elif self.now > booking.starts_at - kind.reschedule_notice * MINUTE:
            refusal = RescheduleTooLate
        else:
            refusal = (
                None if start == booking.starts_at else self.expected_refusal(booking.kind, start, besides=booking)
            )
        work = self.world.services.bookings.reschedule(booking.id, start, customer_caller(who))
        self.record_reschedule("move", booking, start, self.attempt("move", work, refusal), "customer", None, "")

    @precondition(lambda self: self.entries)
    @rule(nth=NTH, host=HOST, place=NEAR, reason=REASON)
    def reschedule_as_host(self, nth: int, host: str, place: tuple[int, int] | int, reason: str) -> None:
        booking = self.pick(self.entries.values(), nth)
        caller, actor = self.caller(host, booking)
        start = self.near(booking, place)
        refusal = self.refusal_for(host, booking)
        can_move = booking.status in ("pending", "confirmed") and not booking.unverified and not self.is_over(booking)
        if refusal is None and not can_move:
            refusal = RescheduleNotAllowed
        if refusal is None and start != booking.starts_at:
            refusal = self.expected_refusal(booking.kind, start, besides=booking)
        work = self.world.services.bookings.reschedule(booking.id, start, caller, reason=reason)
        view = self.attempt("move as host", work, refusal)
        self.record_reschedule("move as host", booking, start, view, actor, caller and caller.token_id, reason)

    @precondition(lambda self: any(e.verify_by for e in self.entries.values()))
    @rule(nth=NTH, who=BROWSER, own=st.integers(0, 3), right=st.sampled_from((True, False, False)))
    def verify(self, nth: int, who: bytes, own: int, right: bool) -> None:
        booking = self.pick([e for e in self.entries.values() if e.booked and KINDS[e.kind].verify], nth)
        who = booking.visitor or who if own else who
        code = self.world.services.verification._keys.verification_code(booking.id)
        code = code if right else f"{(int(code) + 1) % 1_000_000:06}"
        refusal: type[Refusal] | None = None
        if booking.visitor != who:
            refusal = BookingNotFound
        elif booking.verify_by is not None and (booking.status != "pending" or self.now >= booking.verify_by):
            refusal = VerificationTooLate
        work = self.world.services.verification.verify(booking.id, code, customer_caller(who))
        if refusal is None and booking.verify_by is not None and not right:
            self.try_wrong_code(booking, work)
            return
        view = self.attempt("verify", work, refusal)
        if view is not None:
            if booking.verify_by is not None:
                self.expect_change(booking, "customer", "pending", "pending", booking.starts_at, booking.starts_at,
                                   reason="email address confirmed")  # fmt: skip
                answer = KINDS[booking.kind].answer
                assert answer is not None
                booking.verify_by, booking.answer_by = None, min(self.now + answer * MINUTE, booking.starts_at)
            assert (view.status, view.answer_by, view.awaits_verification) == (booking.status, booking.answer_by, False)

    def try_wrong_code(self, booking: Entry, work: Coroutine[Any, Any, BookingView]) -> None:
        """Try a wrong code, which is counted; the fifth ends the booking."""
        refusal = CodeWrong if booking.wrong_codes < 4 else WrongCodesUsedUp
        self.world.outcomes["verify", refusal.__name__] += 1
        with pytest.raises(refusal):
            self.world.run(work)
        booking.wrong_codes += 1
        if booking.wrong_codes == 5:
            self.record_status(booking, "expired", "system", None, "too many wrong codes")

    # --- time ----------------------------------------------------------------------------------------------------

    @rule(span=st.sampled_from((MINUTE, 4 * MINUTE, HOUR / 2, 2 * HOUR)))
    def time_passes(self, span: timedelta) -> None:
        self.world.clock.now += span

    @precondition(lambda self: any(e.status == "confirmed" for e in self.entries.values()))
    @rule()
    def a_night_passes(self) -> None:
        self.world.clock.now += 17 * HOUR

    @precondition(
        lambda self: any(e.status == "held" and not e.is_expired_hold(self.now) for e in self.entries.values())
    )
    @rule(by=st.sampled_from((-1, 0, 1)))
    def time_passes_to_the_last_moment_of_a_hold(self, by: int) -> None:
        ends = min(
            e.hold_until for e in self.entries.values() if e.status == "held" and not e.is_expired_hold(self.now)
        )
        self.world.clock.now = max(self.now, ends + by * INSTANT)

    @precondition(lambda self: any(e.status == "pending" for e in self.entries.values()))
    @rule(by=st.sampled_from((-1, 0)))
    def time_passes_to_the_last_moment_of_a_request(self, by: int) -> None:
        deadlines = [e.verify_by or e.answer_by for e in self.entries.values() if e.status == "pending"]
        ends = min(deadline for deadline in deadlines if deadline)
        self.world.clock.now = max(self.now, ends + by * INSTANT)

    @precondition(lambda self: any(self.due(e) for e in self.entries.values()))
    @rule()
    def process_deadlines(self) -> None:
        self.attempt("work off", self.world.services.deadlines.drain())
        for entry in self.entries.values():
            if self.due(entry):
                reason = "not answered in time" if entry.status == "pending" else ""
                reason = "email address not confirmed in time" if entry.unverified else reason
                self.record_status(entry, "expired", "system", None, reason)

    @precondition(lambda self: any(self.is_unmarked(e) for e in self.entries.values()))
    @rule()
    def complete_ended_sessions(self) -> None:
        self.attempt("complete", self.world.services.deadlines.complete_ended())
        for entry in self.entries.values():
            if self.is_unmarked(entry):
                self.record_status(entry, "completed", "system", None, "completed automatically")

    @precondition(lambda self: any(e.status == "expired" and not e.booked for e in self.entries.values()))
    @rule()
    def delete_old_holds(self) -> None:
        self.attempt("sweep", self.world.services.deadlines.sweep())
        candidates = {row["id"] for row in self.world.rows("SELECT id FROM booking")}
        for entry in [e for e in self.entries.values() if e.id not in candidates]:
            assert entry.is_expired_hold(self.now) or entry.status == "expired"
            assert not entry.booked
            del self.entries[entry.id]

    # --- by hand -------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.entries)
    @rule(nth=NTH)
    def delete_by_hand(self, nth: int) -> None:
        entry = self.pick(self.entries.values(), nth)
        was = self.world.rows("DELETE FROM booking WHERE id = %s RETURNING status", entry.id)[0]["status"]
        if entry.booked:
            freed = entry.busy if was in LIVE else None
            self.expect_change(entry, "database", was, None, entry.starts_at, None, freed=freed)
        del self.entries[entry.id]

    @precondition(lambda self: any(e.booked for e in self.entries.values()))
    @rule(nth=NTH, to=st.sampled_from(("cancelled", "confirmed", "no_show")))
    def change_status_by_hand(self, nth: int, to: str) -> None:
        entry = self.pick([e for e in self.entries.values() if e.booked], nth)
        # The database refuses a confirmed booking whose address is not confirmed.
        if entry.status in LIVE and to != entry.status and (to == "cancelled" or not entry.unverified):
            self.world.rows("UPDATE booking SET status = %s WHERE id = %s RETURNING id", to, entry.id)
            self.record_status(entry, to, "database")

    @precondition(lambda self: any(e.status in LIVE for e in self.entries.values()))
    @rule(nth=NTH, by=st.sampled_from((-2, -1, 1, 2)))
    def reschedule_by_hand(self, nth: int, by: int) -> None:
        entry = self.pick(
            [e for e in self.entries.values() if e.status in LIVE and not e.is_expired_hold(self.now)], nth
        )
        to = entry.starts_at + by * 30 * MINUTE if entry else None
        if to is None or not KINDS[entry.kind].on_grid(to):
            return
        in_the_way = [e for e in self.neighbours(entry.kind, to) if e is not entry and self.is_live_in_database(e)]
        try:
            self.world.rows(
                "UPDATE booking SET starts_at = starts_at + %(by)s, ends_at = ends_at + %(by)s,"
                " busy = tstzrange(lower(busy) + %(by)s, upper(busy) + %(by)s) WHERE id = %(id)s RETURNING id"
                .replace("%(by)s", f"interval '{by * 30} min'").replace("%(id)s", "%s"), entry.id,
            )  # fmt: skip
        except psycopg.IntegrityError:
            assert in_the_way
        else:
            assert not in_the_way
            self.record_start(entry, to, "database", None, "")

    # --- invariants ----------------------------------------------------------------------------------------------

    @invariant()
    def all_invariants_hold(self) -> None:
        self.steps += 1
        self.history_has_each_change_once()
        self.table_matches_model()
        self.nothing_overlaps()
        self.no_day_has_more_than_its_cap()
        self.visitor_finds_own_hold()
        self.boards_match_table()

    def nothing_overlaps(self) -> None:
        assert not self.world.rows(
            "SELECT a.id, b.id FROM booking a JOIN booking b ON a.expert_id = b.expert_id AND a.id < b.id"
            " WHERE a.status = ANY(%s) AND b.status = ANY(%s) AND (a.busy && b.busy OR a.starts_at = b.starts_at)",
            list(LIVE), list(LIVE),
        )  # fmt: skip

    def no_day_has_more_than_its_cap(self) -> None:
        assert not self.world.rows(
            "SELECT t.id, (b.starts_at AT TIME ZONE e.time_zone)::date AS day FROM booking b"
            " JOIN session_type t ON t.id = b.session_type_id JOIN expert e ON e.id = b.expert_id"
            " WHERE b.status = ANY(%s) GROUP BY 1, 2, t.daily_cap HAVING count(*) > t.daily_cap",
            list(LIVE),
        )

    def history_has_each_change_once(self) -> None:
        for row in self.table():
            entry = self.entries.get(row["id"])
            # Any call may record that a hold has expired, but none has to.
            if entry is not None and entry.is_expired_hold(self.now) and row["status"] == "expired":
                assert (row["changed_by"], row["starts_at"]) in (
                    ("system", entry.starts_at),
                    ("customer", entry.starts_at),
                )
                entry.status = "expired"
        # The history begins with the booking: holds have none.
        written = self.changes()
        assert sorted(written, key=repr) == sorted(self.expected, key=repr)
        self.expected = []

    def table_matches_model(self) -> None:
        rows = {row["id"]: row for row in self.table()}
        assert rows.keys() == self.entries.keys()
        for entry in self.entries.values():
            row = rows[entry.id]
            kind = KINDS[entry.kind]
            expected = (entry.status, entry.starts_at, entry.reschedules)
            assert (row["status"], row["starts_at"], row["reschedules"]) == expected
            assert row["ends_at"] == entry.starts_at + kind.minutes * MINUTE
            assert (row["busy_from"], row["busy_until"]) == entry.busy
            assert (row["email"] is not None, row["visitor"]) == (entry.booked, entry.visitor)
            if entry.status == "held":
                assert row["hold_until"] == entry.hold_until
            if entry.booked:
                assert (row["answer_by"], row["hold_until"]) == (entry.answer_by, None)
            assert (row["verify_by"], row["wrong_codes"]) == (entry.verify_by, entry.wrong_codes)

    def boards_match_table(self) -> None:
        rows = self.table()
        for number, kind in enumerate(KINDS):
            expected_board, expert, session_type = (
                self.expected_board(rows, kind),
                self.expert(number),
                self.world.types[number],
            )
            board = self.world.run(self.world.services.availability.board(expert, session_type))
            assert {slot.starts_at: slot.state.value for slot in board.slots} == expected_board
            if number != self.steps % len(KINDS):
                continue  # the REST list reads the same calendar, so check one kind per step
            today = kind.day_of(self.now)
            query = SlotQuery.model_validate(
                {"from": today.isoformat(), "to": (today + HORIZON * DAY).isoformat(), "sessionTypeId": session_type}
            )
            page = self.world.run(self.world.services.availability.slots(expert, query))
            assert {slot.starts_at: slot.state.value for slot in page.slots} == expected_board

    def visitor_finds_own_hold(self) -> None:
        who = BROWSERS[self.steps % len(BROWSERS)]
        found = self.world.run(self.world.services.holds.for_visitor(who))
        own = [e.id for e in self.entries_of(who) if e.status == "held" and not e.is_expired_hold(self.now)]
        assert ([] if found is None else [found.id]) == own

    # --- the model -----------------------------------------------------------------------------------------------

    @property
    def now(self) -> datetime:
        """The current time."""
        return self.world.clock.now

    def expert(self, kind: int) -> UUID:
        """The expert of this kind."""
        return self.world.experts[KINDS[kind].expert]

    def start(self, kind: int, place: tuple[int, int]) -> datetime:
        """The start of a place, relative to today."""
        days, step = place
        return KINDS[kind].start(KINDS[kind].day_of(self.now) + days * DAY, step)

    def near(self, booking: Entry, place: tuple[int, int] | int) -> datetime:
        """The start of a place, or of a step relative to the booking."""
        return booking.starts_at + place * 30 * MINUTE if isinstance(place, int) else self.start(booking.kind, place)

    def pick(self, entries: Any, nth: int) -> Any:
        """One of the entries, preferably an open and recent one."""
        found = sorted(entries, key=lambda e: e.blocks(self.now) and e.status in ("held", "pending", "confirmed"))
        return found[-1 - nth % len(found)] if found else None

    def holds(self) -> list[Entry]:
        """All entries that are or were holds, booked ones first."""
        return sorted((e for e in self.entries.values() if e.held_at), key=lambda e: not e.booked)

    def entries_of(self, who: bytes | None) -> list[Entry]:
        """The entries of this browser."""
        return [e for e in self.entries.values() if who is not None and e.visitor == who]

    def due(self, entry: Entry) -> bool:
        """Whether it is an expired hold or a request past its answer deadline."""
        deadline = entry.verify_by or entry.answer_by or entry.starts_at
        return entry.is_expired_hold(self.now) or (entry.status == "pending" and deadline <= self.now)

    def is_unmarked(self, entry: Entry) -> bool:
        """Whether it is a confirmed session that ended 24 hours ago or earlier."""
        ends_at = entry.starts_at + KINDS[entry.kind].minutes * MINUTE
        return entry.status == "confirmed" and ends_at + 24 * HOUR <= self.now

    def neighbours(self, kind: int, start: datetime) -> list[Entry]:
        """The entries that overlap a session at this start."""
        since, until = KINDS[kind].busy(start)
        candidates = [e for e in self.entries.values() if KINDS[e.kind].expert == KINDS[kind].expert]
        return [e for e in candidates if e.busy[0] < until and since < e.busy[1]]

    def is_live_in_database(self, entry: Entry) -> bool:
        """Whether the database counts it as live. An expired hold is live until it is recorded as expired."""
        return entry.status in LIVE

    def is_offered(self, number: int, start: datetime, now: datetime) -> bool:
        """Whether a session at this start, taken or not, is offered at the time `now`."""
        kind = KINDS[number]
        in_time = start >= now + kind.notice * MINUTE and kind.day_of(start) <= kind.day_of(now) + HORIZON * DAY
        return in_time and kind.on_grid(start)

    def expected_refusal(self, number: int, start: datetime, besides: Entry | None = None) -> type[Refusal] | None:
        """The expected refusal of a request for this time, or None."""
        kind = KINDS[number]
        if not self.is_offered(number, start, self.now):
            return SlotNotOffered
        if any(e is not besides and e.blocks(self.now) for e in self.neighbours(number, start)):
            return SlotTaken
        candidates = [e for e in self.entries.values() if e.kind == number and e is not besides and e.blocks(self.now)]
        that_day = [e for e in candidates if kind.day_of(e.starts_at) == kind.day_of(start)]
        return SlotNotOffered if kind.cap is not None and len(that_day) >= kind.cap else None

    def expected_board(self, rows: list[dict[str, Any]], kind: SessionKind) -> dict[datetime, str]:
        """The expected board, computed from the table only."""
        expert, session_type = self.world.experts[kind.expert], self.world.types[KINDS.index(kind)]
        live = [
            row for row in rows
            if row["status"] in LIVE and row["expert_id"] == expert
            and not (row["status"] == "held" and row["hold_until"] <= self.now)
        ]  # fmt: skip
        board: dict[datetime, str] = {}
        today = kind.day_of(self.now)
        for day in (today + n * DAY for n in range(HORIZON + 1)):
            candidates = [
                r for r in live if r["session_type_id"] == session_type and kind.day_of(r["starts_at"]) == day
            ]
            for start in (kind.start(day, step) for step in kind.steps()):
                since, until = kind.busy(start)
                in_the_way = {r["status"] for r in live if r["busy_from"] < until and since < r["busy_until"]}
                if start < self.now + kind.notice * MINUTE or (
                    not in_the_way and kind.cap is not None and len(candidates) >= kind.cap
                ):
                    continue
                board[start] = "open" if not in_the_way else "held" if in_the_way == {"held"} else "booked"
        return board

    def caller(self, host: str, booking: Entry) -> tuple[Caller | None, str]:
        """The caller of this host, and the actor expected in the history."""
        experts = ("first", "second") if KINDS[booking.kind].expert == 0 else ("second", "first")
        name = {"own": experts[0], "other": experts[1]}.get(host, host)
        return self.world.hosts.get(name), "admin" if host == "admin" else "expert"

    def refusal_for(self, host: str, booking: Entry) -> type[Refusal] | None:
        """The refusal for a caller without rights to this booking, or None."""
        if host == "nobody":
            return NotAuthenticated
        if host == "reader":
            return Forbidden
        if not booking.booked:
            return BookingNotFound
        return Forbidden if host == "other" else None

    def host_may(self, booking: Entry, to: str) -> bool:
        """Whether hosts may change the status to this one."""
        over = self.is_over(booking)
        allowed = {
            "pending": {"confirmed", "declined"} | (set() if over else {"cancelled"}),
            "confirmed": {"completed", "no_show"} if over else {"cancelled"},
        }
        return to in ({"cancelled"} if booking.unverified else allowed.get(booking.status, set()))

    def is_over(self, booking: Entry) -> bool:
        """Whether the session has ended."""
        return self.now >= booking.starts_at + KINDS[booking.kind].minutes * MINUTE

    # --- running and recording -----------------------------------------------------------------------------------

    def attempt(
        self, what: str, work: Coroutine[Any, Any, Result], refusal: type[Refusal] | None = None
    ) -> Result | None:
        """Run an action. If a refusal is expected, it must be of exactly this class and nothing may change."""
        self.world.outcomes[what, refusal.__name__ if refusal else "done"] += 1
        if refusal is None:
            return self.world.run(work)
        before = self.row_texts()
        with pytest.raises(Refusal) as refused:
            self.world.run(work)
        assert type(refused.value) is refusal
        assert self.row_texts() == before
        return None

    def attempt_booking(
        self, what: str, who: bytes | None, number: int, start: datetime, hold: Entry | None,
        refusal: type[Refusal] | None,
    ) -> None:  # fmt: skip
        """Book, with or without a hold."""
        kind = KINDS[number]
        request = booking_request(
            self.expert(number), start, session_type_id=self.world.types[number], hold_id=hold and hold.id
        )
        view = self.attempt(what, self.world.services.bookings.book(request, visitor=who), refusal)
        if view is None:
            return
        verify_by = min(self.now + HOUR / 2, start) if kind.verify else None
        answer_by = None if kind.answer is None or kind.verify else min(self.now + kind.answer * MINUTE, start)
        status = "confirmed" if kind.answer is None else "pending"
        assert (view.status, view.starts_at, view.answer_by) == (status, start, answer_by)
        assert (view.verify_by, view.awaits_verification) == (verify_by, kind.verify)
        if hold is not None and not hold.booked and hold.blocks(self.now):
            assert view.id == hold.id
            self.expect_change(hold, "customer", None, status, None, start)
            hold.status, hold.answer_by, hold.booked, hold.hold_until = status, answer_by, True, None
            hold.verify_by = verify_by
        else:
            made = Entry(view.id, number, start, status, who, answer_by=answer_by, booked=True, verify_by=verify_by)
            self.record_new(made)

    def record_new(self, entry: Entry) -> None:
        """Record a new row."""
        self.entries[entry.id] = entry
        if entry.booked:
            self.expect_change(entry, "customer", None, entry.status, None, entry.starts_at)

    def record_status(self, entry: Entry, to: str, actor: str, token: UUID | None = None, reason: str = "") -> None:
        """Record another status, which frees the time if it is not a live one."""
        freed = entry.busy if entry.status in LIVE and to not in LIVE else None
        if entry.booked:
            self.expect_change(entry, actor, entry.status, to, entry.starts_at, entry.starts_at, token, reason, freed)
        entry.status = to
        if actor != "database":
            entry.answer_by = None  # no answer is due any more

    def record_reschedule(
        self, what: str, entry: Entry, to: datetime, view: BookingView | None, actor: str, token: UUID | None,
        reason: str,
    ) -> None:  # fmt: skip
        """Record a reschedule, if it succeeded."""
        if view is None:
            return
        assert (view.id, view.starts_at, view.status) == (entry.id, to, entry.status)
        if to != entry.starts_at:
            self.record_start(entry, to, actor, token, reason)
            entry.reschedules += actor == "customer"
            entry.answer_by = entry.answer_by and min(entry.answer_by, to)
        most = KINDS[entry.kind].max_reschedules
        assert view.reschedules_left == (None if most is None else max(0, most - entry.reschedules))

    def record_start(self, entry: Entry, to: datetime, actor: str, token: UUID | None, reason: str) -> None:
        """Record another start."""
        if entry.booked:
            self.expect_change(entry, actor, entry.status, entry.status, entry.starts_at, to, token, reason, entry.busy)
        entry.starts_at = to

    def expect_change(
        self, entry: Entry, actor: str, was: str | None, becomes: str | None, since: datetime | None,
        until: datetime | None, token: UUID | None = None, reason: str = "",
        freed: tuple[datetime, datetime] | None = None,
    ) -> None:  # fmt: skip
        """Expect this change in the history."""
        self.expected.append(Change(entry.id, actor, token, was, becomes, since, until, reason, freed))

    # --- plain SQL -----------------------------------------------------------------------------------------------

    def table(self) -> list[dict[str, Any]]:
        """All bookings."""
        return self.world.rows(
            "SELECT *, lower(busy) AS busy_from, upper(busy) AS busy_until FROM booking ORDER BY created_at, id"
        )

    def row_texts(self) -> list[str]:
        """All rows as text, except expired holds, which any call may record as expired."""
        statement = "SELECT b::text AS image FROM booking b WHERE NOT (hold_until IS NOT NULL AND hold_until <= %s)"
        rows = [row["image"] for row in self.world.rows(statement + " ORDER BY id", self.now)]
        kept = {e.id for e in self.entries.values() if not e.is_expired_hold(self.now)}
        changes = [str(change) for change in self.changes(keep=True) if change.booking in kept]
        return [*rows, *changes]

    def last_change(self) -> int:
        """The id of the newest change."""
        newest: int = self.world.rows("SELECT coalesce(max(id), 0) AS id FROM booking_change")[0]["id"]
        return newest

    def changes(self, *, keep: bool = False) -> list[Change]:
        """The changes since the last call."""
        rows = self.world.rows("SELECT * FROM booking_change WHERE id > %s ORDER BY id", self.seen)
        if rows and not keep:
            self.seen = rows[-1]["id"]
        return [
            Change(
                row["booking_id"], row["actor"], row["token_id"], row["from_status"], row["to_status"],
                row["from_starts_at"], row["to_starts_at"], row["reason"],
                row["freed"] and (row["freed"].lower, row["freed"].upper),
            )
            for row in rows
        ]  # fmt: skip
