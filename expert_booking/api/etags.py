"""Entity tags in conditional requests."""

import re


def entity_tags(header: str, *, weak: bool = False) -> list[str] | None:
    """Parse the entity tags of a header; None for `*`. Weak tags are skipped unless `weak` (RFC 9110, 8.8.3.2)."""
    if header.strip() == "*":
        return None
    return [tag for weakness, tag in re.findall(r'(W/)?"([^"]*)"', header) if weak or not weakness]
