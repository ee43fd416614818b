"""Generate bookings as lines in COPY's text format, much faster than through the services."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache
from hashlib import blake2b
from math import ceil
from random import Random
from typing import Final

from expert_booking.db.availability import Offer
from expert_booking.db.terms import agreed_columns
from expert_booking.domain.calendar import DAY, MINUTE, Calendar
from expert_booking.domain.lifecycle import Status
from expert_booking.seed.catalogue import made_up_name
from expert_booking.seed.diary import outcome_weights, phone_of
from expert_booking.seed.people import NOTES, TIME_ZONES

_CUSTOMERS: Final = 50_000
_YEARS_BACK: Final = 10
_NOTES: Final = (*NOTES, *[""] * (len(NOTES) * 3 // 2))  # most write nothing


def lines_of(shares: Sequence[tuple[Offer, int]], number: int, today: datetime) -> bytes:
    """Return this many bookings of each of these offers, in the columns of `db.bulk`, before and after `today` (UTC).

    The same number gives the same bookings on the same day, and the same ids on every day.
    """
    return "".join(_lines(offer, count, number, today) for offer, count in shares).encode()


def _lines(offer: Offer, count: int, number: int, today: datetime) -> str:
    chance = Random(f"{number}-{offer.slug}")
    length = offer.calendar.length
    before, minutes, after = (m * MINUTE for m in (length.before_minutes, length.minutes, length.after_minutes))
    starts = _starts(offer.calendar, count, today, chance)
    weights = [outcome_weights(offer.terms.confirmation, past=past) for past in (True, False)]
    past, future = (_drawn(each, len(starts), chance) for each in weights)
    terms = _title_and_terms(offer)
    notes, customers = chance.choices(_NOTES, k=len(starts)), chance.choices(range(_CUSTOMERS), k=len(starts))
    lines = []
    for index, start in enumerate(starts):
        key = blake2b(f"{number}/{offer.slug}/{index}".encode(), digest_size=16).hexdigest()
        name, email, phone, zone = _customer(customers[index])
        status = past[index] if start < today else future[index]
        end = start + minutes
        times = f"{start}\t{end}\t[{start - before},{end + after})"
        customer = f"{name}\t{email}\t{email}\t{phone}\t{notes[index]}\t{zone}\t{terms}"
        lines.append(f"{key}\t{offer.expert_id}\t{offer.session_type_id}\t{times}\t{status}\t{customer}\n")
    return "".join(lines)


def _title_and_terms(offer: Offer) -> str:
    """Return title and terms, escaped for COPY's text format."""
    return "\t".join(map(_escaped, (offer.title, *agreed_columns(offer.terms).values())))


def _escaped(value: object) -> str:
    if value is None:
        return "\\N"
    return str(value).replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n")


def _drawn(weights: Mapping[Status, int], count: int, chance: Random) -> list[Status]:
    return chance.choices(tuple(weights), tuple(weights.values()), k=count)


@cache
def _customer(customer: int) -> tuple[str, str, str, str]:
    name = made_up_name("fm"[customer % 2], Random(customer))
    return name, f"customer{customer}@example.net", phone_of(customer), TIME_ZONES[customer % len(TIME_ZONES)]


def _starts(calendar: Calendar, count: int, today: datetime, chance: Random) -> list[datetime]:
    """Return `count` start times: half of them in the future if there is room, the rest as far back as necessary."""
    days = calendar.length.horizon_days
    future = _non_overlapping_starts(calendar, today, today + days * DAY)
    chosen = chance.sample(future, min(count // 2, len(future) * 9 // 10))
    missing = count - len(chosen)
    if future and missing:
        # As dense as the future days, plus two weeks because the number of slots varies from week to week.
        days_back = ceil(days * missing / max(1, len(future) * 9 // 10)) + 14
        earlier = _non_overlapping_starts(calendar, today - min(days_back, 366 * _YEARS_BACK) * DAY, today)
        # With hours across midnight UTC, the last session of yesterday can reach into today.
        past = [start for start in earlier if start + _busy_time(calendar) <= today]
        chosen += chance.sample(past, min(missing, len(past)))
    return chosen


def _non_overlapping_starts(calendar: Calendar, since: datetime, until: datetime) -> list[datetime]:
    """Return starts whose sessions, buffers included, do not overlap. Ignores notice, horizon and daily cap."""
    step = calendar.length.step_minutes * MINUTE
    unlimited = replace(
        calendar.length,
        step_minutes=-(_busy_time(calendar) // -step) * step // MINUTE,
        notice_minutes=0,
        horizon_days=366 * _YEARS_BACK,
        daily_cap=None,
    )
    starts: list[datetime] = []
    for start in replace(calendar, length=unlimited).open_starts(since, until, now=since):
        if not starts or start - starts[-1] >= _busy_time(calendar):
            starts.append(start)
    return starts


def _busy_time(calendar: Calendar) -> timedelta:
    """Return the time one session takes, buffers included."""
    length = calendar.length
    return (length.before_minutes + length.minutes + length.after_minutes) * MINUTE
