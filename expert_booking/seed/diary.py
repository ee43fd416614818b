"""One expert's bookings: which slots, whose, and how they end."""

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
# What still waits for an answer was asked for lately: longer ago than anybody's notice, shorter than anybody's answer.
LATELY: Final = DAY / 2

_NAMESPACE: Final = UUID("0f2b5a9e-6c1d-5a55-9a63-5e8f0c7c5eed")
_VISITOR: Final = b"expert-booking seed"  # nobody's browser: theirs are hashes of another length
_BROWSER: Final = Caller(role=Role.CUSTOMER, visitor=_VISITOR)
ADMIN: Final = Caller(role=Role.ADMIN)

_PAST: Final = {Status.COMPLETED: 70, Status.CANCELLED: 10, Status.DECLINED: 7, Status.EXPIRED: 6, Status.NO_SHOW: 7}
_TO_COME: Final = {Status.CONFIRMED: 66, Status.PENDING: 25, Status.CANCELLED: 9}
_WAYS: Final[dict[Status, tuple[Status, ...]]] = {
    Status.PENDING: (Status.PENDING,),
    Status.CONFIRMED: (Status.PENDING, Status.CONFIRMED),
    Status.COMPLETED: (Status.PENDING, Status.CONFIRMED, Status.COMPLETED),
    Status.NO_SHOW: (Status.PENDING, Status.CONFIRMED, Status.NO_SHOW),
    Status.CANCELLED: (Status.PENDING, Status.CONFIRMED, Status.CANCELLED),
    Status.DECLINED: (Status.PENDING, Status.DECLINED),
    Status.EXPIRED: (Status.PENDING,),  # the site does the rest
}
_ONLY_WHERE_ASKED: Final = frozenset({Status.PENDING, Status.DECLINED, Status.EXPIRED})
_REASONS: Final = {Status.CANCELLED: EXPERTS_REASONS, Status.DECLINED: DECLINING}
# How many of those who cancel are customers.
_CUSTOMERS_CANCEL: Final = 0.7
# How much a day is asked for: most are busy now and then, some nearly full, some empty.
_MOODS: Final = {16.0: 3, 6.0: 4, 1.5: 4, 0.02: 2}
_FADING: Final = 0.92  # by day, away from today


class Diary:
    """Books through the front door, and moves every booking to where it shall end.

    `at` gives the services as they are at an instant (UTC).
    """

    def __init__(self, at: Callable[[datetime], Services], slug: str, number: int, today: datetime) -> None:
        self._then, self._lately, self._now = at(today - HISTORY), at(today - LATELY), at(today)
        self._slug = slug
        self._number = number
        self._today = today

    async def fill(self, count: int) -> None:
        """Bring `count` bookings about, two of five in the past. Raises NotFound for an expert who is closed."""
        board = await self._then.availability.board(await self._then.experts.id_of(self._slug))
        chance = Random(f"{self._number}-{self._slug}")
        past = self._in_demand([slot for slot in board.slots if slot.ends_at <= self._today], board, chance)
        to_come = self._in_demand([slot for slot in board.slots if slot.starts_at >= self._today], board, chance)
        for index in range(count):
            slot = next(past if index % 5 in (1, 3) else to_come, None)
            if slot is not None:
                with suppress(
                    Conflict, SlotNotOffered
                ):  # a real customer was faster, or an expert's hours have changed
                    await self._write(board, slot, index)

    def _in_demand(self, slots: Sequence[Slot], board: Board, chance: Random) -> Iterator[Slot]:
        """The slots in the order in which they go, none overlapping an earlier one; those taken already come last."""
        moods: defaultdict[date, float] = defaultdict(lambda: drawn(_MOODS, chance))

        def queue(slot: Slot) -> tuple[bool, float]:
            distance = abs((slot.starts_at - self._today) / DAY)
            demand = moods[slot.starts_at.astimezone(board.zone).date()] * _FADING**distance
            return slot.state is not SlotState.OPEN, chance.expovariate(demand)

        gone: list[Slot] = []
        for slot in sorted(slots, key=queue):
            if all(slot.busy_until <= other.busy_from or other.busy_until <= slot.busy_from for other in gone):
                gone.append(slot)
                yield slot

    async def _write(self, board: Board, slot: Slot, index: int) -> None:
        chance = chance_of(self._number, self._slug, index)
        past, confirmation = slot.ends_at <= self._today, board.session_types[0].confirmation
        wanted = drawn(ends(confirmation, past=past), chance)
        services = self._lately if wanted is Status.PENDING else self._then
        booking = await services.bookings.book(
            _request(board.expert_id, slot.starts_at, chance),
            visitor=_VISITOR,
            submission=key_of(self._number, self._slug, index),
        )
        way = _WAYS[wanted]
        # What people have changed since stays as it is.
        ahead = way[way.index(booking.status) + 1 :] if booking.status in way else ()
        for status in ahead:
            await self._change(booking, status, chance)

    async def _change(self, booking: BookingView, to: Status, chance: Random) -> None:
        in_time = booking.cancel_until >= self._today - HISTORY
        if to is Status.CANCELLED and in_time and chance.random() < _CUSTOMERS_CANCEL:
            why = chance.choice(CUSTOMERS_REASONS)
            await self._then.bookings.change_status(booking.id, Status.CANCELLED, _BROWSER, reason=why)
            return
        expert = Caller(role=Role.EXPERT, expert_id=booking.expert_id)
        why = chance.choice(_REASONS.get(to, ("",)))
        await self._now.bookings.change_status(booking.id, to, expert, reason=why)


def key_of(number: int, slug: str, index: int) -> UUID:
    """What tells this booking from all others, whenever it is sown."""
    return uuid5(_NAMESPACE, f"{number}/{slug}/{index}")


def chance_of(number: int, slug: str, index: int) -> Random:
    """What decides about this booking, whatever the day and whatever else is sown."""
    return Random(f"{number}-{slug}-{index}")


def ends(confirmation: Confirmation, *, past: bool) -> Mapping[Status, int]:
    """How often bookings that are confirmed like this end how, or have got how far if they are to come."""
    weights = _PAST if past else _TO_COME
    if confirmation is Confirmation.BY_EXPERT:
        return weights
    return {status: weight for status, weight in weights.items() if status not in _ONLY_WHERE_ASKED}


def drawn(weights: Mapping[Choice, int], chance: Random) -> Choice:
    """One of these; the numbers say how often."""
    return chance.choices(tuple(weights), tuple(weights.values()))[0]


def notes_of(chance: Random) -> str:
    """What a customer writes; most write nothing."""
    return chance.choice(NOTES) if chance.random() < 0.4 else ""


def phone_of(customer: int) -> str:
    """One of the numbers that are kept free for stories."""
    return f"+44 7700 900{customer % 1000:03}"


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
