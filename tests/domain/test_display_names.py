"""Names of countries, regions and languages."""

from expert_booking.domain.display_names import country_names, language_names, region_names
from expert_booking.domain.holidays import countries


def test_every_country_and_region_with_holidays_has_a_name() -> None:
    assert set(country_names()) == set(countries())
    for country, regions in countries().items():
        assert set(region_names(country)) == regions
    assert (country_names()["DE"], region_names("DE")["BY"], language_names()["de"]) == ("Germany", "Bayern", "German")
    assert region_names("") == region_names("XX") == {}


def test_names_are_sorted() -> None:
    for names in (country_names(), region_names("US"), language_names()):
        assert list(names.values()) == sorted(names.values())
