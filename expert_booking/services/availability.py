"""Which times are free."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from expert_booking.db import availability as rows
from expert_booking.db import experts
from expert_booking.db.availability import Offer
from expert_booking.db.engine import AnyConnection, Database
from expert_booking.domain.calendar import DAY, Calendar, SessionLength, Slot, SlotState, local_instant
from expert_booking.domain.errors import ExpertNotFound, Refusal, SessionTypeNotFound
from expert_booking.schemas import SlotPage, SlotQuery, SlotView

# Nearly everybody has a free time within two weeks; only for the rest is more of the calendar read.
_SOON = timedelta(days=14)
_YEAR = timedelta(days=366)


@dataclass(frozen=True, slots=True)
class Board:
    """All slots of one session type from now to the horizon, as one reading of the calendar found them."""

    expert_id: UUID
    session_title: str
    calendar: Calendar
    last_day: date  # the horizon, in the expert's zone
    read_at: datetime
    slots: tuple[Slot, ...]

    @property
    def zone(self) -> ZoneInfo:
        """The expert's zone."""
        return self.calendar.zone

    @property
    def minutes(self) -> int:
        """How long a session is."""
        return self.calendar.length.minutes

    def refusal(self, starts_at: datetime) -> Refusal | None:
        """Why this time cannot be booked, as far as this reading knows; None when it can."""
        try:
            self.calendar.offered(starts_at, now=self.read_at)
        except Refusal as refusal:
            return refusal
        return None

    def nearest_open(self, to: datetime, count: int) -> list[Slot]:
        """The free slots nearest to an instant, in order of time."""
        free = (slot for slot in self.slots if slot.state is SlotState.OPEN and slot.starts_at != to)
        return sorted(sorted(free, key=lambda slot: abs(slot.starts_at - to))[:count], key=lambda slot: slot.starts_at)


class Availability:
    """Reads calendars and has the domain's calendar decide. The number of queries never depends on the data."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    async def slots(self, expert_id: UUID, query: SlotQuery) -> SlotPage:
        """The slots of local days. Raises ExpertNotFound or SessionTypeNotFound."""
        now = self._clock()
        async with self._database.statements() as connection:
            offer = await offer_of(connection, expert_id, query.session_type_id)
            zone = ZoneInfo(query.time_zone) if query.time_zone else offer.calendar.zone
            since = local_instant(zone, query.since, 0)
            until = local_instant(zone, query.until + DAY, 0)
            busy = await rows.busy(connection, [expert_id], max(since, now), until, now)
        slots = offer.with_busy(busy.get(expert_id, ())).calendar.slots(since, until, now)
        return SlotPage(
            expert_id=expert_id,
            session_type_id=offer.session_type_id,
            time_zone=zone.key,
            slots=[
                SlotView.model_construct(starts_at=slot.starts_at, ends_at=slot.ends_at, state=slot.state)
                for slot in slots
            ],
        )

    async def board(self, expert_id: UUID) -> Board:
        """Everything bookable from now to the horizon, in the expert's first session type.

        An expert who offers no session at the moment has a board without slots. Raises ExpertNotFound.
        """
        now = self._clock()
        async with self._database.statements() as connection:
            try:
                offer = await offer_of(connection, expert_id, None)
            except SessionTypeNotFound:
                return _empty_board(expert_id, await experts.time_zone(connection, expert_id), now)
            until = local_instant(offer.calendar.zone, offer.calendar.horizon(now) + DAY, 0)
            busy = await rows.busy(connection, [expert_id], now, until, now)
        calendar = offer.with_busy(busy.get(expert_id, ())).calendar
        return Board(
            expert_id=expert_id,
            session_title=offer.title,
            calendar=calendar,
            last_day=calendar.horizon(now),
            read_at=now,
            slots=tuple(calendar.slots(now, until, now)),
        )

    async def next_open(self, expert_ids: Sequence[UUID]) -> dict[UUID, datetime]:
        """The next free start (UTC) of each of these experts who has one within the horizon."""
        async with self._database.statements() as connection:
            return await next_open(connection, await rows.offers(connection, expert_ids), self._clock())


def _empty_board(expert_id: UUID, zone: str, now: datetime) -> Board:
    calendar = Calendar(ZoneInfo(zone), (), SessionLength(60, 60), active=False)
    return Board(expert_id, "No sessions at the moment", calendar, calendar.horizon(now), now, ())


async def next_open(connection: AnyConnection, offers: Sequence[Offer], now: datetime) -> dict[UUID, datetime]:
    """The next free start of each expert by the expert's first session type, where there is one."""
    missing = {offer.expert_id: offer for offer in reversed(offers)}
    found: dict[UUID, datetime] = {}
    for since, until in ((now, now + _SOON), (now + _SOON, now + _YEAR)):
        busy = await rows.busy(connection, list(missing), since, until, now) if missing else {}
        for expert_id, offer in list(missing.items()):
            slot = offer.with_busy(busy.get(expert_id, ())).calendar.next_open(since, until, now)
            if slot is not None:
                found[expert_id] = slot.starts_at
                del missing[expert_id]
    return found


async def offer_of(connection: AnyConnection, expert_id: UUID, session_type_id: UUID | None) -> Offer:
    """The wanted session type of one expert, or the expert's first. Raises ExpertNotFound or SessionTypeNotFound."""
    offers = await rows.offers(connection, [expert_id])
    for offer in offers:
        if session_type_id in (None, offer.session_type_id):
            return offer
    if not offers and await experts.by_id(connection, expert_id) is None:
        raise ExpertNotFound
    raise SessionTypeNotFound
