"""Entity tags in conditional requests."""

import re

from fastapi import Response


def not_modified(response: Response, version: str, if_none_match: str | None) -> Response | None:
    """A 304 if the caller has this version already; otherwise None, and `response` gets the ETag."""
    headers = {"ETag": f'"{version}"', "Cache-Control": "no-cache"}
    versions = entity_tags(if_none_match or "", weak=True)
    if versions is None or version in versions:
        return Response(status_code=304, headers=headers)
    response.headers.update(headers)
    return None


def entity_tags(header: str, *, weak: bool = False) -> list[str] | None:
    """Parse the entity tags of a header; None for `*`. Weak tags are skipped unless `weak` (RFC 9110, 8.8.3.2)."""
    if header.strip() == "*":
        return None
    return [tag for weakness, tag in re.findall(r'(W/)?"([^"]*)"', header) if weak or not weakness]
