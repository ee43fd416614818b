"""Access keys derived from the site's secret instead of stored, so that the database alone grants no access."""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Final
from uuid import UUID

_MAC_BYTES: Final = 20
_VERSION_BYTES: Final = 3
_KEY_LENGTH: Final = 48  # characters: 16 bytes of id and 20 of MAC in base64
_KEY_LENGTH_WITH_VERSION: Final = 52
# 32 letters and digits that are hard to confuse: no I, O, 0 or 1.
_ALPHABET: Final = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
_LONG_CODE_LENGTH: Final = 8
_MARK_BYTES: Final = 12


class SignedKeys:
    """Makes and verifies keys to bookings, calendar feeds and access requests.

    A key is an id and a MAC under the site's secret. The secret is not in the database, so keys can neither be read
    from it nor forged.
    """

    def __init__(self, secret: str) -> None:
        # A derived secret, so that nothing else signed with the site's secret can pass for a key.
        self._secret = hmac.digest(secret.encode(), b"keys of expert-booking", "sha256")

    def booking(self, booking_id: UUID, version: int = 1) -> str:
        """The key to one booking. Its emails contain it, and the API returns it as `accessToken`.

        It is valid while `version` is the booking's key version. Keys of version 1 contain no version, because they
        are older than key versions.
        """
        return self._key("booking", booking_id, version)

    def booking_of(self, key: str) -> UUID | None:
        """The booking that a key belongs to; None if the key is not valid. The caller must check `version_of`."""
        return self._verified("booking", key, self.version_of(key))

    @staticmethod
    def version_of(key: str) -> int:
        """The key version in a booking's key. Does not verify the key; `booking_of` and `not_booked_of` do."""
        if len(key) != _KEY_LENGTH_WITH_VERSION or not key.isascii():
            return 1
        try:
            return int.from_bytes(urlsafe_b64decode(key)[16 : 16 + _VERSION_BYTES])
        except ValueError:
            return 1

    def not_booked(self, booking_id: UUID, version: int = 1) -> str:
        """The key in the link "Didn't book this?" of the emails about a booking. Contains the booking's key version."""
        return self._key("not booked", booking_id, version)

    def not_booked_of(self, key: str) -> UUID | None:
        """The booking that such a key belongs to; None if the key is not valid. The caller must check `version_of`."""
        return self._verified("not booked", key, self.version_of(key))

    def reminders(self, booking_id: UUID) -> str:
        """The key that turns the reminders of a booking off and on."""
        return self._key("reminders", booking_id)

    def reminders_of(self, key: str) -> UUID | None:
        """The booking that such a key belongs to; None if the key is not valid."""
        return self._verified("reminders", key)

    def feed(self, feed_id: UUID) -> str:
        """The key in the address of a calendar feed."""
        return self._key("feed", feed_id)

    def feed_of(self, key: str) -> UUID | None:
        """The feed that a key belongs to; None if the key is not valid."""
        return self._verified("feed", key)

    def link(self, request_id: UUID) -> str:
        """The key in an emailed access link."""
        return self._key("link", request_id)

    def link_of(self, key: str) -> UUID | None:
        """The access request that a link's key belongs to; None if the key is not valid."""
        return self._verified("link", key)

    def code(self, request_id: UUID) -> str:
        """The six-digit code sent together with an access link."""
        proof = hmac.digest(self._secret, b"code" + request_id.bytes, "sha256")
        return f"{int.from_bytes(proof[:8]) % 1_000_000:06}"

    def is_code(self, request_id: UUID, typed: str) -> bool:
        """Whether this is the six-digit code. Compares in constant time."""
        return hmac.compare_digest(self.code(request_id).encode(), typed.encode(errors="replace"))

    def verification(self, booking_id: UUID) -> str:
        """The key in the email that asks the customer of a new booking to confirm the address.

        Unlike the key to the booking, it is known only to readers of that email.
        """
        return self._key("verification", booking_id)

    def verification_of(self, key: str) -> UUID | None:
        """The booking whose address a key confirms; None if the key is not valid."""
        return self._verified("verification", key)

    def verification_code(self, booking_id: UUID) -> str:
        """The six-digit code in the same email."""
        proof = hmac.digest(self._secret, b"verification code" + booking_id.bytes, "sha256")
        return f"{int.from_bytes(proof[:8]) % 1_000_000:06}"

    def is_verification_code(self, booking_id: UUID, typed: str) -> bool:
        """Whether this is that code. Compares in constant time."""
        return hmac.compare_digest(self.verification_code(booking_id).encode(), typed.encode(errors="replace"))

    def mailbox(self) -> str:
        """The key to the page with the demo's emails."""
        return urlsafe_b64encode(hmac.digest(self._secret, b"mailbox", "sha256")[:24]).decode()

    def is_mailbox(self, given: str) -> bool:
        """Whether this is the key to the mailbox page. Compares in constant time."""
        return hmac.compare_digest(self.mailbox().encode(), given.encode(errors="replace"))

    def long_code(self, request_id: UUID) -> str:
        """A code of eight letters and digits (40 bits), used if the address was already requested within the hour."""
        proof = hmac.digest(self._secret, b"long code" + request_id.bytes, "sha256")
        return "".join(_ALPHABET[byte % len(_ALPHABET)] for byte in proof[:_LONG_CODE_LENGTH])

    def is_long_code(self, request_id: UUID, typed: str) -> bool:
        """Whether this is the long code, ignoring case. Compares in constant time."""
        return hmac.compare_digest(self.long_code(request_id).encode(), typed.upper().encode(errors="replace"))

    def mark(self, customer_key: str) -> str:
        """A marker that a browser stores to show later that it has proven this address. Does not reveal the address."""
        proof = hmac.digest(self._secret, b"mark" + customer_key.encode(), "sha256")
        return urlsafe_b64encode(proof[:_MARK_BYTES]).decode()

    def _key(self, purpose: str, number: UUID, version: int = 1) -> str:
        payload = number.bytes + (b"" if version == 1 else version.to_bytes(_VERSION_BYTES))
        mac = hmac.digest(self._secret, purpose.encode() + payload, "sha256")[:_MAC_BYTES]
        return urlsafe_b64encode(payload + mac).decode()

    def _verified(self, purpose: str, key: str, version: int = 1) -> UUID | None:
        length = _KEY_LENGTH if version == 1 else _KEY_LENGTH_WITH_VERSION
        if len(key) != length or not key.isascii():
            return None
        try:
            decoded = urlsafe_b64decode(key)
        except ValueError:
            return None
        if len(decoded) < 16 + _MAC_BYTES:
            return None
        number = UUID(bytes=decoded[:16])
        # Compare as text: the decoder ignores invalid characters, and only one spelling of a key is valid.
        return number if hmac.compare_digest(self._key(purpose, number, version).encode(), key.encode()) else None
