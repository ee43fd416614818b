"""Find free times, and explain why a time is not free."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from expert_booking.db import availability as rows
from expert_booking.db import experts
from expert_booking.db.availability import Offer
from expert_booking.db.engine import AnyConnection, Database
from expert_booking.domain.calendar import DAY, Calendar, SessionLength, Slot, SlotState, local_instant
from expert_booking.domain.errors import ExpertNotFound, Refusal, SessionTypeNotFound, SlotNotOffered, SlotTaken
from expert_booking.domain.hours import Hours
from expert_booking.domain.rule_overrides import RuleOverride, slot_for_host
from expert_booking.domain.slugs import is_slug
from expert_booking.schemas import SessionTypeView, SlotQuery

# Nearly all experts have a free time within two weeks, so a longer range is read only for the others.
_FIRST_RANGE = timedelta(days=14)
_FULL_RANGE = timedelta(days=366)
# How many other times a refusal suggests.
MAX_ALTERNATIVES: Final = 6
# Removing one booking can only free times on nearby days.
_NEARBY = timedelta(days=2)


@dataclass(frozen=True, slots=True)
class SlotsFound:
    """The slots of one session type on some local days in `time_zone`."""

    expert_id: UUID
    session_type_id: UUID
    time_zone: str
    slots: Sequence[Slot]


@dataclass(frozen=True, slots=True)
class Board:
    """All slots of one session type from `read_at` to the horizon, from one reading of the calendar."""

    expert_id: UUID
    session_type_id: UUID | None  # None: the expert currently offers no session
    session_title: str
    calendar: Calendar
    last_day: date  # the horizon, in the expert's zone
    read_at: datetime
    slots: tuple[Slot, ...]
    session_types: tuple[SessionTypeView, ...] = ()  # all active ones of the expert, in order

    @property
    def zone(self) -> ZoneInfo:
        """The expert's time zone."""
        return self.calendar.zone

    @property
    def minutes(self) -> int:
        """The length of a session in minutes."""
        return self.calendar.length.minutes

    def refusal(self, starts_at: datetime) -> Refusal | None:
        """Why this time could not be booked when the board was read; None if it could."""
        try:
            self.calendar.offered(starts_at, now=self.read_at)
        except Refusal as refusal:
            return refusal
        return None

    def nearest_open(self, to: datetime, exclude: Collection[datetime] = ()) -> list[datetime]:
        """The free starts nearest to an instant, earliest first, excluding that instant and those in `exclude`."""
        return self.calendar.nearest_open(to, self.read_at, MAX_ALTERNATIVES, exclude)

    def opened_without(self, session_starts_at: datetime) -> list[datetime]:
        """The starts that become free if the booking or hold that starts at this instant is removed."""
        nearby = session_starts_at - _NEARBY, session_starts_at + _NEARBY
        open_now = {slot.starts_at for slot in self.slots if slot.state is SlotState.OPEN}
        without = self.calendar.without(session_starts_at)
        return [start for start in without.open_starts(*nearby, self.read_at) if start not in open_now]


class Availability:
    """Reads calendars and lets the domain's `Calendar` decide. The number of queries does not depend on the data."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    async def slots(self, expert: UUID | str, query: SlotQuery) -> SlotsFound:
        """The slots of an expert on some local days.

        A UUID finds any expert; a string (id or slug, from a URL) only active ones. Raises ExpertNotFound or
        SessionTypeNotFound.
        """
        now = self._clock()
        async with self._database.statements() as connection:
            if isinstance(expert, str):
                offer = await _offer_by_reference(connection, expert, query.session_type_id, now)
            else:
                offer = await find_offer(connection, expert, query.session_type_id, now)
            expert_id = offer.expert_id
            zone = ZoneInfo(query.time_zone) if query.time_zone else offer.calendar.zone
            since = local_instant(zone, query.since, 0)
            until = local_instant(zone, query.until + DAY, 0)
            busy = await rows.busy(connection, [expert_id], max(since, now), until, now)
        slots = offer.with_busy(busy.get(expert_id, ())).calendar.slots(since, until, now)
        return SlotsFound(expert_id, offer.session_type_id, zone.key, slots)

    async def board(self, expert_id: UUID, session_type_id: UUID | None = None) -> Board:
        """The board of one session type, or of the expert's first active one.

        The board is empty if the expert currently offers no session. Raises ExpertNotFound, and SessionTypeNotFound if
        the expert does not (or no longer) offer the session type.
        """
        now = self._clock()
        async with self._database.statements() as connection:
            offers = await rows.offers(connection, [expert_id], now)
            try:
                offer = await _chosen(connection, offers, expert_id, session_type_id)
            except SessionTypeNotFound:
                if session_type_id is not None:
                    raise
                return _empty_board(expert_id, await experts.time_zone(connection, expert_id), now)
            if session_type_id is None and not offer.calendar.active:
                return _empty_board(expert_id, offer.calendar.zone.key, now)
            until = offer.calendar.end(now)
            busy = await rows.busy(connection, [expert_id], now, until, now)
        calendar = offer.with_busy(busy.get(expert_id, ())).calendar
        return Board(
            expert_id=expert_id,
            session_type_id=offer.session_type_id,
            session_title=offer.title,
            calendar=calendar,
            last_day=calendar.horizon(now),
            read_at=now,
            slots=tuple(calendar.slots(now, until, now)),
            session_types=tuple(session_type_view(offer) for offer in offers if offer.calendar.active),
        )

    async def next_open(self, expert_ids: Sequence[UUID], minutes: int | None = None) -> dict[UUID, datetime]:
        """The next free start (UTC) of each of these experts that has one within the horizon.

        `minutes` restricts it to sessions of that length.
        """
        now = self._clock()
        async with self._database.statements() as connection:
            return await next_open(connection, await rows.offers(connection, expert_ids, now), now, minutes)


def _empty_board(expert_id: UUID, zone: str, now: datetime) -> Board:
    calendar = Calendar(ZoneInfo(zone), Hours(), SessionLength(60, 60), active=False)
    return Board(expert_id, None, "No sessions at the moment", calendar, calendar.horizon(now), now, ())


async def next_open(
    connection: AnyConnection, offers: Sequence[Offer], now: datetime, minutes: int | None = None
) -> dict[UUID, datetime]:
    """The earliest free start (UTC) of each expert over these offers, or over those of the given length."""
    offers = [offer for offer in offers if minutes in (None, offer.calendar.length.minutes)]
    pending = {offer.expert_id for offer in offers}
    found: dict[UUID, datetime] = {}
    for since, until in ((now, now + _FIRST_RANGE), (now + _FIRST_RANGE, now + _FULL_RANGE)):
        busy = await rows.busy(connection, list(pending), since, until, now) if pending else {}
        for offer in offers:
            if offer.expert_id in pending:
                calendar = offer.with_busy(busy.get(offer.expert_id, ())).calendar
                slot = calendar.next_open(since, min(until, found.get(offer.expert_id, until)), now)
                if slot is not None:
                    found[offer.expert_id] = slot.starts_at
        pending -= found.keys()
    return found


async def slot_refusal(
    connection: AnyConnection,
    offer: Offer,
    starts_at: datetime,
    now: datetime,
    own: datetime | None = None,
    override: Collection[RuleOverride] | None = None,
) -> SlotTaken | SlotNotOffered:
    """Re-read the calendar and explain why this time is unavailable, with the nearest free times.

    `own` is the start of the customer's own booking or hold, which does not block the time. `override` are the rules
    that a host sets aside; None: no host is asking.
    """
    at = now if override is None else max(now, starts_at)
    calendar = await _reload(connection, offer, at, now, own)
    why = _why_not(calendar, starts_at, now, override) or SlotTaken()
    return _with_alternatives(why, calendar, starts_at, now, own)


async def slot_refusal_if_any(
    connection: AnyConnection, offer: Offer, starts_at: datetime, now: datetime
) -> SlotTaken | SlotNotOffered | None:
    """Like `slot_refusal`, but None if the calendar shows no reason. Expired holds do not block a time."""
    calendar = await _reload(connection, offer, now, now)
    why = _why_not(calendar, starts_at, now)
    return why and _with_alternatives(why, calendar, starts_at, now)


async def _reload(
    connection: AnyConnection, offer: Offer, at: datetime, now: datetime, own: datetime | None = None
) -> Calendar:
    # Outside this range, another reason takes precedence over busy time, except for hosts.
    until = max(at, offer.calendar.end(now))
    busy = await rows.busy(connection, [offer.expert_id], now, until, now)
    calendar = offer.with_busy(busy.get(offer.expert_id, ())).calendar
    return calendar if own is None else calendar.without(own)


def _why_not(
    calendar: Calendar, starts_at: datetime, now: datetime, override: Collection[RuleOverride] | None = None
) -> SlotTaken | SlotNotOffered | None:
    try:
        if override is None:
            calendar.offered(starts_at, now)
        else:
            slot_for_host(calendar, starts_at, now, override)
    except (SlotTaken, SlotNotOffered) as why:
        return why
    return None


def _with_alternatives(
    refusal: SlotTaken | SlotNotOffered,
    calendar: Calendar,
    starts_at: datetime,
    now: datetime,
    own: datetime | None = None,
) -> SlotTaken | SlotNotOffered:
    refusal.alternatives = tuple(calendar.nearest_open(starts_at, now, MAX_ALTERNATIVES, [own] if own else ()))
    return refusal


def slot_columns(offer: Offer, slot: Slot, now: datetime) -> dict[str, Any]:
    """The fields of `db.bookings.NewRow` that place a new row on this slot."""
    cap = offer.calendar.length.daily_cap
    return {
        "expert_id": offer.expert_id, "session_type_id": offer.session_type_id, "slot": slot, "now": now,
        "daily_cap": cap, "cap_day": None if cap is None else offer.calendar.day_of(slot.starts_at),
    }  # fmt: skip


async def with_busy(connection: AnyConnection, offer: Offer, starts_at: datetime, now: datetime) -> Calendar:
    """The calendar of this offer with the busy time around this instant."""
    busy = await rows.busy(connection, [offer.expert_id], starts_at, starts_at, now)
    return offer.calendar.with_busy(busy.get(offer.expert_id, ()))


async def find_offer(connection: AnyConnection, expert_id: UUID, session_type_id: UUID | None, now: datetime) -> Offer:
    """The requested session type of one expert, or the first active one if none is requested.

    Raises ExpertNotFound or SessionTypeNotFound.
    """
    return await _chosen(connection, await rows.offers(connection, [expert_id], now), expert_id, session_type_id)


async def _offer_by_reference(
    connection: AnyConnection, reference: str, session_type_id: UUID | None, now: datetime
) -> Offer:
    """Like `find_offer`, for the active expert with this id or slug."""
    try:
        expert_id = UUID(reference)
        offers = await rows.offers(connection, [expert_id], now)
        expert = None if offers else await experts.by_id(connection, expert_id)
    except ValueError:
        if not is_slug(reference):
            raise ExpertNotFound from None
        offers = await rows.offers_by_slug(connection, reference, now)
        expert = None if offers else await experts.by_slug(connection, reference)
    if expert is not None:
        raise SessionTypeNotFound
    if not offers or not offers[0].expert_active:
        raise ExpertNotFound
    return await _chosen(connection, offers, offers[0].expert_id, session_type_id)


async def _chosen(
    connection: AnyConnection, offers: Sequence[Offer], expert_id: UUID, session_type_id: UUID | None
) -> Offer:
    for offer in offers:
        if offer.session_type_id == session_type_id or (session_type_id is None and offer.calendar.active):
            return offer
    if session_type_id is None and offers and not offers[0].expert_active:
        return offers[0]
    if not offers and await experts.by_id(connection, expert_id) is None:
        raise ExpertNotFound
    raise SessionTypeNotFound


def session_type_view(offer: Offer) -> SessionTypeView:
    """The public view of a session type."""
    return SessionTypeView(
        id=offer.session_type_id,
        title=offer.title,
        description=offer.description,
        active=offer.calendar.active,
        **asdict(offer.calendar.length),
        **asdict(offer.terms),
    )
