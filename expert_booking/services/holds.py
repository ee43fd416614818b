"""Holding a slot while its form is filled in."""

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
from expert_booking.services.availability import offer_of, placed, refused, with_busy


class Holds:
    """Short claims on a slot, won like bookings: the database says who was first, and it is asked once."""

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

        A visitor (browser) has one hold: for another slot it moves, and stays where it was if that slot is not to be
        had; for the same slot it is as it was, not renewed, and kept by the new keeper (a process whose pages show it).
        `origin` is a hash of the network address. Raises SlotTaken, SlotNotOffered, ExpertNotFound,
        SessionTypeNotFound, TooManyHolds or TooManyHoldsPerMinute.
        """

        async def take() -> HoldView:
            async with self._database.transaction() as connection:
                return await self._take(connection, request, visitor, origin, keeper)

        return await retry_on_deadlock(take)

    async def renew(self, hold_id: UUID) -> HoldView:
        """Let a hold last longer, because its customer goes on typing. Raises HoldNotFound when it is over."""
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
        """Let a hold go. Raises HoldNotFound when it is over.

        A keeper only lets go what it still keeps, and silently.
        """
        async with self._database.statements() as connection:
            gone = await holds.release(connection, hold_id, keeper, self._clock())
        if not gone and keeper is None:
            raise HoldNotFound

    async def of_visitor(self, visitor: bytes) -> HoldView | None:
        """What this browser holds."""
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
        offer = await offer_of(connection, request.expert_id, request.session_type_id, now)
        own = await self._own(connection, visitor, now)
        if own is not None and _keeps(own, offer, starts_at):
            own = await holds.set_keeper(connection, own.id, keeper, now)
            if own is not None:
                return _view(own)
        if origin is not None:
            await self._check_room(connection, origin, own, now)
        slot = await _slot(connection, offer, starts_at, own, now)
        # In one transaction: where the new slot is not to be had, the old one is not let go.
        if visitor is not None:
            await holds.release_of_visitor(connection, visitor)
        until = self._rules.until(now, now)
        new = bookings.NewHold(
            id=uuid4(),
            **placed(offer, slot, now),
            offer=offer,
            visitor=visitor,
            hold_until=until,
            origin=origin,
            keeper=keeper,
        )
        held = await bookings.insert_or_fail(connection, new)
        if held is None:
            raise await refused(connection, offer, starts_at, now, _own_start(own, offer))
        return _view(held)

    async def _own(self, connection: AnyConnection, visitor: bytes | None, now: datetime) -> AnyRow | None:
        if visitor is None:
            return None
        # Of two tabs of one browser the second moves the hold of the first.
        await holds.lock_new_holds(connection, visitor)
        return await holds.of_visitor(connection, visitor, now)

    async def _check_room(self, connection: AnyConnection, origin: bytes, own: AnyRow | None, now: datetime) -> None:
        await holds.lock_new_holds(connection, origin)
        there, full_since = await holds.count_new(
            connection, origin, now, besides=own.id if own else None, per_minute=self._rules.per_minute
        )
        if there >= self._rules.per_origin:
            raise TooManyHolds
        if full_since is not None:
            raise TooManyHoldsPerMinute(full_since + holds.MINUTE - now)


def _keeps(own: AnyRow, offer: Offer, starts_at: datetime) -> bool:
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
        raise await refused(connection, offer, starts_at, now, own_start) from refusal


def _own_start(own: AnyRow | None, offer: Offer) -> datetime | None:
    """What this visitor holds of the same expert is in nobody's way: it is let go for the new one."""
    return own.starts_at if own is not None and own.expert_id == offer.expert_id else None


def _view(hold: AnyRow) -> HoldView:
    return HoldView.model_validate(hold._asdict())
