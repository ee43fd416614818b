"""Public holidays by country and region. The library knows them; here they become values that calendars ask."""

from dataclasses import dataclass
from datetime import date
from functools import cache, lru_cache

import holidays
import holidays.countries  # all of them now: a tenth of a second that nobody has to wait for later


@dataclass(frozen=True, slots=True)
class Holidays:
    """The public holidays of a country (ISO 3166-1, two letters) or of one of its regions (ISO 3166-2)."""

    country: str
    region: str | None = None

    def name_of(self, day: date) -> str | None:
        """What is celebrated on this day; None on ordinary days."""
        return _of_year(self.country, self.region, day.year).get(day)


def holiday_place_error(country: str | None, region: str | None, *, closed: bool) -> tuple[str, str] | None:
    """What is wrong with a country, a region of it, and keeping its holidays: which of them, and why."""
    known = countries()
    if country is not None and country not in known:
        return "country", "Please use a country by its two letters (ISO 3166), such as DE."
    if country is None and (closed or region is not None):
        return "country", "Please say whose public holidays: a country such as DE."
    if country is not None and region is not None and region not in known[country]:
        regions = ", ".join(sorted(known[country])) or "none"
        return "region", f"Please use one of the regions of {country}: {regions}."
    return None


@cache
def countries() -> dict[str, frozenset[str]]:
    """Every country there are holidays for, with its regions."""
    known = holidays.list_supported_countries(include_aliases=False)
    return {country: frozenset(regions) for country, regions in known.items() if len(country) == 2}


@lru_cache(maxsize=4096)
def _of_year(country: str, region: str | None, year: int) -> dict[date, str]:
    # In English, like the rest of the product, where the library has the words.
    return dict(holidays.country_holidays(country, subdiv=region, years=year, language="en_US").items())
