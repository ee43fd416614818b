"""Headers of mails: encoded and folded, so that no name and no title can become another header or another address."""

import re
import textwrap
from base64 import b64encode
from collections.abc import Iterator
from email.message import EmailMessage
from email.utils import parseaddr
from typing import Final

from expert_booking.domain.addresses import customer_key
from expert_booking.mail.plain import one_line

# With the longest name of a header in front of it, and encoded, this is less than the 78 letters of a line.
_WIDTH: Final = 64
_OCTETS: Final = 39


def mail_address(email: str) -> str:
    """An address as mail servers know it: the domain as in DNS. Raises ValueError where it is no address."""
    known_by = customer_key(email)
    local = email.rpartition("@")[0]
    return f"{local if local.isascii() else known_by.rpartition('@')[0]}@{known_by.rpartition('@')[2]}"


def name_and_address(sender: str) -> tuple[str, str]:
    """Of `Expert Booking <booking@example.com>` both parts. Raises ValueError where there is no address."""
    name, email = parseaddr(sender)
    return one_line(name), mail_address(email)


def put_text(message: EmailMessage, name: str, text: str) -> None:
    """Add a header that people read."""
    # Not left to the library: in Python 3.11 it repeats words of long headers that are not all ASCII.
    message.set_raw(name, _folded(one_line(text)))


def put_address(message: EmailMessage, name: str, display_name: str, address: str) -> None:
    """Add a header with one address, as `mail_address` gives it, and whose it is."""
    whose = one_line(display_name)
    # A line that is too long would be folded by the library; whose address it is can be left out.
    if not whose or len(address) > _WIDTH:
        message.set_raw(name, address)
        return
    simple = re.fullmatch(r"[A-Za-z0-9 ]+", whose) and len(whose) + len(address) < _WIDTH
    message.set_raw(name, f"{whose} <{address}>" if simple else f"{_encoded(whose)}\r\n <{address}>")


def _folded(text: str) -> str:
    plain = text.isascii() and "=?" not in text and max(map(len, text.split()), default=0) < _WIDTH
    if not plain:
        return _encoded(text)
    return "\r\n ".join(textwrap.wrap(text, _WIDTH, break_long_words=False, break_on_hyphens=False))


def _encoded(text: str) -> str:
    return "\r\n ".join(f"=?utf-8?b?{b64encode(part).decode()}?=" for part in _parts(text))


def _parts(text: str) -> Iterator[bytes]:
    """The text in pieces of whole letters."""
    part = b""
    for letter in text:
        octets = letter.encode()
        if len(part) + len(octets) > _OCTETS:
            yield part
            part = b""
        part += octets
    yield part
