"""Listens to the database's event. One connection of its own for each process, never from the pool."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Final, NoReturn
from uuid import UUID

import psycopg

from expert_booking.db.engine import driver_url
from expert_booking.db.feed_lag import LAG_PROBE_CHANNEL
from expert_booking.db.tables import EVENT_CHANNEL, FREED_CHANNEL, MAIL_CHANNEL
from expert_booking.domain.events import (
    Event,
    ExpertChanged,
    FeedConnected,
    FeedDisconnected,
    LagProbe,
    MailChanged,
    SlotFreed,
)

log = logging.getLogger(__name__)

_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 2.0
# How long the line may be silent before it is asked whether it still stands (a firewall forgets, a cable is pulled).
_SILENCE = 15.0
# What the database calls our connection.
NAME: Final = "expert-booking news"
# How soon the database notices that we are gone without a word, and our lock with us: in 11 seconds instead of hours.
_NOTICED: Final = ("SET tcp_keepalives_idle = 5", "SET tcp_keepalives_interval = 2", "SET tcp_keepalives_count = 3")


class Feed:
    """Publishes the database's notifications; after every (re)connect first says that news may have been missed."""

    def __init__(self, url: str, publish: Callable[[Event], None]) -> None:
        self._url = driver_url(url)
        self._publish = publish
        self._listening = False

    async def run(self) -> None:
        """Listen until cancelled, reconnecting for ever."""
        pause = _FIRST_PAUSE
        while True:
            try:
                async with self._connection() as connection:
                    await self._listen(connection)
            except (psycopg.Error, OSError, TimeoutError) as error:
                if self._listening:
                    pause = _FIRST_PAUSE
                log.warning("the news connection was lost (%s), trying again in %.1f s", type(error).__name__, pause)
            finally:
                self._lose()
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def listen_alone(self) -> None:
        """Listen as long as the connection lasts; return at once where somebody else already listens like this."""
        try:
            async with self._connection() as connection:
                for setting in _NOTICED:
                    await connection.execute(setting)
                took = await connection.execute("SELECT pg_try_advisory_lock(hashtext(%s))", [EVENT_CHANNEL])
                if await took.fetchone() == (True,):
                    await self._listen(connection)
        except (psycopg.Error, OSError, TimeoutError) as error:
            log.warning("the news connection was lost (%s)", type(error).__name__)
        finally:
            self._lose()

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[psycopg.AsyncConnection[tuple[Any, ...]]]:
        connection = await asyncio.wait_for(
            psycopg.AsyncConnection.connect(self._url, autocommit=True, connect_timeout=5, application_name=NAME),
            timeout=10,
        )
        async with connection:
            yield connection

    async def _listen(self, connection: psycopg.AsyncConnection[tuple[Any, ...]]) -> NoReturn:
        for channel in (EVENT_CHANNEL, FREED_CHANNEL, MAIL_CHANNEL, LAG_PROBE_CHANNEL):
            await connection.execute(f"LISTEN {channel}")
        # LISTEN first, look again afterwards: what happened in between is then either heard or read.
        self._listening = True
        self._publish(FeedConnected())
        while True:
            async for message in connection.notifies(timeout=_SILENCE):
                self._hear(message.channel, message.payload)
            await asyncio.wait_for(connection.execute("SELECT 1"), timeout=5)

    def _lose(self) -> None:
        if self._listening:
            self._listening = False
            self._publish(FeedDisconnected())

    def _hear(self, channel: str, payload: str) -> None:
        try:
            self._publish(_READ[channel](payload))
        except (ValueError, KeyError, TypeError):
            log.warning("news that is not ours was left unheard")


def _freed(payload: str) -> SlotFreed:
    told = json.loads(payload)
    since, until = (datetime.fromisoformat(told[end]).astimezone(UTC) for end in ("since", "until"))
    return SlotFreed(UUID(told["expert"]), since, until)


_READ: Final[dict[str, Callable[[str], Event]]] = {
    EVENT_CHANNEL: lambda payload: ExpertChanged(UUID(payload)),
    FREED_CHANNEL: _freed,
    MAIL_CHANNEL: lambda payload: MailChanged(UUID(payload) if payload else None),
    LAG_PROBE_CHANNEL: LagProbe,
}
