"""Make, find, change and reschedule bookings."""

from collections.abc import AsyncIterator, Callable, Collection, Sequence
from datetime import datetime
from uuid import UUID

from expert_booking.db import access, bulk
from expert_booking.db import bookings as rows
from expert_booking.db.engine import AnyConnection, Database, retry_on_deadlock
from expert_booking.domain.addresses import customer_key
from expert_booking.domain.errors import (
    BookingLimitReached,
    BookingNotFound,
    ChangedMeanwhile,
    Forbidden,
    RescheduleNotAllowed,
    SlotNotOffered,
    SlotTaken,
    StatusChangeNotAllowed,
    TooManyBookings,
    TooManyNewLinks,
)
from expert_booking.domain.lifecycle import Actor, Status, check_reschedule, check_transition
from expert_booking.domain.limits import BookingLimits
from expert_booking.domain.rule_overrides import RuleOverride
from expert_booking.schemas import (
    BookingHistory,
    BookingRequest,
    BookingView,
    Caller,
    HostBookingRequest,
    HostChangeView,
)
from expert_booking.services import booking_changes, manual_bookings, new_bookings
from expert_booking.services.booking_changes import (
    CHANGED_CONCURRENTLY,
    HostOptions,
    acting_as_host,
    change_of,
    changeable,
    check_version,
    owns,
)
from expert_booking.services.booking_views import is_unverified, view_of
from expert_booking.services.limits import booking_check, count_change
from expert_booking.services.permissions import check_runs


class Bookings:
    """The use cases of bookings. The database decides who was first: insert or fail, in one statement."""

    def __init__(
        self,
        database: Database,
        clock: Callable[[], datetime],
        limits: BookingLimits,
        *,
        sends_email: bool = True,
    ) -> None:
        """`sends_email`: the site sends emails. If not, no customer can be asked to confirm an address by email."""
        self._database = database
        self._clock = clock
        self._limits = limits
        self._sends_email = sends_email

    async def book(
        self,
        request: BookingRequest,
        *,
        visitor: bytes | None = None,
        submission: UUID | None = None,
        origin: bytes | None = None,
        caller: Caller | None = None,
    ) -> BookingView:
        """Book a slot that the calendar offers.

        If the session type asks for it, the booking waits until its customer confirms the email address (see
        `Verification`), unless `caller` has proven that address or runs this calendar.

        `visitor` and `origin` are hashes that identify the browser and its network. `submission` identifies one
        filled-in form, which makes only one booking however often it is sent. The request's hold becomes the booking;
        if it has expired, the first to book gets the time. Raises SlotTaken, SlotNotOffered, ExpertNotFound,
        SessionTypeNotFound, FieldsWrong for a hold on a different time, and TooManyBookings or BookingLimitReached
        unless `caller` is an expert or admin.
        """
        key = customer_key(request.email)
        check = booking_check(self._limits, key, origin=origin, visitor=visitor, caller=caller)
        async with self._database.statements() as connection:
            try:
                made = await new_bookings.book(
                    connection,
                    request,
                    self._clock(),
                    visitor=visitor,
                    submission=submission,
                    caller=caller,
                    limits=check,
                    may_verify=self._sends_email,
                )
                return view_of(made)
            except (SlotTaken, SlotNotOffered, TooManyBookings, BookingLimitReached):
                if visitor is None or submission is None:
                    raise
                earlier = await rows.by_submission(connection, submission, visitor)
                if earlier is None:
                    raise
                return view_of(earlier)

    async def get(self, booking_id: UUID, caller: Caller | None) -> BookingView:
        """One booking, for its customer, its expert, admins and readers.

        Raises BookingNotFound for all other callers and for unknown ids.
        """
        async with self._database.statements() as connection:
            row = await rows.by_id(connection, booking_id)
        if row is None or caller is None:
            raise BookingNotFound
        if not (caller.reads_everything() or caller.runs(row.expert_id) or owns(caller, row)):
            raise BookingNotFound
        return view_of(row)

    async def overlapping_for_visitor(
        self, expert_id: UUID, since: datetime, until: datetime, visitor: bytes
    ) -> BookingView | None:
        """The expert's first live booking that overlaps [since, until) (UTC) and was made in this browser."""
        async with self._database.statements() as connection:
            row = await rows.by_time_and_visitor(connection, expert_id, since, until, visitor)
        return None if row is None else view_of(row)

    async def for_visitor(self, visitor: bytes) -> Sequence[BookingView]:
        """The bookings made in this browser, whatever their email address, latest start first."""
        async with self._database.statements() as connection:
            return [view_of(row) for row in await rows.of_visitor(connection, visitor)]

    async def for_customer(self, key: str) -> Sequence[BookingView]:
        """All bookings of a customer, given as the `customer_key` of a proven address, latest start first."""
        async with self._database.statements() as connection:
            return [view_of(row) for row in await rows.of_customer(connection, key)]

    async def for_experts(self, expert_ids: Sequence[UUID]) -> Sequence[BookingView]:
        """The pending and upcoming bookings of these experts, earliest first, without unconfirmed email addresses."""
        async with self._database.statements() as connection:
            return [view_of(row) for row in await rows.of_experts(connection, expert_ids, self._clock())]

    async def book_by_hand(self, request: HostBookingRequest, caller: Caller | None) -> BookingView:
        """Book a time for a customer, as a host of the calendar. The booking is confirmed, and needs no email address.

        The request names the rules of the calendar to set aside, and says whether emails are sent. Raises
        NotAuthenticated, Forbidden, SlotTaken, SlotNotOffered, ExpertNotFound, SessionTypeNotFound, and FieldsWrong for
        a hold on a different time.
        """
        by = acting_as_host(check_runs(caller, request.expert_id))

        async def attempt() -> BookingView:
            async with self._database.transaction() as connection:
                made = await manual_bookings.book(connection, request, self._clock(), by=by)
                return await _reload(connection, made.id)

        return await retry_on_deadlock(attempt)

    async def change_status(
        self,
        booking_id: UUID,
        to: Status,
        caller: Caller | None,
        *,
        reason: str = "",
        origin: bytes | None = None,
        version: int | None = None,
        notify: bool | None = None,
    ) -> BookingView:
        """Change the status of a booking, as its expert, an admin or its customer.

        `origin` is a hash of the network. With `version`, only if the booking still has it. Only hosts may say whether
        to `notify`. Raises NotAuthenticated without a token, Forbidden if the token does not run this expert's
        calendar, BookingNotFound, ChangedMeanwhile, StatusChangeNotAllowed for an unknown transition or after a
        concurrent change, and for the customer CancelTooLate or TooManyChanges.
        """
        async with self._database.transaction() as connection:
            row, by = await changeable(connection, booking_id, caller)
            HostOptions(notify=notify).check(by)
            check_version(row, version)
            unverified = is_unverified(row)
            check_transition(
                Status(row.status), to, by.actor, ends_at=row.ends_at, now=self._clock(), unverified=unverified
            )
            if by.actor is Actor.CUSTOMER and to is Status.CANCELLED and not unverified:
                rows.agreed_terms(row).check_cancel(row.starts_at, self._clock())
            if by.actor is Actor.CUSTOMER:
                await count_change(connection, self._limits, row, self._clock(), origin=origin, caller=caller)
            if notify is False:
                await rows.set_aside(connection, (), notify=False)
            if not await rows.change_status(connection, change_of(row, by, reason, self._clock()), to.value):
                raise StatusChangeNotAllowed(CHANGED_CONCURRENTLY) if version is None else ChangedMeanwhile
            return await _reload(connection, row.id)

    async def reschedule(
        self,
        booking_id: UUID,
        to: datetime,
        caller: Caller | None,
        *,
        reason: str = "",
        origin: bytes | None = None,
        version: int | None = None,
        override: Collection[RuleOverride] | None = None,
        notify: bool | None = None,
    ) -> BookingView:
        """Reschedule a booking to another slot of its session type, as its expert, an admin or its customer.

        `to` is the new start (UTC), `origin` a hash of the network. With `version`, only if the booking still has it.
        Only hosts may set rules aside with `override` and say whether to `notify`. Raises NotAuthenticated, Forbidden,
        BookingNotFound, ChangedMeanwhile, RescheduleNotAllowed, SlotTaken or SlotNotOffered, and for the customer
        RescheduleTooLate, NoReschedulesLeft or TooManyChanges. The booking then keeps its time.
        """
        options = HostOptions(override, notify)

        async def attempt() -> BookingView:
            async with self._database.transaction() as connection:
                row, by = await changeable(connection, booking_id, caller)
                options.check(by)
                check_version(row, version)
                check_reschedule(Status(row.status), unverified=is_unverified(row))
                if not row.name:
                    raise RescheduleNotAllowed("The customer's data was deleted: this booking cannot be rescheduled.")
                if by.actor is Actor.CUSTOMER:
                    rows.agreed_terms(row).check_reschedule(row.starts_at, row.reschedules, self._clock())
                if to == row.starts_at:
                    return view_of(row)
                if by.actor is Actor.CUSTOMER:
                    await count_change(connection, self._limits, row, self._clock(), origin=origin, caller=caller)
                try:
                    done = await booking_changes.reschedule(
                        connection, row, to, self._clock, by=by, reason=reason, options=options
                    )
                except (SlotTaken, SlotNotOffered):
                    # A concurrent change may have given it this very time.
                    check_version(await rows.by_id(connection, row.id), version)
                    raise
                if not done:
                    raise RescheduleNotAllowed(CHANGED_CONCURRENTLY) if version is None else ChangedMeanwhile
                return await _reload(connection, row.id)

        return await retry_on_deadlock(attempt)

    async def end_links(self, booking_id: UUID, caller: Caller | None) -> None:
        """Revoke all links and tokens of a booking and email its customer a new link.

        For its customer, its expert and admins. Raises NotAuthenticated, Forbidden, BookingNotFound or TooManyNewLinks.
        """
        async with self._database.transaction() as connection:
            row, _ = await changeable(connection, booking_id, caller)
            if not await access.end_links(connection, row.id):
                raise TooManyNewLinks

    async def history(self, booking_id: UUID, caller: Caller | None) -> BookingHistory:
        """The changes of a booking, oldest first, for those who run its calendar.

        Raises NotAuthenticated, Forbidden or BookingNotFound.
        """
        async with self._database.statements() as connection:
            _, by = await changeable(connection, booking_id, caller)
            if by.actor is Actor.CUSTOMER:
                raise Forbidden
            changes = [
                HostChangeView.model_validate(row._mapping) for row in await rows.history(connection, booking_id)
            ]
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


async def _reload(connection: AnyConnection, booking_id: UUID) -> BookingView:
    changed = await rows.by_id(connection, booking_id)
    assert changed is not None
    return view_of(changed)
