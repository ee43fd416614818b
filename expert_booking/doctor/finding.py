"""What a check of the doctor returns, and how its sentences are put together."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

IN_PSQL: Final = "In psql: "


class State(StrEnum):
    """`ok`; `hint`: works, but deserves attention; `fail`: something does not work."""

    OK = "ok"
    HINT = "hint"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check, and advice unless it is `ok`. Contains no personal data."""

    check: str
    state: State
    says: str
    advice: str = ""


def listed(names: Sequence[str]) -> str:
    """`a, b and c`."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def time_span(seconds: float) -> str:
    """A duration in the largest unit of which there are at least two."""
    for unit, length in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} seconds"
