"""Booking a time, finding it again, moving it through its life."""

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from uuid import UUID, uuid4

from expert_booking.db import availability as calendars
from expert_booking.db import bookings as rows
from expert_booking.db import bulk, experts
from expert_booking.db.availability import Offer
from expert_booking.db.engine import AnyConnection, AnyRow, Database
from expert_booking.domain.addresses import customer_key
from expert_booking.domain.calendar import Calendar
from expert_booking.domain.errors import (
    BookingNotFound,
    ExpertNotFound,
    Forbidden,
    ProofNeeded,
    SlotNotOffered,
    SlotTaken,
    StatusChangeNotAllowed,
)
from expert_booking.domain.lifecycle import Status, check_move
from expert_booking.schemas import (
    BookingPage,
    BookingQuery,
    BookingRequest,
    BookingView,
    BusyPage,
    BusyView,
    Caller,
)
from expert_booking.services.availability import offer_of


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
        often it is sent. Raises SlotTaken, SlotNotOffered, ExpertNotFound or SessionTypeNotFound.
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
        """One booking, for those entitled. Raises BookingNotFound for everybody else, and for unknown ids."""
        async with self._database.statements() as connection:
            row = await rows.by_id(connection, booking_id)
        if row is None or caller is None or not (caller.reads_everything() or caller.runs(row.expert_id)):
            raise BookingNotFound
        return _view(row)

    async def get_for_visitor(self, booking_id: UUID, visitor: bytes) -> BookingView:
        """One booking, if it was made in this browser. Raises BookingNotFound otherwise."""
        async with self._database.statements() as connection:
            row = await rows.by_id_and_visitor(connection, booking_id, visitor)
        if row is None:
            raise BookingNotFound
        return _view(row)

    async def at_for_visitor(
        self, expert_id: UUID, since: datetime, until: datetime, visitor: bytes
    ) -> BookingView | None:
        """The first live booking of any session that keeps some of [since, until) and was made in this browser."""
        async with self._database.statements() as connection:
            row = await rows.by_time_and_visitor(connection, expert_id, since, until, visitor)
        return None if row is None else _view(row)

    async def of_visitor(self, email: str, visitor: bytes) -> Sequence[BookingView]:
        """The bookings made in this browser for this address, the latest start first."""
        async with self._database.statements() as connection:
            return [_view(row) for row in await rows.of_visitor(connection, customer_key(email), visitor)]

    async def addresses_of_visitor(self, visitor: bytes) -> Sequence[str]:
        """The addresses booked with in this browser, the latest first."""
        async with self._database.statements() as connection:
            return await rows.addresses_of_visitor(connection, visitor)

    async def find(self, query: BookingQuery, caller: Caller | None) -> BookingPage | BusyPage:
        """One page of bookings, as much of them as this caller may see.

        By address only for admins and readers (ProofNeeded otherwise). By expert everything for those who run that
        calendar, bare times for everybody else (ExpertNotFound for unknown experts).
        """
        offset = (query.page - 1) * query.limit
        async with self._database.statements() as connection:
            if query.email is None and query.expert_id is not None and not (caller and caller.runs(query.expert_id)):
                if await experts.by_id(connection, query.expert_id) is None:
                    raise ExpertNotFound
                busy, total = await rows.busy_page(connection, query.expert_id, query.limit, offset)
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

    async def change_status(self, booking_id: UUID, to: Status, caller: Caller | None) -> BookingView:
        """Move a booking to another status.

        Raises ProofNeeded without a token, Forbidden where it does not run this expert's calendar, BookingNotFound,
        and StatusChangeNotAllowed for a move that does not exist or when somebody else was faster.
        """
        if caller is None:
            raise ProofNeeded
        async with self._database.transaction() as connection:
            row = await rows.by_id(connection, booking_id)
            if row is None:
                raise BookingNotFound if caller.role != "reader" else Forbidden
            if not caller.runs(row.expert_id):
                raise Forbidden
            check_move(Status(row.status), to)
            if not await rows.change_status(connection, booking_id, now_is=row.status, read=row.version, to=to.value):
                raise StatusChangeNotAllowed("This booking has just been changed by somebody else.")
            changed = await rows.by_id(connection, booking_id)
        assert changed is not None
        return _view(changed)

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
        offer = await offer_of(connection, request.expert_id, request.session_type_id, now)
        calendar = offer.calendar
        if calendar.length.daily_cap is not None:
            calendar = await _with_busy(connection, offer, starts_at, now)
        slot = calendar.offered(starts_at, now=now)
        new = rows.NewBooking(
            id=uuid4(),
            expert_id=offer.expert_id,
            session_type_id=offer.session_type_id,
            slot=slot,
            request=request,
            customer_key=customer_key(request.email),
            visitor=visitor,
            submission=submission,
            daily_cap=calendar.length.daily_cap,
            cap_day=None if calendar.length.daily_cap is None else calendar.day_of(starts_at),
        )
        written = await rows.insert_or_fail(connection, new)
        if written is None:
            # Somebody was faster: the calendar, read again, says with what.
            (await _with_busy(connection, offer, starts_at, now)).offered(starts_at, now=now)
            raise SlotTaken
        return BookingView(
            id=new.id,
            expert_id=offer.expert_id,
            expert_slug=offer.slug,
            expert_name=offer.name,
            expert_time_zone=offer.calendar.zone.key,
            session_type_id=offer.session_type_id,
            session_title=offer.title,
            starts_at=slot.starts_at,
            ends_at=slot.ends_at,
            status=Status.PENDING,
            name=request.name,
            email=request.email,
            phone=request.phone,
            notes=request.notes,
            time_zone=request.time_zone,
            created_at=written.created_at,
            updated_at=written.updated_at,
            version=written.version,
        )


async def _with_busy(connection: AnyConnection, offer: Offer, starts_at: datetime, now: datetime) -> Calendar:
    busy = await calendars.busy(connection, [offer.expert_id], starts_at, starts_at, now)
    return offer.calendar.with_busy(busy.get(offer.expert_id, ()))


def _check_may_search(query: BookingQuery, caller: Caller | None) -> None:
    if caller is not None and caller.reads_everything():
        return
    if caller is not None and query.expert_id is not None and caller.runs(query.expert_id):
        return
    raise ProofNeeded("Bookings of an address are shown to its owner only: a valid token is needed.")


def _view(row: AnyRow) -> BookingView:
    return BookingView.model_validate(row._mapping)
