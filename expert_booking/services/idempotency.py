"""The same request, sent again, is answered and not done again."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from expert_booking.db import idempotency as rows
from expert_booking.db.engine import Database
from expert_booking.domain.errors import IdempotencyKeyReused


@dataclass(frozen=True, slots=True)
class Answer:
    """What a program was answered, now or the first time."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    replayed: bool = False


class Idempotency:
    """Keeps answers for a day, each in the transaction of what it tells of: there is none without the other."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    async def once(self, caller: bytes, key: str, fingerprint: bytes, work: Callable[[], Awaitable[Answer]]) -> Answer:
        """The answer of `work`, which is done in one transaction and for each caller's key once in a day.

        Work that raises is as if it had never been asked for. Others with the same key wait a little for the first.
        Raises RequestInFlight when that takes long, and IdempotencyKeyReused for another request (its `fingerprint`).
        """
        async with self._database.together() as connection:
            if await rows.claim(connection, caller, key, fingerprint, self._clock()):
                answer = await work()
                await rows.keep(connection, caller, key, status=answer.status, headers=answer.headers, body=answer.body)
                return answer
            first = await rows.kept(connection, caller, key)
        if first.fingerprint != fingerprint:
            raise IdempotencyKeyReused
        return Answer(first.status, first.headers, first.body, replayed=True)
