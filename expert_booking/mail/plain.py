"""Make text from the database safe for headers and calendar files, including rows written with psql."""

import re
from typing import Final

_CONTROL_CHARACTERS: Final = re.compile("[\x00-\x1f\x7f-\x9f]")
_SURROGATES: Final = re.compile("[\ud800-\udfff]")
# These change the direction of the characters after them and can disguise a text as another one.
_BIDI_CONTROLS: Final = re.compile("[\u202a-\u202e\u2066-\u2069]")


def one_line(text: str) -> str:
    """Return the text on one line, with single spaces and without control characters."""
    return " ".join(" ".join(lines(text)).split())


def lines(text: str) -> list[str]:
    """Split at every kind of line break, including U+2028, and remove control characters. Empty text has no lines."""
    return [_clean(line) for line in text.splitlines()]


def _clean(line: str) -> str:
    line = _SURROGATES.sub("\ufffd", line)
    line = _BIDI_CONTROLS.sub("", line)
    return _CONTROL_CHARACTERS.sub(" ", line).rstrip()
