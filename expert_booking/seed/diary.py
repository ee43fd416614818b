"""The bookings of one expert: their slots, customers and outcomes."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import date, datetime
from random import Random
from typing import Final, TypeVar
from uuid import UUID, uuid5

from expert_booking.domain.calendar import DAY, Slot, SlotState
from expert_booking.domain.errors import Conflict, SlotNotOffered
from expert_booking.domain.lifecycle import Status
from expert_booking.domain.terms import Confirmation
from expert_booking.schemas import BookingRequest, BookingView, Caller, Role
from expert_booking.seed.people import (
    CUSTOMERS,
    CUSTOMERS_REASONS,
    DECLINING,
    EXPERTS_REASONS,
    NOTES,
    TIME_ZONES,
)
from expert_booking.services import Services
from expert_booking.services.availability import Board

Choice = TypeVar("Choice")

# How far back the bookings go. The experts take bookings for 60 days, so they also reach 28 days ahead.
HISTORY: Final = 32 * DAY
# Pending requests were made this long ago: longer than any notice, shorter than any time to answer.
PENDING_AGE: Final = DAY / 2

_NAMESPACE: Final = UUID("0f2b5a9e-6c1d-5a55-9a63-5e8f0c7c5eed")
_VISITOR: Final = b"expert-booking seed"  # matches no browser: the ids of browsers have another length
_BROWSER: Final = Caller(role=Role.CUSTOMER, visitor=_VISITOR)
ADMIN: Final = Caller(role=Role.ADMIN)

_PAST: Final = {Status.COMPLETED: 70, Status.CANCELLED: 10, Status.DECLINED: 7, Status.EXPIRED: 6, Status.NO_SHOW: 7}
_FUTURE: Final = {Status.CONFIRMED: 66, Status.PENDING: 25, Status.CANCELLED: 9}
_STATUS_PATHS: Final[dict[Status, tuple[Status, ...]]] = {
    Status.PENDING: (Status.PENDING,),
    Status.CONFIRMED: (Status.PENDING, Status.CONFIRMED),
    Status.COMPLETED: (Status.PENDING, Status.CONFIRMED, Status.COMPLETED),
    Status.NO_SHOW: (Status.PENDING, Status.CONFIRMED, Status.NO_SHOW),
    Status.CANCELLED: (Status.PENDING, Status.CONFIRMED, Status.CANCELLED),
    Status.DECLINED: (Status.PENDING, Status.DECLINED),
    Status.EXPIRED: (Status.PENDING,),  # expires at its deadline
}
_ONLY_WITH_CONFIRMATION: Final = frozenset({Status.PENDING, Status.DECLINED, Status.EXPIRED})
_REASONS: Final = {Status.CANCELLED: EXPERTS_REASONS, Status.DECLINED: DECLINING}
# The share of cancellations by customers.
_CUSTOMER_CANCELLATIONS: Final = 0.7
# Demand for a day, with weights: some days are nearly full, most partly, some empty.
_DEMAND_WEIGHTS: Final = {16.0: 3, 6.0: 4, 1.5: 4, 0.02: 2}
_DEMAND_DECAY: Final = 0.92  # per day of distance from today


class Diary:
    """Book through the services, and bring every booking to its final status.

    `services_at` returns services whose clock shows the given instant (UTC).
    """

    def __init__(self, services_at: Callable[[datetime], Services], slug: str, number: int, today: datetime) -> None:
        self._past_services = services_at(today - HISTORY)
        self._recent_services = services_at(today - PENDING_AGE)
        self._current_services = services_at(today)
        self._slug = slug
        self._number = number
        self._today = today

    async def fill(self, count: int) -> None:
        """Make `count` bookings, two of five in the past. Raises NotFound if the expert is not active."""
        board = await self._past_services.availability.board(await self._past_services.experts.id_of(self._slug))
        chance = Random(f"{self._number}-{self._slug}")
        past = self._in_demand([slot for slot in board.slots if slot.ends_at <= self._today], board, chance)
        future = self._in_demand([slot for slot in board.slots if slot.starts_at >= self._today], board, chance)
        for index in range(count):
            slot = next(past if index % 5 in (1, 3) else future, None)
            if slot is not None:
                # A real customer was faster, or the expert's hours have changed.
                with suppress(Conflict, SlotNotOffered):
                    await self._book(board, slot, index)

    def _in_demand(self, slots: Sequence[Slot], board: Board, chance: Random) -> Iterator[Slot]:
        """Yield slots by demand, none overlapping an earlier one. Slots that are already taken come last."""
        demand_by_day: defaultdict[date, float] = defaultdict(lambda: drawn(_DEMAND_WEIGHTS, chance))

        def sort_key(slot: Slot) -> tuple[bool, float]:
            distance = abs((slot.starts_at - self._today) / DAY)
            demand = demand_by_day[slot.starts_at.astimezone(board.zone).date()] * _DEMAND_DECAY**distance
            return slot.state is not SlotState.OPEN, chance.expovariate(demand)

        chosen: list[Slot] = []
        for slot in sorted(slots, key=sort_key):
            if all(slot.busy_until <= other.busy_from or other.busy_until <= slot.busy_from for other in chosen):
                chosen.append(slot)
                yield slot

    async def _book(self, board: Board, slot: Slot, index: int) -> None:
        chance = chance_of(self._number, self._slug, index)
        past, confirmation = slot.ends_at <= self._today, board.session_types[0].confirmation
        final_status = drawn(outcome_weights(confirmation, past=past), chance)
        services = self._recent_services if final_status is Status.PENDING else self._past_services
        booking = await services.bookings.book(
            _request(board.expert_id, slot.starts_at, chance),
            visitor=_VISITOR,
            submission=key_of(self._number, self._slug, index),
            caller=ADMIN,  # nobody has to confirm an email address
        )
        path = _STATUS_PATHS[final_status]
        # On a second run, a booking that people have changed keeps its status.
        remaining = path[path.index(booking.status) + 1 :] if booking.status in path else ()
        for status in remaining:
            await self._change(booking, status, chance)

    async def _change(self, booking: BookingView, to: Status, chance: Random) -> None:
        in_time = booking.cancel_until >= self._today - HISTORY
        if to is Status.CANCELLED and in_time and chance.random() < _CUSTOMER_CANCELLATIONS:
            reason = chance.choice(CUSTOMERS_REASONS)
            await self._past_services.bookings.change_status(booking.id, Status.CANCELLED, _BROWSER, reason=reason)
            return
        expert = Caller(role=Role.EXPERT, expert_id=booking.expert_id)
        reason = chance.choice(_REASONS.get(to, ("",)))
        # A session that has ended can only be completed or marked as missed.
        is_early = booking.ends_at <= self._today and to not in (Status.COMPLETED, Status.NO_SHOW)
        services = self._past_services if is_early else self._current_services
        await services.bookings.change_status(booking.id, to, expert, reason=reason)


def key_of(number: int, slug: str, index: int) -> UUID:
    """Return the id of this booking, the same on every run."""
    return uuid5(_NAMESPACE, f"{number}/{slug}/{index}")


def chance_of(number: int, slug: str, index: int) -> Random:
    """Return the random numbers of this booking, independent of the day and of all other bookings."""
    return Random(f"{number}-{slug}-{index}")


def outcome_weights(confirmation: Confirmation, *, past: bool) -> Mapping[Status, int]:
    """Return how often past bookings end in each status, or future ones have reached it."""
    weights = _PAST if past else _FUTURE
    if confirmation is Confirmation.BY_EXPERT:
        return weights
    return {status: weight for status, weight in weights.items() if status not in _ONLY_WITH_CONFIRMATION}


def drawn(weights: Mapping[Choice, int], chance: Random) -> Choice:
    """Draw one of the keys, weighted by its value."""
    return chance.choices(tuple(weights), tuple(weights.values()))[0]


def notes_of(chance: Random) -> str:
    """Return the notes of a customer; most write none."""
    return chance.choice(NOTES) if chance.random() < 0.4 else ""


def phone_of(customer: int) -> str:
    """Return a telephone number in E.164, from the range reserved for fiction."""
    return f"+442079460{customer % 1000:03}"


def _request(expert_id: UUID, starts_at: datetime, chance: Random) -> BookingRequest:
    customer = chance.randrange(len(CUSTOMERS))
    name, email = CUSTOMERS[customer]
    return BookingRequest(
        expert_id=expert_id,
        starts_at=starts_at,
        name=name,
        email=email,
        phone=phone_of(customer),
        notes=notes_of(chance),
        time_zone=TIME_ZONES[customer % len(TIME_ZONES)],
    )
