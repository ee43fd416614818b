"""The experts of the sample data as requests: first the hand-written ones, then generated ones."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from datetime import date
from functools import cache
from itertools import accumulate, pairwise
from random import Random
from typing import Any

from expert_booking.domain.calendar import DAY
from expert_booking.domain.prices import Price
from expert_booking.domain.slugs import slug_of
from expert_booking.domain.terms import Terms
from expert_booking.schemas import ExpertRequest, RuleRequest, SessionTypeRequest
from expert_booking.seed.details import (
    DETAILS,
    FIRST_TALK,
    FIRST_TALK_TERMS,
    FIRST_TALK_TEXT,
    LATER_WEEKS,
    LOCATIONS,
    LONG_TERMS,
    LONG_TEXT,
    MAIN_TEXTS,
    PAYMENT_NOTE,
    PRICES,
    QUESTIONS,
    SPOKEN,
    TERMS,
    Details,
)
from expert_booking.seed.people import (
    BIO_SENTENCES,
    CATEGORIES,
    FAMILY_NAMES,
    GIVEN_NAMES_F,
    GIVEN_NAMES_M,
    HEADLINES,
    PEOPLE,
    TIME_ZONES,
    WEEKLY_HOURS,
    Person,
)


def expert_requests(count: int, number: int, today: date) -> list[ExpertRequest]:
    """Return `count` experts, the same ones for the same `number`, with slugs by which a second run recognizes them.

    Some of them change their hours some weeks after `today`.
    """
    written = [_request(person, DETAILS[person.name], slug_of(person.name), number, today) for person in PEOPLE[:count]]
    return written + [_made_up(index, number, today) for index in range(len(written), count)]


def address_of(slug: str) -> str:
    """Return the email address of the expert with this slug."""
    return f"{slug}@example.com"


@cache
def days_with_overrides() -> dict[str, Details]:
    """The details of the experts who have date overrides or days off in the coming weeks, by slug."""
    return {slug_of(name): d for name, d in DETAILS.items() if d.shut_days or d.evenings or d.holidays}


def shares(total: int, requests: Sequence[ExpertRequest], number: int) -> list[int]:
    """Distribute `total` bookings over the experts, by their weekly hours and a random popularity."""
    demand = [_weekly_minutes(request) * Random(f"{number}-{request.slug}").uniform(0.7, 1.3) for request in requests]
    so_far = [round(total * part / sum(demand)) for part in accumulate(demand)]
    return [after - before for before, after in pairwise([0, *so_far])]


def _weekly_minutes(request: ExpertRequest) -> int:
    return sum(rule.closes - rule.opens for rule in request.rules)


def made_up_name(look: str, chance: Random) -> str:
    """Return a given name and a family name, not necessarily from the same country."""
    given = GIVEN_NAMES_F if look == "f" else GIVEN_NAMES_M
    return f"{chance.choice(given)} {chance.choice(FAMILY_NAMES)}"


def _made_up(index: int, number: int, today: date) -> ExpertRequest:
    chance = Random(f"{number}-{index}")
    look = chance.choice("fm")
    name = made_up_name(look, chance)
    category = chance.choice(CATEGORIES)
    person = Person(
        name=name,
        look=look,
        category=category,
        headline=chance.choice(HEADLINES[category]),
        bio=" ".join(chance.sample(BIO_SENTENCES, 4)),
        experience_years=chance.randint(1, 35),
        rating=round(chance.triangular(3.2, 5, 4.8), 2),
        rating_count=int(chance.expovariate(1 / 80)) + 1,
        time_zone=chance.choice(TIME_ZONES),
        hours=chance.choice(WEEKLY_HOURS),
        session_title=f"{category} session",
    )
    spoken = SPOKEN.get(person.time_zone)
    details = Details(
        languages=("en", spoken) if spoken else ("en",),
        first_talk=chance.random() < 0.35,
        long_minutes=90 if chance.random() < 0.15 else None,
    )
    return _request(person, details, f"{slug_of(name)}-{index}", number, today)


def _request(person: Person, details: Details, slug: str, number: int, today: date) -> ExpertRequest:
    chance = Random(f"{number}-{slug}-calendar")
    main = SessionTypeRequest(
        title=person.session_title,
        description=MAIN_TEXTS[person.category],
        step_minutes=chance.choice((60, 60, 30)),
        before_minutes=chance.choice((0, 0, 0, 0, 0, 0, 5, 10)),
        after_minutes=chance.choice((0, 0, 0, 0, 0, 5, 10, 15)),
        notice_minutes=chance.choice((60, 120, 180, 240, 360, 720)),
        horizon_days=60,
        locations=LOCATIONS.get(person.name, ()),
        questions=QUESTIONS.get(person.name, ()),
        **asdict(_terms(TERMS[person.category], person, details)),
    )
    return ExpertRequest(
        name=person.name,
        category=person.category,
        headline=person.headline,
        bio=person.bio,
        experience=person.experience_years,
        rating=person.rating,
        rating_count=person.rating_count,
        time_zone=person.time_zone,
        email=address_of(slug),
        portrait=f"{person.look}:{slug}",
        slug=slug,
        languages=details.languages,
        country=details.country,
        region=details.region,
        closed_on_holidays=details.closed_on_holidays,
        session_types=[main, *_others(main, details)],
        rules=list(_rules(person, details, today)),
    )


def _terms(terms: Terms, person: Person, details: Details) -> Terms:
    price = PRICES.get(person.name)
    note = PAYMENT_NOTE if price else ""
    return replace(terms, email_verification=details.email_verification, price=price, payment_note=note)


def _others(main: SessionTypeRequest, details: Details) -> Iterator[SessionTypeRequest]:
    if details.first_talk:
        free = Price(0, main.price.currency) if main.price else None
        terms = replace(FIRST_TALK_TERMS, email_verification=details.email_verification, price=free)
        words = {"title": FIRST_TALK, "description": FIRST_TALK_TEXT, **asdict(terms)}
        yield _like(main, **words, minutes=30, step_minutes=30, before_minutes=0)
    if details.long_minutes:
        minutes, hourly = details.long_minutes, main.price
        price = Price(hourly.amount * minutes // 60, hourly.currency) if hourly else None
        terms = replace(LONG_TERMS, price=price, payment_note=main.payment_note)
        words = {"title": f"{main.title}, long", "description": LONG_TEXT, **asdict(terms)}
        yield _like(main, **words, minutes=minutes, daily_cap=details.long_cap)


def _like(main: SessionTypeRequest, **changes: Any) -> SessionTypeRequest:
    return SessionTypeRequest.model_validate({**main.model_dump(), **changes})


def _rules(person: Person, details: Details, today: date) -> Iterator[RuleRequest]:
    if details.later_hours is None:
        yield from (_rule(*hours) for hours in person.hours)
        return
    change = today + LATER_WEEKS * 7 * DAY
    yield from (_rule(*hours, until=change - DAY) for hours in person.hours)
    yield from (_rule(*hours, since=change) for hours in details.later_hours)


def _rule(weekday: int, opens: str, closes: str, since: date | None = None, until: date | None = None) -> RuleRequest:
    start, end = _minutes(opens), _minutes(closes)
    return RuleRequest(
        weekday=weekday,
        opens=start,
        closes=end if end > start else end + 24 * 60,
        valid_from=since,
        valid_until=until,
    )


def _minutes(clock: str) -> int:
    hours, minutes = clock.split(":")
    return int(hours) * 60 + int(minutes)
