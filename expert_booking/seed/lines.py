"""Made-up bookings of made-up customers as lines of text, as quickly as Python makes them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache
from hashlib import blake2b
from math import ceil
from random import Random
from typing import Final

from expert_booking.db.availability import Offer
from expert_booking.domain.calendar import DAY, MINUTE, Calendar
from expert_booking.domain.lifecycle import Status
from expert_booking.seed.catalogue import made_up_name
from expert_booking.seed.diary import ends, phone_of
from expert_booking.seed.people import NOTES, TIME_ZONES

_CUSTOMERS: Final = 50_000
_YEARS_BACK: Final = 10
_NOTES: Final = (*NOTES, *[""] * (len(NOTES) * 3 // 2))  # most write nothing


def lines_of(shares: Sequence[tuple[Offer, int]], number: int, today: datetime) -> bytes:
    """So many bookings of each of these experts, in the columns of `db.bulk`, before and after `today` (UTC).

    The same number makes the same bookings on the same day, and on every day the same ids.
    """
    return "".join(_lines(offer, count, number, today) for offer, count in shares).encode()


def _lines(offer: Offer, count: int, number: int, today: datetime) -> str:
    chance = Random(f"{number}-{offer.slug}")
    length = offer.calendar.length
    before, minutes, after = (m * MINUTE for m in (length.before_minutes, length.minutes, length.after_minutes))
    starts = _starts(offer.calendar, count, today, chance)
    past, to_come = (_drawn(ends(offer.terms.confirmation, past=past), len(starts), chance) for past in (True, False))
    promised = _promised(offer)
    notes, customers = chance.choices(_NOTES, k=len(starts)), chance.choices(range(_CUSTOMERS), k=len(starts))
    lines = []
    for index, start in enumerate(starts):
        key = blake2b(f"{number}/{offer.slug}/{index}".encode(), digest_size=16).hexdigest()
        name, email, phone, zone = _customer(customers[index])
        status = past[index] if start < today else to_come[index]
        end = start + minutes
        times = f"{start}\t{end}\t[{start - before},{end + after})"
        who = f"{name}\t{email}\t{email}\t{phone}\t{notes[index]}\t{zone}\t{promised}"
        lines.append(f"{key}\t{offer.expert_id}\t{offer.session_type_id}\t{times}\t{status}\t{who}\n")
    return "".join(lines)


def _promised(offer: Offer) -> str:
    """Title and terms, with everything escaped that means something in COPY's text format."""
    terms = offer.terms
    title = offer.title.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n")
    most = "\\N" if terms.max_reschedules is None else terms.max_reschedules
    return f"{title}\t{terms.cancel_notice_minutes}\t{terms.reschedule_notice_minutes}\t{most}"


def _drawn(weights: Mapping[Status, int], count: int, chance: Random) -> list[Status]:
    return chance.choices(tuple(weights), tuple(weights.values()), k=count)


@cache
def _customer(customer: int) -> tuple[str, str, str, str]:
    name = made_up_name("fm"[customer % 2], Random(customer))
    return name, f"customer{customer}@example.net", phone_of(customer), TIME_ZONES[customer % len(TIME_ZONES)]


def _starts(calendar: Calendar, count: int, today: datetime, chance: Random) -> list[datetime]:
    """So many starts, half of them to come as far as there is room, the others as far back as it takes."""
    days = calendar.length.horizon_days
    to_come = _one_after_another(calendar, today, today + days * DAY)
    chosen = chance.sample(to_come, min(count // 2, len(to_come) * 9 // 10))
    missing = count - len(chosen)
    if to_come and missing:
        # As densely as the days to come, and a fortnight more because no two weeks have the same number of slots.
        back = ceil(days * missing / max(1, len(to_come) * 9 // 10)) + 14
        walked = _one_after_another(calendar, today - min(back, 366 * _YEARS_BACK) * DAY, today)
        # Hours that run over the midnight of UTC: the last one of yesterday may reach into today.
        past = [start for start in walked if start + _kept(calendar) <= today]
        chosen += chance.sample(past, min(missing, len(past)))
    return chosen


def _one_after_another(calendar: Calendar, since: datetime, until: datetime) -> list[datetime]:
    """Starts of sessions that leave each other's busy time alone, whatever the notice, the horizon and the cap say."""
    step = calendar.length.step_minutes * MINUTE
    always = replace(
        calendar.length,
        step_minutes=-(_kept(calendar) // -step) * step // MINUTE,
        notice_minutes=0,
        horizon_days=366 * _YEARS_BACK,
        daily_cap=None,
    )
    starts: list[datetime] = []
    for start in replace(calendar, length=always).open_starts(since, until, now=since):
        if not starts or start - starts[-1] >= _kept(calendar):
            starts.append(start)
    return starts


def _kept(calendar: Calendar) -> timedelta:
    """How much time one session takes, buffers included."""
    length = calendar.length
    return (length.before_minutes + length.minutes + length.after_minutes) * MINUTE
