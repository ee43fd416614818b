"""Names and countries of time zones, and where their rules come from."""

import subprocess
import sys
import zoneinfo

import pytest

from expert_booking.domain.time_zones import ZONE_NAMES, country_of, current_name


@pytest.mark.parametrize(
    ("zone", "country"),
    [
        ("Europe/Berlin", "DE"), ("Europe/Stockholm", "SE"), ("Europe/Busingen", "DE"), ("Europe/London", "GB"),
        ("America/New_York", "US"), ("America/Argentina/Buenos_Aires", "AR"), ("Asia/Kolkata", "IN"),
        ("Pacific/Auckland", "NZ"),
        # Old names.
        ("Asia/Calcutta", "IN"), ("Europe/Kiev", "UA"), ("US/Pacific", "US"), ("GB", "GB"), ("Iceland", "IS"),
        ("Africa/Asmera", "ER"), ("America/Virgin", "VI"), ("America/Coral_Harbour", "CA"), ("Africa/Timbuktu", "ML"),
        # No country.
        ("UTC", None), ("Etc/GMT+5", None), ("EST", None), ("CET", None), ("EST5EDT", None), ("Mars/Olympus", None),
        (None, None),
    ],
)  # fmt: skip
def test_country_of_a_zone(zone: str | None, country: str | None) -> None:
    assert country_of(zone) == country


def test_every_zone_with_a_place_has_a_country() -> None:
    without = {zone for zone in ZONE_NAMES if country_of(zone) is None}
    assert {zone for zone in without if "/" in zone and not zone.startswith("Etc/")} == set()


def test_current_names_are_zones() -> None:
    assert current_name("Asia/Calcutta") == "Asia/Kolkata"
    assert {current_name(zone) for zone in ZONE_NAMES} <= ZONE_NAMES


def test_rules_come_from_the_package_and_not_from_the_system() -> None:
    assert zoneinfo.TZPATH == ()
    script = (
        "import zoneinfo; zoneinfo.ZoneInfo('Europe/Berlin'); import expert_booking.cli;"
        "print(zoneinfo.TZPATH, len(zoneinfo.available_timezones()), zoneinfo.ZoneInfo('Europe/Berlin'))"
    )
    # PYTHONTZPATH names a folder without zones: only the package has any.
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True,
                            env={"PYTHONTZPATH": "/usr/share/zoneinfo"})  # fmt: skip
    assert result.stdout.split() == ["()", str(len(zoneinfo.available_timezones())), "Europe/Berlin"]
