"""Finished emails: the envelope, and the bytes to send.

The standard library's email package parses each header that is set, which takes several milliseconds for one email.
Here headers and parts are written directly, in the format of RFC 5322 and RFC 2045. Tests compare the result with what
the standard library reads.
"""

import base64
import binascii
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_LINE_END: Final = b"\r\n"


@dataclass(frozen=True, slots=True)
class Email:
    """An email to one recipient. Addresses are as mail servers expect them, with the domain as in DNS."""

    sender: str
    recipient: str
    # Headers and body, with CRLF at the end of each line.
    content: bytes

    @property
    def needs_smtputf8(self) -> bool:
        """Whether only a server with SMTPUTF8 can deliver it, because of an address outside ASCII."""
        return not (self.sender.isascii() and self.recipient.isascii())

    def __bytes__(self) -> bytes:
        return self.content


class Headers:
    """The headers of an email or of a part, in the order in which they were added."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def add(self, name: str, value: str) -> None:
        """Add a header. The value must be encoded and folded already; see `mail/headers.py`."""
        self._lines.append(f"{name}: {value}\r\n")

    def extend(self, more: "Headers") -> None:
        """Add all headers of another list."""
        self._lines += more._lines

    def __bytes__(self) -> bytes:
        return "".join(self._lines).encode()


def text_part(subtype: str, text: str) -> bytes:
    """A part with text in UTF-8, as quoted-printable. Lines end with CRLF whatever they end with in `text`."""
    lines = text.encode(errors="replace").splitlines()
    body = binascii.b2a_qp(_LINE_END.join([*lines, b""]))
    return _part(f'text/{subtype}; charset="utf-8"', "quoted-printable", body)


def base64_part(content_type: str, content: bytes, *more: tuple[str, str]) -> bytes:
    """A part with any content, as base64, with further headers."""
    return _part(content_type, "base64", base64.encodebytes(content).replace(b"\n", _LINE_END), *more)


def multipart(subtype: str, parts: Sequence[bytes], seed: str) -> bytes:
    """A part that contains other parts. `seed` must be different for each email."""
    # In quoted-printable and base64, no line contains "=_".
    boundary = "=_" + hashlib.sha256(f"{subtype} {seed}".encode()).hexdigest()[:32]
    between, end = f"--{boundary}\r\n".encode(), f"--{boundary}--\r\n".encode()
    headers = Headers()
    headers.add("Content-Type", f'multipart/{subtype};\r\n boundary="{boundary}"')
    pieces = [bytes(headers), _LINE_END]
    for part in parts:
        pieces += [between, part, _LINE_END]
    return b"".join([*pieces, end])


def email(sender: str, recipient: str, headers: Headers, body: bytes) -> Email:
    """An email of these headers and one part, which is the body. Adds the MIME version."""
    headers.add("MIME-Version", "1.0")
    return Email(sender, recipient, bytes(headers) + body)


def _part(content_type: str, encoding: str, body: bytes, *more: tuple[str, str]) -> bytes:
    headers = Headers()
    for name, value in (("Content-Type", content_type), ("Content-Transfer-Encoding", encoding), *more):
        headers.add(name, value)
    return bytes(headers) + _LINE_END + body
