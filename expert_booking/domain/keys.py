"""Secrets that are worked out instead of kept: the database has nothing in it that opens anything."""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Final
from uuid import UUID

_MAC_BYTES: Final = 20
_LENGTH: Final = 48  # of a key as text: 16 bytes of id and 20 of proof


class Keys:
    """Makes and checks keys: to a booking, to the calendar feed of somebody, to a request for access.

    Each is the thing's id and a proof that only this house can make. Without the house's secret, which is not in the
    database, nobody makes one, and none can be read out of it.
    """

    def __init__(self, secret: str) -> None:
        # Not the secret itself: what else is signed with it can never pass for a key.
        self._secret = hmac.digest(secret.encode(), b"keys of expert-booking", "sha256")

    def booking(self, booking_id: UUID) -> str:
        """Opens one booking: stands in its mails and is the `accessToken` of whoever booked over REST."""
        return self._key("booking", booking_id)

    def booking_of(self, key: str) -> UUID | None:
        """The booking that a key opens; None for what is no such key."""
        return self._opened("booking", key)

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

    def _key(self, purpose: str, number: UUID) -> str:
        return urlsafe_b64encode(number.bytes + self._proof(purpose, number)).decode()

    def _opened(self, purpose: str, key: str) -> UUID | None:
        if len(key) != _LENGTH or not key.isascii():
            return None
        try:
            opened = urlsafe_b64decode(key)
        except ValueError:
            return None
        if len(opened) != 16 + _MAC_BYTES:
            return None
        number = UUID(bytes=opened[:16])
        # As text: the decoder lets signs pass that do not belong there, and there is one key only.
        return number if hmac.compare_digest(self._key(purpose, number).encode(), key.encode()) else None

    def _proof(self, purpose: str, number: UUID) -> bytes:
        return hmac.digest(self._secret, purpose.encode() + number.bytes, "sha256")[:_MAC_BYTES]
