"""Checks of the settings and of the machine they were made for."""

import importlib.metadata
import zoneinfo
from datetime import datetime
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from expert_booking.doctor.finding import Finding, State
from expert_booking.settings import Settings, SettingsError

_MAKE_A_KEY: Final = "Make a new one with: python3 -c 'import secrets; print(secrets.token_urlsafe(48))'"


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


def time_zones(now: datetime) -> Finding:
    """Whether the time zone rules are of this year or last year."""
    version, source = _zone_rules()
    if version[:4].isdecimal() and int(version[:4]) >= now.year - 1:
        return Finding("time zones", State.OK, f"The time zone rules are {version}, {source}.")
    advice = "Update the system's package tzdata, or `pip install -U tzdata` if the system has none."
    return Finding("time zones", State.HINT, f"The time zone rules are old: {version}, {source}.", advice)


def _zone_rules() -> tuple[str, str]:
    # In zoneinfo's own order: the system's first.
    for folder in map(Path, zoneinfo.TZPATH):
        if (folder / "Europe" / "Berlin").exists():
            return _version_in(folder), f"from {folder}"
    return importlib.metadata.version("tzdata"), "from the package tzdata"


def _version_in(folder: Path) -> str:
    for name in ("tzdata.zi", "+VERSION"):
        if (folder / name).exists():
            first = (folder / name).read_text(errors="replace").partition("\n")[0]
            return first.removeprefix("# version ").strip()
    return "of unknown version"
