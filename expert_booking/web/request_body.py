"""Read the small bodies that forms and sign-in scripts send."""

from typing import Final
from urllib.parse import parse_qs

from fastapi import Request

# Bytes of an email address, a code or a link, with a margin.
_MAX_BODY: Final = 4096


async def body_of(request: Request) -> bytes | None:
    """The request body; None if it is too large."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _MAX_BODY:
            return None
    return body


def field_of(body: bytes, name: str) -> str:
    """One field of a form's body; empty if it is missing."""
    return parse_qs(body.decode(errors="replace")).get(name, [""])[0]
