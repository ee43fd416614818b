"""Encryption of stored API responses, so that the database alone does not reveal them."""

import hmac
import json
import re
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from typing import Final

from cryptography.fernet import Fernet, InvalidToken

_ANSWERS: Final = b"answers of expert-booking"
_FINGERPRINTS: Final = b"fingerprints of expert-booking"
_CUSTOMERS: Final = b"customers in answers of expert-booking"
_EMAIL: Final = re.compile(rb'"email":\s?("(?:[^"\\]|\\.)*")')


class AnswerEncryption:
    """Encrypts the response to one Idempotency-Key of one caller, with a key derived from the site's secret."""

    def __init__(self, secret: str, caller: bytes, key: str) -> None:
        # HMAC instead of concatenation, so that no two pairs of caller and key give the same context.
        context = hmac.digest(caller, key.encode(), "sha256")
        self._fernet = Fernet(urlsafe_b64encode(_derive(secret, _ANSWERS, context)))
        self._fingerprint_key = _derive(secret, _FINGERPRINTS, context)

    def mark(self, fingerprint: bytes) -> bytes:
        """The keyed hash under which a request's fingerprint is stored, so that requests cannot be guessed from it."""
        return hmac.digest(self._fingerprint_key, fingerprint, "sha256")

    def encrypt(self, headers: Mapping[str, str], body: bytes) -> bytes:
        """Encrypt a response."""
        return self._fernet.encrypt(json.dumps(dict(headers)).encode() + b"\n" + body)

    def decrypt(self, encrypted: bytes) -> tuple[Mapping[str, str], bytes] | None:
        """The headers and body of a response; None if it was not encrypted with this secret, caller and key."""
        try:
            head, _, body = self._fernet.decrypt(encrypted).partition(b"\n")
        except InvalidToken:
            return None
        return json.loads(head), body


def customer_mark(secret: str, email: str) -> bytes:
    """The keyed hash under which responses that contain this email address, spelled like this, are found."""
    return _derive(secret, _CUSTOMERS, email.encode(errors="replace"))


def customer_mark_in(secret: str, body: bytes) -> bytes | None:
    """The mark of the email address in a response; None if it contains none."""
    found = _EMAIL.search(body)
    return None if found is None else customer_mark(secret, json.loads(found[1]))


def _derive(secret: str, purpose: bytes, context: bytes) -> bytes:
    return hmac.digest(hmac.digest(secret.encode(), purpose, "sha256"), context, "sha256")
