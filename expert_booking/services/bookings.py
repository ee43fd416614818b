"""Booking a time, finding it again, moving it through its life."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID, uuid4

from expert_booking.db import access, bulk, experts, holds
from expert_booking.db import bookings as rows
from expert_booking.db.availability import Offer
from expert_booking.db.engine import AnyConnection, AnyRow, Database, retry_on_deadlock
from expert_booking.domain.addresses import customer_key
from expert_booking.domain.calendar import Slot
from expert_booking.domain.errors import (
    BookingNotFound,
    ExpertNotFound,
    FieldsWrong,
    Forbidden,
    NotAuthenticated,
    RescheduleNotAllowed,
    SlotNotOffered,
    SlotTaken,
    StatusChangeNotAllowed,
    TooManyNewLinks,
)
from expert_booking.domain.lifecycle import Actor, Status, check_reschedule, check_transition
from expert_booking.schemas import (
    BookingHistory,
    BookingPage,
    BookingQuery,
    BookingRequest,
    BookingView,
    BusyPage,
    BusyView,
    Caller,
    ChangeView,
    Role,
)
from expert_booking.services.availability import offer_of, placed, refused, refused_by_now, with_busy

_FASTER: Final = "This booking has just been changed by somebody else."
# How often a move is tried while others take the places of its day.
_TRIES: Final = 3


class Bookings:
    """What happens to bookings. The database says who was first, and it is asked once."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    async def book(
        self, request: BookingRequest, *, visitor: bytes | None = None, submission: UUID | None = None
    ) -> BookingView:
        """Book a slot that the calendar offers.

        `visitor` is the browser it is made in; `submission` names one filled-in form, which makes one booking however
        often it is sent. A hold that is named becomes the booking; where it is over, whoever is first gets the time.
        Raises SlotTaken, SlotNotOffered, ExpertNotFound, SessionTypeNotFound, and FieldsWrong for a hold of another
        time.
        """
        async with self._database.statements() as connection:
            try:
                return await self._book(connection, request, visitor, submission)
            except (SlotTaken, SlotNotOffered):
                if visitor is None or submission is None:
                    raise
                made = await rows.by_submission(connection, submission, visitor)
                if made is None:
                    raise
                return _view(made)

    async def get(self, booking_id: UUID, caller: Caller | None) -> BookingView:
        """One booking, for its customer and those entitled.

        Raises BookingNotFound for everybody else, and for unknown ids.
        """
        async with self._database.statements() as connection:
            row = await rows.by_id(connection, booking_id)
        if row is None or caller is None:
            raise BookingNotFound
        if not (caller.reads_everything() or caller.runs(row.expert_id) or _owns(caller, row)):
            raise BookingNotFound
        return _view(row)

    async def at_for_visitor(
        self, expert_id: UUID, since: datetime, until: datetime, visitor: bytes
    ) -> BookingView | None:
        """The first live booking of any session that keeps some of [since, until) and was made in this browser."""
        async with self._database.statements() as connection:
            row = await rows.by_time_and_visitor(connection, expert_id, since, until, visitor)
        return None if row is None else _view(row)

    async def of_visitor(self, visitor: bytes) -> Sequence[BookingView]:
        """The bookings made in this browser, for whatever address, the latest start first."""
        async with self._database.statements() as connection:
            return [_view(row) for row in await rows.of_visitor(connection, visitor)]

    async def of_customer(self, key: str) -> Sequence[BookingView]:
        """All bookings for an address that was proven (its `customer_key`), the latest start first."""
        async with self._database.statements() as connection:
            return [_view(row) for row in await rows.of_customer(connection, key)]

    async def of_experts(self, expert_ids: Sequence[UUID]) -> Sequence[BookingView]:
        """What these experts have to answer and to expect, the earliest first."""
        async with self._database.statements() as connection:
            return [_view(row) for row in await rows.of_experts(connection, expert_ids, self._clock())]

    async def find(self, query: BookingQuery, caller: Caller | None) -> BookingPage | BusyPage:
        """One page of bookings, as much of them as this caller may see.

        By address for admins, readers and the customer who has proven that address; others get NotAuthenticated. By
        expert everything for those who run that calendar, and times and statuses only for everyone else. Raises
        ExpertNotFound.
        """
        offset = (query.page - 1) * query.limit
        async with self._database.statements() as connection:
            if query.email is None and query.expert_id is not None and not (caller and caller.runs(query.expert_id)):
                if await experts.by_id(connection, query.expert_id) is None:
                    raise ExpertNotFound
                busy, total = await rows.busy_page(connection, query.expert_id, self._clock(), query.limit, offset)
                times = [BusyView(starts_at=row.starts_at, ends_at=row.ends_at, status=row.status) for row in busy]
                return BusyPage(bookings=times, total=total, page=query.page, limit=query.limit)
            _check_may_search(query, caller)
            found, total = await rows.page(
                connection,
                customer_key=customer_key(query.email) if query.email else None,
                expert_id=query.expert_id,
                limit=query.limit,
                offset=offset,
            )
        return BookingPage(bookings=[_view(row) for row in found], total=total, page=query.page, limit=query.limit)

    async def change_status(
        self, booking_id: UUID, to: Status, caller: Caller | None, *, reason: str = ""
    ) -> BookingView:
        """Give a booking another status, as its expert, an admin or its customer.

        Raises NotAuthenticated without a token, Forbidden if the token does not run this expert's calendar,
        BookingNotFound, StatusChangeNotAllowed for a transition that does not exist or when another change was faster,
        and for the customer CancelTooLate.
        """
        async with self._database.transaction() as connection:
            row, by = await _changeable(connection, booking_id, caller)
            check_transition(Status(row.status), to, by.actor, ends_at=row.ends_at, now=self._clock())
            if by.actor is Actor.CUSTOMER and to is Status.CANCELLED:
                rows.agreed_terms(row).check_cancel(row.starts_at, self._clock())
            if not await rows.change_status(connection, self._changed(row, by, reason), to.value):
                raise StatusChangeNotAllowed(_FASTER)
            return await _read_again(connection, row.id)

    async def reschedule(
        self, booking_id: UUID, to: datetime, caller: Caller | None, *, reason: str = ""
    ) -> BookingView:
        """Reschedule a booking to another slot of its session type, as its expert, an admin or its customer.

        `to` is UTC. Raises NotAuthenticated, Forbidden or BookingNotFound, RescheduleNotAllowed, for the customer
        RescheduleTooLate and NoReschedulesLeft, and SlotTaken or SlotNotOffered; then the booking keeps its time.
        """

        async def attempt() -> BookingView:
            async with self._database.transaction() as connection:
                row, by = await _changeable(connection, booking_id, caller)
                check_reschedule(Status(row.status))
                if by.actor is Actor.CUSTOMER:
                    rows.agreed_terms(row).check_reschedule(row.starts_at, row.reschedules, self._clock())
                return await self._reschedule(connection, row, to, by=by, reason=reason)

        return await retry_on_deadlock(attempt)

    async def end_links(self, booking_id: UUID, caller: Caller | None) -> None:
        """End every link and token of a booking, and email its customer a new link.

        For its customer, its expert and admins. Raises NotAuthenticated, Forbidden, BookingNotFound or TooManyNewLinks.
        """
        async with self._database.transaction() as connection:
            row, _ = await _changeable(connection, booking_id, caller)
            if not await access.end_links(connection, row.id):
                raise TooManyNewLinks

    async def history(self, booking_id: UUID, caller: Caller | None) -> BookingHistory:
        """All that has happened to a booking, for those who run its calendar.

        Raises NotAuthenticated, Forbidden or BookingNotFound.
        """
        async with self._database.statements() as connection:
            _, by = await _changeable(connection, booking_id, caller)
            if by.actor is Actor.CUSTOMER:
                raise Forbidden
            changes = [ChangeView.model_validate(row._mapping) for row in await rows.history(connection, booking_id)]
        return BookingHistory(changes=changes)

    async def import_lines(self, lines: AsyncIterator[bytes]) -> None:
        """Insert bookings in the text format of `db.bulk`, by the million where there are none yet.

        Then the table is closed to everybody else until all are in: all or none. Otherwise they go in part by part,
        without those whose id is there or whose time is taken.
        """
        async with self._database.transaction() as connection:
            if await bulk.close_if_empty(connection):
                await bulk.fill(connection, lines)
                return
        async for some in lines:
            async with self._database.transaction() as connection:
                await bulk.insert(connection, some)

    async def count(self) -> int:
        """How many bookings there are, in whatever status."""
        async with self._database.statements() as connection:
            return await rows.count(connection)

    async def _book(
        self, connection: AnyConnection, request: BookingRequest, visitor: bytes | None, submission: UUID | None
    ) -> BookingView:
        now, starts_at = self._clock(), request.starts_at
        hold = await _hold_for(connection, request, now)
        wanted = hold.session_type_id if hold else request.session_type_id
        offer = await offer_of(connection, request.expert_id, wanted, now)
        slot = await self._slot(connection, offer, request, hold, now)
        new = rows.NewBooking(
            id=uuid4(),
            **placed(offer, slot, now),
            offer=offer,
            visitor=visitor,
            own_hold=request.hold_id,
            request=request,
            customer_key=customer_key(request.email),
            submission=submission,
            status=offer.terms.first_status(),
            answer_by=offer.terms.answer_by(starts_at, now),
        )
        written = await rows.book_held(connection, new) if hold else None
        if written is None:
            # No hold, or it is over (or its session has another length now): whoever is first gets the time.
            written = await rows.insert(connection, new)
        if written is None and request.hold_id is None:
            # In a crowd this is the answer to nearly all: somebody else's time is in the way, and no lapsed hold.
            refusal = await refused_by_now(connection, offer, starts_at, now)
            if refusal is not None:
                raise refusal
        if written is None:
            written = await rows.insert_over_expired_holds(connection, new)
        if written is None:
            raise await refused(connection, offer, starts_at, now)
        return _view(written)

    async def _slot(
        self, connection: AnyConnection, offer: Offer, request: BookingRequest, hold: AnyRow | None, now: datetime
    ) -> Slot:
        """The wanted slot, if the calendar offers it; one that is held, if it was offered when the hold was taken."""
        calendar, starts_at = offer.calendar, request.starts_at
        if hold is None and calendar.length.daily_cap is not None:
            calendar = await with_busy(connection, offer, starts_at, now)
        try:
            return calendar.offered(starts_at, now=hold.held_at if hold and starts_at > now else now)
        except (SlotTaken, SlotNotOffered) as refusal:
            own = hold.starts_at if hold else None
            raise await refused(connection, offer, starts_at, now, own) from refusal

    async def _reschedule(
        self, connection: AnyConnection, row: AnyRow, to: datetime, *, by: "_Who", reason: str = ""
    ) -> BookingView:
        if to == row.starts_at:
            return _view(row)
        now = self._clock()
        offer = await offer_of(connection, row.expert_id, row.session_type_id, now)
        await rows.lock_reschedules(connection, row.expert_id)
        for _ in range(_TRIES):
            calendar = (await with_busy(connection, offer, to, now)).without(row.starts_at)
            try:
                slot = calendar.offered(to, now)
            except (SlotTaken, SlotNotOffered):
                break
            new = rows.NewRow(id=row.id, **placed(offer, slot, now))
            counted = by.actor is Actor.CUSTOMER
            try:
                done = await rows.reschedule(connection, self._changed(row, by, reason), new, counted=counted)
            except SlotTaken:
                # Somebody was faster, or has just taken the place of that day we had chosen: the calendar knows.
                continue
            if not done:
                raise RescheduleNotAllowed(_FASTER)
            return await _read_again(connection, row.id)
        raise await refused(connection, offer, to, now, own=row.starts_at)

    def _changed(self, row: AnyRow, by: "_Who", reason: str) -> rows.Change:
        return rows.Change(row.id, row.status, row.version, by.actor.value, self._clock(), by.token_id, reason)


@dataclass(frozen=True, slots=True)
class _Who:
    """Who changes a booking."""

    actor: Actor
    token_id: UUID | None = None


async def _changeable(connection: AnyConnection, booking_id: UUID, caller: Caller | None) -> tuple[AnyRow, _Who]:
    """A booking, and as who this caller changes it."""
    if caller is None:
        raise NotAuthenticated
    row = await rows.by_id(connection, booking_id)
    if row is None:
        raise BookingNotFound if caller.role is not Role.READER else Forbidden
    if _owns(caller, row):
        return row, _Who(Actor.CUSTOMER)
    if caller.role is Role.CUSTOMER:
        raise BookingNotFound
    if not caller.runs(row.expert_id):
        raise Forbidden
    return row, _Who(Actor.ADMIN if caller.role is Role.ADMIN else Actor.EXPERT, caller.token_id)


def _owns(caller: Caller, row: AnyRow) -> bool:
    return caller.owns(row.id, row.customer_key, row.visitor, row.key_version)


async def _read_again(connection: AnyConnection, booking_id: UUID) -> BookingView:
    changed = await rows.by_id(connection, booking_id)
    assert changed is not None
    return _view(changed)


async def _hold_for(connection: AnyConnection, request: BookingRequest, now: datetime) -> AnyRow | None:
    """The hold that this request names, unless it is over. Raises FieldsWrong where it keeps another time."""
    if request.hold_id is None:
        return None
    hold = await holds.by_id(connection, request.hold_id, now)
    if hold is not None and (
        (hold.expert_id, hold.starts_at) != (request.expert_id, request.starts_at)
        or request.session_type_id not in (None, hold.session_type_id)
    ):
        raise FieldsWrong({"holdId": "This hold keeps another time."})
    return hold


def _check_may_search(query: BookingQuery, caller: Caller | None) -> None:
    if caller is not None and caller.reads_everything():
        return
    own = caller is not None and caller.role is Role.CUSTOMER and caller.customer_key is not None
    if own and caller is not None and query.email and customer_key(query.email) == caller.customer_key:
        return
    if caller is not None and query.expert_id is not None and caller.runs(query.expert_id):
        return
    raise NotAuthenticated("Bookings of an address are shown to its owner only: a valid token is needed.")


def _view(row: AnyRow) -> BookingView:
    """The view of a booking that was read or has just been written: the only way to make one."""
    terms = rows.agreed_terms(row)
    left = {
        "cancel_until": terms.cancel_until(row.starts_at),
        "reschedule_until": terms.reschedule_until(row.starts_at),
        "reschedules_left": terms.reschedules_left(row.reschedules),
    }
    return BookingView.model_validate({**row._asdict(), "session_title": row.title, **left})
