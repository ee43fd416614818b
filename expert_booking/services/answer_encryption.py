"""Answers at rest: sealed so that the database alone tells nothing of them."""

import hmac
import json
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from typing import Final

from cryptography.fernet import Fernet, InvalidToken

_ANSWERS: Final = b"answers of expert-booking"
_FINGERPRINTS: Final = b"fingerprints of expert-booking"


class AnswerEncryption:
    """For one caller's key: made of the site's secret, so nobody else opens it, nor what another request was told."""

    def __init__(self, secret: str, caller: bytes, key: str) -> None:
        # The caller is hashed by itself: where it ends and the key begins can be read in one way only.
        whose = hmac.digest(caller, key.encode(), "sha256")
        self._fernet = Fernet(urlsafe_b64encode(_derived(secret, _ANSWERS, whose)))
        self._marks = _derived(secret, _FINGERPRINTS, whose)

    def mark(self, fingerprint: bytes) -> bytes:
        """The fingerprint as it is kept: what was asked cannot be guessed and tried against it."""
        return hmac.digest(self._marks, fingerprint, "sha256")

    def encrypt(self, headers: Mapping[str, str], body: bytes) -> bytes:
        """An answer, unreadable."""
        return self._fernet.encrypt(json.dumps(dict(headers)).encode() + b"\n" + body)

    def decrypt(self, sealed: bytes) -> tuple[Mapping[str, str], bytes] | None:
        """The answer again; None for what was closed with another secret, or never."""
        try:
            head, _, body = self._fernet.decrypt(sealed).partition(b"\n")
        except InvalidToken:
            return None
        return json.loads(head), body


def _derived(secret: str, purpose: bytes, whose: bytes) -> bytes:
    return hmac.digest(hmac.digest(secret.encode(), purpose, "sha256"), whose, "sha256")
