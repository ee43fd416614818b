"""Listen to the database's notifications, on one connection per process outside the pool."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final, NoReturn
from uuid import UUID

import psycopg

from expert_booking.db.engine import driver_url
from expert_booking.db.feed_lag import LAG_PROBE_CHANNEL
from expert_booking.db.tables import EVENT_CHANNEL, MAIL_CHANNEL
from expert_booking.domain.events import (
    Event,
    ExpertChanged,
    FeedConnected,
    FeedDisconnected,
    LagProbe,
    MailChanged,
)

log = logging.getLogger(__name__)

_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 2.0
# Seconds without a notification before the connection is checked: a firewall may drop it silently.
_CHECK_AFTER = 15.0
# The application_name of the connection.
NAME: Final = "expert-booking news"
# With these the database notices a dead connection, and releases its lock, within 11 seconds instead of hours.
_KEEPALIVE_SETTINGS: Final = (
    "SET tcp_keepalives_idle = 5",
    "SET tcp_keepalives_interval = 2",
    "SET tcp_keepalives_count = 3",
)


class Feed:
    """Publishes the database's notifications as events.

    Publishes FeedConnected after every (re)connect, because notifications may have been missed.
    """

    def __init__(self, url: str, publish: Callable[[Event], None]) -> None:
        self._url = driver_url(url)
        self._publish = publish
        self._listening = False

    async def run(self) -> None:
        """Listen until cancelled, and reconnect as often as needed."""
        pause = _FIRST_PAUSE
        while True:
            try:
                async with self._connection() as connection:
                    await self._listen(connection)
            except (psycopg.Error, OSError, TimeoutError) as error:
                if self._listening:
                    pause = _FIRST_PAUSE
                log.warning("the feed's connection was lost (%s), retrying in %.1f s", type(error).__name__, pause)
            finally:
                self._publish_disconnected()
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def listen_alone(self) -> None:
        """Listen as long as the connection lasts. Returns immediately if another process already listens like this."""
        try:
            async with self._connection() as connection:
                for setting in _KEEPALIVE_SETTINGS:
                    await connection.execute(setting)
                took = await connection.execute("SELECT pg_try_advisory_lock(hashtext(%s))", [EVENT_CHANNEL])
                if await took.fetchone() == (True,):
                    await self._listen(connection)
        except (psycopg.Error, OSError, TimeoutError) as error:
            log.warning("the feed's connection was lost (%s)", type(error).__name__)
        finally:
            self._publish_disconnected()

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[psycopg.AsyncConnection[tuple[Any, ...]]]:
        connection = await asyncio.wait_for(
            psycopg.AsyncConnection.connect(self._url, autocommit=True, connect_timeout=5, application_name=NAME),
            timeout=10,
        )
        async with connection:
            yield connection

    async def _listen(self, connection: psycopg.AsyncConnection[tuple[Any, ...]]) -> NoReturn:
        for channel in (EVENT_CHANNEL, MAIL_CHANNEL, LAG_PROBE_CHANNEL):
            await connection.execute(f"LISTEN {channel}")
        # LISTEN before FeedConnected makes subscribers reload, so that no change is missed in between.
        self._listening = True
        self._publish(FeedConnected())
        while True:
            async for message in connection.notifies(timeout=_CHECK_AFTER):
                self._handle(message.channel, message.payload)
            await asyncio.wait_for(connection.execute("SELECT 1"), timeout=5)

    def _publish_disconnected(self) -> None:
        if self._listening:
            self._listening = False
            self._publish(FeedDisconnected())

    def _handle(self, channel: str, payload: str) -> None:
        try:
            self._publish(_PARSERS[channel](payload))
        except (ValueError, KeyError, TypeError):
            log.warning("ignored a notification that could not be parsed")


_PARSERS: Final[dict[str, Callable[[str], Event]]] = {
    EVENT_CHANNEL: lambda payload: ExpertChanged(UUID(payload)),
    MAIL_CHANNEL: lambda payload: MailChanged(UUID(payload) if payload else None),
    LAG_PROBE_CHANNEL: LagProbe,
}
