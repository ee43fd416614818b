"""The same request, sent again, is answered and not done again. What was answered is kept sealed."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from expert_booking.db import idempotency as rows
from expert_booking.db.engine import Database
from expert_booking.domain.errors import AnswerNotReadable, IdempotencyKeyReused
from expert_booking.services.answer_encryption import AnswerEncryption


@dataclass(frozen=True, slots=True)
class Answer:
    """What a program was answered, now or the first time."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    replayed: bool = False


class Idempotency:
    """Keeps answers for a day, each in the transaction of what it tells of: there is none without the other."""

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
        """The answer of `work`, which is done in one transaction and for each caller's key once in a day.

        Without `keep_refusals` an answer of 400 or more is given and not kept: what was written while it was found
        counts, and the same request is evaluated again. Work that raises is as if it had never been asked for. Others
        with the same key wait a little for the first. Raises RequestInFlight when that takes long,
        IdempotencyKeyReused for another request (its `fingerprint`), and AnswerNotReadable where the answer was kept
        under another secret of the site: it is never done twice.
        """
        encryption = AnswerEncryption(self._secret, caller, key)
        async with self._database.shared_transaction() as connection:
            if await rows.claim(connection, caller, key, encryption.mark(fingerprint), self._clock()):
                answer = await work()
                if answer.status >= 400 and not keep_refusals:
                    await rows.give_up(connection, caller, key)
                    return answer
                sealed = encryption.encrypt(answer.headers, answer.body)
                await rows.keep(connection, caller, key, status=answer.status, sealed=sealed)
                return answer
            first = await rows.kept(connection, caller, key)
        opened = encryption.decrypt(first.body or b"")
        if opened is None:
            raise AnswerNotReadable
        if first.fingerprint != encryption.mark(fingerprint):
            raise IdempotencyKeyReused
        headers, body = opened
        return Answer(first.status, headers, body, replayed=True)
