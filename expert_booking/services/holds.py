"""Hold a slot while the booking form is filled in."""

from collections.abc import Callable
from datetime import datetime
from uuid import UUID, uuid4

from expert_booking.db import bookings, holds
from expert_booking.db.availability import Offer
from expert_booking.db.engine import AnyConnection, AnyRow, Database, retry_on_deadlock
from expert_booking.domain.calendar import Slot
from expert_booking.domain.errors import HoldNotFound, SlotNotOffered, SlotTaken, TooManyHolds, TooManyHoldsPerMinute
from expert_booking.domain.holds import HoldRules
from expert_booking.schemas import HoldRequest, HoldView
from expert_booking.services.availability import find_offer, slot_columns, slot_refusal, with_busy


class Holds:
    """Short claims on a slot. As for bookings, the database decides who was first, in one statement."""

    def __init__(self, database: Database, clock: Callable[[], datetime], rules: HoldRules) -> None:
        self._database = database
        self._clock = clock
        self._rules = rules

    async def take(
        self,
        request: HoldRequest,
        *,
        visitor: bytes | None = None,
        origin: bytes | None = None,
        keeper: UUID | None = None,
    ) -> HoldView:
        """Hold a slot that the calendar offers.

        A visitor (a hash that identifies the browser) has at most one hold. Holding another slot replaces it, unless
        that slot is unavailable; holding the same slot again neither renews nor changes it, except for its keeper (the
        process whose pages show the hold). `origin` is a hash of the client's network. Raises SlotTaken,
        SlotNotOffered, ExpertNotFound, SessionTypeNotFound, TooManyHolds or TooManyHoldsPerMinute.
        """

        async def take() -> HoldView:
            async with self._database.transaction() as connection:
                return await self._take(connection, request, visitor, origin, keeper)

        return await retry_on_deadlock(take)

    async def renew(self, hold_id: UUID) -> HoldView:
        """Extend a hold because the customer is still typing. Raises HoldNotFound if it has expired."""
        now = self._clock()
        async with self._database.statements() as connection:
            hold = await holds.by_id(connection, hold_id, now)
            if hold is not None:
                until = self._rules.until(hold.held_at, now)
                hold = await holds.renew(connection, hold_id, until, now) if until > hold.hold_until else hold
        if hold is None:
            raise HoldNotFound
        return _view(hold)

    async def release(self, hold_id: UUID, *, keeper: UUID | None = None) -> None:
        """Release a hold. Raises HoldNotFound if it has expired.

        With `keeper`, release it only if that process is still its keeper, and do not raise.
        """
        async with self._database.statements() as connection:
            released = await holds.release(connection, hold_id, keeper, self._clock())
        if not released and keeper is None:
            raise HoldNotFound

    async def for_visitor(self, visitor: bytes) -> HoldView | None:
        """The hold of this browser, if it has one."""
        async with self._database.statements() as connection:
            hold = await holds.of_visitor(connection, visitor, self._clock())
        return None if hold is None else _view(hold)

    async def _take(
        self,
        connection: AnyConnection,
        request: HoldRequest,
        visitor: bytes | None,
        origin: bytes | None,
        keeper: UUID | None,
    ) -> HoldView:
        now, starts_at = self._clock(), request.starts_at
        offer = await find_offer(connection, request.expert_id, request.session_type_id, now)
        own = await self._own(connection, visitor, now)
        if own is not None and _is_for(own, offer, starts_at):
            own = await holds.set_keeper(connection, own.id, keeper, now)
            if own is not None:
                return _view(own)
        if origin is not None:
            await self._check_limits(connection, origin, own, now)
        slot = await _slot(connection, offer, starts_at, own, now)
        # In one transaction, so that the old hold stays if the new slot is unavailable.
        if visitor is not None:
            await holds.release_of_visitor(connection, visitor)
        until = self._rules.until(now, now)
        new = bookings.NewHold(
            id=uuid4(),
            **slot_columns(offer, slot, now),
            offer=offer,
            visitor=visitor,
            hold_until=until,
            origin=origin,
            keeper=keeper,
        )
        held = await bookings.insert_or_fail(connection, new)
        if held is None:
            raise await slot_refusal(connection, offer, starts_at, now, _own_start(own, offer))
        return _view(held)

    async def _own(self, connection: AnyConnection, visitor: bytes | None, now: datetime) -> AnyRow | None:
        if visitor is None:
            return None
        # Serialise the tabs of one browser: the second replaces the hold of the first.
        await holds.lock_new_holds(connection, visitor)
        return await holds.of_visitor(connection, visitor, now)

    async def _check_limits(self, connection: AnyConnection, origin: bytes, own: AnyRow | None, now: datetime) -> None:
        await holds.lock_new_holds(connection, origin)
        count, full_since = await holds.count_new(
            connection, origin, now, besides=own.id if own else None, per_minute=self._rules.per_minute
        )
        if count >= self._rules.per_origin:
            raise TooManyHolds
        if full_since is not None:
            raise TooManyHoldsPerMinute(full_since + holds.MINUTE - now)


def _is_for(own: AnyRow, offer: Offer, starts_at: datetime) -> bool:
    wanted = offer.expert_id, offer.session_type_id, starts_at
    return (own.expert_id, own.session_type_id, own.starts_at) == wanted


async def _slot(
    connection: AnyConnection, offer: Offer, starts_at: datetime, own: AnyRow | None, now: datetime
) -> Slot:
    own_start, calendar = _own_start(own, offer), offer.calendar
    if calendar.length.daily_cap is not None:
        calendar = await with_busy(connection, offer, starts_at, now)
        calendar = calendar.without(own_start) if own_start else calendar
    try:
        return calendar.offered(starts_at, now)
    except (SlotTaken, SlotNotOffered) as refusal:
        raise await slot_refusal(connection, offer, starts_at, now, own_start) from refusal


def _own_start(own: AnyRow | None, offer: Offer) -> datetime | None:
    """The start of the visitor's hold on the same expert. The new hold replaces it, so it does not block the slot."""
    return own.starts_at if own is not None and own.expert_id == offer.expert_id else None


def _view(hold: AnyRow) -> HoldView:
    return HoldView.model_validate(hold._asdict())
