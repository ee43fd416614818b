"""Slugs: experts' names in URLs."""

import re
import unicodedata

# Letters that Unicode normalisation does not decompose into a base letter and a mark.
_LETTERS = str.maketrans({"ß": "ss", "ø": "o", "Ø": "o", "ł": "l", "Ł": "l", "đ": "d", "Đ": "d", "ı": "i",
                          "æ": "ae", "Æ": "ae", "œ": "oe", "Œ": "oe", "þ": "th", "Þ": "th", "ð": "d"})  # fmt: skip


def is_slug(text: str) -> bool:
    """Whether this text is a well-formed slug."""
    return re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", text) is not None


def slug_of(name: str) -> str:
    """`Dr. Łukasz Müller-Straße` → `dr-lukasz-muller-strasse`; `expert` if the name has no usable characters."""
    plain = unicodedata.normalize("NFKD", name.translate(_LETTERS)).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:80].rstrip("-") or "expert"
