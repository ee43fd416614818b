"""Secrets that are worked out instead of kept: the database has nothing in it that opens anything."""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Final
from uuid import UUID

_MAC_BYTES: Final = 20
_VERSION_BYTES: Final = 3
_LENGTH: Final = 48  # of a key as text: 16 bytes of id and 20 of proof
_LENGTH_WITH_VERSION: Final = 52
# 32 letters and digits that nobody mistakes for each other: no I, O, 0 and 1.
_ALPHABET: Final = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
_LONG_CODE: Final = 8
_MARK_BYTES: Final = 12


class SignedKeys:
    """Makes and checks keys: to a booking, to the calendar feed of somebody, to a request for access.

    Each is the thing's id and a proof that only this site can make. Without the site's secret, which is not in the
    database, nobody makes one, and none can be read out of it.
    """

    def __init__(self, secret: str) -> None:
        # Not the secret itself: what else is signed with it can never pass for a key.
        self._secret = hmac.digest(secret.encode(), b"keys of expert-booking", "sha256")

    def booking(self, booking_id: UUID, version: int = 1) -> str:
        """Opens one booking: stands in its mails and is the `accessToken` of whoever booked over REST.

        It opens the booking only while `version` is the booking's key version. Keys of version 1 carry no version:
        they are the keys that were made before there were versions.
        """
        return self._key("booking", booking_id, version)

    def booking_of(self, key: str) -> UUID | None:
        """The booking that a key belongs to; None for what is no such key. The caller compares `version_of`."""
        return self._opened("booking", key, self.version_of(key))

    @staticmethod
    def version_of(key: str) -> int:
        """The key version that a booking's key carries. Only what `booking_of` knows is a key."""
        if len(key) != _LENGTH_WITH_VERSION or not key.isascii():
            return 1
        try:
            return int.from_bytes(urlsafe_b64decode(key)[16 : 16 + _VERSION_BYTES])
        except ValueError:
            return 1

    def feed(self, feed_id: UUID) -> str:
        """The address of a calendar feed."""
        return self._key("feed", feed_id)

    def feed_of(self, key: str) -> UUID | None:
        """The feed at an address; None for what is none."""
        return self._opened("feed", key)

    def link(self, request_id: UUID) -> str:
        """What the access link in a mail carries."""
        return self._key("link", request_id)

    def link_of(self, key: str) -> UUID | None:
        """The request for access that a link belongs to; None for what is no such link."""
        return self._opened("link", key)

    def code(self, request_id: UUID) -> str:
        """The six digits that a mail with an access link also carries."""
        proof = hmac.digest(self._secret, b"code" + request_id.bytes, "sha256")
        return f"{int.from_bytes(proof[:8]) % 1_000_000:06}"

    def is_code(self, request_id: UUID, typed: str) -> bool:
        """Whether these are the digits; takes as long for wrong ones."""
        return hmac.compare_digest(self.code(request_id).encode(), typed.encode(errors="replace"))

    def mailbox(self) -> str:
        """Opens the page with the demo's mail."""
        return urlsafe_b64encode(hmac.digest(self._secret, b"mailbox", "sha256")[:24]).decode()

    def is_mailbox(self, given: str) -> bool:
        """Whether this opens it; takes as long for a wrong one."""
        return hmac.compare_digest(self.mailbox().encode(), given.encode(errors="replace"))

    def long_code(self, request_id: UUID) -> str:
        """Eight letters and digits (40 bits), for requests of an address that was asked for before in this hour."""
        proof = hmac.digest(self._secret, b"long code" + request_id.bytes, "sha256")
        return "".join(_ALPHABET[byte % len(_ALPHABET)] for byte in proof[:_LONG_CODE])

    def is_long_code(self, request_id: UUID, typed: str) -> bool:
        """Whether these are the letters and digits, in upper or lower case; takes as long for wrong ones."""
        return hmac.compare_digest(self.long_code(request_id).encode(), typed.upper().encode(errors="replace"))

    def mark(self, customer_key: str) -> str:
        """What a browser keeps to show later that it has proven this address before. Tells nothing of the address."""
        proof = hmac.digest(self._secret, b"mark" + customer_key.encode(), "sha256")
        return urlsafe_b64encode(proof[:_MARK_BYTES]).decode()

    def _key(self, purpose: str, number: UUID, version: int = 1) -> str:
        opens = number.bytes + (b"" if version == 1 else version.to_bytes(_VERSION_BYTES))
        proof = hmac.digest(self._secret, purpose.encode() + opens, "sha256")[:_MAC_BYTES]
        return urlsafe_b64encode(opens + proof).decode()

    def _opened(self, purpose: str, key: str, version: int = 1) -> UUID | None:
        length = _LENGTH if version == 1 else _LENGTH_WITH_VERSION
        if len(key) != length or not key.isascii():
            return None
        try:
            opened = urlsafe_b64decode(key)
        except ValueError:
            return None
        if len(opened) < 16 + _MAC_BYTES:
            return None
        number = UUID(bytes=opened[:16])
        # As text: the decoder lets signs pass that do not belong there, and there is one key only.
        return number if hmac.compare_digest(self._key(purpose, number, version).encode(), key.encode()) else None
