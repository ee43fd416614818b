"""Names of people that look like a web or email address.

Mail programs turn such a name into a link. Anyone can book with the address of someone else and a name of their choice,
so the product would send that link for them.
"""

import re
import unicodedata
from functools import cache
from importlib import resources
from typing import Final

# The ideographic full stop is read as a dot, and joiners may be ignored.
_FOLDED: Final = str.maketrans({"。": ".", "\u200c": None, "\u200d": None})
_EMAIL: Final = re.compile(r"[^\s@]@[^\s@]")
# A possible domain, and whether a path follows.
_WORD: Final = re.compile(r"([^\s,;:!?()<>\[\]{}\"'“”„‘’«»|*~/\\#&=@]+)([/\\]?)")
# Top-level domains that are not family names, so that `x.com` is not read as initials.
_ONLY_DOMAINS: Final = frozenset({"app", "biz", "com", "dev", "edu", "gov", "info", "net", "online", "org", "site",
                                  "website", "xyz"})  # fmt: skip
# Abbreviations that people write before a name without a space: `Dr.Kim`, `St.Li`, `Co.KG`.
_ABBREVIATIONS: Final = frozenset((
    "abd", "bc", "bsc", "capt", "chr", "co", "col", "dipl", "dr", "drs", "eng", "fco", "fr", "frl", "gen", "hr", "hrn",
    "ing", "ir", "jos", "jr", "judr", "lt", "ma", "mag", "md", "med", "mgr", "mlle", "mme", "mohd", "mr", "mrs", "ms",
    "msc", "mudr", "ph", "phd", "phil", "prof", "pty", "pvt", "rer", "rev", "rndr", "sc", "sgt", "sh", "sir", "sk",
    "smt", "sr", "sra", "srta", "st", "sta", "ste", "th", "wm",
))  # fmt: skip


def looks_like_address(name: str) -> bool:
    """Whether a name contains what mail programs show as a link: a URL, a domain or an email address.

    A word with a dot inside is a domain if it ends with a top-level domain, unless only initials and abbreviations
    precede it: `evil.com` and `t.co/x` are domains, `J.R.Kim`, `Dr.Li` and `Node.js` are not.
    """
    # NFKC, because browsers and mail programs read full-width letters and dots as plain ones.
    folded = unicodedata.normalize("NFKC", name.translate(_FOLDED)).lower()
    if "://" in folded or _EMAIL.search(folded):
        return True
    return any(_is_domain(host.strip("."), has_path=bool(slash)) for host, slash in _WORD.findall(folded))


def _is_domain(host: str, *, has_path: bool) -> bool:
    *before, last = [label.strip("-–_") for label in host.split(".")]
    if not before or not all((*before, last)):
        return False
    is_ip_address = len(before) == 3 and host.replace(".", "").isdecimal()
    if before[0] == "www" or last.startswith("xn--") or is_ip_address:
        return True
    if last not in _top_level_domains():
        return False
    is_abbreviated = all(len(label) == 1 or label in _ABBREVIATIONS for label in before)
    return has_path or last in _ONLY_DOMAINS or not is_abbreviated


@cache
def _top_level_domains() -> frozenset[str]:
    text = resources.files(__package__).joinpath("top_level_domains.txt").read_text("utf-8")
    return frozenset(name for line in text.splitlines() if not line.startswith("#") for name in line.split())
