"""Checks of the settings and of the machine they were made for."""

import re
from datetime import UTC, datetime, timedelta
from importlib.resources.abc import Traversable
from typing import Final
from urllib.parse import urlsplit

from expert_booking.doctor.finding import Finding, State
from expert_booking.settings import Settings, SettingsError

_MAKE_A_KEY: Final = "Make a new one with: python3 -c 'import secrets; print(secrets.token_urlsafe(48))'"
_ONE_YEAR: Final = timedelta(days=365)


def secret_key(settings: Settings) -> Finding:
    """Whether the key can be guessed, or read by other users of this machine."""
    name = "secret key"
    if settings.secret_key is not None:
        if len(settings.secret_key) < 32 or len(set(settings.secret_key)) < 12:
            weak = "EXPERT_BOOKING_SECRET_KEY is short or made of few different characters, so it may be guessed."
            return Finding(name, State.HINT, weak, f"{_MAKE_A_KEY}; all existing links and tokens then stop working.")
        return Finding(name, State.OK, f"EXPERT_BOOKING_SECRET_KEY has {len(settings.secret_key)} characters.")
    path = settings.data_dir / "secret.key"
    if not path.exists():
        missing = f"There is no {path}. The next start creates one; existing links and tokens then stop working."
        return Finding(name, State.HINT, missing, "If you had one, restore it from your backup.")
    if path.stat().st_mode & 0o077:
        return Finding(name, State.FAIL, f"Other users of this machine can read {path}.", f"chmod 600 '{path}'")
    try:
        settings.secret()
    except SettingsError as wrong:
        return Finding(name, State.FAIL, "The key in the data folder is not used.", str(wrong))
    return Finding(name, State.OK, f"{path} exists, and only its owner can read it.")


def address(settings: Settings) -> Finding:
    """Whether cookies are encrypted in transit."""
    url, name = settings.public_url, "address"
    if url.startswith("https://"):
        return Finding(name, State.OK, f"The site is at {url}; cookies are marked secure.")
    if urlsplit(url).hostname in ("localhost", "127.0.0.1", "::1"):
        return Finding(name, State.OK, f"The site is at {url}, for this machine only.")
    insecure = f"The site is at {url}: names and cookies are sent unencrypted."
    advice = "Put a proxy with a certificate in front of it, and set EXPERT_BOOKING_BASE_URL."
    return Finding(name, State.HINT, insecure, advice)


def time_zones(now: datetime, package: Traversable) -> Finding:
    """Whether the time zone rules in this directory of the package tzdata are less than a year old. `now` is UTC."""
    version, released_before = _zone_rules(package)
    text = f"The time zone rules are {version}, from the package tzdata."
    if now < released_before + _ONE_YEAR:
        return Finding("time zones", State.OK, text)
    return Finding("time zones", State.HINT, f"{text} They are more than a year old.", "pip install -U tzdata")


def _zone_rules(package: Traversable) -> tuple[str, datetime]:
    """The version of the rules, such as 2026f, and the latest instant (UTC) at which it was released.

    The package has no dates, but a table of leap seconds that expires at the end of June or December and is replaced
    half a year to a year before. A release is therefore at least half a year older than the expiry of its table.
    """
    version = re.search(r"^# version (\S+)", package.joinpath("tzdata.zi").read_text("utf-8"), re.MULTILINE)
    expires = re.search(r"^#expires (\d+)", package.joinpath("leapseconds").read_text("utf-8"), re.MULTILINE)
    assert version is not None
    assert expires is not None
    return version[1], datetime.fromtimestamp(int(expires[1]), UTC) - _ONE_YEAR / 2
