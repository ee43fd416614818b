"""Make, find, change and reschedule bookings."""

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
from expert_booking.services.availability import find_offer, slot_columns, slot_refusal, slot_refusal_if_any, with_busy

_CHANGED_CONCURRENTLY: Final = "Someone else has just changed this booking."
# How often rescheduling is attempted while concurrent bookings take the places of a capped day.
_RESCHEDULE_ATTEMPTS: Final = 3


class Bookings:
    """The use cases of bookings. The database decides who was first: insert or fail, in one statement."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    async def book(
        self, request: BookingRequest, *, visitor: bytes | None = None, submission: UUID | None = None
    ) -> BookingView:
        """Book a slot that the calendar offers.

        `visitor` is a hash that identifies the browser. `submission` identifies one filled-in form, which makes only
        one booking however often it is sent. The request's hold becomes the booking; if it has expired, the first to
        book gets the time. Raises SlotTaken, SlotNotOffered, ExpertNotFound, SessionTypeNotFound, and FieldsWrong for a
        hold on a different time.
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
        """One booking, for its customer, its expert, admins and readers.

        Raises BookingNotFound for all other callers and for unknown ids.
        """
        async with self._database.statements() as connection:
            row = await rows.by_id(connection, booking_id)
        if row is None or caller is None:
            raise BookingNotFound
        if not (caller.reads_everything() or caller.runs(row.expert_id) or _owns(caller, row)):
            raise BookingNotFound
        return _view(row)

    async def overlapping_for_visitor(
        self, expert_id: UUID, since: datetime, until: datetime, visitor: bytes
    ) -> BookingView | None:
        """The expert's first live booking that overlaps [since, until) (UTC) and was made in this browser."""
        async with self._database.statements() as connection:
            row = await rows.by_time_and_visitor(connection, expert_id, since, until, visitor)
        return None if row is None else _view(row)

    async def for_visitor(self, visitor: bytes) -> Sequence[BookingView]:
        """The bookings made in this browser, whatever their email address, latest start first."""
        async with self._database.statements() as connection:
            return [_view(row) for row in await rows.of_visitor(connection, visitor)]

    async def for_customer(self, key: str) -> Sequence[BookingView]:
        """All bookings of a customer, given as the `customer_key` of a proven address, latest start first."""
        async with self._database.statements() as connection:
            return [_view(row) for row in await rows.of_customer(connection, key)]

    async def for_experts(self, expert_ids: Sequence[UUID]) -> Sequence[BookingView]:
        """The pending and upcoming bookings of these experts, earliest first."""
        async with self._database.statements() as connection:
            return [_view(row) for row in await rows.of_experts(connection, expert_ids, self._clock())]

    async def find(self, query: BookingQuery, caller: Caller | None) -> BookingPage | BusyPage:
        """One page of bookings, in as much detail as this caller may see.

        By email address: for admins, readers and the customer who has proven that address; raises NotAuthenticated for
        others. By expert: full bookings for those who run that calendar, only times and statuses for others. Raises
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
        """Change the status of a booking, as its expert, an admin or its customer.

        Raises NotAuthenticated without a token, Forbidden if the token does not run this expert's calendar,
        BookingNotFound, StatusChangeNotAllowed for an unknown transition or after a concurrent change, and for the
        customer CancelTooLate.
        """
        async with self._database.transaction() as connection:
            row, by = await _changeable(connection, booking_id, caller)
            check_transition(Status(row.status), to, by.actor, ends_at=row.ends_at, now=self._clock())
            if by.actor is Actor.CUSTOMER and to is Status.CANCELLED:
                rows.agreed_terms(row).check_cancel(row.starts_at, self._clock())
            if not await rows.change_status(connection, self._changed(row, by, reason), to.value):
                raise StatusChangeNotAllowed(_CHANGED_CONCURRENTLY)
            return await _reload(connection, row.id)

    async def reschedule(
        self, booking_id: UUID, to: datetime, caller: Caller | None, *, reason: str = ""
    ) -> BookingView:
        """Reschedule a booking to another slot of its session type, as its expert, an admin or its customer.

        `to` is the new start (UTC). Raises NotAuthenticated, Forbidden, BookingNotFound, RescheduleNotAllowed,
        SlotTaken or SlotNotOffered, and for the customer RescheduleTooLate or NoReschedulesLeft. The booking then keeps
        its time.
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
        """Revoke all links and tokens of a booking and email its customer a new link.

        For its customer, its expert and admins. Raises NotAuthenticated, Forbidden, BookingNotFound or TooManyNewLinks.
        """
        async with self._database.transaction() as connection:
            row, _ = await _changeable(connection, booking_id, caller)
            if not await access.end_links(connection, row.id):
                raise TooManyNewLinks

    async def history(self, booking_id: UUID, caller: Caller | None) -> BookingHistory:
        """The changes of a booking, oldest first, for those who run its calendar.

        Raises NotAuthenticated, Forbidden or BookingNotFound.
        """
        async with self._database.statements() as connection:
            _, by = await _changeable(connection, booking_id, caller)
            if by.actor is Actor.CUSTOMER:
                raise Forbidden
            changes = [ChangeView.model_validate(row._mapping) for row in await rows.history(connection, booking_id)]
        return BookingHistory(changes=changes)

    async def import_lines(self, lines: AsyncIterator[bytes]) -> None:
        """Insert many bookings in the text format of `db.bulk`.

        If there are no bookings yet, the table is locked and all are inserted or none. Otherwise they are inserted
        batch by batch, skipping those whose id exists or whose time is taken.
        """
        async with self._database.transaction() as connection:
            if await bulk.close_if_empty(connection):
                await bulk.fill(connection, lines)
                return
        async for batch in lines:
            async with self._database.transaction() as connection:
                await bulk.insert(connection, batch)

    async def count(self) -> int:
        """The number of bookings in any status."""
        async with self._database.statements() as connection:
            return await rows.count(connection)

    async def _book(
        self, connection: AnyConnection, request: BookingRequest, visitor: bytes | None, submission: UUID | None
    ) -> BookingView:
        now, starts_at = self._clock(), request.starts_at
        hold = await _hold_for(connection, request, now)
        session_type_id = hold.session_type_id if hold else request.session_type_id
        offer = await find_offer(connection, request.expert_id, session_type_id, now)
        slot = await self._slot(connection, offer, request, hold, now)
        new = rows.NewBooking(
            id=uuid4(),
            **slot_columns(offer, slot, now),
            offer=offer,
            visitor=visitor,
            own_hold=request.hold_id,
            request=request,
            customer_key=customer_key(request.email),
            submission=submission,
            status=offer.terms.initial_status(),
            answer_by=offer.terms.answer_by(starts_at, now),
        )
        written = await rows.book_held(connection, new) if hold else None
        if written is None:
            # No hold, or it has expired, or its session type has another length now: the first to book gets the time.
            written = await rows.insert(connection, new)
        if written is None and request.hold_id is None:
            # The usual case when many customers want the same time: a booking blocks it, not an expired hold.
            refusal = await slot_refusal_if_any(connection, offer, starts_at, now)
            if refusal is not None:
                raise refusal
        if written is None:
            written = await rows.insert_over_expired_holds(connection, new)
        if written is None:
            raise await slot_refusal(connection, offer, starts_at, now)
        return _view(written)

    async def _slot(
        self, connection: AnyConnection, offer: Offer, request: BookingRequest, hold: AnyRow | None, now: datetime
    ) -> Slot:
        """The requested slot, if the calendar offers it now or, with a hold, offered it when the hold was taken."""
        calendar, starts_at = offer.calendar, request.starts_at
        if hold is None and calendar.length.daily_cap is not None:
            calendar = await with_busy(connection, offer, starts_at, now)
        try:
            return calendar.offered(starts_at, now=hold.held_at if hold and starts_at > now else now)
        except (SlotTaken, SlotNotOffered) as refusal:
            own = hold.starts_at if hold else None
            raise await slot_refusal(connection, offer, starts_at, now, own) from refusal

    async def _reschedule(
        self, connection: AnyConnection, row: AnyRow, to: datetime, *, by: "_ActingAs", reason: str = ""
    ) -> BookingView:
        if to == row.starts_at:
            return _view(row)
        now = self._clock()
        offer = await find_offer(connection, row.expert_id, row.session_type_id, now)
        await rows.lock_reschedules(connection, row.expert_id)
        for _ in range(_RESCHEDULE_ATTEMPTS):
            calendar = (await with_busy(connection, offer, to, now)).without(row.starts_at)
            try:
                slot = calendar.offered(to, now)
            except (SlotTaken, SlotNotOffered):
                break
            new = rows.NewRow(id=row.id, **slot_columns(offer, slot, now))
            counted = by.actor is Actor.CUSTOMER
            try:
                done = await rows.reschedule(connection, self._changed(row, by, reason), new, counted=counted)
            except SlotTaken:
                # A concurrent booking took the time or our place under the daily cap: re-read and decide again.
                continue
            if not done:
                raise RescheduleNotAllowed(_CHANGED_CONCURRENTLY)
            return await _reload(connection, row.id)
        raise await slot_refusal(connection, offer, to, now, own=row.starts_at)

    def _changed(self, row: AnyRow, by: "_ActingAs", reason: str) -> rows.Change:
        return rows.Change(row.id, row.status, row.version, by.actor.value, self._clock(), by.token_id, reason)


@dataclass(frozen=True, slots=True)
class _ActingAs:
    """The role in which a caller changes a booking."""

    actor: Actor
    token_id: UUID | None = None


async def _changeable(connection: AnyConnection, booking_id: UUID, caller: Caller | None) -> tuple[AnyRow, _ActingAs]:
    """A booking that this caller may change, and the role in which they do.

    Raises NotAuthenticated, Forbidden or BookingNotFound.
    """
    if caller is None:
        raise NotAuthenticated
    row = await rows.by_id(connection, booking_id)
    if row is None:
        raise BookingNotFound if caller.role is not Role.READER else Forbidden
    if _owns(caller, row):
        return row, _ActingAs(Actor.CUSTOMER)
    if caller.role is Role.CUSTOMER:
        raise BookingNotFound
    if not caller.runs(row.expert_id):
        raise Forbidden
    return row, _ActingAs(Actor.ADMIN if caller.role is Role.ADMIN else Actor.EXPERT, caller.token_id)


def _owns(caller: Caller, row: AnyRow) -> bool:
    return caller.owns(row.id, row.customer_key, row.visitor, row.key_version)


async def _reload(connection: AnyConnection, booking_id: UUID) -> BookingView:
    changed = await rows.by_id(connection, booking_id)
    assert changed is not None
    return _view(changed)


async def _hold_for(connection: AnyConnection, request: BookingRequest, now: datetime) -> AnyRow | None:
    """The hold that this request refers to, unless it has expired. Raises FieldsWrong if it is for another time."""
    if request.hold_id is None:
        return None
    hold = await holds.by_id(connection, request.hold_id, now)
    if hold is not None and (
        (hold.expert_id, hold.starts_at) != (request.expert_id, request.starts_at)
        or request.session_type_id not in (None, hold.session_type_id)
    ):
        raise FieldsWrong({"holdId": "This hold is for a different time."})
    return hold


def _check_may_search(query: BookingQuery, caller: Caller | None) -> None:
    if caller is not None and caller.reads_everything():
        return
    own = caller is not None and caller.role is Role.CUSTOMER and caller.customer_key is not None
    if own and caller is not None and query.email and customer_key(query.email) == caller.customer_key:
        return
    if caller is not None and query.expert_id is not None and caller.runs(query.expert_id):
        return
    raise NotAuthenticated("You need a valid token to list bookings by email address.")


def _view(row: AnyRow) -> BookingView:
    """The view of a booking row. All views are built here, so that POST and GET return the same."""
    terms = rows.agreed_terms(row)
    left = {
        "cancel_until": terms.cancel_until(row.starts_at),
        "reschedule_until": terms.reschedule_until(row.starts_at),
        "reschedules_left": terms.reschedules_left(row.reschedules),
    }
    return BookingView.model_validate({**row._asdict(), "session_title": row.title, **left})
