"""Large catalogues: the same kind of world, some ten thousand rows at a time."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from math import ceil
from random import Random
from typing import Final, NoReturn

from tqdm import tqdm

from expert_booking.db import availability as calendars
from expert_booking.db import experts
from expert_booking.db.availability import Offer
from expert_booking.db.bookings import NewBooking
from expert_booking.db.engine import Database
from expert_booking.domain.calendar import DAY, Calendar, Slot
from expert_booking.schemas import BookingRequest, ExpertRequest
from expert_booking.seed.catalogue import made_up_name
from expert_booking.seed.diary import chance_of, key_of, notes_of, phone_of, status_of
from expert_booking.seed.people import TIME_ZONES
from expert_booking.services import Services

_EXPERTS: Final = 1_000  # in one batch; with a session type and weekly hours they are some ten thousand rows
_BOOKINGS: Final = 10_000
_AT_ONCE: Final = 3  # while the database writes one batch, the next ones are made
_CUSTOMERS: Final = 50_000
_YEARS_BACK: Final = 10


async def sow(
    database: Database,
    services: Services,
    requests: Sequence[ExpertRequest],
    counts: Sequence[int],
    number: int,
    today: datetime,
) -> None:
    """Add all these experts and `counts` bookings of each.

    One expert's bookings go in together or not at all, so a run after an interrupted one finds whole diaries missing.
    """
    with _progress("experts", len(requests)) as bar:
        for first in range(0, len(requests), _EXPERTS):
            batch = requests[first : first + _EXPERTS]
            await services.experts.add_many(batch)
            bar.update(len(batch))
    with _progress("bookings", sum(counts)) as bar:
        batches = _batches({str(request.slug): count for request, count in zip(requests, counts, strict=True)})

        async def work_off() -> None:
            for batch in batches:
                offers = await _offers(database, list(batch), today)
                new = [row for offer in offers for row in _bookings(offer, batch[offer.slug], number, today)]
                await services.bookings.import_many(new)
                bar.update(sum(batch.values()))

        await asyncio.gather(*(work_off() for _ in range(_AT_ONCE)))


def _progress(what: str, total: int) -> "tqdm[NoReturn]":
    # None: no bar where nobody sees it, in a file or a pipe.
    return tqdm(total=total, desc=what, unit=f" {what}", unit_scale=True, disable=None)


def _batches(counts: dict[str, int]) -> Iterator[dict[str, int]]:
    """Whole experts, as many as make up one batch of bookings."""
    batch: dict[str, int] = {}
    rows = 0
    for slug, count in counts.items():
        batch[slug] = count
        rows += count
        if rows >= _BOOKINGS:
            yield batch
            batch, rows = {}, 0
    if rows:
        yield batch


async def _offers(database: Database, slugs: Sequence[str], today: datetime) -> list[Offer]:
    """The first session type of each of these experts."""
    async with database.statements() as connection:
        ids = await experts.ids(connection, slugs)
        offers = await calendars.offers(connection, list(ids.values()), today)
    return list({offer.slug: offer for offer in reversed(offers)}.values())


def _bookings(offer: Offer, count: int, number: int, today: datetime) -> Iterator[NewBooking]:
    slots = _slots(offer.calendar, count, today, Random(f"{number}-{offer.slug}"))
    for index, slot in enumerate(slots):
        chance = chance_of(number, offer.slug, index)
        customer = chance.randrange(_CUSTOMERS)
        email = f"customer{customer}@example.net"
        # Not validated: a million times our own words.
        request = BookingRequest.model_construct(
            expert_id=offer.expert_id,
            starts_at=slot.starts_at,
            name=made_up_name("fm"[customer % 2], Random(customer)),
            email=email,
            phone=phone_of(customer),
            notes=notes_of(chance),
            time_zone=TIME_ZONES[customer % len(TIME_ZONES)],
        )
        yield NewBooking(
            id=key_of(number, offer.slug, index),
            expert_id=offer.expert_id,
            session_type_id=offer.session_type_id,
            slot=slot,
            request=request,
            customer_key=email,
            status=status_of(slot.starts_at < today, chance),
        )


def _slots(calendar: Calendar, count: int, today: datetime, chance: Random) -> list[Slot]:
    """So many slots, half of them to come as far as there is room, the others as far back as it takes."""
    days = calendar.length.horizon_days
    to_come = _one_after_another(calendar, today, today + days * DAY)
    chosen = chance.sample(to_come, min(count // 2, len(to_come) * 9 // 10))
    missing = count - len(chosen)
    if not to_come or not missing:
        return chosen
    # As densely as the days to come, and a fortnight more because no two weeks have the same number of slots.
    back = ceil(days * missing / max(1, len(to_come) * 9 // 10)) + 14
    walked = _one_after_another(calendar, today - min(back, 366 * _YEARS_BACK) * DAY, today)
    # Hours that run over the midnight of UTC: the last slot of yesterday may reach into the first of today.
    past = [slot for slot in walked if slot.busy_until <= to_come[0].busy_from]
    return chosen + chance.sample(past, min(missing, len(past)))


def _one_after_another(calendar: Calendar, since: datetime, until: datetime) -> list[Slot]:
    """Slots that leave each other's busy time alone, whatever the notice and the horizon say."""
    always = replace(calendar.length, notice_minutes=0, horizon_days=366 * _YEARS_BACK)
    slots: list[Slot] = []
    for slot in replace(calendar, length=always).slots(since, until, now=since):
        if not slots or slot.busy_from >= slots[-1].busy_until:
            slots.append(slot)
    return slots
