"""Questions that an expert asks before a session, and the customer's answers.

An answer keeps the wording it was given to. A sensitive one is shown only to people who have signed in: it never
travels by email, in a calendar file or in an export for others.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum


class QuestionKind(StrEnum):
    SHORT_TEXT = "short_text"
    LONG_TEXT = "long_text"
    CHOICE = "choice"
    CHOICES = "choices"
    YES_NO = "yes_no"
    NUMBER = "number"


# The kinds that offer options.
WITH_OPTIONS = frozenset({QuestionKind.CHOICE, QuestionKind.CHOICES})

Value = str | bool | int | float | Sequence[str]


@dataclass(frozen=True, slots=True)
class Question:
    """A question of a session type. `id` stays the same when the wording changes."""

    id: str
    kind: QuestionKind
    text: str
    required: bool = False
    sensitive: bool = False
    options: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer to the question `question`, as it was worded then. `value` None: it is hidden from this reader."""

    id: str
    kind: QuestionKind
    question: str
    value: Value | None
    sensitive: bool = False

    @property
    def text(self) -> str:
        """The answer for people: `Yes`, `Red, green`, `3.5`. Empty if it is hidden."""
        if self.value is None:
            return ""
        if isinstance(self.value, bool):
            return "Yes" if self.value else "No"
        return str(self.value) if isinstance(self.value, str | int | float) else ", ".join(self.value)

    def hidden(self) -> "Answer":
        """The same for readers who have not signed in: without a sensitive value."""
        return replace(self, value=None) if self.sensitive else self
