"""The demo catalogue: plausible people with valid calendars."""

from datetime import time
from itertools import pairwise
from zoneinfo import ZoneInfo

from expert_booking.domain.slugs import slug_of
from expert_booking.seed.people import (
    BIO_SENTENCES,
    CATEGORIES,
    CUSTOMERS,
    FAMILY_NAMES,
    GIVEN_NAMES_F,
    GIVEN_NAMES_M,
    HEADLINES,
    NOTES,
    PEOPLE,
    TIME_ZONES,
    WEEKLY_HOURS,
)

DAY = 24 * 60


def test_catalogue_has_enough_experts_categories_and_zones() -> None:
    assert len(PEOPLE) >= 24
    assert len(CATEGORIES) >= 8
    assert {person.category for person in PEOPLE} == set(CATEGORIES)
    assert len({person.time_zone for person in PEOPLE}) >= 8


def test_every_person_has_a_unique_name_and_address() -> None:
    assert len({person.name for person in PEOPLE}) == len(PEOPLE)
    assert len({slug_of(person.name) for person in PEOPLE}) == len(PEOPLE)


def test_every_person_has_a_headline_a_bio_and_plausible_ratings() -> None:
    for person in PEOPLE:
        assert person.look in ("f", "m"), person.name
        assert 0 < len(person.headline) < 90, person.name
        assert 2 <= person.bio.count(". ") + 1 <= 4, person.name
        assert person.session_title, person.name
        assert 2 <= person.experience_years <= 38, person.name
        assert (person.rating is None) == (person.rating_count == 0), person.name
        assert person.rating is None or 3.9 <= person.rating <= 5, person.name


def test_every_zone_exists() -> None:
    for zone in {*TIME_ZONES, *(person.time_zone for person in PEOPLE)}:
        assert ZoneInfo(zone).key == zone


def test_weekly_hours_never_overlap_even_past_midnight() -> None:
    for hours in (*WEEKLY_HOURS, *(person.hours for person in PEOPLE)):
        spans = sorted(_span(*rule) for rule in hours)
        assert all(1 <= weekday <= 7 for weekday, _, _ in hours), hours
        assert all(opens < closes <= opens + DAY for opens, closes in spans), hours
        first_opens, _ = spans[0]
        around_the_week = [*spans, (first_opens + 7 * DAY, first_opens + 7 * DAY)]
        assert all(before[1] <= after[0] for before, after in pairwise(around_the_week)), hours


def test_some_hours_pass_midnight_and_some_have_a_lunch_break() -> None:
    assert any(closes <= opens for person in PEOPLE for _, opens, closes in person.hours)
    assert any(len(person.hours) > len({weekday for weekday, _, _ in person.hours}) for person in PEOPLE)


def test_name_stock_is_large_enough_for_thousands() -> None:
    assert min(len(GIVEN_NAMES_F), len(GIVEN_NAMES_M), len(FAMILY_NAMES)) >= 60
    assert set(HEADLINES) == set(CATEGORIES)
    assert all(len(headlines) >= 5 for headlines in HEADLINES.values())
    assert len(BIO_SENTENCES) >= 20
    assert len(TIME_ZONES) >= 25
    assert len(set(WEEKLY_HOURS)) >= 8
    assert len(NOTES) >= 15


def test_customer_addresses_use_undeliverable_domains() -> None:
    assert len(CUSTOMERS) >= 24
    assert len({email for _, email in CUSTOMERS}) == len(CUSTOMERS)
    assert {email.partition("@")[2] for _, email in CUSTOMERS} <= {"example.com", "example.org", "example.net"}


def _span(weekday: int, opens: str, closes: str) -> tuple[int, int]:
    """Opening and closing in minutes since Monday 00:00. Hours that close before they open close on the next day."""
    start, end = _minutes(opens), _minutes(closes)
    midnight = (weekday - 1) * DAY
    return midnight + start, midnight + (end if end > start else end + DAY)


def _minutes(clock: str) -> int:
    if clock == "24:00":
        return DAY
    at = time.fromisoformat(clock)
    return at.hour * 60 + at.minute
