"""Listens to the database's news. One connection of its own for each process, never from the pool."""

import asyncio
import logging
from collections.abc import Callable
from uuid import UUID

import psycopg

from expert_booking.db.engine import driver_url
from expert_booking.db.tables import NEWS_CHANNEL
from expert_booking.domain.events import ExpertChanged, News, NewsMissed

log = logging.getLogger(__name__)

_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 2.0
# How long the line may be silent before it is asked whether it still stands (a firewall forgets, a cable is pulled).
_SILENCE = 15.0


class Feed:
    """Publishes the database's notifications; after every (re)connect first says that news may have been missed."""

    def __init__(self, url: str, publish: Callable[[News], None]) -> None:
        self._url = driver_url(url)
        self._publish = publish
        self.listening = asyncio.Event()

    async def run(self) -> None:
        """Listen until cancelled, reconnecting for ever."""
        pause = _FIRST_PAUSE
        while True:
            try:
                await self._listen()
                pause = _FIRST_PAUSE
            except (psycopg.Error, OSError, TimeoutError) as error:
                log.warning("the news connection was lost (%s), trying again in %.1f s", type(error).__name__, pause)
                if self.listening.is_set():
                    pause = _FIRST_PAUSE
                self.listening.clear()
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)

    async def _listen(self) -> None:
        connection = await asyncio.wait_for(
            psycopg.AsyncConnection.connect(self._url, autocommit=True, connect_timeout=5), timeout=10
        )
        async with connection:
            await connection.execute(f"LISTEN {NEWS_CHANNEL}")
            # LISTEN first, look again afterwards: what happened in between is then either heard or read.
            self.listening.set()
            self._publish(NewsMissed())
            while True:
                async for message in connection.notifies(timeout=_SILENCE):
                    self._hear(message.payload)
                await asyncio.wait_for(connection.execute("SELECT 1"), timeout=5)

    def _hear(self, payload: str) -> None:
        try:
            expert_id = UUID(payload)
        except ValueError:
            log.warning("news that is no expert's id was left unheard")
            return
        self._publish(ExpertChanged(expert_id))
