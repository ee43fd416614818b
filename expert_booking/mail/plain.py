"""What people typed, made fit for headers and calendars: whoever wrote it into the database, and however."""

import re
from typing import Final

_CONTROLS: Final = re.compile("[\x00-\x1f\x7f-\x9f]")
_HALVES: Final = re.compile("[\ud800-\udfff]")
# They turn the letters after them around, so that a text looks like another one.
_TURNS: Final = re.compile("[\u202a-\u202e\u2066-\u2069]")


def one_line(text: str) -> str:
    """On one line, with single spaces and without control characters."""
    return " ".join(" ".join(lines(text)).split())


def lines(text: str) -> list[str]:
    """Its lines, whatever ends them (U+2028 does, too), without control characters; none of no text."""
    return [_CONTROLS.sub(" ", _TURNS.sub("", _HALVES.sub("\ufffd", line))).rstrip() for line in text.splitlines()]
