"""Time zones: their names, and the countries they are in."""

import re
from functools import cache
from importlib import resources
from typing import Final
from zoneinfo import available_timezones

ZONE_NAMES: Final = frozenset(available_timezones() - {"localtime", "posixrules", "Factory"})

# Old names, some of which browsers still use, of zones that the tz database has renamed. For those that it has merged
# with a zone of another country, the zone of their own country.
_RENAMED: Final = {
    "Africa/Asmera": "Africa/Asmara",
    "Africa/Timbuktu": "Africa/Bamako",
    "America/Buenos_Aires": "America/Argentina/Buenos_Aires",
    "America/Catamarca": "America/Argentina/Catamarca",
    "America/Cordoba": "America/Argentina/Cordoba",
    "America/Coral_Harbour": "America/Atikokan",
    "America/Godthab": "America/Nuuk",
    "America/Indianapolis": "America/Indiana/Indianapolis",
    "America/Jujuy": "America/Argentina/Jujuy",
    "America/Louisville": "America/Kentucky/Louisville",
    "America/Mendoza": "America/Argentina/Mendoza",
    "America/Virgin": "America/St_Thomas",
    "Asia/Calcutta": "Asia/Kolkata",
    "Asia/Katmandu": "Asia/Kathmandu",
    "Asia/Rangoon": "Asia/Yangon",
    "Asia/Saigon": "Asia/Ho_Chi_Minh",
    "Atlantic/Faeroe": "Atlantic/Faroe",
    "Atlantic/Jan_Mayen": "Arctic/Longyearbyen",
    "Europe/Kiev": "Europe/Kyiv",
    "Iceland": "Atlantic/Reykjavik",
    "Pacific/Enderbury": "Pacific/Kanton",
    "Pacific/Ponape": "Pacific/Pohnpei",
    "Pacific/Truk": "Pacific/Chuuk",
    "Pacific/Yap": "Pacific/Chuuk",
}
# Links of the tz database that name an offset and not a place.
_NO_PLACE: Final = frozenset({"CET", "EET", "EST", "HST", "MET", "MST", "WET"})


def current_name(zone: str) -> str:
    """The name that the tz database uses today."""
    return _RENAMED.get(zone, zone)


def country_of(zone: str | None) -> str | None:
    """The country of a time zone, as an ISO 3166 code; None if it has none (`UTC`) or is unknown."""
    if zone is None or zone in _NO_PLACE:
        return None
    countries, name = _countries(), current_name(zone)
    return countries.get(name) or countries.get(_links().get(name, ""))


@cache
def _countries() -> dict[str, str]:
    rows = (line.split("\t") for line in _read("zone.tab").splitlines() if not line.startswith("#"))
    return {row[2]: row[0] for row in rows}


@cache
def _links() -> dict[str, str]:
    """The target of each old name."""
    return {name: target for target, name in re.findall(r"^L (\S+) (\S+)$", _read("tzdata.zi"), re.MULTILINE)}


def _read(name: str) -> str:
    return resources.files("tzdata").joinpath("zoneinfo", name).read_text("utf-8")
