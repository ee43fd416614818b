"""Normalise text that people enter, and refuse or remove characters that change how the text around it reads.

Every function takes linear time.
"""

import re
import unicodedata
from typing import Final

# Control characters, lone surrogates and noncharacters. Tabs and line ends are allowed.
_REFUSED: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
# Characters that show nothing: bidirectional controls (061c, 200e, 200f, 202a-202e, 2066-2069), other format
# characters, Hangul fillers, and ignorable characters that are not assigned yet.
_INVISIBLE: Final = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200e\u200f\u202a-\u202e\u2060-\u206f\u3164\ufeff\uffa0"
    "\ufff0-\ufffc\U00013430-\U0001345f\U0001bca0-\U0001bca3\U0001d159\U0001d173-\U0001d17a"
    "\U000e0000-\U000e001f\U000e0080-\U000e00ff\U000e01f0-\U000e0fff]"
)
# The Braille blank is a space; the other two are line ends.
_SPACES: Final = str.maketrans({"\u2800": " ", "\u2028": "\n", "\u2029": "\n"})
# Tag characters spell the region of a flag, such as Scotland's. Anywhere else they are hidden text.
_TAGS: Final = re.compile(
    "(\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{3,6}\U000e007f)|[\U000e0020-\U000e007f]"
)
# They choose a form of the character before them: an emoji, or a variant of a Chinese character in a Japanese name.
_VARIATION_SELECTORS: Final = re.compile("[\u180b-\u180d\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef]+")
# Joiners change the form of the letters beside them, in Persian and Indic words and in emoji. The zero-width space
# says where a line may break, in Khmer and Thai.
_JOINERS: Final = re.compile("[\u200b-\u200d]+")
_ZERO_WIDTH_SPACE: Final = "\u200b"
# More combining marks in a row than any language needs cover the lines above and below. The limit also keeps
# normalisation linear.
_MAX_MARKS: Final = 10


def clean_lines(text: str) -> str:
    """Trim a text of several lines and normalise it to NFC. Lines end with `\\n`.

    Raises ValueError for control characters.
    """
    text = unicodedata.normalize("NFC", _without_invisible(text, keep_zero_width_space=True))
    return text.replace("\r\n", "\n").replace("\r", "\n").strip()


def clean_line(text: str) -> str:
    """Normalise a text to NFC on one line; whitespace becomes single spaces.

    Raises ValueError for control characters.
    """
    return unicodedata.normalize("NFC", clean_address(text))


def clean_address(text: str) -> str:
    """Like `clean_line`, without NFC, which would make different email addresses equal."""
    return re.sub(r"\s+", " ", _without_invisible(text)).strip()


def has_visible(text: str) -> bool:
    """Whether a cleaned text contains a character that people can see."""
    return any(unicodedata.category(char)[0] not in "MZ" for char in text)


def _without_invisible(text: str, *, keep_zero_width_space: bool = False) -> str:
    if _REFUSED.search(text):
        raise ValueError("Please remove control characters.")
    if text.isascii():
        return text
    text = _INVISIBLE.sub("", text.translate(_SPACES))
    text = _TAGS.sub(r"\1", text)
    if not keep_zero_width_space:
        text = text.replace(_ZERO_WIDTH_SPACE, "")
    text = _VARIATION_SELECTORS.sub(_selector_after_character, text)
    text = _JOINERS.sub(_joiner_in_word, text)
    _check_marks(text)
    return text


def _selector_after_character(found: re.Match[str]) -> str:
    """The first of these variation selectors, if there is a character that it can apply to."""
    return found.group()[0] if _is_part_of_word(_before(found)) else ""


def _joiner_in_word(found: re.Match[str]) -> str:
    """The first of these joiners, if it is inside a word or emoji, or ends an Indic word after a virama."""
    before, after = _before(found), found.string[found.end() : found.end() + 1]
    is_inside = _is_part_of_word(before) and _is_part_of_word(after)
    return found.group()[0] if is_inside or (before and unicodedata.combining(before) == 9) else ""


def _before(found: re.Match[str]) -> str:
    return found.string[max(0, found.start() - 1) : found.start()]


def _is_part_of_word(char: str) -> bool:
    """Whether this is a letter, mark, digit or symbol, or a character newer than Python's tables, such as an emoji."""
    return bool(char) and (unicodedata.category(char)[0] in "LMNS" or unicodedata.category(char) in ("Cn", "Co"))


def _check_marks(text: str) -> None:
    marks = 0
    for char in text:
        marks = marks + 1 if unicodedata.category(char) in ("Mn", "Me") else 0
        if marks > _MAX_MARKS:
            raise ValueError("Please use fewer accents on one letter.")
