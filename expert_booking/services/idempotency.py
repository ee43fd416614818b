"""Replay the response to a repeated request instead of executing it again. Stored responses are encrypted."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from expert_booking.db import idempotency as rows
from expert_booking.db.engine import Database
from expert_booking.domain.errors import AnswerNotReadable, IdempotencyKeyReused
from expert_booking.services.answer_encryption import AnswerEncryption, customer_mark_in


@dataclass(frozen=True, slots=True)
class Answer:
    """A response to a program. `replayed` if it was stored when the request was first made."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    replayed: bool = False


class Idempotency:
    """Stores responses for a day, each in the same transaction as the work it reports."""

    def __init__(self, database: Database, clock: Callable[[], datetime], secret: str = "") -> None:
        self._database = database
        self._clock = clock
        self._secret = secret

    async def once(
        self,
        caller: bytes,
        key: str,
        fingerprint: bytes,
        work: Callable[[], Awaitable[Answer]],
        *,
        keep_refusals: bool = True,
    ) -> Answer:
        """Run `work` in one transaction, once per caller, key and day, and return its response or the stored one.

        Without `keep_refusals`, a response of 400 or more is not stored: its writes are committed, and a repeated
        request is executed again. If `work` raises, nothing is stored or committed. Concurrent requests with the same
        key wait briefly for the first one. Raises RequestInFlight if that takes too long, IdempotencyKeyReused if the
        key was used for a request with another `fingerprint`, and AnswerNotReadable if the response was stored under
        another secret of the site; the work is not repeated then.
        """
        encryption = AnswerEncryption(self._secret, caller, key)
        async with self._database.shared_transaction() as connection:
            if await rows.claim(connection, caller, key, encryption.mark(fingerprint), self._clock()):
                answer = await work()
                if answer.status >= 400 and not keep_refusals:
                    await rows.give_up(connection, caller, key)
                    return answer
                encrypted = encryption.encrypt(answer.headers, answer.body)
                customer = customer_mark_in(self._secret, answer.body)
                await rows.keep(connection, caller, key, status=answer.status, sealed=encrypted, customer=customer)
                return answer
            first = await rows.kept(connection, caller, key)
        decrypted = encryption.decrypt(first.body or b"")
        if decrypted is None:
            raise AnswerNotReadable
        if first.fingerprint != encryption.mark(fingerprint):
            raise IdempotencyKeyReused
        headers, body = decrypted
        return Answer(first.status, headers, body, replayed=True)
