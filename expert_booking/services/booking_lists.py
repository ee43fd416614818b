"""Lists of bookings for hosts: search, page, export, and change several at once."""

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from expert_booking.db import bookings as rows
from expert_booking.db import experts
from expert_booking.db.bookings import lists
from expert_booking.db.engine import AnyConnection, AnyRow, Database
from expert_booking.domain.addresses import customer_key
from expert_booking.domain.calendar import DAY, local_instant
from expert_booking.domain.errors import ExpertNotFound, Forbidden, NotAuthenticated, Refusal, Unavailable
from expert_booking.domain.formatting import UTC_ZONE
from expert_booking.schemas import (
    ActionError,
    ActionResult,
    ActionResults,
    BookingAction,
    BookingFilter,
    BookingPage,
    BookingQuery,
    BookingView,
    BusyPage,
    BusyView,
    Caller,
    Role,
    cursor,
)
from expert_booking.services.booking_views import view_of
from expert_booking.services.bookings import Bookings

_EXPORT_BATCH: Final = 500
# Experts are told of a booking only once its customer has confirmed the email address.
_SEE_UNVERIFIED: Final = (Role.ADMIN, Role.READER, Role.CUSTOMER)


class BookingLists:
    """The use cases of lists. Who may see which bookings is decided here, for pages, pages of the API and exports."""

    def __init__(self, database: Database, clock: Callable[[], datetime], bookings: Bookings) -> None:
        self._database = database
        self._clock = clock
        self._bookings = bookings

    async def find(self, query: BookingQuery, caller: Caller | None) -> BookingPage | BusyPage:
        """One page of bookings, in as much detail as this caller may see.

        By email address: for admins, readers and the customer who has proven that address; raises NotAuthenticated for
        others. By expert: full bookings for those who run that calendar, only times and statuses for others, who may
        not filter them. Experts do not see bookings whose customer has not confirmed the email address. Raises
        ExpertNotFound.
        """
        if query.email is None and query.expert_id is not None and not (caller and caller.runs(query.expert_id)):
            if query.filters():
                _check_may_search(query, caller)
            return await self._busy(query, query.expert_id)
        return await self.page(query, caller)

    async def page(self, query: BookingQuery, caller: Caller | None) -> BookingPage:
        """One page of full bookings. Raises NotAuthenticated if the caller may not see them, and ExpertNotFound."""
        _check_may_search(query, caller)
        before = query.before is not None
        offset = 0 if query.place else (query.page - 1) * query.limit
        async with self._database.statements() as connection:
            wanted = await _wanted(connection, query, caller)
            found = await lists.page(
                connection, wanted, limit=query.limit + 1, offset=offset, place=query.place, before=before
            )
            total = await lists.count(connection, wanted)
        more, found = len(found) > query.limit, found[: query.limit]
        earlier = more if before else bool(query.after or query.page > 1)
        if before:
            found = found[::-1]
        return BookingPage(
            bookings=[view_of(row, sensitive=True) for row in found],
            total=min(total, lists.MAX_COUNTED),
            total_is_capped=total > lists.MAX_COUNTED,
            page=query.page,
            limit=query.limit,
            next=_cursor(query, wanted, found[-1:]) if before or more else None,
            previous=_cursor(query, wanted, found[:1]) if earlier else None,
        )

    async def export(self, wanted: BookingFilter, caller: Caller | None) -> AsyncIterator[Sequence[BookingView]]:
        """All bookings that match, in batches, so that memory does not grow with their number.

        Each batch is a statement of its own, so that a slow reader keeps no connection. Raises NotAuthenticated and
        ExpertNotFound before the first batch.
        """
        _check_may_search(wanted, caller)
        async with self._database.statements() as connection:
            found_by = await _wanted(connection, wanted, caller)
        place = None
        while True:
            async with self._database.statements() as connection:
                found = await lists.page(connection, found_by, limit=_EXPORT_BATCH, place=place)
            yield [view_of(row) for row in found]
            if len(found) < _EXPORT_BATCH:
                return
            place = found_by.place_of(found[-1])

    async def act(self, action: BookingAction, caller: Caller | None) -> ActionResults:
        """Change each of these bookings on its own, as its expert or an admin: a refusal does not stop the others.

        Raises NotAuthenticated, Forbidden if the caller is not a host, and Unavailable.
        """
        if caller is None:
            raise NotAuthenticated
        if caller.role in (Role.READER, Role.CUSTOMER):
            raise Forbidden
        # In one order, so that two of these in transactions cannot wait for each other.
        done = {one: await self._act_on(one, action, caller) for one in sorted(action.ids)}
        results = [done[one] for one in action.ids]
        refused = sum(result.error is not None for result in results)
        return ActionResults(results=results, done=len(results) - refused, refused=refused)

    async def _act_on(self, booking_id: UUID, action: BookingAction, caller: Caller) -> ActionResult:
        try:
            changed = await self._bookings.change_status(booking_id, action.status, caller, reason=action.reason)
        except Unavailable:
            raise
        except Refusal as refusal:
            return ActionResult(id=booking_id, error=ActionError(code=refusal.code, detail=str(refusal)))
        return ActionResult(id=booking_id, booking=changed)

    async def _busy(self, query: BookingQuery, expert_id: UUID) -> BusyPage:
        offset = (query.page - 1) * query.limit
        async with self._database.statements() as connection:
            if await experts.by_id(connection, expert_id) is None:
                raise ExpertNotFound
            busy, total = await rows.busy_page(connection, expert_id, self._clock(), query.limit, offset)
        times = [BusyView(starts_at=row.starts_at, ends_at=row.ends_at, status=row.status) for row in busy]
        return BusyPage(bookings=times, total=total, page=query.page, limit=query.limit)


def _check_may_search(query: BookingFilter, caller: Caller | None) -> None:
    if caller is not None:
        if caller.reads_everything() or (query.expert_id is not None and caller.runs(query.expert_id)):
            return
        if query.email and caller.has_proven(customer_key(query.email)):
            return
    raise NotAuthenticated("You need a valid token to list these bookings.")


async def _wanted(connection: AnyConnection, query: BookingFilter, caller: Caller | None) -> lists.Wanted:
    since = until = None
    if query.since or query.until:
        zone = await _zone(connection, query)
        since = local_instant(zone, query.since, 0) if query.since else None
        until = local_instant(zone, query.until + DAY, 0) if query.until else None
    return lists.Wanted(
        sort=query.sort,
        verified_only=caller is None or caller.role not in _SEE_UNVERIFIED,
        customer_key=customer_key(query.email) if query.email else None,
        expert_id=query.expert_id,
        search=query.search,
        session_type_id=query.session_type_id,
        statuses=query.status,
        since=since,
        until=until,
    )


async def _zone(connection: AnyConnection, query: BookingFilter) -> ZoneInfo:
    """The zone of the days in a query. Raises ExpertNotFound."""
    if query.time_zone:
        return ZoneInfo(query.time_zone)
    if query.expert_id is None:
        return UTC_ZONE
    zone = await lists.zone_of(connection, query.expert_id)
    if zone is None:
        raise ExpertNotFound
    return ZoneInfo(zone)


def _cursor(query: BookingQuery, wanted: lists.Wanted, rows: Sequence[AnyRow]) -> str | None:
    return cursor(query.sort, wanted.place_of(rows[0])) if rows else None
