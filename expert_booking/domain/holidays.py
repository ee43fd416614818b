"""Public holidays by country and region, from the `holidays` library."""

import re
from dataclasses import dataclass
from datetime import date
from functools import cache, lru_cache

import holidays
import holidays.countries  # load all countries now: it takes 0.1 s, which no request should wait for
from holidays.registry import COUNTRIES


@dataclass(frozen=True, slots=True)
class Holidays:
    """The public holidays of a country (ISO 3166-1, two letters) or of one of its regions (ISO 3166-2)."""

    country: str
    region: str | None = None

    def name_of(self, day: date) -> str | None:
        """The name of the holiday on this day; None if it is not a holiday."""
        return _of_year(self.country, self.region, day.year).get(day)

    def between(self, first: date, last: date) -> list[tuple[date, str]]:
        """The holidays from `first` to `last`, both included, with their names, by date."""
        years = range(first.year, last.year + 1)
        found = (item for year in years for item in _of_year(self.country, self.region, year).items())
        return sorted((day, name) for day, name in found if first <= day <= last)


def holiday_place_error(country: str | None, region: str | None, *, closed: bool) -> tuple[str, str] | None:
    """The first error in an expert's holiday settings as (field, message for people); None if they are valid.

    `closed` says whether the expert takes public holidays off.
    """
    known = countries()
    if country is not None and country not in known:
        return "country", "Please use a two-letter country code (ISO 3166), such as DE."
    if country is None and (closed or region is not None):
        return "country", "Please choose the country whose public holidays apply, such as DE."
    if country is not None and region is not None and region not in known[country]:
        regions = ", ".join(sorted(known[country])) or "none"
        return "region", f"Please use one of the regions of {country}: {regions}."
    return None


@cache
def countries() -> dict[str, frozenset[str]]:
    """All supported countries (ISO 3166-1 alpha-2) with their regions."""
    known = holidays.list_supported_countries(include_aliases=False)
    return {country: frozenset(regions) for country, regions in known.items() if len(country) == 2}


@cache
def country_names() -> dict[str, str]:
    """The English names of all supported countries, by code, in the order of the names."""
    spaced = {code: re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name) for name, code, *_ in COUNTRIES.values()}
    return dict(sorted(((code, spaced[code]) for code in countries() if code in spaced), key=lambda item: item[1]))


@lru_cache(maxsize=512)
def region_names(country: str) -> dict[str, str]:
    """The names of a country's regions by code, in the order of the names. A region without a name has its code."""
    aliases = holidays.country_holidays(country).subdivisions_aliases
    names = {code: name for name, code in reversed(aliases.items())}
    found = ((code, names.get(code, code)) for code in countries().get(country, ()))
    return dict(sorted(found, key=lambda item: item[1]))


@lru_cache(maxsize=4096)
def _of_year(country: str, region: str | None, year: int) -> dict[date, str]:
    # In English like the rest of the product, if the library has a translation.
    return dict(holidays.country_holidays(country, subdiv=region, years=year, language="en_US").items())
