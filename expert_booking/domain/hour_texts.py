"""Read and write the hours of a day as people type them: `09:00–12:30, 14:00–18:00`."""

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from expert_booking.domain.hours import Window

MAX_TEXT: Final = 400
# Windows of one day.
MAX_WINDOWS: Final = 20
CLOSED: Final = "Closed"
_CLOSED: Final = frozenset({"", "-", "–", "—", "closed", "none", "off", "no", "x"})
_ALL_DAY: Final = frozenset({"24h", "24 h", "24 hours", "all day", "0-24", "00-24"})
_SEPARATOR: Final = re.compile(r"\s*(?:[,;|/+\n]|\band\b|&)\s*")
_RANGE: Final = re.compile(r"\s*(?:-+|[–—‒−~→]|\bto\b|\btill\b|\buntil\b|\bbis\b)\s*")
_CLOCK: Final = re.compile(
    r"(?P<hour>\d{1,2})(?:\s?[:.h]\s?(?P<minute>\d{2})?|(?P<joined>\d{2}))?\s*(?:uhr|o'clock)?\s*(?P<half>[ap]\.?m\.?)?"
)


def parse_hours(text: str) -> tuple[Window, ...]:
    """The hours in a text, in order; none for an empty text or `closed`.

    A closing time that is not after the opening is on the next day. Accepts `9-12.30, 14-18`, `9am to 5pm`,
    `0900–1730`, `22:00–02:00` and `all day`. Raises ValueError with a message for people.
    """
    if len(text) > MAX_TEXT:
        raise ValueError("Please use fewer hours.")
    plain = text.strip().lower()
    if plain in _CLOSED:
        return ()
    if plain in _ALL_DAY:
        return (Window(0, 1440),)
    windows = sorted(_window(part) for part in _SEPARATOR.split(plain) if part)
    if len(windows) > MAX_WINDOWS:
        raise ValueError("Please use fewer hours.")
    for one, other in pairwise(windows):
        if other.opens < one.closes:
            raise ValueError(f"{one} and {other} overlap.")
    return tuple(windows)


def hours_text(windows: Sequence[Window], closed: str = "") -> str:
    """The hours as `parse_hours` reads them; `closed` if there are none."""
    return ", ".join(map(str, windows)) or closed


def _window(text: str) -> Window:
    ends = _RANGE.split(text)
    if len(ends) != 2:
        raise ValueError(f"“{text}” is not a range of hours. Please write them like 09:00–12:30.")
    opens, closes = map(_minutes, ends)
    if (
        _half(ends[1]) == "p" and not _half(ends[0]) and opens < 720
    ):  # 1–5pm is in the afternoon, 9–5pm begins in the morning
        afternoon = opens + 720
        opens = afternoon if afternoon < closes else opens
    if opens == 1440:
        raise ValueError("Hours that begin at midnight open at 00:00.")
    return Window(opens, closes if closes > opens else closes + 1440)


def _half(text: str) -> str:
    found = _CLOCK.fullmatch(text.strip())
    return (found["half"] or "")[:1] if found else ""


def _minutes(text: str) -> int:
    found = _CLOCK.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"“{text}” is not a time. Please write times like 09:00.")
    hour, minute, half = int(found["hour"]), int(found["minute"] or found["joined"] or 0), found["half"]
    if half:
        if not 1 <= hour <= 12:
            raise ValueError(f"“{text}” is not a time.")
        hour = hour % 12 + 12 * half.startswith("p")
    if minute > 59 or hour * 60 + minute > 1440:
        raise ValueError(f"“{text}” is not a time.")
    return hour * 60 + minute
