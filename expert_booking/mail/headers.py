"""Encode and fold email headers, so that no name or title can inject a header or an address."""

import re
import textwrap
from base64 import b64encode
from collections.abc import Iterator
from email.utils import parseaddr
from functools import lru_cache
from typing import Final

from expert_booking.domain.addresses import customer_key
from expert_booking.mail.message import Headers
from expert_booking.mail.plain import one_line

# Together with the longest header name, and encoded, this stays below the 78 characters of a line.
_MAX_LINE_LENGTH: Final = 64
_MAX_ENCODED_WORD_OCTETS: Final = 39


def mail_address(email: str) -> str:
    """Return the address as mail servers expect it, with the domain as in DNS. Raises ValueError if it is not valid."""
    key = customer_key(email)
    local = email.rpartition("@")[0]
    return f"{local if local.isascii() else key.rpartition('@')[0]}@{key.rpartition('@')[2]}"


@lru_cache(maxsize=8)  # the site's own sender, several times for each email
def name_and_address(sender: str) -> tuple[str, str]:
    """Split `Expert Booking <booking@example.com>` into name and address. Raises ValueError without an address."""
    name, email = parseaddr(sender)
    return one_line(name), mail_address(email)


def put_text(headers: Headers, name: str, text: str) -> None:
    """Add a header with text, such as the subject."""
    headers.add(name, _folded(one_line(text)))


def put_address(headers: Headers, name: str, display_name: str, address: str) -> None:
    """Add a header with one address, as `mail_address` returns it, and its owner's name."""
    owner = one_line(display_name)
    # Only the address matters, so leave out the name where the line would get too long.
    if not owner or len(address) > _MAX_LINE_LENGTH:
        headers.add(name, address)
        return
    simple = re.fullmatch(r"[A-Za-z0-9 ]+", owner) and len(owner) + len(address) < _MAX_LINE_LENGTH
    headers.add(name, f"{owner} <{address}>" if simple else f"{_encoded(owner)}\r\n <{address}>")


def put_url(headers: Headers, name: str, url: str) -> None:
    """Add a header with one URL, such as List-Unsubscribe, on one line: a URL cannot be folded."""
    headers.add(name, f"<{url}>")


def _folded(text: str) -> str:
    plain = text.isascii() and "=?" not in text and max(map(len, text.split()), default=0) < _MAX_LINE_LENGTH
    if not plain:
        return _encoded(text)
    return "\r\n ".join(textwrap.wrap(text, _MAX_LINE_LENGTH, break_long_words=False, break_on_hyphens=False))


def _encoded(text: str) -> str:
    return "\r\n ".join(f"=?utf-8?b?{b64encode(chunk).decode()}?=" for chunk in _chunks(text))


def _chunks(text: str) -> Iterator[bytes]:
    """Split the text into chunks of UTF-8 without splitting a character."""
    chunk = b""
    for character in text:
        octets = character.encode()
        if len(chunk) + len(octets) > _MAX_ENCODED_WORD_OCTETS:
            yield chunk
            chunk = b""
        chunk += octets
    yield chunk
