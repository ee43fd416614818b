"""The words of the demo catalogue fit what the product can show."""

from collections import defaultdict
from zoneinfo import ZoneInfo

from expert_booking.domain.slugs import slug_of
from expert_booking.seed import people


def minutes(text: str) -> int:
    hours, rest = text.split(":")
    return 60 * int(hours) + int(rest)


def test_the_catalogue_is_wide_enough() -> None:
    assert len(people.PEOPLE) >= 24
    assert {person.category for person in people.PEOPLE} == set(people.CATEGORIES)
    assert len(people.CATEGORIES) >= 8
    assert len({person.time_zone for person in people.PEOPLE}) >= 8
    assert len({person.hours for person in people.PEOPLE}) >= 8


def test_everybody_is_somebody_else() -> None:
    assert len({slug_of(person.name) for person in people.PEOPLE}) == len(people.PEOPLE)
    assert len({email for _, email in people.CUSTOMERS}) == len(people.CUSTOMERS) >= 24


def test_every_zone_exists() -> None:
    for name in {person.time_zone for person in people.PEOPLE} | set(people.TIME_ZONES):
        assert ZoneInfo(name).key == name


def test_addresses_belong_to_the_domains_for_examples() -> None:
    assert {email.partition("@")[2] for _, email in people.CUSTOMERS} == {"example.com", "example.org", "example.net"}


def test_hours_are_real_and_do_not_overlap() -> None:
    for hours in {person.hours for person in people.PEOPLE} | set(people.WEEKLY_HOURS):
        by_day: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for weekday, opens, closes in hours:
            assert 1 <= weekday <= 7
            end = minutes(closes) + (1440 if minutes(closes) <= minutes(opens) else 0)
            by_day[weekday].append((minutes(opens), end))
        for windows in by_day.values():
            for (_, end), (start, _) in zip(sorted(windows), sorted(windows)[1:], strict=False):
                assert end <= start
