"""English names of countries, regions and languages, from CLDR and the `holidays` library, for lists to choose from."""

from collections.abc import Mapping
from functools import cache

import holidays
from babel import Locale

from expert_booking.domain.holidays import countries


@cache
def country_names() -> Mapping[str, str]:
    """All countries whose public holidays are known, by their ISO 3166 codes, in the order of their names."""
    names = Locale("en").territories
    return _by_name({code: names.get(code, code) for code in countries()})


@cache
def region_names(country: str) -> Mapping[str, str]:
    """The regions of a country by their ISO 3166-2 codes, in the order of their names; empty for an unknown country."""
    codes = countries().get(country, frozenset())
    named = getattr(getattr(holidays, country, None), "subdivisions_aliases", {}) if codes else {}
    names = {code: name for name, code in reversed(named.items())}
    return _by_name({code: names.get(code, code) for code in codes})


@cache
def language_names() -> Mapping[str, str]:
    """The languages with a two-letter ISO 639 code, in the order of their names."""
    return _by_name({code: name for code, name in Locale("en").languages.items() if len(code) == 2})


def _by_name(names: Mapping[str, str]) -> Mapping[str, str]:
    return dict(sorted(names.items(), key=lambda pair: pair[1]))
